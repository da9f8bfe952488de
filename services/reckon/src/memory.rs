//! The caller's memory, laid out: weight rows and neuron words as flat arrays of 16 lanes.
//!
//! A weight matrix is row-major, one row per presynaptic slot, each row in whole groups of 16
//! columns as in the chip's memories (SPEC 1; srnn.v:804-811, 1006-1010, 1263-1321). Neuron words
//! are stored field by field rather than word by word: all potentials, then all input traces, and
//! so on, each padded to whole groups.

use core::error::Error;
use core::fmt;

use crate::params::{Params, Shape};

/// Lanes of a group: the number of weights in one memory word of the chip.
pub(crate) const LANES: usize = 16;

/// One value for each of 16 neighbouring slots.
pub(crate) type Lanes = [i16; LANES];

/// 16 neighbouring weights of one row.
pub(crate) type WeightLanes = [i8; LANES];

/// Memory for one network, lent by the caller. What it holds before does not matter.
#[derive(Debug)]
pub struct Memory<'m> {
    /// At least [`MemoryLen::weights`] elements.
    pub weights: &'m mut [i8],
    /// At least [`MemoryLen::words`] elements.
    pub words: &'m mut [i16],
}

/// How much memory a network of some shape needs:
/// [`Network::memory_len`](crate::Network::memory_len).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLen {
    /// Number of `i8`, one byte each.
    pub weights: usize,
    /// Number of `i16`, two bytes each.
    pub words: usize,
}

impl MemoryLen {
    /// The same in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.weights.saturating_add(self.words.saturating_mul(2))
    }
}

/// The memory lent is too small for the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryError {
    /// Which slice: `weights` or `words`.
    pub slice: &'static str,
    /// Elements it must have at least.
    pub needed: usize,
    /// Elements it has.
    pub got: usize,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryError { slice, needed, got } = self;
        write!(f, "memory for {slice} has {got} elements, the network needs {needed}")
    }
}

impl Error for MemoryError {}

/// Number of fields of a neuron word that are kept per slot: those of [`Neurons`].
const SLOT_FIELDS: usize = 6;
/// Number of learning registers that are kept per column: those of [`Learning`].
const COLUMN_FIELDS: usize = 3;

/// Groups of lanes in one row of hidden weights: COLS / 16.
pub(crate) const fn groups_per_row(shape: Shape) -> usize {
    wide(shape.recurrent).div_ceil(LANES)
}

/// Groups of lanes that hold every slot STEP visits, both halves of the last pair included; an even
/// number.
#[expect(clippy::arithmetic_side_effects, reason = "nS <= 255")]
const fn slot_groups(shape: Shape) -> usize {
    // STEP works on blocks of two groups.
    stepped(shape).div_ceil(2 * LANES) * 2
}

/// nS + 1: number of slots that STEP visits.
const fn stepped(shape: Shape) -> usize {
    let hidden = if shape.inputs > shape.recurrent { shape.inputs } else { shape.recurrent };
    wide(if shape.outputs > hidden { shape.outputs } else { hidden })
}

#[expect(clippy::as_conversions, reason = "u16 to usize loses nothing, and `From` is not const")]
const fn wide(count: u16) -> usize {
    count as usize
}

/// SPEC 1's three weight matrices, rows of the network only.
#[expect(clippy::arithmetic_side_effects, reason = "at most 256 rows of 272 bytes")]
pub(crate) const fn memory_len(shape: Shape) -> MemoryLen {
    let row = groups_per_row(shape) * LANES;
    let (inputs, recurrent) = (wide(shape.inputs), wide(shape.recurrent));
    MemoryLen {
        weights: inputs * row + recurrent * row + row * LANES + (LINE - 1),
        words: slot_groups(shape) * LANES * SLOT_FIELDS + row * COLUMN_FIELDS + (LINE / 2 - 1),
    }
}

/// Bytes in a line of the cache. Both slices are used from the next multiple of it on, for speed
/// only.
const LINE: usize = 64;

/// `memory` from the next line of the cache on, if one of `len` elements starts within it.
fn aligned<T>(memory: &mut [T], len: usize) -> Option<&mut [T]> {
    let skipped = memory.as_ptr().align_offset(LINE);
    // Where addresses are unknown, as in constant evaluation, nothing is skipped.
    let skipped = if skipped < LINE { skipped } else { 0 };
    memory.get_mut(skipped..)?.get_mut(..len)
}

/// The weight matrices. Row `r` of `hidden` is groups `r * groups .. (r + 1) * groups`.
#[derive(Debug)]
pub(crate) struct Weights<'m> {
    /// COLS / 16.
    pub(crate) groups: usize,
    /// Rows of the input matrix, which the recurrent one follows.
    pub(crate) inputs: usize,
    pub(crate) hidden: &'m mut [WeightLanes],
    /// A row per neuron, and rows of 0 up to the next multiple of 16.
    pub(crate) output: &'m mut [WeightLanes],
    /// Rows of `recurrent`, and of `output` without the padding.
    pub(crate) neurons: usize,
}

impl Weights<'_> {
    pub(crate) fn input(&self) -> &[WeightLanes] {
        &self.hidden[..self.groups.saturating_mul(self.inputs)]
    }

    pub(crate) fn recurrent(&self) -> &[WeightLanes] {
        &self.hidden[self.groups.saturating_mul(self.inputs)..]
    }

    pub(crate) fn input_mut(&mut self) -> &mut [WeightLanes] {
        &mut self.hidden[..self.groups.saturating_mul(self.inputs)]
    }

    pub(crate) fn recurrent_mut(&mut self) -> &mut [WeightLanes] {
        &mut self.hidden[self.groups.saturating_mul(self.inputs)..]
    }
}

/// The neuron memory: raw contents, whether or not they count yet in this sample.
#[derive(Debug)]
pub(crate) struct Neurons<'m> {
    /// `u`.
    pub(crate) potential: &'m mut [Lanes],
    /// `tI`, 0..=4095.
    pub(crate) input_trace: &'m mut [Lanes],
    /// `tR`, 0..=4095.
    pub(crate) recurrent_trace: &'m mut [Lanes],
    /// `tO`, 0..=1023.
    pub(crate) output_trace: &'m mut [Lanes],
    /// `alpha` as its distance from 1.0 (see [`crate::fixed::decay`]), the same in both slots of a
    /// pair; padding counts as fully below 1.0.
    pub(crate) leak: &'m mut [Lanes],
    /// `thr`, the same in both slots of a pair.
    pub(crate) threshold: &'m mut [Lanes],
    /// Bit p: pair p was written in this sample, so that its fields count (SPEC 1, "dirty").
    pub(crate) written: u128,
    /// Every leak factor is below 1.0.
    pub(crate) all_leak: bool,
}

/// The learning registers of the last pass, group after group (the chip keeps those of one group
/// only).
#[derive(Debug)]
pub(crate) struct Learning<'m> {
    /// `L`.
    pub(crate) signal: &'m mut [Lanes],
    /// `h`, -16..=15.
    pub(crate) slope: &'m mut [Lanes],
    /// `g`, 0..=4095.
    pub(crate) excess: &'m mut [Lanes],
}

/// The four fields of both slots of one pair, as one read of the neuron memory delivers them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PairWord {
    pub(crate) potential: [i16; 2],
    pub(crate) input_trace: [i16; 2],
    pub(crate) recurrent_trace: [i16; 2],
    pub(crate) output_trace: [i16; 2],
}

/// Cuts the caller's memory into its arrays and clears it.
pub(crate) fn lay_out<'m>(
    shape: Shape,
    memory: Memory<'m>,
) -> Result<(Weights<'m>, Neurons<'m>, Learning<'m>), MemoryError> {
    let len = memory_len(shape);
    let too_small = |slice, needed, got| MemoryError { slice, needed, got };
    let got = (memory.weights.len(), memory.words.len());
    let weights = memory
        .weights
        .get_mut(..len.weights)
        .and_then(|weights| aligned(weights, len.weights.saturating_sub(LINE - 1)))
        .ok_or_else(|| too_small("weights", len.weights, got.0))?;
    let words = memory
        .words
        .get_mut(..len.words)
        .and_then(|words| aligned(words, len.words.saturating_sub(LINE / 2 - 1)))
        .ok_or_else(|| too_small("words", len.words, got.1))?;
    weights.fill(0);
    words.fill(0);

    let groups = groups_per_row(shape);
    let (inputs, neurons) = (usize::from(shape.inputs), usize::from(shape.recurrent));
    let hidden = groups.saturating_mul(inputs.saturating_add(neurons));
    let (hidden, output) = weights.as_chunks_mut().0.split_at_mut(hidden);
    let slots = slot_groups(shape);
    let (potential, rest) = words.as_chunks_mut().0.split_at_mut(slots);
    let (input_trace, rest) = rest.split_at_mut(slots);
    let (recurrent_trace, rest) = rest.split_at_mut(slots);
    let (output_trace, rest) = rest.split_at_mut(slots);
    let (leak, rest) = rest.split_at_mut(slots);
    let (threshold, rest) = rest.split_at_mut(slots);
    let (signal, rest) = rest.split_at_mut(groups);
    let (slope, excess) = rest.split_at_mut(groups);
    Ok((
        Weights { groups, inputs, hidden, output, neurons },
        Neurons {
            potential,
            input_trace,
            recurrent_trace,
            output_trace,
            leak,
            threshold,
            written: 0,
            all_leak: false,
        },
        Learning { signal, slope, excess },
    ))
}

impl Neurons<'_> {
    /// Copies leaks and thresholds from the bank.
    pub(crate) fn load_constants(&mut self, params: &Params) {
        let last = params.shape();
        let last = last.inputs.max(last.recurrent).max(last.outputs);
        self.all_leak = true;
        for (slot, leak) in (0_u16..).zip(self.leak.as_flattened_mut()) {
            *leak = params.leak(usize::from(slot >> 1));
            if slot > last {
                *leak = -1;
            }
            self.all_leak &= *leak < 0;
        }
        for (slot, threshold) in self.threshold.as_flattened_mut().iter_mut().enumerate() {
            *threshold = params.threshold(slot >> 1);
        }
    }

    /// The raw word of pair `pair`.
    #[inline]
    pub(crate) fn read(&self, pair: usize) -> PairWord {
        let both = |field: &[Lanes]| {
            let group = &field[pair >> 3];
            let lane = (pair & 7) << 1;
            [group[lane], group[lane | 1]]
        };
        PairWord {
            potential: both(self.potential),
            input_trace: both(self.input_trace),
            recurrent_trace: both(self.recurrent_trace),
            output_trace: both(self.output_trace),
        }
    }

    /// Stores `word` as the raw word of pair `pair`.
    #[inline]
    pub(crate) fn write(&mut self, pair: usize, word: &PairWord) {
        let put = |field: &mut [Lanes], both: [i16; 2]| {
            let group = &mut field[pair >> 3];
            let lane = (pair & 7) << 1;
            group[lane] = both[0];
            group[lane | 1] = both[1];
        };
        put(self.potential, word.potential);
        put(self.input_trace, word.input_trace);
        put(self.recurrent_trace, word.recurrent_trace);
        put(self.output_trace, word.output_trace);
    }

    /// Marks the pairs of the set `pairs` as written; what they held before this sample becomes 0
    /// first.
    #[inline]
    pub(crate) fn start(&mut self, pairs: u128) {
        if pairs & !self.written != 0 {
            self.start_fresh(pairs & !self.written);
        }
    }

    #[cold]
    fn start_fresh(&mut self, mut fresh: u128) {
        self.written |= fresh;
        while fresh != 0 {
            let pair = usize::try_from(fresh.trailing_zeros()).expect("a bit number is below 128");
            fresh &= fresh.wrapping_sub(1);
            self.write(pair, &PairWord::default());
        }
    }

    /// Marks pair `pair` as written without touching its potentials; its traces become 0 first if
    /// it was not.
    pub(crate) fn start_traces(&mut self, pair: usize) {
        if self.written >> pair & 1 == 0 {
            self.written |= 1 << pair;
            let stale = self.read(pair);
            self.write(pair, &PairWord { potential: stale.potential, ..PairWord::default() });
        }
    }

    /// `field` of `slot` as everything but a learning pass sees it: 0 until the slot's pair is
    /// written.
    pub(crate) fn effective(&self, field: &[Lanes], slot: usize) -> i16 {
        if self.written >> (slot >> 1) & 1 == 1 { field.as_flattened()[slot] } else { 0 }
    }
}
