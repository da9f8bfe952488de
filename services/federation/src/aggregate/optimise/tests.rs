//! Golden bytes of every strategy, and what holds of all of them.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Layout, Master, Strategy, Sum, advance, publish};
use crate::aggregate::{median, trimmed_mean};
use crate::model::Tensor;
use crate::strategy::Weighting::Samples;

fn layout(lanes: u32, min: i8, max: i8) -> Layout {
    Layout::new(vec![Tensor { name: "w".to_owned(), rows: 1, cols: lanes, min, max }]).unwrap()
}

fn fedavg(server_learning_rate: f64) -> Strategy {
    Strategy::FedAvg { server_learning_rate, weighting: Samples }
}

fn fedavgm(server_learning_rate: f64, momentum: f64) -> Strategy {
    Strategy::FedAvgM { server_learning_rate, weighting: Samples, momentum }
}

fn fedadam(server_learning_rate: f64, beta1: f64, beta2: f64, tau: f64) -> Strategy {
    Strategy::FedAdam { server_learning_rate, weighting: Samples, beta1, beta2, tau }
}

const START: [i8; 6] = [0, 10, -10, 127, -128, 1];
const VECTORS: [[i8; 6]; 5] = [
    [1, 2, 3, 127, -127, 0],
    [0, -7, 2, 127, -127, 1],
    [-128, 5, 2, -1, 0, 1],
    [4, 4, -4, 0, 3, -3],
    [7, -7, 1, 2, -2, 1],
];

fn sum_of(updates: &[(usize, u32)]) -> Sum {
    let mut sum = Sum::new(6);
    updates.iter().for_each(|&(vector, samples)| sum.fold(&VECTORS[vector], samples));
    sum
}

/// The state after some rounds, in hex. All expected values are from Python: its floats and `math.sqrt` are IEEE
/// doubles, and `struct.pack("<d", value).hex()` writes them.
fn check(strategy: Strategy, sums: &[Sum], state: &[&str], published: [i8; 6]) {
    let layout = layout(6, -128, 127);
    let mut master = Master::of(&START);
    for sum in sums {
        advance(strategy, &mut master, sum, &layout);
        let stored = master.encode();
        assert_eq!(Master::decode(&stored, 6, strategy).as_ref(), Some(&master));
    }
    let text: String = master.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, state.concat());
    assert_eq!(publish(&master, &layout), published);
}

#[test]
fn golden_bytes_of_fedavg() {
    let state = [
        "244992244992e43f4992244992241540dcb66ddbb66d19c0",
        "0000000000c05f4000000000000060c06edbb66ddbb6fd3f",
    ];
    check(fedavg(1.5), &[sum_of(&[(0, 3), (1, 4)])], &state, [1, 5, -6, 127, -128, 2]);
}

#[test]
fn golden_bytes_of_fedavgm() {
    let state = [
        "755007755007ed3f7550077550072040597cc5577cc518c0",
        "0000000000c05f4000000000000060c0f88aaff88aaff83f",
        "bee22bbee22bf63f3ca8833aa883eabfe22bbee22bbe1440",
        "9a99999999296e409a99999999296ec0500775500775e03f",
    ];
    let sums = [sum_of(&[(0, 3), (1, 4)]), sum_of(&[(0, 3)])];
    check(fedavgm(0.5, 0.9), &sums, &state, [1, 8, -6, 127, -128, 2]);
}

#[test]
fn golden_bytes_of_fedadam() {
    let state = [
        "f86fb2416050f73f284c42ab81402240c387af537e0021c0",
        "0000000000c05f4000000000000060c0ef0f3d8d4f020240",
        "ec51b81e85ebe93f3ee8d9acfa5cef3f",
        "97e8ef64b5bcc13fc8b9cf2e2036b5bf4e56cb1b2398e03f",
        "e07a14ae47213840e07a14ae472138c0e53ebb80d854aa3f",
        "944cfa693a34883f46ecf97607a3c13fbec643d46ffec23f",
        "687fd93d790f7440687fd93d790f74406f39ac655d7b6a3f",
    ];
    let sums = [sum_of(&[(0, 3), (1, 4)]), sum_of(&[(0, 3)])];
    check(fedadam(0.75, 0.9, 0.99, 0.001), &sums, &state, [1, 9, -9, 127, -128, 2]);
}

#[test]
fn golden_bytes_of_the_median() {
    let strategy = Strategy::Median { server_learning_rate: 1.5 };
    let vectors = VECTORS.each_ref().map(|vector| &vector[..]);
    let odd = [
        "000000000000f83f0000000000002a400000000000001cc0",
        "0000000000c05f4000000000000060c00000000000000440",
    ];
    check(strategy, &[median(&vectors)], &odd, [2, 13, -7, 127, -128, 2]);
    let even = [
        "000000000000e83f0000000000002d400000000000001cc0",
        "0000000000c05f4000000000000060c0000000000000fc3f",
    ];
    check(strategy, &[median(&vectors[..4])], &even, [1, 14, -7, 127, -128, 2]);
}

#[test]
fn golden_bytes_of_the_trimmed_mean() {
    let strategy = Strategy::TrimmedMean { server_learning_rate: 1.5, trim_permille: 300 };
    let sum = trimmed_mean(&VECTORS.each_ref().map(|vector| &vector[..]), 300);
    assert_eq!((sum.lanes(), sum.weight()), (&[5, -1, 5, 129, -129, 2][..], 3));
    let state = [
        "000000000000044000000000000023400000000000001ec0",
        "0000000000c05f4000000000000060c00000000000000040",
    ];
    check(strategy, &[sum], &state, [2, 10, -8, 127, -128, 2]);
}

#[test]
fn golden_bytes_of_fedbuff() {
    let strategy =
        Strategy::FedBuff { server_learning_rate: 1.5, weighting: Samples, staleness_max: 3 };
    let mut sum = Sum::new(6);
    let weighed = [(0, 3, 0), (1, 4, 3)].map(|(vector, samples, late)| {
        (&VECTORS[vector][..], strategy.weight(samples, late).unwrap())
    });
    sum.fold_all(&weighed);
    assert_eq!(sum.lanes(), [768, -2048, 3328, 162_560, -162_560, 512]);
    assert_eq!(sum.weight(), 7 * 256);
    let state = [
        "244992244992e43f2549922449922040b76ddbb66ddb1cc0",
        "0000000000c05f4000000000000060c0b76ddbb66ddbf63f",
    ];
    check(strategy, &[sum], &state, [1, 8, -7, 127, -128, 1]);
}

#[test]
fn halves_round_to_even_and_the_master_keeps_them() {
    let layout = layout(4, -2, 2);
    let mut master = Master::of(&[0, 1, -1, 2]);
    let mut sum = Sum::new(4);
    sum.fold(&[1, 1, -1, 1], 1);
    sum.fold(&[0, 0, 0, 0], 1);
    advance(fedavg(1.0), &mut master, &sum, &layout);
    assert_eq!(master.values(), [0.5, 1.5, -1.5, 2.0]);
    assert_eq!(publish(&master, &layout), [0, 2, -2, 2]);
    advance(fedavg(1.0), &mut master, &sum, &layout);
    assert_eq!(publish(&master, &layout), [1, 2, -2, 2]);
}

#[test]
fn an_empty_sum_changes_nothing() {
    for strategy in [fedavg(1.0), fedavgm(1.0, 0.5), fedadam(1.0, 0.5, 0.5, 0.1)] {
        let mut master = Master::of(&[3, -3]);
        advance(strategy, &mut master, &Sum::new(2), &layout(2, -128, 127));
        assert_eq!(master, Master::of(&[3, -3]));
    }
}

#[test]
fn the_first_step_of_fedadam_is_the_learning_rate_whatever_the_delta() {
    let mut master = Master::of(&[0, 0, 0]);
    let mut sum = Sum::new(3);
    sum.fold(&[100, -1, 0], 1);
    advance(fedadam(2.0, 0.9, 0.99, 1e-6), &mut master, &sum, &layout(3, -128, 127));
    let steps = master.values();
    assert!((steps[0] - 2.0).abs() < 1e-5 && (steps[1] + 2.0).abs() < 1e-5, "{steps:?}");
    assert_eq!(steps[2].to_bits(), 0.0_f64.to_bits());
}

#[test]
fn stored_states_are_checked() {
    let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let [plain, m, adam] = [fedavg(1.0), fedavgm(1.0, 0.5), fedadam(1.0, 0.5, 0.5, 0.1)];
    // Before the first round nothing is remembered, whatever the strategy.
    for strategy in [plain, m, adam] {
        let master = Master::of(&[1, 2]);
        assert_eq!(Master::decode(&master.encode(), 2, strategy), Some(master));
        assert_eq!(Master::decode(&[0; 15], 2, strategy), None);
        assert_eq!(Master::decode(&[0; 8], 2, strategy), None);
        assert_eq!(Master::decode(&f64s(&[f64::NAN]), 1, strategy), None);
        assert_eq!(Master::decode(&f64s(&[0.0; 3]), 2, strategy), None);
    }
    let momentum = f64s(&[1.0, 2.0, 3.0, 4.0]);
    assert!(Master::decode(&momentum, 2, m).is_some());
    assert!(Master::decode(&momentum, 2, plain).is_none());
    assert!(Master::decode(&momentum, 2, adam).is_none());
    assert!(Master::decode(&f64s(&[1.0, f64::INFINITY]), 1, m).is_none());
    let moments = |left: f64, second: f64| f64s(&[1.0, left, 0.5, -3.0, second]);
    assert!(Master::decode(&moments(0.5, 2.0), 1, adam).is_some());
    assert!(Master::decode(&moments(0.5, 2.0), 1, m).is_none());
    assert!(Master::decode(&moments(0.5, -2.0), 1, adam).is_none());
    assert!(Master::decode(&moments(1.0, 2.0), 1, adam).is_none());
    assert!(Master::decode(&moments(-0.5, 2.0), 1, adam).is_none());
    assert!(Master::decode(&f64s(&[1.0; 6]), 1, adam).is_none());
}

proptest! {
    #[test]
    fn what_is_published_is_in_range_and_a_state_round_trips(
        start in prop::collection::vec(-3i8..=3, 4),
        rounds in prop::collection::vec((prop::collection::vec(any::<i8>(), 4), 1u32..=100_000), 1..6),
        rate in 0.001f64..100.0,
        decays in (0.0f64..=0.999, 0.0f64..=0.999_99),
        tau in 1e-6f64..1e3,
    ) {
        let layout = layout(4, -3, 3);
        let adam = fedadam(rate, decays.0, decays.1, tau);
        for strategy in [fedavg(rate), fedavgm(rate, decays.0), adam] {
            let mut master = Master::of(&start);
            for (delta, samples) in &rounds {
                let mut sum = Sum::new(4);
                sum.fold(delta, *samples);
                advance(strategy, &mut master, &sum, &layout);
                prop_assert_eq!(layout.first_out_of_range(&publish(&master, &layout)), None);
                prop_assert!(master.values().iter().all(|value| (-3.0..=3.0).contains(value)));
                // Going on from what was stored is going on.
                let stored = Master::decode(&master.encode(), 4, strategy);
                prop_assert_eq!(stored.as_ref(), Some(&master));
            }
        }
    }
}
