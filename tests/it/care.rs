//! `muster backup`, `restore` and `doctor` around a coordinator that works.

use std::path::Path;
use std::process::{Output, Stdio};

use federation::Digest;
use proto::v1;
use proto::v1::push_update_response::Result as Pushed;
use serde_json::{Value, json};
use simulator::demo::navigation_artifact;

use crate::support::fixture::{
    navigation_plan, plain_artifact, post_model, post_run, wait_for, wait_run,
};
use crate::support::plain::{Fleet, Receipts, client, plan, update};
use crate::support::process::{Serve, muster, node};

const NODES: u32 = 50;
const GOAL: u32 = 32;

async fn run(args: &[&str], data_dir: &Path) -> Output {
    let mut command = muster();
    command.args(args).arg("--data-dir").arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap()
}

/// Runs `muster`, which ends with `status`, and returns what it says.
async fn says(args: &[&str], data_dir: &Path, status: i32) -> String {
    let output = run(args, data_dir).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same with `--json`.
async fn finds(args: &[&str], data_dir: &Path, status: i32) -> Value {
    let said = says(&[args, &["--json"]].concat(), data_dir, status).await;
    serde_json::from_str(&said).unwrap()
}

/// Runs `muster`, which fails with `code` and `status`.
async fn fails(args: &[&str], data_dir: &Path, code: &str, status: i32) {
    let output = run(args, data_dir).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    assert!(errors.contains(&format!("error[{code}]: ")), "{errors}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a coordinator says to the update of a lane that was counted in a round before.
async fn again(serve: &Serve, run: u64, round: (u32, u32), lane: usize) -> Pushed {
    let order = v1::TrainOrder {
        round: Some(v1::RoundRef { run_id: run, round: round.0, attempt: round.1 }),
        // A receipt is looked for before anything else is judged.
        base_digest: Digest::of(b"any").0.to_vec().into(),
        weights: NODES.into(),
        ..v1::TrainOrder::default()
    };
    let parts = tokio_stream::iter(update(&format!("plain-{lane:03}"), lane, &order));
    let answer = client(serve.grpc()).push_update(parts).await.unwrap();
    answer.into_inner().result.unwrap()
}

/// Every receipt is given again, byte for byte.
async fn all_again(serve: &Serve, run: u64, receipts: &Receipts) -> usize {
    let mut count = 0;
    for (round, lanes) in receipts {
        for (lane, receipt) in lanes {
            let pushed = again(serve, run, *round, *lane).await;
            assert_eq!(pushed, Pushed::Receipt(receipt.clone()), "{round:?}, lane {lane}");
            count += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_every_receipt_and_its_restoration_gives_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serve = Serve::start(&data).await;
    let rest = serve.rest();
    post_model(&rest, "m", &plain_artifact(NODES)).await;
    let id = post_run(&rest, "m", &plan(GOAL, NODES, 100_000)).await;
    let fleet = Fleet::start(serve.grpc(), usize::try_from(NODES).unwrap());
    let path = format!("/v1/runs/{id}");
    let published = async |least: u64| {
        wait_for(&rest, &path, |run| run["rounds_published"].as_u64().filter(|n| *n >= least)).await
    };
    published(3).await;

    let to = dir.path().join("m.backup");
    let before = fleet.receipts.lock().unwrap().clone();
    let made = finds(&["backup", text(&to)], &data, 0).await;
    let rounds = published(1).await;
    published(rounds + 2).await;
    let after = fleet.receipts.lock().unwrap().clone();
    drop(fleet);
    assert_eq!(made["audit"]["verdict"], "ok");
    assert!(after.len() > before.len(), "the coordinator went on");
    fails(&["backup", text(&to)], &data, "backup_exists", 73).await;
    // A stopped coordinator's as well.
    fails(&["restore", text(&to)], &data, "data_dir_in_use", 75).await;
    serve.stop().await;
    says(&["backup", text(&dir.path().join("stopped.backup"))], &data, 0).await;
    fails(&["restore", text(&to)], &data, "database_exists", 73).await;

    let place = dir.path().join("place");
    let done = finds(&["restore", text(&to)], &place, 0).await;
    assert_eq!(done["receipts"], made["receipts"]);
    let serve = Serve::start(&place).await;
    let count = all_again(&serve, id, &before).await;
    assert!(count >= 3 * 32, "{count} receipts");
    assert!(made["receipts"].as_u64() >= Some(u64::try_from(count).unwrap()));
    println!("{count} receipts before the backup, {} in it", made["receipts"]);
    // A round that only the lost database knew: the update for it has a code.
    let last = *after.keys().last().unwrap();
    match again(&serve, id, (last.0 + 1_000, 1), 0).await {
        Pushed::Refused(refusal) => assert_eq!(refusal.code, "unknown_round"),
        Pushed::Receipt(receipt) => panic!("{receipt:?}"),
    }
    serve.stop().await;
    let mut verify = muster();
    verify.args(["audit", "verify", "--database"]).arg(place.join("coordinator.db"));
    assert!(verify.output().await.unwrap().status.success());
}

#[tokio::test]
async fn a_fleet_goes_on_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serve = Serve::start(&data).await;
    let (http, grpc) = (serve.http().replace("http://", ""), serve.grpc().replace("http://", ""));
    post_model(&serve.rest(), "navigation", &navigation_artifact(1)).await;
    let names = ["a", "b", "c"].map(str::to_owned);
    let _nodes = [("a", 1), ("b", 2), ("c", 3)]
        .map(|(name, seed)| node(dir.path(), serve.grpc(), name, seed));
    let run = post_run(&serve.rest(), "navigation", &navigation_plan(&names, 12, 2)).await;
    let path = format!("/v1/runs/{run}");
    let published = async |serve: &Serve, least: u64| {
        let enough =
            |run: &Value| (run["rounds_published"].as_u64() >= Some(least)).then(|| run.clone());
        wait_for(&serve.rest(), &path, enough).await
    };
    published(&serve, 2).await;
    let to = dir.path().join("fleet.backup");
    let made = finds(&["backup", text(&to)], &data, 0).await;
    let versions = made["versions"].as_u64().unwrap();
    // The fleet goes on, and what it does is lost with the machine.
    published(&serve, versions + 1).await;
    serve.kill().await;
    let done = finds(&["restore", text(&to), "--replace"], &data, 0).await;
    assert_eq!(done["replaced"], json!(data.join("coordinator.db.replaced-1")));
    assert_eq!(done["versions"], versions);
    let serve = Serve::start_at(&data, &http, &grpc).await;
    let ended = wait_run(&serve.rest(), run).await;
    assert_eq!((&ended["state"], &ended["rounds_published"]), (&json!("completed"), &json!(12)));
    serve.stop().await;
    for check in ["verify", "replay"] {
        let mut audit = muster();
        audit.args(["audit", check, "--database"]).arg(data.join("coordinator.db"));
        let output = audit.output().await.unwrap();
        assert!(output.status.success(), "{check}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[tokio::test]
async fn a_doctor_looks_at_a_coordinator_that_runs_and_at_one_that_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let none = finds(&["doctor"], &data, 2).await;
    assert_eq!(none["status"], "fail");
    assert!(!data.exists(), "it only looks");
    let serve = Serve::start(&data).await;
    post_model(&serve.rest(), "m", &plain_artifact(4)).await;
    let lock = |found: &Value| {
        let checks = found["checks"].as_array().unwrap().clone();
        let lock = checks.into_iter().find(|check| check["name"] == "lock").unwrap();
        lock["says"].as_str().unwrap().to_owned()
    };
    let found = finds(&["doctor"], &data, 0).await;
    assert_eq!(
        (found["status"].as_str(), lock(&found).as_str()),
        (Some("ok"), "a coordinator runs on it")
    );
    serve.stop().await;
    let found = finds(&["doctor"], &data, 0).await;
    assert_eq!(lock(&found), "no coordinator runs on it");
    let said = says(&["doctor"], &data, 0).await;
    assert!(said.contains("ok    audit      1 entries, head "), "{said}");
}
