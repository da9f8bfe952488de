//! `muster demo`: a coordinator and a fleet of node processes on this machine, one command, progress, a report.
//!
//! The coordinator runs in this process, on free loopback ports, with its database in a fresh directory. The nodes are
//! processes of their own. This module does what a person with curl would do: it makes a model and a run over REST,
//! watches them, fetches every version, and tests it on samples that no node trained on.

pub(crate) mod evaluate;
pub(crate) mod fleet;
pub(crate) mod progress;
mod task;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::data::Source;
use agent::data_spec::DataSpec;
use agent::learner::LearnError;
use agent::train::{Bench, Trial};
use bytes::Bytes;
use coordinator::{Config, Coordinator, SystemClock};
use federation::Artifact;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;

use self::evaluate::{Evaluator, Score};
use self::fleet::Fleet;
use self::progress::{Progress, Stand};
use self::task::Task;
use crate::report::{Data, ExamineError, NodeAccuracy};
use crate::rest::{Rest, RestError};
use crate::sweep::Overrides;
use crate::sweep::overrides::OverrideError;

pub use self::fleet::FleetError;
pub use self::task::{TaskError, navigation_artifact};

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Held-out samples on which each node's accuracy with the final version is measured.
const NODE_SAMPLES: u32 = 25;

/// The flags of `muster demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many node processes to start, 1 to 200.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub nodes: u32,
    /// Repeats a run bit for bit.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What the fleet learns from: `navigation`, generated, or `reckon:DIR`, the chip's own recordings.
    #[arg(long, value_name = "SOURCE", default_value = "navigation")]
    pub data: String,
    /// Stop after so many rounds instead of those of the task's plan.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// Learn without federation too, for the report: one chip with all the data, and each node alone.
    #[arg(long)]
    pub baselines: bool,
    /// The clock of the chip that times in the report are for, in megahertz.
    #[arg(long, value_name = "MHZ", default_value_t = crate::cost::CLOCK_MHZ, value_parser = crate::cost::parse_clock)]
    pub clock_mhz: f64,
    /// Changes to the task's plan.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Write the report into this directory: report.html to read, report.json, CSV tables, SVG plots.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Leave the coordinator running afterwards, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Print the report as JSON, and nothing else.
    #[arg(long)]
    pub json: bool,
}

/// Why the demo did not end well.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The data cannot be used.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The plan cannot be changed so.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// A directory or file cannot be made.
    #[error("{what} {path}: {source}")]
    File {
        /// What it was for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The coordinator cannot be started.
    #[error("the coordinator: {0}")]
    Coordinator(#[from] coordinator::StartError),
    /// The coordinator gave no good answer.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The fleet cannot run.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A published version cannot be evaluated.
    #[error("version {number} cannot be evaluated: {why}")]
    Evaluation {
        /// Its number.
        number: u64,
        /// Why.
        why: String,
    },
    /// The plan fits no chip.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A version cannot be looked into.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// The run failed.
    #[error("the run failed: {0}")]
    Run(String),
    /// Somebody pressed Ctrl-C, or ended this process.
    #[error("stopped")]
    Stopped,
}

impl DemoError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Task(error) => error.code(),
            Self::Override(error) => error.code(),
            Self::File { .. } => "file_not_writable",
            Self::Coordinator(error) => error.code(),
            Self::Rest(_) => "coordinator_unreachable",
            Self::Fleet(FleetError::Start { .. }) => "node_not_started",
            Self::Fleet(FleetError::Failing { .. }) => "node_failing",
            Self::Evaluation { .. } => "version_not_evaluated",
            Self::Learn(error) => error.code(),
            Self::Examine(error) => error.code(),
            Self::Run(_) => "run_failed",
            Self::Stopped => "stopped",
        }
    }

    /// What the process should exit with: 130, as shells tell an interruption, the rest as sysexits.h.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Override(_) => 64,
            Self::Task(_) => 66,
            Self::File { .. } => 73,
            Self::Coordinator(error) => error.exit_code(),
            Self::Rest(_) => 69,
            Self::Fleet(_)
            | Self::Evaluation { .. }
            | Self::Examine(_)
            | Self::Learn(_)
            | Self::Run(_) => 70,
            Self::Stopped => 130,
        }
    }
}

/// Runs the demo. `say` gets what belongs on standard output; progress goes to standard error. `stop` completes when
/// the demo shall end early; whatever happens, no process is left.
///
/// # Errors
/// [`DemoError`] says what went wrong.
pub async fn run(
    args: &Args,
    say: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let mut task = Task::new(&args.data, args.seed, args.nodes, args.rounds)?;
    args.overrides.apply(&mut task.plan)?;
    Overrides::check(&task.plan, &task.artifact)?;
    // Progress is told in rounds of the plan as it is now.
    let rounds = task.plan["rounds"].as_u64().and_then(|rounds| u32::try_from(rounds).ok());
    task.rounds = rounds.unwrap_or(task.rounds);
    if let Some(dir) = &args.report {
        // Before the work, not after it.
        make_dir("report directory", dir)?;
    }
    let program = std::env::current_exe().map_err(|source| DemoError::File {
        what: "program",
        path: "muster".into(),
        source,
    })?;
    let dir = tempfile::Builder::new().prefix("muster-demo-").tempdir().map_err(|source| {
        DemoError::File { what: "directory", path: std::env::temp_dir(), source }
    })?;

    let begin = Instant::now();
    let mut progress = Progress::new(args.json);
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config {
        data_dir: dir.path().join("coordinator"),
        http_listen: free,
        grpc_listen: free,
        ..Config::default()
    };
    let coordinator = Coordinator::start(config, Arc::new(SystemClock::new())).await?;
    let http = format!("http://{}", coordinator.http_addr());
    let grpc = format!("http://{}", coordinator.grpc_addr());
    progress.say(&format!("coordinator at {http}, {} nodes learn {}", args.nodes, task.name));

    tokio::pin!(stop);
    let result = match Fleet::start(&program, &grpc, &dir.path().join("nodes"), task.nodes.clone())
    {
        Err(error) => Err(error.into()),
        Ok(mut fleet) => {
            let rest = Rest::new(&http);
            let result = tokio::select! {
                biased;
                () = &mut stop => Err(DemoError::Stopped),
                result = watch(&rest, &task, &mut fleet, &mut progress, begin) => result,
            };
            progress.finish();
            fleet.end().await;
            result
        }
    };
    let result = match result {
        Ok(outcome) => finish(args, &task, outcome, &http, &say).await,
        Err(error) => Err(error),
    };
    if result.is_ok() && args.keep {
        progress.say(&format!("the coordinator keeps running at {http}; Ctrl-C ends it"));
        stop.await;
    }
    coordinator.shutdown().await;
    result
}

/// What came of the run.
struct Outcome {
    run: u64,
    reproducible: bool,
    restarts: u32,
    wall_s: f64,
    artifacts: BTreeMap<u64, Bytes>,
    scores: BTreeMap<u64, Score>,
}

/// Makes model and run, watches until the run has ended and every version is evaluated.
async fn watch(
    rest: &Rest,
    task: &Task,
    fleet: &mut Fleet,
    progress: &mut Progress,
    begin: Instant,
) -> Result<Outcome, DemoError> {
    rest.create_model(task.name, &task.artifact).await?;
    let run: Value = rest.post("/v1/runs", &json!({"model": task.name, "plan": task.plan})).await?;
    let run_path = format!("/v1/runs/{}", run["id"]);
    let mut evaluator = Evaluator::start(task.test.clone());
    let mut stand =
        Stand { rounds: task.rounds.into(), goal: task.nodes.len() as u64, ..Stand::default() };
    let mut asked = 0;
    let mut artifacts = BTreeMap::new();
    loop {
        stand.restarts += fleet.revive()?;
        let run: Value = rest.get(&run_path).await?;
        stand.published = run["rounds_published"].as_u64().unwrap_or(0);
        stand.updates = run["round"]["updates"].as_u64().unwrap_or(0);
        stand.elapsed = begin.elapsed();
        while asked < run["latest_version"].as_u64().unwrap_or(0) {
            asked += 1;
            let path = format!("/v1/models/{}/versions/{asked}/artifact", task.name);
            let artifact = rest.bytes(&path).await?;
            artifacts.insert(asked, artifact.clone());
            evaluator.ask(asked, artifact);
        }
        evaluator.collect()?;
        stand.accuracy = evaluator.latest();
        progress.show(&stand);
        let ended = match run["state"].as_str() {
            Some("completed") => true,
            Some("failed") => {
                return Err(DemoError::Run(run["reason"].as_str().unwrap_or("unknown").to_owned()));
            }
            _ => false,
        };
        if ended && evaluator.done() {
            return Ok(Outcome {
                run: run["id"].as_u64().unwrap_or(0),
                reproducible: run["reproducible"] == true && stand.restarts == 0,
                restarts: stand.restarts,
                wall_s: begin.elapsed().as_secs_f64(),
                artifacts,
                scores: evaluator.end(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn finish(
    args: &Args,
    task: &Task,
    outcome: Outcome,
    http: &str,
    say: &impl Fn(&str),
) -> Result<(), DemoError> {
    let mut report = Data {
        command: command(args),
        seed: args.seed,
        task: task.name.to_owned(),
        mode: "demo".to_owned(),
        nodes: u64::try_from(task.nodes.len()).expect("a length fits 64 bits"),
        reproducible: outcome.reproducible,
        restarts: outcome.restarts,
        test_samples: u64::try_from(task.test.len()).expect("a length fits 64 bits"),
        wall_s: outcome.wall_s,
        step_us: tasks::navigation::STEP_US,
        ..Data::default()
    };
    let names = task.nodes.iter().map(|node| node.name.as_str());
    report.gather(&Rest::new(http), task.name, outcome.run, names).await?;
    for version in &mut report.versions {
        version.accuracy = outcome.scores.get(&version.number).map(Score::accuracy);
    }
    let mut evaluated = report.versions.iter().filter_map(|version| version.accuracy);
    report.final_accuracy = evaluated.next_back().unwrap_or(0.0);
    if args.report.is_some() || args.json {
        report.examine(&outcome.artifacts, &task.test, args.clock_mhz)?;
        report.node_accuracies = node_accuracies(task, &outcome.artifacts);
    }
    if args.baselines {
        let open = |node: &fleet::NodeSpec| Source::open(&node.data.parse().ok()?, 0).ok();
        let nodes: Vec<Source> = task.nodes.iter().filter_map(open).collect();
        report.compare(&outcome.artifacts, task.rounds, &nodes, &task.test)?;
    }
    if let Some(dir) = &args.report {
        report.write(dir).map_err(|source| DemoError::File {
            what: "report in",
            path: dir.clone(),
            source,
        })?;
    }
    if args.json {
        say(report.json().trim_end());
        return Ok(());
    }
    say(report.versions_table().trim_end());
    let repeats = if report.reproducible {
        format!("repeats bit for bit with --seed {}", report.seed)
    } else {
        "not reproducible: a deadline or a restarted node took part".to_owned()
    };
    say(&format!(
        "\n{:.1} % of {} unseen samples after {:.1} s; {repeats}",
        report.final_accuracy * 100.0,
        report.test_samples,
        report.wall_s
    ));
    if let Some(dir) = &args.report {
        say(&format!("open {} in a browser", dir.join("report.html").display()));
    }
    if args.keep {
        say(&format!("look at {http}/v1/models/{}/versions", task.name));
        say(&format!("or at the dashboard: open {http}/ in a browser"));
    } else {
        say("run it with --keep to look around with curl afterwards");
    }
    Ok(())
}

/// The command line that repeats the run.
fn command(args: &Args) -> String {
    let Args {
        nodes,
        seed,
        data,
        rounds,
        overrides,
        baselines,
        clock_mhz: _,
        report: _,
        keep: _,
        json: _,
    } = args;
    let mut command = format!("muster demo --nodes {nodes} --seed {seed}");
    if data != "navigation" {
        command += &format!(" --data {data}");
    }
    if let Some(rounds) = rounds {
        command += &format!(" --rounds {rounds}");
    }
    command += &overrides.flags();
    if *baselines {
        command += " --baselines";
    }
    command
}

/// How each node would do with the final version, on samples of its own that it holds out. Nodes that hold out none are
/// left out.
fn node_accuracies(task: &Task, artifacts: &BTreeMap<u64, Bytes>) -> Vec<NodeAccuracy> {
    let last = artifacts.last_key_value().and_then(|(_, bytes)| Artifact::parse(bytes).ok());
    let Some(artifact) = last else { return Vec::new() };
    let trial = Trial { samples: NODE_SAMPLES, registers: BTreeMap::new(), seed: 1 };
    let node = |node: &fleet::NodeSpec| {
        let spec: DataSpec = node.data.parse().ok()?;
        let source = Source::open(&spec, 0).ok()?;
        let done = Bench::new().evaluate(&source, &artifact, &trial, &|| false).ok()?;
        (done.samples > 0).then(|| NodeAccuracy {
            node: node.name.clone(),
            correct: done.correct.into(),
            total: done.samples.into(),
            label: None,
        })
    };
    task.nodes.iter().filter_map(node).collect()
}

fn make_dir(what: &'static str, path: &std::path::Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(path).map_err(|source| DemoError::File {
        what,
        path: path.to_owned(),
        source,
    })
}
