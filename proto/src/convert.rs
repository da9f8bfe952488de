//! Wire to domain and back, once, at the edge.
//!
//! From the wire by [`TryFrom`]: every message is taken apart field by field, so that a new field of the contract does
//! not compile until someone decides about it, and every limit of the contract is enforced. From the domain by
//! [`From`], which cannot fail.
//!
//! | message | domain |
//! | --- | --- |
//! | `EnrolRequest` | [`federation::Enrolment`] |
//! | `EnrolProof` | [`federation::EnrolmentProof`] |
//! | `EnrolResponse`, `Enrolled` | [`Answer`] out, [`Reply`] in, of [`federation::NodeId`] |
//! | `WaitOrderRequest` | [`WaitOrder`] |
//! | `NodeStatus`, `Capacity` | [`federation::NodeStatus`] |
//! | `WaitOrderResponse` | ([`Answer`] out, [`Reply`] in, of [`Order`]; what became of the awaited round; the version to hold) |
//! | `Hold`, `Holding` | [`federation::Hold`], [`federation::Holding`] |
//! | `FetchVersionRequest` | [`FetchVersion`] |
//! | `FetchVersionResponse` | [`Answer`] out, [`Reply`] in, of [`VersionPart`] |
//! | `PushUpdateRequest` | [`UpdatePart`] |
//! | `WholeUpdate` | [`WholeUpdate`] |
//! | `UpdateHeader` | [`federation::Candidate`] |
//! | `PushUpdateResponse` | ([`Answer`] out, [`Reply`] in, of [`federation::Receipt`]; when to ask again) |
//! | `ReportEvaluationRequest` | [`federation::Evaluation`] |
//! | `ReportEvaluationResponse` | [`Answer`] out, [`Reply`] in, of `()` |
//! | `Refusal` | [`federation::Refusal`] out, [`RefusalText`] in |
//!
//! `RelayRequest`, `RelayResponse` and `CallError` stay what they are: envelopes of these, which the two ends of a relay open.
//!
//! What this module does not judge: numbers by which `federation::admission` refuses an update or an evaluation
//! (`samples`, `payload_bytes`, `correct`, `synaptic_ops`, `bytes_down`). A node must learn of
//! those by a refusal, not by an error.

mod enrol;
mod evaluation;
mod hold;
mod order;
mod parse;
mod refusal;
mod round;
mod status;
mod update;
mod version;

pub use federation::Answer;

pub use order::{Order, WaitOrder};
pub use parse::{Malformed, chunks};
pub use refusal::{RefusalText, Reply};
pub use update::{UpdatePart, WholeUpdate};
pub use version::{FetchVersion, VersionHeader, VersionPart};
