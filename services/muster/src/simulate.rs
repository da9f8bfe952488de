//! `muster simulate`.

use std::process::ExitCode;

use coordinator::shutdown::signals;
use coordinator::{Config, files, telemetry};

use crate::failure::status;
use crate::print::{failure, line};

/// Runs a simulation; the first signal stops it in order.
pub(crate) async fn run(args: simulator::simulate::Args) -> ExitCode {
    telemetry::init(&Config { log: LOG.to_owned(), ..Config::default() });
    files::raise_limit();
    let mut signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failure("signals_not_handled", &error, status::OS_ERROR),
    };
    match simulator::simulate::run(&args, line, signals.next()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(error.code(), &error, error.exit_code()),
    }
}

/// In a simulated world rounds are abandoned and updates come late, which is what it is for: the report tells of it.
const LOG: &str = "error";
