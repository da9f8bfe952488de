//! tactile: a fingertip's events, each heard again and again a little later.
//!
//! A letter read by touch is an order of events in time, longer than a leaky neuron remembers. So the device keeps a history:
//! each of its 12 taxels has 16 channels, the d-th of which hears it d x 80 ms late. All of the letter then lies before the
//! chip at once. Steps of 5 ms are taken in pairs, a channel speaking where its taxel did in either: ticks of 10 ms.
//!
//! Channel 12 d + t is taxel t, d x 8 ticks late. [`Finger`] keeps 121 ticks of history, 16 bits each.

use alloc::vec::Vec;

use reckon::Event;

use crate::sample::Sample;

/// Places that feel.
pub const TAXELS: u8 = 12;
/// Delays of each.
pub const DELAYS: u8 = 16;
/// Ticks between them: 80 ms.
pub const DELAY_TICKS: usize = 8;
/// Steps of a tick.
pub const STEPS_PER_TICK: usize = 2;
/// Input channels.
pub const CHANNELS: u16 = TAXELS as u16 * DELAYS as u16;
/// Letters: Space, A, E, I, O, U, Y.
pub const CLASSES: u8 = 7;

const HISTORY: usize = DELAY_TICKS * (DELAYS as usize - 1) + 1;

/// Feels one letter, step by step.
#[derive(Debug, Clone)]
pub struct Finger {
    /// The last ticks, a bit for each taxel; the one at hand at `tick` modulo the length.
    history: [u16; HISTORY],
    steps: usize,
    events: Vec<Event>,
}

impl Default for Finger {
    fn default() -> Self {
        Self::new()
    }
}

impl Finger {
    /// A finger before its first step.
    #[must_use]
    pub const fn new() -> Self {
        Self { history: [0; HISTORY], steps: 0, events: Vec::new() }
    }

    /// Feels the next step: bit t of `taxels` says whether taxel t has an event.
    pub fn feel(&mut self, taxels: u16) {
        let tick = self.steps / STEPS_PER_TICK;
        let now = &mut self.history[tick % HISTORY];
        if self.steps.is_multiple_of(STEPS_PER_TICK) {
            *now = 0;
        }
        *now |= taxels & ((1 << TAXELS) - 1);
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_TICK) {
            self.tell(tick);
        }
    }

    /// Ends the letter: the chip is told the label from three tenths of it on and votes in the last two fifths. The finger is
    /// as new.
    pub fn end(&mut self, label: u8) -> Sample {
        if !self.steps.is_multiple_of(STEPS_PER_TICK) {
            self.tell(self.steps / STEPS_PER_TICK);
        }
        let ticks = u32::try_from(self.steps.div_ceil(STEPS_PER_TICK)).unwrap_or(u32::MAX);
        let events = core::mem::take(&mut self.events);
        *self = Self::new();
        let part =
            |tenths: u32| u32::try_from(u64::from(ticks) * u64::from(tenths) / 10).unwrap_or(0);
        Sample { events, ticks, label, target_valid: part(3)..ticks, infer_acc: part(6)..ticks }
    }

    fn tell(&mut self, tick: usize) {
        for delay in 0..DELAYS {
            let Some(then) = tick.checked_sub(usize::from(delay) * DELAY_TICKS) else { break };
            let taxels = self.history[then % HISTORY];
            let spoken = (0..TAXELS).filter(|taxel| taxels >> taxel & 1 == 1);
            let tick = u32::try_from(tick).unwrap_or(u32::MAX);
            self.events.extend(spoken.map(|taxel| Event { tick, address: delay * TAXELS + taxel }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feel(finger: &mut Finger, steps: usize, taxels: impl Fn(usize) -> u16) -> Vec<(u32, u8)> {
        (0..steps).for_each(|step| finger.feel(taxels(step)));
        finger.end(2).events.into_iter().map(|event| (event.tick, event.address)).collect()
    }

    #[test]
    fn an_event_comes_again_every_eight_ticks() {
        let mut finger = Finger::new();
        let events = feel(&mut finger, 256, |step| if step == 3 { 1 << 5 } else { 0 });
        let expected: Vec<(u32, u8)> =
            (0..16).map(|d: u8| (1 + 8 * u32::from(d), 5 + 12 * d)).collect();
        assert_eq!(events, expected);
        assert!(feel(&mut finger, 256, |_| 0).is_empty(), "as new");
    }

    #[test]
    fn pairs_of_steps_are_one_and_what_is_no_taxel_is_nothing() {
        let mut finger = Finger::new();
        let events = feel(&mut finger, 5, |step| [1, 1, 2, 1, 0xF000 | 4][step]);
        assert_eq!(events, [(0, 0), (1, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn a_letter_has_its_length_and_its_phases() {
        let mut finger = Finger::new();
        (0..256).for_each(|_| finger.feel(1));
        let sample = finger.end(6);
        assert_eq!((sample.ticks, sample.label), (128, 6));
        assert_eq!((sample.target_valid.clone(), sample.infer_acc.clone()), (38..128, 76..128));
        assert!(sample.events.is_sorted_by_key(|event| (event.tick, event.address)));
        assert_eq!(sample.events.len(), (0..16).map(|d| 128 - 8 * d).sum());
    }
}
