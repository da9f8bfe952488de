//! What ends an agent: each failure with a stable code, an exit code, and a sentence that says what, where and why.
//!
//! What concerns one order or one call does not end the agent and is no [`AgentError`]; see
//! [`LearnError`](crate::LearnError) and [`UplinkError`](crate::uplink::UplinkError).

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigProblem;
use crate::data::DataError;

/// Why an agent cannot start or go on.
#[derive(Debug, Error)]
pub enum AgentError {
    /// One or more settings are wrong; all of them are told.
    #[error("{} of the settings cannot be used:{}", .0.len(), list(.0))]
    Config(Vec<ConfigProblem>),
    /// The data that the node should learn from cannot be used.
    #[error("data: {0}")]
    Data(#[from] DataError),
    /// The state directory cannot be made, locked or written.
    #[error("state directory {}: {source}", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another agent runs on the state directory.
    #[error("state directory {}: another agent is running on it; every node needs its own --state", path.display())]
    StateDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The identity file is not one. A node is known by it, so that it is never replaced silently.
    #[error(
        "identity {}: {bytes} bytes where 32 should be; restore the file, or remove it to become a new node",
        path.display()
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// How many bytes it has.
        bytes: usize,
    },
    /// The credential file is not one. A node is let in by it, so that it is never replaced silently.
    #[error(
        "credential {}: not one; restore the file, or remove it and start with --enrol-token",
        path.display()
    )]
    Credential {
        /// The file.
        path: PathBuf,
    },
    /// The journal was written by another release.
    #[error("journal {}: written in a format this release does not know; run the release that wrote it, or remove it", path.display())]
    JournalFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file of the state directory cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The coordinator will not have the node.
    #[error("the coordinator refuses the node `{node}`: {message} ({code})")]
    Refused {
        /// The node's name.
        node: String,
        /// The coordinator's code.
        code: String,
        /// The coordinator's sentence.
        message: String,
    },
    /// The coordinator wants to know who the node is, and the node has nothing that holds.
    #[error(
        "the coordinator does not let the node `{node}` in: {message} ({code}); ask whoever runs the coordinator for an enrolment token and start with --enrol-token"
    )]
    NotLetIn {
        /// The node's name.
        node: String,
        /// The coordinator's code.
        code: String,
        /// The coordinator's sentence.
        message: String,
    },
    /// The node was revoked.
    #[error(
        "the node `{node}` was revoked: the coordinator answers it nothing any more; to go on as a new node, start with another --state and an enrolment token"
    )]
    Revoked {
        /// The node's name.
        node: String,
    },
    /// The process could not be set up.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
}

impl AgentError {
    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "config_invalid",
            Self::Data(error) => error.code(),
            Self::StateDir { .. } => "state_dir_unusable",
            Self::StateDirInUse { .. } => "state_dir_in_use",
            Self::Identity { .. } => "identity_corrupt",
            Self::Credential { .. } => "credential_corrupt",
            Self::JournalFormat { .. } => "journal_format_unknown",
            Self::File { .. } => "state_file_unreadable",
            Self::Refused { .. } => "enrolment_refused",
            Self::NotLetIn { .. } => "enrolment_token_needed",
            Self::Revoked { .. } => "node_revoked",
            Self::Start(_) => "start_failed",
        }
    }

    /// The process's exit code: 2 for what the user wrote, 3 for what is on disk, 4 for what the coordinator says.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Data(_) => 2,
            Self::StateDir { .. }
            | Self::StateDirInUse { .. }
            | Self::Identity { .. }
            | Self::Credential { .. }
            | Self::JournalFormat { .. }
            | Self::File { .. } => 3,
            Self::Refused { .. } | Self::NotLetIn { .. } | Self::Revoked { .. } => 4,
            Self::Start(_) => 1,
        }
    }
}

fn list(problems: &[ConfigProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
