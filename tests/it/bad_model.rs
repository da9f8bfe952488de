//! The story of a bad model, as `docs/tutorial/bad-model.md` tells it: a site whose labels are wrong moves the model, the
//! canary's guard turns the version back, its nodes return to the good one, and the run is stopped.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use simulator::demo::navigation_artifact;
use simulator::{Rest, RestError};
use tokio::process::Child;

use crate::support::fixture::{post_model, post_run, wait_for, wait_run};
use crate::support::process::{Serve, muster};

const CANARY: &str = "/v1/models/navigation/channels/canary";

/// A node that sees only turns of one class: those of the broken site say of it that it is the other.
fn node(dir: &Path, grpc: &str, name: &str, labels: &str, class: u8, seed: u32) -> Child {
    muster()
        .args(["node", "--coordinator", grpc, "--name", name, "--label", labels])
        .args(["--data", &format!("navigation:seed={seed},class={class}"), "--state"])
        .arg(dir.join(name))
        .stdout(Stdio::null())
        .spawn()
        .expect("muster starts")
}

/// A run over the nodes of one site.
fn plan(site: &str, rounds: u32, server_learning_rate: f64) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": server_learning_rate, "weighting": "equal"},
        "rounds": rounds,
        "cohort": {"goal": 2, "quorum": 2, "over_selection": 1.0, "deadline_ms": 600_000,
                   "select": format!("site={site}")},
        "local": {"samples": 4, "schedule": [{"from_round": 1, "registers": {"SPI_REGUL_MODE": 0}}]},
        "seed": 7,
    })
}

/// Waits until each of these nodes says that it holds the version with this digest.
async fn all_hold(rest: &Rest, names: &[&str], digest: &Value) {
    wait_for(rest, "/v1/nodes", |nodes| {
        let nodes = nodes["items"].as_array().unwrap();
        let holds = |name: &&str| {
            nodes.iter().any(|node| node["id"] == *name && node["holding"] == *digest)
        };
        names.iter().all(holds).then_some(())
    })
    .await;
}

/// The problem's code with which a request is refused.
async fn refused(rest: &Rest, path: &str, body: Value) -> String {
    match rest.post::<Value>(path, &body).await {
        Err(RestError::Refused { code, .. }) => code,
        other => panic!("{path} was not refused: {other:?}"),
    }
}

/// What the audit log tells, from the database file.
async fn told(data: &Path) -> Vec<(String, String)> {
    let mut command = muster();
    command.args(["audit", "export", "--database"]).arg(data.join("coordinator.db"));
    let output = command.stdout(Stdio::piped()).output().await.unwrap();
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        (text("action"), text("subject"))
    };
    text.lines().map(entry).collect()
}

#[tokio::test]
async fn a_bad_version_is_turned_back_and_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serve = Serve::start(&data).await;
    let (rest, grpc) = (serve.rest(), serve.grpc().to_owned());
    post_model(&rest, "navigation", &navigation_artifact(1)).await;
    let channels = "/v1/models/navigation/channels";
    let stable = json!({"name": "stable", "evaluate_samples": 5});
    rest.post::<Value>(channels, &stable).await.unwrap();
    let canary = json!({"name": "canary", "auto": true, "steps": [50, 100], "evaluate_samples": 5,
                        "guard": "accuracy >= 0.8 over 3 nodes"});
    rest.post::<Value>(channels, &canary).await.unwrap();
    let start = |name, labels, class, seed| node(dir.path(), &grpc, name, labels, class, seed);
    let _nodes = [
        start("c1", "site=ams,channel=canary", 0, 1),
        start("c2", "site=ams,channel=canary", 0, 2),
        start("c3", "site=ams,channel=canary", 0, 3),
        start("s1", "site=rtm", 0, 4),
        start("s2", "site=rtm", 0, 5),
        start("x1", "site=broken", 1, 6),
        start("x2", "site=broken", 1, 7),
    ];
    let (canaries, stables) = (["c1", "c2", "c3"], ["s1", "s2"]);

    // A good version, which the canary takes by itself, and stable by hand.
    let good_run = post_run(&rest, "navigation", &plan("rtm", 2, 2.0)).await;
    assert_eq!(wait_run(&rest, good_run).await["state"], "completed");
    let reached = |channel: &Value| {
        let promotion = &channel["promotion"];
        assert_ne!(promotion["cause"], "tripped", "{channel:#}");
        (channel["version"] == 3 && promotion["state"] == "done").then(|| channel["digest"].clone())
    };
    let good = wait_for(&rest, CANARY, reached).await;
    all_hold(&rest, &canaries, &good).await;
    let promote = "/v1/models/navigation/channels/stable/promote";
    rest.post::<Value>(promote, &json!({"version": 3})).await.unwrap();
    all_hold(&rest, &stables, &good).await;

    // A run over the broken site.
    let bad_run = post_run(&rest, "navigation", &plan("broken", 1_000, 2.0)).await;
    let tripped =
        |channel: &Value| (channel["promotion"]["cause"] == "tripped").then(|| channel.clone());
    let channel = wait_for(&rest, CANARY, tripped).await;
    let bad = channel["promotion"]["from_version"].clone();
    let back = channel["digest"].clone();
    assert!(bad.as_u64().unwrap() > 3, "{channel:#}");
    let bad_digests = channel["bad_versions"].as_array().unwrap();
    assert_eq!(bad_digests.len(), 1, "{channel:#}");
    all_hold(&rest, &canaries, &back).await;
    all_hold(&rest, &stables, &good).await;
    let run: Value = rest.get(&format!("/v1/runs/{bad_run}")).await.unwrap();
    assert_eq!((&run["state"], &run["reason"]), (&json!("cancelled"), &json!("guard")), "{run:#}");

    // Why: who does badly with which version.
    let summary: Value = rest
        .get(&format!("/v1/models/navigation/versions/{bad}/evaluations/summary?by=site"))
        .await
        .unwrap();
    let (correct, samples) =
        (summary["all"]["correct"].as_u64(), summary["all"]["samples"].as_u64());
    assert!(correct.unwrap() * 10 < samples.unwrap() * 8, "{summary:#}");
    assert_eq!(summary["groups"][0]["label"], "ams");
    let history: Value = rest.get(&format!("{CANARY}/history?limit=1000")).await.unwrap();
    let history = history["items"].as_array().unwrap();
    let turned: Vec<_> = history.iter().filter(|one| one["state"] == "tripped").collect();
    assert_eq!((turned.len(), &turned[0]["version"]), (1, &bad));
    assert_eq!(turned[0]["evidence"]["nodes"], 3);
    let events: Value = rest.get("/v1/events?kind=channel&limit=1000").await.unwrap();
    let kinds = events["items"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|event| event["kind"].as_str().unwrap()).collect();
    let of = |kind: &str| kinds.iter().filter(|told| **told == kind).count();
    assert_eq!((of("channel.tripped"), of("channel.rolled_back")), (1, 1), "{kinds:?}");
    let compared: Value =
        rest.get(&format!("/v1/models/navigation/compare?from=canary&to={bad}")).await.unwrap();
    assert!(compared["changed"].as_u64().unwrap() > 0, "{compared:#}");

    // It comes again by force alone, also after a restart.
    let again = format!("{CANARY}/promote");
    assert_eq!(refused(&rest, &again, json!({"version": bad})).await, "version_bad");
    let (http, grpc) = (serve.http().to_owned(), serve.grpc().to_owned());
    serve.stop().await;
    let bare = |url: &str| url.strip_prefix("http://").unwrap_or(url).to_owned();
    let serve = Serve::start_at(&data, &bare(&http), &bare(&grpc)).await;
    let rest = serve.rest();
    assert_eq!(refused(&rest, &again, json!({"version": bad})).await, "version_bad");
    all_hold(&rest, &canaries, &back).await;
    all_hold(&rest, &stables, &good).await;
    let after: Value = rest.get(CANARY).await.unwrap();
    assert_eq!(after, channel);
    let run: Value = rest.get(&format!("/v1/runs/{bad_run}")).await.unwrap();
    assert_eq!(run["reason"], "guard");

    serve.stop().await;
    let entries = told(&data).await;
    let of = |action: &str| -> Vec<&str> {
        entries.iter().filter(|entry| entry.0 == action).map(|entry| entry.1.as_str()).collect()
    };
    assert_eq!(of("channel.tripped"), ["navigation/canary"]);
    assert_eq!(of("channel.rolled_back"), ["navigation/canary"]);
    assert_eq!(of("run.ended"), [good_run.to_string(), bad_run.to_string()]);
    for check in ["verify", "replay"] {
        let mut command = muster();
        command.args(["audit", check, "--database"]).arg(data.join("coordinator.db"));
        let output = command.stdout(Stdio::piped()).output().await.unwrap();
        assert!(output.status.success(), "{check}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
