//! Hosts that fail under a fleet in containers: a node without a network, a coordinator without room, a clock that is
//! wrong, a crowd at the door. What a killed coordinator does is in `deploy_fleet`.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::Rest;
use tokio::time::timeout;

use crate::support::compose::{Fleet, docker, docker_status};
use crate::support::fixture::{post_model, post_run, wait_for, wait_run};

/// Longest that one of these tests may take, on a machine that does other things too.
const TEST_MAX: Duration = Duration::from_secs(300);

async fn bounded(name: &str, work: impl Future<Output = ()>) {
    assert!(timeout(TEST_MAX, work).await.is_ok(), "{name} takes longer than {TEST_MAX:?}");
}

/// A navigation run over `goal` nodes that goes on with `quorum` of them after `deadline_ms`.
async fn teach(rest: &Rest, goal: usize, quorum: usize, deadline_ms: u64, rounds: Value) -> u64 {
    post_model(rest, "navigation", &simulator::demo::navigation_artifact(7)).await;
    let mut plan = json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "cohort": {"goal": goal, "quorum": quorum, "over_selection": 1.0, "deadline_ms": deadline_ms},
        "local": {"samples": 2},
        "seed": 1,
    });
    for (key, value) in rounds.as_object().unwrap() {
        plan[key] = value.clone();
    }
    post_run(rest, "navigation", &plan).await
}

async fn wait_nodes(rest: &Rest, count: usize) {
    let there = |nodes: &Value| (nodes["items"].as_array()?.len() == count).then_some(());
    wait_for(rest, "/v1/nodes?limit=1000", there).await;
}

/// Waits for the next rounds that are published with so many updates; their numbers.
async fn wait_published(
    rest: &Rest,
    run: u64,
    after: u64,
    updates: usize,
    count: usize,
) -> Vec<u64> {
    let path = format!("/v1/runs/{run}/rounds?state=published&limit=1000");
    wait_for(rest, &path, |rounds| {
        let rounds = rounds["items"].as_array()?.iter();
        let with = rounds.filter(|round| round["updates"] == updates);
        let numbers: Vec<_> = with.filter_map(|round| round["number"].as_u64()).collect();
        let numbers: Vec<_> = numbers.into_iter().filter(|number| *number > after).collect();
        (numbers.len() >= count).then_some(numbers)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_for_two_rounds_takes_part_again() {
    let name = "a_node_that_was_cut_off_for_two_rounds_takes_part_again";
    let Some(fleet) = Fleet::new(name, None).await else { return };
    bounded(name, async {
        fleet.up(&["--scale", "node=3", "node"]).await;
        let rest = fleet.rest().await;
        wait_nodes(&rest, 3).await;
        let run = teach(&rest, 3, 2, 3_000, json!({"continuous": true})).await;
        let first = wait_published(&rest, run, 0, 3, 1).await;

        let (network, node) = (fleet.name_of("fleet"), fleet.containers("node").await.remove(0));
        docker(&["network", "disconnect", &network, &node]).await;
        let without = wait_published(&rest, run, first[0], 2, 2).await;
        docker(&["network", "connect", &network, &node]).await;
        let last = without.into_iter().max().unwrap();
        let again = wait_published(&rest, run, last, 3, 1).await;
        // The node never ended: it kept asking.
        let restarts = docker(&["inspect", "--format", "{{.RestartCount}}", &node]).await;
        assert_eq!(restarts.trim(), "0");
        rest.post::<Value>(&format!("/v1/runs/{run}/cancel"), &json!({})).await.unwrap();

        // Nobody counts twice, and in the rounds without it the node does not count.
        for (round, count) in [(last, 2), (again[0], 3)] {
            let path = format!("/v1/runs/{run}/rounds/{round}/contributions");
            let list: Value = rest.get(&path).await.unwrap();
            let nodes = list["items"].as_array().unwrap().iter().map(|one| one["node_id"].as_str());
            assert_eq!(nodes.collect::<BTreeSet<_>>().len(), count, "{list:#}");
        }
    })
    .await;
}

/// A data volume of 8 MiB in memory, which lasts for as long as a container has it: `keeper`, who does nothing else.
const SMALL: &str = "\
services:
  keeper:
    image: muster:latest
    command: [node, --coordinator, 'http://127.0.0.1:1', --state, /tmp/node]
    network_mode: none
    healthcheck: {disable: true}
    tmpfs: ['/tmp:mode=1777']
    volumes: ['data:/data']
volumes:
  data:
    driver_opts: {type: tmpfs, device: tmpfs, o: 'size=8m,uid=65532,gid=65532,mode=0700'}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_whose_volume_is_full_says_so_and_goes_on_when_there_is_room() {
    let name = "a_coordinator_whose_volume_is_full_says_so_and_goes_on_when_there_is_room";
    let Some(fleet) = Fleet::new(name, Some(SMALL)).await else { return };
    bounded(name, async {
        fleet.up(&["keeper"]).await;
        fleet.up(&["--scale", "node=2", "node"]).await;
        let rest = fleet.rest().await;
        wait_nodes(&rest, 2).await;
        let coordinator = fleet.container("coordinator").await;
        let run = teach(&rest, 2, 2, 600_000, json!({"continuous": true})).await;
        wait_published(&rest, run, 0, 2, 1).await;

        // A file that takes all the room there is: what does not fit is cut off.
        let ballast = fleet.dir().join("ballast");
        let put = async |bytes: usize| {
            std::fs::write(&ballast, vec![1; bytes]).unwrap();
            docker_status(&[
                "cp",
                ballast.to_str().unwrap(),
                &format!("{coordinator}:/data/ballast"),
            ])
            .await
        };
        let (_, said) = put(16 << 20).await;
        let full = wait_until_full(&rest, run).await;
        assert!(full, "it says that its storage is full; docker cp said: {said}");
        fleet.wait_health(&coordinator, "unhealthy").await;
        let (status, said) = docker_status(&["exec", &coordinator, "muster", "healthcheck"]).await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("error[not_ready]") && said.contains("storage_full"), "{said}");

        put(0).await;
        let ready = |answer: &Value| (answer["status"] == "ready").then_some(());
        wait_for(&rest, "/readyz", ready).await;
        fleet.wait_health(&coordinator, "healthy").await;
        let path = format!("/v1/runs/{run}");
        let now: Value = rest.get(&path).await.unwrap();
        let published = now["rounds_published"].as_u64().unwrap();
        wait_published(&rest, run, published, 2, 1).await;
        rest.post::<Value>(&format!("{path}/cancel"), &json!({})).await.unwrap();
        // Each round counts both nodes, once.
        let rounds: Value =
            rest.get(&format!("{path}/rounds?state=published&limit=1000")).await.unwrap();
        for round in rounds["items"].as_array().unwrap() {
            let path = format!("{path}/rounds/{}/contributions", round["number"]);
            let list: Value = rest.get(&path).await.unwrap();
            assert_eq!(list["items"].as_array().unwrap().len(), 2, "{round}");
        }
        let verified = ["muster", "audit", "verify", "--database", "/data/coordinator.db"];
        let (status, said) =
            docker_status(&[&["exec", &coordinator], &verified[..]].concat()).await;
        assert_eq!(status, Some(0), "{said}");
    })
    .await;
}

/// Waits until the coordinator says that it has no room: it finds out when it next writes.
async fn wait_until_full(rest: &Rest, run: u64) -> bool {
    for _ in 0..1_000 {
        let told = rest.get::<Value>("/readyz").await;
        if told.is_err_and(|error| error.to_string().contains("503")) {
            return true;
        }
        // Its rounds go on meanwhile.
        rest.get::<Value>(&format!("/v1/runs/{run}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// A node's clock an hour ahead.
const AHEAD: &str = "\
services:
  node:
    environment:
      MUSTER_TEST_CLOCK_OFFSET_MS: 3600000
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_an_hour_off_says_so_and_takes_part() {
    let name = "a_node_whose_clock_is_an_hour_off_says_so_and_takes_part";
    let Some(fleet) = Fleet::new(name, Some(AHEAD)).await else { return };
    bounded(name, async {
        fleet.up(&["--scale", "node=1", "node"]).await;
        let rest = fleet.rest().await;
        wait_nodes(&rest, 1).await;
        let node = fleet.container("node").await;
        let line = fleet
            .wait_log(&node, |line| (line["fields"]["code"] == "clock_off").then(|| line.clone()))
            .await;
        assert_eq!(line["level"], "WARN");
        let off_ms = line["fields"]["off_ms"].as_i64().unwrap();
        // The date of an answer is in whole seconds; the way takes less than a minute.
        assert!((3_540_000..=3_661_000).contains(&off_ms), "{line}");
        let run = teach(&rest, 1, 1, 600_000, json!({"rounds": 2})).await;
        assert_eq!(wait_run(&rest, run).await["state"], "completed");
        let told = fleet.log(&node).await;
        let told = told.iter().filter(|line| line["fields"]["code"] == "clock_off").count();
        assert_eq!(told, 1, "once is enough");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_nodes_that_start_at_once_all_come_in_and_count() {
    const NODES: usize = 40;
    let name = "forty_nodes_that_start_at_once_all_come_in_and_count";
    let Some(fleet) = Fleet::new(name, None).await else { return };
    bounded(name, async {
        fleet.up(&["coordinator"]).await;
        let rest = fleet.rest().await;
        fleet.up(&["--scale", "node=40", "node"]).await;
        wait_nodes(&rest, NODES).await;
        let run = teach(&rest, NODES, NODES, 600_000, json!({"rounds": 1})).await;
        assert_eq!(wait_run(&rest, run).await["state"], "completed");
        let list: Value =
            rest.get(&format!("/v1/runs/{run}/rounds/1/contributions?limit=1000")).await.unwrap();
        let nodes = list["items"].as_array().unwrap().iter().map(|one| one["node_id"].as_str());
        assert_eq!(nodes.collect::<BTreeSet<_>>().len(), NODES);
        for node in fleet.containers("node").await {
            let restarts = docker(&["inspect", "--format", "{{.RestartCount}}", &node]).await;
            assert_eq!(restarts.trim(), "0");
        }
    })
    .await;
}
