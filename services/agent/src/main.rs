//! `muster-agent`: a node of a Muster fleet, as a process of its own.

use std::process::ExitCode;

use clap::Parser;

/// A node of a Muster fleet: learns from its own data on a ReckOn network and shares 8-bit updates.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: agent::Args,
}

fn main() -> ExitCode {
    agent::run(&Cli::parse().args)
}
