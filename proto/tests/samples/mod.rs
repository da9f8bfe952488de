//! One good value of each thing that crosses the wire, its fields all different. The vectors in `tests/golden/wire`
//! say the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use federation::{
    Candidate, Digest, Enrolment, EnrolmentProof, Evaluation, Hold, Holding, LocalWork, Metrics,
    NodeId, NodeStatus, Receipt, RoundRef, RunId, TrainOrder, VersionNumber,
};
use proto::convert::{FetchVersion, VersionHeader, WaitOrder};

pub(crate) fn node() -> NodeId {
    "node-01".parse().unwrap()
}

/// The 32 bytes from `first` on, ascending.
pub(crate) fn ascending(first: u8) -> [u8; 32] {
    let mut next = first;
    [(); 32].map(|()| {
        let byte = next;
        next += 1;
        byte
    })
}

pub(crate) fn chunk() -> Bytes {
    Bytes::from_static(&[0x00, 0x01, 0x7f, 0x80, 0x81, 0xff])
}

pub(crate) fn round() -> RoundRef {
    RoundRef { run: RunId((1 << 40) + 7), number: 300, attempt: 2 }
}

pub(crate) fn enrolment() -> Enrolment {
    let label = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Enrolment {
        public_key: ascending(0),
        node: node(),
        labels: [("site", "ams"), ("lane", "3")].map(label).into(),
        learners: ["reckon/1", "other/2"].map(str::to_owned).into(),
        proof: None,
    }
}

pub(crate) fn enrolment_proof() -> EnrolmentProof {
    let mut signature = [0; 64];
    signature.iter_mut().zip(0x60..).for_each(|(byte, value)| *byte = value);
    let token = format!("mse_7_{}", "ab".repeat(32));
    EnrolmentProof { token, credential: Digest(ascending(0x40)), signature }
}

pub(crate) fn wait_order() -> WaitOrder {
    WaitOrder {
        node: node(),
        wait_ms: 60_000,
        awaiting: Some(round()),
        status: None,
        follows: false,
        holding: None,
    }
}

pub(crate) fn holding() -> Holding {
    Holding { digest: Digest(ascending(0x60)), promotion: 9 }
}

pub(crate) fn hold() -> Hold {
    Hold {
        model: "cue".parse().unwrap(),
        channel: "canary".parse().unwrap(),
        version: VersionNumber(13),
        digest: Digest(ascending(0x60)),
        promotion: 9,
        samples: 200,
    }
}

pub(crate) fn status() -> NodeStatus {
    let size = |(name, value): (&str, u64)| (name.to_owned(), value);
    NodeStatus {
        charging: Some(true),
        idle: Some(false),
        battery_percent: Some(87),
        samples: Some(1 << 43),
        capacity: std::sync::Arc::new([("recurrent", 256), ("outputs", 16)].map(size).into()),
    }
}

pub(crate) fn train_order() -> TrainOrder {
    TrainOrder {
        round: round(),
        model: "cue".parse().unwrap(),
        base_version: VersionNumber(12),
        base: Digest(ascending(0x20)),
        weights: 135_168,
        work: LocalWork {
            samples: 50,
            epochs: 4,
            evaluate_samples: 25,
            registers: BTreeMap::from([
                ("SPI_LR_R_WREC".to_owned(), 65_535),
                ("SPI_LR_P_WINP".to_owned(), 128),
            ]),
        },
        seed: 0x0123_4567_89ab_cdef,
        samples_max: 1_000,
        deadline_in_ms: 2_592_000_000,
    }
}

pub(crate) fn fetch_version() -> FetchVersion {
    FetchVersion { node: node(), digest: Digest(ascending(0x20)) }
}

pub(crate) fn version_header() -> VersionHeader {
    VersionHeader { digest: Digest(ascending(0x20)), bytes: 4_276_224 }
}

pub(crate) fn candidate() -> Candidate {
    Candidate {
        node: node(),
        round: round(),
        base: Digest(ascending(0x20)),
        payload_bytes: 135_168,
        payload: Digest(ascending(0x40)),
        samples: 200,
        metrics: Metrics { correct: 130, synaptic_ops: 987_654_321_012, bytes_down: 4_276 },
    }
}

pub(crate) fn receipt() -> Receipt {
    Receipt { round: round(), payload: Digest(ascending(0x40)), counted_at_ms: 1_767_225_600_123 }
}

pub(crate) fn evaluation() -> Evaluation {
    Evaluation {
        node: node(),
        model: "cue".parse().unwrap(),
        version: Digest(ascending(0x20)),
        samples: 400,
        correct: 321,
    }
}
