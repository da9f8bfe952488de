//! A relay: what calls of many nodes on one stream are answered.

use federation::limits::CHUNK_BYTES;
use federation::{Evaluation, TrainOrder};
use proto::convert::{Order, RefusalText, Reply, WaitOrder, WholeUpdate};
use proto::v1;
use proto::v1::relay_request::Call;
use proto::v1::relay_response::Answer;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::access::{Device, Guarded, reason};
use crate::support::{Site, plan, small_model, update};

/// An open relay.
struct Gateway {
    calls: mpsc::UnboundedSender<v1::RelayRequest>,
    answers: Streaming<v1::RelayResponse>,
}

impl Gateway {
    async fn open(site: &mut Site) -> Self {
        let (calls, requests) = mpsc::unbounded_channel();
        let answers = site.fleet.relay(UnboundedReceiverStream::new(requests)).await.unwrap();
        Self { calls, answers: answers.into_inner() }
    }

    fn send(&self, call_id: u64, device: Option<&Device>, call: impl Into<Option<Call>>) {
        let authorization = device.map(|device| format!("Bearer {}", device.credential()));
        let authorization = authorization.unwrap_or_default();
        let traceparent = String::new();
        let call = call.into();
        self.calls
            .send(v1::RelayRequest { call_id, authorization, traceparent, call })
            .expect("the stream is open");
    }

    async fn next(&mut self) -> (u64, Answer) {
        let response = self.answers.message().await.unwrap().expect("the relay goes on");
        (response.call_id, response.answer.expect("always one of them"))
    }

    /// The error of one call.
    async fn fails(&mut self, device: Option<&Device>, call: Option<Call>) -> (Code, String) {
        self.send(5, device, call);
        let (call_id, answer) = self.next().await;
        let Answer::Failed(v1::CallError { code, message, details }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(call_id, 5);
        let status = Status::with_details(Code::from_i32(code), message, details);
        (status.code(), reason(&status))
    }
}

fn wait(node: &str, wait_ms: u32) -> Call {
    let node = node.parse().unwrap();
    let (awaiting, status, holding) = (None, None, None);
    Call::WaitOrder(WaitOrder { node, wait_ms, awaiting, status, follows: false, holding }.into())
}

fn push(order: &TrainOrder, device: &Device, delta: i8) -> v1::WholeUpdate {
    let (candidate, payload) = update(order, &device.id, delta);
    WholeUpdate { candidate, payload: payload.into() }.into()
}

fn order(answer: Answer) -> Order {
    let Answer::WaitOrder(response) = answer else { panic!("{answer:?}") };
    let (reply, _, _) = response.try_into().unwrap();
    let reply: Reply<Order> = reply;
    reply.unwrap()
}

fn work(answer: Answer) -> TrainOrder {
    match order(answer) {
        Order::Train(order) => order,
        Order::Idle(idle) => panic!("{idle:?}"),
    }
}

fn refusal(answer: Answer) -> String {
    let Answer::PushUpdate(v1::PushUpdateResponse { result, .. }) = answer else {
        panic!("{answer:?}")
    };
    match result.unwrap() {
        v1::push_update_response::Result::Refused(refusal) => RefusalText::from(refusal).code,
        v1::push_update_response::Result::Receipt(receipt) => panic!("{receipt:?}"),
    }
}

/// Two nodes of a round that wants both, with a model of `weights`.
async fn two(weights: u32) -> (Guarded, [Device; 2]) {
    let mut guarded = Guarded::start().await;
    let devices = [guarded.node("a").await, guarded.node("b").await];
    let made = guarded.post("/v1/models", small_model("m", weights)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = guarded.post("/v1/runs", json!({"model": "m", "plan": plan(2, 1)})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    (guarded, devices)
}

#[tokio::test]
async fn relayed_calls_are_answered_as_calls_of_their_own() {
    let (mut guarded, [a, b]) = two(1_000).await;
    let mut gateway = Gateway::open(&mut guarded.site).await;
    let mut orders = Vec::new();
    for device in [&a, &b] {
        gateway.send(u64::MAX, Some(device), wait(device.id.as_str(), 30_000));
        let (call_id, answer) = gateway.next().await;
        assert_eq!(call_id, u64::MAX);
        orders.push(work(answer));
    }
    let request = v1::WaitOrderRequest { node_id: "a".to_owned(), ..Default::default() };
    let alone = guarded.site.fleet.wait_order(a.call(request)).await.unwrap().into_inner();
    let untimed = |order: TrainOrder| TrainOrder { deadline_in_ms: 0, ..order };
    assert_eq!(untimed(work(Answer::WaitOrder(alone))), untimed(orders[0].clone()));

    let update = push(&orders[0], &a, 1);
    gateway.send(3, Some(&a), Call::PushUpdate(update.clone()));
    let (call_id, answer) = gateway.next().await;
    let Answer::PushUpdate(counted) = answer else { panic!("{answer:?}") };
    assert_eq!(call_id, 3);
    let parts = [
        v1::push_update_request::Part::Header(update.header.clone().unwrap()),
        v1::push_update_request::Part::Chunk(update.payload.clone()),
    ];
    let parts = parts.map(|part| v1::PushUpdateRequest { part: Some(part) });
    let again = a.call(tokio_stream::iter(parts));
    let again = guarded.site.fleet.push_update(again).await.unwrap().into_inner();
    assert_eq!(again.result, counted.result, "the first receipt, whichever way it is asked for");

    let evaluation = Evaluation {
        node: b.id.clone(),
        model: "m".parse().unwrap(),
        version: orders[1].base,
        samples: 10,
        correct: 9,
    };
    gateway.send(4, Some(&b), Call::ReportEvaluation(evaluation.into()));
    let (_, answer) = gateway.next().await;
    let Answer::ReportEvaluation(recorded) = answer else { panic!("{answer:?}") };
    assert_eq!(Reply::<()>::try_from(recorded).unwrap(), Ok(()));

    let metrics = guarded.get("/metrics", &guarded.admin).await.text();
    for (method, calls) in [("WaitOrder", 3), ("PushUpdate", 2), ("ReportEvaluation", 1)] {
        let line = format!("grpc_calls_total{{method=\"{method}\",code=\"Ok\"}} {calls}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_relayed_call_that_fails_fails_alone() {
    let (mut guarded, [a, b]) = two(1_000).await;
    let mut gateway = Gateway::open(&mut guarded.site).await;
    gateway.send(1, Some(&a), wait("a", 30_000));
    let order = work(gateway.next().await.1);
    let good = push(&order, &a, 1);

    let wrong = a.with_secret(9);
    let pushed = |update: &v1::WholeUpdate| Some(Call::PushUpdate(update.clone()));
    let cases = [
        (None, pushed(&good), Code::Unauthenticated, "unauthenticated"),
        (Some(&wrong), Some(wait("a", 0)), Code::Unauthenticated, "unauthenticated"),
        (Some(&b), pushed(&good), Code::PermissionDenied, "node_mismatch"),
        (Some(&b), Some(wait("a", 0)), Code::PermissionDenied, "node_mismatch"),
        (Some(&a), None, Code::InvalidArgument, "malformed"),
        (
            Some(&a),
            pushed(&v1::WholeUpdate { header: None, ..good.clone() }),
            Code::InvalidArgument,
            "malformed",
        ),
        (
            Some(&a),
            pushed(&v1::WholeUpdate { payload: vec![1; CHUNK_BYTES + 1].into(), ..good.clone() }),
            Code::InvalidArgument,
            "malformed",
        ),
    ];
    for (device, call, code, reason) in cases {
        let text = format!("{call:?}");
        assert_eq!(gateway.fails(device, call).await, (code, reason.to_owned()), "{text}");
    }
    let refused = [
        (good.payload.slice(1..), good.clone(), "payload_truncated"),
        ([&good.payload[..], &[1]].concat().into(), good.clone(), "payload_too_long"),
        (vec![2; good.payload.len()].into(), good.clone(), "payload_digest_mismatch"),
    ];
    for (payload, update, code) in refused {
        gateway.send(6, Some(&a), Call::PushUpdate(v1::WholeUpdate { payload, ..update }));
        assert_eq!(refusal(gateway.next().await.1), code);
    }
    gateway.send(7, Some(&a), Call::PushUpdate(good));
    let (call_id, Answer::PushUpdate(response)) = gateway.next().await else { panic!() };
    let counted = matches!(response.result, Some(v1::push_update_response::Result::Receipt(_)));
    assert!(call_id == 7 && counted, "{response:?}");
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_relay_with_its_code() {
    let mut site = Site::start().await;
    let mut gateway = Gateway::open(&mut site).await;
    let payload = vec![0; 4 * CHUNK_BYTES].into();
    gateway.send(1, None, Call::PushUpdate(v1::WholeUpdate { header: None, payload }));
    let status = gateway.answers.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "malformed"));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_call_that_waits_holds_up_no_other() {
    let mut site = Site::start().await;
    for node in ["a", "b"] {
        site.enrol(node).await;
    }
    let mut gateway = Gateway::open(&mut site).await;
    gateway.send(1, None, wait("a", 60_000));
    gateway.send(2, None, wait("b", 0));
    let (call_id, answer) = gateway.next().await;
    assert!(matches!((call_id, order(answer)), (2, Order::Idle(_))));
    site.make_model("m").await;
    site.make_run("m", plan(2, 1)).await;
    let (call_id, answer) = gateway.next().await;
    assert_eq!((call_id, work(answer).round.number), (1, 1));
    site.running.shutdown().await;
}

#[tokio::test]
async fn no_more_calls_are_read_than_may_be_under_way() {
    const MAX: u64 = 1_024;
    let mut site = Site::start().await;
    site.enrol("a").await;
    let mut gateway = Gateway::open(&mut site).await;
    for call_id in 1..=MAX {
        gateway.send(call_id, None, wait("a", 60_000));
    }
    gateway.send(MAX + 1, None, wait("a", 0));
    site.make_model("m").await;
    site.make_run("m", plan(1, 1)).await;
    let (first, _) = gateway.next().await;
    assert_ne!(first, MAX + 1, "it would be answered at once");
    let mut answered = vec![first];
    for _ in 0..MAX {
        answered.push(gateway.next().await.0);
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq(1..=MAX + 1));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_relay_ends_with_the_coordinator_once_its_calls_are_answered() {
    let mut site = Site::start().await;
    site.enrol("a").await;
    let mut gateway = Gateway::open(&mut site).await;
    gateway.send(1, None, wait("a", 0));
    gateway.next().await;
    gateway.send(2, None, wait("a", 60_000));
    // It is under way once the one after it is answered.
    gateway.send(3, None, wait("a", 0));
    assert_eq!(gateway.next().await.0, 3);
    let ends = async {
        let (call_id, answer) = gateway.next().await;
        assert!(matches!((call_id, order(answer)), (2, Order::Idle(_))));
        gateway.answers.message().await.unwrap()
    };
    let (end, ()) = tokio::join!(ends, site.running.shutdown());
    assert_eq!(end, None);
}
