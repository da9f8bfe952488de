//! What goes into a tick or a sample, and what comes out.

use core::ops::Range;

/// An input event of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The tick whose PROP integrates the event, from 0. Events of the last tick are never
    /// integrated.
    pub tick: u32,
    /// The slot, 0..=255.
    pub address: u8,
}

/// A sample as the chip's pins see it.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    /// Number of ticks; T ticks make T - 1 steps.
    pub ticks: u32,
    /// The events, sorted by tick; one out of order arrives late, at the tick of the event before
    /// it.
    pub events: &'a [Event],
    /// Ticks at which TARGET_VALID is high.
    pub target_valid: Range<u32>,
    /// Ticks at which INFER_ACC is high: the steps that vote.
    pub infer_acc: Range<u32>,
    /// The class the sample belongs to, 0..=15; of use only where the chip learns.
    pub label: u8,
}

/// The chip's control pins at one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pins {
    /// TARGET_VALID: learn at this tick, if SPI_DO_EPROP says so.
    pub target_valid: bool,
    /// INFER_ACC: this step votes.
    pub infer_acc: bool,
    /// SAMPLE went low before this tick: it is the last.
    pub last: bool,
}

/// What the chip puts on its output bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The class with the most votes so far, as one byte (SPI_SEND_LABEL_ONLY = 1).
    Label(u8),
    /// The output potentials right after STEP, low byte first; of the 16 here only those of
    /// existing outputs are sent.
    Potentials([i16; 16]),
}

/// Clock cycles spent in each part of the state machine (SPEC 11), without handshakes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cycles {
    /// STEP: nS + 1 each.
    pub step: u64,
    /// SDONE: 1 each.
    pub sdone: u64,
    /// PROP: the scan, and what each active slot adds.
    pub prop: u64,
    /// EPROP: constant per pass.
    pub eprop: u64,
}

impl Cycles {
    /// The sum of all parts.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.step.saturating_add(self.sdone).saturating_add(self.prop).saturating_add(self.eprop)
    }

    /// Adds `other`, part by part.
    pub const fn add(&mut self, other: &Cycles) {
        self.step = self.step.saturating_add(other.step);
        self.sdone = self.sdone.saturating_add(other.sdone);
        self.prop = self.prop.saturating_add(other.prop);
        self.eprop = self.eprop.saturating_add(other.eprop);
    }
}

/// What one tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Slots that fired in STEP, input-only slots included.
    pub spikes: u32,
    /// A learning pass ran.
    pub learned: bool,
    /// What was sent, if anything: always at the last tick, and at every step with
    /// SPI_SEND_PER_TIMESTEP.
    pub sent: Option<Sent>,
    /// Clock cycles of this tick.
    pub cycles: Cycles,
    /// Weights read and applied for one presynaptic event: nR + 1 per input event visited, nR + 1 +
    /// nO + 1 per recurrent spike visited.
    pub synaptic_ops: u64,
    /// Weights for which the learning pass drew a random word: 16 per row of a hidden matrix
    /// visited (padding included), nO + 1 per row of the output matrix.
    pub weights_drawn: u64,
}

/// What one sample did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleReport {
    /// The inferred class: most votes, the lowest on a tie. Always 0 in regression.
    pub label: u8,
    /// Votes per class; entries above the last output stay 0.
    pub votes: [u16; 16],
    /// Clock cycles, summed over the ticks.
    pub cycles: Cycles,
    /// As in [`StepReport`], summed over the ticks.
    pub synaptic_ops: u64,
    /// As in [`StepReport`], summed over the ticks.
    pub weights_drawn: u64,
    /// As in [`StepReport`], summed over the ticks.
    pub spikes: u64,
}
