//! A copy put where a coordinator's database is, or was.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use federation::Clock;
use serde::Serialize;

use super::{
    CareError, Checked, Scratch, beside, check, copy, database, sync_directory, unwritable,
};
use crate::audit::Verification;
use crate::start;
use crate::store::{self, Contents, Sql};

/// A database that was put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Where it is.
    pub database: PathBuf,
    /// The schema of what it is a copy of; it has this program's now.
    pub schema_before: i64,
    /// Where the database is kept whose place it took.
    pub replaced: Option<PathBuf>,
    /// What is in it.
    #[serde(flatten)]
    pub contents: Contents,
    /// What its audit log is worth.
    pub audit: Option<Verification>,
}

/// Puts a copy of `file` into `data_dir`, as its database. Nothing is in place before the copy was checked and synced.
///
/// New runs and events will have numbers beyond those that the lost database may have given. The rest of what it did
/// since the copy is unknown from now on, and nodes that hold receipts of it are told so.
///
/// # Errors
/// [`CareError`]: `data_dir_in_use` while a coordinator runs on it, `database_exists` unless it is to be replaced, and
/// whatever is wrong with `file`. Then the directory's database is as it was.
pub async fn restore(
    file: &Path,
    data_dir: &Path,
    replace: bool,
    clock: &dyn Clock,
    mut tell: impl FnMut(&str),
) -> Result<Restored, CareError> {
    let source = fs::metadata(file).ok().filter(fs::Metadata::is_file);
    let about =
        source.ok_or_else(|| crate::audit::AuditError::Missing { file: file.to_owned() })?;
    let _lock = start::take_data_dir(data_dir)?;
    let database = database(data_dir);
    if database.exists() && !replace {
        return Err(CareError::DatabaseExists { file: database });
    }
    let fresh = beside(&database, ".restoring");
    let failed = |error: io::Error| unwritable(&fresh, &error);
    let unfinished = Scratch(fresh.clone());
    // What an interrupted one left; the lock says that nobody is at it.
    unfinished.remove().map_err(failed)?;
    let copied =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    tell(&format!("copying {}, {} MiB", file.display(), about.len() >> 20));
    let schema_before = copy(file, &fresh).await?;
    let size = copied.metadata().map_err(failed)?.len();
    tell(&format!("checking the copy, {} MiB", size >> 20));
    // As it came, and again as it will be.
    check(file, &fresh).await?;
    let store = start::open_store_file(&fresh, 0, &Sql::Awaited).await?;
    let set_apart = store.set_apart(clock.wall()).await;
    store.close().await;
    set_apart.map_err(|error| unwritable(&fresh, &error))?;
    let Checked { contents, audit } = check(file, &fresh).await?;
    File::open(&fresh).and_then(|copied| copied.sync_all()).map_err(failed)?;
    let replaced = if database.exists() { Some(put_aside(&database).await?) } else { None };
    fs::rename(&fresh, &database).map_err(|error| unwritable(&database, &error))?;
    drop(unfinished);
    sync_directory(&database).map_err(|error| unwritable(&database, &error))?;
    Ok(Restored { database, schema_before, replaced, contents, audit })
}

/// Gives a database a second name, under which it stays. Its own name is free to be taken: no log of its is left there,
/// which SQLite would add to whatever comes to stand beside it.
async fn put_aside(database: &Path) -> Result<PathBuf, CareError> {
    if let Err(error) = store::take_in_log(database).await {
        // It may be damaged: most likely that is why it is replaced. Its log goes with it, then.
        tracing::warn!(%error, "move the write-ahead log of the replaced database into it");
    }
    let names = (1_u32..).map(|number| beside(database, &format!(".replaced-{number}")));
    let mut free = names.filter(|name| name.symlink_metadata().is_err());
    let kept = free.next().expect("there are fewer files than numbers");
    let failed = |error: io::Error| unwritable(&kept, &error);
    fs::hard_link(database, &kept)
        .or_else(|_| fs::copy(database, &kept).map(|_| ()))
        .map_err(failed)?;
    for more in ["-wal", "-shm"] {
        let log = beside(database, more);
        if log.exists() {
            fs::rename(&log, beside(&kept, more)).map_err(failed)?;
        }
    }
    sync_directory(database).map_err(failed)?;
    Ok(kept)
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, replaced, contents, audit, .. } = self;
        let Contents { models, versions, runs, nodes, receipts } = contents;
        writeln!(f, "{}: restored.", database.display())?;
        if let Some(replaced) = replaced {
            writeln!(f, "The database that was there is kept as {}.", replaced.display())?;
        }
        writeln!(
            f,
            "Models: {models}, versions: {versions}, runs: {runs}, nodes: {nodes}, updates with a receipt: {receipts}."
        )?;
        if let Some(audit) = audit {
            writeln!(f, "Audit log: {audit}")?;
        }
        f.write_str(
            "What was done after the backup was made is unknown to it: revoke again what was revoked since.",
        )
    }
}
