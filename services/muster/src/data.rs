//! `muster data`: what a folder of recordings holds, and what a fleet needs to learn from it. The work is `simulator`'s; here is
//! its command line.

pub(crate) mod deal;

use std::path::PathBuf;

use serde_json::json;
use simulator::data::DataError;
use simulator::data::check::{Found, check};

use crate::failure::{Failure, status};
use crate::print::Out;

/// What to ask of data.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Say which data sets lie in a folder, what is missing of them and where they are published: exit status 0 if each is
    /// whole, 1 if something is missing or nothing was recognised
    Check(CheckArgs),
    /// Make what a fleet of real nodes needs to learn a task: the model's first version, the plan, and each node's samples
    Deal(deal::DealArgs),
}

/// `muster data check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Does it; returns the exit status.
pub(crate) fn run(command: Command) -> Result<u8, Failure> {
    let CheckArgs { dir, json } = match command {
        Command::Check(args) => args,
        Command::Deal(args) => return deal::run(&args),
    };
    let unreadable = |error: DataError| Failure::new(error.code(), &error, status::NO_INPUT);
    let found = check(&dir).map_err(unreadable)?;
    let whole = !found.is_empty() && found.iter().all(|set| set.problems.is_empty());
    let out = Out::new(json);
    out.tell(&json!({"dir": dir, "whole": whole, "sets": found}), |_| match found.as_slice() {
        [] => format!(
            "{}: nothing that is recognised; docs/reference/tasks.md lists what is",
            dir.display()
        ),
        sets => sets.iter().map(describe).collect::<Vec<_>>().join("\n\n"),
    })?;
    Ok(if whole { 0 } else { status::NOT_SO })
}

fn describe(found: &Found) -> String {
    let Found { set, data, holds, problems, published } = found;
    let mut lines = vec![(*set).to_owned()];
    lines.extend(holds.iter().map(|what| format!("  {what}")));
    lines.extend(problems.iter().map(|what| format!("  missing or wrong: {what}")));
    lines.extend(data.iter().map(|data| format!("  use it with: --data {data}")));
    lines.push(format!("  published: {published}"));
    lines.join("\n")
}
