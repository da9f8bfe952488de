//! audition: sound as a cochlea might send it, from samples to events in whole numbers.
//!
//! Sound at 8 kHz is cut into windows of 24 ms, one every 4 ms (a tick of the chip), and each window's power is gathered in 48
//! bands spaced in mel from 100 Hz to 3800 Hz. A band's level counts in decibels from 45 dB below the utterance's loudest
//! band, so that how loud somebody speaks does not matter. Three channels tell of a band b:
//!
//! | channel | event |
//! |---|---|
//! | b | integrate and fire: at level a (0 to 1 of the 45 dB) it fires 1.5 a^2 times a tick, at most once |
//! | 48 + b | ON: the level is 4 dB above where the last event left it |
//! | 96 + b | OFF: the level is 4 dB below |
//!
//! [`Ear`] takes samples one by one and keeps the levels of one utterance: 96 bytes a tick, since what is loudest is known only
//! at its end. Everything else is streaming. The chip is told the label from a fifth of the utterance on and votes in
//! its second half.

mod fourier;
mod tables;

use alloc::vec::Vec;

use reckon::Event;

use self::fourier::{POINTS, WINDOW, powers};
use self::tables::{EDGES, LOG2};
use crate::sample::Sample;

/// Samples a second that the ear expects.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Samples between ticks: 4 ms.
pub const TICK_SAMPLES: usize = 32;
/// Bands.
pub const BANDS: usize = 48;
/// Input channels: three for each band.
pub const CHANNELS: u16 = 144;
/// Longest utterance in ticks (8 s): beyond it sound is not heard.
pub const TICKS_MAX: usize = 2_000;

/// 256 log2 of a power ratio of 45 dB.
const FLOOR: u16 = 3_827;
/// The same of 4 dB.
const STEP: u16 = 340;
/// The integrator fires at this sum of `3 a^2`, with a from 0 to [`FLOOR`]: 1.5 of full level fire one and a half times.
const FIRE: u32 = 2 * FLOOR as u32 * FLOOR as u32;

/// Hears one utterance.
#[derive(Debug, Clone)]
pub struct Ear {
    /// The last [`WINDOW`] samples, from `next` on round to it.
    window: [i16; WINDOW],
    next: usize,
    /// Samples until the next tick.
    until_tick: usize,
    /// 256 log2 of each band's power, tick after tick.
    levels: Vec<[u16; BANDS]>,
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}

impl Ear {
    /// An ear before the first sample.
    #[must_use]
    pub const fn new() -> Self {
        Self { window: [0; WINDOW], next: 0, until_tick: WINDOW, levels: Vec::new() }
    }

    /// Hears the next sample, 16 bits linear.
    pub fn hear(&mut self, sample: i16) {
        self.window[self.next] = sample;
        self.next = (self.next + 1) % WINDOW;
        self.until_tick -= 1;
        if self.until_tick == 0 {
            self.until_tick = TICK_SAMPLES;
            if self.levels.len() < TICKS_MAX {
                self.levels.push(self.bands());
            }
        }
    }

    /// Ends the utterance: its events, one tick after the other, and `label`. The ear is as new.
    ///
    /// What was shorter than a window is heard with silence after it.
    pub fn end(&mut self, label: u8) -> Sample {
        while self.levels.is_empty() {
            self.hear(0);
        }
        let levels = core::mem::take(&mut self.levels);
        *self = Self::new();
        let events = encode(&levels);
        let ticks = u32::try_from(levels.len()).unwrap_or(u32::MAX);
        Sample { events, ticks, label, target_valid: ticks / 5..ticks, infer_acc: ticks / 2..ticks }
    }

    fn bands(&self) -> [u16; BANDS] {
        let (newer, older) = self.window.split_at(self.next);
        let powers = powers(older.iter().chain(newer).copied());
        core::array::from_fn(|band| {
            let [from, peak, to] = [EDGES[band], EDGES[band + 1], EDGES[band + 2]];
            let bins = (from >> 8)..=(to >> 8);
            let weighed = bins.map(|bin| {
                let power = powers.get(usize::from(bin)).copied().unwrap_or(0);
                // The transform's 2^56 at most, a weight of 2^8, eight bins: within 64 bits after this shift.
                (power >> 4) * triangle(bin << 8, from, peak, to)
            });
            log2(weighed.sum())
        })
    }
}

const _: () = assert!(EDGES[BANDS + 1] as usize <= POINTS / 2 * 256);

/// 0 at `from` and `to`, 256 at `peak`, straight lines between.
fn triangle(at: u16, from: u16, peak: u16, to: u16) -> u64 {
    let ratio = |part: u16, whole: u16| u64::from(part) * 256 / u64::from(whole);
    if at <= from || at >= to {
        0
    } else if at <= peak {
        ratio(at - from, peak - from)
    } else {
        ratio(to - at, to - peak)
    }
}

/// 256 log2 of `power`, 0 for 0, to within 2/256.
fn log2(power: u64) -> u16 {
    let Some(whole) = power.checked_ilog2() else { return 0 };
    // Six bits after the leading one choose the entry, the next eight go between it and its neighbour.
    let fraction = (u128::from(power) << 14 >> whole) & 0x3FFF;
    let fraction = u16::try_from(fraction).unwrap_or(0);
    let entry = usize::from(fraction >> 8);
    let (low, high) = (u32::from(LOG2[entry]), u32::from(LOG2[entry + 1]));
    let between = low + (((high - low) * u32::from(fraction & 0xFF)) >> 8);
    u16::try_from(whole * 256 + between).unwrap_or(u16::MAX)
}

fn encode(levels: &[[u16; BANDS]]) -> Vec<Event> {
    let loudest = levels.iter().flatten().copied().max().unwrap_or(0);
    let floor = loudest.saturating_sub(FLOOR);
    let (mut charge, mut left) = ([0_u32; BANDS], [0_u16; BANDS]);
    let mut events = Vec::new();
    for (frame, tick) in levels.iter().zip(0_u32..) {
        let level = frame.map(|level| level.saturating_sub(floor).min(FLOOR));
        let mut send = |group: u8, fires: [bool; BANDS]| {
            let channels = (group * 48..).zip(fires).filter(|&(_, fires)| fires);
            events.extend(channels.map(|(address, _)| Event { tick, address }));
        };
        send(0, core::array::from_fn(|band| fires(&mut charge[band], level[band])));
        let (mut on, mut off) = ([false; BANDS], [false; BANDS]);
        for band in 0..BANDS {
            if level[band] >= left[band] + STEP {
                on[band] = true;
                left[band] += STEP;
            } else if level[band] + STEP <= left[band] {
                off[band] = true;
                left[band] -= STEP;
            }
        }
        send(1, on);
        send(2, off);
    }
    events
}

/// Adds a tick at `level` to `charge`. What is beyond one event a tick is lost.
fn fires(charge: &mut u32, level: u16) -> bool {
    *charge += 3 * u32::from(level) * u32::from(level);
    if *charge < FIRE {
        return false;
    }
    *charge = (*charge - FIRE).min(FIRE);
    true
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "sounds for tests are far from the ends of 16 bits"
)]
mod tests;
