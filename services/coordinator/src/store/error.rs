//! What can go wrong in the store, as its callers need to tell it apart.

use federation::invariant::Violation;
use thiserror::Error;

/// Why a transaction was not committed. Its text is for logs, never for clients.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The disk or the database's size limit is full. Nothing was changed.
    #[error("{tx}: storage is full: {source}")]
    Full {
        /// The transaction.
        tx: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// Too much waits for the database. Nothing was changed.
    #[error("{tx}: too many transactions wait")]
    Busy {
        /// The transaction.
        tx: &'static str,
    },
    /// The store is closed. Nothing was changed.
    #[error("{tx}: the store is closed")]
    Closed {
        /// The transaction.
        tx: &'static str,
    },
    /// Anything else. When the commit itself failed, nobody knows whether it happened.
    #[error("{tx}: {fault}")]
    Failed {
        /// The transaction.
        tx: &'static str,
        /// What happened.
        fault: Fault,
    },
}

/// What went wrong inside a transaction.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// SQLite or the driver.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A row holds what was never written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// What is about to be written must never be.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The code panicked; the message is on stderr.
    #[error("the transaction panicked")]
    Panicked,
}

/// A stored value that no writer of ours writes.
#[derive(Debug, Error)]
#[error("stored {column} is not one: {got}")]
pub(crate) struct Corrupt {
    /// Which value, as `table.column`.
    pub(crate) column: &'static str,
    /// What it is, or what is wrong with it.
    pub(crate) got: String,
}

impl Fault {
    /// Whether the file is damaged, or no database, or not ours.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Sql(error) => is_damaged(error),
            Self::Corrupt(_) | Self::Violation(_) => true,
            Self::Panicked => false,
        }
    }
}

impl StoreError {
    /// What must always hold and would not have, if that is why.
    pub(crate) fn violation(&self) -> Option<Violation> {
        match self {
            Self::Failed { fault: Fault::Violation(violation), .. } => Some(*violation),
            Self::Failed { .. } | Self::Full { .. } | Self::Busy { .. } | Self::Closed { .. } => {
                None
            }
        }
    }

    /// Why, in one word, for metrics.
    pub(super) fn why(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Busy { .. } => "busy",
            Self::Closed { .. } => "closed",
            Self::Failed { .. } => "failed",
        }
    }

    /// The error of transaction `tx` with `fault`.
    pub(super) fn of(tx: &'static str, fault: Fault) -> Self {
        match fault {
            Fault::Sql(source) if is_full(&source) => Self::Full { tx, source },
            Fault::Sql(_) | Fault::Corrupt(_) | Fault::Violation(_) | Fault::Panicked => {
                Self::Failed { tx, fault }
            }
        }
    }
}

/// The extended result code of an SQLite error.
pub(super) fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse().ok())
}

/// Whether SQLite found that the file is damaged, or no database.
pub(super) fn is_damaged(error: &sqlx::Error) -> bool {
    const SQLITE_CORRUPT: u32 = 11;
    const SQLITE_NOTADB: u32 = 26;
    code(error).is_some_and(|extended| matches!(extended & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// Whether SQLite could not write for want of room. A file system over quota or over a limit answers a write with an
/// I/O error rather than with "full".
fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: u32 = 13;
    const SQLITE_IOERR_WRITE: u32 = 778;
    const SQLITE_IOERR_SHMSIZE: u32 = 4874;
    matches!(code(error), Some(SQLITE_FULL | SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE))
}
