//! Channels: a movable name on a version, which nodes follow; how a version is rolled out to them, and what turns it back.
//!
//! A promotion brings a version to a channel, a step at a time: a growing part of the nodes that follow it. Each step
//! waits for the channel's [`Guard`]. Which nodes are in a step is a hash of the promotion and the node, so that each
//! step holds the one before it. What to do is [`decide`]d from the promotion's [`State`] and the nodes' reports alone.

mod guard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use self::guard::{Guard, GuardError};
use crate::id::{ChannelName, ModelName, NodeId};
use crate::limits::CHANNEL_STEPS_MAX;

/// The label by which a node says which channel it follows.
pub const LABEL: &str = "channel";
/// The channel that a node without the label follows.
pub const DEFAULT: &str = "stable";

/// Parts of the nodes, in percent, to which a version goes one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps(Vec<u8>);

/// Why numbers are no steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "steps are 1 to {CHANNEL_STEPS_MAX} percentages, ascending, from 1 to 100, the last one 100"
)]
pub struct StepsError;

impl Steps {
    /// Steps of these percentages.
    ///
    /// # Errors
    /// [`StepsError`] when they do not ascend to 100.
    pub fn new(percents: Vec<u8>) -> Result<Self, StepsError> {
        let ascend = percents.is_sorted_by(|one, next| one < next);
        let ends =
            percents.first().is_some_and(|&first| first > 0) && percents.last() == Some(&100);
        if ascend && ends && percents.len() <= CHANNEL_STEPS_MAX {
            Ok(Self(percents))
        } else {
            Err(StepsError)
        }
    }

    /// The percentages.
    #[must_use]
    pub fn percents(&self) -> &[u8] {
        &self.0
    }

    /// The first step after one of `percent`; `None` when that was the last.
    #[must_use]
    pub fn after(&self, percent: u8) -> Option<u8> {
        self.0.iter().copied().find(|&step| step > percent)
    }

    /// The last step before one of `percent`; 0 when there is none.
    #[must_use]
    pub fn before(&self, percent: u8) -> u8 {
        self.0.iter().rev().copied().find(|&step| step < percent).unwrap_or(0)
    }

    /// The first step.
    #[must_use]
    pub fn first(&self) -> u8 {
        self.after(0).unwrap_or(100)
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self(vec![1, 10, 50, 100])
    }
}

/// What became of a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody has to approve of it first.
    Waiting,
    /// It goes from step to step.
    Rolling,
    /// Every node that follows the channel gets the version.
    Done,
    /// Its guard turned it back.
    Tripped,
    /// Somebody turned it back.
    RolledBack,
    /// Another took its place before it was done.
    Superseded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Rolling,
        Self::Done,
        Self::Tripped,
        Self::RolledBack,
        Self::Superseded,
    ];

    /// The state as text, as REST and the database say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rolling => "rolling",
            Self::Done => "done",
            Self::Tripped => "tripped",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }

    /// What becomes of it by a decision.
    #[must_use]
    pub fn by(self, decision: Decision) -> Self {
        match decision {
            Decision::Wait => self,
            Decision::Advance(_) => Self::Rolling,
            Decision::Done => Self::Done,
            Decision::Trip => Self::Tripped,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("no promotion is `{text}`"))
    }
}

/// What nodes report about a version: the last word of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many nodes reported.
    pub nodes: u64,
    /// Samples they tried.
    pub samples: u64,
    /// Of these, classified correctly.
    pub correct: u64,
}

/// A promotion as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Rollout<'a> {
    /// Its state.
    pub state: State,
    /// Whether the guard watches it. One that returns to a version that was good is not watched: there is nothing behind.
    pub watched: bool,
    /// The channel's guard.
    pub guard: Option<Guard>,
    /// The channel's steps.
    pub steps: &'a Steps,
    /// The step it is at.
    pub percent: u8,
    /// What the nodes of the step report.
    pub evidence: Evidence,
    /// How many nodes the step has.
    pub members: u64,
    /// Of those that reported, how many the step added to the one before.
    pub fresh: u64,
    /// How many nodes the step added.
    pub added: u64,
}

/// What to do about a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet.
    Wait,
    /// Go on to the step of this percentage.
    Advance(u8),
    /// It went through its last step.
    Done,
    /// Turn it back.
    Trip,
}

/// What to do about a promotion.
///
/// The guard turns a version back once as many nodes of the step reported as it asks for, or all of them where the step
/// has fewer; it lets it go on once as many of those did that the step added, or all of them. So no step is passed on what
/// the one before it said. A step that adds no nodes is passed. The guard goes on watching after the last step.
#[must_use]
pub fn decide(rollout: &Rollout<'_>) -> Decision {
    let Rollout { state, watched, guard, steps, percent, evidence, members, fresh, added } =
        *rollout;
    let (good, enough) = match guard {
        Some(guard) if watched => {
            let needed = u64::from(guard.nodes()).min(added);
            (guard.judge(evidence, members), fresh >= needed)
        }
        _ => (Some(true), true),
    };
    match (state, good) {
        (State::Rolling | State::Done, Some(false)) => Decision::Trip,
        (State::Rolling, Some(true)) if enough => {
            steps.after(percent).map_or(Decision::Done, Decision::Advance)
        }
        _ => Decision::Wait,
    }
}

/// Why a version is not brought to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The channel is pinned to its version.
    Pinned,
    /// The channel's guard turned the version back before.
    Bad,
    /// Another promotion is on its way.
    Running,
}

/// Whether a version may be brought to a channel. `force` overrules what is known of the version and of the promotion on
/// its way, but not a pin.
///
/// # Errors
/// The first [`Objection`] there is.
pub fn may_promote(pinned: bool, bad: bool, state: State, force: bool) -> Result<(), Objection> {
    if pinned {
        Err(Objection::Pinned)
    } else if bad && !force {
        Err(Objection::Bad)
    } else if state == State::Rolling && !force {
        Err(Objection::Running)
    } else {
        Ok(())
    }
}

/// A node's place in a promotion, 0 to 99: it is in every step of a percentage above it.
#[must_use]
pub fn place(model: &ModelName, channel: &ChannelName, promotion: u32, node: &NodeId) -> u8 {
    let mut hash = Sha256::new();
    hash.update(b"muster rollout\0");
    for name in [model.as_str(), channel.as_str()] {
        hash.update(name.as_bytes());
        hash.update([0]);
    }
    hash.update(promotion.to_le_bytes());
    hash.update(node.as_str().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) =
        digest.split_first_chunk::<8>().expect("a SHA-256 digest has more than 8 bytes");
    u8::try_from(u64::from_le_bytes(*first) % 100).expect("a remainder of 100 fits 8 bits")
}

/// Whether a channel can have this name: a version is also found by its number and as `latest`.
#[must_use]
pub fn is_free(name: &ChannelName) -> bool {
    name.as_str() != "latest" && !name.as_str().starts_with(|first: char| first.is_ascii_digit())
}
