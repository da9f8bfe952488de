//! Files that survive power loss: replaced as a whole or not at all; the lock on a state directory; and the place where
//! one thing is kept, a file on a device and nothing but memory in a simulation.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::AgentError;

/// Writes `bytes` to `path`, readable by the owner only. After a crash the file is the old one or the new one.
///
/// The bytes go to a temporary file beside it, which is synced, renamed over the old one, and the directory synced.
/// Not for two writers at once; [`StateDir`] sees to it that there is one.
///
/// # Errors
/// Whatever the operating system says; the old file is then still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    // One that a crash left behind goes first: an old file would keep its old mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes a removal or a renaming of `path` durable.
///
/// # Errors
/// Whatever the operating system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Where one of the things that a node must not forget is kept. Everything but the writing is the same for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// In this file, which is replaced as a whole.
    File(PathBuf),
    /// Where the node itself is: in memory. For virtual nodes, whose power never fails unless their world says so.
    Memory,
}

impl Slot {
    /// Keeps what `bytes` gives in place of what was kept before.
    ///
    /// # Errors
    /// As [`write_atomic`]; memory has none.
    pub fn keep(&self, bytes: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        match self {
            Self::File(path) => write_atomic(path, &bytes()),
            Self::Memory => Ok(()),
        }
    }
}

/// The name under which `path` is written before it is renamed.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// A node's state directory, held by this process alone for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Holds the lock, which ends with the process however that ends.
    _lock: File,
}

impl StateDir {
    /// Makes the directory if there is none and locks it.
    ///
    /// # Errors
    /// `state_dir_in_use` when another agent holds it, `state_dir_unusable` when it cannot be made or locked.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let unusable = |source| AgentError::StateDir { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(AgentError::StateDirInUse { path: path.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"old and long").unwrap();
        fs::write(temporary(&path), b"torn by a crash, longer than what comes next").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!temporary(&path).exists());
    }

    #[test]
    fn a_state_dir_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state");
        let first = StateDir::open(&path).unwrap();
        assert_eq!(first.path(), path);
        let error = StateDir::open(&path).unwrap_err();
        assert_eq!(error.code(), "state_dir_in_use");
        assert!(error.to_string().contains("deep/state"), "{error}");
        drop(first);
        StateDir::open(&path).unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        assert_eq!(
            StateDir::open(&dir.path().join("file")).unwrap_err().code(),
            "state_dir_unusable"
        );
    }
}
