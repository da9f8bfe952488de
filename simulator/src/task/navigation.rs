//! navigation: generated, so that a node's samples are a stream from its own seed.

use federation::ScheduleStep;
use tasks::navigation::plan::{FLEET, Step};
use tasks::navigation::{self, Stream, chip};
use tasks::random::derive;

use super::{Initial, Pool, Recipe, Task};

/// Samples that no node trains on.
const TEST_SAMPLES: u64 = 300;
/// What the fleet's seed is drawn for.
const NODES: u64 = 2;
const TEST: u64 = 3;

/// The task of a fleet with this seed: the seed chooses the test samples.
#[must_use]
pub fn navigation(seed: u64) -> Task {
    let test = Stream::new(derive(seed, &[TEST]));
    Task {
        name: "navigation".to_owned(),
        pool: Pool::Generated,
        test: (0..TEST_SAMPLES).map(|index| test.sample(index)).collect(),
        channels: navigation::CHANNELS.into(),
        classes: navigation::CLASSES,
        subjects: Vec::new(),
        recipe: Recipe {
            registers: chip::config_text(),
            neurons: chip::neurons_text(),
            initial: Initial::Navigation,
            rounds: FLEET.rounds,
            samples: FLEET.samples,
            epochs: FLEET.epochs,
            server_learning_rate: FLEET.server_learning_rate,
            schedule: FLEET.schedule.iter().map(schedule_step).collect(),
            evaluate: 1,
        },
    }
}

/// Seed of the stream of node `node`, counted from 1, of a fleet with seed `seed`.
#[must_use]
pub fn node_seed(seed: u64, node: u32) -> u64 {
    derive(seed, &[NODES, node.into()])
}

fn schedule_step(step: &Step) -> ScheduleStep {
    let registers = step.registers.iter().map(|&(name, value)| (name.to_owned(), value));
    ScheduleStep { from_round: step.from_round, registers: registers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::navigation_artifact;

    #[test]
    fn the_model_is_the_demos() {
        assert_eq!(navigation(7).recipe.artifact(7).unwrap(), navigation_artifact(7));
    }

    #[test]
    fn nodes_and_tests_have_streams_of_their_own() {
        let one = Stream::new(node_seed(7, 1)).sample(0);
        assert_ne!(one, Stream::new(node_seed(7, 2)).sample(0));
        let Task { test, .. } = navigation(7);
        assert_eq!(test.len(), 300);
        assert_ne!(test[0], one);
    }
}
