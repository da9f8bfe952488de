//! What a report tells: one value, filled by whoever ran the fleet, written and read back as `report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cost::Cost;

/// The version of `report.json` that this program writes. Fields are added without changing it.
pub const FORMAT: u32 = 1;

/// `report.json`. A contract: fields are added, never renamed. What a run does not know is `null` or empty, never a
/// guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// [`FORMAT`].
    pub format: u32,
    /// The program that wrote it, as `muster 0.1.0`.
    pub made_by: String,
    /// The command line that repeats it.
    pub command: String,
    /// The seed that repeats the run.
    pub seed: u64,
    /// The task.
    pub task: String,
    /// How the nodes ran: `demo`, `process`, `task` or `memory`.
    pub mode: String,
    /// How many nodes took part.
    pub nodes: u64,
    /// The world they live in; none where there is no other than this machine.
    pub world: Option<World>,
    /// The plan, as the coordinator holds it.
    pub plan: Value,
    /// Whether the run repeats bit for bit from its seed: no deadline and no restarted process took part.
    pub reproducible: bool,
    /// Whether the run was stopped before its plan was through.
    pub partial: bool,
    /// Node processes that were started again.
    pub restarts: u32,
    /// Samples no node trained on, by which versions were evaluated.
    pub test_samples: u64,
    /// Wall time of the run in seconds, from the first node to the last evaluation.
    pub wall_s: f64,
    /// Time that passed in the simulated world, in seconds; none where it is wall time.
    pub virtual_s: Option<f64>,
    /// What one step of the chip lasts for this task, in microseconds; 0 if unknown.
    pub step_us: u64,
    /// Accuracy of the last version that was evaluated, 0 to 1.
    pub final_accuracy: f64,
    /// What the same data give without federation.
    pub baselines: Option<Baselines>,
    /// Every version, in order.
    pub versions: Vec<Version>,
    /// Every attempt at every round, in the order in which they were opened.
    pub rounds: Vec<Round>,
    /// How each node does with the final version.
    pub node_accuracies: Vec<NodeAccuracy>,
    /// What each node took part in. Nodes that never did are in it too.
    pub participation: Vec<Participation>,
    /// How the weights are spread, for some versions, by layer.
    pub histograms: Vec<Histogram>,
    /// What the final version does with one test sample.
    pub trace: Option<Trace>,
    /// What the work would cost on the chip.
    pub cost: Option<Cost>,
    /// How fast this machine learns.
    pub speed: Option<Speed>,
    /// The machine the run ran on.
    pub device: Device,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            format: FORMAT,
            made_by: concat!("muster ", env!("CARGO_PKG_VERSION")).to_owned(),
            command: String::new(),
            seed: 0,
            task: String::new(),
            mode: String::new(),
            nodes: 0,
            world: None,
            plan: Value::Null,
            reproducible: false,
            partial: false,
            restarts: 0,
            test_samples: 0,
            wall_s: 0.0,
            virtual_s: None,
            step_us: 0,
            final_accuracy: 0.0,
            baselines: None,
            versions: Vec::new(),
            rounds: Vec::new(),
            node_accuracies: Vec::new(),
            participation: Vec::new(),
            histograms: Vec::new(),
            trace: None,
            cost: None,
            speed: None,
            device: Device::default(),
        }
    }
}

/// The world of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// Its name.
    pub name: String,
    /// Its TOML, as it was read.
    pub toml: String,
}

/// Accuracies without federation, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baselines {
    /// One chip that learns from the data of all nodes, as many samples as the fleet.
    pub centralised: Option<f64>,
    /// Each node learns alone: the mean over nodes.
    pub local_only: Option<f64>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// Its SHA-256 digest, hexadecimal.
    pub digest: String,
    /// Its parent's number; none for the first.
    pub parent: Option<u64>,
    /// Accuracy on the test samples, 0 to 1; none where it was not evaluated.
    pub accuracy: Option<f64>,
    /// Updates in it.
    pub updates: u64,
    /// Samples learnt from for it, all nodes together.
    pub samples: u64,
    /// Bytes of updates received for it.
    pub bytes_up: u64,
    /// Bytes of its parent sent to nodes for it.
    pub bytes_down: u64,
    /// Mean estimated energy of a node's training for it, in nanojoules, by [`Version::synaptic_ops`].
    pub energy_nj: f64,
    /// Synaptic operations of the training for it, all nodes together, as they counted them.
    pub synaptic_ops: u64,
    /// Clock cycles of the training for it, all nodes together; none where nodes do not report them.
    pub cycles: Option<u64>,
    /// When it was published, in milliseconds since the run began (of the world's time where there is one).
    pub published_at_ms: Option<u64>,
}

/// One attempt at a round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// The attempt at it, from 1.
    pub attempt: u64,
    /// `open`, `closing`, `published` or `abandoned`.
    pub state: String,
    /// Why it was abandoned.
    pub reason: Option<String>,
    /// The version it made.
    pub version: Option<u64>,
    /// When it opened, in milliseconds since the run began (of the world's time where there is one).
    pub opened_ms: u64,
    /// When it ended; none while it is open.
    pub closed_ms: Option<u64>,
    /// Nodes drawn.
    pub cohort: u64,
    /// Updates wanted.
    pub goal: u64,
    /// Updates counted.
    pub updates: u64,
    /// Updates refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Whether the deadline ended it.
    pub at_deadline: bool,
}

/// One node's accuracy with the final version, on samples it holds out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAccuracy {
    /// The node.
    pub node: String,
    /// Samples it classified correctly.
    pub correct: u64,
    /// Samples it tried.
    pub total: u64,
    /// What kind of node it is, in a word or two: its subject, class or device.
    pub label: Option<String>,
}

/// What one node took part in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Participation {
    /// The node.
    pub node: String,
    /// What kind of node it is.
    pub label: Option<String>,
    /// Orders it got; none where nobody counted.
    pub orders: Option<u64>,
    /// Its updates that were counted.
    pub counted: u64,
    /// Its updates that were refused.
    pub refused: u64,
    /// Samples learnt from in its counted updates.
    pub samples: u64,
    /// Synaptic operations of its counted updates.
    pub synaptic_ops: u64,
    /// Clock cycles of its counted updates; none where nodes do not report them.
    pub cycles: Option<u64>,
}

/// How the weights of one layer of one version are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// The version.
    pub version: u64,
    /// The tensor, as the artifact names it.
    pub layer: String,
    /// How many weights have each value from -128 to 127: 256 counts.
    pub counts: Vec<u64>,
}

/// What a version does with one sample, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// The version.
    pub version: u64,
    /// The sample's class.
    pub label: u8,
    /// The class the network says.
    pub inferred: u8,
    /// Length in ticks.
    pub ticks: u32,
    /// Inputs of the network.
    pub inputs: u16,
    /// Its recurrent neurons.
    pub recurrent: u16,
    /// Its outputs.
    pub outputs: u16,
    /// First tick at which the label is given, and the first at which it is not any more.
    pub target_valid: [u32; 2],
    /// First tick at which the chip votes, and the first at which it does not any more.
    pub infer_acc: [u32; 2],
    /// Input events: tick, channel.
    pub events: Vec<[u32; 2]>,
    /// Spikes of recurrent neurons: tick, neuron.
    pub spikes: Vec<[u32; 2]>,
    /// Output potentials after each step: a list per output, one value per tick.
    pub potentials: Vec<Vec<i16>>,
}

/// How fast one core of this machine learns, beside the sensor's own time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Speed {
    /// Samples learnt from while measuring.
    pub samples: u64,
    /// Steps in them.
    pub steps: u64,
    /// Wall time in seconds, on one thread.
    pub wall_s: f64,
    /// Processor time of that thread in seconds: less than the wall time where others wanted its core too.
    pub cpu_s: f64,
    /// Steps times [`Data::step_us`] over the processor time: how many times faster than real time one core learns.
    pub times_real_time: f64,
    /// The instruction set of the kernels.
    pub isa: String,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Its processor, as it calls itself; empty if unknown.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: u64,
    /// The instruction set that the chip's model uses here.
    pub isa: String,
}
