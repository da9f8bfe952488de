//! Every dispatch path against the plain one: the same states after every tick, whatever the program,
//! the events and the weights.

#![expect(clippy::unwrap_used, reason = "test code")]

mod isas;
mod programs;

use proptest::prelude::*;
use reckon::{
    Event, Generators, Isa, LearningRegisters, Memory, Network, Params, Pins, Slot, StepReport,
};

/// Ticks of a sample, and samples of a case.
const TICKS: u32 = 16;
const SAMPLES: u32 = 3;
const CASES: u32 = 256;

// At least 10,000 steps for each path in the ordinary tests.
const _: () = assert!(TICKS * SAMPLES * CASES >= 10_000);

/// What can be seen of a network after a tick.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    report: StepReport,
    generators: Generators,
    slots: Vec<Slot>,
    spikes: Vec<bool>,
    learning: Vec<LearningRegisters>,
    potentials: [i16; 16],
    errors: [i16; 16],
    votes: [u16; 16],
    weights: [Vec<i8>; 3],
}

/// What a case feeds to the chip, but for the program.
#[derive(Debug, Clone)]
struct Drive {
    events: Vec<Event>,
    weights: Vec<i8>,
    target: u32,
    label: u8,
    /// Shift of the addresses, which brings the same events to other slots of the larger shapes.
    stride: u8,
}

fn drive() -> impl Strategy<Value = Drive> {
    let weights = proptest::collection::vec(any::<i8>(), 997);
    (programs::events(), weights, 0..TICKS, any::<u8>(), any::<u8>()).prop_map(
        |(events, weights, target, label, stride)| Drive { events, weights, target, label, stride },
    )
}

fn watch(params: &Params, drive: &Drive, isa: Isa) -> Vec<Seen> {
    let len = Network::memory_len(params.shape());
    // One element more, so that the memory starts off a line of the cache.
    let (mut cells, mut words) = (vec![1; len.weights + 1], vec![2; len.words + 1]);
    let memory = Memory { weights: &mut cells[1..], words: &mut words[1..] };
    let mut network = Network::new(params, memory).unwrap().with_isa(isa).unwrap();
    assert_eq!(network.isa(), isa);
    let lens = network.padded_weights().map(<[i8]>::len);
    let [inp, rec, out] =
        lens.map(|len| drive.weights.iter().copied().cycle().take(len).collect::<Vec<i8>>());
    network.load_padded_weights(&inp, &rec, &out).unwrap();
    for k in 0..16 {
        network.target(k, if k % 2 == 0 { i16::MIN } else { 2000 });
    }
    network.label(drive.label);

    let mut seen = Vec::new();
    for tick in 0..TICKS * SAMPLES {
        let place = tick % TICKS;
        for event in drive.events.iter().filter(|event| event.tick == place) {
            network.event(event.address);
            network.event((event.address % 40).wrapping_mul(drive.stride));
        }
        let pins = Pins {
            target_valid: place >= drive.target,
            infer_acc: place > 3,
            last: place + 1 == TICKS,
        };
        let mut spikes = Vec::new();
        let report = network.tick_with(pins, &mut |network| {
            spikes.extend((0..=u8::MAX).map(|slot| network.spiked(slot)));
        });
        seen.push(look(&network, report, spikes));
    }
    seen
}

fn look(network: &Network<'_>, report: StepReport, spikes: Vec<bool>) -> Seen {
    Seen {
        report,
        generators: network.generators(),
        slots: (0..=u8::MAX).map_while(|slot| network.slot(slot)).collect(),
        spikes,
        learning: (0..=u8::MAX).map_while(|column| network.learning(column)).collect(),
        potentials: *network.potentials(),
        errors: *network.errors(),
        votes: *network.votes(),
        weights: network.padded_weights().map(<[i8]>::to_vec),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_path_does_what_the_plain_one_does(params in programs::program(), drive in drive()) {
        let plain = watch(&params, &drive, Isa::Portable);
        for isa in isas::isas().into_iter().filter(|&isa| isa != Isa::Portable) {
            let fast = watch(&params, &drive, isa);
            for (tick, (fast, plain)) in fast.iter().zip(&plain).enumerate() {
                prop_assert_eq!(fast, plain, "{}, tick {}", isa, tick);
            }
        }
    }
}
