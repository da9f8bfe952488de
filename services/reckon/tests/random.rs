//! Any program on any input: nothing overflows unasked, and every quantity stays within its width.

#![expect(clippy::unwrap_used, reason = "test code")]

mod programs;

use programs::{events, program};
use proptest::prelude::*;
use reckon::{Memory, Network, Sample};

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
