//! `muster`: the one command people type. Everything it does is done elsewhere; this is the door.

mod audit;
mod care;
mod certificate;
mod client;
mod config;
mod data;
mod events;
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
mod simulate;
mod sse;
mod table;
#[cfg(test)]
mod tests;
mod token;
mod when;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use coordinator::care::{CareError, ready};
use coordinator::shutdown::{Ended, hangups, signals, until_signalled};
use coordinator::{Config, Coordinator, Reloader, SystemClock, Wish, files, telemetry};
use failure::{EXIT_STATUSES, Failure, HEALTHCHECK_STATUSES, status};
use print::{failure, line, note};

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
    /// Simulate a fleet of up to 100,000 nodes in a world of your choice: one command, a report
    Simulate(simulator::simulate::Args),
    /// Train: make runs, follow and direct them
    #[command(subcommand)]
    Run(run::Command),
    /// Look at models and their versions, take them to other tools and back
    #[command(subcommand)]
    Model(model::Command),
    /// Look at the nodes, let them in, shut them out
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// Make, show and revoke the tokens of people and tools
    #[command(subcommand)]
    Token(token::Command),
    /// Follow what happens
    Events(events::EventsArgs),
    /// Find out what happened, from a coordinator's database file or the coordinator itself
    #[command(subcommand)]
    Audit(audit::Command),
    /// Begin a file of settings for `serve`, check one, or make a certificate
    #[command(subcommand)]
    Config(config::Command),
    /// Look at recordings that a fleet can learn from, and deal them out
    #[command(subcommand)]
    Data(data::Command),
    /// Copy the database of a coordinator, running or not, into a file
    Backup(care::BackupArgs),
    /// Put a backup where a coordinator's database is, or was; the coordinator must be stopped
    Restore(care::RestoreArgs),
    /// Look at a data directory: exit status 0 if all is well, 1 if something should be looked at, 2 if something fails
    Doctor(care::DoctorArgs),
    /// Ask the coordinator that `serve` would be with these settings, on this machine, whether it is ready
    #[command(after_long_help = HEALTHCHECK_STATUSES)]
    Healthcheck(coordinator::Args),
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
        Command::Serve(args) => run(serve(args)),
        Command::Node(args) => agent::run(&args),
        Command::Demo(args) => run(demo(args)),
        Command::Simulate(args) => run(simulate::run(args)),
        Command::Run(command) => run(told(run::run(command))),
        Command::Model(command) => run(told(model::run(command))),
        Command::Fleet(command) => run(told(fleet::run(command))),
        Command::Token(command) => run(told(token::run(command))),
        Command::Events(args) => run(told(events::run(args))),
        Command::Audit(command) => run(told(audit::run(command))),
        Command::Config(config::Command::Certificate(args)) => ended(certificate::run(&args)),
        Command::Config(command) => config(&command),
        Command::Data(command) => ended(data::run(command)),
        Command::Backup(args) => run(cared(async move || care::backup(&args, note).await)),
        Command::Restore(args) => run(cared(async move || care::restore(&args, note).await)),
        Command::Doctor(args) => run(cared(async move || care::doctor(&args).await)),
        Command::Healthcheck(args) => run(healthcheck(args)),
        Command::Profile(command) => ended(profile::run(command)),
        Command::Completions(args) => ended(manual::completions(&args, Cli::command())),
        Command::Man(args) => ended(manual::man(&args, Cli::command())),
    }
}

fn run(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => failure("runtime_not_started", &error, status::OS_ERROR),
    }
}

/// Serves until a signal; a second one ends the process at once. SIGHUP reloads.
async fn serve(args: coordinator::Args) -> ExitCode {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(error) => return failure(error.code(), &error, error.exit_code()),
    };
    match args.wish() {
        Wish::Use => {}
        Wish::Toml => {
            line(loaded.to_toml().trim_end());
            return ExitCode::SUCCESS;
        }
        Wish::Json => {
            line(&loaded.to_json().to_string());
            return ExitCode::SUCCESS;
        }
    }
    let (log, tracing) = telemetry::init(&loaded.config);
    coordinator::warn_of_unknown_variables(&config::variables(&Cli::command()));
    files::raise_limit();
    let (signals, hangups) = match signals().and_then(|signals| Ok((signals, hangups()?))) {
        Ok(both) => both,
        Err(error) => return failure("signals_not_handled", &error, status::OS_ERROR),
    };
    let clock = Arc::new(SystemClock::new());
    let running = match Coordinator::start(loaded.config.clone(), clock).await {
        Ok(running) => running,
        Err(error) => return failure(error.code(), &error, error.exit_code()),
    };
    line(&format!("REST  {}://{}", running.scheme(), running.http_addr()));
    line(&format!("gRPC  {}://{}", running.scheme(), running.grpc_addr()));
    let reloader = Reloader::new(args, loaded, &running, log);
    let ended = tokio::select! {
        biased;
        ended = until_signalled(running, signals) => ended,
        never = reloader.run(hangups) => match never {},
    };
    tracing.end().await;
    match ended {
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

/// For a supervisor: the exit status says it all.
async fn healthcheck(args: coordinator::Args) -> ExitCode {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(error) => return failure(error.code(), &error, error.exit_code()),
    };
    match ready(&loaded.config).await {
        Ok(at) => {
            line(&format!("the coordinator at {at} is ready"));
            ExitCode::SUCCESS
        }
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

fn config(command: &config::Command) -> ExitCode {
    match config::run(command) {
        Ok((said, status)) => {
            line(&said);
            ExitCode::from(status)
        }
        Err(error) => failure(error.code(), &error, error.exit_code()),
    }
}

async fn cared(work: impl AsyncFnOnce() -> Result<(String, u8), CareError>) -> ExitCode {
    match work().await {
        Ok((said, status)) => {
            line(&said);
            ExitCode::from(status)
        }
        Err(error) => failure(error.code(), &error, error.exit_code()),
    }
}
