//! What a simulation leaves in its report's directory until it is over: enough to go on after a stop.
//!
//! ```text
//! state/simulation.json   the command line, the world's text, the run, the world's time
//! state/coordinator/      the coordinator's data directory
//! state/nodes             of memory and task mode: what nodes must not forget (u32 index, u32 length, journal)*
//! state/nodes/            of process mode: the nodes' own directories
//! ```
//!
//! The first file is written when the run begins, the rest when the simulation stops in order. After a crash a virtual node
//! begins with an empty journal, as a device does that lost its disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::{Args, SimulateError};

/// The directory within the report's.
const DIR: &str = "state";
const SIMULATION: &str = "simulation.json";
const NODES: &str = "nodes";

/// Where a simulation keeps what it needs while it runs.
#[derive(Debug)]
pub(crate) enum Home {
    /// Until the process ends.
    Passing(TempDir),
    /// Until the simulation is over.
    Kept(PathBuf),
}

/// What `simulation.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// The command line.
    pub(crate) args: Args,
    /// The world's name.
    pub(crate) world: String,
    /// The world's text: its file may have changed.
    pub(crate) toml: String,
    /// The run's number.
    pub(crate) run: u64,
    /// Microseconds of the world's time so far.
    pub(crate) now_us: u64,
}

impl Home {
    /// One for a simulation whose report goes to `report`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(report: Option<&Path>) -> io::Result<Self> {
        match report {
            None => {
                Ok(Self::Passing(tempfile::Builder::new().prefix("muster-simulate-").tempdir()?))
            }
            Some(report) => {
                let dir = report.join(DIR);
                // Of an earlier simulation with the same report.
                if dir.exists() {
                    fs::remove_dir_all(&dir)?;
                }
                fs::create_dir_all(&dir)?;
                Ok(Self::Kept(dir))
            }
        }
    }

    /// The one that a stopped simulation left in `report`, and what it saved.
    ///
    /// # Errors
    /// `not_resumable` when there is none.
    pub(crate) fn find(report: &Path) -> Result<(Self, Saved), SimulateError> {
        let dir = report.join(DIR);
        let path = dir.join(SIMULATION);
        let none = |why: String| SimulateError::NotResumable { path: path.clone(), why };
        let text = fs::read_to_string(&path).map_err(|error| none(error.to_string()))?;
        let saved = serde_json::from_str(&text).map_err(|error| none(error.to_string()))?;
        Ok((Self::Kept(dir), saved))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Passing(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    /// Notes how far the simulation is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        let text = serde_json::to_string_pretty(saved).map_err(io::Error::other)?;
        agent::files::write_atomic(&self.path().join(SIMULATION), text.as_bytes())
    }

    /// Keeps what virtual nodes must not forget.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&self, memories: impl Iterator<Item = (usize, Vec<u8>)>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (index, memory) in memories {
            for number in [index, memory.len()] {
                let number = u32::try_from(number).map_err(io::Error::other)?;
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(&memory);
        }
        agent::files::write_atomic(&self.path().join(NODES), &bytes)
    }

    /// What virtual nodes kept; nothing after a crash.
    ///
    /// # Errors
    /// When the file is cut or cannot be read.
    pub(crate) fn memories(&self) -> io::Result<Vec<(usize, Vec<u8>)>> {
        let bytes = match fs::read(self.path().join(NODES)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let (mut rest, mut all) = (bytes.as_slice(), Vec::new());
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let number = |rest: &mut &[u8]| {
            let (number, tail) = rest.split_first_chunk::<4>()?;
            *rest = tail;
            usize::try_from(u32::from_le_bytes(*number)).ok()
        };
        while !rest.is_empty() {
            let index = number(&mut rest).ok_or_else(cut)?;
            let length = number(&mut rest).ok_or_else(cut)?;
            let (memory, tail) = rest.split_at_checked(length).ok_or_else(cut)?;
            rest = tail;
            all.push((index, memory.to_vec()));
        }
        Ok(all)
    }

    /// Drops all of it: the simulation is over.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match self {
            Self::Passing(_) => Ok(()),
            Self::Kept(dir) => fs::remove_dir_all(dir),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_keep_is_there_again() {
        let home = Home::make(None).unwrap();
        assert!(home.memories().unwrap().is_empty());
        let kept = vec![(3, b"three".to_vec()), (99_999, Vec::new())];
        home.keep(kept.clone().into_iter()).unwrap();
        assert_eq!(home.memories().unwrap(), kept);
        let file = home.path().join(NODES);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(home.memories().is_err());
    }

    #[test]
    fn a_stopped_simulation_is_found_and_a_new_one_replaces_it() {
        let report = tempfile::tempdir().unwrap();
        let error = Home::find(report.path()).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("not_resumable", 66));
        let home = Home::make(Some(report.path())).unwrap();
        let saved = Saved {
            args: Args { rounds: Some(3), ..Args::default() },
            world: "calm".to_owned(),
            toml: String::new(),
            run: 1,
            now_us: 5,
        };
        home.save(&saved).unwrap();
        assert_eq!(Home::find(report.path()).unwrap().1, saved);
        Home::make(Some(report.path())).unwrap();
        assert!(Home::find(report.path()).is_err());
    }
}
