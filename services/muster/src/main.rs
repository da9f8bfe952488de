//! `muster`: the one command people type. Everything it does is done elsewhere; this is the door.

mod audit;
mod client;
mod failure;
mod fleet;
mod manual;
mod missing;
mod model;
mod near;
mod print;
mod profile;
mod remote;
mod run;
mod table;
#[cfg(test)]
mod tests;
mod when;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use coordinator::shutdown::{Ended, signals, until_signalled};
use coordinator::{Config, Coordinator, SystemClock, files, telemetry};
use failure::{EXIT_STATUSES, Failure, status};
use print::{failure, line, try_line};

/// Federated learning on fleets of neuromorphic devices.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = EXIT_STATUSES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the coordinator
    Serve(coordinator::Args),
    /// Run a node: the agent that learns on a device
    Node(agent::Args),
    /// Show a fleet that learns: a coordinator and node processes on this machine, one command, a report
    Demo(simulator::demo::Args),
    /// Train: make runs, follow and direct them
    #[command(subcommand)]
    Run(run::Command),
    /// Look at models and their versions, take them to other tools and back
    #[command(subcommand)]
    Model(model::Command),
    /// Look at the nodes
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// Find out what happened, from a coordinator's database file
    #[command(subcommand)]
    Audit(audit::Command),
    /// Name the coordinators that you work with
    #[command(subcommand)]
    Profile(profile::Command),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(manual::ManArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => start(serve(args)),
        Command::Node(args) => agent::run(&args),
        Command::Demo(args) => start(demo(args)),
        Command::Run(command) => start(told(run::run(command))),
        Command::Model(command) => start(told(model::run(command))),
        Command::Fleet(command) => start(told(fleet::run(command))),
        Command::Audit(command) => start(audit(command)),
        Command::Profile(command) => ended(profile::run(command)),
        Command::Completions(args) => ended(manual::completions(&args, Cli::command())),
        Command::Man(args) => ended(manual::man(&args, Cli::command())),
    }
}

fn start(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => failure("runtime_not_started", &error, status::OS_ERROR),
    }
}

/// Serves until a signal; a second one ends the process at once.
async fn serve(args: coordinator::Args) -> ExitCode {
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(error) => return failure(error.code(), &error, error.exit_code()),
    };
    telemetry::init(&config);
    files::raise_limit();
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failure("signals_not_handled", &error, status::OS_ERROR),
    };
    let running = match Coordinator::start(config, Arc::new(SystemClock::new())).await {
        Ok(running) => running,
        Err(error) => return failure(error.code(), &error, error.exit_code()),
    };
    line(&format!("REST  http://{}", running.http_addr()));
    line(&format!("gRPC  http://{}", running.grpc_addr()));
    match until_signalled(running, signals).await {
        Ok(Ended::InOrder) => ExitCode::SUCCESS,
        // The shell's convention for a process that a signal ended. Not a return: nothing is waited for any more.
        Ok(Ended::AtOnce) => std::process::exit(130),
        Err(error) => failure("part_ended", &error, status::SOFTWARE),
    }
}

async fn demo(args: simulator::demo::Args) -> ExitCode {
    telemetry::init(&Config { log: "warn".to_owned(), ..Config::default() });
    let mut signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failure("signals_not_handled", &error, status::OS_ERROR),
    };
    match simulator::demo::run(&args, line, signals.next()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(error.code(), &error, error.exit_code()),
    }
}

/// Says how a command that talks to a coordinator ended.
async fn told(work: impl Future<Output = Result<u8, Failure>>) -> ExitCode {
    ended(work.await)
}

fn ended(result: Result<u8, Failure>) -> ExitCode {
    result.map_or_else(|failure| print::fail(&failure), ExitCode::from)
}

async fn audit(command: audit::Command) -> ExitCode {
    match audit::run(&command, try_line).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => failure(error.code(), &error, error.exit_code()),
    }
}
