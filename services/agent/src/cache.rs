//! Fetched versions on disk, each under its digest, verified whenever it is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use federation::Digest;
use tracing::warn;

use crate::files::{sync_parent, write_atomic};
use crate::limits::CACHE_VERSIONS_MAX;

/// The cache of a node's state directory.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    /// The version that stays however old it is.
    pinned: Option<Digest>,
}

impl Cache {
    /// The cache in `state`, made if there is none.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(state: &Path) -> io::Result<Self> {
        let dir = state.join("cache");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, pinned: None })
    }

    /// The bytes of the version `digest`, if they are here. A file that is damaged is removed and counts as absent.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(cache.path = %path.display(), %error, "a cached version cannot be read; it is fetched again");
                return None;
            }
        };
        let got = Digest::of(&bytes);
        if got == digest {
            return Some(bytes);
        }
        warn!(cache.path = %path.display(), digest.got = %got, "a cached version is damaged; it is fetched again");
        if let Err(error) = fs::remove_file(&path).and_then(|()| sync_parent(&path)) {
            warn!(cache.path = %path.display(), %error, "a damaged version cannot be removed");
        }
        None
    }

    /// Lets the version `digest` stay however old it is, in place of the one before.
    pub fn pin(&mut self, digest: Digest) {
        self.pinned = Some(digest);
    }

    /// Keeps the bytes of a version, which the caller has verified, and forgets the oldest beyond the limit.
    ///
    /// # Errors
    /// Whatever the operating system says. The version is then not cached, nothing worse.
    pub fn put(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        write_atomic(&self.path(digest), bytes)?;
        let mut old: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let pinned = self.pinned.is_some_and(|pinned| entry.path() == self.path(pinned));
            if entry.path() != self.path(digest) && !pinned {
                old.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        old.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in old.into_iter().skip(CACHE_VERSIONS_MAX - 1) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let digest = Digest::of(b"version");
        assert_eq!(cache.get(digest), None);
        cache.put(digest, b"version").unwrap();
        assert_eq!(Cache::open(dir.path()).unwrap().get(digest).unwrap(), b"version");
        for damaged in [b"version!".as_slice(), b"versio", b"Version", b""] {
            fs::write(cache.path(digest), damaged).unwrap();
            assert_eq!(cache.get(digest), None, "{damaged:?}");
            assert!(!cache.path(digest).exists());
        }
    }

    #[test]
    fn the_newest_versions_stay() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let all: Vec<[u8; 1]> = (0..10).map(|i| [i]).collect();
        for bytes in &all {
            cache.put(Digest::of(bytes), bytes).unwrap();
            assert!(cache.get(Digest::of(bytes)).is_some());
        }
        let kept = all.iter().filter(|bytes| cache.get(Digest::of(*bytes)).is_some()).count();
        assert_eq!(kept, CACHE_VERSIONS_MAX);
    }

    #[test]
    fn the_version_held_stays_however_old_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path()).unwrap();
        let all: Vec<[u8; 1]> = (0..10).map(|i| [i]).collect();
        cache.pin(Digest::of(&all[0]));
        for bytes in &all {
            cache.put(Digest::of(bytes), bytes).unwrap();
        }
        let kept = |bytes: &&[u8; 1]| cache.get(Digest::of(*bytes)).is_some();
        assert!(kept(&&all[0]));
        assert_eq!(all.iter().filter(kept).count(), CACHE_VERSIONS_MAX + 1);
    }
}
