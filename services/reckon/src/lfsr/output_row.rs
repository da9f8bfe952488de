//! Generator `wout`: 16 words of 28 bits per advance.
//!
//! The 64-bit words of the sequence obey `word[i] = word[i-22] ^ word[i-1]`, and squared twice over
//! `word[i] = word[i-88] ^ word[i-4]`, so that four of them can be made at once. A block is seven of
//! them.

use super::OUTPUT_ROW;
use crate::fixed::low32;

/// Words of 64 bits in a block.
pub(crate) const BLOCK: usize = 7;
/// Distance of the words that make a new one, when four are made at once.
const FAR: usize = 88;
const NEAR: usize = 4;
/// Words that are held.
pub(crate) const HELD: usize = 256;
/// Blocks that may be drawn together.
pub(crate) const BLOCKS_MAX: usize = 16;

/// The generator. From word `head` on the words are still to come; those from `end` on are not made
/// yet.
#[derive(Debug, Clone)]
pub(crate) struct OutputRowGenerator {
    words: [u64; HELD],
    head: usize,
    end: usize,
}

#[expect(clippy::arithmetic_side_effects, reason = "places in an array of 256 words")]
impl OutputRowGenerator {
    /// To be loaded before use.
    pub(crate) const EMPTY: OutputRowGenerator =
        OutputRowGenerator { words: [0; HELD], head: 0, end: FAR };

    /// Loads the register, 22 bits.
    pub(crate) fn load(&mut self, register: u32) {
        OUTPUT_ROW.fill(OUTPUT_ROW.window(register), &mut self.words[..FAR]);
        self.head = 0;
        self.end = FAR;
    }

    /// The chip's register.
    pub(crate) fn register(&self) -> u32 {
        OUTPUT_ROW.register(low32(self.words[self.head]) & OUTPUT_ROW.mask())
    }

    /// The next `blocks` blocks, one after the other, and at least one word more; then advances.
    /// `blocks` is at most [`BLOCKS_MAX`].
    #[inline]
    pub(crate) fn draw(&mut self, blocks: usize) -> &[u64] {
        // One word more than is drawn, for the register and for reading eight words at a time.
        let needed = blocks * BLOCK + 1;
        if self.head + needed + NEAR > HELD {
            // Words before the head are needed as long as new ones come from them.
            let first = self.head.min(self.end - FAR);
            self.words.copy_within(first..self.end, 0);
            self.head -= first;
            self.end -= first;
        }
        let mut last: [u64; NEAR] =
            *self.words[self.end - NEAR..].first_chunk().expect("four words");
        while self.end < self.head + needed {
            let far: [u64; NEAR] =
                *self.words[self.end - FAR..].first_chunk().expect("88 words stand before the end");
            last = core::array::from_fn(|n| last[n] ^ far[n]);
            self.words[self.end..self.end + NEAR].copy_from_slice(&last);
            self.end += NEAR;
        }
        let drawn = &self.words[self.head..self.head + needed];
        self.head += blocks * BLOCK;
        drawn
    }
}

/// Word `k` of 28 bits of the block at the start of `words`.
#[expect(clippy::arithmetic_side_effects, reason = "k < 16")]
pub(crate) fn word(words: &[u64], k: usize) -> u32 {
    let (index, shift) = (k * 28 / 64, k * 28 % 64);
    let both = u128::from(words[index]) | u128::from(words[index + 1]) << 64;
    low32(u64::try_from(both >> shift & 0xFFF_FFFF).expect("28 bits"))
}
