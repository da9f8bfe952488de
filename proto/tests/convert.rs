//! What the edge lets through, what it rejects and under which field's name, and that nothing changes on the way.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fmt::Debug;

use bytes::Bytes;
use federation::limits::LEARNERS_MAX;
use federation::limits::{
    ARTIFACT_BYTES_MAX, ATTEMPT_NUMBER_MAX, CAPACITIES_MAX, CHUNK_BYTES, DEADLINE_MS_MAX,
    EPOCHS_MAX, LABELS_MAX, PROMOTION_NUMBER_MAX, ROUND_NUMBER_MAX, SAMPLES_MAX, SCHEDULE_MAX,
    STATUS_COUNT_MAX, TOKEN_BYTES_MAX, WAIT_MS_MAX, WEIGHTS_MAX,
};
use federation::{
    Candidate, Enrolment, Evaluation, Hold, Holding, Idle, NodeId, Receipt, RoundRef, Settled,
    TrainOrder,
};
use proto::convert::{
    FetchVersion, Malformed, Order, Reply, UpdatePart, VersionHeader, VersionPart, WaitOrder,
    WholeUpdate,
};
use proto::v1;

mod samples;

/// A way to change a good message.
type Change<W> = fn(&mut W);

/// `good` changed must be rejected, each time under the field's name.
fn rejects<W: Clone, D: TryFrom<W, Error = Malformed> + Debug>(
    good: impl Into<W>,
    cases: &[(&str, Change<W>)],
) {
    let good = good.into();
    D::try_from(good.clone()).unwrap();
    for (index, (field, spoil)) in cases.iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = D::try_from(bad).expect_err(field);
        assert_eq!(error.field, *field, "case {index}: {error}");
        assert_eq!(error.code(), "malformed");
        assert!(!error.expected.is_empty() && !error.got.is_empty(), "case {index}: {error}");
    }
}

/// `good` changed must still be let through.
fn accepts<W: Clone, D: TryFrom<W, Error = Malformed> + Debug>(
    good: impl Into<W>,
    cases: &[Change<W>],
) {
    let good = good.into();
    for (index, change) in cases.iter().enumerate() {
        let mut other = good.clone();
        change(&mut other);
        if let Err(error) = D::try_from(other) {
            panic!("case {index}: {error}");
        }
    }
}

fn short() -> Bytes {
    Bytes::from_static(&[7; 31])
}

fn long() -> Bytes {
    Bytes::from_static(&[7; 33])
}

fn numbered<T>(count: usize, make: impl Fn(String) -> T) -> Vec<T> {
    (0..count).map(|number| make(format!("{number:03}"))).collect()
}

fn label(key: &str, value: &str) -> v1::Label {
    v1::Label { key: key.to_owned(), value: value.to_owned() }
}

fn register(name: &str) -> v1::Register {
    v1::Register { name: name.to_owned(), value: 1 }
}

fn size(name: &str, value: u64) -> v1::Capacity {
    v1::Capacity { name: name.to_owned(), value }
}

/// The status that the sample has.
fn status(message: &mut v1::WaitOrderRequest) -> &mut v1::NodeStatus {
    message.status.as_mut().unwrap()
}

/// The proof that the enrolment has.
fn proof(message: &mut v1::EnrolRequest) -> &mut v1::EnrolProof {
    message.proof.as_mut().unwrap()
}

#[test]
fn enrolments() {
    rejects::<v1::EnrolRequest, Enrolment>(
        samples::enrolment(),
        &[
            ("public_key", |m| m.public_key = short()),
            ("public_key", |m| m.public_key = long()),
            ("public_key", |m| m.public_key = Bytes::new()),
            ("node_id", |m| m.node_id = String::new()),
            ("node_id", |m| m.node_id = "n".repeat(64)),
            ("node_id", |m| m.node_id = "Node".to_owned()),
            ("node_id", |m| m.node_id = "a/../b".to_owned()),
            ("labels", |m| m.labels = numbered(LABELS_MAX + 1, |key| label(&key, "v"))),
            ("labels.key", |m| m.labels.push(label("", "v"))),
            ("labels.key", |m| m.labels.push(label("site", "ber"))),
            ("labels.value", |m| m.labels.push(label("k", "a b"))),
            ("labels.value", |m| m.labels.push(label("k", ""))),
            ("learners", |m| m.learners.clear()),
            ("learners", |m| m.learners = numbered(LEARNERS_MAX + 1, |name| name)),
            ("learners", |m| m.learners.push(String::new())),
            ("learners", |m| m.learners.push("l".repeat(33))),
            ("learners", |m| m.learners.push("Reckon/1".to_owned())),
            ("learners", |m| m.learners.push("/reckon".to_owned())),
            ("learners", |m| m.learners.push("reckon 1".to_owned())),
            ("learners", |m| m.learners.push("reckon/1".to_owned())),
        ],
    );
    accepts::<v1::EnrolRequest, Enrolment>(
        samples::enrolment(),
        &[
            |m| m.node_id = "n".repeat(63),
            |m| m.labels.clear(),
            |m| m.labels = numbered(LABELS_MAX, |key| label(&key, &"v".repeat(63))),
            |m| m.learners = numbered(LEARNERS_MAX, |name| name),
            |m| m.learners = vec!["l".repeat(32)],
        ],
    );
    let proven = Enrolment { proof: Some(samples::enrolment_proof()), ..samples::enrolment() };
    rejects::<v1::EnrolRequest, Enrolment>(
        proven.clone(),
        &[
            ("proof.token", |m| proof(m).token = String::new()),
            ("proof.token", |m| proof(m).token = "t".repeat(TOKEN_BYTES_MAX + 1)),
            ("proof.credential_digest", |m| proof(m).credential_digest = short()),
            ("proof.credential_digest", |m| proof(m).credential_digest = Bytes::new()),
            ("proof.signature", |m| proof(m).signature = Bytes::new()),
            ("proof.signature", |m| proof(m).signature = Bytes::from(vec![0; 65])),
        ],
    );
    accepts::<v1::EnrolRequest, Enrolment>(
        proven,
        &[|m| proof(m).token = "t".repeat(TOKEN_BYTES_MAX), |m| m.proof = None],
    );
    rejects::<v1::EnrolResponse, Reply<NodeId>>(
        Ok(samples::node()),
        &[
            ("result", |m| m.result = None),
            ("node_id", |m| {
                let enrolled = v1::Enrolled { node_id: "?".to_owned() };
                m.result = Some(v1::enrol_response::Result::Enrolled(enrolled));
            }),
        ],
    );
}

#[test]
fn rounds() {
    rejects::<v1::RoundRef, RoundRef>(
        samples::round(),
        &[
            ("run_id", |m| m.run_id = 0),
            ("run_id", |m| m.run_id = 1 << 63),
            ("round", |m| m.round = 0),
            ("round", |m| m.round = ROUND_NUMBER_MAX + 1),
            ("attempt", |m| m.attempt = 0),
            ("attempt", |m| m.attempt = ATTEMPT_NUMBER_MAX + 1),
        ],
    );
    accepts::<v1::RoundRef, RoundRef>(
        samples::round(),
        &[
            |m| *m = v1::RoundRef { run_id: 1, round: 1, attempt: 1 },
            |m| {
                let run_id = (1 << 63) - 1;
                *m = v1::RoundRef { run_id, round: ROUND_NUMBER_MAX, attempt: ATTEMPT_NUMBER_MAX };
            },
        ],
    );
}

#[test]
fn waits() {
    rejects::<v1::WaitOrderRequest, WaitOrder>(
        samples::wait_order(),
        &[
            ("node_id", |m| m.node_id = "-".to_owned()),
            ("wait_ms", |m| m.wait_ms = WAIT_MS_MAX + 1),
            ("awaiting.run_id", |m| m.awaiting.as_mut().unwrap().run_id = 0),
            ("awaiting.round", |m| m.awaiting.as_mut().unwrap().round = 0),
            ("awaiting.attempt", |m| m.awaiting.as_mut().unwrap().attempt = 0),
        ],
    );
    accepts::<v1::WaitOrderRequest, WaitOrder>(
        samples::wait_order(),
        &[|m| m.wait_ms = 0, |m| m.wait_ms = WAIT_MS_MAX, |m| m.awaiting = None],
    );
    let told = WaitOrder { status: Some(samples::status()), ..samples::wait_order() };
    rejects::<v1::WaitOrderRequest, WaitOrder>(
        told.clone(),
        &[
            ("status.battery_percent", |m| status(m).battery_percent = Some(101)),
            ("status.battery_percent", |m| status(m).battery_percent = Some(u32::MAX)),
            ("status.samples", |m| status(m).samples = Some(STATUS_COUNT_MAX + 1)),
            ("status.capacity", |m| {
                status(m).capacity = numbered(CAPACITIES_MAX + 1, |name| size(&name, 1));
            }),
            ("status.capacity.name", |m| status(m).capacity = vec![size("", 1)]),
            ("status.capacity.name", |m| status(m).capacity = vec![size("Recurrent", 1)]),
            ("status.capacity.name", |m| status(m).capacity = vec![size("b", 1), size("a", 1)]),
            ("status.capacity.name", |m| status(m).capacity = vec![size("a", 1), size("a", 1)]),
            ("status.capacity.value", |m| status(m).capacity = vec![size("a", u64::MAX)]),
        ],
    );
    accepts::<v1::WaitOrderRequest, WaitOrder>(
        told,
        &[
            |m| m.status = None,
            |m| m.status = Some(v1::NodeStatus::default()),
            |m| status(m).battery_percent = Some(0),
            |m| status(m).battery_percent = Some(100),
            |m| status(m).samples = Some(0),
            |m| {
                status(m).capacity = numbered(CAPACITIES_MAX, |name| size(&name, STATUS_COUNT_MAX));
            },
        ],
    );
    rejects::<v1::WaitOrderResponse, (Reply<Order>, Option<Settled>, Option<Hold>)>(
        (Ok(Order::Train(samples::train_order())), Some(Settled::Open), None),
        &[
            ("order", |m| m.order = None),
            ("awaited", |m| m.awaited = 5),
            ("awaited", |m| m.awaited = -1),
            ("round", |m| {
                let empty = v1::TrainOrder::default();
                m.order = Some(v1::wait_order_response::Order::Train(empty));
            }),
        ],
    );
}

#[test]
fn holds() {
    rejects::<v1::Holding, Holding>(
        samples::holding(),
        &[
            ("holding.digest", |m| m.digest = short()),
            ("holding.promotion", |m| m.promotion = 0),
            ("holding.promotion", |m| m.promotion = PROMOTION_NUMBER_MAX + 1),
        ],
    );
    rejects::<v1::Hold, Hold>(
        samples::hold(),
        &[
            ("hold.model", |m| m.model = "Cue".to_owned()),
            ("hold.channel", |m| m.channel = String::new()),
            ("hold.version", |m| m.version = 0),
            ("hold.digest", |m| m.digest = short()),
            ("hold.promotion", |m| m.promotion = 0),
            ("hold.promotion", |m| m.promotion = PROMOTION_NUMBER_MAX + 1),
            ("hold.samples", |m| m.samples = 0),
            ("hold.samples", |m| m.samples = SAMPLES_MAX + 1),
        ],
    );
    accepts::<v1::Hold, Hold>(
        samples::hold(),
        &[
            |m| m.version = u32::MAX,
            |m| m.promotion = PROMOTION_NUMBER_MAX,
            |m| m.samples = SAMPLES_MAX,
        ],
    );
}

#[test]
fn orders() {
    rejects::<v1::TrainOrder, TrainOrder>(
        samples::train_order(),
        &[
            ("round", |m| m.round = None),
            ("round.run_id", |m| m.round.as_mut().unwrap().run_id = 0),
            ("round.round", |m| m.round.as_mut().unwrap().round = ROUND_NUMBER_MAX + 1),
            ("round.attempt", |m| m.round.as_mut().unwrap().attempt = ATTEMPT_NUMBER_MAX + 1),
            ("model", |m| m.model = "Cue".to_owned()),
            ("base_version", |m| m.base_version = 0),
            ("base_digest", |m| m.base_digest = short()),
            ("weights", |m| m.weights = 0),
            ("weights", |m| m.weights = WEIGHTS_MAX as u64 + 1),
            ("samples", |m| m.samples = 0),
            ("samples", |m| m.samples = SAMPLES_MAX + 1),
            ("epochs", |m| m.epochs = 0),
            ("epochs", |m| m.epochs = EPOCHS_MAX + 1),
            ("evaluate_samples", |m| m.evaluate_samples = SAMPLES_MAX + 1),
            ("registers", |m| {
                m.registers = numbered(SCHEDULE_MAX + 1, |name| register(&name));
            }),
            ("registers.name", |m| m.registers = vec![register("")]),
            ("registers.name", |m| m.registers = vec![register("spi_lr")]),
            ("registers.name", |m| m.registers = vec![register(&"R".repeat(33))]),
            ("registers.name", |m| m.registers = vec![register("B"), register("A")]),
            ("registers.name", |m| m.registers = vec![register("A"), register("A")]),
            ("samples_max", |m| m.samples_max = 0),
            ("samples_max", |m| m.samples_max = SAMPLES_MAX + 1),
            ("deadline_in_ms", |m| m.deadline_in_ms = DEADLINE_MS_MAX + 1),
        ],
    );
    accepts::<v1::TrainOrder, TrainOrder>(
        samples::train_order(),
        &[
            |m| m.evaluate_samples = 0,
            |m| m.registers.clear(),
            |m| m.registers = numbered(SCHEDULE_MAX, |name| register(&name)),
            |m| m.registers = vec![register(&"R".repeat(32))],
            |m| m.weights = WEIGHTS_MAX as u64,
            |m| m.deadline_in_ms = 0,
            |m| m.seed = u64::MAX,
        ],
    );
}

#[test]
fn versions() {
    use v1::fetch_version_response::Part;
    rejects::<v1::FetchVersionRequest, FetchVersion>(
        samples::fetch_version(),
        &[
            ("node_id", |m| m.node_id = "é".to_owned()),
            ("digest", |m| m.digest = short()),
            ("digest", |m| m.digest = Bytes::new()),
        ],
    );
    rejects::<v1::VersionHeader, VersionHeader>(
        samples::version_header(),
        &[
            ("digest", |m| m.digest = long()),
            ("bytes", |m| m.bytes = ARTIFACT_BYTES_MAX as u64 + 1),
        ],
    );
    rejects::<v1::FetchVersionResponse, Reply<VersionPart>>(
        Ok(VersionPart::Chunk(samples::chunk())),
        &[
            ("part", |m| m.part = None),
            ("chunk", |m| m.part = Some(Part::Chunk(Bytes::new()))),
            ("chunk", |m| m.part = Some(Part::Chunk(vec![0; CHUNK_BYTES + 1].into()))),
            ("digest", |m| m.part = Some(Part::Header(v1::VersionHeader::default()))),
        ],
    );
}

#[test]
fn updates() {
    use v1::push_update_request::Part;
    use v1::push_update_response::Result as Outcome;
    rejects::<v1::UpdateHeader, Candidate>(
        samples::candidate(),
        &[
            ("node_id", |m| m.node_id = "n\0".to_owned()),
            ("round", |m| m.round = None),
            ("round.run_id", |m| m.round.as_mut().unwrap().run_id = u64::MAX),
            ("round.round", |m| m.round.as_mut().unwrap().round = 0),
            ("round.attempt", |m| m.round.as_mut().unwrap().attempt = 0),
            ("base_digest", |m| m.base_digest = long()),
            ("payload_digest", |m| m.payload_digest = short()),
        ],
    );
    // Admission refuses these with a code of their own; they are no errors here.
    accepts::<v1::UpdateHeader, Candidate>(
        samples::candidate(),
        &[
            |m| m.samples = 0,
            |m| m.samples = u32::MAX,
            |m| m.correct = u64::MAX,
            |m| m.synaptic_ops = u64::MAX,
            |m| m.bytes_down = u64::MAX,
            |m| m.payload_bytes = 0,
            |m| m.payload_bytes = u64::MAX,
        ],
    );
    rejects::<v1::PushUpdateRequest, UpdatePart>(
        UpdatePart::Chunk(samples::chunk()),
        &[
            ("part", |m| m.part = None),
            ("chunk", |m| m.part = Some(Part::Chunk(Bytes::new()))),
            ("chunk", |m| m.part = Some(Part::Chunk(vec![0; CHUNK_BYTES + 1].into()))),
            ("node_id", |m| m.part = Some(Part::Header(v1::UpdateHeader::default()))),
        ],
    );
    rejects::<v1::WholeUpdate, WholeUpdate>(
        WholeUpdate { candidate: samples::candidate(), payload: samples::chunk() },
        &[
            ("header", |m| m.header = None),
            ("node_id", |m| m.header = Some(v1::UpdateHeader::default())),
            ("payload", |m| m.payload = Bytes::new()),
            ("payload", |m| m.payload = vec![0; CHUNK_BYTES + 1].into()),
        ],
    );
    rejects::<v1::Receipt, Receipt>(
        samples::receipt(),
        &[
            ("round", |m| m.round = None),
            ("round.round", |m| m.round.as_mut().unwrap().round = 0),
            ("payload_digest", |m| m.payload_digest = short()),
        ],
    );
    rejects::<v1::PushUpdateResponse, (Reply<Receipt>, Option<Idle>)>(
        (Ok(samples::receipt()), None),
        &[
            ("result", |m| m.result = None),
            ("round", |m| m.result = Some(Outcome::Receipt(v1::Receipt::default()))),
        ],
    );
}

#[test]
fn evaluations() {
    rejects::<v1::ReportEvaluationRequest, Evaluation>(
        samples::evaluation(),
        &[
            ("node_id", |m| m.node_id = String::new()),
            ("model", |m| m.model = "m ".to_owned()),
            ("digest", |m| m.digest = short()),
        ],
    );
    // As with updates, the coordinator refuses these with a code.
    accepts::<v1::ReportEvaluationRequest, Evaluation>(
        samples::evaluation(),
        &[|m| m.samples = 0, |m| m.samples = u32::MAX, |m| m.correct = m.samples + 1],
    );
    rejects::<v1::ReportEvaluationResponse, Reply<()>>(Ok(()), &[("result", |m| m.result = None)]);
}

#[test]
fn empty_messages_are_malformed_not_defaults() {
    fn field<W: Default, D: TryFrom<W, Error = Malformed> + Debug>() -> &'static str {
        D::try_from(W::default()).unwrap_err().field
    }
    assert_eq!(field::<v1::EnrolRequest, Enrolment>(), "public_key");
    assert_eq!(field::<v1::WaitOrderRequest, WaitOrder>(), "node_id");
    assert_eq!(field::<v1::FetchVersionRequest, FetchVersion>(), "node_id");
    assert_eq!(field::<v1::PushUpdateRequest, UpdatePart>(), "part");
    assert_eq!(field::<v1::WholeUpdate, WholeUpdate>(), "header");
    assert_eq!(field::<v1::ReportEvaluationRequest, Evaluation>(), "node_id");
}
