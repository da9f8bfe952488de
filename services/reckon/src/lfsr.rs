//! The chip's 13 pseudo-random generators (SPEC 9; src/lfsr/*.v, srnn.v:866-1217).
//!
//! Each generator is a bit sequence `s[k] = s[k-W] ^ s[k-T]` of which one advance consumes a block
//! of `B` bits. This model keeps the *window* `s[0..W]` of the bits to come, so that a word is
//! there without computing, and the chip's register, which mixes bits to come with bits gone by, is
//! derived from it when somebody asks: register bit `i` is `s[i]` for `i < T` and `s[i-W] = s[i] ^
//! s[i-T]` above, hence `register = window ^ window << T`, and the window is the running sum (by
//! exclusive or, in strides of T) of the register. The generators of 7 bits a block have the same
//! bits in their register in another order ([`shuffle`]).
//!
//! | generators | W | T | B | type |
//! | --- | --- | --- | --- | --- |
//! | winp, wrec | 25 | 3 | 512 | [`RowGenerator`] |
//! | wout | 22 | 1 | 448 | [`OutputRowGenerator`] |
//! | neur, tinp, trec (two lanes each) | 15 | 1 | 15 | [`PairGenerators`] |
//! | tout (two lanes) | 15 | 1 | 7 | [`PairGenerators`] |
//! | oneur | 15 | 1 | 7 | [`OutputGenerator`] |
//! | noise | 17 | 3 | 32 | [`NoiseGenerator`] |

use crate::fixed::{low16, low32};

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

/// Generator `winp` or `wrec`: 16 words of 32 bits per advance.
///
/// A block is 512 = 2^9 bits, so the blocks themselves obey the recurrence of the bits, squared
/// nine times over: `block[t+25] = block[t] ^ block[t+22]`. The next 25 blocks are held in a ring.
#[derive(Debug, Clone)]
pub(crate) struct RowGenerator {
    ring: [[u32; LANES]; 25],
    head: usize,
}

impl RowGenerator {
    /// The generator whose register is `register`, 25 bits.
    pub(crate) fn new(register: u32) -> RowGenerator {
        let mut words = [0; 25 * 8];
        ROW.fill(ROW.window(register), &mut words);
        let mut ring = [[0; LANES]; 25];
        let halves = words.iter().flat_map(|&word| [low32(word), low32(word >> 32)]);
        for (lane, half) in ring.as_flattened_mut().iter_mut().zip(halves) {
            *lane = half;
        }
        RowGenerator { ring, head: 0 }
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        ROW.register(self.ring[self.head][0] & ROW.mask())
    }

    /// This block, lane 0 first; then advances.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "head < 25")]
    pub(crate) fn draw(&mut self) -> [u32; LANES] {
        let ahead = self.ring[if self.head < 3 { self.head + 22 } else { self.head - 3 }];
        let block = self.ring[self.head];
        for (lane, word) in self.ring[self.head].iter_mut().zip(ahead) {
            *lane ^= word;
        }
        self.head = if self.head == 24 { 0 } else { self.head + 1 };
        block
    }
}

/// Generator `wout`: 16 words of 28 bits per advance.
///
/// The 64-bit words of the sequence obey `word[i+22] = word[i] ^ word[i+21]`; a block is seven of
/// them. The next 22 are held in order.
#[derive(Debug, Clone)]
pub(crate) struct OutputRowGenerator {
    words: [u64; 22],
}

impl OutputRowGenerator {
    /// The generator whose register is `register`, 22 bits.
    pub(crate) fn new(register: u32) -> OutputRowGenerator {
        let mut words = [0; 22];
        OUTPUT_ROW.fill(OUTPUT_ROW.window(register), &mut words);
        OutputRowGenerator { words }
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        OUTPUT_ROW.register(low32(self.words[0]) & OUTPUT_ROW.mask())
    }

    /// This block: word `k` of 28 bits belongs to output `k`, and words from `count` on are left 0;
    /// then advances.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "bit positions below 448 in an array of 22 words"
    )]
    pub(crate) fn draw(&mut self, count: usize) -> [u32; LANES] {
        let mut block = [0; LANES];
        let mut position = 0;
        for word in block.iter_mut().take(count) {
            let (index, shift) = (position / 64, position % 64);
            let both = u128::from(self.words[index]) | u128::from(self.words[index + 1]) << 64;
            *word = low32(u64::try_from(both >> shift & 0xFFF_FFFF).expect("28 bits"));
            position += 28;
        }
        let mut last = self.words[21];
        let coming: [u64; 7] = core::array::from_fn(|index| {
            last ^= self.words[index];
            last
        });
        self.words.copy_within(7.., 0);
        self.words[15..].copy_from_slice(&coming);
        block
    }
}

/// The eight generators that STEP draws from once per neuron pair, side by side.
///
/// Lanes 0 and 1 are `neur[0..=1]`, 2 and 3 `tinp`, 4 and 5 `trec`, 6 and 7 `tout`; each holds a
/// window of 15 bits. All have one recurrence; `tout` moves on by 7 bits where the others move on
/// by 15.
#[derive(Debug, Clone)]
pub(crate) struct PairGenerators {
    windows: [u16; 8],
}

impl PairGenerators {
    /// The generators whose registers are `registers`, 15 bits each, in the order of the lanes.
    pub(crate) fn new(registers: [u32; 8]) -> PairGenerators {
        let [a, b, c, d, e, f, tout0, tout1] = registers;
        let in_order = [a, b, c, d, e, f, unshuffle(tout0), unshuffle(tout1)];
        PairGenerators { windows: in_order.map(|register| low16(ROUNDING.window(register))) }
    }

    /// The chip's registers.
    pub(crate) fn registers(&self) -> [u32; 8] {
        let [a, b, c, d, e, f, tout0, tout1] =
            self.windows.map(|window| ROUNDING.register(window.into()));
        [a, b, c, d, e, f, shuffle(tout0), shuffle(tout1)]
    }

    /// This pair's words: 15 bits in lanes 0..=5; in lanes 6 and 7 the word is the low 7 bits. Then
    /// advances.
    #[inline(always)]
    pub(crate) fn draw(&mut self) -> [u16; 8] {
        const BY_15: [u16; 8] = [0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0, 0];
        let words = self.windows;
        // `Recurrence::following` in eight lanes at once.
        let mut sums = words.map(|window| window ^ window >> 14);
        sums = sums.map(|x| x ^ x << 1);
        sums = sums.map(|x| x ^ x << 2);
        sums = sums.map(|x| x ^ x << 4);
        sums = sums.map(|x| x ^ x << 8);
        for ((window, following), by_15) in self.windows.iter_mut().zip(sums).zip(BY_15) {
            let by_7 = *window >> 7 | (following & 0x7F) << 8;
            *window = following & by_15 | by_7 & !by_15;
        }
        words
    }

    /// Takes back the last advance of `neur`, before which it drew `words`.
    #[cold]
    pub(crate) fn hold_membrane(&mut self, words: &[u16; 8]) {
        self.windows[..2].copy_from_slice(&words[..2]);
    }
}

/// Generator `oneur`: 7 bits per advance.
#[derive(Debug, Clone)]
pub(crate) struct OutputGenerator {
    window: u32,
}

impl OutputGenerator {
    /// The generator whose register is `register`, 15 bits.
    pub(crate) fn new(register: u32) -> OutputGenerator {
        OutputGenerator { window: ROUNDING.window(unshuffle(register)) }
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        shuffle(ROUNDING.register(self.window))
    }

    /// This word, 7 bits; then advances.
    #[inline]
    pub(crate) fn draw(&mut self) -> u16 {
        let word = self.window & 0x7F;
        self.window = self.window >> 7 | (ROUNDING.following(self.window) & 0x7F) << 8;
        low16(word)
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

/// A register of a 7-bit generator from the same bits in the order of the 15-bit ones: bit 0 stays,
/// bit `k+1` (which is `s[k-14]`) goes to `2k+1`, and bit `k+8` (which is `s[k-7]`) to `2k+2`, for
/// k in 0..=6.
#[expect(clippy::arithmetic_side_effects, reason = "bit numbers below 15")]
fn shuffle(in_order: u32) -> u32 {
    (0..7).fold(in_order & 1, |register, k| {
        register
            | (in_order >> (k + 1) & 1) << (2 * k + 1)
            | (in_order >> (k + 8) & 1) << (2 * k + 2)
    })
}

/// The inverse of [`shuffle`].
#[expect(clippy::arithmetic_side_effects, reason = "bit numbers below 15")]
fn unshuffle(register: u32) -> u32 {
    (0..7).fold(register & 1, |in_order, k| {
        in_order
            | (register >> (2 * k + 1) & 1) << (k + 1)
            | (register >> (2 * k + 2) & 1) << (k + 8)
    })
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
