//! Files: how many can be open, since each connection is one and the system allows a process only so many; and how a small one is
//! put in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

/// Open files that are kept from nodes: those of our own, the rest for REST.
const RESERVE: u64 = 256;
/// Open files for the database, the listeners and the runtimes: about 30, and some for tools on the database.
const OWN: u64 = 48;
/// A fleet that fewer can reach at once is worth a warning.
const NODES_FEW: u64 = 1_000;

/// Raises the soft limit of open files to the hard one. Only a program does this, before it starts a coordinator.
pub fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "raise the limit of open files");
    }
}

/// Writes a file as a whole, with this mode, in place of the one that may be there. What stands there afterwards, whenever the
/// power fails, is the one or the other.
///
/// # Errors
/// When it cannot be written; the file is then as it was.
pub fn put(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(mode).open(&temporary)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// How many may be connected at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    /// At the door of nodes.
    pub(crate) nodes: usize,
    /// At the door of people and tools.
    pub(crate) people: usize,
}

/// How many may be connected at once, which is also logged.
pub(crate) fn seats() -> Seats {
    let limit = getrlimit(Resource::Nofile).current;
    let (nodes_max, reserve) = fit(limit);
    tracing::info!(nodes_max, reserve, files_max = limit, "so many nodes fit by open files");
    if nodes_max < NODES_FEW {
        tracing::warn!(nodes_max, "few nodes fit: raise the hard limit of open files");
    }
    let seats = |files: u64| {
        usize::try_from(files).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
    };
    // A limit that leaves REST nothing leaves it one all the same: it may fail, and says so.
    Seats { nodes: seats(nodes_max), people: seats(reserve.saturating_sub(OWN).max(1)) }
}

/// Nodes that fit within `limit` open files, and the reserve beside them: half of a small limit.
fn fit(limit: Option<u64>) -> (u64, u64) {
    let limit = limit.unwrap_or(u64::MAX);
    let reserve = RESERVE.min(limit.div_ceil(2));
    (limit - reserve, reserve)
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn nodes_have_what_the_reserve_leaves() {
        assert_eq!(fit(Some(20_000)), (19_744, 256));
        assert_eq!(fit(Some(1_024)), (768, 256));
        assert_eq!(fit(Some(65)), (32, 33));
        assert_eq!(fit(Some(0)), (0, 0));
        assert_eq!(fit(None), (u64::MAX - 256, 256));
    }
}
