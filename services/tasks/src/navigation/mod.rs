//! navigation: delayed-supervision cue accumulation, the chip's own benchmark, as an endless stream of samples.
//!
//! An animal runs along a corridor past seven visual cues, each on its left or on its right; long after the last one,
//! at a junction, it must turn to the side that had more. The network sees 2250 steps of 1 ms on 40 channels:
//!
//! | channels | what | when | rate |
//! |---|---|---|---|
//! | 0 to 9 | a cue on the left | 100 ms from 50 + 150 k ms, k = 0 to 6, if cue k is left | 40 Hz |
//! | 10 to 19 | a cue on the right | the same, if cue k is right | 40 Hz |
//! | 20 to 29 | recall: decide now | from 2100 ms on | 40 Hz |
//! | 30 to 39 | noise | always | 10 Hz |
//!
//! A fair coin favours one side; each cue is on the favoured side with probability 0.7. The label is the side that
//! really had more of the seven, 1 for right. The chip is told the label, learns and votes only from 2100 ms on, one
//! second after the last cue. Published accuracy of the chip: 96.4 % (C. Frenkel and G. Indiveri, "ReckOn: A 28nm
//! sub-mm2 task-agnostic spiking recurrent neural network processor", ISSCC 2022); the task is from G. Bellec et al.,
//! "A solution to the learning dilemma for recurrent networks of spiking neurons", Nature Communications 11, 2020.
//! The rates agree with the recordings of the chip's test bench.
//!
//! Sample `i` of the stream with a given seed is a pure function of the two, so a node needs no storage and may skip.
//! Every channel draws once per step in which it is active, in ascending order, against an integer threshold.

pub mod chip;
mod initial;
pub mod plan;

use alloc::vec::Vec;
use core::ops::Range;

use reckon::Event;

pub use initial::{Weights, initial_weights};

use crate::random::{Rng, derive, threshold};
use crate::sample::Sample;

/// Length of a sample in steps (ticks of the chip) of 1 ms.
pub const TICKS: u32 = 2250;
/// What a step lasts, in microseconds.
pub const STEP_US: u64 = 1000;
/// Input channels.
pub const CHANNELS: u8 = 40;
/// Recurrent neurons of the chip's configuration for this task.
pub const NEURONS: u8 = 100;
/// Classes: 0 left, 1 right.
pub const CLASSES: u8 = 2;
/// Cues of a sample.
pub const CUES: usize = 7;
/// Steps at which the recall channels are active, the label is given (TARGET_VALID) and the chip votes (INFER_ACC).
pub const RECALL: Range<u32> = 2100..TICKS;

/// One node's endless stream of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    only: Option<u8>,
}

impl Stream {
    /// The stream that belongs to `seed`. Different seeds give unrelated streams.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, only: None }
    }

    /// The stream of node `node` (counted from 0) of a fleet whose master seed is `seed`.
    #[must_use]
    pub const fn of_node(seed: u64, node: u64) -> Self {
        Self::new(derive(seed, &[NODE_DOMAIN, node]))
    }

    /// The stream that no node of the fleet with this master seed ever sees: test sets are its first samples.
    #[must_use]
    pub const fn unseen(seed: u64) -> Self {
        Self::new(derive(seed, &[UNSEEN_DOMAIN]))
    }

    /// The same stream with every sample of class `label` (0 or 1; other values leave it as it is): label skew for
    /// federated experiments.
    ///
    /// Samples of the other class are mirrored, left for right. Both sides are equally likely in every respect, so
    /// what results is distributed exactly as samples of that class are.
    #[must_use]
    pub const fn of_class(self, label: u8) -> Self {
        Self { seed: self.seed, only: if label < CLASSES { Some(label) } else { None } }
    }

    /// Sample `index`, as an iterator over its events; its label is known at once.
    #[must_use]
    pub fn trial(&self, index: u64) -> Trial {
        let mut rng = Rng::new(derive(self.seed, &[DOMAIN, index]));
        let favoured = rng.chance(1, 2);
        let mut cues: [Side; CUES] = core::array::from_fn(|_| {
            let right = rng.chance(7, 10) == favoured;
            if right { Side::Right } else { Side::Left }
        });
        if self.only.is_some_and(|label| label != majority(&cues)) {
            cues = cues.map(Side::mirrored);
        }
        Trial { rng, cues, tick: 0, lane: NOISE_LANE, signal: None }
    }

    /// Puts the events of sample `index` into `events` (emptied first) and returns its label.
    ///
    /// With a buffer that is used again this allocates nothing once the buffer has grown to about 700 events.
    pub fn fill(&self, index: u64, events: &mut Vec<Event>) -> u8 {
        let trial = self.trial(index);
        let label = trial.label();
        events.clear();
        events.extend(trial);
        label
    }

    /// Sample `index`, owned.
    #[must_use]
    pub fn sample(&self, index: u64) -> Sample {
        let mut events = Vec::new();
        let label = self.fill(index, &mut events);
        Sample { events, ticks: TICKS, label, target_valid: RECALL, infer_acc: RECALL }
    }
}

/// Where a cue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Channels 0 to 9.
    Left,
    /// Channels 10 to 19.
    Right,
}

impl Side {
    const fn mirrored(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    const fn first_channel(self) -> u8 {
        match self {
            Self::Left => 0,
            Self::Right => LANES,
        }
    }
}

/// The events of one sample, ascending by tick and then by address, drawn as they are asked for (80 bytes of state).
#[derive(Debug, Clone)]
pub struct Trial {
    rng: Rng,
    cues: [Side; CUES],
    tick: u32,
    /// The next draw of this tick: lanes 0 to 9 are the signal's channels, 10 to 19 the noise channels.
    lane: u8,
    /// First channel of the cue or recall signal of this tick; while it is `None` a tick begins at [`NOISE_LANE`].
    signal: Option<u8>,
}

impl Trial {
    /// The class: 1 if more cues are on the right, else 0.
    #[must_use]
    pub fn label(&self) -> u8 {
        majority(&self.cues)
    }

    /// The seven cues in the order in which they are passed.
    #[must_use]
    pub const fn cues(&self) -> [Side; CUES] {
        self.cues
    }

    /// First channel of the cue or recall signal that is active at `tick`, if any.
    fn signal_at(&self, tick: u32) -> Option<u8> {
        if RECALL.contains(&tick) {
            return Some(RECALL_CHANNEL);
        }
        let since_first = tick.checked_sub(CUE_FIRST)?;
        if since_first % CUE_PERIOD >= CUE_LENGTH {
            return None;
        }
        let cue = usize::try_from(since_first / CUE_PERIOD).ok()?;
        self.cues.get(cue).map(|side| side.first_channel())
    }
}

impl Iterator for Trial {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.tick < TICKS {
            while self.lane < 2 * LANES {
                let lane = self.lane;
                self.lane += 1;
                let (address, below) = match self.signal {
                    Some(first) if lane < LANES => (first + lane, SIGNAL_BELOW),
                    _ => (NOISE_CHANNEL - NOISE_LANE + lane, NOISE_BELOW),
                };
                if self.rng.next_u32() < below {
                    return Some(Event { tick: self.tick, address });
                }
            }
            self.tick += 1;
            self.signal = self.signal_at(self.tick);
            self.lane = if self.signal.is_some() { 0 } else { NOISE_LANE };
        }
        None
    }
}

/// Keep these draws apart from any others made with the same seed.
const DOMAIN: u64 = u64::from_be_bytes(*b"nav/tria");
const NODE_DOMAIN: u64 = u64::from_be_bytes(*b"nav/node");
const UNSEEN_DOMAIN: u64 = u64::from_be_bytes(*b"nav/test");
/// Channels of each of the four groups.
const LANES: u8 = 10;
const NOISE_LANE: u8 = LANES;
const RECALL_CHANNEL: u8 = 20;
const NOISE_CHANNEL: u8 = 30;
/// When the first cue begins, how far apart cues begin and how long each lasts, in steps.
const CUE_FIRST: u32 = 50;
const CUE_PERIOD: u32 = 150;
const CUE_LENGTH: u32 = 100;
/// 40 Hz and 10 Hz as a probability per step of 1 ms, of 2^32.
const SIGNAL_BELOW: u32 = threshold(40, 1000);
const NOISE_BELOW: u32 = threshold(10, 1000);

fn majority(cues: &[Side; CUES]) -> u8 {
    let right = cues.iter().filter(|&&side| side == Side::Right).count();
    u8::from(2 * right > CUES)
}

#[cfg(test)]
mod tests;
