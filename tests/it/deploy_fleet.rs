//! `docker compose up`: a fleet that learns behind TLS and tokens, whose coordinator is killed in the middle of a round,
//! and that goes on after `down`. Everything that is looked at is looked at from outside, as people do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Access, Rest, RestError};
use tokio::time::timeout;

use crate::support::compose::{Fleet, docker, docker_status};
use crate::support::fixture::{digests, wait_for, wait_run};

/// As many as the compose file starts.
const NODES: usize = 8;
/// What the fleet must reach on samples that no node trains on.
const ACCURACY: f64 = 0.95;
/// Resident memory of a node, in KiB.
const MEMORY_KIB_MAX: u64 = 16 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_of_compose_learns_and_survives_its_coordinators_death() {
    let name = "the_fleet_of_compose_learns_and_survives_its_coordinators_death";
    let Some(fleet) = Fleet::new(name, None).await else { return };
    timeout(Duration::from_secs(600), lived(&fleet)).await.expect("all of it within 10 minutes");
}

async fn lived(fleet: &Fleet) {
    fleet.up(&[]).await;
    let rest = fleet.rest().await;
    doors(fleet, &rest).await;

    // One command, and it learns.
    wait_for(&rest, "/v1/runs", |runs| (runs["items"][0]["id"] == 1).then_some(())).await;
    let first = wait_run(&rest, 1).await;
    assert_eq!(first["state"], "completed", "{first:#}");
    assert_eq!(first["plan"]["cohort"]["goal"], NODES, "all nodes were there");
    let accuracy = accuracy(&rest, "navigation").await;
    told(fleet, accuracy).await;

    // The same again, as another model; the coordinator dies in the middle of a round that holds updates already.
    let again = copied(&rest, "navigation", "again").await;
    let nodes = fleet.containers("node").await;
    assert_eq!(nodes.len(), NODES);
    docker(&["pause", &nodes[0]]).await;
    let body = json!({"model": "again", "plan": first["plan"]});
    let run: Value = rest.post("/v1/runs", &body).await.unwrap();
    let path = format!("/v1/runs/{}", run["id"]);
    let most = NODES - 1;
    let all_but_one = |run: &Value| (run["round"]["updates"] == most).then(|| run["round"].clone());
    let held = wait_for(&rest, &path, all_but_one).await;
    let coordinator = fleet.container("coordinator").await;
    docker(&["kill", &coordinator]).await;
    fleet.up(&["coordinator"]).await;
    fleet.wait_health(&coordinator, "healthy").await;
    let after: Value = rest.get(&path).await.unwrap();
    let what = |round: &Value| (round["number"].clone(), round["updates"].clone());
    assert_eq!(what(&after["round"]), what(&held), "it goes on where it was, and nothing is lost");
    docker(&["unpause", &nodes[0]]).await;
    let second = wait_run(&rest, run["id"].as_u64().unwrap()).await;
    assert_eq!(second["state"], "completed", "{second:#}");
    assert!(again < digests(&rest, "again").await.len(), "it made versions");
    counted_once(fleet, &rest, &nodes).await;

    // `down` keeps what `up` goes on with.
    let (before, known) = (digests(&rest, "navigation").await, names(&rest).await);
    fleet.compose(&["down", "-t", "30"]).await;
    fleet.up(&[]).await;
    let rest = fleet.rest().await;
    assert_eq!(digests(&rest, "navigation").await, before);
    let back = |nodes: &Value| {
        let seen = nodes["items"].as_array()?.iter().filter(|node| !node["status"].is_null());
        (seen.count() == NODES).then_some(())
    };
    wait_for(&rest, "/v1/nodes?seen_within_s=60", back).await;
    assert_eq!(names(&rest).await, known, "the same nodes, none anew");
    let runs: Value = rest.get("/v1/runs").await.unwrap();
    assert_eq!(runs["items"].as_array().unwrap().len(), 2, "nothing is taught twice");
    replays(fleet).await;
    fleet.compose(&["down", "-v", "-t", "30"]).await;
    let volumes = docker(&["volume", "ls", "-q"]).await;
    assert!(!volumes.contains(&fleet.name_of("")), "{volumes}");
}

/// TLS with the certificate that is in the volume, and a token, or nothing.
async fn doors(fleet: &Fleet, rest: &Rest) {
    rest.get::<Value>("/v1/models").await.unwrap();
    let ca_file = Some(fleet.dir().join("ca.pem"));
    let nobody = Access { url: fleet.url(), ca_file, token: None };
    let refused = Rest::connect(&nobody).unwrap().get::<Value>("/v1/models").await.unwrap_err();
    let is_401 = matches!(&refused, RestError::Refused { status, .. } if status.as_u16() == 401);
    assert!(is_401, "{refused}");
    let stranger = Rest::new(&fleet.url()).get::<Value>("/v1/models").await.unwrap_err();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let plain = fleet.url().replace("https", "http");
    Rest::new(&plain).get::<Value>("/healthz").await.unwrap_err();

    // The nodes' network leads nowhere.
    let inside = docker(&["network", "inspect", &fleet.name_of("fleet")]).await;
    let inside: Value = serde_json::from_str(&inside).unwrap();
    assert_eq!(inside[0]["Internal"], true);
    let node = &fleet.containers("node").await[0];
    let networks =
        docker(&["inspect", "--format", "{{len .NetworkSettings.Networks}}", node]).await;
    assert_eq!(networks.trim(), "1");
    let format = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}";
    let limits = docker(&["inspect", "--format", format, node]).await;
    assert_eq!(limits.trim(), format!("true {} 16", 32 << 20));

    // The command line, inside.
    let coordinator = fleet.container("coordinator").await;
    let (status, said) =
        docker_status(&["exec", &coordinator, "muster", "model", "list", "--json"]).await;
    assert_eq!(status, Some(0), "{said}");
}

/// What the nodes say of the newest version, on samples that they never train on.
async fn accuracy(rest: &Rest, model: &str) -> f64 {
    let path = format!("/v1/models/{model}/versions/latest/evaluations/summary");
    let all = wait_for(rest, &path, |summary| {
        (summary["all"]["nodes"] == NODES).then(|| summary["all"].clone())
    })
    .await;
    let (correct, samples) = (all["correct"].as_f64().unwrap(), all["samples"].as_f64().unwrap());
    assert!(samples >= 100.0 * NODES as f64, "{all}");
    let accuracy = correct / samples;
    assert!(accuracy >= ACCURACY, "{correct} of {samples} unseen samples are right");
    accuracy
}

/// The one-shot service says where to look and how to get in; and what it says works.
async fn told(fleet: &Fleet, accuracy: f64) {
    assert!(accuracy <= 1.0);
    let (_, said) = docker_status(&["logs", &fleet.container("teach").await]).await;
    for word in [&format!("dashboard  {}/", fleet.url()), &format!("{}/docs", fleet.url())] {
        assert!(said.contains(word.as_str()), "{word}: {said}");
    }
    let (_, command) = said.split_once(" exec coordinator muster ").expect("how to sign in");
    let words: Vec<_> = command.lines().next().unwrap_or_default().split_whitespace().collect();
    let coordinator = fleet.container("coordinator").await;
    let token = docker(&[&["exec", &coordinator, "muster"], &words[..]].concat()).await;
    let ca_file = Some(fleet.dir().join("ca.pem"));
    let me = Access { url: fleet.url(), ca_file, token: Some(token.trim().to_owned()) };
    Rest::connect(&me).unwrap().get::<Value>("/v1/models").await.unwrap();
}

/// Makes a model of another's first version, and a channel; how many versions it has.
async fn copied(rest: &Rest, from: &str, to: &str) -> usize {
    let artifact = rest.bytes(&format!("/v1/models/{from}/versions/1/artifact")).await.unwrap();
    rest.create_model(to, &federation::Artifact::parse(&artifact).unwrap()).await.unwrap();
    digests(rest, to).await.len()
}

async fn names(rest: &Rest) -> BTreeSet<String> {
    let nodes: Value = rest.get("/v1/nodes?limit=1000").await.unwrap();
    let nodes = nodes["items"].as_array().unwrap().iter();
    nodes.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

/// Every receipt that a node got is one contribution and every contribution one receipt; and each published round counts
/// distinct nodes, as many as its version has updates. What their sum is, `audit replay` computes.
async fn counted_once(fleet: &Fleet, rest: &Rest, nodes: &[String]) {
    let mut receipts = BTreeMap::new();
    for container in nodes {
        let log = fleet.log(container).await;
        let message = |line: &Value, text: &str| line["fields"]["message"] == text;
        let mut peak = 0;
        for line in &log {
            let node = line["span"]["node.id"].as_str().unwrap_or_default().to_owned();
            if message(line, "the update is counted") {
                let round = line["fields"]["round"].as_str().unwrap().to_owned();
                *receipts.entry((round, node)).or_insert(0) += 1;
            } else if message(line, "trained") {
                peak = peak.max(line["fields"]["memory.peak_kib"].as_u64().unwrap());
            }
        }
        assert!(peak > 0 && peak < MEMORY_KIB_MAX, "{container} took {peak} KiB");
    }
    assert!(receipts.values().all(|&times| times == 1), "{receipts:?}");

    let mut contributions = BTreeSet::new();
    for run in 1..=2 {
        let path = format!("/v1/runs/{run}/rounds");
        let rounds: Value = rest.get(&format!("{path}?limit=1000")).await.unwrap();
        for round in rounds["items"].as_array().unwrap() {
            assert_eq!(
                (&round["state"], &round["at_deadline"]),
                (&json!("published"), &json!(false))
            );
            let path = format!("{path}/{}/contributions?limit=1000", round["number"]);
            let list: Value = rest.get(&path).await.unwrap();
            let list = list["items"].as_array().unwrap();
            let distinct: BTreeSet<_> = list.iter().map(|one| one["node_id"].as_str()).collect();
            assert_eq!((distinct.len(), list.len()), (NODES, NODES), "{round}");
            assert_eq!(round["updates"], NODES);
            for one in list {
                let round = format!("{run}/{}/{}", one["round"], one["attempt"]);
                contributions.insert((round, one["node_id"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(contributions.len() > NODES);
    assert_eq!(receipts.into_keys().collect::<BTreeSet<_>>(), contributions);
}

/// Copies the database out of the volume, as whoever suspects it does, and computes every version again.
async fn replays(fleet: &Fleet) {
    fleet.compose(&["stop", "-t", "30", "coordinator"]).await;
    let coordinator = fleet.container("coordinator").await;
    let database = fleet.dir().join("coordinator.db");
    let from = format!("{coordinator}:/data/coordinator.db");
    docker(&["cp", &from, database.to_str().unwrap()]).await;
    for words in [&["audit", "verify"], &["audit", "replay"]] {
        let mut command = crate::support::process::muster();
        command.args(*words).arg("--database").arg(&database).arg("--json");
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
    }
}
