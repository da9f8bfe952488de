//! Why data cannot be used, and where it went wrong.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A byte, counted from 0.
    Byte(u64),
    /// A line, counted from 1.
    Line(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Byte(byte) => write!(f, ", byte {byte}"),
            Self::Line(line) => write!(f, ", line {line}"),
        }
    }
}

/// Why data cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}{place}: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Something that belongs to the data set is not there.
    #[error("{}: {what}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// The words on the command line name no data.
    #[error("{0}")]
    Unknown(String),
}

impl DataError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "data_unreadable",
            Self::Malformed { .. } => "data_malformed",
            Self::Missing { .. } => "data_missing",
            Self::Unknown(_) => "data_unknown",
        }
    }

    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Unreadable { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, place: Place, what: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), place, what: what.to_string() }
    }

    pub(crate) fn missing(path: &Path, what: impl fmt::Display) -> Self {
        Self::Missing { path: path.to_owned(), what: what.to_string() }
    }
}
