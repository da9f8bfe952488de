//! The bytes of every message, against `tests/golden/wire`.
//!
//! Each vector is hexadecimal with a comment per field, so that it can be checked by eye against `fleet.proto`. The
//! values are the domain's, so a field that lands under another's number is found here too. A vector that changes
//! breaks every node in the field: add new ones, leave the old ones.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use federation::{Enrolment, Idle, NodeStatus, Refusal, RefusalCode, Settled};
use prost::Message;
use prost_types::FileDescriptorSet;
use proto::convert::{Order, UpdatePart, VersionPart, WaitOrder, WholeUpdate};
use proto::{FILE_DESCRIPTOR_SET, v1};

mod samples;
use samples::{
    candidate, chunk, enrolment, enrolment_proof, evaluation, fetch_version, hold, holding, node,
    receipt, round, status, train_order, version_header, wait_order,
};

/// Checks vectors and remembers which.
#[derive(Default)]
struct Vectors {
    checked: BTreeSet<String>,
}

impl Vectors {
    /// `vector` must decode to `value`, and `value` encode to `vector`.
    fn check<M: Message + Default + PartialEq + Debug>(
        &mut self,
        vector: &str,
        value: impl Into<M>,
    ) {
        let value = value.into();
        let bytes = self.read(vector);
        assert_eq!(M::decode(bytes.clone()).unwrap(), value, "{vector}.hex decodes to this");
        assert_eq!(hex::encode(value.encode_to_vec()), hex::encode(bytes), "{vector}.hex");
    }

    /// `vector` must not decode.
    fn check_fails<M: Message + Default + Debug>(&mut self, vector: &str) {
        M::decode(self.read(vector)).unwrap_err();
    }

    fn read(&mut self, vector: &str) -> Bytes {
        assert!(self.checked.insert(vector.to_owned()), "{vector} is checked twice");
        let text = fs::read_to_string(folder().join(vector).with_added_extension("hex")).unwrap();
        let digits: String = text
            .lines()
            .filter_map(|line| line.split('#').next())
            .flat_map(str::split_whitespace)
            .collect();
        hex::decode(digits).unwrap().into()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/wire")
}

fn round_closed() -> Refusal {
    Refusal::new(RefusalCode::RoundClosed, "round", "an open round", "7/300/2")
}

fn unknown_node() -> Refusal {
    Refusal::new(RefusalCode::UnknownNode, "node_id", "an enrolled node", "node-01")
}

fn idle() -> Idle {
    Idle { retry_after_ms: 1_500 }
}

fn label(key: &str, value: &str) -> v1::Label {
    v1::Label { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn every_message_has_its_bytes() {
    let mut vectors = Vectors::default();
    enrolment_vectors(&mut vectors);
    order_vectors(&mut vectors);
    version_vectors(&mut vectors);
    update_vectors(&mut vectors);
    evaluation_vectors(&mut vectors);
    relay_vectors(&mut vectors);
    hostile_vectors(&mut vectors);

    let on_disk: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".hex").unwrap().to_owned())
        .collect();
    assert_eq!(on_disk, vectors.checked, "every vector is checked");
    let contract = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for message in contract.file.iter().flat_map(|file| &file.message_type) {
        let name = snake(message.name());
        let has = on_disk.iter().any(|vector| vector.split('.').next() == Some(&name));
        assert!(has, "{} has no vector", message.name());
    }
}

fn enrolment_vectors(vectors: &mut Vectors) {
    vectors.check::<v1::Label>("label", label("site", "ams"));
    vectors.check::<v1::Refusal>("refusal", round_closed());
    vectors.check::<v1::RoundRef>("round_ref", round());
    vectors.check::<v1::EnrolRequest>("enrol_request", enrolment());
    vectors.check::<v1::EnrolProof>("enrol_proof", enrolment_proof());
    let proven = Enrolment { proof: Some(enrolment_proof()), ..enrolment() };
    vectors.check::<v1::EnrolRequest>("enrol_request.proof", proven);
    vectors.check::<v1::Enrolled>("enrolled", node());
    vectors.check::<v1::EnrolResponse>("enrol_response.enrolled", Ok(node()));
    vectors.check::<v1::EnrolResponse>("enrol_response.refused", Err(unknown_node()));
}

fn order_vectors(vectors: &mut Vectors) {
    let first = WaitOrder { wait_ms: 0, awaiting: None, ..wait_order() };
    vectors.check::<v1::WaitOrderRequest>("wait_order_request", wait_order());
    vectors.check::<v1::WaitOrderRequest>("wait_order_request.first", first);
    let told = WaitOrder { status: Some(status()), ..wait_order() };
    vectors.check::<v1::WaitOrderRequest>("wait_order_request.status", told);
    let silent = WaitOrder { status: Some(NodeStatus::default()), ..wait_order() };
    vectors.check::<v1::WaitOrderRequest>("wait_order_request.status_empty", silent);
    let follower = WaitOrder { follows: true, ..wait_order() };
    vectors.check::<v1::WaitOrderRequest>("wait_order_request.follows", follower.clone());
    let holder = WaitOrder { holding: Some(holding()), ..follower };
    vectors.check::<v1::WaitOrderRequest>("wait_order_request.holding", holder);
    vectors.check::<v1::Holding>("holding", holding());
    vectors.check::<v1::Hold>("hold", hold());
    vectors.check::<v1::NodeStatus>("node_status", status());
    let none = NodeStatus {
        charging: Some(false),
        idle: Some(false),
        battery_percent: Some(0),
        samples: Some(0),
        capacity: Default::default(),
    };
    vectors.check::<v1::NodeStatus>("node_status.zeros", none);
    let size = v1::Capacity { name: "recurrent".to_owned(), value: 256 };
    vectors.check::<v1::Capacity>("capacity", size);
    vectors.check::<v1::TrainOrder>("train_order", train_order());
    let register = v1::Register { name: "SPI_LR_P_WINP".to_owned(), value: 128 };
    vectors.check::<v1::Register>("register", register);
    vectors.check::<v1::Idle>("idle", idle());
    let nothing = || Order::Idle(idle());
    let train = (Ok(Order::Train(train_order())), Some(Settled::Published), None);
    vectors.check::<v1::WaitOrderResponse>("wait_order_response.train", train);
    for (vector, settled) in [
        ("wait_order_response.idle", Settled::Open),
        ("wait_order_response.idle_abandoned", Settled::Abandoned),
        ("wait_order_response.idle_unknown", Settled::Unknown),
    ] {
        vectors.check::<v1::WaitOrderResponse>(vector, (Ok(nothing()), Some(settled), None));
    }
    let told = (Ok(nothing()), None, Some(hold()));
    vectors.check::<v1::WaitOrderResponse>("wait_order_response.hold", told);
    let refused = (Err(unknown_node()), None, None);
    vectors.check::<v1::WaitOrderResponse>("wait_order_response.refused", refused);
}

fn version_vectors(vectors: &mut Vectors) {
    vectors.check::<v1::FetchVersionRequest>("fetch_version_request", fetch_version());
    vectors.check::<v1::VersionHeader>("version_header", version_header());
    let mut part = |vector, part| vectors.check::<v1::FetchVersionResponse>(vector, part);
    part("fetch_version_response.header", Ok(VersionPart::Header(version_header())));
    part("fetch_version_response.chunk", Ok(VersionPart::Chunk(chunk())));
    part("fetch_version_response.refused", Err(unknown_node()));
}

fn update_vectors(vectors: &mut Vectors) {
    vectors.check::<v1::UpdateHeader>("update_header", candidate());
    let mut part = |vector, part| vectors.check::<v1::PushUpdateRequest>(vector, part);
    part("push_update_request.header", UpdatePart::Header(candidate()));
    part("push_update_request.chunk", UpdatePart::Chunk(chunk()));
    vectors.check::<v1::Receipt>("receipt", receipt());
    let mut answer = |vector, answer| vectors.check::<v1::PushUpdateResponse>(vector, answer);
    answer("push_update_response.receipt", (Ok(receipt()), None));
    answer("push_update_response.receipt_idle", (Ok(receipt()), Some(idle())));
    answer("push_update_response.refused", (Err(round_closed()), None));
}

fn evaluation_vectors(vectors: &mut Vectors) {
    vectors.check::<v1::ReportEvaluationRequest>("report_evaluation_request", evaluation());
    vectors.check::<v1::Recorded>("recorded", v1::Recorded {});
    let mut answer = |vector, answer| vectors.check::<v1::ReportEvaluationResponse>(vector, answer);
    answer("report_evaluation_response.recorded", Ok(()));
    answer("report_evaluation_response.refused", Err(unknown_node()));
}

fn relay_vectors(vectors: &mut Vectors) {
    use v1::relay_request::Call;
    use v1::relay_response::Answer;
    let whole = || WholeUpdate { candidate: candidate(), payload: chunk() };
    vectors.check::<v1::WholeUpdate>("whole_update", whole());
    let call_id = (1 << 40) + 9;
    let mut call = |vector, authorization: &str, traceparent: &str, call| {
        let (authorization, traceparent) = (authorization.to_owned(), traceparent.to_owned());
        let call = Some(call);
        let request = v1::RelayRequest { call_id, authorization, traceparent, call };
        vectors.check::<v1::RelayRequest>(vector, request);
    };
    let bearer = format!("Bearer msn_node-01_{}", "ab".repeat(32));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    call("relay_request.wait_order", &bearer, "", Call::WaitOrder(wait_order().into()));
    call("relay_request.push_update", &bearer, parent, Call::PushUpdate(whole().into()));
    let report = Call::ReportEvaluation(evaluation().into());
    call("relay_request.report_evaluation", "", "", report);

    let error = || v1::CallError { code: 8, message: "busy".to_owned(), details: chunk() };
    vectors.check::<v1::CallError>("call_error", error());
    let told = (Ok(Order::Idle(idle())), Some(Settled::Open), None);
    let mut answer = |vector, answer| {
        let response = v1::RelayResponse { call_id, answer: Some(answer) };
        vectors.check::<v1::RelayResponse>(vector, response);
    };
    answer("relay_response.wait_order", Answer::WaitOrder(told.into()));
    let counted = (Ok(receipt()), Some(idle()));
    answer("relay_response.push_update", Answer::PushUpdate(counted.into()));
    answer("relay_response.report_evaluation", Answer::ReportEvaluation(Ok(()).into()));
    answer("relay_response.failed", Answer::Failed(error()));
}

fn hostile_vectors(vectors: &mut Vectors) {
    let newer = v1::Idle::decode(vectors.read("idle.newer_peer")).unwrap();
    assert_eq!(newer, idle().into(), "fields of a later contract are skipped");
    vectors.check_fails::<v1::Label>("label.truncated");
    vectors.check_fails::<v1::Enrolled>("enrolled.not_utf8");
}

/// `WaitOrderRequest` as `wait_order_request`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
