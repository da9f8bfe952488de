//! What came of a simulation: the report's data, filled from what the coordinator knows, and what only the engine does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use agent::Tally;
use agent::data::Source;
use agent::train::{Bench, Trial};
use bytes::Bytes;
use federation::Artifact;

use super::SimulateError;
use super::crew::Counts;
use super::shares::Share;
use super::stage::Stage;
use super::usage::Usage;
use super::watch::Seen;
use crate::demo::evaluate::Score;
use crate::report::{Data, NodeAccuracy, World};
use crate::rest::Rest;

/// Held-out samples on which nodes' accuracies with the final version are measured, over all nodes.
const NODE_SAMPLES_ALL: usize = 2_500;
/// The same, of one node.
const NODE_SAMPLES: usize = 25;
/// Most nodes whose participation is asked for over REST.
const PARTICIPANTS_MAX: usize = 10_000;

/// A simulation's end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) data: Data,
    pub(crate) figures: Figures,
    /// Versions to look into, the last one last.
    artifacts: BTreeMap<u64, Bytes>,
    /// Why it did not end well; what there is stands in the data all the same.
    pub(crate) failed: Option<SimulateError>,
}

/// What a simulation cost, for benchmarks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Seconds until all nodes were enrolled.
    pub enrol_s: f64,
    /// Seconds from the first question for work to the end of the run.
    pub run_s: f64,
    /// Updates that were sent and answered: each an order, its version, the push and its receipt.
    pub pushes: u64,
    /// Questions for work.
    pub asks: u64,
    /// Seconds of the world's time.
    pub virtual_s: f64,
    /// Memory in use at the end of the run, everything still there; 0 where the system does not tell.
    pub rss_bytes: u64,
    /// The most there was until then.
    pub rss_max_bytes: u64,
    /// CPU seconds of the run on the threads that learn.
    pub learning_s: f64,
    /// CPU seconds of the run on all others: nodes, lines, coordinator, and the testing of versions.
    pub others_s: f64,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) seen: Seen,
    pub(crate) stopped: bool,
    pub(crate) failed: Option<SimulateError>,
    pub(crate) virtual_s: Option<f64>,
    pub(crate) run: u64,
    /// Wall time until all were enrolled.
    pub(crate) enrol_s: f64,
    /// Wall time of the run without enrolment and evaluation.
    pub(crate) run_s: f64,
    /// What the process used at the begin of the run and at its end.
    pub(crate) usage: [Usage; 2],
}

impl Outcome {
    /// Fills the report.
    ///
    /// # Errors
    /// When the coordinator does not answer, or a version is not a network.
    pub(crate) async fn gather(
        stage: &Stage,
        rest: &Rest,
        ending: Ending,
        tallies: &[(usize, Tally, u64)],
        counts: &Counts,
    ) -> Result<Self, SimulateError> {
        let Stage { args, task, world, .. } = stage;
        let Ending { seen, stopped, failed, virtual_s, run, enrol_s, run_s, usage } = ending;
        let [before, after] = usage;
        let mut data = Data {
            command: args.command(),
            seed: args.seed,
            task: task.name.clone(),
            mode: args.mode.as_str().to_owned(),
            nodes: args.nodes.into(),
            world: Some(World { name: world.name.clone(), toml: world.toml.clone() }),
            partial: stopped || failed.is_some(),
            restarts: seen.restarts,
            test_samples: u64::try_from(task.test.len()).unwrap_or(0),
            wall_s: seen.wall_s,
            virtual_s,
            step_us: stage.step_us,
            ..Data::default()
        };
        let few = stage.names.len() <= PARTICIPANTS_MAX;
        let names = stage.names.iter().filter(|_| few).map(federation::NodeId::as_str);
        data.gather(rest, &task.name, run, names).await?;
        // In virtual time a deadline is a draw like any other.
        data.reproducible =
            virtual_s.is_some() || seen.run["reproducible"] == true && seen.restarts == 0;
        for version in &mut data.versions {
            version.accuracy = seen.scores.get(&version.number).map(Score::accuracy);
        }
        let mut evaluated = data.versions.iter().rev().filter_map(|version| version.accuracy);
        data.final_accuracy = evaluated.next().unwrap_or(0.0);
        if virtual_s.is_some() {
            // The run's own end: the engine went on until somebody saw it.
            let closed = data.rounds.iter().filter_map(|round| round.closed_ms).max();
            if let Some(closed_ms) = closed.filter(|_| !data.partial) {
                data.virtual_s = Some(std::time::Duration::from_millis(closed_ms).as_secs_f64());
            }
        }
        let kind = |index: usize| stage.life.device(index).name.clone();
        for (part, &(index, tally, _)) in data.participation.iter_mut().zip(tallies) {
            debug_assert_eq!(part.node, stage.names[index].as_str(), "both are in order");
            part.orders = Some(tally.orders.into());
            part.refused = tally.refused.into();
            part.label = Some(kind(index));
        }
        let figures = Figures {
            enrol_s,
            run_s,
            pushes: counts.pushes.load(Ordering::Relaxed),
            asks: counts.asks.load(Ordering::Relaxed),
            virtual_s: virtual_s.unwrap_or(0.0),
            rss_bytes: after.rss_bytes,
            rss_max_bytes: after.rss_max_bytes,
            learning_s: after.learning_s - before.learning_s,
            others_s: after.others_s - before.others_s,
        };
        let dropouts = counts.dropouts.load(Ordering::Relaxed);
        tracing::info!(?figures, dropouts, "the simulation ends");
        Ok(Self { data, figures, artifacts: seen.artifacts, failed })
    }

    /// Fills what the versions themselves tell, which takes seconds.
    ///
    /// # Errors
    /// When one of them is not a network.
    pub(crate) fn look_into(&mut self, stage: &Stage) -> Result<(), SimulateError> {
        self.data.examine(&self.artifacts, &stage.task.test, crate::cost::CLOCK_MHZ)?;
        self.data.node_accuracies = accuracies(stage, &self.artifacts);
        // What a stopped run reached so far is compared when it has gone on to its end.
        if stage.args.baselines && !self.data.partial {
            let shares = stage.life.shares();
            let nodes: Vec<Source> =
                (0..stage.names.len()).map(|index| shares.source(index)).collect();
            self.data.compare(&self.artifacts, stage.planned.rounds, &nodes, &stage.task.test)?;
        }
        Ok(())
    }
}

/// How nodes would do with the final version on samples of their own that they never learn from: more of their stream, or
/// what they hold out of what they were dealt.
fn accuracies(stage: &Stage, artifacts: &BTreeMap<u64, Bytes>) -> Vec<NodeAccuracy> {
    let last = artifacts.last_key_value();
    let Some(artifact) = last.and_then(|(_, bytes)| Artifact::parse(bytes).ok()) else {
        return Vec::new();
    };
    let samples = (NODE_SAMPLES_ALL / stage.names.len().max(1)).min(NODE_SAMPLES);
    let trial =
        Trial { samples: u32::try_from(samples).unwrap_or(0), registers: BTreeMap::new(), seed: 1 };
    let mut bench = Bench::new();
    let mut all = Vec::new();
    for (index, name) in stage.names.iter().enumerate() {
        let source = stage.life.shares().source(index);
        if source.held_out(trial.samples) == 0 {
            // It has none; or there are so many nodes that each would have less than one.
            continue;
        }
        let Ok(done) = bench.evaluate(&source, &artifact, &trial, &|| false) else { break };
        all.push(NodeAccuracy {
            node: name.as_str().to_owned(),
            correct: done.correct.into(),
            total: done.samples.into(),
            label: match stage.life.shares().of(index) {
                Share::Stream { class: Some(class), .. } => Some(format!("class {class}")),
                _ => Some(stage.life.device(index).name.clone()),
            },
        });
    }
    all
}

/// A sentence or two for people.
pub(crate) fn summary(data: &Data) -> String {
    let time = match data.virtual_s {
        Some(virtual_s) => {
            format!("{:.1} s, {:.0} s of the world's time", data.wall_s, virtual_s)
        }
        None => format!("{:.1} s", data.wall_s),
    };
    let repeats = if data.reproducible {
        format!("repeats bit for bit with {}", data.command)
    } else {
        "not reproducible: a deadline or a restarted process took part".to_owned()
    };
    let (accuracy, samples) = (data.final_accuracy * 100.0, data.test_samples);
    format!("\n{accuracy:.1} % of {samples} unseen samples after {time}\n{repeats}")
}
