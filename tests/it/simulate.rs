//! `muster simulate`, as a person runs it: the same digests in every mode, a stop that can be resumed, mistakes told.

use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::support::process::{PATIENCE, Serve, children, digests, ended, report, signal, started};

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
    let dealt = ["--world", "dirichlet", "--samples-per-node", "10", "--evaluate-samples", "2"];
    let world = [&common[..], &dealt].concat();
    let here = json(&world).await;
    let there = json(&[&world[..], &["--mode", "process"]].concat()).await;
    assert_eq!(digests(&here), digests(&there));
    assert_ne!(digests(&here)[1..], digests(&json(&common).await)[1..], "the world matters");
    // Each holds two of its ten back, on which the last version is tried.
    assert_eq!(here["node_accuracies"], there["node_accuracies"]);
    let accuracies = here["node_accuracies"].as_array().unwrap();
    assert_eq!(accuracies.len(), 4, "{accuracies:?}");
    assert!(accuracies.iter().all(|node| node["total"] == 2), "{accuracies:?}");
    let less = [&common[..], &dealt[..4]].concat();
    let less = json(&less).await;
    assert_eq!(less["node_accuracies"], Value::Array(Vec::new()), "without being asked, none");
    assert_ne!(digests(&here)[1..], digests(&less)[1..], "what is held back is not learned from");
}

/// Stops a simulation once it has told a line for which it is time.
async fn stopped_at(mut child: Child, is_time: impl Fn(&str) -> bool) -> Output {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reached = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if is_time(&line) {
                return;
            }
        }
        panic!("it ended too early");
    };
    timeout(PATIENCE, reached).await.expect("it comes so far");
    signal(&child, Signal::INT);
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let output = ended(child).await;
    rest.await.unwrap();
    output
}

/// Starts a simulation and stops it once a round is published.
async fn stopped(mode: &str, dir: &Path, rounds: &str) -> Output {
    let path = dir.to_str().unwrap();
    let child = spawn(&[
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
    stopped_at(child, |line| line.starts_with("round ") && !line.starts_with("round 0/")).await
}

#[tokio::test]
async fn virtual_nodes_are_let_in_by_a_token_and_come_back_by_their_credentials() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(stopped("memory", dir.path(), "400").await.status.code(), Some(130));
    let again = spawn(&["--resume", dir.path().to_str().unwrap()]);
    stopped_at(again, |line| line.starts_with("round ")).await;
    let coordinator = Serve::start(&dir.path().join("state/coordinator")).await;
    let tokens: Value = coordinator.rest().get("/v1/enrolment-tokens").await.unwrap();
    let uses: Vec<_> = tokens["items"].as_array().unwrap().iter().map(|one| &one["uses"]).collect();
    assert_eq!(uses, [6, 0], "all came by the first, and knew themselves when it went on");
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
        let again = spawn(&["--resume", dir.path().to_str().unwrap()]);
        let further = stopped_at(again, |line| {
            let round = line.strip_prefix("round ").and_then(|rest| rest.split_once('/'));
            let round = round.and_then(|(round, _)| round.parse::<usize>().ok());
            round.is_some_and(|round| round > before.len())
        });
        assert_eq!(further.await.status.code(), Some(130));
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

/// Nothing is learned yet, but what there is can be told, and gone on from.
#[tokio::test]
async fn a_stop_during_enrolment_leaves_a_report_and_can_be_resumed() {
    for (mode, nodes) in [("memory", "2000"), ("process", "3")] {
        let dir = tempfile::tempdir().unwrap();
        let common = ["--nodes", nodes, "--rounds", "2", "--samples", "1", "--test-samples", "4"];
        let common = [&common[..], &["--cohort", "3", "--mode", mode]].concat();
        let mut child = spawn(&[&common[..], &["--report", dir.path().to_str().unwrap()]].concat());
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.expect("it says that it begins");
        assert!(first.unwrap().is_some_and(|line| line.starts_with("coordinator at http")));
        // All but its first words is still to come: nobody has learned, as a rule nobody is enrolled.
        signal(&child, Signal::INT);
        let rest = tokio::spawn(async move {
            let mut said = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                said += &line;
            }
            said
        });
        assert_eq!(ended(child).await.status.code(), Some(130), "{mode}");
        let said = rest.await.unwrap();
        assert!(said.contains("error[stopped]") && said.contains("go on with --resume"), "{said}");
        let partial = report(dir.path());
        assert_eq!((&partial["partial"], &partial["plan"]["rounds"]), (&true.into(), &2.into()));
        assert_eq!(partial["versions"][0]["number"], 1, "{mode}");
        assert!(partial["versions"][0]["accuracy"].is_f64(), "{mode}");
        assert!(dir.path().join("report.html").exists(), "{mode}");
        let whole = json(&["--resume", dir.path().to_str().unwrap()]).await;
        assert_eq!(whole["partial"], false, "{mode}");
        assert_eq!(digests(&whole).len(), 3, "{mode}");
        if mode == "memory" {
            assert_eq!(digests(&whole), digests(&json(&common).await), "as without the stop");
        }
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

#[tokio::test]
async fn learning_without_federation_is_told_beside_it() {
    let common = ["--rounds", "2", "--samples", "4", "--test-samples", "20", "--seed", "3"];
    let with = ["--world", "one-class", "--nodes", "4", "--baselines"];
    let report = json(&[&common[..], &with].concat()).await;
    let command = report["command"].as_str().unwrap();
    assert!(command.ends_with("--baselines"), "{command}");
    let told = |which: &str| report["baselines"][which].as_f64().unwrap();
    let (centralised, local_only) = (told("centralised"), told("local_only"));
    // Of 20 samples; alone, it is the mean of four nodes.
    assert!((centralised * 20.0).fract() == 0.0 && centralised <= 1.0, "{centralised}");
    assert!((local_only * 80.0).fract().abs() < 1e-9 && local_only <= 1.0, "{local_only}");

    // A fleet of one has nobody to federate with: both are the same.
    let one = json(&[&common[..], &["--nodes", "1", "--baselines"]].concat()).await;
    assert_eq!(one["baselines"]["centralised"], one["baselines"]["local_only"]);
    assert!(one["baselines"]["centralised"].is_f64());
    let without = json(&[&common[..], &["--nodes", "1"]].concat()).await;
    assert!(without["baselines"].is_null(), "{}", without["baselines"]);
    assert_eq!(digests(&one), digests(&without), "it is for comparison alone");
}

/// A sweep over this many samples a round, of small runs, one after the other.
fn sweep(samples: &str) -> String {
    format!(
        "arguments = [\"--nodes\", \"2\", \"--rounds\", \"1\", \"--test-samples\", \"4\"]\n\
         seeds = [1, 2]\nparallel = 1\n\
         [parameters]\n\"plan.local.samples\" = {samples}\n\"register.SPI_LR_P_WOUT\" = [14]\n"
    )
}

/// The runs of the sweep in `dir`: parameter and seed, accuracy if it has ended, whether it was run before.
fn runs(dir: &Path) -> Vec<(u64, u64, Option<f64>, bool)> {
    let text = std::fs::read_to_string(dir.join("sweep.json")).unwrap();
    let sweep: Value = serde_json::from_str(&text).unwrap();
    let run = |run: &Value| {
        let outcome = &run["outcome"];
        assert!(outcome.is_null() || outcome["state"] == "done", "{run}");
        let samples = run["values"]["plan.local.samples"].as_u64().unwrap();
        let accuracy = outcome["final_accuracy"].as_f64();
        (samples, run["seed"].as_u64().unwrap(), accuracy, outcome["kept"] == true)
    };
    sweep["runs"].as_array().unwrap().iter().map(run).collect()
}

#[tokio::test]
async fn a_sweep_is_a_grid_of_runs_that_goes_on_where_it_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("sweep.toml"), dir.path().join("out"));
    let words = ["--sweep", file.to_str().unwrap(), "--report", out.to_str().unwrap()];
    std::fs::write(&file, sweep("[1, 2]")).unwrap();
    let output = stopped_at(spawn(&words), |line| line.starts_with("1/4 ")).await;
    assert_eq!(output.status.code(), Some(130));
    let stopped = runs(&out);
    assert_eq!(stopped.len(), 4);
    let done = stopped.iter().filter(|run| run.2.is_some()).count();
    assert!((1..4).contains(&done), "it was stopped in the middle: {stopped:?}");

    // The same command goes on; one that is changed keeps what is in both.
    let output = ended(spawn(&words)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim_end(), format!("open {} in a browser", out.join("sweep.html").display()));
    let whole = runs(&out);
    assert!(whole.iter().all(|run| run.2.is_some()), "{whole:?}");
    assert_eq!(whole.iter().filter(|run| run.3).count(), done, "{whole:?}");
    std::fs::write(&file, sweep("[2, 3]")).unwrap();
    let output = ended(spawn(&[&words[..], &["--json"]].concat())).await;
    let text = std::fs::read_to_string(out.join("sweep.json")).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), text.trim_end());
    let changed = runs(&out);
    let kept: Vec<_> = changed.iter().map(|run| (run.0, run.1, run.3)).collect();
    assert_eq!(kept, [(2, 1, true), (2, 2, true), (3, 1, false), (3, 2, false)]);
    assert_eq!(changed[0].2, whole[2].2, "what was kept is what it was");

    // A row a run in the table, a plot of each parameter on the page, and the report of each run.
    let table = std::fs::read_to_string(out.join("sweep.csv")).unwrap();
    assert!(table.starts_with("plan.local.samples,register.SPI_LR_P_WOUT,seed,run,"), "{table}");
    assert_eq!(table.lines().count(), 1 + 4);
    let page = std::fs::read_to_string(out.join("sweep.html")).unwrap();
    for name in ["plan.local.samples", "register.SPI_LR_P_WOUT"] {
        assert!(page.contains(&format!("<figcaption>{name}</figcaption><svg")), "{name}");
    }
    for line in table.lines().skip(1) {
        let run = report(&out.join("runs").join(line.split(',').nth(3).unwrap()));
        let samples = run["plan"]["local"]["samples"].to_string();
        assert_eq!(line.split(',').next(), Some(&*samples));
        assert_eq!(run["plan"]["local"]["schedule"][0]["registers"]["SPI_LR_P_WOUT"], 14);
    }

    // What all runs share stands in the file, not on the command line.
    let output = ended(spawn(&[&words[..], &["--nodes", "3"]].concat())).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && said.contains("error[usage]"), "{said}");
}
