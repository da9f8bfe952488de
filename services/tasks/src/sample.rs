//! One owned sample: the events, their length in ticks, the label and when the chip learns and votes.

use alloc::vec::Vec;
use core::ops::Range;

use reckon::Event;

/// A sample that owns its events; [`Sample::as_sample`] lends it to the chip.
///
/// Times are in ticks of the chip; what a tick lasts is up to the task (1 ms for navigation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Input events, ascending by tick; within a tick in the order in which they are sent.
    pub events: Vec<Event>,
    /// Length T of the sample: events have ticks 0 to T - 1, those of the last are never integrated (SPEC section 3).
    pub ticks: u32,
    /// The class, 0 to 15.
    pub label: u8,
    /// Ticks at which TARGET_VALID is high: the chip learns there (SPEC section 3).
    pub target_valid: Range<u32>,
    /// Ticks at which INFER_ACC is high: the chip votes there (SPEC section 8).
    pub infer_acc: Range<u32>,
}

impl Sample {
    /// The same sample as the chip takes it.
    #[must_use]
    pub fn as_sample(&self) -> reckon::Sample<'_> {
        reckon::Sample {
            ticks: self.ticks,
            events: &self.events,
            target_valid: self.target_valid.clone(),
            infer_acc: self.infer_acc.clone(),
            label: self.label,
        }
    }
}
