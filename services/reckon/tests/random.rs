//! Any program on any input: nothing overflows unasked, and every quantity stays within its width.

#![expect(clippy::unwrap_used, reason = "test code")]

use proptest::prelude::*;
use reckon::{Event, Memory, Network, Pair, Params, Sample, Shape};

/// Registers of the shape, which have strategies of their own.
const SHAPE: [&str; 3] = ["SPI_NUM_INP_NEUR", "SPI_NUM_REC_NEUR", "SPI_NUM_OUT_NEUR"];

/// The registers with a numeric effect and their greatest values, as SPEC 10 lists them.
const REGISTERS: [(&str, u32); 59] = [
    ("SPI_RST_MODE", 1),
    ("SPI_DO_EPROP", 7),
    ("SPI_FP_LOC_WINP", 7),
    ("SPI_FP_LOC_WREC", 7),
    ("SPI_FP_LOC_WOUT", 7),
    ("SPI_FP_LOC_TINP", 7),
    ("SPI_FP_LOC_TREC", 7),
    ("SPI_FP_LOC_TOUT", 7),
    ("SPI_LEARN_SIG_SCALE", 15),
    ("SPI_REGUL_MODE", 7),
    ("SPI_REGUL_W", 3),
    ("SPI_EN_STOCH_ROUND", 1),
    ("SPI_REGRESSION", 1),
    ("SPI_NO_OUT_ACT", 1),
    ("SPI_SEND_PER_TIMESTEP", 1),
    ("SPI_SEND_LABEL_ONLY", 1),
    ("SPI_NOISE_EN", 1),
    ("SPI_FORCE_TRACES", 1),
    ("SPI_ALPHA_CONF_W0", u32::MAX),
    ("SPI_ALPHA_CONF_W1", u32::MAX),
    ("SPI_ALPHA_CONF_W2", u32::MAX),
    ("SPI_ALPHA_CONF_W3", u32::MAX),
    ("SPI_KAPPA", 255),
    ("SPI_THR_H_0", 0xFFFF),
    ("SPI_THR_H_1", 0xFFFF),
    ("SPI_THR_H_2", 0xFFFF),
    ("SPI_THR_H_3", 0xFFFF),
    ("SPI_H_0", 31),
    ("SPI_H_1", 31),
    ("SPI_H_2", 31),
    ("SPI_H_3", 31),
    ("SPI_H_4", 31),
    ("SPI_LR_R_WINP", 31),
    ("SPI_LR_P_WINP", 31),
    ("SPI_LR_R_WREC", 31),
    ("SPI_LR_P_WREC", 31),
    ("SPI_LR_R_WOUT", 31),
    ("SPI_LR_P_WOUT", 31),
    ("SPI_SEED_INP", 0x1FF_FFFF),
    ("SPI_SEED_REC", 0x1FF_FFFF),
    ("SPI_SEED_OUT", 0x3F_FFFF),
    ("SPI_SEED_STRND_NEUR", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_ONEUR", 0x7FFF),
    ("SPI_SEED_STRND_TINP", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_TREC", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_TOUT", 0x3FFF_FFFF),
    ("SPI_SEED_NOISE_NEUR", 0x1_FFFF),
    ("SPI_REGUL_F0", 0xFFF),
    ("SPI_REGUL_K_INP_R", 31),
    ("SPI_REGUL_K_INP_P", 31),
    ("SPI_REGUL_K_REC_R", 31),
    ("SPI_REGUL_K_REC_P", 31),
    ("SPI_REGUL_K_MUL", 31),
    ("SPI_NOISE_STR", 15),
    ("SPI_SINGLE_LABEL", 1),
    ("SPI_EN_CONF", 1),
    ("SPI_ERROR_HALT", 1),
    ("SPI_LOCAL_TICK", 1),
    ("SPI_TIMING_MODE", 1),
];

fn shape() -> impl Strategy<Value = Shape> {
    let count = prop_oneof![4 => 1_u16..40, 1 => 250_u16..=256];
    (count.clone(), count, 1_u16..=16).prop_map(|(inputs, recurrent, outputs)| Shape {
        inputs,
        recurrent,
        outputs,
    })
}

fn program() -> impl Strategy<Value = Params> {
    let values = REGISTERS.map(|(_, max)| prop_oneof![3 => 0..=max, 1 => Just(max)]);
    let pairs =
        proptest::collection::vec((0_u16..4096, prop_oneof![-600_i16..600, any::<i16>()]), 128);
    (shape(), Vec::from(values), pairs).prop_map(|(shape, values, pairs)| {
        let counts =
            [shape.inputs, shape.recurrent, shape.outputs].map(|count| u32::from(count) - 1);
        let registers = REGISTERS
            .map(|(name, _)| name)
            .into_iter()
            .zip(values)
            .chain(SHAPE.into_iter().zip(counts));
        let pairs =
            (0..).zip(pairs).map(|(pair, (alpha12, threshold))| Pair { pair, alpha12, threshold });
        Params::parse(registers, pairs).unwrap()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0_u32..12, any::<u8>()).prop_map(|(tick, address)| Event { tick, address });
    proptest::collection::vec(event, 0..80).prop_map(|mut events| {
        events.sort_by_key(|event| event.tick);
        events
    })
}

fn check_widths(network: &Network<'_>) {
    for slot in (0..=u8::MAX).map_while(|slot| network.slot(slot)) {
        assert!((0..4096).contains(&slot.input_trace), "{slot:?}");
        assert!((0..4096).contains(&slot.recurrent_trace), "{slot:?}");
        assert!((0..1024).contains(&slot.output_trace), "{slot:?}");
    }
    for column in (0..=u8::MAX).map_while(|column| network.learning(column)) {
        assert!((-16..16).contains(&column.slope), "{column:?}");
        assert!((0..4096).contains(&column.excess), "{column:?}");
    }
    let widths = [25, 25, 22, 15, 15, 15, 15, 15, 15, 15, 15, 15, 17];
    for (register, width) in network.generators().to_array().into_iter().zip(widths) {
        assert!(register >> width == 0, "{:?}", network.generators());
    }
    let outputs = network.params().shape().outputs.into();
    assert!(network.votes()[outputs..].iter().all(|&votes| votes == 0));
    assert!(network.errors()[outputs..].iter().all(|&error| error == 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_never_panics_and_stays_within_widths(
        params in program(),
        events in events(),
        weights in proptest::collection::vec(any::<i8>(), 997),
        target in 0_u32..12,
        label: u8,
    ) {
        let len = Network::memory_len(params.shape());
        let run = |before: (i8, i16)| {
            let (mut cells, mut words) = (vec![before.0; len.weights], vec![before.1; len.words]);
            let memory = Memory { weights: &mut cells, words: &mut words };
            let mut network = Network::new(&params, memory).unwrap();
            let lens = network.padded_weights().map(<[i8]>::len);
            let [inp, rec, out] = lens.map(|len| weights.iter().copied().cycle().take(len).collect::<Vec<i8>>());
            network.load_padded_weights(&inp, &rec, &out).unwrap();
            let sample = Sample { ticks: 12, events: &events, target_valid: target..12, infer_acc: 3..12, label };
            let mut reports = Vec::new();
            for k in 0..16 {
                network.target(k, if k % 2 == 0 { i16::MIN } else { i16::MAX });
            }
            for _ in 0..3 {
                reports.push(network.run(&sample));
                check_widths(&network);
            }
            // A loaded seed brings a generator back to the very state it was read from.
            let generators = network.generators();
            for (name, seed) in generators.seeds() {
                network.set_register(name, seed).unwrap();
            }
            assert_eq!(network.generators(), generators);
            (reports, generators, network.padded_weights().map(<[i8]>::to_vec))
        };
        prop_assert_eq!(run((0, 0)), run((-1, 1234)));
    }
}
