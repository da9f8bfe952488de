//! The coordinator: gRPC for nodes, REST for people and tools, rounds, storage. A library; `muster` is its program.
//!
//! An update's way, and the modules in reading order:
//!
//! 1. `config`, [`start`](StartError), `server`, `reload`, `shutdown`: how a coordinator comes up, changes and goes
//!    down; `files`: how many can be connected to it.
//! 2. `grpc` decodes what a node says; `http` what people say. Both only translate.
//!    `access` says who may come in, and how often; `traces` follows a call to what becomes of it.
//! 3. `orders` gives a node its work; `presence` knows who is there to be drawn.
//! 4. `admission` judges an update; `commit` has it counted, in a group. The receipt goes out after the commit.
//! 5. `store` is the only place with SQL: one writer, `synchronous=FULL`, every transaction named.
//! 6. `rounds` ticks: opens rounds, and turns a finished round's sum into the next version, in one transaction.
//! 7. `channels` ticks with it: watches what nodes report of a version on its way to them, and turns a bad one back.
//!
//! `metrics` is what all of them count; `http/dashboard` shows it, and the rest, to people.
//!
//! The rules and the arithmetic are `federation`'s; the wire format is `proto`'s. What this crate does not do: it never
//! learns and never imports `reckon`; a model is a layout of bounded integers here. It reads no clock but
//! [`SystemClock`] and no environment but [`Args`]. Only `muster`, `simulator` and tests import it.

pub mod access;
mod admission;
pub mod audit;
pub mod care;
mod channels;
mod clock;
mod commit;
mod config;
mod connections;
mod core;
mod entropy;
pub mod files;
mod grpc;
mod http;
mod members;
mod metrics;
mod orders;
mod plan;
mod posted;
mod presence;
mod recent;
mod reload;
mod rounds;
mod salt;
mod server;
pub mod shutdown;
mod start;
mod store;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod traces;

pub use access::{Auth, Scope};
pub use clock::SystemClock;
pub use config::{
    Args, CONFIG_FILE, Config, ConfigError, ConfigProblem, Effect, Loaded, LogFormat, Origin,
    SETTINGS, Setting, Wish, default_file, warn_of_unknown_variables,
};
pub use entropy::SystemEntropy;
pub use reload::Reloader;
pub use server::{
    Certificates, Coordinator, DoorLimits, Driver, PartEnded, Running, Simulated, TlsError,
};
pub use start::StartError;
pub use store::{Moment, PowerFails};
