//! What happened, told from a database file alone: no coordinator is needed, and a running one is not disturbed.
//!
//! [`verify`] checks the audit log's chain and each version against it, [`replay()`] computes versions again, [`export`]
//! writes the log as JSON lines, [`prune`] drops details that retention does not keep.

mod replay;
#[cfg(test)]
mod tests;
mod time;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use federation::audit::Entry;
use federation::{Clock, Timestamp};
use serde_json::json;
use thiserror::Error;

pub use self::replay::{Difference, Outcome, Replay, ReplayedRun, ReplayedVersion, replay};
pub use self::time::{TimeError, parse_time, utc};
pub use self::verify::{Problem, Standing, Verification, Versions, verify};
use crate::start::{self, StartError};
use crate::store::{Fault, Ledger, OpenError, Opened, Sql, StoreError};

/// Entries read at a time.
const PAGE_ENTRIES: u32 = 1_000;

/// Why a database file says nothing.
#[derive(Debug, Error)]
pub enum AuditError {
    /// There is no such file.
    #[error("{}: there is no such file", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// An older Muster wrote it.
    #[error(
        "{}: its schema is version {found}, this program's is {known}: `muster serve` on it, or on a copy, upgrades it",
        file.display()
    )]
    SchemaOlder {
        /// The file.
        file: PathBuf,
        /// The version found.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// A newer Muster wrote it.
    #[error(
        "{}: its schema is version {found}; this program knows up to {known}: install a newer one",
        file.display()
    )]
    SchemaNewer {
        /// The file.
        file: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// It is no database of ours, or holds what was never written.
    #[error("{}: {reason}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Somebody began to write to it while it was read.
    #[error("{}: a coordinator began to write to it meanwhile: try again", file.display())]
    Disturbed {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be written.
    #[error("{}: cannot be written: {reason}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A coordinator runs on it, or it cannot be opened as one opens it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What was found cannot be said.
    #[error("write the output: {0}")]
    Output(#[source] io::Error),
}

impl AuditError {
    /// A stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "database_missing",
            Self::SchemaOlder { .. } => "schema_older",
            Self::SchemaNewer { .. } => "schema_newer",
            Self::Invalid { .. } => "database_invalid",
            Self::Unreadable { .. } => "database_unreadable",
            Self::Disturbed { .. } => "database_disturbed",
            Self::Unwritable { .. } => "database_unwritable",
            Self::Start(error) => error.code(),
            Self::Output(_) => "output_failed",
        }
    }

    /// What the process should exit with, as `sysexits.h` numbers them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SchemaOlder { .. } | Self::SchemaNewer { .. } | Self::Invalid { .. } => 65,
            Self::Missing { .. } => 66,
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Output(_) => 74,
            Self::Disturbed { .. } => 75,
            Self::Start(error) => error.exit_code(),
        }
    }
}

/// Hands each entry of the log to `line`, as one line of JSON, in order. `detail` is the text that `detail_digest` is of.
///
/// # Errors
/// [`AuditError`] when the file cannot be read, or when `line` fails.
pub async fn export(
    file: &Path,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> Result<(), AuditError> {
    let mut ledger = open(file).await?;
    let mut after = 0;
    loop {
        let page = ledger.entries_after(after, PAGE_ENTRIES).await;
        let page = read(file, &ledger, page)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for entry in &page {
            line(&show(entry)).map_err(AuditError::Output)?;
        }
    }
}

/// Drops the details of all entries before the first one of `before` or later, and says how many. That it did so is an
/// entry of its own. No coordinator may run on the file's directory.
///
/// # Errors
/// [`AuditError`] when one does, or when the file cannot be opened or written.
pub async fn prune(file: &Path, before: Timestamp, clock: &dyn Clock) -> Result<u64, AuditError> {
    exists(file)?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let _lock = start::take_data_dir(dir.unwrap_or(Path::new(".")))?;
    let store = start::open_store_file(file, 0, &Sql::Awaited).await?;
    let pruned = store.prune_audit(before, clock.wall()).await;
    store.close().await;
    pruned.map_err(|error: StoreError| AuditError::Unwritable {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

fn show(entry: &Entry) -> String {
    let line = json!({
        "seq": entry.seq,
        "at_ms": entry.at.0,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "detail_digest": entry.detail_digest.to_string(),
        "previous": entry.previous.to_string(),
        "hash": entry.hash.to_string(),
    });
    line.to_string()
}

fn exists(file: &Path) -> Result<(), AuditError> {
    if file.is_file() { Ok(()) } else { Err(AuditError::Missing { file: file.to_owned() }) }
}

async fn open(file: &Path) -> Result<Ledger, AuditError> {
    exists(file)?;
    match Ledger::open(file).await {
        Ok(Opened::Ledger(ledger)) => Ok(ledger),
        Ok(Opened::Older { found, known }) => {
            Err(AuditError::SchemaOlder { file: file.to_owned(), found, known })
        }
        Err(error) => Err(unopened(file, error)),
    }
}

/// A file that could not be opened.
pub(crate) fn unopened(file: &Path, error: OpenError) -> AuditError {
    let owned = file.to_owned();
    match error {
        OpenError::Newer { found, known } => AuditError::SchemaNewer { file: owned, found, known },
        OpenError::Invalid(_) | OpenError::Setting { .. } => {
            AuditError::Invalid { file: owned, reason: error.to_string() }
        }
        OpenError::Unusable(fault) => unread(file, &fault),
    }
}

/// What was read, if the file stood still.
fn read<T>(file: &Path, ledger: &Ledger, outcome: Result<T, Fault>) -> Result<T, AuditError> {
    if !ledger.is_one_state() {
        return Err(AuditError::Disturbed { file: file.to_owned() });
    }
    outcome.map_err(|fault| unread(file, &fault))
}

/// A file that could not be read.
pub(crate) fn unread(file: &Path, fault: &Fault) -> AuditError {
    let (file, reason) = (file.to_owned(), fault.to_string());
    if fault.is_damage() {
        AuditError::Invalid { file, reason }
    } else {
        AuditError::Unreadable { file, reason }
    }
}
