//! `muster simulate` on recordings: the published sets, where they are there, and a table of one's own.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::process::{digests, ended, report, started};
use crate::support::require::shared;

/// Nodes and rounds of each of these: the sets have hundreds of samples, of which the nodes learn from few.
const NODES: u64 = 3;
const ROUNDS: u64 = 2;
const SAMPLES: u64 = 4;
const TESTED: u64 = 20;

async fn simulate(args: &[&str], dir: &Path) -> Value {
    let numbers = [NODES, ROUNDS, SAMPLES, TESTED].map(|number| number.to_string());
    let names = ["--nodes", "--rounds", "--samples", "--test-samples"];
    let mut words = vec!["simulate", "--report", dir.to_str().unwrap()];
    for (name, number) in names.into_iter().zip(&numbers) {
        words.extend([name, number]);
    }
    words.extend(args);
    let output = ended(started(&words)).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    report(dir)
}

/// What holds of any report of these: who took part in what, over a network of this shape.
fn holds(report: &Value, name: &str, [inputs, recurrent, outputs]: [u64; 3]) {
    assert_eq!(
        (&report["task"], &report["reproducible"], &report["partial"]),
        (&name.into(), &true.into(), &false.into())
    );
    let versions = report["versions"].as_array().unwrap();
    assert_eq!(versions.len() as u64, 1 + ROUNDS);
    let weights = inputs * recurrent + recurrent * recurrent + recurrent * outputs;
    for version in &versions[1..] {
        let told = ["updates", "samples", "bytes_up"].map(|key| version[key].as_u64().unwrap());
        assert_eq!(told, [NODES, NODES * SAMPLES, NODES * weights], "{version}");
        assert!(version["synaptic_ops"].as_u64() > Some(0), "their samples drive it: {version}");
    }
    for version in versions {
        let right = version["accuracy"].as_f64().unwrap() * TESTED as f64;
        assert!((right - right.round()).abs() < 1e-9, "of {TESTED}: {version}");
    }
    let different: std::collections::BTreeSet<_> = digests(report).into_iter().collect();
    assert_eq!(different.len() as u64, 1 + ROUNDS, "each round moves the weights");
    assert_eq!(report["test_samples"], TESTED);
    // An unseen sample was looked into: its events reach the network, and the chip votes.
    let trace = &report["trace"];
    assert!(trace["events"].as_array().is_some_and(|events| !events.is_empty()));
    assert_eq!(trace["potentials"].as_array().unwrap().len() as u64, outputs);
}

#[tokio::test]
async fn spoken_digits_are_learned_by_their_speakers() {
    let name = "spoken_digits_are_learned_by_their_speakers";
    let Some(data) = shared(name, "fsdd") else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["--task", "audition", "--data", data.to_str().unwrap(), "--world", "subjects"];
    let ten = simulate(&args, dir.path()).await;
    holds(&ten, "audition", [144, 256, 10]);
    assert_eq!((&ten["world"]["name"], &ten["step_us"]), (&"subjects".into(), &4_000.into()));

    // The chip's own protocol: one word against the others.
    let word = format!("{},word=7", data.display());
    let one = simulate(&["--task", "audition", "--data", &word], dir.path()).await;
    holds(&one, "audition", [144, 256, 2]);
}

#[tokio::test]
async fn digits_of_the_camera_are_learned_by_their_writers() {
    let name = "digits_of_the_camera_are_learned_by_their_writers";
    let Some(data) = shared(name, "nmnist-small") else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["--task", "vision", "--data", data.to_str().unwrap(), "--world", "subjects"];
    holds(&simulate(&args, dir.path()).await, "vision", [242, 256, 10]);
}

#[tokio::test]
async fn letters_are_learned_the_same_by_processes_with_files() {
    let name = "letters_are_learned_the_same_by_processes_with_files";
    let Some(data) = shared(name, "braille7") else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["--task", "tactile", "--data", data.to_str().unwrap(), "--world", "one-class"];
    let here = simulate(&args, dir.path()).await;
    holds(&here, "tactile", [192, 256, 7]);
    let there = simulate(&[&args[..], &["--mode", "process"]].concat(), dir.path()).await;
    holds(&there, "tactile", [192, 256, 7]);
    assert_eq!(digests(&here), digests(&there));
}

/// Two gestures that differ in which of two sensors swings: of three people, who hold nothing back for tests.
fn gestures() -> String {
    let mut rows = "take,person,what,x,y\n".to_owned();
    for (take, person) in (0..24).zip(["ann", "bob", "eve"].into_iter().cycle()) {
        let (what, still) = if take / 3 % 2 == 0 { ("wave", 1) } else { ("push", 0) };
        for step in 0..40_u32 {
            let swing = (f64::from((step + take) % 8) / 2.0 - 2.0).abs();
            let (x, y) = if still == 1 { (swing, 0.0) } else { (0.0, swing) };
            writeln!(rows, "{take},{person},{what},{x},{y}").unwrap();
        }
    }
    rows
}

const DESCRIPTION: &str = r#"
file = "gestures.csv"
sample = "take"
columns = ["x", "y"]
label = "what"
subject = "person"
test_every = 4
[encoder]
kind = "crossing"
step = 0.5
"#;

#[tokio::test]
async fn a_table_of_ones_own_is_learned_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("gestures.csv"), gestures()).unwrap();
    std::fs::write(path("gestures.toml"), DESCRIPTION).unwrap();
    let (data, out) = (path("gestures.toml"), path("out"));
    let args = ["--task", "csv", "--data", data.to_str().unwrap(), "--world", "subjects"];
    let names =
        ["--test-samples", "6", "--nodes", "3", "--rounds", "6", "--samples", "6", "--seed", "7"];
    let words = [&["simulate", "--report", out.to_str().unwrap()], &args[..], &names].concat();
    let output = ended(started(&words)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let learned = report(&out);
    assert_eq!((&learned["task"], &learned["test_samples"]), (&"gestures".into(), &6.into()));
    let accuracy = |version: &Value| version["accuracy"].as_f64().unwrap();
    let (first, last) = (&learned["versions"][0], learned["final_accuracy"].as_f64().unwrap());
    assert!(accuracy(first) < 0.5 && last > 0.8, "which sensor swings is easily told: {learned:#}");
    let command = learned["command"].as_str().unwrap();
    assert!(command.contains(&format!("--task csv --data {}", data.display())), "{command}");

    // A mistake is told with its line before anything begins.
    std::fs::write(path("gestures.csv"), gestures().replacen("0,ann,wave,", "0,ann,wave,x", 1))
        .unwrap();
    let output = ended(started(&words)).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(66), "{said}");
    assert!(said.contains("gestures.csv, line 2: x: `x"), "{said}");
}
