//! The embedded configuration is the chip's own, and the chip runs with it on what the crate generates.

mod support;

use reckon::{Memory, Network, Params};
use tasks::navigation::{Stream, Weights, chip, initial_weights, plan};

#[test]
fn the_configuration_is_that_of_the_test_bench() {
    let test = "the_configuration_is_that_of_the_test_bench";
    let Some(config) = support::shared(test, "reckon/golden/cue_default/config.txt") else {
        return;
    };
    let Some(neurons) = support::shared(test, "reckon/golden/cue_default/neurons.csv") else {
        return;
    };
    assert_eq!(chip::config_text(), config);
    assert_eq!(chip::neurons_text(), neurons);
    assert_eq!(chip::params(), Params::parse_text(&config, &neurons).unwrap());
}

#[test]
fn texts_and_table_say_the_same() {
    let texts = Params::parse_text(&chip::config_text(), &chip::neurons_text()).unwrap();
    assert_eq!(chip::params(), texts);
}

#[test]
fn the_chip_votes_on_a_sample_and_learns_from_it() {
    let params = chip::params();
    let len = Network::memory_len(params.shape());
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let mut network = Network::new(&params, memory).unwrap();
    let initial = initial_weights(1);
    network.load_weights(&initial.input, &initial.recurrent, &initial.output).unwrap();

    let sample = Stream::new(1).sample(0);
    network.set_register("SPI_DO_EPROP", chip::DO_EPROP_TEST).unwrap();
    let report = network.run(&sample.as_sample());
    assert!(report.spikes > 0);
    assert_eq!(report.votes.iter().sum::<u16>(), 150, "one vote a step from 2100 ms on");
    assert_eq!(read(&network), initial);

    network.set_register("SPI_DO_EPROP", chip::DO_EPROP_TRAIN).unwrap();
    network.run(&sample.as_sample());
    assert_ne!(read(&network), initial);
}

#[test]
fn the_chip_takes_every_step_of_the_schedules() {
    let mut params = chip::params();
    for plan in [plan::FLEET, plan::RECORDINGS] {
        assert!(plan.schedule.is_sorted_by(|a, b| a.from_round < b.from_round), "rounds ascend");
        for step in plan.schedule {
            assert!((1..=plan.rounds).contains(&step.from_round));
            for (name, value) in step.registers {
                params.set(name, *value).unwrap();
            }
        }
    }
}

fn read(network: &Network<'_>) -> Weights {
    let Weights { mut input, mut recurrent, mut output } = initial_weights(0);
    let read = network.read_weights(&mut input, &mut recurrent, &mut output);
    read.expect("the weights have the lengths of this very network");
    Weights { input, recurrent, output }
}
