//! The flags of `muster simulate`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::sweep::Overrides;

/// The flags of `muster simulate`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// How many nodes there are, 1 to 100,000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub nodes: u32,
    /// How real the nodes are.
    #[arg(long, value_enum, default_value_t = Mode::Memory)]
    pub mode: Mode,
    /// What the fleet learns: navigation, or with --data reckon, audition, vision, tactile, gesture, shd or csv.
    #[arg(long, value_name = "TASK", default_value = "navigation")]
    pub task: String,
    /// Where the task's recordings are, or the description of one's own.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The world it lives in: the name of one that comes with Muster, or a TOML file.
    #[arg(long, value_name = "WORLD", default_value = "calm")]
    pub world: String,
    /// Repeats a simulation bit for bit.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many rounds, instead of those of the task's plan.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: Option<u32>,
    /// How many updates a round wants, instead of one from each node.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub cohort: Option<u32>,
    /// Samples that a node learns from in a round, instead of those of the task's plan.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples: Option<u32>,
    /// Passes over them, instead of those of the task's plan.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub epochs: Option<u32>,
    /// Samples that a node has in all, instead of what the world says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples_per_node: Option<u32>,
    /// Held-out samples on which a node evaluates each version before it learns; of samples that it was dealt it holds out
    /// the last fifth for that, at most so many.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub evaluate_samples: u32,
    /// Evaluate versions on so many of the task's test samples, drawn once for all, instead of all.
    #[arg(long, value_name = "N")]
    pub test_samples: Option<u32>,
    /// How finely virtual time passes, in milliseconds: what is due within it happens at once.
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub grain_ms: u32,
    /// Most questions for work a second of virtual time, of the whole fleet.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub ask_per_s_max: u32,
    /// Each node fetches versions over its own line, instead of one for all; its bytes are counted either way.
    #[arg(long)]
    pub fetch_each: bool,
    /// Learn nothing: every node sends a small update. Shows what the rest costs.
    #[arg(long)]
    pub no_learning: bool,
    /// Learn without federation too, for the report: one chip with all the data, and each node alone.
    #[arg(long)]
    pub baselines: bool,
    /// Changes to the task's plan.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Run this sweep over values of plan, registers and flags, each run a process, into the directory of --report; runs that
    /// are there are not run again.
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with = "resume")]
    #[serde(skip)]
    pub sweep: Option<PathBuf>,
    /// Write the report into this directory: report.html to read, report.json, CSV tables, SVG plots.
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub report: Option<PathBuf>,
    /// Go on with a simulation that was stopped, whose report is in this directory; all else is as it was.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["report", "nodes", "mode", "task", "data", "world", "seed", "rounds", "cohort", "samples", "epochs", "samples_per_node"])]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// Print the report as JSON, and nothing else.
    #[arg(long)]
    #[serde(skip)]
    pub json: bool,
}

/// How real the nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Data between their steps, a few lines in memory for all, virtual time.
    Memory,
    /// A loopback connection each, virtual time.
    Task,
    /// A process each, as on a device; the machine's time.
    Process,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Task => "task",
            Self::Process => "process",
        }
    }

    /// How many nodes it takes: of tasks and processes, as many as the machine has files and memory for.
    #[must_use]
    pub fn nodes_max(self) -> u32 {
        match self {
            Self::Memory => 100_000,
            Self::Task => 2_000,
            Self::Process => 200,
        }
    }
}

impl Default for Args {
    fn default() -> Self {
        Self {
            nodes: 100,
            mode: Mode::Memory,
            task: "navigation".to_owned(),
            data: None,
            world: "calm".to_owned(),
            seed: 1,
            rounds: None,
            cohort: None,
            samples: None,
            epochs: None,
            samples_per_node: None,
            evaluate_samples: 0,
            test_samples: None,
            grain_ms: 50,
            ask_per_s_max: 500,
            fetch_each: false,
            no_learning: false,
            baselines: false,
            overrides: Overrides::default(),
            sweep: None,
            report: None,
            resume: None,
            json: false,
        }
    }
}

impl Args {
    /// The command line that repeats it.
    #[must_use]
    pub fn command(&self) -> String {
        let usual = Self::default();
        let mut words = format!(
            "muster simulate --nodes {} --mode {} --seed {}",
            self.nodes,
            self.mode.as_str(),
            self.seed
        );
        let mut flag = |name: &str, value: String| words += &format!(" --{name} {value}");
        if self.task != usual.task {
            flag("task", self.task.clone());
        }
        if let Some(data) = &self.data {
            flag("data", data.display().to_string());
        }
        if self.world != usual.world {
            flag("world", self.world.clone());
        }
        let numbers = [
            ("rounds", self.rounds),
            ("cohort", self.cohort),
            ("samples", self.samples),
            ("epochs", self.epochs),
            ("samples-per-node", self.samples_per_node),
            ("test-samples", self.test_samples),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                flag(name, number.to_string());
            }
        }
        let usuals = [
            ("evaluate-samples", self.evaluate_samples, usual.evaluate_samples),
            ("grain-ms", self.grain_ms, usual.grain_ms),
            ("ask-per-s-max", self.ask_per_s_max, usual.ask_per_s_max),
        ];
        for (name, number, usual) in usuals {
            if number != usual {
                flag(name, number.to_string());
            }
        }
        for (name, on) in [
            ("fetch-each", self.fetch_each),
            ("no-learning", self.no_learning),
            ("baselines", self.baselines),
        ] {
            if on {
                words += &format!(" --{name}");
            }
        }
        words + &self.overrides.flags()
    }
}
