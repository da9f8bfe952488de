//! Attacks on who may come in: each succeeds without its defence.

use federation::limits::{NODE_OPEN_MAX, REST_BODY_BYTES_MAX};
use federation::secret::{Kind, Secret};
use federation::{Enrolment, Evaluation};
use proto::convert::FetchVersion;
use proto::v1;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::access::{Device, Guarded, enrolled, reason, shown};
use crate::support::{artifact, messages, new_model, plan, update};

/// A token with the same number and another secret.
fn forged(token: &str) -> String {
    let flip = |c: char| if c == '0' { '1' } else { '0' };
    let last = token.chars().last().unwrap();
    format!("{}{}", &token[..token.len() - 1], flip(last))
}

#[tokio::test]
async fn guessing_a_token_is_told_to_stop_and_hits_nobody_else() {
    let guarded = Guarded::start().await;
    let wrong = forged(&guarded.admin);
    for _ in 0..10 {
        let answer = guarded.get("/v1/tokens", &wrong).await;
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let answer = guarded.get("/v1/tokens", &wrong).await;
    answer.is_problem(429, "too_many_attempts");
    assert_eq!(answer.header("retry-after"), "5");
    // Whoever asks without one does not guess, and neither does what has no token's form.
    for formless in ["", "nonsense", "mst_999_", "mst_1_00"] {
        guarded.get("/v1/tokens", formless).await.is_problem(401, "unauthenticated");
    }
    assert_eq!(guarded.get("/v1/tokens", &guarded.admin).await.status, 200);
    guarded.clock.advance(5_000);
    guarded.get("/v1/tokens", &wrong).await.is_problem(401, "unauthenticated");
    guarded.get("/v1/tokens", &wrong).await.is_problem(429, "too_many_attempts");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn guessing_credentials_and_enrolment_tokens_is_told_to_stop_too() {
    let mut guarded = Guarded::start().await;
    let token = guarded.enrolment_token(json!({"name": "line"})).await;
    let node = guarded.node("good").await;
    let thief = node.with_secret(77);
    for _ in 0..5 {
        assert_eq!(thief.asks(&mut guarded.site, 0).await.unwrap_err(), "unauthenticated");
        let found = Device::new("new").enrol(&mut guarded.site, Some(&forged(&token))).await;
        assert_eq!(found.unwrap_err(), "enrolment_token_unknown");
    }
    assert_eq!(thief.asks(&mut guarded.site, 0).await.unwrap_err(), "too_many_attempts");
    let new = Device::new("new");
    let proof = Some(new.proof(&forged(&token), &new));
    let request = v1::EnrolRequest::from(Enrolment { proof, ..new.enrolment() });
    let error = guarded.site.fleet.enrol(request).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::ResourceExhausted, "too_many_attempts")
    );
    let wait = error.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(wait.as_millis(), 5_000);
    node.asks(&mut guarded.site, 0).await.unwrap();
    new.enrol(&mut guarded.site, Some(&token)).await.unwrap();
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn what_is_no_bearer_token_is_nobody() {
    let guarded = Guarded::start().await;
    let admin = &guarded.admin;
    for head in [
        format!("authorization: {admin}\r\n"),
        format!("authorization: Basic {admin}\r\n"),
        "authorization: Bearer\r\n".to_owned(),
        format!("authorization: Bearer {admin}\r\nauthorization: Bearer {admin}\r\n"),
        format!("authorization: Bearer {admin} {admin}\r\n"),
        format!("authorization: Bearer {}\r\n", admin.to_uppercase()),
        format!("authorization: Bearer {}\r\n", admin.replacen("_1_", "_01_", 1)),
        format!("cookie: token={admin}\r\n"),
        format!("x-authorization: Bearer {admin}\r\n"),
    ] {
        let head = format!("GET /v1/models?token={admin} HTTP/1.1\r\nhost: h\r\n{head}");
        let answer = guarded.site.raw(&head, b"").await;
        assert!(matches!(answer.status, 400 | 401), "{head}: {}", answer.status);
    }
    for head in ["authorization: bearer", "AUTHORIZATION: BEARER"] {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{head} {admin}\r\n");
        assert_eq!(guarded.site.raw(&head, b"").await.status, 200);
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_token_that_expired_or_was_revoked_is_nobodys() {
    let guarded = Guarded::start().await;
    let body = json!({"name": "short", "scope": "admin", "expires_in_ms": 1_000});
    let short = guarded.post("/v1/tokens", body).await.json()["token"].clone();
    let short = short.as_str().unwrap();
    let other = guarded.token("admin").await;
    guarded.clock.advance(999);
    assert_eq!(guarded.get("/v1/tokens", short).await.status, 200);
    guarded.clock.advance(1);
    guarded.get("/v1/tokens", short).await.is_problem(401, "unauthenticated");
    assert_eq!(guarded.get("/v1/tokens", &other).await.status, 200);
    assert_eq!(guarded.post("/v1/tokens/3/revoke", json!({})).await.status, 200);
    guarded.get("/v1/tokens", &other).await.is_problem(401, "unauthenticated");
    guarded.post("/v1/tokens/99/revoke", json!({})).await.is_problem(404, "token_not_found");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn an_enrolment_token_that_expired_is_used_up_or_was_revoked_lets_nobody_in() {
    let mut guarded = Guarded::start().await;
    let one = guarded.enrolment_token(json!({"name": "one", "expires_in_ms": 1_000})).await;
    let two = guarded.enrolment_token(json!({"name": "two", "uses_max": 2})).await;
    let three = guarded.enrolment_token(json!({"name": "three", "uses_max": 9})).await;
    let site = &mut guarded.site;
    Device::new("a").enrol(site, Some(&two)).await.unwrap();
    Device::new("b").enrol(site, Some(&two)).await.unwrap();
    let code = Device::new("c").enrol(site, Some(&two)).await.unwrap_err();
    assert_eq!(code, "enrolment_token_exhausted");
    Device::new("d").enrol(site, Some(&three)).await.unwrap();
    guarded.clock.advance(1_000);
    let revoked = guarded.post("/v1/enrolment-tokens/3/revoke", json!({})).await;
    assert_eq!(revoked.status, 200);
    let site = &mut guarded.site;
    let code = Device::new("e").enrol(site, Some(&one)).await.unwrap_err();
    assert_eq!(code, "enrolment_token_expired");
    let code = Device::new("e").enrol(site, Some(&three)).await.unwrap_err();
    assert_eq!(code, "enrolment_token_revoked");
    Device::new("d").asks(site, 0).await.unwrap();
    let code = Device::new("e").enrol(site, None).await.unwrap_err();
    assert_eq!(code, "enrolment_token_missing");
    let code = Device::new("e").enrol(site, Some("mse_1_x")).await.unwrap_err();
    assert_eq!(code, "enrolment_token_unknown");
    // An API token enrols nobody, however much else it may do.
    let code = Device::new("e").enrol(site, Some(&guarded.admin)).await.unwrap_err();
    assert_eq!(code, "enrolment_token_unknown");
    let nodes = guarded.get("/v1/nodes", &guarded.admin).await.json();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn every_route_asks_for_a_token_of_its_scope() {
    let guarded = Guarded::start().await;
    let (read, operate) = (guarded.token("read").await, guarded.token("operate").await);
    let document = guarded.get("/openapi.json", &read).await.json();
    let mut walked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let method = method.to_uppercase();
            let part =
                |part: &str| if part.starts_with('{') { "9".to_owned() } else { part.to_owned() };
            let place: Vec<String> = path.split('/').map(part).collect();
            let place = place.join("/");
            let ask = async |token: &str| {
                let body = (method != "GET").then(|| json!({}));
                guarded.ask(&method, &place, token, body.as_ref()).await
            };
            let who = format!("{method} {path}");
            walked += 1;
            if matches!(path.as_str(), "/healthz" | "/readyz") {
                assert_eq!(ask("").await.status, 200, "{who}");
                continue;
            }
            assert_eq!(ask("").await.is_problem(401, "unauthenticated")["status"], 401, "{who}");
            let secrets =
                path.contains("tokens") || path.ends_with("/revoke") || path.contains("backup");
            let (reads, operates) = (method == "GET" && !secrets, !secrets);
            for (token, may) in [(&read, reads), (&operate, operates), (&guarded.admin, true)] {
                let answer = ask(token).await;
                assert!(!matches!(answer.status, 401 | 429 | 500..), "{who}: {}", answer.text());
                assert_eq!(answer.status != 403, may, "{who}: {}", answer.text());
                if !may {
                    answer.is_problem(403, "scope_missing");
                }
            }
            guarded.clock.advance(100);
        }
    }
    assert!(walked > 25, "{walked}");
    for path in ["/", "/nowhere", "/v1", "/docs/", "/healthz/"] {
        guarded.get(path, "").await.is_problem(401, "unauthenticated");
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_token_that_reads_changes_nothing() {
    let guarded = Guarded::start().await;
    let read = guarded.token("read").await;
    let model = new_model("m", 3);
    let answer = guarded.ask("POST", "/v1/models", &read, Some(&model)).await;
    answer.is_problem(403, "scope_missing");
    let more = json!({"name": "more", "scope": "admin"});
    let answer = guarded.ask("POST", "/v1/tokens", &read, Some(&more)).await;
    answer.is_problem(403, "scope_missing");
    let models = guarded.get("/v1/models", &read).await;
    assert_eq!((models.status, &models.json()["items"]), (200, &json!([])));
    assert_eq!(guarded.get("/v1/tokens", &guarded.admin).await.json()["items"][2], Value::Null);
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_revoked_node_is_answered_nothing_not_even_what_it_waits_for() {
    let mut guarded = Guarded::start().await;
    let (bad, good) = (guarded.node("bad").await, guarded.node("good").await);
    assert_eq!(guarded.post("/v1/models", new_model("m", 3)).await.status, 201);
    let made = guarded.post("/v1/runs", json!({"model": "m", "plan": plan(2, 1)})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let mut orders = Vec::new();
    for node in [&bad, &good] {
        let request = v1::WaitOrderRequest {
            node_id: node.id.to_string(),
            wait_ms: 30_000,
            ..v1::WaitOrderRequest::default()
        };
        let answer = guarded.site.fleet.wait_order(node.call(request)).await.unwrap().into_inner();
        let (reply, _, _): (proto::convert::Reply<proto::convert::Order>, _, _) =
            answer.try_into().unwrap();
        let proto::convert::Order::Train(order) = reply.unwrap() else { panic!("no order") };
        orders.push(order);
    }
    // What it contributed before stays.
    let (candidate, payload) = update(&orders[0], &bad.id, 1);
    let push = async |guarded: &mut Guarded| {
        let stream = tokio_stream::iter(messages(&candidate, &payload));
        let answer = guarded.site.fleet.push_update(bad.call(stream)).await.unwrap();
        answer.into_inner().result.unwrap()
    };
    let first = push(&mut guarded).await;
    assert!(matches!(first, v1::push_update_response::Result::Receipt(_)), "{first:?}");

    // As many of its questions wait as may; each comes again until it is among them.
    let mut waiting = Vec::new();
    for _ in 0..NODE_OPEN_MAX {
        let (mut fleet, bad) = (guarded.site.fleet.clone(), bad.clone());
        waiting.push(tokio::spawn(async move {
            loop {
                let request = v1::WaitOrderRequest {
                    node_id: bad.id.to_string(),
                    wait_ms: 60_000,
                    ..v1::WaitOrderRequest::default()
                };
                match fleet.wait_order(bad.call(request)).await {
                    Err(error) if reason(&error) == "rate_limited" => {}
                    other => break other.unwrap().into_inner().order.unwrap(),
                }
            }
        }));
    }
    while bad.asks(&mut guarded.site, 0).await != Err("rate_limited".to_owned()) {
        guarded.clock.advance(100);
    }
    let operate = guarded.token("operate").await;
    let answer = guarded.ask("POST", "/v1/nodes/bad/revoke", &operate, Some(&json!({}))).await;
    answer.is_problem(403, "scope_missing");
    let revoked = guarded.post("/v1/nodes/bad/revoke", json!({})).await;
    assert_eq!((revoked.status, revoked.json()["revoked_at_ms"].is_u64()), (200, true));
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        let v1::wait_order_response::Order::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.code, "node_revoked");
    }

    assert_eq!(bad.asks(&mut guarded.site, 60_000).await.unwrap_err(), "node_revoked");
    assert_eq!(bad.enrol(&mut guarded.site, None).await.unwrap_err(), "node_revoked");
    let token = guarded.enrolment_token(json!({"name": "again"})).await;
    let again = bad.with_secret(5).enrol(&mut guarded.site, Some(&token)).await;
    assert_eq!(again.unwrap_err(), "node_revoked");
    let refused = push(&mut guarded).await;
    let v1::push_update_response::Result::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.code, "node_revoked");
    good.asks(&mut guarded.site, 0).await.unwrap();
    let (candidate, payload) = update(&orders[1], &good.id, 3);
    let stream = tokio_stream::iter(messages(&candidate, &payload));
    let counted = guarded.site.fleet.push_update(good.call(stream)).await.unwrap().into_inner();
    assert!(matches!(counted.result, Some(v1::push_update_response::Result::Receipt(_))));
    let version = loop {
        let latest = guarded.get("/v1/models/m/versions/latest", &guarded.admin).await.json();
        if latest["number"] == 2 {
            break latest;
        }
        guarded.clock.advance(100);
    };
    assert_eq!(version["updates"], 2, "what it contributed before stays");
    guarded.post("/v1/nodes/nobody/revoke", json!({})).await.is_problem(404, "node_not_found");

    let Guarded { site: crate::support::Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let mut guarded = Guarded::over(dir, clock).await;
    assert_eq!(bad.asks(&mut guarded.site, 60_000).await.unwrap_err(), "node_revoked", "for good");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_does_not_speak_for_another() {
    let mut guarded = Guarded::start().await;
    let (one, other) = (guarded.node("one").await, guarded.node("other").await);
    let fleet = &mut guarded.site.fleet;
    let node_id = other.id.to_string();
    let digest = federation::Digest::of(&artifact(3).encode());
    let wait = v1::WaitOrderRequest { node_id, ..v1::WaitOrderRequest::default() };
    let fetch = v1::FetchVersionRequest::from(FetchVersion { node: other.id.clone(), digest });
    let report = v1::ReportEvaluationRequest::from(Evaluation {
        node: other.id.clone(),
        model: "m".parse().unwrap(),
        version: digest,
        samples: 10,
        correct: 9,
    });
    let header = v1::UpdateHeader {
        node_id: other.id.to_string(),
        round: Some(v1::RoundRef { run_id: 1, round: 1, attempt: 1 }),
        base_digest: digest.0.to_vec().into(),
        payload_bytes: 1,
        payload_digest: digest.0.to_vec().into(),
        samples: 1,
        ..v1::UpdateHeader::default()
    };
    let part = Some(v1::push_update_request::Part::Header(header));
    let push = || tokio_stream::iter([v1::PushUpdateRequest { part: part.clone() }]);
    let errors = [
        fleet.wait_order(one.call(wait.clone())).await.unwrap_err(),
        fleet.fetch_version(one.call(fetch.clone())).await.unwrap_err(),
        fleet.report_evaluation(one.call(report.clone())).await.unwrap_err(),
        fleet.push_update(one.call(push())).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::PermissionDenied, "node_mismatch")
        );
    }
    let errors = [
        fleet.wait_order(Request::new(wait.clone())).await.unwrap_err(),
        fleet.fetch_version(Request::new(fetch)).await.unwrap_err(),
        fleet.report_evaluation(Request::new(report)).await.unwrap_err(),
        fleet.push_update(Request::new(push())).await.unwrap_err(),
        // Nor does an API token.
        fleet.wait_order(shown(wait, &guarded.admin)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::Unauthenticated, "unauthenticated")
        );
    }
    other.asks(&mut guarded.site, 0).await.unwrap();
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn nobody_enrols_with_the_public_key_of_another_node() {
    let mut guarded = Guarded::start().await;
    let token = guarded.enrolment_token(json!({"name": "line", "uses_max": 5})).await;
    let (victim, thief) = (Device::new("victim"), Device::new("thief"));
    victim.enrol(&mut guarded.site, Some(&token)).await.unwrap();
    thief.enrol(&mut guarded.site, Some(&token)).await.unwrap();
    let site = &mut guarded.site;
    // The thief holds a token that lets it in, and knows the victim's public key; it wants its own credential there.
    let taken = victim.with_secret(66);
    let proof = taken.proof(&token, &thief);
    let request = Enrolment { proof: Some(proof), ..victim.enrolment() };
    for request in [
        Request::new(v1::EnrolRequest::from(request.clone())),
        thief.call(v1::EnrolRequest::from(request)),
    ] {
        let answer = site.fleet.enrol(request).await.unwrap().into_inner();
        assert_eq!(enrolled(answer).unwrap_err(), "enrolment_proof_invalid");
    }
    // By its own credential alone it gets nowhere either.
    let request = thief.call(v1::EnrolRequest::from(victim.enrolment()));
    let answer = site.fleet.enrol(request).await.unwrap().into_inner();
    assert_eq!(enrolled(answer).unwrap_err(), "enrolment_token_missing");
    // The victim's own enrolment, overheard and sent again with another credential, is signed for that of the victim.
    let mut overheard = victim.proof(&token, &victim);
    overheard.credential = taken.proof(&token, &thief).credential;
    let request = Enrolment { proof: Some(overheard), ..victim.enrolment() };
    let answer = site.fleet.enrol(v1::EnrolRequest::from(request)).await.unwrap().into_inner();
    assert_eq!(enrolled(answer).unwrap_err(), "enrolment_proof_invalid");
    // Sent again as it was, it changes nothing.
    let overheard = Some(victim.proof(&token, &victim));
    let request = Enrolment { proof: overheard, ..victim.enrolment() };
    let answer = site.fleet.enrol(v1::EnrolRequest::from(request)).await.unwrap().into_inner();
    assert_eq!(enrolled(answer).unwrap(), victim.id);
    assert_eq!(taken.asks(site, 0).await.unwrap_err(), "unauthenticated");
    victim.asks(site, 0).await.unwrap();
    // And a name that is taken stays taken.
    let mut named = Device::new("other");
    named.id = victim.id.clone();
    let code = named.enrol(site, Some(&token)).await.unwrap_err();
    assert_eq!(code, "name_taken");
    let shown = guarded.get("/v1/enrolment-tokens/1", &guarded.admin).await.json();
    assert_eq!(shown["uses"], 2, "what was refused uses nothing up");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let guarded = Guarded::start().await;
    let (one, other) = (guarded.token("read").await, guarded.token("read").await);
    for _ in 0..200 {
        assert_eq!(guarded.get("/v1/models", &one).await.status, 200);
    }
    let answer = guarded.get("/v1/models", &one).await;
    answer.is_problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(guarded.get("/v1/models", &other).await.status, 200);
    guarded.clock.advance(10);
    assert_eq!(guarded.get("/v1/models", &one).await.status, 200);
    guarded.get("/v1/models", &one).await.is_problem(429, "rate_limited");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_refused_does_not_enrol_as_often_as_it_likes_after_a_restart_either() {
    let mut guarded = Guarded::start().await;
    let bad = guarded.node("bad").await;
    assert_eq!(guarded.post("/v1/nodes/bad/revoke", json!({})).await.status, 200);
    let Guarded { site: crate::support::Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let mut guarded = Guarded::over(dir, clock).await;
    let mut refused = 0;
    let error = loop {
        let call = bad.call(v1::EnrolRequest::from(bad.enrolment()));
        match guarded.site.fleet.enrol(call).await {
            Ok(answer) => assert_eq!(enrolled(answer.into_inner()).unwrap_err(), "node_revoked"),
            Err(error) => break error,
        }
        refused += 1;
        assert!(refused < 65, "nothing holds it back");
    };
    assert!(refused > 50, "{refused}");
    assert_eq!(reason(&error), "rate_limited");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_that_asks_too_often_waits_but_has_its_receipt() {
    let mut guarded = Guarded::start().await;
    let (node, other) = (guarded.node("a").await, guarded.node("b").await);
    assert_eq!(guarded.post("/v1/models", new_model("m", 3)).await.status, 201);
    let made = guarded.post("/v1/runs", json!({"model": "m", "plan": plan(1, 2)})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let mut order = None;
    while order.is_none() {
        for one in [&node, &other] {
            let request = v1::WaitOrderRequest {
                node_id: one.id.to_string(),
                wait_ms: 100,
                ..v1::WaitOrderRequest::default()
            };
            let answer = guarded.site.fleet.wait_order(one.call(request)).await.unwrap();
            let (reply, _, _): (proto::convert::Reply<proto::convert::Order>, _, _) =
                answer.into_inner().try_into().unwrap();
            if let proto::convert::Order::Train(found) = reply.unwrap() {
                order = Some((one.clone(), found));
            }
        }
        guarded.clock.advance(100);
    }
    let (node, order) = order.unwrap();
    let (candidate, payload) = update(&order, &node.id, 1);
    let push = async |guarded: &mut Guarded| {
        let stream = tokio_stream::iter(messages(&candidate, &payload));
        let answer = guarded.site.fleet.push_update(node.call(stream)).await;
        answer.map(|answer| answer.into_inner().result.unwrap())
    };
    let first = push(&mut guarded).await.unwrap();
    assert!(matches!(first, v1::push_update_response::Result::Receipt(_)), "{first:?}");
    let mut asked = 0;
    let error = loop {
        let digest = federation::Digest::of(b"none");
        let request = FetchVersion { node: node.id.clone(), digest };
        let call = node.call(v1::FetchVersionRequest::from(request));
        match guarded.site.fleet.fetch_version(call).await {
            Ok(_) => asked += 1,
            Err(error) => break error,
        }
        assert!(asked < 61, "nothing holds it back");
    };
    assert!(asked > 50, "{asked}");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::ResourceExhausted, "rate_limited"));
    // When it is told to come back there is room for all calls of a round: else its question for work would use up what
    // it waited for, and its fetch would be refused for ever.
    let wait = error.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    guarded.clock.advance(u64::try_from(wait.as_millis()).unwrap());
    for _ in 0..10 {
        let digest = federation::Digest::of(b"none");
        let request = FetchVersion { node: node.id.clone(), digest };
        let call = node.call(v1::FetchVersionRequest::from(request));
        guarded.site.fleet.fetch_version(call).await.unwrap();
    }
    for _ in 0..10 {
        assert_eq!(push(&mut guarded).await.unwrap(), first, "counted is counted");
    }
    let other = if node.id.as_str() == "a" { "b" } else { "a" };
    Device::new(other).asks(&mut guarded.site, 0).await.unwrap();
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn tricks_in_paths_and_names_lead_nowhere() {
    let guarded = Guarded::start().await;
    let long = "a".repeat(5_000);
    for name in [
        "..",
        ".",
        "%2e%2e",
        "%2E%2E%2Fadmin.token",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "a%00b",
        "%ff",
        "%252e%252e",
        "a%0d%0ab",
        "%3Cscript%3E",
        "-1",
        "1e3",
        "99999999999999999999",
        "1%20",
        "%31",
        &long,
    ] {
        for root in ["/v1/tokens/", "/v1/enrolment-tokens/", "/v1/models/", "/v1/runs/", "/docs/"] {
            let answer = guarded.get(&format!("{root}{name}"), &guarded.admin).await;
            // `%31` is `1`, a number like any other.
            let fine = name == "%31" && root != "/docs/" && answer.status == 200;
            assert!(fine || answer.status == 404, "{root}{name}: {}", answer.status);
            assert!(!answer.text().contains("mst_"), "{root}{name}");
        }
        let path = format!("/v1/nodes/{name}/revoke");
        let answer = guarded.ask("POST", &path, &guarded.admin, Some(&json!({}))).await;
        assert_eq!(answer.status, 404, "{path}");
        guarded.clock.advance(1_000);
    }
    // No spelling of an admin's path is one that less will do for.
    let read = guarded.token("read").await;
    for path in [
        "/v1/%74okens",
        "//v1/tokens",
        "/v1//tokens",
        "/v1/./tokens",
        "/v1/models/../tokens",
        "/v1/tokens/",
        "/V1/TOKENS",
        "/v1/tokens%2f1",
        "/v1/tokens;x",
        "/v1/tokens?x",
        "/v1/tokens#x",
        "http://h/v1/tokens",
    ] {
        let answer = guarded.get(path, &read).await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("\"scope\""), "{path}");
    }
    for name in ["..", "a/b", "", "A", "a\u{0}b", "\u{202e}x", &long] {
        let body = json!({"name": name, "scope": "read"});
        guarded.post("/v1/tokens", body).await.is_problem(422, "invalid_name");
        let body = json!({"name": "n", "labels": {"k": name}});
        guarded.post("/v1/enrolment-tokens", body).await.is_problem(422, "invalid_value");
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_deep_are_refused() {
    let guarded = Guarded::start().await;
    let head = |length: &str| {
        format!(
            "POST /v1/tokens HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{length}",
            guarded.admin
        )
    };
    let large = vec![b' '; REST_BODY_BYTES_MAX + 1];
    guarded.site.raw(&head(""), &large).await.is_problem(413, "body_too_large");
    let expecting = head("expect: 100-continue\r\ncontent-length: 999999999999\r\n");
    guarded.site.raw(&expecting, b"").await.is_problem(413, "body_too_large");
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"labels\":", "}")] {
        for depth in [200, 100_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let answer = guarded.site.raw(&head(""), deep.as_bytes()).await;
            assert!(matches!(answer.status, 400 | 422), "{open} {depth}: {}", answer.text());
        }
    }
    // Without a token nothing of a body is looked at.
    let answer = guarded.ask("POST", "/v1/tokens", "", Some(&json!({"scope": 1}))).await;
    answer.is_problem(401, "unauthenticated");
    for (body, code) in [
        (json!({"name": "n", "scope": "root"}), "invalid_value"),
        (json!({"name": "n", "scope": "read", "expires_in_ms": 0}), "invalid_value"),
        (json!({"name": "n", "scope": "read", "expires_in_ms": u64::MAX}), "invalid_value"),
        (json!({"name": "n", "scope": "read", "id": 1}), "unknown_field"),
        (json!({"name": "n"}), "invalid_value"),
    ] {
        guarded.post("/v1/tokens", body).await.is_problem(422, code);
    }
    for uses_max in [json!(0), json!(1_000_001), json!(-1), json!("1")] {
        let body = json!({"name": "n", "uses_max": uses_max});
        guarded.post("/v1/enrolment-tokens", body).await.is_problem(422, "invalid_value");
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_foreign_page_gets_nowhere_without_a_token() {
    let guarded = Guarded::start().await;
    let body = json!({"name": "evil", "scope": "admin"}).to_string();
    let post = async |more: &str| {
        let head = format!(
            "POST /v1/tokens HTTP/1.1\r\nhost: evil.example\r\norigin: https://evil.example\r\n{more}"
        );
        guarded.site.raw(&head, body.as_bytes()).await
    };
    let json = "content-type: application/json\r\n";
    post(json).await.is_problem(401, "unauthenticated");
    post("content-type: text/plain\r\n").await.is_problem(401, "unauthenticated");
    post(&format!("{json}cookie: token={}\r\n", guarded.admin))
        .await
        .is_problem(401, "unauthenticated");
    let bearer = format!("authorization: Bearer {}\r\n", guarded.admin);
    // With a token it is whoever holds it, from wherever; a form is still no JSON.
    let form = post(&format!("{bearer}content-type: text/plain\r\n")).await;
    form.is_problem(415, "unsupported_media_type");
    assert_eq!(post(&format!("{bearer}{json}")).await.status, 201);
    let answer = guarded.get("/v1/models", &guarded.admin).await;
    assert!(
        !answer.headers.keys().any(|name| name.starts_with("access-control")),
        "no page may read"
    );
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_token() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let guarded = Guarded::start().await;
    let read = guarded.token("read").await;
    let mut stream =
        tokio::net::TcpStream::connect(guarded.site.running.http_addr()).await.unwrap();
    let head = format!(
        "GET /v1/events?after=0 HTTP/1.1\r\nhost: h\r\naccept: text/event-stream\r\nauthorization: Bearer {read}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains("token.created") {
        let read = stream.read_buf(&mut told).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&told));
    }
    assert_eq!(guarded.post("/v1/tokens/2/revoke", json!({})).await.status, 200);
    // What happens next is what it would be told.
    guarded.token("operate").await;
    stream.read_to_end(&mut told).await.unwrap();
    let told = String::from_utf8_lossy(&told);
    assert!(!told.contains("\"subject\":\"3\""), "{told}");
    guarded.site.running.shutdown().await;
}

#[test]
fn a_forged_token_is_a_token_in_form() {
    let secret = Secret::read::<u64>(Kind::Token, &format!("mst_1_{}", "0".repeat(64))).unwrap().1;
    let token = secret.text(Kind::Token, 1);
    assert!(Secret::read::<u64>(Kind::Token, &forged(&token)).is_some());
}
