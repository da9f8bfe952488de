//! `muster run create`: a plan of a file, of flags, or of both. The coordinator judges it; here it is only put together.

use std::fs;
use std::path::{Path, PathBuf};

use agent::SystemEntropy;
use clap::ValueEnum;
use federation::Entropy as _;
use serde_json::{Value, json};

use super::watch::{self, Ending};
use super::{fetch, tell_state};
use crate::failure::{Failure, status};
use crate::remote::Remote;
use crate::when::Span;

/// Longest plan file that is read, in bytes.
const PLAN_BYTES_MAX: u64 = 1_048_576;
/// How long a round is open where nothing says it, in milliseconds.
const DEADLINE_MS: u64 = 600_000;

/// `muster run create`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
What is neither in the file nor given: fedavg with a server learning rate of 1 weighted by samples, a quorum of half the \
goal, a deadline of 10 minutes, and a random seed.

Examples:
  muster run create --model navigation --rounds 20 --goal 10 --samples 50 --watch
  muster run create --model navigation --plan plan.toml --set cohort.eligible.charging=true
  muster run create --model navigation --plan plan.json --strategy fedavgm --set strategy.momentum=0.8")]
pub(crate) struct CreateArgs {
    /// The model to train
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The plan, as JSON or (*.toml) TOML; flags change what it says
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// How updates become a version
    #[arg(long, value_enum, value_name = "NAME")]
    strategy: Option<Strategy>,
    /// How many rounds
    #[arg(long, value_name = "N", conflicts_with = "continuous")]
    rounds: Option<u32>,
    /// Go on until the run is cancelled
    #[arg(long)]
    continuous: bool,
    /// Updates that a round wants
    #[arg(long, value_name = "N")]
    goal: Option<u32>,
    /// Fewest updates of which a version is made at the deadline
    #[arg(long, value_name = "N")]
    quorum: Option<u32>,
    /// How long a round is open: 90s, 10m, 2h
    #[arg(long, value_name = "SPAN")]
    deadline: Option<Span>,
    /// Samples that a node learns from in a round
    #[arg(long, value_name = "N")]
    samples: Option<u32>,
    /// How often a node goes through its samples
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Held-out samples on which a node tests the version it was given
    #[arg(long, value_name = "N")]
    evaluate_samples: Option<u32>,
    /// Labels of the nodes that take part: `site=ams,class in (a,b),!retired`
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,
    /// A node that takes part, by name; may be repeated
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
    /// Nodes drawn for each update wanted: 1.3
    #[arg(long, value_name = "FACTOR")]
    over_selection: Option<f64>,
    /// Where all draws of the run come from
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Wait for the named nodes, so that the same plan gives the same bytes again
    #[arg(long)]
    reproducible: bool,
    /// Anything else in the plan, by its path: `strategy.momentum=0.9`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait for the run's end: exit status 0 if it completes, 1 if it fails or is cancelled
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Watch the run to its end, as `muster run watch` does
    #[arg(long, conflicts_with_all = ["dry_run", "wait"])]
    watch: bool,
    #[command(flatten)]
    at: Remote,
}

/// Strategies, as plans name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "lowercase")]
enum Strategy {
    /// The mean of the updates
    FedAvg,
    /// The mean, with momentum
    FedAvgM,
    /// The mean, through Adam
    FedAdam,
    /// The median of each weight
    Median,
    /// The mean of each weight without its extremes
    #[value(name = "trimmed_mean")]
    TrimmedMean,
    /// Asynchronous: late updates count, with less weight
    FedBuff,
}

impl Strategy {
    /// The strategy with the settings that are usual for it.
    fn usual(self) -> Value {
        let mut usual = match self {
            Self::FedAvg | Self::Median => json!({}),
            Self::FedAvgM => json!({"momentum": 0.9}),
            Self::FedAdam => {
                json!({"server_learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 0.001})
            }
            Self::TrimmedMean => json!({"trim_permille": 100}),
            Self::FedBuff => json!({"staleness_max": 20}),
        };
        let value = self.to_possible_value().expect("no strategy is hidden");
        usual["name"] = json!(value.get_name());
        put_missing(&mut usual, "server_learning_rate", json!(1.0));
        if !matches!(self, Self::Median | Self::TrimmedMean) {
            put_missing(&mut usual, "weighting", json!("samples"));
        }
        usual
    }
}

/// Makes a run, and follows it if asked to.
pub(super) async fn create(args: CreateArgs) -> Result<u8, Failure> {
    let file = args.plan.as_deref().map(read).transpose()?;
    let mut seed = [0; 4];
    SystemEntropy.fill(&mut seed);
    let plan = plan(&args, file.unwrap_or_else(|| json!({})), u32::from_le_bytes(seed))?;
    let body = json!({"model": args.model, "plan": plan});
    if args.dry_run {
        let pretty = serde_json::to_string_pretty(&body).expect("a plan is JSON");
        args.at.out().say(&pretty)?;
        return Ok(0);
    }
    let (client, out) = args.at.open()?;
    let run = client.post("/v1/runs", &body).await?;
    let id = run["id"].as_u64().unwrap_or_default();
    if args.watch {
        return watch::follow(&client, out, id, watch::INTERVAL).await;
    }
    if !args.wait {
        return tell_state(out, &run);
    }
    match watch::wait(&client, id, watch::INTERVAL).await? {
        Ending::Interrupted => Ok(status::INTERRUPTED),
        Ending::Over(status) => {
            tell_state(out, &fetch(&client, id).await?)?;
            Ok(status)
        }
    }
}

/// The plan: the file's, changed by flags, with the usual for what neither says.
fn plan(args: &CreateArgs, file: Value, seed: u32) -> Result<Value, Failure> {
    let mut plan = file;
    if !plan.is_object() {
        return Err(Failure::new("invalid_plan", "the plan is not an object", status::DATA));
    }
    if let Some(strategy) = args.strategy {
        plan["strategy"] = strategy.usual();
    }
    if args.rounds.is_some() || args.continuous {
        plan["rounds"] = json!(args.rounds);
        plan["continuous"] = json!(args.continuous);
    }
    if args.reproducible {
        plan["reproducible"] = json!(true);
    }
    let given = [
        ("cohort.goal", args.goal.map(|n| json!(n))),
        ("cohort.quorum", args.quorum.map(|n| json!(n))),
        ("cohort.deadline_ms", args.deadline.map(|span| json!(span.ms))),
        ("cohort.select", args.select.as_ref().map(|text| json!(text))),
        ("cohort.nodes", (!args.nodes.is_empty()).then(|| json!(args.nodes))),
        ("cohort.over_selection", args.over_selection.map(|n| json!(n))),
        ("local.samples", args.samples.map(|n| json!(n))),
        ("local.epochs", args.epochs.map(|n| json!(n))),
        ("local.evaluate_samples", args.evaluate_samples.map(|n| json!(n))),
        ("seed", args.seed.map(|n| json!(n))),
    ];
    for (path, value) in given {
        if let Some(value) = value {
            put(&mut plan, path, value)?;
        }
    }
    for assignment in &args.set {
        let (path, value) = assignment.split_once('=').ok_or_else(|| {
            let what = format!("--set {assignment}: expected PATH=VALUE");
            Failure::new("usage", what, status::USAGE)
        })?;
        // What is no JSON is text: `cohort.select=site=ams`.
        put(&mut plan, path, serde_json::from_str(value).unwrap_or_else(|_| json!(value)))?;
    }
    put_missing(&mut plan, "strategy", Strategy::FedAvg.usual());
    put_missing(&mut plan, "seed", json!(seed));
    let quorum = plan["cohort"]["goal"].as_u64().map(|goal| goal.div_ceil(2));
    if let Some(cohort) = plan.get_mut("cohort").filter(|cohort| cohort.is_object()) {
        put_missing(cohort, "deadline_ms", json!(DEADLINE_MS));
        if let Some(quorum) = quorum {
            put_missing(cohort, "quorum", json!(quorum));
        }
    }
    Ok(plan)
}

fn put_missing(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

/// Sets what stands at a path, and makes the objects on the way there.
fn put(plan: &mut Value, path: &str, value: Value) -> Result<(), Failure> {
    let mut place = plan;
    for key in path.split('.') {
        if place.is_null() {
            *place = json!({});
        }
        if !place.is_object() || key.is_empty() {
            let what = format!("{path} is no path in the plan: `{key}` cannot be in `{place}`");
            return Err(Failure::new("usage", what, status::USAGE));
        }
        place = &mut place[key];
    }
    *place = value;
    Ok(())
}

fn read(path: &Path) -> Result<Value, Failure> {
    let unreadable = |why: String| {
        let what = format!("cannot read {}: {why}", path.display());
        Failure::new("file_unreadable", what, status::NO_INPUT)
    };
    let long = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if long > PLAN_BYTES_MAX {
        return Err(unreadable(format!("it is longer than {PLAN_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let parsed = if path.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })
    } else {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    parsed.map_err(|why| {
        Failure::new("invalid_plan", format!("{}: {why}", path.display()), status::DATA)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        create: CreateArgs,
    }

    fn made(flags: &[&str], file: Value) -> Result<Value, Failure> {
        let flags = [&["muster", "--model", "m"], flags].concat();
        plan(&Flags::try_parse_from(flags).unwrap().create, file, 7)
    }

    #[test]
    fn flags_alone_make_a_plan() {
        let flags = ["--rounds", "3", "--goal", "5", "--samples", "10", "--select", "site=ams"];
        let expected = json!({
            "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
            "rounds": 3, "continuous": false, "seed": 7,
            "cohort": {"goal": 5, "quorum": 3, "deadline_ms": 600_000, "select": "site=ams"},
            "local": {"samples": 10},
        });
        assert_eq!(made(&flags, json!({})).unwrap(), expected);
    }

    #[test]
    fn flags_change_a_file_and_leave_the_rest() {
        let file = json!({
            "strategy": {"name": "median", "server_learning_rate": 2.0}, "rounds": 9, "seed": 1,
            "cohort": {"goal": 4, "quorum": 4, "deadline_ms": 1, "nodes": ["a"]},
            "local": {"samples": 1, "epochs": 2},
        });
        assert_eq!(made(&[], file.clone()).unwrap(), file);
        let flags = ["--continuous", "--deadline", "2m", "--node", "b", "--node", "c"];
        let changed = made(&flags, file.clone()).unwrap();
        assert_eq!((&changed["rounds"], &changed["continuous"]), (&Value::Null, &json!(true)));
        assert_eq!(changed["cohort"]["nodes"], json!(["b", "c"]));
        assert_eq!(changed["cohort"]["deadline_ms"], 120_000);
        assert_eq!((&changed["strategy"], &changed["local"]), (&file["strategy"], &file["local"]));
        let flags = ["--strategy", "fedavgm", "--set", "strategy.momentum=0.5"];
        assert_eq!(
            made(&flags, file).unwrap()["strategy"],
            json!({"name": "fedavgm", "server_learning_rate": 1.0, "weighting": "samples", "momentum": 0.5})
        );
    }

    #[test]
    fn a_path_sets_json_or_text_and_goes_through_objects_alone() {
        let flags = ["--set", "cohort.eligible.charging=true", "--set", "cohort.select=site=ams"];
        let plan = made(&flags, json!({})).unwrap();
        assert_eq!(plan["cohort"]["eligible"], json!({"charging": true}));
        assert_eq!(plan["cohort"]["select"], "site=ams");
        for wrong in ["seed", "seed.x=1", "=1", "cohort..goal=1"] {
            let failure = made(&["--seed", "1", "--set", wrong], json!({})).unwrap_err();
            assert_eq!((failure.code(), failure.status()), ("usage", 64), "{wrong}");
        }
        assert_eq!(made(&[], json!([])).unwrap_err().code(), "invalid_plan");
    }

    #[test]
    fn every_strategy_is_one_that_a_plan_may_have() {
        for strategy in Strategy::value_variants() {
            let usual = strategy.usual();
            let fields: Vec<_> = usual.as_object().unwrap().keys().map(String::as_str).collect();
            let more: &[&str] = match strategy {
                Strategy::FedAvg => &["name", "server_learning_rate", "weighting"],
                Strategy::FedAvgM => &["momentum", "name", "server_learning_rate", "weighting"],
                Strategy::FedAdam => {
                    &["beta1", "beta2", "name", "server_learning_rate", "tau", "weighting"]
                }
                Strategy::Median => &["name", "server_learning_rate"],
                Strategy::TrimmedMean => &["name", "server_learning_rate", "trim_permille"],
                Strategy::FedBuff => {
                    &["name", "server_learning_rate", "staleness_max", "weighting"]
                }
            };
            assert_eq!(fields, more);
        }
    }
}
