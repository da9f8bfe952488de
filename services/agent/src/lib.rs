//! The agent on the device: it asks for work, learns, and pushes what it learned until that counts.
//!
//! Reading order: [`config`] (what can be set), [`node`] (the steps, and what survives a crash), [`journal`] with
//! [`residual`] (what a node must not forget), [`cache`], [`held`], [`identity`] and [`credential`] (what else is on disk), [`status`] (how the device is doing), [`learner`] with
//! [`data`] and [`train`] (an order becomes an update, the same one every time), [`compute`] (where that runs), [`uplink`]
//! (the calls, and what is tried again), [`run()`] (the process).
//!
//! An order's way: `node` asks and gets it, `uplink` fetches the version, `cache` keeps it, `compute` evaluates and trains,
//! `journal` takes the update and the new residual in one write, and from there `uplink` pushes it until there is a
//! receipt or a refusal. Memory is bounded by the model and by [`limits`]; there is no database.
//!
//! What it does not do: no transport types outside `uplink`, no clock but tokio's timers and [`clock`], which only warns, no randomness but one
//! `Entropy` for the key and the credential, and seeds for the rest. The coordinator must not import it.

pub mod backoff;
pub mod cache;
pub mod clock;
pub mod compute;
pub mod config;
pub mod credential;
pub mod data;
pub mod data_spec;
pub mod entropy;
pub mod error;
pub mod files;
pub mod held;
pub mod identity;
pub mod journal;
pub mod learner;
pub mod limits;
mod memory;
pub mod node;
pub mod residual;
mod run;
pub mod status;
mod telemetry;
#[cfg(test)]
mod testing;
pub mod train;
pub mod uplink;

pub use cache::Shelf;
pub use compute::{Learner, Learning, Placement, StandIn};
pub use config::{Args, LogFormat, Settings};
pub use entropy::SystemEntropy;
pub use error::AgentError;
pub use learner::{BuildError, LEARNER, LearnError, Weights, reckon_artifact};
pub use node::{InMemory, Next, Node, Progress, Tally};
pub use run::{drive, run, run_until};
pub use status::Power;
pub use uplink::Uplink;
