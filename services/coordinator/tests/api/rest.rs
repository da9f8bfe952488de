//! What people and tools get to see: every route, and every error with its code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::Digest;
use federation::limits::REST_BODY_BYTES_MAX;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Site, artifact, new_model, plan, read_response, update};

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn models_versions_and_artifacts() {
    let site = Site::start().await;
    let body = new_model("m", 3);
    let made = site.post("/v1/models", &body).await;
    assert_eq!((made.status, made.header("location")), (201, "/v1/models/m"));
    let digest = Digest::of(&artifact(3).encode()).to_string();
    let model = made.json();
    assert_eq!((&model["latest_version"], &model["latest_digest"]), (&json!(1), &json!(digest)));
    assert_eq!((&model["learner"], &model["weights"]), (&json!("reckon/1"), &json!(200_000)));
    let again = site.post("/v1/models", &body).await;
    assert_eq!((again.status, again.json()), (200, model.clone()));
    site.post("/v1/models", &new_model("m", 4)).await.is_problem(409, "model_exists");
    assert_eq!(site.get("/v1/models/m").await.json(), model);
    assert_eq!(site.get("/v1/models").await.json(), json!({"items": [model], "next_cursor": null}));

    let version = site.get("/v1/models/m/versions/latest").await.json();
    assert_eq!(site.get("/v1/models/m/versions/1").await.json(), version);
    assert_eq!(site.get("/v1/models/m/versions").await.json()["items"], json!([version]));
    let expected = json!({
        "model": "m", "number": 1, "digest": digest, "parent": null, "parent_digest": null,
        "run_id": null, "round": null, "updates": 0, "samples": 0, "correct": 0, "synaptic_ops": 0,
        "bytes_up": 0, "bytes_down": 0, "sum_digest": null, "optimizer_digest": null,
        "plan_digest": null, "audit_head": "0".repeat(64), "evaluation": null, "created_at_ms": version["created_at_ms"],
    });
    assert_eq!(version, expected);

    let path = "/v1/models/m/versions/1/artifact";
    let bytes = site.get(path).await;
    assert_eq!((bytes.status, bytes.body), (200, artifact(3).encode()));
    let etag = format!("\"{digest}\"");
    assert_eq!(bytes.headers["etag"], etag);
    assert_eq!(bytes.headers["content-type"], "application/octet-stream");
    assert!(bytes.headers["cache-control"].contains("immutable"));
    let latest = site.get("/v1/models/m/versions/latest/artifact").await;
    assert_eq!(
        (latest.header("cache-control"), latest.header("content-location")),
        ("no-cache", path)
    );
    for tags in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {tags}\r\n");
        let unchanged = site.raw(&head, b"").await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{tags}");
        assert_eq!(unchanged.header("etag"), etag);
    }
    let changed = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nif-none-match: \"x\"\r\n");
    assert_eq!(site.raw(&changed, b"").await.status, 200);
    let head = site.raw(&format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n"), b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), artifact(3).encode().len().to_string());

    for (path, code) in [
        ("/v1/models/x", "model_not_found"),
        ("/v1/models/NO", "model_not_found"),
        ("/v1/models/x/versions", "model_not_found"),
        ("/v1/models/x/versions/1", "model_not_found"),
        ("/v1/models/m/versions/2", "version_not_found"),
        ("/v1/models/m/versions/0", "version_not_found"),
        ("/v1/models/m/versions/newest", "version_not_found"),
        ("/v1/models/m/versions/99999999999/artifact", "version_not_found"),
    ] {
        site.get(path).await.is_problem(404, code);
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_run_from_its_plan_to_its_last_version() {
    let mut site = Site::start().await;
    let nodes = [site.enrol("a").await, site.enrol("b").await];
    site.make_model("m").await;
    let made = site.post("/v1/runs", &json!({"model": "m", "plan": plan(2, 2)})).await;
    assert_eq!((made.status, made.header("location")), (201, "/v1/runs/1"));
    let run = made.json();
    assert_eq!(
        (&run["state"], &run["round"], &run["base_version"]),
        (&json!("waiting"), &Value::Null, &json!(1))
    );
    assert_eq!(run["plan"]["cohort"]["attempts_max"], 3, "defaults are shown: {run}");
    let busy = site.post("/v1/runs", &json!({"model": "m", "plan": plan(2, 2)})).await;
    assert!(busy.is_problem(409, "model_busy")["detail"].as_str().unwrap().contains("run 1"));

    let first = site.order(&nodes[0]).await;
    let live = site.get("/v1/runs/1").await.json();
    assert_eq!(live["state"], "running");
    let round = &live["round"];
    assert_eq!(
        (&round["number"], &round["cohort"], &round["goal"]),
        (&json!(1), &json!(2), &json!(2))
    );
    for round in 1..=2_u32 {
        for node in &nodes {
            let order = site.order(node).await;
            assert_eq!(order.round.number, round);
            let (candidate, payload) = update(&order, node, 2);
            site.push(&candidate, &payload).await.unwrap();
        }
        let digest = loop {
            let latest = site.get("/v1/models/m/versions/latest").await.json();
            if latest["number"] == round + 1 {
                break latest["digest"].clone();
            }
        };
        assert_ne!(digest, json!(first.base.to_string()));
    }
    let done = loop {
        let run = site.get("/v1/runs/1").await.json();
        if run["state"] == "completed" {
            break run;
        }
    };
    assert_eq!((&done["rounds_published"], &done["latest_version"]), (&json!(2), &json!(3)));
    assert!(done["ended_at_ms"].is_u64() && done["round"].is_null());
    let rounds = site.get("/v1/runs/1/rounds?limit=1").await.json();
    let cursor = rounds["next_cursor"].as_str().unwrap();
    let round = &rounds["items"][0];
    assert_eq!(
        (&round["state"], &round["version"], &round["updates"]),
        (&json!("published"), &json!(2), &json!(2))
    );
    assert_eq!((&round["bytes_up"], &round["at_deadline"]), (&json!(400_000), &json!(false)));
    let rest = site.get(&format!("/v1/runs/1/rounds?cursor={cursor}")).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let version = site.get("/v1/models/m/versions/3").await.json();
    assert_eq!(
        (&version["parent"], &version["run_id"], &version["round"]),
        (&json!(2), &json!(1), &json!(2))
    );
    for name in ["sum_digest", "optimizer_digest", "plan_digest", "audit_head"] {
        assert_eq!(version[name].as_str().unwrap().len(), 64, "{name}");
    }
    assert_eq!(site.get("/v1/runs").await.json()["items"], json!([done]));

    let listed = site.get("/v1/nodes").await.json();
    let node = &listed["items"][0];
    assert_eq!((&node["id"], &node["labels"]), (&json!("a"), &json!({"task": "navigation"})));
    assert_eq!(node["public_key"], json!(Digest::of(b"a").to_string()));
    assert!(node["seen_at_ms"].as_u64() >= node["enrolled_at_ms"].as_u64());
    let page = site.get("/v1/nodes?limit=1").await.json();
    let next = page["next_cursor"].as_str().unwrap();
    let page = site.get(&format!("/v1/nodes?cursor={next}")).await.json();
    assert_eq!(page["items"], json!([listed["items"][1]]));
    site.running.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_by_its_code_and_field() {
    let site = Site::start().await;
    site.make_model("m").await;
    let run = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"model": "m", "plan": plan(2, 2)});
        change(&mut body);
        body
    };
    type Change = dyn Fn(&mut Value);
    let cases: [(&Change, u16, &str, &str); 18] = [
        (
            &|body| body["plan"]["cohort"]["select"] = json!("site=ams,"),
            422,
            "invalid_plan",
            "plan.cohort.select",
        ),
        (
            &|body| body["plan"]["cohort"]["select"] = json!({"Site": "ams"}),
            422,
            "invalid_plan",
            "plan.cohort.select",
        ),
        (
            &|body| body["plan"]["cohort"]["select"] = json!(["site=ams"]),
            422,
            "invalid_value",
            "plan.cohort.select",
        ),
        (
            &|body| body["plan"]["cohort"]["eligible"] = json!({"chargin": true}),
            422,
            "unknown_field",
            "plan.cohort.eligible.chargin",
        ),
        (
            &|body| body["plan"]["cohort"]["eligible"] = json!({"battery_percent_min": 101}),
            422,
            "invalid_plan",
            "plan.cohort.eligible.battery_percent_min",
        ),
        (
            &|body| body["plan"]["cohort"]["eligible"] = json!({"capacity_min": {"a": -1}}),
            422,
            "invalid_value",
            "plan.cohort.eligible.capacity_min.a",
        ),
        (&|body| body["plan"]["rounds"] = Value::Null, 422, "invalid_plan", "plan.rounds"),
        (&|body| body["plan"]["continuous"] = json!(true), 422, "invalid_plan", "plan.rounds"),
        (
            &|body| body["plan"]["cohort"]["gaol"] = json!(1),
            422,
            "unknown_field",
            "plan.cohort.gaol",
        ),
        (&|body| body["plna"] = json!(1), 422, "unknown_field", "plna"),
        (
            &|body| body["plan"]["strategy"]["name"] = json!("magic"),
            422,
            "invalid_value",
            "plan.strategy.name",
        ),
        (&|body| body["plan"]["rounds"] = json!("ten"), 422, "invalid_value", "plan.rounds"),
        (&|body| body["plan"]["seed"] = json!(-1), 422, "invalid_value", "plan.seed"),
        (
            &|body| {
                body["plan"].as_object_mut().unwrap().remove("seed");
            },
            422,
            "invalid_value",
            "plan.seed",
        ),
        (
            &|body| {
                body["plan"]["local"]["schedule"] =
                    json!([{"from_round": 1, "registers": {"A": -1}}])
            },
            422,
            "invalid_value",
            "plan.local.schedule[0].registers.A",
        ),
        (
            &|body| body["plan"]["cohort"]["goal"] = json!(0),
            422,
            "invalid_plan",
            "plan.cohort.goal",
        ),
        (
            &|body| body["plan"]["cohort"]["nodes"] = json!(["x y"]),
            422,
            "invalid_plan",
            "plan.cohort.nodes[0]",
        ),
        (
            &|body| body["plan"]["cohort"]["over_selection"] = json!(0.5),
            422,
            "invalid_plan",
            "plan.cohort.over_selection",
        ),
    ];
    for (change, status, code, field) in cases {
        let problem = site.post("/v1/runs", &run(change)).await.is_problem(status, code);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(
            problem["errors"][0]["expected"].is_string() && problem["errors"][0]["got"].is_string()
        );
    }
    let all = run(&|body| {
        body["plan"]["rounds"] = json!(0);
        body["plan"]["cohort"]["deadline_ms"] = json!(1);
        body["plan"]["local"]["samples"] = json!(0);
    });
    let problem = site.post("/v1/runs", &all).await.is_problem(422, "invalid_plan");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 3, "all at once: {problem}");
    for model in ["x", "NO"] {
        let unknown = run(&|body| body["model"] = json!(model));
        site.post("/v1/runs", &unknown).await.is_problem(404, "model_not_found");
    }

    let post = "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\n";
    let problem =
        site.raw(&format!("{post}{JSON}"), b"{\"model\": ").await.is_problem(400, "invalid_json");
    assert!(problem["detail"].as_str().unwrap().contains("line 1 column"), "{problem}");
    for body in [&b""[..], b"{\"model\" 1}", b"\xff"] {
        site.raw(&format!("{post}{JSON}"), body).await.is_problem(400, "invalid_json");
    }
    site.raw(&format!("{post}{JSON}"), b"[]").await.is_problem(422, "invalid_value");
    let with_charset = format!("{post}content-type: Application/JSON; charset=utf-8\r\n");
    site.raw(&with_charset, b"{}").await.is_problem(422, "invalid_value");
    for head in
        ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        let response = site.raw(&format!("{post}{head}"), b"{}").await;
        response.is_problem(415, "unsupported_media_type");
    }

    let name = json!({"name": "Not A Name", "artifact": ""});
    site.post("/v1/models", &name).await.is_problem(422, "invalid_name");
    for artifact in ["%", "", &STANDARD.encode("MUSTERv1")] {
        let body = json!({"name": "n", "artifact": artifact});
        let problem = site.post("/v1/models", &body).await.is_problem(422, "invalid_artifact");
        assert_eq!(problem["errors"][0]["field"], "artifact");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "page=2"] {
        site.get(&format!("/v1/runs?{query}")).await.is_problem(400, "invalid_query");
    }
    for path in ["/v1/runs/1", "/v1/runs/0", "/v1/runs/x", "/v1/runs/1/rounds"] {
        site.get(path).await.is_problem(404, "run_not_found");
    }
    assert_eq!(site.get("/v1/runs").await.json(), json!({"items": [], "next_cursor": null}));
    site.running.shutdown().await;
}

#[tokio::test]
async fn runs_are_paused_resumed_and_cancelled() {
    let mut site = Site::start().await;
    let node = site.enrol("a").await;
    site.make_model("m").await;
    let mut plan = plan(1, 1);
    plan["rounds"] = Value::Null;
    plan["continuous"] = json!(true);
    plan["cohort"]["select"] = json!("task in (navigation,other),!retired");
    site.make_run("m", plan).await;
    let shown = site.get("/v1/runs/1").await.json();
    assert_eq!(
        (&shown["plan"]["rounds"], &shown["plan"]["continuous"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(shown["plan"]["cohort"]["select"], "!retired,task in (navigation,other)");
    let order = site.order(&node).await;

    let nothing = json!({});
    for _ in 0..2 {
        let paused = site.post("/v1/runs/1/pause", &nothing).await;
        assert_eq!((paused.status, &paused.json()["state"]), (200, &json!("paused")));
    }
    let (candidate, payload) = update(&order, &node, 1);
    site.push(&candidate, &payload).await.unwrap();
    loop {
        let run = site.get("/v1/runs/1").await.json();
        assert_eq!(run["state"], "paused");
        if run["rounds_published"] == 1 {
            break;
        }
    }
    let resumed = site.post("/v1/runs/1/resume", &nothing).await;
    assert_eq!((resumed.status, &resumed.json()["state"]), (200, &json!("running")));
    assert_eq!(site.order(&node).await.round.number, 2);

    for _ in 0..2 {
        let over = site.post("/v1/runs/1/cancel", &nothing).await.json();
        assert_eq!((&over["state"], &over["round"]), (&json!("cancelled"), &Value::Null));
        assert!(over["ended_at_ms"].is_u64(), "{over}");
    }
    let rounds = site.get("/v1/runs/1/rounds").await.json();
    let last = &rounds["items"][1];
    assert_eq!((&last["state"], &last["reason"]), (&json!("abandoned"), &json!("cancelled")));
    for verb in ["pause", "resume"] {
        let refused = site.post(&format!("/v1/runs/1/{verb}"), &nothing).await;
        let problem = refused.is_problem(409, "run_over");
        assert!(problem["detail"].as_str().unwrap().contains("cancelled"), "{problem}");
    }
    for verb in ["pause", "resume", "cancel"] {
        for id in ["2", "0", "x", "99999999999999999999"] {
            let path = format!("/v1/runs/{id}/{verb}");
            site.post(&path, &nothing).await.is_problem(404, "run_not_found");
        }
        let path = format!("/v1/runs/1/{verb}");
        site.post(&path, &json!({"why": "x"})).await.is_problem(422, "unknown_field");
        site.get(&path).await.is_problem(405, "method_not_allowed");
        let form = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
        site.raw(&form, b"").await.is_problem(415, "unsupported_media_type");
    }
    site.post("/v1/runs/1/stop", &nothing).await.is_problem(404, "not_found");
    site.running.shutdown().await;
}

#[tokio::test]
async fn the_framework_answers_in_problems_too() {
    let site = Site::start().await;
    for path in ["/nowhere", "/v1", "/v1/models/", "/v2/models", "/v1/models/%ff"] {
        site.get(path).await.is_problem(404, "not_found");
    }
    let wrong = site.raw("DELETE /v1/models HTTP/1.1\r\nhost: localhost\r\n", b"").await;
    wrong.is_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "GET,HEAD,POST");
    let wrong = site.raw("PUT /healthz HTTP/1.1\r\nhost: localhost\r\n", b"").await;
    wrong.is_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "GET,HEAD");

    // Sent whole, sent in chunks, and asked first: the refusal is read in each case.
    let post = format!("POST /v1/models HTTP/1.1\r\nhost: localhost\r\n{JSON}");
    let large = vec![b' '; REST_BODY_BYTES_MAX + 1];
    site.raw(&post, &large).await.is_problem(413, "body_too_large");
    let mut chunked = format!("{:x}\r\n", large.len()).into_bytes();
    chunked.extend_from_slice(&large);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let response = site.raw(&format!("{post}transfer-encoding: chunked\r\n"), &chunked).await;
    response.is_problem(413, "body_too_large");
    let asking = format!("{post}content-length: {}\r\nexpect: 100-continue\r\n", large.len());
    site.raw(&asking, b"").await.is_problem(413, "body_too_large");
    let fits = vec![b' '; REST_BODY_BYTES_MAX];
    site.raw(&post, &fits).await.is_problem(400, "invalid_json");

    let mut stream = TcpStream::connect(site.running.http_addr()).await.unwrap();
    let short = format!("{post}content-length: 10\r\nconnection: close\r\n\r\n{{");
    stream.write_all(short.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"));
    site.running.shutdown().await;
}

#[tokio::test]
async fn only_this_machine_s_own_user_is_served() {
    let site = Site::start().await;
    for host in ["localhost", "LocalHost:7400", "127.0.0.1:7400", "[::1]:7400"] {
        let response = site.raw(&format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n"), b"").await;
        assert_eq!((response.status, response.json()), (200, json!({"status": "ok"})), "{host}");
    }
    for host in ["example.com", "localhost.example.com", "10.0.0.1", "", "127.0.0.1@example.com"] {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\n");
        site.raw(&head, b"").await.is_problem(421, "host_not_allowed");
    }
    let twice = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: example.com\r\n";
    site.raw(twice, b"").await.is_problem(421, "host_not_allowed");
    let absolute = "GET http://example.com/healthz HTTP/1.1\r\nhost: localhost\r\n";
    site.raw(absolute, b"").await.is_problem(421, "host_not_allowed");
    for origin in ["http://example.com", "null", "https://localhost.example.com"] {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n");
        site.raw(&head, b"").await.is_problem(403, "origin_not_allowed");
    }
    let own = "GET /readyz HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:7400\r\n";
    let ready = site.raw(own, b"").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready"})));

    let mut old = TcpStream::connect(site.running.http_addr()).await.unwrap();
    old.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    read_response(&mut old).await.is_problem(421, "host_not_allowed");
    site.running.shutdown().await;
}
