//! End to end: real processes, real sockets, one file per behaviour.
//!
//! This is a test target of the package `muster`, so that cargo builds the binary it tests and says where it is.
#![expect(clippy::unwrap_used, reason = "test code")]

mod access;
mod audit;
mod bad_input;
mod bad_model;
mod care;
mod cli;
mod cli_help;
mod crash;
mod demo;
mod full;
mod interchange;
mod kill;
mod python;
mod reload;
mod report;
mod shutdown;
mod simulate;
mod storage;
mod support;
mod sync;
mod tidy;
mod tls;
mod upgrade;
