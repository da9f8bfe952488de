//! The chip's 13 pseudo-random generators (SPEC 9; src/lfsr/*.v, srnn.v:866-1217).
//!
//! Each generator is a bit sequence `s[k] = s[k-W] ^ s[k-T]` of which one advance consumes a block
//! of `B` bits. This model keeps the *window* `s[0..W]` of the bits to come, so that a word is
//! there without computing, and the chip's register, which mixes bits to come with bits gone by, is
//! derived from it when somebody asks: register bit `i` is `s[i]` for `i < T` and `s[i-W] = s[i] ^
//! s[i-T]` above, hence `register = window ^ window << T`, and the window is the running sum (by
//! exclusive or, in strides of T) of the register. The generators of 7 bits a block have the same
//! bits in their register in another order (`shuffle` in `rounding`).
//!
//! | generators | W | T | B | type |
//! | --- | --- | --- | --- | --- |
//! | winp, wrec | 25 | 3 | 512 | [`RowGenerator`] |
//! | wout | 22 | 1 | 448 | [`OutputRowGenerator`] |
//! | neur, tinp, trec (two lanes each) | 15 | 1 | 15 | [`Rounding`] |
//! | tout (two lanes) | 15 | 1 | 7 | [`Rounding`] |
//! | oneur | 15 | 1 | 7 | [`Rounding`] |
//! | noise | 17 | 3 | 32 | [`NoiseGenerator`] |
//!
//! Those that the hot loops draw from keep more of their sequence than the window, as many whole
//! words as it takes for words further on to be the exclusive or of words held.

mod output_row;
mod planes;
mod rounding;

use crate::fixed::low32;

pub(crate) use output_row::{BLOCK, BLOCKS_MAX, OutputRowGenerator, word as output_word};
pub(crate) use planes::{Map, Planes};
pub(crate) use rounding::{Rounding, STREAMS, Streams, WORDS_MAX, draw};

/// The recurrence of one kind of generator.
#[derive(Debug, Clone, Copy)]
struct Recurrence {
    width: u32,
    tap: u32,
}

const ROW: Recurrence = Recurrence { width: 25, tap: 3 };
const OUTPUT_ROW: Recurrence = Recurrence { width: 22, tap: 1 };
const ROUNDING: Recurrence = Recurrence { width: 15, tap: 1 };
const NOISE: Recurrence = Recurrence { width: 17, tap: 3 };

impl Recurrence {
    #[expect(clippy::arithmetic_side_effects, reason = "widths are the four constants above")]
    const fn mask(self) -> u32 {
        (1 << self.width) - 1
    }

    /// The chip's register when the coming bits are `window`.
    const fn register(self, window: u32) -> u32 {
        (window ^ window.wrapping_shl(self.tap)) & self.mask()
    }

    /// The coming bits when the chip's register is `register`.
    const fn window(self, register: u32) -> u32 {
        self.running_sum(register)
    }

    /// The `width` bits that follow the `width` bits of `window`.
    #[expect(clippy::arithmetic_side_effects, reason = "tap < width in the four constants above")]
    const fn following(self, window: u32) -> u32 {
        self.running_sum(window ^ window >> (self.width - self.tap))
    }

    /// Bit i of the result is the exclusive or of bits i, i-T, i-2T, ... of `x`.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the stride stays below twice the width, 50"
    )]
    const fn running_sum(self, mut x: u32) -> u32 {
        let mut stride = self.tap;
        while stride < self.width {
            x ^= x << stride;
            stride *= 2;
        }
        x & self.mask()
    }

    /// Fills `words` with the sequence that starts with `window`, 64 bits a word, first bit lowest.
    #[expect(clippy::arithmetic_side_effects, reason = "at most 63 + 25 bits are held at a time")]
    fn fill(self, mut window: u32, words: &mut [u64]) {
        let mut held = 0_u128;
        let mut count = 0;
        for word in words {
            while count < 64 {
                held |= u128::from(window) << count;
                count += self.width;
                window = self.following(window);
            }
            let bytes = held.to_le_bytes();
            let (low, _) = bytes.split_first_chunk().expect("16 bytes have a first 8");
            *word = u64::from_le_bytes(*low);
            held >>= 64;
            count -= 64;
        }
    }
}

/// Number of words of 32 bits in one block of a [`RowGenerator`]: one per lane of a row of weights.
const LANES: usize = 16;

/// Number of blocks that a [`RowGenerator`] holds.
pub(crate) const RING: usize = 25;

/// One block of a [`RowGenerator`], in one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct RowBlock(pub(crate) [u32; LANES]);

/// Generator `winp` or `wrec`: 16 words of 32 bits per advance.
///
/// A block is 512 = 2^9 bits, so the blocks themselves obey the recurrence of the bits, squared
/// nine times over: `block[t+25] = block[t] ^ block[t+22]`. The next 25 blocks are held in a ring.
#[derive(Debug, Clone)]
pub(crate) struct RowGenerator {
    /// Starting at `head`, the coming blocks.
    pub(crate) ring: [RowBlock; RING],
    pub(crate) head: usize,
}

impl RowGenerator {
    /// To be loaded before use.
    pub(crate) const EMPTY: RowGenerator =
        RowGenerator { ring: [RowBlock([0; LANES]); RING], head: 0 };

    /// Loads the register, 25 bits.
    pub(crate) fn load(&mut self, register: u32) {
        let mut words = [0; RING * 8];
        ROW.fill(ROW.window(register), &mut words);
        let halves = words.iter().flat_map(|&word| [low32(word), low32(word >> 32)]);
        for (lane, half) in self.ring.iter_mut().flat_map(|block| &mut block.0).zip(halves) {
            *lane = half;
        }
        self.head = 0;
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        ROW.register(self.ring[self.head].0[0] & ROW.mask())
    }

    /// The place in the ring of the block that is 22 ahead of the one at `head`.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "head < 25")]
    pub(crate) const fn ahead(head: usize) -> usize {
        if head < 3 { head + 22 } else { head - 3 }
    }

    /// The place in the ring that follows `place`.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "place < 25")]
    pub(crate) const fn after(place: usize) -> usize {
        if place == RING - 1 { 0 } else { place + 1 }
    }

    /// This block, lane 0 first; then advances.
    #[inline(always)]
    pub(crate) fn draw(&mut self) -> [u32; LANES] {
        let ahead = self.ring[RowGenerator::ahead(self.head)].0;
        let block = self.ring[self.head].0;
        for (lane, word) in self.ring[self.head].0.iter_mut().zip(ahead) {
            *lane ^= word;
        }
        self.head = RowGenerator::after(self.head);
        block
    }
}

/// Generator `noise`: 32 bits per advance.
#[derive(Debug, Clone)]
pub(crate) struct NoiseGenerator {
    window: u32,
}

impl NoiseGenerator {
    /// The generator whose register is `register`, 17 bits.
    pub(crate) fn new(register: u32) -> NoiseGenerator {
        NoiseGenerator { window: NOISE.window(register) }
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        NOISE.register(self.window)
    }

    /// This word: bits 16n..16n+15 are the noise of lane n; then advances.
    pub(crate) fn draw(&mut self) -> u32 {
        let second = NOISE.following(self.window);
        let third = NOISE.following(second);
        let bits = u64::from(self.window) | u64::from(second) << 17 | u64::from(third) << 34;
        self.window = low32(bits >> 32) & NOISE.mask();
        low32(bits)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
