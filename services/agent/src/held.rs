//! Which version a node holds, as its channel says: one small file, replaced as a whole.
//!
//! It is written once the version is in the cache and was tried. Lost or damaged, the node is told again what to hold.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use federation::{Digest, Holding};
use tracing::warn;

use crate::files::Slot;

/// The file in the state directory.
pub const FILE: &str = "held";

/// The first line of the file.
const FORMAT: &str = "muster-held/1";

/// Most bytes that are read: many times what is written.
const BYTES_MAX: u64 = 1 << 10;

/// What a node holds.
#[derive(Debug)]
pub struct Held {
    slot: Slot,
    holding: Option<Holding>,
}

impl Held {
    /// What the node with the state directory `state` holds.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        let path = state.join(FILE);
        let holding = match read(&path) {
            Ok(text) => {
                let holding = parse(&text);
                if holding.is_none() {
                    warn!(path = %path.display(), code = "held_unreadable", "it is not known which version this node holds; it asks anew");
                }
                holding
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(path = %path.display(), code = "held_unreadable", %error, "it is not known which version this node holds; it asks anew");
                None
            }
        };
        Self { slot: Slot::File(path), holding }
    }

    /// Nothing yet, and known to the process alone.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { slot: Slot::Memory, holding: None }
    }

    /// The version, if there is one.
    #[must_use]
    pub fn holding(&self) -> Option<Holding> {
        self.holding
    }

    /// Notes that the node holds another version now.
    ///
    /// # Errors
    /// Whatever the operating system says; then nothing has changed.
    pub fn keep(&mut self, holding: Holding) -> io::Result<()> {
        let Holding { digest, promotion } = holding;
        let text = || format!("{FORMAT}\ndigest={digest}\npromotion={promotion}\n").into_bytes();
        self.slot.keep(text)?;
        self.holding = Some(holding);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Option<Holding> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let format = lines.next()?;
    let digest = lines.next()?.strip_prefix("digest=")?.parse::<Digest>().ok()?;
    let promotion = lines.next()?.strip_prefix("promotion=")?.parse().ok()?;
    (format == FORMAT && lines.next().is_none()).then_some(Holding { digest, promotion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = Held::open(dir.path());
        assert_eq!(held.holding(), None);
        let first = Holding { digest: Digest::of(b"first"), promotion: 3 };
        held.keep(first).unwrap();
        assert_eq!((held.holding(), Held::open(dir.path()).holding()), (Some(first), Some(first)));
        let lower = Holding { digest: Digest::of(b"second"), promotion: 2 };
        held.keep(lower).unwrap();
        assert_eq!(Held::open(dir.path()).holding(), Some(lower));
    }

    #[test]
    fn a_damaged_file_is_no_version() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"first");
        let good = format!("{FORMAT}\ndigest={digest}\npromotion=3\n");
        fs::write(dir.path().join(FILE), &good).unwrap();
        assert!(Held::open(dir.path()).holding().is_some());
        for bad in [
            String::new(),
            good[..good.len() - 1].to_owned(),
            good.replace("/1", "/2"),
            good.replace("digest=", "digest= "),
            good.replace('3', ""),
            format!("{good}more\n"),
        ] {
            fs::write(dir.path().join(FILE), &bad).unwrap();
            assert_eq!(Held::open(dir.path()).holding(), None, "{bad:?}");
        }
        fs::write(dir.path().join(FILE), [0xff; 2_000]).unwrap();
        assert_eq!(Held::open(dir.path()).holding(), None);
        fs::remove_file(dir.path().join(FILE)).unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert_eq!(Held::open(dir.path()).holding(), None);
    }
}
