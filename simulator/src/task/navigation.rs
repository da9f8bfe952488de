//! navigation: generated, so that a node's samples are a stream from its own seed.

use std::path::Path;
use std::sync::Arc;

use federation::ScheduleStep;
use tasks::navigation::plan::{FLEET, ONE_CLASS, Plan, RECORDINGS, Step};
use tasks::navigation::{self, Stream, chip};
use tasks::random::derive;
use tasks::{Sample, aer};

use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, Place};

/// Samples that no node trains on.
const TEST_SAMPLES: u64 = 300;
/// What the fleet's seed is drawn for.
const NODES: u64 = 2;
const TEST: u64 = 3;

/// The task of a fleet with this seed: the seed chooses the test samples.
#[must_use]
pub fn navigation(seed: u64) -> Task {
    task(&FLEET, Pool::Generated, unseen(seed))
}

/// The samples on which a fleet with this seed is tested.
pub(crate) fn unseen(seed: u64) -> Arc<[Sample]> {
    let test = Stream::new(derive(seed, &[TEST]));
    (0..TEST_SAMPLES).map(|index| test.sample(index)).collect()
}

/// The recordings that come with the chip, in `dir`: 50 to learn from, 50 to test on.
///
/// # Errors
/// [`DataError`] when a file is missing or wrong.
pub fn recorded_cues(dir: &Path) -> Result<Task, DataError> {
    let read = |part: &str| -> Result<Vec<Sample>, DataError> {
        let path = dir.join(format!("dataset_cueAcc_{part}.dat"));
        let text = std::fs::read_to_string(&path).map_err(DataError::unreadable(&path))?;
        aer::parse(aer::Format::RECKON_CUE, &text)
            .map_err(|error| DataError::malformed(&path, Place::Line(error.line), error.problem))
    };
    let item = |sample| Item { sample: Arc::new(sample), subject: 0 };
    let pool = Pool::Recorded(read("train")?.into_iter().map(item).collect());
    Ok(task(&RECORDINGS, pool, read("test")?.into()))
}

fn task(plan: &Plan, pool: Pool, test: Arc<[Sample]>) -> Task {
    Task {
        name: "navigation".to_owned(),
        pool,
        test,
        channels: navigation::CHANNELS.into(),
        classes: navigation::CLASSES,
        subjects: Vec::new(),
        step_us: navigation::STEP_US,
        recipe: recipe(plan),
    }
}

impl Task {
    /// The same task for nodes that have samples of one class each: with the plan that such a fleet needs, where there is one.
    #[must_use]
    pub fn of_one_class_each(self) -> Self {
        match self.pool {
            Pool::Generated => Self { recipe: recipe(&ONE_CLASS), ..self },
            Pool::Recorded(_) => self,
        }
    }
}

/// The chip's own network, learned by this plan.
#[must_use]
pub fn recipe(plan: &Plan) -> Recipe {
    Recipe {
        registers: chip::config_text(),
        neurons: chip::neurons_text(),
        initial: Initial::Navigation,
        rounds: plan.rounds,
        samples: plan.samples,
        epochs: plan.epochs,
        server_learning_rate: plan.server_learning_rate,
        schedule: plan.schedule.iter().map(schedule_step).collect(),
        evaluate: 1,
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
        // Both are one now; what it is, all reports and digests since the first demo rest on.
        let digest = federation::Digest::of(&navigation_artifact(1).encode()).to_string();
        assert!(digest.starts_with("de5666361671"), "{digest}");
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
