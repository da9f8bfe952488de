//! `muster run`: runs of a coordinator, from making one to its end.

mod chart;
mod frame;
mod plan;
mod screen;
mod seen;
mod watch;

use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::Failure;
use crate::print::Out;
use crate::remote::Remote;
use crate::table::{Column, age, bytes, facts, percent, text, time};
use crate::when::span;

/// Rounds that `muster run show` shows where it does not say.
const ROUNDS_SHOWN: usize = 10;

/// What to do with runs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a run: of a plan file, of flags, or of a file that flags change
    Create(Box<plan::CreateArgs>),
    /// Show the runs, one a line
    List(ListArgs),
    /// Show a run and its latest rounds
    Show(ShowArgs),
    /// Follow a run to its end, live on a terminal: exit status 0 if it completes, 1 if it fails or is cancelled
    Watch(watch::WatchArgs),
    /// Open no further round of a run; the open one goes on, and its updates count
    Pause(RunArgs),
    /// Let a paused run go on
    Resume(RunArgs),
    /// End a run now and abandon its open round; this cannot be taken back
    Cancel(RunArgs),
}

/// A run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The run's number
    #[arg(value_name = "RUN")]
    run: u64,
    #[command(flatten)]
    at: Remote,
}

/// `muster run list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only runs of this model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only runs in this state: waiting, running, paused, completed, failed or cancelled
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    at: Remote,
}

/// `muster run show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The run's number
    #[arg(value_name = "RUN")]
    run: u64,
    /// Show all rounds, not only the latest
    #[arg(long)]
    rounds: bool,
    #[command(flatten)]
    at: Remote,
}

const RUNS: &[Column] = &[
    Column::number("RUN", |run, _| text(&run["id"])),
    Column::text("MODEL", |run, _| text(&run["model"])),
    Column::text("STATE", |run, _| text(&run["state"])),
    Column::text("ROUND", |run, _| progress(run)),
    Column::text("UPDATES", |run, _| match &run["round"] {
        Value::Null => "-".to_owned(),
        round => format!("{}/{}", text(&round["updates"]), text(&round["goal"])),
    }),
    Column::number("VERSION", |run, _| text(&run["latest_version"])),
    Column::text("STRATEGY", |run, _| text(&run["plan"]["strategy"]["name"])).optional(),
    Column::text("MADE", |run, now| age(&run["created_at_ms"], now)),
    Column::text("ENDED", |run, now| age(&run["ended_at_ms"], now)).optional(),
    Column::text("REASON", |run, _| text(&run["reason"])).optional(),
];

const ROUNDS: &[Column] = &[
    Column::number("ROUND", |round, _| text(&round["number"])),
    Column::number("ATTEMPT", |round, _| text(&round["attempt"])).optional(),
    Column::text("STATE", |round, _| text(&round["state"])),
    Column::text("UPDATES", |round, _| {
        format!("{}/{}", text(&round["updates"]), text(&round["goal"]))
    }),
    Column::number("COHORT", |round, _| text(&round["cohort"])).optional(),
    Column::number("VERSION", |round, _| text(&round["version"])),
    Column::number("TRAINING", |round, _| percent(&round["correct"], &round["samples"])),
    Column::number("UP", |round, _| bytes(&round["bytes_up"])).optional(),
    Column::number("DOWN", |round, _| bytes(&round["bytes_down"])).optional(),
    Column::text("SERVED", |round, _| {
        round["served_ms"].as_u64().map_or_else(|| "-".to_owned(), span)
    }),
    Column::text("OPENED", |round, now| age(&round["opened_at_ms"], now)),
    Column::text("REASON", |round, _| text(&round["reason"])).optional(),
];

/// Rounds published of those there are to be.
fn progress(run: &Value) -> String {
    let published = text(&run["rounds_published"]);
    match run["plan"]["rounds"].as_u64() {
        Some(rounds) => format!("{published}/{rounds}"),
        None => published,
    }
}

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => plan::create(*args).await,
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Pause(args) => direct(args, "pause").await,
        Command::Resume(args) => direct(args, "resume").await,
        Command::Cancel(args) => direct(args, "cancel").await,
    }
}

async fn list(args: ListArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let filters = [("model", args.model), ("state", args.state)];
    let list = client.list("/v1/runs", &filters).await?;
    out.list(RUNS, &list, "No runs; `muster run create` makes one.")?;
    Ok(0)
}

async fn show(args: ShowArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("/v1/runs/{}", args.run);
    let mut run = client.get(&path).await?;
    let list = client.list(&format!("{path}/rounds"), &[]).await?;
    let rounds = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if out.is_json() {
        if args.rounds {
            run["rounds"] = json!(rounds);
        }
        out.say(&run.to_string())?;
        return Ok(0);
    }
    let first = if args.rounds { 0 } else { rounds.len().saturating_sub(ROUNDS_SHOWN) };
    let now = crate::when::now_ms();
    out.say(&words(&run, now))?;
    if !rounds.is_empty() {
        out.say("")?;
        out.say(&out.table(ROUNDS, &rounds[first..], now))?;
    }
    if first > 0 {
        out.say(&format!("\n{first} earlier rounds: --rounds shows all."))?;
    }
    Ok(0)
}

/// A run in words.
fn words(run: &Value, now_ms: u64) -> String {
    let (plan, cohort) = (&run["plan"], &run["plan"]["cohort"]);
    let span_of = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), span);
    let mut told = vec![
        ("run", text(&run["id"])),
        ("model", text(&run["model"])),
        ("state", text(&run["state"])),
        ("rounds", format!("{} published", progress(run))),
        ("versions", format!("{} to {}", text(&run["base_version"]), text(&run["latest_version"]))),
        ("strategy", strategy(&plan["strategy"])),
        (
            "cohort",
            format!(
                "goal {}, quorum {}, deadline {}, {}",
                text(&cohort["goal"]),
                text(&cohort["quorum"]),
                span_of(&cohort["deadline_ms"]),
                selection(cohort)
            ),
        ),
        (
            "learning",
            format!(
                "{} samples, {} epochs, seed {}",
                text(&plan["local"]["samples"]),
                text(&plan["local"]["epochs"]),
                text(&plan["seed"])
            ),
        ),
        ("reproducible", text(&run["reproducible"])),
        ("made", time(&run["created_at_ms"], now_ms)),
    ];
    if let Some(reason) = run["reason"].as_str() {
        told.insert(3, ("reason", reason.to_owned()));
    }
    if run["ended_at_ms"].is_u64() {
        told.push(("ended", time(&run["ended_at_ms"], now_ms)));
    }
    facts(&told)
}

/// A strategy: its name and what it is set to.
fn strategy(strategy: &Value) -> String {
    let settings = strategy.as_object().into_iter().flatten().filter(|(key, _)| *key != "name");
    let settings: Vec<_> = settings.map(|(key, value)| format!("{key} {}", text(value))).collect();
    format!("{} ({})", text(&strategy["name"]), settings.join(", "))
}

/// Whom a cohort is drawn from.
fn selection(cohort: &Value) -> String {
    match (&cohort["select"], cohort["nodes"].as_array()) {
        (_, Some(nodes)) if !nodes.is_empty() => format!("{} named nodes", nodes.len()),
        (Value::String(select), _) if !select.is_empty() => format!("of {select}"),
        (Value::Object(labels), _) if !labels.is_empty() => {
            format!("of {}", crate::table::labels(&json!(labels)))
        }
        _ => "of all nodes".to_owned(),
    }
}

async fn direct(args: RunArgs, directive: &str) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let run = client.post(&format!("/v1/runs/{}/{directive}", args.run), &json!({})).await?;
    tell_state(out, &run)
}

/// Says what state a run is in.
fn tell_state(out: Out, run: &Value) -> Result<u8, Failure> {
    out.tell(run, |_| {
        let reason = run["reason"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "Run {} of {} is {}{reason}: round {} published, version {}.",
            text(&run["id"]),
            text(&run["model"]),
            text(&run["state"]),
            progress(run),
            text(&run["latest_version"])
        )
    })?;
    Ok(0)
}

/// Whether a run is over, and the exit status that says how.
fn ended(run: &Value) -> Option<u8> {
    match run["state"].as_str() {
        Some("completed") => Some(0),
        Some("failed" | "cancelled") => Some(crate::failure::status::NOT_SO),
        _ => None,
    }
}

/// A run, as it is now.
async fn fetch(client: &Client, id: u64) -> Result<Value, Failure> {
    client.get(&format!("/v1/runs/{id}")).await
}
