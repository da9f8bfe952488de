//! The coordinator through its sockets: what nodes, people and operators get to see.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers and all")]

mod access;
mod attacks_access;
mod events;
mod grpc;
mod idempotency;
mod lifecycle;
mod rest;
mod support;
