//! `muster simulate`: fleets of 1 to 100,000 virtual nodes, in worlds that can be repeated.
//!
//! The nodes are the agent that devices run, the coordinator is the one that people operate, and between them is the real
//! protocol. How much of the rest is real is the mode:
//!
//! | mode | nodes | lines | time |
//! |---|---|---|---|
//! | `memory` | data between their steps | a few, in memory, shared | virtual |
//! | `task` | the same | a loopback socket each | virtual |
//! | `process` | a process each, with files | a loopback socket each | the machine's |
//!
//! Reading order: [`world`] (what a fleet lives in), `shares` and `life` (who has what, what befalls whom), `plan`, `engine`
//! (how time passes), `quarters`, `lines` and `learn` (where nodes live, over what they speak, where they learn), `watch` and
//! `outcome` (what is told).

mod args;
mod clock;
mod crew;
mod engine;
mod error;
mod learn;
mod life;
mod lines;
mod outcome;
mod plan;
mod process;
mod quarters;
mod shares;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod usage;
mod virtually;
mod watch;
pub mod world;

use std::path::Path;

use tokio::time::Instant;

pub use self::args::{Args, Mode};
pub use self::error::SimulateError;
pub use self::outcome::Figures;
use self::outcome::Outcome;
use self::stage::Stage;
use crate::demo::progress::Progress;
use crate::sweep::{self, Template};

/// Runs a simulation. `say` gets what belongs on standard output; progress goes to standard error. `stop` completes when the
/// simulation shall end early: what there is by then is reported, and can be resumed where there is a report directory.
///
/// # Errors
/// [`SimulateError`] says what went wrong.
pub async fn run(
    args: &Args,
    say: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> Result<(), SimulateError> {
    if let (Some(file), Some(dir)) = (&args.sweep, &args.report) {
        return swept(file, dir, args, say, stop).await;
    }
    let (stage, outcome) = simulate(args, stop).await?;
    tell(&stage, outcome, &say)
}

/// Runs a sweep, each of its runs a process like this one.
async fn swept(
    file: &Path,
    dir: &Path,
    args: &Args,
    say: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> Result<(), SimulateError> {
    let others = Args { sweep: None, report: None, json: false, ..args.clone() };
    if others != Args::default() {
        return Err(SimulateError::Usage(
            "--sweep takes --report and --json alone: what all runs share stands in the sweep's file",
        ));
    }
    let spec = sweep::read(file)?;
    let program = std::env::current_exe().map_err(SimulateError::System)?;
    let template = Template { program, command: vec!["simulate".to_owned()] };
    let progress = Progress::new(args.json);
    let results = sweep::run(&spec, &template, dir, |line| progress.say(line), stop).await?;
    if args.json {
        say(&results.json());
    } else {
        say(&format!("open {} in a browser", dir.join("sweep.html").display()));
    }
    Ok(())
}

/// Runs a simulation to its end and says what it cost.
///
/// # Errors
/// As [`run`].
pub async fn measure(args: &Args) -> Result<Figures, SimulateError> {
    let (_, outcome) = simulate(args, std::future::pending()).await?;
    outcome.failed.map_or(Ok(outcome.figures), Err)
}

async fn simulate(
    args: &Args,
    stop: impl Future<Output = ()>,
) -> Result<(Stage, Outcome), SimulateError> {
    let begin = Instant::now();
    let stage = Stage::set(args)?;
    let mut progress = Progress::new(stage.args.json);
    let outcome = match stage.args.mode {
        Mode::Memory | Mode::Task => virtually::run(&stage, &mut progress, begin, stop).await?,
        Mode::Process => process::run(&stage, &mut progress, begin, stop).await?,
    };
    progress.finish();
    Ok((stage, outcome))
}

fn tell(stage: &Stage, mut outcome: Outcome, say: &impl Fn(&str)) -> Result<(), SimulateError> {
    let dir = stage.args.report.as_deref();
    if (dir.is_some() || stage.args.json) && !stage.args.no_learning {
        outcome.look_into(stage)?;
    }
    let Outcome { data, failed, .. } = outcome;
    if let Some(dir) = dir {
        let unwritable =
            |source| SimulateError::File { what: "report in", path: dir.to_owned(), source };
        data.write(dir).map_err(unwritable)?;
        if !data.partial {
            stage.forget().map_err(unwritable)?;
        }
    }
    if stage.args.json {
        say(data.json().trim_end());
    } else {
        say(data.versions_table().trim_end());
        say(&outcome::summary(&data));
        if let Some(dir) = dir {
            say(&format!("open {} in a browser", dir.join("report.html").display()));
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if data.partial {
        return Err(SimulateError::Stopped { resumable: dir.map(Path::to_owned) });
    }
    Ok(())
}
