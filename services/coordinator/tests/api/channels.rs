//! Channels over REST and gRPC: what people ask for, what nodes are told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::{Evaluation, Hold, Holding, NodeId};
use proto::convert::{Order, Reply, WaitOrder};
use proto::v1;
use serde_json::{Value, json};

use crate::support::{Site, artifact, enrolment, plan};

async fn follower(site: &mut Site, name: &str, labels: &[(&str, &str)]) -> NodeId {
    let mut enrolment = enrolment(name);
    enrolment.labels.extend(labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
    let response = site.fleet.enrol(v1::EnrolRequest::from(enrolment)).await.unwrap();
    Reply::<NodeId>::try_from(response.into_inner()).unwrap().unwrap()
}

/// What a node is told that holds `holding`, and whether it has an order.
async fn told(site: &Site, node: &NodeId, holding: Option<Holding>, wait_ms: u32) -> Option<Hold> {
    let request = WaitOrder {
        node: node.clone(),
        wait_ms,
        awaiting: None,
        status: None,
        follows: true,
        holding,
    };
    let mut fleet = site.fleet.clone();
    let response = fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
    let (reply, _, hold): (Reply<Order>, _, _) = response.into_inner().try_into().unwrap();
    reply.unwrap();
    hold
}

async fn report(site: &mut Site, node: &NodeId, hold: &Hold, correct: u32) {
    let evaluation = Evaluation {
        node: node.clone(),
        model: hold.model.clone(),
        version: hold.digest,
        samples: 10,
        correct,
    };
    let request = v1::ReportEvaluationRequest::from(evaluation);
    let response = site.fleet.report_evaluation(request).await.unwrap().into_inner();
    assert_eq!(Reply::<()>::try_from(response).unwrap(), Ok(()));
}

async fn bring(site: &Site, fill: i8) -> crate::support::Response {
    let body = json!({"artifact": STANDARD.encode(artifact(fill).encode())});
    site.post("/v1/models/m/versions", &body).await
}

/// Asks until the channel is as `found` wants it.
async fn until(site: &Site, path: &str, found: impl Fn(&Value) -> bool) -> Value {
    loop {
        let body = site.get(path).await.json();
        if found(&body) {
            return body;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_channel_is_made_moved_and_told_of() {
    let site = Site::start().await;
    site.make_model("m").await;
    let path = "/v1/models/m/channels";
    assert_eq!(site.get(path).await.json(), json!({"items": [], "next_cursor": null}));
    let made = site.post(path, &json!({"name": "stable"})).await;
    assert_eq!((made.status, made.header("location")), (201, "/v1/models/m/channels/stable"));
    let channel = made.json();
    let digest = site.get("/v1/models/m").await.json()["latest_digest"].clone();
    let expected = json!({
        "model": "m", "name": "stable", "version": 1, "digest": digest, "pinned": false,
        "guard": null, "steps": [1, 10, 50, 100], "select": "", "bad_versions": [], "auto": false, "approval": false,
        "evaluate_samples": 100, "created_at_ms": channel["created_at_ms"],
        "promotion": {
            "number": 1, "cause": "created", "from_version": null, "version": 1, "digest": digest,
            "state": "done", "percent": 100, "evidence": null, "actor": "rest", "approved_by": null,
            "started_at_ms": channel["created_at_ms"], "ended_at_ms": channel["created_at_ms"],
        },
    });
    assert_eq!(channel, expected);
    assert_eq!(site.get(path).await.json()["items"], json!([channel]));
    let stable = "/v1/models/m/channels/stable";
    let whole = site.get(stable).await.json();
    assert_eq!((&whole["version"], &whole["bad_versions"]), (&json!(1), &json!([])));

    let brought = bring(&site, 4).await;
    assert_eq!((brought.status, brought.header("location")), (201, "/v1/models/m/versions/2"));
    assert_eq!((&brought.json()["parent"], &brought.json()["run_id"]), (&json!(1), &json!(null)));
    assert_eq!(bring(&site, 4).await.status, 200, "the newest version is this one");
    let moved = site.post(&format!("{stable}/promote"), &json!({"version": 2})).await;
    assert_eq!((moved.status, &moved.json()["promotion"]["from_version"]), (200, &json!(1)));
    until(&site, stable, |channel| channel["version"] == 2).await;
    assert_eq!(site.get("/v1/models/m/versions/stable").await.json()["number"], 2);
    let bytes = site.get("/v1/models/m/versions/stable/artifact").await;
    assert_eq!(bytes.header("cache-control"), "no-cache");
    assert_eq!(bytes.body, artifact(4).encode());

    let setup = json!({"guard": "accuracy >= 0.930 over 50 nodes", "steps": [5, 100],
                       "select": "task = navigation", "approval": true, "evaluate_samples": 7});
    let head = "PUT /v1/models/m/channels/stable HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let put = site.raw(head, setup.to_string().as_bytes()).await;
    let channel = put.json();
    assert_eq!(put.status, 200, "{channel}");
    assert_eq!(channel["guard"], "accuracy >= 0.93 over 50 nodes");
    assert_eq!(
        (&channel["steps"], &channel["approval"], &channel["evaluate_samples"]),
        (&json!([5, 100]), &json!(true), &json!(7))
    );
    assert_eq!((&channel["select"], &channel["auto"]), (&json!("task=navigation"), &json!(false)));
    bring(&site, 5).await;
    let asked = site.post(&format!("{stable}/promote"), &json!({"version": 3})).await.json();
    assert_eq!((&asked["version"], &asked["promotion"]["state"]), (&json!(2), &json!("waiting")));
    let approved = site.post(&format!("{stable}/approve"), &json!({"promotion": 3})).await.json();
    assert_eq!(approved["promotion"]["approved_by"], "rest");
    let back = site.post(&format!("{stable}/rollback"), &json!({})).await.json();
    assert_eq!((&back["version"], &back["promotion"]["cause"]), (&json!(2), &json!("rolled_back")));
    let pinned = site.post(&format!("{stable}/pin"), &json!({"version": 1})).await.json();
    assert_eq!((&pinned["version"], &pinned["pinned"]), (&json!(1), &json!(true)));
    let free = site.post(&format!("{stable}/unpin"), &json!({})).await.json();
    assert_eq!(free["pinned"], false);
    let history = site.get(&format!("{stable}/history?limit=2")).await.json();
    let cursor = history["next_cursor"].as_str().unwrap();
    let rest = site.get(&format!("{stable}/history?cursor={cursor}")).await.json();
    let causes: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .chain(rest["items"].as_array().unwrap())
        .map(|one| (one["cause"].as_str().unwrap(), one["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        causes,
        [
            ("created", "done"),
            ("promoted", "done"),
            ("promoted", "rolled_back"),
            ("rolled_back", "done"),
            ("pinned", "done"),
        ]
    );
    site.running.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_has_its_code_and_field() {
    let site = Site::start().await;
    site.make_model("m").await;
    let path = "/v1/models/m/channels";
    for (body, status, code, field) in [
        (json!({"name": "Stable"}), 422, "invalid_name", "name"),
        (json!({"name": "latest"}), 422, "invalid_name", "name"),
        (json!({"name": "7"}), 422, "invalid_name", "name"),
        (
            json!({"name": "c", "guard": "accuracy > 0.9 over 5 nodes"}),
            422,
            "invalid_guard",
            "guard",
        ),
        (json!({"name": "c", "steps": [50, 10]}), 422, "invalid_steps", "steps"),
        (json!({"name": "c", "steps": []}), 422, "invalid_steps", "steps"),
        (json!({"name": "c", "steps": [1000]}), 422, "invalid_value", "steps[0]"),
        (json!({"name": "c", "select": "site in"}), 422, "invalid_selector", "select"),
        (json!({"name": "c", "evaluate_samples": 0}), 422, "invalid_value", "evaluate_samples"),
        (json!({"name": "c", "colour": 1}), 422, "unknown_field", "colour"),
    ] {
        let problem = site.post(path, &body).await.is_problem(status, code);
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    let problem = site
        .post(path, &json!({"name": "c", "guard": "accuracy > 0.9 over 5 nodes"}))
        .await
        .is_problem(422, "invalid_guard");
    let got = problem["errors"][0]["got"].as_str().unwrap();
    assert!(got.starts_with("character 10: expected `>=`, got `>`"), "{got}");

    let none = json!({});
    let one = json!({"version": 1});
    site.post(path, &json!({"name": "c", "version": 9})).await.is_problem(404, "version_not_found");
    site.post("/v1/models/x/channels", &json!({"name": "c"}))
        .await
        .is_problem(404, "model_not_found");
    site.get("/v1/models/x/channels").await.is_problem(404, "model_not_found");
    site.get("/v1/models/x/channels/c").await.is_problem(404, "model_not_found");
    site.get("/v1/models/m/channels/c").await.is_problem(404, "channel_not_found");
    site.get("/v1/models/m/channels/c/history").await.is_problem(404, "channel_not_found");
    site.get("/v1/models/m/versions/c").await.is_problem(404, "version_not_found");
    site.post("/v1/models/m/channels/c/promote", &one).await.is_problem(404, "channel_not_found");
    assert_eq!(site.post(path, &json!({"name": "c"})).await.status, 201);
    site.post(path, &json!({"name": "c"})).await.is_problem(409, "channel_exists");
    let c = |what: &str| format!("/v1/models/m/channels/c/{what}");
    site.post(&c("promote"), &json!({"version": 9})).await.is_problem(404, "version_not_found");
    site.post(&c("rollback"), &none).await.is_problem(409, "nothing_to_roll_back");
    site.post(&c("approve"), &none).await.is_problem(409, "approval_not_asked");
    site.post(&c("pin"), &none).await;
    site.post(&c("promote"), &one).await.is_problem(409, "channel_pinned");

    site.post("/v1/models/x/versions", &json!({"artifact": ""}))
        .await
        .is_problem(422, "invalid_artifact");
    let other = json!({"artifact": STANDARD.encode(other().encode())});
    site.post("/v1/models/x/versions", &other).await.is_problem(404, "model_not_found");
    site.post("/v1/models/m/versions", &other).await.is_problem(422, "other_model");
    site.make_run("m", plan(1, 1)).await;
    assert_eq!(bring(&site, 9).await.is_problem(409, "model_busy")["errors"][0]["field"], "model");
    site.get("/v1/models/m/compare?from=1").await.is_problem(400, "invalid_query");
    site.get("/v1/models/m/compare?from=1&to=2").await.is_problem(404, "version_not_found");
    let summary = "/v1/models/m/versions/1/evaluations/summary";
    site.get(&format!("{summary}?of=site")).await.is_problem(400, "invalid_query");
    site.running.shutdown().await;
}

fn other() -> federation::Artifact {
    let tensor = federation::Tensor { name: "w".to_owned(), rows: 1, cols: 2, min: -1, max: 1 };
    let layout = federation::Layout::new(vec![tensor]).unwrap();
    federation::Artifact::new("reckon/1", layout, Vec::new(), vec![0, 1]).unwrap()
}

#[tokio::test]
async fn a_waiting_node_hears_at_once_of_another_version_and_a_bad_one_comes_by_force_alone() {
    let mut site = Site::start().await;
    site.make_model("m").await;
    let nodes = [
        follower(&mut site, "a", &[("channel", "canary")]).await,
        follower(&mut site, "b", &[("channel", "canary")]).await,
    ];
    let guard = json!({"name": "canary", "guard": "accuracy >= 0.8 over 2 nodes", "auto": true, "steps": [100]});
    assert_eq!(site.post("/v1/models/m/channels", &guard).await.status, 201);
    let canary = "/v1/models/m/channels/canary";
    let good = loop {
        if let Some(hold) = told(&site, &nodes[0], None, 1_000).await {
            break hold;
        }
    };
    assert_eq!((good.version.0, good.promotion), (1, 1));
    let holding = Holding { digest: good.digest, promotion: good.promotion };
    // It waits, and would for a minute.
    let waits = told(&site, &nodes[0], Some(holding), 60_000);
    let (bad, brought) = tokio::join!(waits, bring(&site, 4));
    assert_eq!(brought.status, 201);
    let bad = bad.unwrap();
    assert_eq!((bad.version.0, bad.promotion), (2, 2));
    let listed = site.get("/v1/nodes").await.json();
    assert_eq!(listed["items"][0]["holding"], good.digest.to_string());
    assert_eq!(listed["items"][1]["holding"], json!(null));

    report(&mut site, &nodes[0], &bad, 9).await;
    report(&mut site, &nodes[1], &bad, 6).await;
    let channel = until(&site, canary, |channel| channel["promotion"]["cause"] == "tripped").await;
    assert_eq!((&channel["version"], &channel["pinned"]), (&json!(1), &json!(false)));
    assert_eq!(channel["bad_versions"], json!([bad.digest.to_string()]));
    let holding = Holding { digest: bad.digest, promotion: bad.promotion };
    let back = told(&site, &nodes[0], Some(holding), 60_000).await.unwrap();
    assert_eq!(back, good, "back at the lower number");
    let promote = format!("{canary}/promote");
    let problem = site.post(&promote, &json!({"version": 2})).await.is_problem(409, "version_bad");
    assert!(problem["detail"].as_str().unwrap().contains("`force`: true"), "{problem}");
    site.post("/v1/models/m/channels/canary/pin", &json!({"version": 2}))
        .await
        .is_problem(409, "version_bad");
    let forced = site.post(&promote, &json!({"version": 2, "force": true})).await.json();
    assert_eq!(forced["promotion"]["state"], "rolling");
    bring(&site, 5).await;
    site.post(&promote, &json!({"version": 3})).await.is_problem(409, "promotion_running");
    site.running.shutdown().await;
}

#[tokio::test]
async fn reports_are_summed_up_and_versions_compared() {
    let mut site = Site::start().await;
    site.make_model("m").await;
    bring(&site, 5).await;
    assert_eq!(
        site.post("/v1/models/m/channels", &json!({"name": "stable", "version": 2})).await.status,
        201
    );
    for (name, labels, correct) in [
        ("a", &[("site", "ams")][..], 10),
        ("b", &[("site", "ams")], 9),
        ("c", &[("site", "rtm")], 2),
        ("d", &[], 5),
    ] {
        let node = follower(&mut site, name, labels).await;
        let hold = loop {
            if let Some(hold) = told(&site, &node, None, 1_000).await {
                break hold;
            }
        };
        report(&mut site, &node, &hold, correct).await;
    }
    let path = "/v1/models/m/versions/2/evaluations/summary";
    let all = json!({
        "nodes": 4, "samples": 40, "correct": 26, "deciles": [0, 0, 1, 0, 0, 1, 0, 0, 0, 2],
        "worst_decile": {"nodes": 1, "samples": 10, "correct": 2},
    });
    assert_eq!(site.get(path).await.json(), json!({"all": all, "groups": null}));
    let by_site = site.get(&format!("{path}?by=site")).await.json();
    assert_eq!((&by_site["all"]["nodes"], &by_site["all"]["correct"]), (&json!(4), &json!(26)));
    let groups: Vec<_> = by_site["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            json!([
                group["label"],
                group["reports"]["nodes"],
                group["reports"]["correct"],
                group["reports"]["samples"]
            ])
        })
        .collect();
    assert_eq!(
        groups,
        [json!([null, 1, 5, 10]), json!(["ams", 2, 19, 20]), json!(["rtm", 1, 2, 10])]
    );
    let none = site.get("/v1/models/m/versions/1/evaluations/summary").await.json();
    assert_eq!(
        (&none["all"]["nodes"], &none["all"]["worst_decile"]["nodes"]),
        (&json!(0), &json!(0))
    );

    let compared = site.get("/v1/models/m/compare?from=1&to=stable").await.json();
    assert_eq!(
        (&compared["weights"], &compared["changed"], &compared["max_difference"]),
        (&json!(200_000), &json!(200_000), &json!(2))
    );
    let tensor = json!({"name": "w", "weights": 200_000, "changed": 200_000, "max_difference": 2});
    assert_eq!(compared["tensors"], json!([tensor]));
    assert_eq!((&compared["from"]["version"], &compared["to"]["version"]), (&json!(1), &json!(2)));
    let evaluation = json!({"nodes": 4, "samples": 40, "correct": 26});
    assert_eq!(
        (&compared["from"]["evaluation"], &compared["to"]["evaluation"]),
        (&json!(null), &evaluation)
    );
    let bins = |histogram: &Value| {
        let counts = histogram["counts"].as_array().unwrap();
        counts.iter().position(|count| *count == 200_000).unwrap()
    };
    assert_eq!(bins(&compared["from"]["weights"]), 8, "3 lies in 0 to 15");
    assert_eq!(bins(&compared["difference"]), 8, "2 lies in 0 to 31");
    assert_eq!(compared["difference"]["from"], -256);
    let same = site.get("/v1/models/m/compare?from=2&to=2").await.json();
    assert_eq!(same["changed"], 0);
    site.running.shutdown().await;
}
