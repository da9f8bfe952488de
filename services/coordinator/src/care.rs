//! Care of a database: copies that can be relied on, their way back, and what is wrong with a data directory.
//!
//! [`backup()`] copies the database of a running or a stopped coordinator, [`restore()`] puts a copy in place,
//! [`doctor()`] looks and changes nothing, [`ready()`] asks the coordinator itself. `retention` is what a coordinator itself drops as it gets old.

mod backup;
mod certificate;
mod doctor;
mod ready;
mod restore;
pub(crate) mod retention;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::backup::{Backup, backup};
pub use self::doctor::{Check, Diagnosis, Health, doctor};
pub use self::ready::{NotReady, ready};
pub use self::restore::{Restored, restore};
use crate::audit::{self, AuditError, Standing, Verification};
use crate::start::StartError;
pub use crate::store::Contents;
use crate::store::{self, Fault, NotCopied};

/// Why a database was not copied or put in place.
#[derive(Debug, Error)]
pub enum CareError {
    /// What is to be read cannot be, or not by this program.
    #[error(transparent)]
    Source(#[from] AuditError),
    /// The data directory cannot be taken.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is such a file.
    #[error("{}: there is such a file already: choose another name, or move it away", file.display())]
    BackupExists {
        /// The file.
        file: PathBuf,
    },
    /// Somebody else writes it.
    #[error("{}: another backup to this name runs", file.display())]
    BackupRunning {
        /// The file.
        file: PathBuf,
    },
    /// There is a database where one is to be put.
    #[error(
        "{}: there is a database already: `--replace` keeps it under another name and puts the backup in its place",
        file.display()
    )]
    DatabaseExists {
        /// The database.
        file: PathBuf,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {reason}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
    /// The copy is damaged, and so most likely is what it is a copy of.
    #[error(
        "{}: its copy is damaged: {}: no copy was kept; `muster doctor` says more",
        file.display(),
        damages.join("; ")
    )]
    Damaged {
        /// What was copied.
        file: PathBuf,
        /// What is wrong with the copy.
        damages: Vec<String>,
    },
    /// The copy's audit log is broken, and so is that of what it is a copy of.
    #[error(
        "{}: its audit log is broken: {problem}: no copy was kept; `muster audit verify` says more",
        file.display()
    )]
    AuditBroken {
        /// What was copied.
        file: PathBuf,
        /// What is wrong with the log.
        problem: String,
    },
}

impl CareError {
    /// A stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.code(),
            Self::Start(error) => error.code(),
            Self::BackupExists { .. } => "backup_exists",
            Self::BackupRunning { .. } => "backup_running",
            Self::DatabaseExists { .. } => "database_exists",
            Self::Unwritable { .. } => "copy_unwritable",
            Self::Damaged { .. } => "database_damaged",
            Self::AuditBroken { .. } => "audit_broken",
        }
    }

    /// What the process should exit with, as `sysexits.h` numbers them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Source(error) => error.exit_code(),
            Self::Start(error) => error.exit_code(),
            Self::Damaged { .. } | Self::AuditBroken { .. } => 65,
            Self::BackupExists { .. } | Self::DatabaseExists { .. } | Self::Unwritable { .. } => 73,
            Self::BackupRunning { .. } => 75,
        }
    }
}

/// What a copy was found to be.
struct Checked {
    contents: Contents,
    /// `None` when its schema is older than the checks.
    audit: Option<Verification>,
}

/// The database of a data directory.
fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("coordinator.db")
}

/// Copies `file` into the empty file `to`, and says which schema it has.
async fn copy(file: &Path, to: &Path) -> Result<i64, CareError> {
    store::copy(file, to).await.map_err(|error| match error {
        NotCopied::Source(error) => audit::unopened(file, error).into(),
        NotCopied::Read(fault) => audit::unread(file, &fault).into(),
        NotCopied::Written(fault) => unwritable(to, &fault),
        NotCopied::Disturbed => AuditError::Disturbed { file: file.to_owned() }.into(),
    })
}

/// Checks `copy`, which is one of `file`: its pages, its references, and its audit log.
async fn check(file: &Path, copy: &Path) -> Result<Checked, CareError> {
    let read = |fault: Fault| audit::unread(copy, &fault);
    let mut looked = store::look(copy, true).await.map_err(|error| audit::unopened(copy, error))?;
    let damages = looked.damages().await.map_err(read)?;
    if !damages.is_empty() {
        return Err(CareError::Damaged { file: file.to_owned(), damages });
    }
    let contents = looked.contents().await.map_err(read)?;
    let current = looked.schema == looked.known;
    looked.close().await;
    let audit = if current { Some(audit::verify(copy, None).await?) } else { None };
    if let Some(found) = audit.as_ref().filter(|found| found.verdict == Standing::Broken) {
        let problem = found.broken.as_ref().map_or_else(
            || "it does not say where".to_owned(),
            |problem| format!("entry {}: {}", problem.seq, problem.why),
        );
        return Err(CareError::AuditBroken { file: file.to_owned(), problem });
    }
    Ok(Checked { contents, audit })
}

fn unwritable(file: &Path, reason: &dyn std::fmt::Display) -> CareError {
    CareError::Unwritable { file: file.to_owned(), reason: reason.to_string() }
}

/// The directory that a file stands in.
fn directory(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until a file's name is on disk, too.
fn sync_directory(file: &Path) -> io::Result<()> {
    File::open(directory(file))?.sync_all()
}

/// `file` with `more` at the end of its name.
fn beside(file: &Path, more: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// A database that is removed when this is dropped, if it is there by then.
struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) -> io::Result<()> {
        for file in [self.0.clone(), beside(&self.0, "-wal"), beside(&self.0, "-shm")] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(file = %self.0.display(), %error, "remove an unfinished copy");
        }
    }
}
