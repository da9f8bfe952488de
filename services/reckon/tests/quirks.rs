//! Behaviour of the chip that no recording shows, each as SPEC names it.

#![expect(clippy::unwrap_used, reason = "test code")]

mod isas;

use reckon::{Memory, Network, Pair, Params, Pins, Shape};

/// Registers that make the network small, leak-free of chance and ready to learn; later entries
/// replace earlier ones.
const BASE: &[(&str, u32)] = &[
    ("SPI_THR_H_0", 0),
    ("SPI_THR_H_1", 0),
    ("SPI_THR_H_2", 0),
    ("SPI_THR_H_3", 0),
    ("SPI_H_0", 0),
    ("SPI_H_1", 0),
    ("SPI_H_2", 0),
    ("SPI_H_3", 0),
    ("SPI_H_4", 1),
    ("SPI_LR_R_WINP", 0),
    ("SPI_LR_P_WINP", 0),
    ("SPI_LR_R_WREC", 0),
    ("SPI_LR_P_WREC", 0),
    ("SPI_LR_R_WOUT", 0),
    ("SPI_LR_P_WOUT", 0),
    ("SPI_REGUL_F0", 0),
    ("SPI_REGUL_K_INP_R", 0),
    ("SPI_REGUL_K_INP_P", 0),
    ("SPI_REGUL_K_REC_R", 0),
    ("SPI_REGUL_K_REC_P", 0),
];

/// The potential that no neuron reaches.
const NEVER: i16 = i16::MAX;

fn params(shape: Shape, changes: &[(&'static str, u32)], pairs: &[Pair]) -> Params {
    let mut registers = BASE.to_vec();
    registers.push(("SPI_NUM_INP_NEUR", u32::from(shape.inputs) - 1));
    registers.push(("SPI_NUM_REC_NEUR", u32::from(shape.recurrent) - 1));
    registers.push(("SPI_NUM_OUT_NEUR", u32::from(shape.outputs) - 1));
    for change in changes {
        registers.retain(|(name, _)| *name != change.0);
        registers.push(*change);
    }
    Params::parse(registers, pairs.iter().copied()).unwrap()
}

fn pair(pair: u8, threshold: i16) -> Pair {
    Pair { pair, alpha12: 0xFFF, threshold }
}

/// The same test on every path, each time on a network in memory of its own.
fn check(params: &Params, mut test: impl FnMut(&mut Network<'_>)) {
    for isa in isas::isas() {
        let len = Network::memory_len(params.shape());
        // What the memory held before must not matter.
        let (mut weights, mut words) = (vec![77; len.weights], vec![-7; len.words]);
        let memory = Memory { weights: &mut weights, words: &mut words };
        test(&mut Network::new(params, memory).unwrap().with_isa(isa).unwrap());
    }
}

const IDLE: Pins = Pins { target_valid: false, infer_acc: false, last: false };
const LEARN: Pins = Pins { target_valid: true, ..IDLE };
const LAST: Pins = Pins { last: true, ..IDLE };

#[test]
fn target_valid_stands_still_while_learning_is_off() {
    let shape = Shape { inputs: 2, recurrent: 2, outputs: 1 };
    check(&params(shape, &[], &[pair(0, NEVER)]), |network| {
        network.tick(LEARN);
        assert!(network.tick(LEARN).learned && network.target_valid());
        network.tick(LAST);
        assert!(!network.target_valid());

        network.tick(LEARN);
        network.tick(Pins { last: true, ..LEARN });
        assert!(network.target_valid());
        network.set_register("SPI_DO_EPROP", 0).unwrap();
        for pins in [IDLE, IDLE, LAST] {
            assert!(!network.tick(pins).learned);
            assert!(network.target_valid(), "frozen high");
        }
        network.set_register("SPI_DO_EPROP", 7).unwrap();
        network.tick(IDLE);
        assert!(!network.target_valid());
        network.tick(LAST);
        network.set_register("SPI_DO_EPROP", 0).unwrap();
        network.tick(LEARN);
        assert!(!network.target_valid(), "frozen low");
    });
}

/// One recurrent neuron, two inputs: slot 1 has no neuron, but column 1 of the weights is memory
/// all the same.
fn lone_neuron(weight: i8, mut test: impl FnMut(&mut Network<'_>)) {
    let shape = Shape { inputs: 2, recurrent: 1, outputs: 1 };
    let changes = [("SPI_DO_EPROP", 3), ("SPI_REGUL_MODE", 2), ("SPI_REGUL_W", 0)];
    check(&params(shape, &changes, &[pair(0, 5)]), |network| {
        let mut inp = [0; 32];
        inp[1] = weight;
        network.load_padded_weights(&inp, &[0; 16], &[0; 16]).unwrap();
        network.event(0);
        network.tick(IDLE);
        test(network);
    });
}

#[test]
fn an_event_also_writes_the_slot_after_the_last_neuron() {
    lone_neuron(9, |network| {
        assert_eq!(network.slot(0).unwrap().potential, 0);
        assert_eq!(network.slot(1).unwrap().potential, 9);
    });
}

#[test]
fn a_padded_lane_keeps_quiet_rows_from_being_skipped() {
    let drawn_at_tick_2 = |weight| {
        let mut drawn = 0;
        lone_neuron(weight, |network| {
            network.tick(IDLE);
            let report = network.tick(LEARN);
            assert!(report.learned);
            assert_eq!(network.learning(0).unwrap().excess, 0, "the neuron itself is silent");
            assert_eq!(network.learning(1).unwrap().excess > 0, weight >= 5);
            drawn = report.weights_drawn;
        });
        drawn
    };
    // Input 0 has a trace; input 1 and the neuron have none, and are visited only on account of
    // slot 1.
    assert_eq!(drawn_at_tick_2(4), 16);
    assert_eq!(drawn_at_tick_2(5), 3 * 16);
}

#[test]
fn the_supplementary_step_exposes_a_stale_potential() {
    let shape = Shape { inputs: 4, recurrent: 2, outputs: 1 };
    // The input-only pair fires at every step, and its reset by a negative threshold leaves a
    // potential behind.
    check(&params(shape, &[], &[pair(0, NEVER), pair(1, -5)]), |network| {
        network.tick(IDLE);
        network.tick(IDLE);
        let mut left = [0; 2];
        network.tick_with(LAST, &mut |network| {
            left = [2, 3].map(|slot| network.slot(slot).unwrap().potential)
        });
        assert_ne!(left, [0; 2]);
        assert_eq!(network.slot(2).unwrap().potential, 0, "not visible between samples");

        network.event(0);
        network.tick(IDLE);
        assert_eq!(network.slot(3).unwrap().potential, 0, "another slot's event does not show it");
        network.tick(LAST);

        // That step ran on a potential of 0 and left 5.
        network.event(2);
        let report = network.tick(IDLE);
        let slots = [2, 3].map(|slot| network.slot(slot).unwrap());
        assert_eq!(slots.map(|slot| slot.potential), [5, 5]);
        assert_eq!(slots.map(|slot| slot.input_trace), [8, 0]);
        assert_eq!(report.cycles.prop, 4 + 2 + 2);
    });
}

#[test]
fn a_supplementary_step_may_double_the_increment() {
    let shape = Shape { inputs: 4, recurrent: 3, outputs: 1 };
    check(&params(shape, &[], &[pair(0, NEVER), pair(1, NEVER)]), |network| {
        for address in [2, 3, 3] {
            network.event(address);
        }
        network.tick(IDLE);
        assert_eq!([2, 3].map(|slot| network.slot(slot).unwrap().input_trace), [8, 16]);
    });
}

/// Three slots: the last pair is never stepped, so a learning pass finds what the sample before
/// left there.
fn odd_network(changes: &[(&'static str, u32)], mut test: impl FnMut(&mut Network<'_>)) {
    let shape = Shape { inputs: 3, recurrent: 3, outputs: 1 };
    check(&params(shape, changes, &[pair(0, NEVER), pair(1, NEVER)]), |network| {
        let mut inp = [0; 9];
        inp[2 * 3 + 2] = 50;
        network.load_weights(&inp, &[0; 9], &[0; 3]).unwrap();
        network.event(2);
        network.tick(IDLE);
        network.tick(LAST);
        network.tick(IDLE);
        assert_eq!(network.slot(2).unwrap().potential, 0);
        assert_eq!(network.slot(2).unwrap().input_trace, 0);
        test(network);
    });
}

#[test]
fn learning_reads_the_last_pair_raw() {
    let changes =
        [("SPI_THR_H_0", 50), ("SPI_THR_H_1", 50), ("SPI_THR_H_2", 50), ("SPI_THR_H_3", 50)];
    odd_network(&changes, |network| {
        let report = network.tick(LEARN);
        assert_eq!(report.weights_drawn, 16, "the row of input 2");
        assert_eq!([0, 1, 2].map(|column| network.learning(column).unwrap().slope), [0, 0, 1]);
        // Beyond the last pair its word stays in the output register.
        assert_eq!(
            [3, 4, 5, 14].map(|column| network.learning(column).unwrap().slope),
            [0, 1, 0, 1]
        );
        network.event(0);
        network.tick(IDLE);
        let report = network.tick(LEARN);
        assert_eq!(report.weights_drawn, 16, "the row of input 0; the event has cleared the pair");
        assert_eq!(network.learning(2).unwrap().slope, 0);
    });
}

#[test]
fn regularisation_without_target_sees_the_word_that_step_read_last() {
    let changes = [("SPI_REGUL_MODE", 6), ("SPI_REGUL_W", 1), ("SPI_FP_LOC_TINP", 1)];
    odd_network(&changes, |network| {
        let report = network.tick(IDLE);
        assert!(report.learned);
        // Even inputs see the trace of slot 2, odd ones that of slot 3; the recurrent matrix is not
        // regularised.
        assert_eq!(report.weights_drawn, 2 * 16);
        assert_eq!(network.learning(0).unwrap(), network.learning(2).unwrap());
        assert_eq!(network.errors(), &[0; 16]);
    });
}

#[test]
fn traces_wrap_where_the_leak_is_above_one() {
    let shape = Shape { inputs: 2, recurrent: 2, outputs: 1 };
    let changes = [("SPI_FORCE_TRACES", 1), ("SPI_FP_LOC_TINP", 7), ("SPI_ALPHA_CONF_W0", 1)];
    check(&params(shape, &changes, &[pair(0, NEVER)]), |network| {
        let mut expected = 0;
        let mut wrapped = false;
        for tick in 0..12 {
            if tick > 0 {
                let product = (expected * 0x8FFF_u32) >> 15;
                wrapped |= product > 0xFFF;
                expected = product & 0xFFF;
            }
            network.event(1);
            let mut after_step = 0;
            network
                .tick_with(IDLE, &mut |network| after_step = network.slot(1).unwrap().input_trace);
            assert_eq!(u32::from(after_step.cast_unsigned()), expected, "tick {tick}");
            expected = (expected + 1024).min(4095);
        }
        assert!(wrapped);
    });
}

#[test]
fn several_events_of_one_slot_count_once_and_the_last_tick_drops_them() {
    let shape = Shape { inputs: 2, recurrent: 2, outputs: 1 };
    check(&params(shape, &[], &[pair(0, NEVER)]), |network| {
        network.event(1);
        network.event(1);
        let report = network.tick(IDLE);
        assert_eq!(report.synaptic_ops, 2);
        assert_eq!(network.slot(1).unwrap().input_trace, 8);
        network.event(1);
        assert_eq!(network.tick(LAST).synaptic_ops, 0);
        assert_eq!(network.tick(IDLE).synaptic_ops, 0);
        network.tick(LAST);
        network.event(1);
        network.tick(LAST);
        assert!(!network.running(), "SAMPLE was low: nothing started");
        assert_eq!(network.tick(IDLE).synaptic_ops, 0);
    });
}

#[test]
fn registers_are_written_between_samples_and_never_change_the_shape() {
    let shape = Shape { inputs: 2, recurrent: 2, outputs: 1 };
    check(&params(shape, &[], &[pair(0, NEVER)]), |network| {
        let refused = |network: &mut Network<'_>, name, value| {
            network.set_register(name, value).unwrap_err().code()
        };
        assert_eq!(refused(network, "SPI_NUM_REC_NEUR", 1), "fixed");
        assert_eq!(refused(network, "SPI_SEED", 1), "unknown_register");
        assert_eq!(refused(network, "SPI_SEED_OUT", 1 << 22), "out_of_range");
        network.tick(IDLE);
        assert_eq!(refused(network, "SPI_DO_EPROP", 0), "busy");
        network.tick(LAST);
        for (name, value) in network.generators().seeds() {
            network.set_register(name, value ^ 1).unwrap();
            let now = network.generators().seeds();
            assert!(now.contains(&(name, value ^ 1)));
            network.set_register(name, value).unwrap();
        }
    });
}

#[test]
fn memory_that_is_too_small_is_refused() {
    let params = params(Shape { inputs: 40, recurrent: 100, outputs: 2 }, &[], &[]);
    let len = Network::memory_len(params.shape());
    assert!(len.bytes() < 64 << 10);
    let most = Network::memory_len(Shape { inputs: 256, recurrent: 256, outputs: 16 });
    assert!(most.bytes() < 256 << 10);
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let short = Memory { weights: &mut weights, words: &mut words[1..] };
    let error = Network::new(&params, short).unwrap_err();
    assert_eq!((error.slice, error.needed, error.got), ("words", len.words, len.words - 1));
    let short = Memory { weights: &mut weights[1..], words: &mut words };
    assert_eq!(Network::new(&params, short).unwrap_err().slice, "weights");
}
