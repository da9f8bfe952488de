//! Counts against hand counts, the chip's recordings, and the model's own report.

use std::path::{Path, PathBuf};

use agent::learner::Weights;
use reckon::{Event, Pair, Params, Shape};
use tasks::Sample;

use super::meter::Chip;
use super::*;

const fn zero(register: &str) -> (&str, u32) {
    (register, 0)
}

/// Two inputs, four neurons, two outputs; a threshold that the first weight passes.
fn params(do_eprop: u32) -> Params {
    let mut registers = vec![
        ("SPI_NUM_INP_NEUR", 1),
        ("SPI_NUM_REC_NEUR", 3),
        ("SPI_NUM_OUT_NEUR", 1),
        ("SPI_DO_EPROP", do_eprop),
    ];
    // What a chip that learns must be told; it does not change how long it takes.
    registers.extend(["SPI_THR_H_0", "SPI_THR_H_1", "SPI_THR_H_2", "SPI_THR_H_3"].map(zero));
    registers.extend(["SPI_H_0", "SPI_H_1", "SPI_H_2", "SPI_H_3", "SPI_H_4"].map(zero));
    registers.extend(["SPI_LR_R_WINP", "SPI_LR_R_WREC", "SPI_LR_R_WOUT"].map(zero));
    registers.extend(["SPI_LR_P_WINP", "SPI_LR_P_WREC", "SPI_LR_P_WOUT"].map(zero));
    let pairs = [0, 1].map(|pair| Pair { pair, alpha12: 4079, threshold: 60 });
    Params::parse(registers, pairs).unwrap()
}

const INPUT: [i8; 8] = [100, 0, 0, 0, 0, 0, 0, 0];
const RECURRENT: [i8; 16] = [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const OUTPUT: [i8; 8] = [3, 0, 0, 0, 0, 0, 0, 0];

fn chip(do_eprop: u32) -> Chip {
    let weights = Weights { input: &INPUT, recurrent: &RECURRENT, output: &OUTPUT };
    Chip::new(params(do_eprop), weights)
}

/// Five ticks; input 0 twice in tick 0, once in tick 3, input 1 in tick 4, which is too late.
fn sample() -> Sample {
    let event = |tick, address| Event { tick, address };
    Sample {
        events: vec![event(0, 0), event(0, 0), event(3, 0), event(4, 1)],
        ticks: 5,
        label: 1,
        target_valid: 3..5,
        infer_acc: 2..5,
    }
}

#[test]
fn a_small_network_counts_as_by_hand() {
    // The event of tick 0 makes neuron 0 fire in the STEP of tick 1, that of tick 3 in the STEP of tick 4, the last,
    // after which nothing is integrated. nS = nN = nR = 3, nO = 1.
    let (counts, bench) = chip(0).benchmark([&sample()]);
    let expected = Counts {
        samples: 1,
        ticks: 5,
        input_events: 2,
        spikes: 2,
        // Two events and one spike of four weights each, and two of the outputs for the spike.
        synaptic_ops: 2 * 4 + 4 + 2,
        weights_drawn: 0,
        // Four steps; PROP in four ticks, 2 * ((3 >> 1) + 1) for each of the three active slots.
        cycles: Cycles { step: 4 * 4, sdone: 4, prop: 4 * 4 + 3 * 4, eprop: 0 },
    };
    assert_eq!(counts, expected);
    // An event meets one weight that is not zero, the spike two and one.
    assert_eq!((bench.effective_macs, bench.effective_acs), (0, 2 + 3));
    assert_eq!((bench.dense, bench.steps, bench.samples), (4 * 32, 4, 1));
    assert!((bench.connection_sparsity - 28.0 / 32.0).abs() < 1e-12);
    assert!((bench.activation_sparsity - 14.0 / 16.0).abs() < 1e-12);
    // 32 weights, two pairs of 128 bits, two outputs of 16 bits.
    assert_eq!(bench.footprint_bytes, 32 + 32 + 4);
}

#[test]
fn learning_adds_its_passes() {
    // TARGET_VALID at ticks 3 and 4; the last tick ends before it learns. One group of (32 + 2 * 4) cycles.
    assert_eq!(chip(7).count([&sample()]).cycles.eprop, 40);
    // Only the outputs: 2 * (nR + 1).
    assert_eq!(chip(4).count([&sample()]).cycles.eprop, 8);
}

#[test]
fn nothing_costs_nothing() {
    let (counts, bench) = chip(0).benchmark([]);
    assert_eq!(counts, Counts::default());
    assert_eq!((bench.effective_acs, bench.dense), (0, 0));
    let work = Work::of(counts, CLOCK_MHZ, 1000);
    assert_eq!(work, Work::default());
    let short = Sample { ticks: 1, ..sample() };
    assert_eq!(chip(0).count([&short]), Counts { samples: 1, ..Counts::default() });
}

#[test]
fn it_counts_what_the_model_reports() {
    let stream = tasks::navigation::Stream::new(3);
    let samples: Vec<_> = (0..3).map(|index| stream.sample(index)).collect();
    let artifact = crate::demo::navigation_artifact(3);
    for learn in [false, true] {
        let mut chip = if learn {
            Chip::to_learn(&artifact, &[("SPI_REGUL_MODE".to_owned(), 0)].into(), 5).unwrap()
        } else {
            Chip::to_infer(&artifact, 5).unwrap()
        };
        let counts = chip.count(&samples);
        let mut network = chip.network();
        let mut expected = Counts { samples: 3, ticks: 3 * 2250, ..Counts::default() };
        for sample in &samples {
            let report = network.run(&sample.as_sample());
            expected.spikes += report.spikes;
            expected.synaptic_ops += report.synaptic_ops;
            expected.weights_drawn += report.weights_drawn;
            expected.cycles.step += report.cycles.step;
            expected.cycles.sdone += report.cycles.sdone;
            expected.cycles.prop += report.cycles.prop;
            expected.cycles.eprop += report.cycles.eprop;
        }
        assert!(counts.input_events > 0 && counts.spikes > 0);
        assert_eq!(Counts { input_events: 0, ..counts }, expected);
        assert_eq!(expected.cycles.eprop > 0, learn);
    }
}

#[test]
fn a_trace_shows_the_same_run() {
    let sample = sample();
    let trace = chip(0).trace(9, &sample);
    assert_eq!(trace.events, [[0, 0], [3, 0]]);
    assert_eq!(trace.spikes, [[1, 0], [4, 0]]);
    assert_eq!((trace.version, trace.label, trace.ticks), (9, 1, 5));
    assert_eq!((trace.potentials.len(), trace.potentials[0].len()), (2, 5));
    // The spike of tick 1 is integrated after its STEP.
    assert_eq!(trace.potentials[0][..2], [0, 0]);
    assert!(trace.potentials[0][2] > 0, "{:?}", trace.potentials);
    assert_eq!(trace.inferred, chip(0).network().run(&sample.as_sample()).label);
}

#[test]
fn work_follows_from_counts() {
    let counts = Counts {
        samples: 2,
        ticks: 4500,
        synaptic_ops: 2_000_000,
        cycles: Cycles { step: 100_000, sdone: 4_000, prop: 80_000, eprop: 76_000 },
        ..Counts::default()
    };
    let work = Work::of(counts, 13.0, 1000);
    assert!((work.energy_nj_per_sample - 5300.0).abs() < 1e-9);
    assert!((work.cycles_per_sample - 130_000.0).abs() < 1e-9);
    assert!((work.chip_ms_per_sample - 10.0).abs() < 1e-9);
    assert!((work.chip_times_real_time.unwrap() - 225.0).abs() < 1e-9);
    assert_eq!(Work::of(counts, 13.0, 0).chip_times_real_time, None);
    assert!((energy_nj(2_000_000, 20) - 530.0).abs() < 1e-9);
    assert!(energy_nj(5, 0).abs() < f64::EPSILON);
}

#[test]
fn a_footprint_is_that_of_the_chips_words() {
    let of = |inputs, recurrent, outputs| Footprint::of(Shape { inputs, recurrent, outputs });
    let navigation = of(40, 100, 2);
    assert_eq!((navigation.weights, navigation.neurons), (14_200, 50 * 16 + 4));
    // Input-only slots have words too.
    assert_eq!(of(256, 4, 1).neurons, 128 * 16 + 2);
    assert!(navigation.model > navigation.bytes());
}

/// The chip's own clock cycles, from the recordings of its RTL.
#[test]
fn cycles_are_those_of_the_recorded_chip() {
    let dir = golden().join("a01_forced_traces_inference");
    let text = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let weights = |name: &str, stored: usize, columns: usize| -> Vec<i8> {
        let bytes = std::fs::read(dir.join(name)).unwrap();
        bytes
            .chunks(stored)
            .flat_map(|row| row[..columns].iter().map(|byte| byte.cast_signed()))
            .collect()
    };
    let params = Params::parse_text(&text("config.txt"), &text("neurons.csv")).unwrap();
    let [input, recurrent, output] = [
        weights("w_inp_init.bin", 32, 32),
        weights("w_rec_init.bin", 32, 32),
        weights("w_out_init.bin", 16, 4),
    ];
    let weights = Weights { input: &input, recurrent: &recurrent, output: &output };
    let mut chip = Chip::new(params, weights);
    let samples = recorded(&text("samples.txt"));
    let results = text("results.csv");
    let rows: Vec<Vec<&str>> = results.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|&head| head == name).unwrap();
    let sum = |name: &str| -> u64 {
        rows[1..].iter().map(|row| row[column(name)].parse::<u64>().unwrap()).sum()
    };
    let counts = chip.count(&samples);
    assert_eq!(counts.samples, 4);
    assert_eq!(counts.cycles.step, sum("cycles_step"));
    assert_eq!(counts.cycles.sdone, sum("cycles_sdone"));
    assert_eq!(counts.cycles.prop, sum("cycles_prop_active"));
    assert_eq!(counts.cycles.eprop, sum("cycles_eprop"));
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/reckon")
}

/// Reads the golden cases' `samples.txt`, as far as a01 goes.
fn recorded(text: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap();
        let numbers: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
        let last = samples.last_mut();
        match (kind, last) {
            ("sample", _) => samples.push(Sample {
                events: Vec::new(),
                ticks: numbers[1],
                label: u8::try_from(numbers[2]).unwrap(),
                target_valid: 0..0,
                infer_acc: 0..0,
            }),
            ("tv", Some(sample)) => sample.target_valid = numbers[0]..numbers[1],
            ("ia", Some(sample)) => sample.infer_acc = numbers[0]..numbers[1],
            ("e", Some(sample)) => sample.events.extend(numbers[1..].iter().map(|&address| {
                Event { tick: numbers[0], address: u8::try_from(address).unwrap() }
            })),
            other => panic!("{other:?}"),
        }
    }
    samples
}
