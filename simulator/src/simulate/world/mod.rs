//! Worlds: what a simulated fleet lives in. Who has which data, what the devices are like, what goes wrong, who attacks.
//!
//! A world is a TOML file; [`World::parse`] reads it and tells every mistake at once. All chances in it are drawn from
//! (seed, node, round), so that a world happens the same way each time. Ten worlds come with the project: [`SHIPPED`].

mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

/// The worlds that come with the project, by name.
pub const SHIPPED: [(&str, &str); 10] = [
    ("calm", include_str!("../../../worlds/calm.toml")),
    ("one-class", include_str!("../../../worlds/one-class.toml")),
    ("dirichlet", include_str!("../../../worlds/dirichlet.toml")),
    ("subjects", include_str!("../../../worlds/subjects.toml")),
    ("hoarders", include_str!("../../../worlds/hoarders.toml")),
    ("drift", include_str!("../../../worlds/drift.toml")),
    ("latecomer", include_str!("../../../worlds/latecomer.toml")),
    ("night-shift", include_str!("../../../worlds/night-shift.toml")),
    ("bad-lines", include_str!("../../../worlds/bad-lines.toml")),
    ("saboteurs", include_str!("../../../worlds/saboteurs.toml")),
];

/// A world, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Its name.
    pub name: String,
    /// What it teaches, in a sentence.
    pub teaches: String,
    /// Its text.
    pub toml: String,
    /// How the samples are split.
    pub data: Split,
    /// Kinds of devices.
    pub devices: Vec<Device>,
    /// What goes wrong.
    pub faults: Faults,
    /// Who attacks.
    pub attackers: Vec<Attackers>,
    /// What a round is like.
    pub round: RoundShape,
    /// What else of the plan is set, as `POST /v1/runs` takes it.
    pub plan: Value,
}

/// How the samples are split among nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// By what.
    pub by: By,
    /// Samples of a node, where it has no endless stream; on average, where sizes differ.
    pub samples: Option<u32>,
    /// How many times more the richest node has than the poorest; 1 for all alike.
    pub skew: u32,
    /// Whether what a node sees changes with the rounds, from its first classes to its last.
    pub drift: bool,
    /// A class that appears late.
    pub late: Option<Late>,
}

/// By what samples are split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    /// At random.
    Chance,
    /// By class: each node has only so many.
    Classes(u8),
    /// By class, in shares of a Dirichlet distribution with this concentration, in thousandths: small is one-sided.
    Dirichlet(u32),
    /// By the person, place or device that recorded them.
    Subject,
}

/// A class that nobody has before some round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Which.
    pub class: u8,
    /// The first round in which nodes have it.
    pub from_round: u32,
}

/// A kind of device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// How many of all devices are of this kind, relative to the others.
    pub share: u32,
    /// How many times faster than the sensor's own time it learns, in thousandths.
    pub speed_permille: u32,
    /// Neurons that its chip has room for.
    pub neurons: Option<u32>,
    /// One way over its line, in milliseconds.
    pub latency_ms: u32,
    /// Up to so much more, in milliseconds.
    pub jitter_ms: u32,
    /// How many of a million calls have to be made again.
    pub loss_ppm: u32,
    /// What its line carries, in bits a second; none for as much as it is given.
    pub bits_per_s: Option<u32>,
    /// Hours of its day in which it is switched on: bit 0 is 00:00 to 01:00.
    pub on: u32,
    /// Hours in which it is charged; none for a device on the mains.
    pub charging: Option<u32>,
    /// Hours on a full battery.
    pub battery_hours: u32,
    /// How far its clock may be from the coordinator's, in hours: devices around the world.
    pub offset_hours: u32,
}

/// What goes wrong with any device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many of a million orders find the device losing its power while it learns.
    pub dropout_ppm: u32,
    /// For how long it is gone then, in seconds.
    pub dropout_s: u32,
    /// How many of a million orders are carried out slowly.
    pub straggler_ppm: u32,
    /// How many times more slowly.
    pub slowdown: u32,
}

/// Nodes that send what they did not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attackers {
    /// How many of a million nodes.
    pub ppm: u32,
    /// What they send.
    pub attack: Attack,
}

/// What an attacker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// The opposite of what it learned, so many times as much.
    SignFlip(u32),
    /// Chance, up to this in each weight.
    Random(u8),
}

/// What a round is like; what is not said is as the command line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundShape {
    /// Updates wanted, in thousandths of the fleet.
    pub goal_permille: Option<u32>,
    /// Nodes drawn for each thousand updates wanted.
    pub over_selection_permille: Option<u32>,
    /// Fewest updates, in thousandths of those wanted.
    pub quorum_permille: Option<u32>,
    /// Seconds of the world's time until the deadline.
    pub deadline_s: Option<u32>,
}

/// Why there is no world.
#[derive(Debug, Error)]
pub enum WorldError {
    /// There is neither a world nor a file of this name.
    #[error("`{got}` is neither a file nor one of the worlds that come with Muster: {}", names())]
    Unknown {
        /// What was given.
        got: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// The file, or the world's name.
        place: String,
        /// Where and why.
        message: String,
    },
    /// The file says things that no world can be.
    #[error("{place}: {}", sentences(problems))]
    Invalid {
        /// The file, or the world's name.
        place: String,
        /// All of them.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong with a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, as a path: `device[1].speed`.
    pub field: String,
    /// A stable code: `field_unknown`, `field_missing` or `value_invalid`.
    pub code: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub got: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, got, .. } = self;
        write!(f, "{field}: expected {expected}, got {got}")
    }
}

impl WorldError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "world_unknown",
            Self::Unreadable { .. } => "world_unreadable",
            Self::Syntax { .. } => "world_malformed",
            Self::Invalid { .. } => "world_invalid",
        }
    }
}

fn names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl World {
    /// The world of this name, of those that come with the project; else the one in the file of this name.
    ///
    /// # Errors
    /// [`WorldError`] with every mistake there is.
    pub fn open(name: &str) -> Result<Self, WorldError> {
        if let Some((name, toml)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(name, name, toml);
        }
        let path = Path::new(name);
        let unreadable = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => WorldError::Unknown { got: name.to_owned() },
            _ => WorldError::Unreadable { path: path.to_owned(), source },
        };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let stem = path.file_stem().map_or_else(|| name.into(), |stem| stem.to_string_lossy());
        Self::parse(&stem, name, &text)
    }

    /// Whether nothing of it takes part but the split of the data: no device is ever away, no call fails, nobody attacks,
    /// and what a node has does not change. Such a world can be lived in by real processes in real time, too.
    #[must_use]
    pub fn is_still(&self) -> bool {
        let Split { drift, late, .. } = self.data;
        self.is_punctual() && self.attackers.is_empty() && !drift && late.is_none()
    }

    /// Whether every node that is drawn answers.
    #[must_use]
    pub fn is_punctual(&self) -> bool {
        let Faults { dropout_ppm, straggler_ppm, .. } = self.faults;
        let always = |device: &Device| device.on == ALL_HOURS && device.loss_ppm == 0;
        dropout_ppm == 0 && straggler_ppm == 0 && self.devices.iter().all(always)
    }
}

/// Every hour of a day.
pub const ALL_HOURS: u32 = (1 << 24) - 1;
