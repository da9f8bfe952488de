//! `--sweep FILE`: many runs of one command, in parallel processes, and what came of them side by side.
//!
//! A sweep is a grid or a random search over values of the plan, registers of the chip and flags of the command
//! ([`spec`]). Each run is a process of its own, told by a [`Template`] how to begin: this module knows nothing of
//! simulations but that their command takes `--seed`, `--report DIR`, `--set PATH=VALUE` and `--register NAME=VALUE`
//! ([`overrides`]) and writes `report.json` last.
//!
//! A run's directory is named by its arguments, and gets that name when the run has ended well: a sweep that was stopped
//! goes on where it was, and one whose file was changed keeps what is in both.

pub mod overrides;
mod results;
pub mod spec;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use thiserror::Error;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::overrides::Overrides;
pub use self::results::{Outcome, Results};
pub use self::spec::{Cell, Spec, SpecError};
use crate::report::Data;

/// How a run is begun.
#[derive(Clone, Debug)]
pub struct Template {
    /// The program: as a rule this one, again.
    pub program: PathBuf,
    /// What it is called with before the sweep's arguments: `["simulate"]`.
    pub command: Vec<String>,
}

/// Why a sweep cannot go on. That a run fails is no reason.
#[derive(Debug, Error)]
pub enum SweepError {
    /// The file does not say a sweep.
    #[error("{path}: {source}")]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SpecError,
    },
    /// A file or directory cannot be read or made.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody pressed Ctrl-C. What has been run is kept.
    #[error("stopped; the same command goes on where it was")]
    Stopped,
}

impl SweepError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spec { source, .. } => source.code(),
            Self::File { .. } => "file_not_usable",
            Self::Stopped => "stopped",
        }
    }

    /// What the process should exit with, as sysexits.h has it; 130 where it was interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec { .. } => 65,
            Self::File { .. } => 73,
            Self::Stopped => 130,
        }
    }
}

/// Reads a sweep's file.
///
/// # Errors
/// [`SweepError`] says what is wrong with it.
pub fn read(path: &Path) -> Result<Spec, SweepError> {
    let file = |source| SweepError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    Spec::parse(&text).map_err(|source| SweepError::Spec { path: path.to_owned(), source })
}

/// Runs what of a sweep has not been run, and writes `sweep.html`, `sweep.csv` and `sweep.json` into `dir`, also where it
/// is stopped. `tell` gets a line for each run that ends.
///
/// # Errors
/// [`SweepError`]. A run that fails is told, and stands in the results.
pub async fn run(
    spec: &Spec,
    template: &Template,
    dir: &Path,
    tell: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> Result<Results, SweepError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| SweepError::File { path, source }
    };
    let runs = dir.join("runs");
    std::fs::create_dir_all(&runs).map_err(fail(&runs))?;
    let cells = spec.cells();
    let mut results = Results::new(cells.clone());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = Arc::new(Semaphore::new(spec.parallel.unwrap_or(cores)));
    let mut work = JoinSet::new();
    for (index, cell) in cells.iter().enumerate() {
        let place = runs.join(cell.name());
        if let Some(data) = finished(&place) {
            results.put(index, Outcome::of(&data, true));
            continue;
        }
        let (slots, template, cell) = (Arc::clone(&slots), template.clone(), cell.clone());
        work.spawn(async move {
            let slot = slots.acquire_owned().await;
            let outcome = one(&template, &cell, &place).await;
            drop(slot);
            (index, outcome)
        });
    }
    tell(&format!("{} runs, {} of them run before", cells.len(), results.done()));
    tokio::pin!(stop);
    let stopped = loop {
        tokio::select! {
            biased;
            () = &mut stop => break true,
            ended = work.join_next() => match ended {
                None => break false,
                // A task that broke off is a run without an outcome, which the results say.
                Some(Err(_)) => {}
                Some(Ok((index, outcome))) => {
                    tell(&results.line(index, &outcome));
                    results.put(index, outcome);
                }
            },
        }
    };
    // The processes end with their tasks.
    work.shutdown().await;
    results.write(dir).map_err(fail(dir))?;
    if stopped { Err(SweepError::Stopped) } else { Ok(results) }
}

/// The report of a run that has ended well.
fn finished(place: &Path) -> Option<Data> {
    let text = std::fs::read_to_string(place.join("report.json")).ok()?;
    Data::from_json(&text).ok().filter(|data| !data.partial)
}

/// Runs one cell.
async fn one(template: &Template, cell: &Cell, place: &Path) -> Outcome {
    let work = place.with_extension("running");
    let prepare = || {
        if work.exists() {
            std::fs::remove_dir_all(&work)?;
        }
        if place.exists() {
            // It did not end well, or it would not be run again.
            std::fs::remove_dir_all(place)?;
        }
        std::fs::create_dir_all(&work)?;
        std::fs::File::create(work.join("stderr.txt"))
    };
    let log = match prepare() {
        Ok(log) => log,
        Err(error) => return Outcome::Failed { why: format!("{}: {error}", work.display()) },
    };
    let status = Command::new(&template.program)
        .args(&template.command)
        .args(&cell.arguments)
        .arg("--report")
        .arg(&work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .status()
        .await;
    let failed = |why: String| {
        let said = std::fs::read_to_string(work.join("stderr.txt")).unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Outcome::Failed { why: format!("{why}: {last}").trim_end_matches([':', ' ']).to_owned() }
    };
    match status {
        Err(error) => failed(format!("cannot start {}: {error}", template.program.display())),
        Ok(status) if !status.success() => failed(status.to_string()),
        Ok(_) => match finished(&work) {
            None => failed("it wrote no whole report".to_owned()),
            Some(data) => match std::fs::rename(&work, place) {
                Err(error) => failed(error.to_string()),
                Ok(()) => Outcome::of(&data, false),
            },
        },
    }
}

#[cfg(test)]
mod tests;
