//! Fetched versions on disk, each under its digest, verified whenever it is read; or, of virtual nodes, in memory, one
//! copy for all of them.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use federation::{Artifact, ArtifactError, Digest};
use tracing::warn;

use crate::files::{sync_parent, write_atomic};
use crate::limits::CACHE_VERSIONS_MAX;

/// The cache of a node's state directory.
#[derive(Debug)]
pub struct Cache {
    place: Place,
    /// The version that stays however old it is.
    pinned: Option<Digest>,
}

#[derive(Debug)]
enum Place {
    Dir(PathBuf),
    /// What this node would have on its disk, the newest first, is only named.
    Shelf(Arc<Shelf>, [Option<Named>; CACHE_VERSIONS_MAX]),
}

/// The beginning of a digest: enough to tell the few versions of a simulation apart, and small.
type Named = u64;

/// Versions that virtual nodes share.
#[derive(Debug)]
pub struct Shelf {
    versions: Mutex<VecDeque<(Digest, Arc<Artifact>, u64)>>,
    /// Whether a node takes from here what another has fetched, instead of fetching it itself.
    lends: bool,
}

/// A version that a node has, or may have without fetching it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) artifact: Arc<Artifact>,
    /// Bytes that a device would have received for it just now.
    pub(crate) bytes_down: u64,
}

impl Shelf {
    /// An empty shelf. With `lends`, a version is fetched once for all nodes; each counts its bytes all the same, as its
    /// device would.
    #[must_use]
    pub fn new(lends: bool) -> Self {
        Self { versions: Mutex::default(), lends }
    }

    fn find(&self, digest: Digest) -> Option<(Arc<Artifact>, u64)> {
        let versions = self.lock();
        let found = versions.iter().find(|(kept, ..)| *kept == digest);
        found.map(|(_, artifact, bytes)| (Arc::clone(artifact), *bytes))
    }

    fn put(&self, digest: Digest, artifact: &Arc<Artifact>, bytes: u64) {
        let mut versions = self.lock();
        if versions.iter().any(|(kept, ..)| *kept == digest) {
            return;
        }
        versions.push_front((digest, Arc::clone(artifact), bytes));
        versions.truncate(SHELF_VERSIONS_MAX);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Digest, Arc<Artifact>, u64)>> {
        self.versions.lock().expect("no code panics while it holds the versions")
    }
}

fn named(digest: Digest) -> Named {
    let Digest(bytes) = digest;
    let (first, _) = bytes.split_first_chunk().expect("a digest has more than 8 bytes");
    u64::from_le_bytes(*first)
}

impl Cache {
    /// The cache in `state`, made if there is none.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(state: &Path) -> io::Result<Self> {
        let dir = state.join("cache");
        fs::create_dir_all(&dir)?;
        Ok(Self { place: Place::Dir(dir), pinned: None })
    }

    /// A virtual node's, as yet empty.
    #[must_use]
    pub fn shared(shelf: Arc<Shelf>) -> Self {
        Self { place: Place::Shelf(shelf, [None; CACHE_VERSIONS_MAX]), pinned: None }
    }

    /// The version `digest`, if it is here or can be had without fetching it.
    ///
    /// # Errors
    /// When it is here and no artifact.
    pub(crate) fn find(&mut self, digest: Digest) -> Result<Option<Found>, ArtifactError> {
        match &mut self.place {
            Place::Dir(_) => match self.get(digest) {
                Some(bytes) => {
                    let artifact = Arc::new(Artifact::parse(&bytes)?);
                    Ok(Some(Found { artifact, bytes_down: 0 }))
                }
                None => Ok(None),
            },
            Place::Shelf(shelf, own) => {
                let Some((artifact, bytes)) = shelf.find(digest) else { return Ok(None) };
                if own.contains(&Some(named(digest))) {
                    return Ok(Some(Found { artifact, bytes_down: 0 }));
                }
                if !shelf.lends {
                    return Ok(None);
                }
                note(own, digest);
                Ok(Some(Found { artifact, bytes_down: bytes }))
            }
        }
    }

    /// Takes in a version that was fetched. Without the cache the node works as well, only with more to fetch.
    ///
    /// # Errors
    /// When it is no artifact.
    pub(crate) fn take_in(&mut self, digest: Digest, bytes: &[u8]) -> Result<Found, ArtifactError> {
        if let Place::Dir(_) = &self.place
            && let Err(error) = self.put(digest, bytes)
        {
            warn!(%error, code = "cache_unwritable", "a version cannot be cached");
        }
        let bytes_down = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        let artifact = match &self.place {
            Place::Shelf(shelf, _) => match shelf.find(digest) {
                Some((artifact, _)) => artifact,
                None => Arc::new(Artifact::parse(bytes)?),
            },
            Place::Dir(_) => Arc::new(Artifact::parse(bytes)?),
        };
        if let Place::Shelf(shelf, own) = &mut self.place {
            shelf.put(digest, &artifact, bytes_down);
            note(own, digest);
        }
        Ok(Found { artifact, bytes_down })
    }

    /// The bytes of the version `digest`, if they are here. A file that is damaged is removed and counts as absent.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.path(digest)?;
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
        let (Place::Dir(dir), Some(path)) = (&self.place, self.path(digest)) else { return Ok(()) };
        write_atomic(&path, bytes)?;
        let kept = self.pinned.and_then(|pinned| self.path(pinned));
        let mut old: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.path() != path && Some(entry.path()) != kept {
                old.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        old.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in old.into_iter().skip(CACHE_VERSIONS_MAX - 1) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> Option<PathBuf> {
        match &self.place {
            Place::Dir(dir) => Some(dir.join(digest.to_string())),
            Place::Shelf(..) => None,
        }
    }
}

/// A node has this version from now on, in place of the one that it got longest ago.
fn note(own: &mut [Option<Named>; CACHE_VERSIONS_MAX], digest: Digest) {
    own.rotate_right(1);
    own[0] = Some(named(digest));
}

/// Versions on a shelf: those of a few models that learn at a time.
const SHELF_VERSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::artifact;

    #[test]
    fn virtual_nodes_share_a_copy_and_each_counts_its_bytes() {
        let bytes = artifact().encode();
        let digest = Digest::of(&bytes);
        for lends in [true, false] {
            let shelf = Arc::new(Shelf::new(lends));
            let mut first = Cache::shared(Arc::clone(&shelf));
            let mut second = Cache::shared(shelf);
            assert!(first.find(digest).unwrap().is_none());
            let fetched = first.take_in(digest, &bytes).unwrap();
            assert_eq!(fetched.bytes_down, bytes.len() as u64);
            assert_eq!(first.find(digest).unwrap().unwrap().bytes_down, 0);
            let lent = second.find(digest).unwrap();
            assert_eq!(lent.is_some(), lends);
            let had = lent.unwrap_or_else(|| second.take_in(digest, &bytes).unwrap());
            assert_eq!(had.bytes_down, bytes.len() as u64, "as its device would");
            assert!(Arc::ptr_eq(&had.artifact, &fetched.artifact));
            assert_eq!(second.find(digest).unwrap().unwrap().bytes_down, 0);
        }
    }

    #[test]
    fn a_virtual_node_forgets_as_a_device_does() {
        let bytes = artifact().encode();
        let digest = Digest::of(&bytes);
        let mut cache = Cache::shared(Arc::new(Shelf::new(true)));
        cache.take_in(digest, &bytes).unwrap();
        for i in 0..CACHE_VERSIONS_MAX {
            // Of the bytes only the length counts here: the version is on the shelf under its name.
            let other = artifact();
            let mut weights = other.weights().to_vec();
            weights[0] = i8::try_from(i).unwrap() - 100;
            let other = other.with_weights(weights).unwrap().encode();
            cache.take_in(Digest::of(&other), &other).unwrap();
        }
        assert_eq!(cache.find(digest).unwrap().unwrap().bytes_down, bytes.len() as u64);
    }

    #[test]
    fn what_is_read_is_what_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let digest = Digest::of(b"version");
        assert_eq!(cache.get(digest), None);
        cache.put(digest, b"version").unwrap();
        assert_eq!(Cache::open(dir.path()).unwrap().get(digest).unwrap(), b"version");
        for damaged in [b"version!".as_slice(), b"versio", b"Version", b""] {
            let path = cache.path(digest).unwrap();
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(digest), None, "{damaged:?}");
            assert!(!path.exists());
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
