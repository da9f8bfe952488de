//! Whatever the domain can say within the contract's limits arrives as it was said.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fmt::Debug;
use std::str::FromStr;

use bytes::Bytes;
use federation::limits::{
    ATTEMPT_NUMBER_MAX, DEADLINE_MS_MAX, EPOCHS_MAX, PROMOTION_NUMBER_MAX, ROUND_NUMBER_MAX,
    SAMPLES_MAX, STATUS_COUNT_MAX, WAIT_MS_MAX,
};
use federation::{
    Answer, Candidate, Digest, Enrolment, EnrolmentProof, Evaluation, Hold, Holding, Idle,
    LocalWork, Metrics, NodeStatus, Receipt, Refusal, RefusalCode, RoundRef, RunId, Settled,
    TrainOrder, VersionNumber,
};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use prost::Message;
use proto::convert::{
    FetchVersion, Malformed, Order, Reply, UpdatePart, VersionHeader, VersionPart, WaitOrder,
    WholeUpdate,
};
use proto::v1;

const RUN_MAX: u64 = i64::MAX.unsigned_abs();

/// Sends `value` as the bytes of a `W` and reads it as a `D`.
fn send<W, D>(value: impl Into<W>) -> D
where
    W: Message + Default,
    D: TryFrom<W, Error = Malformed>,
{
    let bytes = value.into().encode_to_vec();
    W::decode(bytes.as_slice()).unwrap().try_into().unwrap_or_else(|error| panic!("{error}"))
}

/// An answer as it should be heard.
fn heard<T>(answer: Answer<T>) -> Reply<T> {
    answer.map_err(Into::into)
}

fn name<T: FromStr<Err: Debug> + Debug>() -> impl Strategy<Value = T> {
    "[a-z0-9][a-z0-9._-]{0,62}".prop_map(|text| text.parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn round() -> impl Strategy<Value = RoundRef> {
    (1..=RUN_MAX, 1..=ROUND_NUMBER_MAX, 1..=ATTEMPT_NUMBER_MAX)
        .prop_map(|(run, number, attempt)| RoundRef { run: RunId(run), number, attempt })
}

fn chunk() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..100).prop_map(Bytes::from)
}

/// An answer of `good` or some refusal.
fn answer<T: Clone + Debug>(good: impl Strategy<Value = T>) -> impl Strategy<Value = Answer<T>> {
    let fields = select(vec!["node_id", "round", "correct"]);
    let refusal = (select(RefusalCode::ALL.to_vec()), fields, any::<String>(), any::<String>());
    prop_oneof![
        good.prop_map(Ok),
        refusal.prop_map(|(code, field, expected, got)| {
            Err(Refusal::new(code, field, expected, got))
        }),
    ]
}

fn enrolment() -> impl Strategy<Value = Enrolment> {
    let word = "[a-z0-9][a-z0-9._-]{0,62}";
    (
        any::<[u8; 32]>(),
        name(),
        prop::collection::btree_map(word, word, 0..=32),
        prop::collection::btree_set("[a-z0-9][a-z0-9._/-]{0,31}", 1..=32),
        prop::option::of(proof()),
    )
        .prop_map(|(public_key, node, labels, learners, proof)| Enrolment {
            public_key,
            node,
            labels,
            learners: learners.into_iter().rev().collect(),
            proof,
        })
}

fn proof() -> impl Strategy<Value = EnrolmentProof> {
    ("[ -~]{1,191}", any::<[u8; 32]>(), any::<[[u8; 32]; 2]>()).prop_map(
        |(token, digest, halves)| {
            let mut signature = [0; 64];
            signature.iter_mut().zip(halves.concat()).for_each(|(byte, half)| *byte = half);
            EnrolmentProof { token, credential: Digest(digest), signature }
        },
    )
}

fn work() -> impl Strategy<Value = LocalWork> {
    (
        1..=SAMPLES_MAX,
        1..=EPOCHS_MAX,
        0..=SAMPLES_MAX,
        prop::collection::btree_map("[A-Z0-9_]{1,32}", any::<u32>(), 0..20),
    )
        .prop_map(|(samples, epochs, evaluate_samples, registers)| LocalWork {
            samples,
            epochs,
            evaluate_samples,
            registers,
        })
}

fn train_order() -> impl Strategy<Value = TrainOrder> {
    let base = (1..=u32::MAX, digest(), 1..=4_194_304_u64);
    let limits = (any::<u64>(), 1..=SAMPLES_MAX, 0..=DEADLINE_MS_MAX);
    (round(), name(), base, work(), limits).prop_map(|(round, model, base, work, limits)| {
        let (base_version, base, weights) = (VersionNumber(base.0), base.1, base.2);
        let (seed, samples_max, deadline_in_ms) = limits;
        TrainOrder {
            round,
            model,
            base_version,
            base,
            weights,
            work,
            seed,
            samples_max,
            deadline_in_ms,
        }
    })
}

fn order() -> impl Strategy<Value = Order> {
    let idle = any::<u32>().prop_map(|retry_after_ms| Order::Idle(Idle { retry_after_ms }));
    prop_oneof![train_order().prop_map(Order::Train), idle]
}

fn holding() -> impl Strategy<Value = Holding> {
    let promotion = 1..=PROMOTION_NUMBER_MAX;
    (digest(), promotion).prop_map(|(digest, promotion)| Holding { digest, promotion })
}

fn hold() -> impl Strategy<Value = Hold> {
    let version = (1..=u32::MAX).prop_map(VersionNumber);
    (name(), name(), version, holding(), 1..=SAMPLES_MAX).prop_map(
        |(model, channel, version, Holding { digest, promotion }, samples)| Hold {
            model,
            channel,
            version,
            digest,
            promotion,
            samples,
        },
    )
}

fn status() -> impl Strategy<Value = NodeStatus> {
    let count = || 0..=STATUS_COUNT_MAX;
    let capacity = prop::collection::btree_map("[a-z0-9][a-z0-9._-]{0,62}", count(), 0..=16);
    let flags = any::<(Option<bool>, Option<bool>)>();
    (flags, prop::option::of(0..=100_u8), prop::option::of(count()), capacity).prop_map(
        |((charging, idle), battery_percent, samples, capacity)| NodeStatus {
            charging,
            idle,
            battery_percent,
            samples,
            capacity: capacity.into(),
        },
    )
}

fn settled() -> impl Strategy<Value = Option<Settled>> {
    use Settled::{Abandoned, Open, Published, Unknown};
    prop_oneof![Just(None), select(vec![Open, Published, Abandoned, Unknown]).prop_map(Some)]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let metrics = any::<(u64, u64, u64)>().prop_map(|(correct, synaptic_ops, bytes_down)| {
        Metrics { correct, synaptic_ops, bytes_down }
    });
    let payload = (any::<u64>(), digest());
    (name(), round(), digest(), payload, any::<u32>(), metrics).prop_map(
        |(node, round, base, (payload_bytes, payload), samples, metrics)| Candidate {
            node,
            round,
            base,
            payload_bytes,
            payload,
            samples,
            metrics,
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (round(), digest(), any::<u64>()).prop_map(|(round, payload, counted_at_ms)| Receipt {
        round,
        payload,
        counted_at_ms,
    })
}

fn version_part() -> impl Strategy<Value = VersionPart> {
    let header = (digest(), 0..=4_276_224_u64)
        .prop_map(|(digest, bytes)| VersionPart::Header(VersionHeader { digest, bytes }));
    prop_oneof![header, chunk().prop_map(VersionPart::Chunk)]
}

fn update_part() -> impl Strategy<Value = UpdatePart> {
    prop_oneof![candidate().prop_map(UpdatePart::Header), chunk().prop_map(UpdatePart::Chunk)]
}

proptest! {
    #[test]
    fn enrolments(request in enrolment(), answer in answer(name())) {
        prop_assert_eq!(send::<v1::EnrolRequest, Enrolment>(request.clone()), request);
        prop_assert_eq!(send::<v1::EnrolResponse, Reply<_>>(answer.clone()), heard(answer));
    }

    #[test]
    fn orders(
        node in name(),
        wait_ms in 0..=WAIT_MS_MAX,
        awaiting in prop::option::of(round()),
        (status, follows) in (prop::option::of(status()), any::<bool>()),
        holding in prop::option::of(holding()),
        answer in answer(order()),
        (settled, hold) in (settled(), prop::option::of(hold())),
    ) {
        let request = WaitOrder { node, wait_ms, awaiting, status, follows, holding };
        prop_assert_eq!(send::<v1::WaitOrderRequest, WaitOrder>(request.clone()), request);
        let sent = (answer.clone(), settled, hold.clone());
        let got: (Reply<Order>, _, _) = send::<v1::WaitOrderResponse, _>(sent);
        prop_assert_eq!(got, (heard(answer), settled, hold));
    }

    #[test]
    fn versions(node in name(), digest in digest(), answer in answer(version_part())) {
        let request = FetchVersion { node, digest };
        prop_assert_eq!(send::<v1::FetchVersionRequest, FetchVersion>(request.clone()), request);
        prop_assert_eq!(send::<v1::FetchVersionResponse, Reply<_>>(answer.clone()), heard(answer));
    }

    #[test]
    fn updates(
        part in update_part(),
        (candidate, payload) in (candidate(), chunk()),
        answer in answer(receipt()),
        retry in prop::option::of(any::<u32>()),
    ) {
        prop_assert_eq!(send::<v1::PushUpdateRequest, UpdatePart>(part.clone()), part);
        let whole = WholeUpdate { candidate, payload };
        prop_assert_eq!(send::<v1::WholeUpdate, WholeUpdate>(whole.clone()), whole);
        let idle = retry.map(|retry_after_ms| Idle { retry_after_ms });
        let got: (Reply<Receipt>, _) = send::<v1::PushUpdateResponse, _>((answer.clone(), idle));
        prop_assert_eq!(got, (heard(answer), idle));
    }

    #[test]
    fn evaluations(
        node in name(),
        model in name(),
        version in digest(),
        counts in any::<(u32, u32)>(),
        answer in answer(Just(())),
    ) {
        let (samples, correct) = counts;
        let request = Evaluation { node, model, version, samples, correct };
        prop_assert_eq!(send::<v1::ReportEvaluationRequest, Evaluation>(request.clone()), request);
        let got = send::<v1::ReportEvaluationResponse, Reply<()>>(answer.clone());
        prop_assert_eq!(got, heard(answer));
    }
}
