//! What the demo trains on: the model to begin with, the plan, the nodes' data, and the samples to test on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use federation::Artifact;
use serde_json::{Value, json};
use tasks::navigation::plan::{FLEET, RECORDINGS};
use tasks::{Sample, aer};
use thiserror::Error;

use super::fleet::NodeSpec;
use crate::task::Recipe;
use crate::task::navigation::{node_seed, recipe, unseen};

/// Milliseconds a round waits for its last node before it goes on with the quorum.
const DEADLINE_MS: u64 = 60_000;

/// Everything the demo needs to know about its task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Its name, and the model's.
    pub(super) name: &'static str,
    /// Version 1.
    pub(super) artifact: Artifact,
    /// The plan, as `POST /v1/runs` takes it.
    pub(super) plan: Value,
    /// How many versions it publishes.
    pub(super) rounds: u32,
    /// The nodes.
    pub(super) nodes: Vec<NodeSpec>,
    /// Samples that no node trains on.
    pub(super) test: Arc<[Sample]>,
}

/// Why the task cannot be set up.
#[derive(Debug, Error)]
pub enum TaskError {
    /// `--data` is not understood.
    #[error("--data `{got}` is not `navigation` or `reckon:DIR`")]
    Source {
        /// What was given.
        got: String,
    },
    /// A file of recordings cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of recordings is not what it should be.
    #[error("{path}: {source}")]
    Recording {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: aer::AerError,
    },
    /// There are fewer recordings than nodes.
    #[error("{path} has {samples} samples, not enough for {nodes} nodes")]
    TooFew {
        /// Which file.
        path: PathBuf,
        /// What it has.
        samples: usize,
        /// How many nodes there are.
        nodes: u32,
    },
}

impl TaskError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source { .. } => "data_unknown",
            Self::Read { .. } => "data_unreadable",
            Self::Recording { source, .. } => source.code(),
            Self::TooFew { .. } => "data_too_few_samples",
        }
    }
}

/// The navigation network as it is before learning: the chip's configuration, seeded weights.
#[must_use]
pub fn navigation_artifact(seed: u64) -> Artifact {
    let network = recipe(&FLEET).artifact(seed);
    network.expect("the task's own configuration fits its own weights")
}

impl Task {
    /// Sets the task up: `data` as on the command line.
    ///
    /// # Errors
    /// [`TaskError`] when there is no such data.
    pub(super) fn new(
        data: &str,
        seed: u64,
        nodes: u32,
        rounds: Option<u32>,
    ) -> Result<Self, TaskError> {
        let (plan, specs, test): (_, _, Arc<[Sample]>) = if data == "navigation" {
            let spec = |node: u32| format!("navigation:seed={}", node_seed(seed, node));
            (&FLEET, specs(nodes, spec), unseen(seed))
        } else if let Some(dir) = data.strip_prefix("reckon:") {
            let train = Path::new(dir).join("dataset_cueAcc_train.dat");
            let samples = read(&train)?.len();
            if samples < usize::try_from(nodes).unwrap_or(usize::MAX) {
                return Err(TaskError::TooFew { path: train, samples, nodes });
            }
            let spec = |node: u32| format!("aer:{},part={}/{nodes}", train.display(), node - 1);
            let test = read(&Path::new(dir).join("dataset_cueAcc_test.dat"))?;
            (&RECORDINGS, specs(nodes, spec), Arc::from(test))
        } else {
            return Err(TaskError::Source { got: data.to_owned() });
        };
        let recipe = recipe(plan);
        let rounds = rounds.unwrap_or(recipe.rounds);
        Ok(Self {
            name: "navigation",
            artifact: navigation_artifact(seed),
            plan: planned(&recipe, &specs, rounds, seed),
            rounds,
            nodes: specs,
            test,
        })
    }
}

fn read(path: &Path) -> Result<Vec<Sample>, TaskError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
    aer::parse(aer::Format::RECKON_CUE, &text)
        .map_err(|source| TaskError::Recording { path: path.to_owned(), source })
}

fn specs(nodes: u32, data: impl Fn(u32) -> String) -> Vec<NodeSpec> {
    (1..=nodes).map(|node| NodeSpec { name: format!("node-{node:03}"), data: data(node) }).collect()
}

/// The plan: every node takes part in every round; a round goes on without a third of them rather than not at all.
fn planned(recipe: &Recipe, nodes: &[NodeSpec], rounds: u32, seed: u64) -> Value {
    let names: Vec<_> = nodes.iter().map(|node| &node.name).collect();
    let quorum = (names.len() * 2).div_ceil(3);
    let cohort = json!({
        "select": {"fleet": "demo"},
        "goal": names.len(),
        "quorum": quorum,
        "deadline_ms": DEADLINE_MS,
        "nodes": names,
    });
    let mut plan = recipe.plan(cohort, seed);
    plan["rounds"] = rounds.into();
    plan["local"]["evaluate_samples"] = recipe.evaluate.into();
    plan["reproducible"] = true.into();
    plan
}
