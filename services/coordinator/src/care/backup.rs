//! A copy of the database, made while the coordinator goes on, and checked before it gets its name.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;

use super::{
    CareError, Checked, Scratch, beside, check, copy, database, sync_directory, unwritable,
};
use crate::audit::{AuditError, Verification};
use crate::store::Contents;

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Where it is.
    pub file: PathBuf,
    /// How large it is.
    pub bytes: u64,
    /// The newest migration that its schema has had.
    pub schema: i64,
    /// What is in it.
    #[serde(flatten)]
    pub contents: Contents,
    /// What its audit log is worth; none for an older schema, which has to be upgraded before it can be checked.
    pub audit: Option<Verification>,
}

/// Copies the database in `data_dir` to `to`, which must not exist. A coordinator may run on it and is not held up: every
/// receipt given before this was called is in the copy. `tell` hears how far it is.
///
/// The copy holds what the database holds: secrets only as their hashes, private keys not at all.
///
/// # Errors
/// [`CareError`]; then nothing is left at `to`.
pub async fn backup(
    data_dir: &Path,
    to: &Path,
    mut tell: impl FnMut(&str),
) -> Result<Backup, CareError> {
    let source = database(data_dir);
    let about = fs::metadata(&source).map_err(|_| AuditError::Missing { file: source.clone() })?;
    if to.symlink_metadata().is_ok() {
        return Err(CareError::BackupExists { file: to.to_owned() });
    }
    let partial = beside(to, ".partial");
    let file = take(to, &partial)?;
    let unfinished = Scratch(partial.clone());
    tell(&format!("copying {}, {} MiB", source.display(), about.len() >> 20));
    let schema = copy(&source, &partial).await?;
    let bytes = file.metadata().map_err(|error| unwritable(&partial, &error))?.len();
    tell(&format!("checking the copy, {} MiB", bytes >> 20));
    let Checked { contents, audit } = check(&source, &partial).await?;
    file.sync_all().map_err(|error| unwritable(&partial, &error))?;
    rename(&partial, to)?;
    drop(unfinished);
    sync_directory(to).map_err(|error| unwritable(to, &error))?;
    Ok(Backup { file: to.to_owned(), bytes, schema, contents, audit })
}

/// An empty file for the owner alone, under a name that one backup at a time has.
fn take(to: &Path, partial: &Path) -> Result<File, CareError> {
    let failed = |error| unwritable(partial, &error);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(partial).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(CareError::BackupRunning { file: to.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // One that was just finished has given the file its name since it was opened: then it is no more to be touched.
    let same = |now: Metadata, of: Metadata| (now.dev(), now.ino()) == (of.dev(), of.ino());
    let of = file.metadata().map_err(failed)?;
    if !fs::metadata(partial).is_ok_and(|now| same(now, of)) {
        return Err(CareError::BackupRunning { file: to.to_owned() });
    }
    // What an interrupted one left.
    file.set_len(0).map_err(failed)?;
    Ok(file)
}

/// Gives a finished copy its name, unless that is taken.
fn rename(partial: &Path, to: &Path) -> Result<(), CareError> {
    match renameat_with(CWD, partial, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(CareError::BackupExists { file: to.to_owned() }),
        // A file system that cannot promise it.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => {
            fs::rename(partial, to).map_err(|error| unwritable(to, &error))
        }
        Err(error) => Err(unwritable(to, &error)),
    }
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, bytes, schema, contents, audit } = self;
        let Contents { models, versions, runs, nodes, receipts } = contents;
        writeln!(f, "{}: {bytes} bytes, schema {schema}.", file.display())?;
        writeln!(
            f,
            "Models: {models}, versions: {versions}, runs: {runs}, nodes: {nodes}, updates with a receipt: {receipts}."
        )?;
        match audit {
            Some(audit) => write!(f, "Audit log: {audit}"),
            None => f.write_str("Its schema is an older one: its audit log was not checked."),
        }
    }
}
