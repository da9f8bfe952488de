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
mod clients;
mod crash;
mod dashboard;
mod dashboard_metrics;
mod dashboard_pages;
mod data;
mod demo;
mod deploy;
mod deploy_fleet;
mod deploy_hosts;
mod deploy_watch;
mod docs;
mod first_steps;
mod full;
mod interchange;
mod kill;
mod python;
mod reference;
mod rehearsal;
mod reload;
mod report;
mod shutdown;
mod simulate;
mod simulate_tasks;
mod storage;
mod support;
mod sync;
mod tidy;
mod tls;
mod traces;
mod upgrade;
