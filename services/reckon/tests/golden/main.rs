//! The model against recordings of the chip, bit for bit.
//!
//! The short cases are in `tests/golden/reckon` of the project (or in `MUSTER_GOLDEN_DIR`); the
//! long ones are read from `../shared/reckon/golden` where it exists. With `data` in
//! `MUSTER_REQUIRE` a case that would be skipped fails.

#![expect(clippy::unwrap_used, reason = "test code")]

mod case;
mod expected;
mod failure;
#[path = "../isas/mod.rs"]
mod isas;
mod negative;
mod replay;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use case::{Case, Phase};
use replay::Score;
use sha2::{Digest as _, Sha256};

/// The root of the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cases that come with the project.
fn shipped() -> PathBuf {
    project().join("tests/golden/reckon")
}

/// `path` below the shared data, or `None` with a word about it where that is not there.
fn shared(path: &str) -> Option<PathBuf> {
    let required = std::env::var_os("MUSTER_REQUIRE").unwrap_or_default();
    let found =
        shared_below(&project().join("../shared/reckon"), path, &required.to_string_lossy());
    if let Err(why) = &found {
        // Not `println`, which a passing test swallows.
        let line = format!("SKIPPED {path}: {why}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
    found.ok()
}

/// `path` below `dir`; if it is not there, why, or a failure if the list `required` has the word `data`.
fn shared_below(dir: &Path, path: &str, required: &str) -> Result<PathBuf, String> {
    let full = dir.join(path);
    if full.exists() {
        return Ok(full);
    }
    let why = format!("{} is not there", full.display());
    let required = required.split(',').any(|word| word.trim() == "data");
    assert!(!required, "{path}: {why}, and MUSTER_REQUIRE asks for data");
    Err(why)
}

/// Every directory below `dir` with a `config.txt`.
fn cases_in(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut cases: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.join("config.txt").exists());
    cases.sort();
    cases
}

/// Every case passes on every path; all that do not are named together.
fn check_all(cases: &[PathBuf]) {
    for isa in isas::isas() {
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|case| replay::check_case(case, isa).err())
            .map(|failure| failure.to_string())
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {} cases fail on {isa}:\n{}",
            failures.len(),
            cases.len(),
            failures.join("\n")
        );
    }
}

#[test]
fn the_cases_of_the_project_pass() {
    let dir = std::env::var_os("MUSTER_GOLDEN_DIR").map_or_else(shipped, PathBuf::from);
    let cases = cases_in(&dir);
    assert!(!cases.is_empty(), "{} holds no case", dir.display());
    check_all(&cases);
}

#[test]
fn the_cue_task_as_shipped_passes() {
    check_all(Vec::from_iter(shared("golden/cue_default")).as_slice());
}

#[test]
fn the_cue_task_in_its_tenth_epoch_passes() {
    check_all(Vec::from_iter(shared("golden/cue_epoch10")).as_slice());
}

/// The cue task once more, over the epochs of the learning curve; the first ten are compared sample
/// by sample.
#[test]
fn the_cue_task_learns_along_the_known_curve() {
    let (Some(dir), Some(curve)) =
        (shared("golden/cue_default"), shared("learning_curve_default.csv"))
    else {
        return;
    };
    let curve: Vec<[Score; 2]> =
        fs::read_to_string(curve).unwrap().lines().skip(1).map(epoch_scores).collect();
    assert_eq!(curve.len(), 22);

    let case = Case::load(&dir).unwrap();
    let case = Case { schedule: epochs(&case, curve.len()), ..case };
    // The other paths go through the shorter cases.
    let Some(isa) = isas::isas().into_iter().max() else { return };
    let scores = replay::replay_start(&case, &dir.join("model_extension"), 2 * 10, isa);
    let scores = scores.unwrap_or_else(|failure| panic!("{failure}"));
    for (epoch, (got, expected)) in scores.as_chunks().0.iter().zip(&curve).enumerate() {
        assert_eq!(got, expected, "epoch {}", epoch + 1);
    }
    assert_eq!(scores.len(), 2 * curve.len());
}

/// Train and test score of a line of the learning curve.
fn epoch_scores(line: &str) -> [Score; 2] {
    let numbers: Vec<usize> = line.split(',').take(5).map(|cell| cell.parse().unwrap()).collect();
    [
        Score { correct: numbers[1], total: numbers[2] },
        Score { correct: numbers[3], total: numbers[4] },
    ]
}

/// The schedule of `case`, which opens with one epoch of training and testing, carried on for
/// `count` epochs.
fn epochs(case: &Case, count: usize) -> Vec<Phase> {
    let mut schedule = Vec::new();
    for epoch in 1..=count {
        for (phase, name) in case.schedule.iter().zip(["train", "test"]) {
            let weight_dumps = if epoch == 1 { phase.weight_dumps } else { 0 };
            let name = format!("{name}{epoch}");
            schedule.push(Phase { name, recorded: 0, detailed: 0, weight_dumps, ..phase.clone() });
        }
    }
    schedule
}

#[test]
fn the_data_of_the_project_are_the_recorded_ones() {
    let dir = shipped();
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let listed: BTreeMap<String, String> = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap_or_else(|| panic!("SHA256SUMS: `{line}`")))
        .map(|(sum, file)| (file.to_owned(), sum.to_owned()))
        .collect();
    let mut found = BTreeMap::new();
    for case in
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in fs::read_dir(&case).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(&dir).unwrap().display().to_string();
            let digest = Sha256::digest(fs::read(&file).unwrap());
            found.insert(name, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    assert_eq!(found, listed, "left: what is there; right: SHA256SUMS");
}

#[test]
fn shared_data_may_be_absent_unless_required() {
    let nowhere = Path::new("/nowhere");
    let why = "/nowhere/golden is not there".to_owned();
    assert_eq!(shared_below(nowhere, "golden", "net, database"), Err(why));
    assert_eq!(shared_below(&shipped(), "README.md", "data"), Ok(shipped().join("README.md")));
}

#[test]
#[should_panic(expected = "MUSTER_REQUIRE asks for data")]
fn shared_data_that_are_required_are_missed() {
    shared_below(Path::new("/nowhere"), "golden", "net, data").unwrap_or_default();
}
