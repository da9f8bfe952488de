//! Fleets of real agents against the real coordinator, and what is said about them afterwards.
//!
//! [`demo`]: a coordinator and node processes on this machine, one command, a report. [`simulate`]: fleets of up to 100,000
//! virtual nodes in worlds that repeat. The nodes are the agent that devices run, the coordinator is the one that people operate, and between them is the real
//! protocol over real sockets; nothing is simulated but the sensor.
//!
//! What this crate does not do: it trains nothing itself and never touches the coordinator's database; it asks over
//! REST as any tool would. Only `muster` and the tests may import it.

pub mod cost;
pub mod demo;
pub mod report;
mod rest;
pub mod simulate;
pub mod sweep;
pub mod task;

pub use bytes::Bytes;
pub use http::Method;
pub use rest::{Access, Rest, RestError, RestStream};
