//! The pure part of federated learning: words, limits, rules and arithmetic.
//!
//! An update's life, as this crate sees it. A node receives a [`TrainOrder`] for a [`RoundRef`], learns, and offers a
//! [`Candidate`]. [`admission::judge`] says whether it counts. What counts is folded into an exact integer
//! [`aggregate::Sum`]. [`round::decide`] says when the round is over, [`aggregate::advance`] moves the master copy of
//! the weights, and [`aggregate::publish`] rounds it to the next [`Artifact`], whose [`Digest`] names the version.
//!
//! What this crate does not do: no I/O, no clock, no random source, no wire or database format but the artifact's own
//! bytes. Time and randomness come in as arguments ([`Clock`], [`Entropy`], seeds). The same inputs give the same bytes
//! on every machine. Anyone may import it; it imports nothing of ours.

pub mod admission;
pub mod aggregate;
pub mod audit;
pub mod channel;
mod clock;
pub mod compare;
pub mod draw;
mod eligibility;
mod id;
pub mod invariant;
pub mod limits;
mod model;
mod order;
pub mod pace;
mod plan;
pub mod rate;
pub mod reports;
pub mod round;
pub mod secret;
mod selector;
mod strategy;

pub use clock::{Clock, Entropy, Timestamp};
pub use eligibility::{Eligibility, NodeStatus, eligible};
pub use id::{
    ChannelName, Digest, IdError, ModelName, NodeId, RoundRef, RunId, TokenName, VersionNumber,
};
pub use model::{Artifact, ArtifactError, Layout, LayoutError, Tensor};
pub use order::{
    Answer, Candidate, Enrolment, EnrolmentProof, Evaluation, Hold, Holding, Idle, LocalWork,
    Metrics, Receipt, Refusal, RefusalCode, Settled, TrainOrder,
};
pub use plan::{Cohort, Local, Plan, PlanProblem, ScheduleStep};
pub use selector::{Place, Selector, SelectorError};
pub use strategy::{Strategy, Weighting};
