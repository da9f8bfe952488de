//! The coordinator through its sockets: what nodes, people and operators get to see.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers and all")]

mod access;
mod attacks_access;
mod attacks_doors;
mod channels;
mod dashboard;
mod events;
mod grpc;
mod http;
mod idempotency;
mod lifecycle;
mod lists;
mod relay;
mod rest;
mod retention;
mod support;
mod tls;
