//! Lists: their pages, their filters, and what each shows.

use federation::NodeId;
use serde_json::{Value, json};

use crate::support::{Site, plan, update};

/// A list whole, in pages of `limit`; `path` ends in `?` or `&`.
async fn pages(site: &Site, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = site.get(&format!("{path}limit={limit}{cursor}")).await;
        assert_eq!(page.status, 200, "{path} {}", page.text());
        let page = page.json();
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(found.len(), limit, "a page that others follow is full");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}

/// The field of each item.
fn each(items: &[Value], field: &str) -> Vec<Value> {
    items.iter().map(|item| item[field].clone()).collect()
}

async fn push(site: &mut Site, nodes: &[NodeId]) {
    for node in nodes {
        let order = site.order(node).await;
        let (candidate, payload) = update(&order, node, 1);
        site.push(&candidate, &payload).await.unwrap();
    }
}

/// A fleet of three, two models, and a finished run of two rounds in which all of the fleet was counted.
async fn site() -> (Site, Vec<NodeId>) {
    let mut site = Site::start().await;
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(site.enrol(name).await);
    }
    site.make_model("m").await;
    site.make_model("n").await;
    site.make_run("m", plan(3, 2)).await;
    for _ in 0..2 {
        push(&mut site, &nodes).await;
    }
    while site.get("/v1/runs/1").await.json()["state"] != "completed" {}
    (site, nodes)
}

#[tokio::test]
async fn lists_come_in_pages_whatever_their_size() {
    let (site, _) = site().await;
    for (path, count) in [
        ("/v1/models?", 2),
        ("/v1/models/m/versions?", 3),
        ("/v1/models/m/versions?run=1&", 2),
        ("/v1/models/m/versions?run=2&", 0),
        ("/v1/runs?", 1),
        ("/v1/nodes?", 3),
        ("/v1/runs/1/rounds?", 2),
        ("/v1/runs/1/rounds/1?", 1),
        ("/v1/runs/1/rounds/2/contributions?", 3),
        ("/v1/nodes/a/contributions?", 2),
        ("/v1/audit?action=version&", 2),
    ] {
        let whole = pages(&site, path, 100).await;
        assert_eq!(whole.len(), count, "{path}");
        for limit in 1..=3 {
            assert_eq!(pages(&site, path, limit).await, whole, "{path} by {limit}");
        }
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let (site, _) = site().await;
    let page = site.get("/v1/models?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_ne!(cursor, "m", "what it says is ours");
    let next = site.get(&format!("/v1/models?cursor={cursor}")).await.json();
    assert_eq!(each(next["items"].as_array().unwrap(), "name"), ["n"]);
    for path in ["/v1/nodes", "/v1/runs", "/v1/models/m/versions", "/v1/audit", "/v1/events"] {
        let refused = site.get(&format!("{path}?cursor={cursor}")).await;
        let problem = refused.is_problem(400, "invalid_query");
        assert!(problem["detail"].as_str().unwrap().contains("cursor"), "{path}");
    }
    for wrong in ["m", "", "1", "AAAAAAA", "%ff", "!", &cursor[1..]] {
        let refused = site.get(&format!("/v1/models?cursor={wrong}")).await;
        refused.is_problem(400, "invalid_query");
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn filters_choose_and_refuse_what_they_do_not_understand() {
    let (site, _) = site().await;
    let ids = async |path: &str, field: &str| each(&pages(&site, path, 100).await, field);
    assert_eq!(ids("/v1/runs?model=m&", "id").await, [1]);
    assert_eq!(ids("/v1/runs?model=n&", "id").await, [] as [Value; 0]);
    assert_eq!(ids("/v1/runs?state=completed&", "id").await, [1]);
    assert_eq!(ids("/v1/runs?model=m&state=running&", "id").await, [] as [Value; 0]);
    assert_eq!(ids("/v1/runs/1/rounds?state=published&", "number").await, [1, 2]);
    assert_eq!(ids("/v1/runs/1/rounds?state=open&", "number").await, [] as [Value; 0]);
    assert_eq!(ids("/v1/nodes?label=task%3Dnavigation&", "id").await, ["a", "b", "c"]);
    assert_eq!(ids("/v1/nodes?label=task%20in%20(x,y)&", "id").await, [] as [Value; 0]);
    assert_eq!(ids("/v1/nodes?label=!site&seen_within_s=3600&", "id").await, ["a", "b", "c"]);
    assert_eq!(ids("/v1/audit?subject=m/2&", "action").await, ["version.published"]);
    assert_eq!(ids("/v1/audit?action=node.enrolled&", "subject").await, ["a", "b", "c"]);
    for (path, field) in [
        ("/v1/runs?state=live", "state"),
        ("/v1/runs?model=NO", "model"),
        ("/v1/runs?stat=open", "stat"),
        ("/v1/runs?state=open&state=open", "state"),
        ("/v1/runs/1/rounds?state=running", "state"),
        ("/v1/nodes?label=site%3D", "label"),
        ("/v1/nodes?seen_within_s=-1", "invalid digit"),
        ("/v1/models?run=1", "run"),
        ("/v1/models/m/versions?run=x", "invalid digit"),
        ("/v1/audit?after=x", "invalid digit"),
        ("/v1/models?limit=0", "limit"),
        ("/v1/models?limit=1001", "limit"),
        ("/v1/models?limit=1&limit=2", "limit"),
        ("/v1/models?%6cimit=1", "limit"),
    ] {
        let problem = site.get(path).await.is_problem(400, "invalid_query");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{path} {problem}");
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_contribution_is_shown_by_its_round_and_by_its_node() {
    let (mut site, nodes) = site().await;
    let of_round = pages(&site, "/v1/runs/1/rounds/1/contributions?", 100).await;
    assert_eq!(each(&of_round, "node_id"), ["a", "b", "c"]);
    let mut of_nodes = Vec::new();
    for node in ["a", "b", "c"] {
        of_nodes.extend(pages(&site, &format!("/v1/nodes/{node}/contributions?"), 1).await);
    }
    assert_eq!(of_nodes.len(), 6);
    for one in &of_round {
        assert!(of_nodes.contains(one), "{one}");
        assert_eq!(
            (&one["run_id"], &one["round"], &one["attempt"]),
            (&1.into(), &1.into(), &1.into())
        );
        let counted = (&one["counted_in_round"], &one["counted_in_attempt"]);
        assert_eq!(counted, (&1.into(), &1.into()));
        assert_eq!((&one["fate"], &one["correct"]), (&"published".into(), &5.into()));
        assert_eq!((&one["samples"], &one["synaptic_ops"]), (&10.into(), &1_000.into()));
        assert_eq!((&one["bytes_up"], &one["bytes_down"]), (&200_000.into(), &64.into()));
        assert!(one["payload_digest"].as_str().unwrap().len() == 64);
        assert!(one["counted_at_ms"].as_u64().unwrap() > 0);
    }

    let run = site.make_run("n", plan(3, 1)).await;
    push(&mut site, &nodes[..1]).await;
    let path = format!("/v1/runs/{run}/rounds/1/contributions?");
    assert_eq!(each(&pages(&site, &path, 100).await, "fate"), ["open"]);
    site.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await;
    let abandoned = pages(&site, &path, 100).await;
    assert_eq!(each(&abandoned, "fate"), ["abandoned"]);
    assert_eq!(each(&abandoned, "node_id"), [nodes[0].as_str()]);

    for (path, code) in [
        ("/v1/runs/9/rounds/1/contributions", "run_not_found"),
        ("/v1/runs/x/rounds/1/contributions", "run_not_found"),
        ("/v1/runs/1/rounds/3/contributions", "round_not_found"),
        ("/v1/runs/1/rounds/0", "round_not_found"),
        ("/v1/runs/1/rounds/x", "round_not_found"),
        ("/v1/runs/9/rounds/1", "run_not_found"),
        ("/v1/nodes/none", "node_not_found"),
        ("/v1/nodes/NO", "node_not_found"),
        ("/v1/nodes/none/contributions", "node_not_found"),
        ("/v1/models/m/versions/9/evaluations", "version_not_found"),
    ] {
        site.get(path).await.is_problem(404, code);
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn nodes_attempts_evaluations_and_the_log_are_shown() {
    let (mut site, nodes) = site().await;
    let list = site.get("/v1/nodes").await.json();
    assert_eq!(site.get("/v1/nodes/b").await.json(), list["items"][1]);
    let rounds = site.get("/v1/runs/1/rounds").await.json();
    let attempts = site.get("/v1/runs/1/rounds/2").await.json();
    assert_eq!(attempts, json!({"items": [rounds["items"][1]], "next_cursor": null}));

    let version = site.get("/v1/models/m/versions/3").await.json();
    for (node, correct) in nodes.iter().zip([7, 8, 9]) {
        site.evaluate(node, "m", version["digest"].as_str().unwrap(), 10, correct).await;
    }
    let reports = pages(&site, "/v1/models/m/versions/3/evaluations?", 2).await;
    assert_eq!(each(&reports, "node_id"), ["a", "b", "c"]);
    assert_eq!(each(&reports, "correct"), [7, 8, 9]);
    assert_eq!(each(&reports, "samples"), [10, 10, 10]);
    let latest = site.get("/v1/models/m/versions/latest/evaluations?limit=2").await.json();
    assert_eq!(latest["items"].as_array().unwrap()[..], reports[..2]);

    let log = site.get("/v1/audit").await.json();
    let entries = log["items"].as_array().unwrap();
    assert_eq!(entries[0]["previous"], "0".repeat(64));
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["previous"]);
    }
    let last = entries.last().unwrap();
    assert_eq!(log["head"], json!({"seq": last["seq"], "hash": last["hash"]}));
    assert_eq!(entries[0]["detail"]["labels"]["task"], "navigation");
    let after = site.get("/v1/audit?after=3&limit=2").await.json();
    assert_eq!(after["items"].as_array().unwrap()[..], entries[3..5]);
    assert_eq!(after["head"], log["head"]);
    site.running.shutdown().await;
}
