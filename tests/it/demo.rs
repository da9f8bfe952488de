//! `muster demo`, as a person runs it: small fleets, few rounds, the real thing otherwise.

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::support::process::{
    PATIENCE, children, digests, ended, report, signal, started, wait_gone,
};
use crate::support::require::shared;

/// More rounds than any of these waits for.
const FOREVER: &str = "10000";

fn spawn(args: &[&str]) -> Child {
    started(&[&["demo"], args].concat())
}

async fn demo(args: &[&str]) -> String {
    let output = ended(spawn(args)).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for the first progress line of a published round, whichever it is by then.
async fn begin_learning(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let published = |line: &str| {
        let round = line.strip_prefix("round ").and_then(|rest| rest.split('/').next());
        round.and_then(|round| round.parse::<u32>().ok()).is_some_and(|round| round > 0)
    };
    let learning = timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if published(&line) {
                return true;
            }
        }
        false
    });
    assert!(learning.await.expect("it gets there"), "the demo ended before it learned");
    // Keep reading, so that it never waits for us.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

#[tokio::test]
async fn it_trains_evaluates_and_reports() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/report");
    let out =
        demo(&["--nodes", "3", "--rounds", "2", "--seed", "7", "--report", path.to_str().unwrap()])
            .await;

    let report = report(&path);
    assert_eq!(
        (&report["seed"], &report["task"], &report["nodes"]),
        (&7.into(), &"navigation".into(), &3.into())
    );
    assert_eq!(report["reproducible"], true);
    assert_eq!(report["test_samples"], 300);
    assert_eq!(report["plan"]["seed"], 7);
    let versions = report["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 3);
    for (index, version) in versions.iter().enumerate() {
        assert_eq!(version["number"], index + 1);
        assert_eq!(
            version["parent"].as_u64(),
            u64::try_from(index).ok().filter(|&parent| parent > 0)
        );
        let digest = version["digest"].as_str().unwrap();
        assert!(
            digest.parse::<federation::Digest>().is_ok() && out.contains(&digest[..12]),
            "{out}"
        );
        assert!((0.0..=1.0).contains(&version["accuracy"].as_f64().unwrap()));
    }
    for version in &versions[1..] {
        assert_eq!(version["updates"], 3);
        assert_eq!(version["bytes_up"], 3 * 14_200);
        assert!(version["bytes_down"].as_u64().unwrap() >= 3 * 14_200, "{version}");
        assert!(version["energy_nj"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(report["final_accuracy"], versions[2]["accuracy"]);
    let curve = std::fs::read_to_string(path.join("curve.svg")).unwrap();
    assert!(curve.starts_with("<svg") && curve.matches("<circle").count() == 3);
    assert!(out.contains("repeats bit for bit with --seed 7"), "{out}");
}

#[tokio::test]
async fn its_seed_repeats_it_and_another_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = async |seed: &str, name: &str| {
        let path = dir.path().join(name);
        demo(&[
            "--nodes",
            "2",
            "--rounds",
            "2",
            "--seed",
            seed,
            "--report",
            path.to_str().unwrap(),
        ])
        .await;
        report(&path)
    };
    let (a, b, c) = (run("7", "a").await, run("7", "b").await, run("8", "c").await);
    assert_eq!(digests(&a), digests(&b));
    assert!(digests(&a).iter().all(|digest| !digests(&c).contains(digest)));
    assert_eq!(digests(&a).len(), 3);
}

#[tokio::test]
async fn killed_nodes_come_back_and_the_demo_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    let args =
        ["--nodes", "6", "--rounds", "40", "--seed", "7", "--report", path.to_str().unwrap()];
    let mut child = spawn(&args);
    let demo = child.id().unwrap();
    begin_learning(&mut child).await;
    let nodes = children(demo);
    assert_eq!(nodes.len(), 6, "{nodes:?}");
    for node in &nodes[..2] {
        let pid = rustix::process::Pid::from_raw(node.cast_signed()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let output = ended(child).await;
    assert!(output.status.success(), "{}", output.status);
    let report = report(&path);
    assert_eq!(report["reproducible"], false, "{report:#}");
    assert_eq!(report["restarts"], 2);
    assert_eq!(report["versions"].as_array().unwrap().len(), 41);
    wait_gone(&nodes).await;
}

#[tokio::test]
async fn ctrl_c_ends_everything() {
    let mut child = spawn(&["--nodes", "3", "--seed", "7", "--rounds", FOREVER]);
    let demo = child.id().unwrap();
    begin_learning(&mut child).await;
    let nodes = children(demo);
    assert_eq!(nodes.len(), 3);
    signal(&child, Signal::INT);
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(130));
    wait_gone(&nodes).await;
}

#[tokio::test]
async fn nodes_do_not_survive_a_killed_demo() {
    let mut child = spawn(&["--nodes", "3", "--seed", "7", "--rounds", FOREVER]);
    let demo = child.id().unwrap();
    begin_learning(&mut child).await;
    let nodes = children(demo);
    assert_eq!(nodes.len(), 3);
    child.kill().await.unwrap();
    wait_gone(&nodes).await;
}

#[tokio::test]
async fn it_trains_on_the_chips_own_recordings() {
    let Some(data) = shared("it_trains_on_the_chips_own_recordings", "reckon-cue") else { return };
    let source = format!("reckon:{}", data.display());
    let out = demo(&["--data", &source, "--nodes", "5", "--rounds", "2", "--json"]).await;
    let report: Value =
        serde_json::from_str(&out).expect("--json prints the report and nothing else");
    assert_eq!(report["test_samples"], 50);
    assert_eq!(report["versions"].as_array().unwrap().len(), 3);
    assert_eq!(report["versions"][2]["updates"], 5);
}

/// With `--keep` the coordinator stays, where it says, until Ctrl-C, which is no failure then.
#[tokio::test]
async fn what_is_kept_can_be_looked_at() {
    let mut child = spawn(&["--nodes", "2", "--rounds", "1", "--seed", "7", "--keep"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the demo says where to look");
            if let Some(at) = line.find("http://") {
                return line[at..].split("/v1").next().unwrap().to_owned();
            }
        }
    });
    let address = address.await.expect("the demo ends");
    let dashboard = lines.next_line().await.unwrap().expect("there is a dashboard, too");
    assert_eq!(dashboard, format!("or at the dashboard: open {address}/ in a browser"));
    let rest = simulator::Rest::new(&address);
    let page = rest.bytes("/").await.unwrap();
    assert!(page.starts_with(b"<!DOCTYPE html>"), "{}", String::from_utf8_lossy(&page));
    let latest = "/v1/models/navigation/versions/latest";
    let version: Value = rest.get(latest).await.unwrap();
    let artifact = rest.bytes(&format!("{latest}/artifact")).await.unwrap();
    assert_eq!(version["digest"], federation::Digest::of(&artifact).to_string());
    signal(&child, Signal::INT);
    let output = ended(child).await;
    assert!(output.status.success(), "Ctrl-C after the end is not a failure: {}", output.status);
}
