//! What passes between a node and the coordinator, free of any wire format.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{ChannelName, Digest, ModelName, NodeId, RoundRef, VersionNumber};

/// A node presents itself. Idempotent by the public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The node's own Ed25519 public key.
    pub public_key: [u8; 32],
    /// The name it wants; unique in the fleet.
    pub node: NodeId,
    /// Labels by which runs select it.
    pub labels: BTreeMap<String, String>,
    /// Learner ids it can run, for example `reckon/1`.
    pub learners: Vec<String>,
    /// What lets it in where nodes need an enrolment token.
    pub proof: Option<EnrolmentProof>,
}

/// What lets a new node in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentProof {
    /// The enrolment token, as text.
    pub token: String,
    /// Digest of the credential that the node chose and will show at every call.
    pub credential: Digest,
    /// The node's signature of the [statement](crate::secret::enrolment_statement).
    pub signature: [u8; 64],
}

/// What a node has to do in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainOrder {
    /// The round it is part of.
    pub round: RoundRef,
    /// The model.
    pub model: ModelName,
    /// The version to start from, by number, for people.
    pub base_version: VersionNumber,
    /// The version to start from, by content.
    pub base: Digest,
    /// Lanes of an update: the number of weights of the model.
    pub weights: u64,
    /// What to do locally.
    pub work: LocalWork,
    /// Seed of everything the node draws in this round: a function of the run's seed, round, attempt and node.
    pub seed: u64,
    /// Most samples the update may claim.
    pub samples_max: u32,
    /// Milliseconds of serving left until the round's deadline.
    pub deadline_in_ms: u64,
}

/// Local training, as one round asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalWork {
    /// Samples to learn from, per epoch; all that a node has, where it has fewer.
    pub samples: u32,
    /// Passes over them.
    pub epochs: u32,
    /// Held-out samples on which to evaluate the base version first; 0 for none.
    pub evaluate_samples: u32,
    /// The learner's registers to set before training: the plan's schedule, resolved for this round.
    pub registers: BTreeMap<String, u32>,
}

/// Nothing to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// When to ask again, in milliseconds; spread so that a fleet does not come at once.
    pub retry_after_ms: u32,
}

/// The version that a node should hold, as the channel says that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The model.
    pub model: ModelName,
    /// The channel.
    pub channel: ChannelName,
    /// The version, by number, for people. It may be lower than that of the version held before.
    pub version: VersionNumber,
    /// The version, by content.
    pub digest: Digest,
    /// The promotion that brought it. For each the node tries the version once.
    pub promotion: u32,
    /// Held-out samples to try it on.
    pub samples: u32,
}

/// The version that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    /// The version, by content.
    pub digest: Digest,
    /// The promotion for which the node holds and has tried it.
    pub promotion: u32,
}

/// What became of a round to which a node holds a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is still open or being aggregated.
    Open,
    /// It was published: the update is in the next version.
    Published,
    /// It was abandoned: the update is in no version.
    Abandoned,
    /// The coordinator does not know the round, or does not keep what was counted in it any more.
    Unknown,
}

/// What a node reports beside its delta. Counts, never times: they are part of what a run's seed decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Training samples the network classified correctly before learning from them.
    pub correct: u64,
    /// Synaptic operations of the training, as the chip would have counted them.
    pub synaptic_ops: u64,
    /// Bytes of versions fetched for this round; 0 when the cache held it.
    pub bytes_down: u64,
}

/// An update as its first message announces it, before any payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who offers it.
    pub node: NodeId,
    /// For which round.
    pub round: RoundRef,
    /// The version it is relative to.
    pub base: Digest,
    /// Length of the payload in bytes: one i8 per weight.
    pub payload_bytes: u64,
    /// SHA-256 of the payload.
    pub payload: Digest,
    /// Samples learned from, counted once per epoch.
    pub samples: u32,
    /// What the node reports beside.
    pub metrics: Metrics,
}

/// The coordinator's word that an update is durably counted in its round's sum, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The round.
    pub round: RoundRef,
    /// SHA-256 of the payload that was counted.
    pub payload: Digest,
    /// Wall time of the count, in milliseconds since the Unix epoch.
    pub counted_at_ms: u64,
}

/// A node's accuracy with one version on samples it holds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Who evaluated.
    pub node: NodeId,
    /// The model.
    pub model: ModelName,
    /// The version, by content.
    pub version: Digest,
    /// Samples tried.
    pub samples: u32,
    /// Samples classified correctly.
    pub correct: u32,
}

/// The answer to a request that can be refused: refusals are values, errors are for our own failures.
pub type Answer<T> = Result<T, Refusal>;

/// Why something does not count. Each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalCode {
    /// The node is not enrolled.
    UnknownNode,
    /// Another node holds the name.
    NameTaken,
    /// The node was revoked.
    NodeRevoked,
    /// A new node needs an enrolment token, and brought none.
    EnrolmentTokenMissing,
    /// There is no such enrolment token.
    EnrolmentTokenUnknown,
    /// The enrolment token's time is over.
    EnrolmentTokenExpired,
    /// The enrolment token let in as many nodes as it may.
    EnrolmentTokenExhausted,
    /// The enrolment token was revoked.
    EnrolmentTokenRevoked,
    /// The enrolment is not signed by the node's key.
    EnrolmentProofInvalid,
    /// The node's labels and those of its enrolment token are too many.
    LabelsTooMany,
    /// The round does not exist, or its receipts are no longer kept.
    UnknownRound,
    /// The node is not in the round's cohort.
    NotSelected,
    /// The round is over.
    RoundClosed,
    /// The round has all the updates it wants.
    RoundFull,
    /// The update is relative to a version that is too old.
    UpdateStale,
    /// The same node already sent another payload for the round.
    UpdateConflict,
    /// The update is relative to another version than the round's.
    WrongBase,
    /// The payload's length is not the number of weights.
    WrongShape,
    /// The sample count is 0 or above the plan's cap.
    SamplesOutOfRange,
    /// A reported metric contradicts the sample count.
    MetricsOutOfRange,
    /// The payload ends before its announced length.
    PayloadTruncated,
    /// The payload goes on after its announced length.
    PayloadTooLong,
    /// The payload's SHA-256 is not the announced one.
    PayloadDigestMismatch,
    /// A lane is -128.
    DeltaOutOfRange,
    /// The version does not exist.
    UnknownVersion,
    /// More correct samples than samples, or none.
    EvaluationOutOfRange,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [Self; 26] = [
        Self::UnknownNode,
        Self::NameTaken,
        Self::NodeRevoked,
        Self::EnrolmentTokenMissing,
        Self::EnrolmentTokenUnknown,
        Self::EnrolmentTokenExpired,
        Self::EnrolmentTokenExhausted,
        Self::EnrolmentTokenRevoked,
        Self::EnrolmentProofInvalid,
        Self::LabelsTooMany,
        Self::UnknownRound,
        Self::NotSelected,
        Self::RoundClosed,
        Self::RoundFull,
        Self::UpdateStale,
        Self::UpdateConflict,
        Self::WrongBase,
        Self::WrongShape,
        Self::SamplesOutOfRange,
        Self::MetricsOutOfRange,
        Self::PayloadTruncated,
        Self::PayloadTooLong,
        Self::PayloadDigestMismatch,
        Self::DeltaOutOfRange,
        Self::UnknownVersion,
        Self::EvaluationOutOfRange,
    ];

    /// The stable code, as it stands on the wire, in logs and in docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNode => "unknown_node",
            Self::NameTaken => "name_taken",
            Self::NodeRevoked => "node_revoked",
            Self::EnrolmentTokenMissing => "enrolment_token_missing",
            Self::EnrolmentTokenUnknown => "enrolment_token_unknown",
            Self::EnrolmentTokenExpired => "enrolment_token_expired",
            Self::EnrolmentTokenExhausted => "enrolment_token_exhausted",
            Self::EnrolmentTokenRevoked => "enrolment_token_revoked",
            Self::EnrolmentProofInvalid => "enrolment_proof_invalid",
            Self::LabelsTooMany => "labels_too_many",
            Self::UnknownRound => "unknown_round",
            Self::NotSelected => "not_selected",
            Self::RoundClosed => "round_closed",
            Self::RoundFull => "round_full",
            Self::UpdateStale => "update_stale",
            Self::UpdateConflict => "update_conflict",
            Self::WrongBase => "wrong_base",
            Self::WrongShape => "wrong_shape",
            Self::SamplesOutOfRange => "samples_out_of_range",
            Self::MetricsOutOfRange => "metrics_out_of_range",
            Self::PayloadTruncated => "payload_truncated",
            Self::PayloadTooLong => "payload_too_long",
            Self::PayloadDigestMismatch => "payload_digest_mismatch",
            Self::DeltaOutOfRange => "delta_out_of_range",
            Self::UnknownVersion => "unknown_version",
            Self::EvaluationOutOfRange => "evaluation_out_of_range",
        }
    }

    /// The code with this text, if there is one.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: what, where and why, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// The field of the request that is wrong.
    pub field: &'static str,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub got: String,
}

impl Refusal {
    /// A refusal of `field`.
    pub fn new(
        code: RefusalCode,
        field: &'static str,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Self { code, field, expected: expected.to_string(), got: got.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} should be {}, got {}", self.code, self.field, self.expected, self.got)
    }
}
