//! Runs in fresh processes. After a crash the order in which tokio drops tasks depends on how many tasks the process had
//! before, so only a run that has a process to itself repeats.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::log::Log;
use crate::scenario::Scenario;
use crate::{oracle, world};

/// The environment variables by which a run is named.
const SEED: &str = "SIM_SEED";
const SCENARIO: &str = "SIM_SCENARIO";
/// Where a run writes its log.
const LOG: &str = "SIM_LOG";

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
}

/// The variable's text, if it is set.
#[expect(
    clippy::disallowed_methods,
    reason = "what to run is said in the environment, and read here alone"
)]
pub(crate) fn setting(name: &str) -> Option<String> {
    env::var(name).ok()
}

impl Case {
    /// The run that the environment names; without a word from it, the first mixed one.
    pub(crate) fn named() -> Self {
        let seed = setting(SEED).map_or(1, |seed| seed.parse().expect("SIM_SEED is a number"));
        let scenario = setting(SCENARIO).map_or(Scenario::Mixed, |name| {
            Scenario::named(&name).unwrap_or_else(|| panic!("SIM_SCENARIO: no scenario is {name}"))
        });
        Self { scenario, seed }
    }

    /// Runs it here and says what is wrong with it. The log goes where `SIM_LOG` says.
    pub(crate) fn run(self) -> Result<(), String> {
        let dir = scratch();
        let log = Log::default();
        let remains = tracing::subscriber::with_default(log.clone(), || {
            world::run(self.scenario, self.seed, dir.path(), &log)
        });
        let checked = oracle::check(&remains);
        let lines = match &checked {
            Ok(lines) => lines.join("\n"),
            Err(wrong) => format!("WRONG {wrong}"),
        };
        if let Some(path) = setting(LOG) {
            fs::write(path, format!("{}{lines}\n", log.text())).expect("write the log");
        }
        checked.map(drop)
    }

    /// Runs it in a process of its own. Its log.
    pub(crate) fn run_apart(self) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("a directory for the log");
        let path = dir.path().join("log");
        let child = Command::new(env::current_exe().expect("this test has a file"))
            .args(["one", "--exact", "--nocapture", "--test-threads=1"])
            .env(SEED, self.seed.to_string())
            .env(SCENARIO, self.scenario.name())
            .env(LOG, &path)
            .output()
            .expect("start a process");
        let log = fs::read_to_string(&path).unwrap_or_default();
        if child.status.success() && !log.is_empty() {
            return Ok(log);
        }
        let last: Vec<&str> = log.lines().collect();
        let last = last[last.len().saturating_sub(60)..].join("\n");
        Err(format!(
            "{last}\n{}\nseed {} of {} failed; again: {SEED}={} {SCENARIO}={} cargo test -p sim one -- --exact",
            String::from_utf8_lossy(&child.stderr).trim(),
            self.seed,
            self.scenario.name(),
            self.seed,
            self.scenario.name(),
        ))
    }
}

/// A directory for a run's files; in memory where the system has one there, because a run waits for every sync.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let name = "muster-sim-";
    let builder = || tempfile::Builder::new().prefix(name).tempdir_in(&memory);
    let there = Path::new(&memory).is_dir().then(builder).and_then(Result::ok);
    there.unwrap_or_else(|| tempfile::tempdir().expect("a directory for the run"))
}
