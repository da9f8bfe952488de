//! Why a simulation did not end well.

use std::path::PathBuf;

use agent::AgentError;
use agent::learner::{BuildError, LearnError};
use thiserror::Error;

use super::world::WorldError;
use crate::data::DataError;
use crate::demo::{DemoError, FleetError};
use crate::report::ExamineError;
use crate::rest::RestError;
use crate::sweep::{OverrideError, SweepError};

/// Why a simulation did not end well.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// The world cannot be used.
    #[error(transparent)]
    World(#[from] WorldError),
    /// There is no such task, or its recordings are missing or wrong.
    #[error(transparent)]
    Task(#[from] DataError),
    /// A change to the plan leads nowhere.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// A sweep cannot go on.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// What was asked for needs something else to be asked for.
    #[error("{0}")]
    Usage(&'static str),
    /// The task's network does not fit its own chip.
    #[error("the task's network: {0}")]
    Network(#[from] BuildError),
    /// The world needs virtual time.
    #[error(
        "world `{world}` cannot be lived in by real processes, whose time is the machine's: use --mode memory or --mode task"
    )]
    Mode {
        /// Which.
        world: String,
    },
    /// More was asked for than the mode can do.
    #[error("--nodes {nodes}: --mode {mode} takes at most {most}")]
    Nodes {
        /// How many were asked for.
        nodes: u32,
        /// The mode.
        mode: &'static str,
        /// How many it takes.
        most: u32,
    },
    /// A directory or file cannot be read or written.
    #[error("{what} {path}: {source}")]
    File {
        /// What it was for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing to resume.
    #[error("{path}: {why}")]
    NotResumable {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A thread or a port cannot be had.
    #[error("the operating system refuses: {0}")]
    System(std::io::Error),
    /// The coordinator cannot be started.
    #[error("the coordinator: {0}")]
    Coordinator(#[from] coordinator::StartError),
    /// The coordinator gave no good answer.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// A node cannot go on.
    #[error("a virtual node: {0}")]
    Node(#[from] AgentError),
    /// Node processes cannot run.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A version cannot be evaluated.
    #[error(transparent)]
    Evaluation(#[from] DemoError),
    /// A version cannot be looked into.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// Learning without federation, for comparison, failed.
    #[error("learning without federation: {0}")]
    Baseline(#[from] LearnError),
    /// The run failed.
    #[error("the run failed: {0}")]
    Run(String),
    /// Somebody pressed Ctrl-C. What there was by then is in the report.
    #[error("stopped; {}", match resumable {
        Some(dir) => format!(
            "a report of what there is stands in {0}; go on with --resume {0}", dir.display()
        ),
        None => "nothing is kept to go on from without --report DIR".to_owned(),
    })]
    Stopped {
        /// Where it can be resumed from.
        resumable: Option<PathBuf>,
    },
}

impl SimulateError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::World(error) => error.code(),
            Self::Task(error) => error.code(),
            Self::Override(error) => error.code(),
            Self::Sweep(error) => error.code(),
            Self::Usage(_) => "usage",
            Self::Baseline(error) => error.code(),
            Self::Network(_) => "network_invalid",
            Self::Mode { .. } => "world_needs_virtual_time",
            Self::Nodes { .. } => "nodes_too_many",
            Self::File { .. } => "file_unusable",
            Self::NotResumable { .. } => "not_resumable",
            Self::System(_) => "system_refuses",
            Self::Coordinator(error) => error.code(),
            Self::Rest(_) => "coordinator_unreachable",
            Self::Node(error) => error.code(),
            Self::Fleet(FleetError::Start { .. }) => "node_not_started",
            Self::Fleet(FleetError::Failing { .. }) => "node_failing",
            Self::Evaluation(error) => error.code(),
            Self::Examine(error) => error.code(),
            Self::Run(_) => "run_failed",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// What the process should exit with: 130, as shells tell an interruption, the rest as sysexits.h.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Override(_) | Self::Usage(_) | Self::Mode { .. } | Self::Nodes { .. } => 64,
            Self::Sweep(error) => error.exit_code(),
            Self::Task(DataError::Unknown(_)) => 64,
            Self::Task(_) => 66,
            Self::World(WorldError::Unknown { .. } | WorldError::Unreadable { .. })
            | Self::NotResumable { .. } => 66,
            Self::World(_) => 65,
            Self::Coordinator(error) => error.exit_code(),
            Self::Rest(_) => 69,
            Self::System(_) => 71,
            Self::File { .. } => 73,
            Self::Network(_)
            | Self::Node(_)
            | Self::Fleet(_)
            | Self::Evaluation(_)
            | Self::Examine(_)
            | Self::Baseline(_)
            | Self::Run(_) => 70,
            Self::Stopped { .. } => 130,
        }
    }
}
