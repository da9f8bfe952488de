//! What nodes get to see: every call twice, every refusal, every malformed message.

use bytes::Bytes;
use federation::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use federation::{Candidate, Digest, Evaluation, Metrics, NodeId, NodeStatus, Settled, TrainOrder};
use proto::convert::{FetchVersion, Order, Reply, VersionPart, WaitOrder};
use proto::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{Site, artifact, channel, enrolment, messages, plan, update};

/// Two nodes with their orders in a round that wants both.
async fn two() -> (Site, [NodeId; 2], [TrainOrder; 2]) {
    let mut site = Site::start().await;
    let nodes = [site.enrol("a").await, site.enrol("b").await];
    site.make_model("m").await;
    site.make_run("m", plan(2, 1)).await;
    let orders = [site.order(&nodes[0]).await, site.order(&nodes[1]).await];
    (site, nodes, orders)
}

#[track_caller]
fn is_error(status: Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status}");
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has its code");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "muster"), "{status}");
}

async fn fetch(site: &mut Site, node: &NodeId, digest: Digest) -> Result<Vec<u8>, String> {
    let request = v1::FetchVersionRequest::from(FetchVersion { node: node.clone(), digest });
    let mut stream = site.fleet.fetch_version(request).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    let mut announced = None;
    while let Some(message) = stream.message().await.unwrap() {
        match Reply::<VersionPart>::try_from(message).unwrap() {
            Ok(VersionPart::Header(header)) => announced = Some(header),
            Ok(VersionPart::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
            Err(refusal) => return Err(refusal.code),
        }
    }
    let header = announced.unwrap();
    assert_eq!((header.digest, header.bytes), (digest, bytes.len() as u64));
    Ok(bytes)
}

#[tokio::test]
async fn every_call_may_be_repeated_after_a_lost_reply() {
    let (mut site, nodes, orders) = two().await;
    let enrolment = v1::EnrolRequest::from(enrolment("a"));
    let first = site.fleet.enrol(enrolment.clone()).await.unwrap().into_inner();
    assert_eq!(site.fleet.enrol(enrolment).await.unwrap().into_inner(), first);

    let again = site.order(&nodes[0]).await;
    let untimed = |order: &TrainOrder| TrainOrder { deadline_in_ms: 0, ..order.clone() };
    assert_eq!(untimed(&again), untimed(&orders[0]));
    assert_ne!(orders[0].seed, orders[1].seed);

    let bytes = fetch(&mut site, &nodes[0], orders[0].base).await.unwrap();
    assert_eq!(bytes, artifact(3).encode());
    assert_eq!(fetch(&mut site, &nodes[0], orders[0].base).await.unwrap(), bytes);

    let (candidate, payload) = update(&orders[0], &nodes[0], 1);
    let receipt = site.push(&candidate, &payload).await.unwrap();
    assert_eq!(site.push(&candidate, &payload).await.unwrap(), receipt);
    assert!(
        matches!(site.wait(&nodes[0], 0).await, Order::Idle(_)),
        "nothing more to do in this round"
    );

    let evaluation = Evaluation {
        node: nodes[0].clone(),
        model: "m".parse().unwrap(),
        version: orders[0].base,
        samples: 10,
        correct: 9,
    };
    for _ in 0..2 {
        let report = v1::ReportEvaluationRequest::from(evaluation.clone());
        let response = site.fleet.report_evaluation(report).await.unwrap().into_inner();
        assert_eq!(Reply::<()>::try_from(response).unwrap(), Ok(()));
    }

    let (other, other_payload) = update(&orders[1], &nodes[1], 3);
    site.push(&other, &other_payload).await.unwrap();
    let awaited = loop {
        let request = WaitOrder {
            node: nodes[0].clone(),
            wait_ms: 50,
            awaiting: Some(orders[0].round),
            status: None,
            follows: false,
            holding: None,
        };
        let response = site.fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
        let (_, awaited, _): (Reply<Order>, _, _) = response.into_inner().try_into().unwrap();
        if awaited != Some(Settled::Open) {
            break awaited;
        }
    };
    assert_eq!(awaited, Some(Settled::Published));
    assert_eq!(
        site.push(&candidate, &payload).await.unwrap(),
        receipt,
        "in any state of the round"
    );
    let versions = site.get("/v1/models/m/versions").await.json();
    assert_eq!(versions["items"][1]["updates"], 2, "{versions}");
    assert_eq!(versions["items"][0]["evaluation"]["correct"], 9);
    site.running.shutdown().await;
}

#[tokio::test]
async fn every_refusal_of_an_update_has_its_code_and_leaves_no_trace() {
    let (mut site, nodes, orders) = two().await;
    let outsider = site.enrol("c").await;
    let (good, payload) = update(&orders[0], &nodes[0], 1);
    let elsewhere = |number, attempt| federation::RoundRef { number, attempt, ..good.round };
    let metrics = |metrics| Candidate { metrics, ..good.clone() };
    let cases = [
        ("unknown_node", Candidate { node: "x".parse().unwrap(), ..good.clone() }),
        ("unknown_round", Candidate { round: elsewhere(9, 1), ..good.clone() }),
        ("unknown_round", Candidate { round: elsewhere(1, 2), ..good.clone() }),
        ("not_selected", Candidate { node: outsider, ..good.clone() }),
        ("wrong_base", Candidate { base: Digest::of(b"x"), ..good.clone() }),
        ("wrong_shape", Candidate { payload_bytes: good.payload_bytes + 1, ..good.clone() }),
        ("wrong_shape", Candidate { payload_bytes: u64::MAX, ..good.clone() }),
        (
            "samples_out_of_range",
            Candidate { samples: 0, metrics: Metrics::default(), ..good.clone() },
        ),
        ("samples_out_of_range", Candidate { samples: 51, ..good.clone() }),
        ("metrics_out_of_range", metrics(Metrics { correct: 11, ..good.metrics })),
        ("metrics_out_of_range", metrics(Metrics { synaptic_ops: 1 << 60, ..good.metrics })),
        ("payload_digest_mismatch", Candidate { payload: Digest::of(b"x"), ..good.clone() }),
    ];
    for (code, candidate) in cases {
        assert_eq!(site.push(&candidate, &payload).await.unwrap_err(), code);
    }
    let short = &payload[1..];
    assert_eq!(site.push(&good, short).await.unwrap_err(), "payload_truncated");
    assert_eq!(site.push(&good, &[]).await.unwrap_err(), "payload_truncated");
    let long = [payload.as_slice(), &[1]].concat();
    assert_eq!(site.push(&good, &long).await.unwrap_err(), "payload_too_long");
    let (mut outside, mut lanes) = (good.clone(), payload.clone());
    lanes[77] = 0x80;
    outside.payload = Digest::of(&lanes);
    assert_eq!(site.push(&outside, &lanes).await.unwrap_err(), "delta_out_of_range");

    let runs = site.get("/v1/runs/1").await.json();
    assert_eq!(runs["round"]["updates"], 0, "{runs}");
    site.push(&good, &payload).await.unwrap();
    let (conflict, other) = update(&orders[0], &nodes[0], 2);
    assert_eq!(site.push(&conflict, &other).await.unwrap_err(), "update_conflict");
    let (last, last_payload) = update(&orders[1], &nodes[1], 1);
    site.push(&last, &last_payload).await.unwrap();
    let (late, late_payload) = update(&orders[1], &nodes[1], 9);
    assert_eq!(site.push(&late, &late_payload).await.unwrap_err(), "update_conflict");
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_is_drawn_when_it_reports_what_the_run_asks() {
    let mut site = Site::start().await;
    let nodes = [site.enrol("a").await, site.enrol("b").await];
    site.make_model("m").await;
    let mut plan = plan(1, 1);
    plan["cohort"]["eligible"] = serde_json::json!({
        "charging": true, "battery_percent_min": 30, "samples_min": 50,
        "capacity_min": {"recurrent": 100},
    });
    site.make_run("m", plan).await;
    let mut ask = async |node: &NodeId, status: Option<NodeStatus>, wait_ms| {
        let request = WaitOrder {
            node: node.clone(),
            wait_ms,
            awaiting: None,
            status,
            follows: false,
            holding: None,
        };
        let response = site.fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
        let (reply, _, _): (Reply<Order>, _, _) = response.into_inner().try_into().unwrap();
        reply.unwrap()
    };
    let good = NodeStatus {
        charging: Some(true),
        idle: None,
        battery_percent: Some(30),
        samples: Some(50),
        capacity: std::sync::Arc::new([("recurrent".to_owned(), 256)].into()),
    };
    let empty = NodeStatus { battery_percent: Some(29), ..good.clone() };
    assert!(matches!(ask(&nodes[0], Some(empty), 0).await, Order::Idle(_)));
    assert!(matches!(ask(&nodes[0], None, 0).await, Order::Idle(_)));
    assert!(matches!(ask(&nodes[1], Some(good), 30_000).await, Order::Train(_)));
    let listed = site.get("/v1/nodes").await.json();
    assert_eq!(
        listed["items"][1]["status"],
        serde_json::json!({
            "charging": true, "idle": null, "battery_percent": 30, "samples": 50,
            "capacity": {"recurrent": 256},
        })
    );
    assert_eq!(listed["items"][0]["status"]["charging"], serde_json::Value::Null);
    assert_eq!(
        (&listed["items"][0]["turns"], &listed["items"][1]["turns"]),
        (&0.into(), &1.into())
    );

    let status = v1::NodeStatus { battery_percent: Some(101), ..v1::NodeStatus::default() };
    let request = v1::WaitOrderRequest {
        node_id: "a".to_owned(),
        wait_ms: 0,
        awaiting: None,
        status: Some(status),
        follows: false,
        holding: None,
    };
    let error = site.fleet.wait_order(request).await.unwrap_err();
    is_error(error, Code::InvalidArgument, "malformed");
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_of_a_closed_round_is_refused() {
    let mut site = Site::start().await;
    let nodes = [site.enrol("a").await, site.enrol("b").await];
    site.make_model("m").await;
    let mut over = plan(1, 1);
    over["cohort"]["over_selection"] = 2.0.into();
    site.make_run("m", over).await;
    // The goal is one, so one candidate is enough to open; both are enrolled, so both are drawn.
    let orders = [site.order(&nodes[0]).await, site.order(&nodes[1]).await];
    let (first, payload) = update(&orders[0], &nodes[0], 1);
    site.push(&first, &payload).await.unwrap();
    let (late, payload) = update(&orders[1], &nodes[1], 1);
    assert_eq!(site.push(&late, &payload).await.unwrap_err(), "round_closed");
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_refused_push_is_drained_so_that_its_refusal_is_read() {
    let (mut site, nodes, orders) = two().await;
    let (mut candidate, _) = update(&orders[0], &nodes[0], 1);
    candidate.base = Digest::of(b"x");
    let large = vec![1; 40 * CHUNK_BYTES];
    for _ in 0..20 {
        assert_eq!(site.push(&candidate, &large).await.unwrap_err(), "wrong_base");
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn other_refusals() {
    let (mut site, nodes, orders) = two().await;
    let stranger: NodeId = "x".parse().unwrap();
    assert_eq!(fetch(&mut site, &stranger, orders[0].base).await.unwrap_err(), "unknown_node");
    assert_eq!(fetch(&mut site, &nodes[0], Digest::of(b"x")).await.unwrap_err(), "unknown_version");

    let request = WaitOrder {
        node: stranger,
        wait_ms: 0,
        awaiting: None,
        status: None,
        follows: false,
        holding: None,
    };
    let response = site.fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
    let (reply, awaited, _): (Reply<Order>, _, _) = response.into_inner().try_into().unwrap();
    assert_eq!((reply.unwrap_err().code.as_str(), awaited), ("unknown_node", None));

    let mut thief = enrolment("a");
    thief.public_key = [1; 32];
    let response = site.fleet.enrol(v1::EnrolRequest::from(thief)).await.unwrap().into_inner();
    assert_eq!(Reply::<NodeId>::try_from(response).unwrap().unwrap_err().code, "name_taken");
    let mut renamed = enrolment("z");
    renamed.public_key = enrolment("a").public_key;
    let response = site.fleet.enrol(v1::EnrolRequest::from(renamed)).await.unwrap().into_inner();
    assert_eq!(Reply::<NodeId>::try_from(response).unwrap().unwrap(), nodes[0]);

    for (code, version, samples, correct) in [
        ("unknown_version", Digest::of(b"x"), 10, 1),
        ("evaluation_out_of_range", orders[0].base, 0, 0),
        ("evaluation_out_of_range", orders[0].base, 10, 11),
    ] {
        let (node, model) = (nodes[0].clone(), "m".parse().unwrap());
        let evaluation = Evaluation { node, model, version, samples, correct };
        let report = v1::ReportEvaluationRequest::from(evaluation);
        let response = site.fleet.report_evaluation(report).await.unwrap().into_inner();
        assert_eq!(Reply::<()>::try_from(response).unwrap().unwrap_err().code, code);
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn malformed_messages_are_errors_with_a_code() {
    let (mut site, nodes, orders) = two().await;
    let (candidate, payload) = update(&orders[0], &nodes[0], 1);
    let good = messages(&candidate, &payload);
    let chunk = |len| v1::PushUpdateRequest {
        part: Some(v1::push_update_request::Part::Chunk(Bytes::from(vec![1; len]))),
    };
    let nothing = v1::PushUpdateRequest { part: None };
    for bad in [
        vec![],
        vec![nothing.clone()],
        vec![chunk(1)],
        vec![good[0].clone(), good[0].clone()],
        vec![good[0].clone(), nothing],
        vec![good[0].clone(), chunk(0)],
        vec![good[0].clone(), chunk(CHUNK_BYTES + 1)],
        vec![good[0].clone(), chunk(MESSAGE_BYTES_MAX + 1)],
    ] {
        let status = site.push_raw(bad).await.unwrap_err();
        is_error(status, Code::InvalidArgument, "malformed");
    }
    let status = site.fleet.enrol(v1::EnrolRequest::default()).await.unwrap_err();
    is_error(status, Code::InvalidArgument, "malformed");
    let wait = v1::WaitOrderRequest {
        node_id: "a".to_owned(),
        wait_ms: 60_001,
        awaiting: None,
        status: None,
        follows: false,
        holding: None,
    };
    is_error(site.fleet.wait_order(wait).await.unwrap_err(), Code::InvalidArgument, "malformed");
    let fetch = v1::FetchVersionRequest { node_id: "A".to_owned(), digest: Bytes::new() };
    let Err(status) = site.fleet.fetch_version(fetch).await else { panic!() };
    is_error(status, Code::InvalidArgument, "malformed");
    let report = v1::ReportEvaluationRequest::default();
    let status = site.fleet.report_evaluation(report).await.unwrap_err();
    is_error(status, Code::InvalidArgument, "malformed");
    site.push(&candidate, &payload).await.unwrap();
    site.running.shutdown().await;
}

#[tokio::test]
async fn reflection_and_health_answer() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let site = Site::start().await;
    let channel = channel(site.running.grpc_addr()).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"muster.fleet.v1.FleetService"), "{names:?}");

    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let ask = |service: &str| tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    let mut watch = health.watch(ask("muster.fleet.v1.FleetService")).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    assert_eq!(health.check(ask("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    site.running.shutdown().await;
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(
        watch.message().await.unwrap().is_none(),
        "the watch ends, and does not hold up the drain"
    );
}
