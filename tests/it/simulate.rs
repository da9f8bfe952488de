//! `muster simulate`, as a person runs it: the same digests in every mode, a stop that can be resumed, mistakes told.

use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::support::process::{PATIENCE, children, digests, ended, report, signal, started};

fn spawn(args: &[&str]) -> Child {
    started(&[&["simulate"], args].concat())
}

async fn json(args: &[&str]) -> Value {
    let output = ended(spawn(&[args, &["--json"]].concat())).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

#[tokio::test]
async fn the_same_seed_gives_the_same_digests_in_every_mode() {
    let common = ["--nodes", "10", "--rounds", "3", "--samples", "2", "--test-samples", "10"];
    let mut reports = Vec::new();
    for mode in ["memory", "task", "process"] {
        let report = json(&[&common[..], &["--mode", mode, "--seed", "5"]].concat()).await;
        assert_eq!(
            (&report["mode"], &report["nodes"], &report["reproducible"], &report["partial"]),
            (&mode.into(), &10.into(), &true.into(), &false.into())
        );
        assert_eq!(report["virtual_s"].is_null(), mode == "process", "{mode}");
        for version in &report["versions"].as_array().unwrap()[1..] {
            assert_eq!((&version["updates"], &version["bytes_up"]), (&10.into(), &142_000.into()));
            assert!(version["bytes_down"].as_u64().unwrap() >= 142_000, "each node's are counted");
        }
        reports.push(report);
    }
    assert_eq!(digests(&reports[0]).len(), 4);
    assert_eq!(digests(&reports[0]), digests(&reports[1]), "memory and task");
    assert_eq!(digests(&reports[0]), digests(&reports[2]), "memory and process");
    let other = json(&[&common[..], &["--seed", "6"]].concat()).await;
    assert_ne!(digests(&reports[0])[1..], digests(&other)[1..]);
}

#[tokio::test]
async fn shares_reach_processes_as_files_and_learn_the_same() {
    let common = ["--nodes", "4", "--rounds", "2", "--samples", "3", "--test-samples", "5"];
    let world = [&common[..], &["--world", "dirichlet", "--samples-per-node", "4"]].concat();
    let here = json(&world).await;
    let there = json(&[&world[..], &["--mode", "process"]].concat()).await;
    assert_eq!(digests(&here), digests(&there));
    assert_ne!(digests(&here)[1..], digests(&json(&common).await)[1..], "the world matters");
}

/// Starts a simulation and stops it once a round is published.
async fn stopped(mode: &str, dir: &Path, rounds: &str) -> Output {
    let path = dir.to_str().unwrap();
    let mut child = spawn(&[
        "--nodes",
        "6",
        "--rounds",
        rounds,
        "--samples",
        "2",
        "--test-samples",
        "4",
        "--mode",
        mode,
        "--report",
        path,
    ]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("round ") && !line.starts_with("round 0/") {
                return;
            }
        }
        panic!("it ended before a round was published");
    };
    timeout(PATIENCE, begun).await.expect("a round is published");
    signal(&child, Signal::INT);
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let output = ended(child).await;
    rest.await.unwrap();
    output
}

#[tokio::test]
async fn a_stop_leaves_a_partial_report_and_can_be_resumed() {
    for mode in ["memory", "process"] {
        let dir = tempfile::tempdir().unwrap();
        let output = stopped(mode, dir.path(), "400").await;
        assert_eq!(output.status.code(), Some(130));
        let partial = report(dir.path());
        assert_eq!(partial["partial"], true);
        let before: Vec<String> = digests(&partial).into_iter().map(str::to_owned).collect();
        assert!((2..400).contains(&before.len()), "{mode}: {} versions", before.len());
        assert_eq!(partial["plan"]["rounds"], 400);

        // The rest of 400 rounds is too much for a test: it is stopped again, further on.
        let mut again = spawn(&["--resume", dir.path().to_str().unwrap()]);
        let mut lines = BufReader::new(again.stderr.take().unwrap()).lines();
        let further = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let round = line.strip_prefix("round ").and_then(|rest| rest.split_once('/'));
                let round = round.and_then(|(round, _)| round.parse::<usize>().ok());
                if round.is_some_and(|round| round > before.len()) {
                    return;
                }
            }
            panic!("it ended too early");
        };
        timeout(PATIENCE, further).await.expect("it goes on");
        signal(&again, Signal::INT);
        let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        assert_eq!(ended(again).await.status.code(), Some(130));
        rest.await.unwrap();
        let further = report(dir.path());
        let after = digests(&further);
        assert!(after.len() > before.len(), "{mode}");
        assert_eq!(after[..before.len()], before, "{mode}: what was published stays");

        // As if it had never been stopped.
        let rounds = (after.len() - 1).to_string();
        let whole =
            json(&["--nodes", "6", "--rounds", &rounds, "--samples", "2", "--test-samples", "4"])
                .await;
        assert_eq!(digests(&whole), after, "{mode}");
    }
}

#[tokio::test]
async fn a_killed_simulation_leaves_no_process_and_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut child = spawn(&[
        "--nodes",
        "3",
        "--rounds",
        "3000",
        "--samples",
        "1",
        "--test-samples",
        "1",
        "--report",
        path,
    ]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("round ") && !line.starts_with("round 0/") {
            break;
        }
    }
    assert_eq!(children(child.id().expect("it runs")).len(), 0, "virtual nodes are no processes");
    child.kill().await.unwrap();
    let mut again = spawn(&["--resume", path]);
    let mut lines = BufReader::new(again.stderr.take().unwrap()).lines();
    let mut goes_on = false;
    while let Some(line) = lines.next_line().await.unwrap() {
        goes_on = line.starts_with("round ") && !line.starts_with("round 0/");
        if goes_on {
            break;
        }
    }
    assert!(goes_on);
    again.kill().await.unwrap();
}

#[tokio::test]
async fn mistakes_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = dir.path().join("world.toml");
    std::fs::write(
        &world,
        "colour = \"blue\"\n[data]\nsplit = \"dirichlet\"\n[faults]\ndropout = 2\n",
    )
    .unwrap();
    let world = world.to_str().unwrap();
    for (args, status, wanted) in [
        (
            vec!["--world", world],
            65,
            vec!["error[world_invalid]", "colour", "data.alpha", "faults.dropout"],
        ),
        (vec!["--world", "atlantis"], 66, vec!["error[world_unknown]", "saboteurs"]),
        (
            vec!["--world", "bad-lines", "--mode", "process"],
            64,
            vec!["error[world_needs_virtual_time]"],
        ),
        (
            vec!["--mode", "process", "--nodes", "201"],
            64,
            vec!["error[nodes_too_many]", "at most 200"],
        ),
        (vec!["--task", "chess"], 64, vec!["error[data_unknown]", "navigation"]),
        (vec!["--resume", "/nowhere"], 66, vec!["error[not_resumable]"]),
    ] {
        let output = ended(spawn(&args)).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        for part in wanted {
            assert!(errors.contains(part), "{args:?}: {errors}");
        }
    }
}
