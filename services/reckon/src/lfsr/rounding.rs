//! The nine generators of rounding words: `neur`, `tinp`, `trec`, `tout` (two lanes each) and
//! `oneur`.
//!
//! They are drawn from once per neuron pair (or output) and step, so that a step takes a stretch of
//! successive words. Of each generator the next [`AHEAD`] words are held. The bits obey a recurrence
//! of three terms, and so do words of 15 (or 7) bits at a greater distance, but four terms are much
//! nearer: with the lags of [`Kind`], `word[t] = word[t-a] ^ word[t-b] ^ word[t-c]`. (In the field of
//! 2^15 elements, `x^Ba = 1 + x^B(a-b) + x^B(a-c)` for blocks of B bits; the lags were found by
//! search, and the tests compare with a bit-serial generator.) No lag is below 128, so the words of
//! a whole step depend on earlier steps only.
//!
//! A word stands at the top of 16 bits, so that it compares with the 16 dropped bits of
//! [`crate::fixed::decay`]; both lanes of a generator stand in one `u32`, lane 0 in the low half.

use super::ROUNDING;
use super::planes::Planes;

/// Words that are held: the longest lag.
const AHEAD: usize = 200;
/// Places in a stream. The more, the more rarely the words held are moved back to the start.
pub(crate) const PLACES: usize = 640;
/// Words that may be drawn together, or looked at: one for each neuron pair.
pub(crate) const WORDS_MAX: usize = 128;
/// Number of streams.
pub(crate) const STREAMS: usize = 5;

/// What distinguishes the generators that move on by 15 bits from those that move on by 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    By15,
    By7,
}

impl Kind {
    pub(super) const fn bits(self) -> u32 {
        match self {
            Kind::By15 => 15,
            Kind::By7 => 7,
        }
    }

    const fn lags(self) -> [usize; 3] {
        match self {
            Kind::By15 => [200, 189, 143],
            Kind::By7 => [194, 185, 172],
        }
    }
}

/// One or two generators that advance together.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    words: [u32; PLACES],
    /// The first word still to come.
    head: usize,
    kind: Kind,
}

/// A stretch of a [`Stream`] that is to be made.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) words: &'a mut [u32; PLACES],
    /// Places whose words, taken together, make the word at `to`.
    pub(crate) from: [usize; 3],
    pub(crate) to: usize,
}

#[expect(clippy::arithmetic_side_effects, reason = "places in a stream, bit numbers in a word")]
impl Stream {
    const EMPTY: Stream = Stream { words: [0; PLACES], head: 0, kind: Kind::By15 };

    /// Loads the generators whose windows are `windows`, 15 bits each.
    fn load(&mut self, kind: Kind, mut windows: [u32; 2]) {
        let bits = kind.bits();
        self.kind = kind;
        self.head = 0;
        for word in &mut self.words[..AHEAD] {
            let lanes = windows.map(|window| window << (16 - bits) & 0xFFFF);
            *word = lanes[0] | lanes[1] << 16;
            windows = windows.map(|window| advanced(window, bits));
        }
    }

    /// The windows of both lanes.
    fn windows(&self) -> [u32; 2] {
        let bits = self.kind.bits();
        let lane = |lane: u32| {
            let words = self.words[self.head..].iter().take(3).rev();
            words.fold(0_u32, |window, word| {
                window << bits | (word >> (16 * lane) & 0xFFFF) >> (16 - bits)
            }) & ROUNDING.mask()
        };
        [lane(0), lane(1)]
    }

    /// Room for `count` more words, to be filled by the caller, who may go on to the next multiple
    /// of 16.
    #[inline]
    pub(crate) fn make(&mut self) -> Making<'_> {
        if self.head + AHEAD + WORDS_MAX > PLACES {
            self.words.copy_within(self.head..self.head + AHEAD, 0);
            self.head = 0;
        }
        let to = self.head + AHEAD;
        Making { from: self.kind.lags().map(|lag| to - lag), to, words: &mut self.words }
    }

    /// Goes on by `count` words, which were made, and returns the place of the first.
    fn advance(&mut self, count: usize) -> usize {
        let first = self.head;
        self.head += count;
        first
    }

    /// The `WORDS_MAX` words from place `first` on, which [`Stream::make`] has left room for.
    #[inline]
    pub(crate) fn words(&self, first: usize) -> &[u32; WORDS_MAX] {
        self.words[first..].first_chunk().expect("there is room for as many words as can be made")
    }
}

/// All rounding generators as streams: of membranes, input traces, recurrent traces, output traces,
/// output potentials.
pub(crate) type Streams = [Stream; STREAMS];

/// All rounding generators, as the kernels want them.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "nothing is allocated, and a network has one")]
pub(crate) enum Rounding {
    Streams(Streams),
    Planes(Planes),
}

impl Rounding {
    /// To be loaded before use.
    pub(crate) const EMPTY: Rounding = Rounding::Streams([const { Stream::EMPTY }; STREAMS]);

    /// Loads the generators whose registers are `registers`, 15 bits each: `neur`, `tinp`, `trec`,
    /// `tout` and `oneur`, which has one lane only. They are kept as planes if `planes` is given:
    /// how many words of each a step takes.
    pub(crate) fn load(
        &mut self,
        registers: [[u32; 2]; STREAMS],
        planes: Option<[usize; STREAMS]>,
    ) {
        if let Some(counts) = planes {
            let windows = KINDS.map(|(stream, kind)| windows(kind, registers[stream]));
            *self = Rounding::Planes(Planes::new(windows, counts));
            return;
        }
        if matches!(self, Rounding::Planes(_)) {
            *self = Rounding::EMPTY;
        }
        for (stream, registers) in registers.into_iter().enumerate() {
            self.reload(stream, registers);
        }
    }

    /// Loads the registers of one stream.
    pub(crate) fn reload(&mut self, stream: usize, registers: [u32; 2]) {
        let (_, kind) = KINDS[stream];
        let windows = windows(kind, registers);
        match self {
            Rounding::Streams(streams) => streams[stream].load(kind, windows),
            Rounding::Planes(planes) => planes.reload(stream, windows),
        }
    }

    /// The chip's registers, as [`Rounding::load`] takes them.
    pub(crate) fn registers(&self) -> [[u32; 2]; STREAMS] {
        let windows = match self {
            Rounding::Streams(streams) => streams.each_ref().map(Stream::windows),
            Rounding::Planes(planes) => planes.windows(),
        };
        KINDS.map(|(stream, kind)| {
            windows[stream].map(|window| match kind {
                Kind::By15 => ROUNDING.register(window),
                Kind::By7 => shuffle(ROUNDING.register(window)),
            })
        })
    }
}

/// The streams and their kinds.
const KINDS: [(usize, Kind); STREAMS] =
    [(0, Kind::By15), (1, Kind::By15), (2, Kind::By15), (3, Kind::By7), (4, Kind::By7)];

fn windows(kind: Kind, registers: [u32; 2]) -> [u32; 2] {
    registers.map(|register| match kind {
        Kind::By15 => ROUNDING.window(register),
        Kind::By7 => ROUNDING.window(unshuffle(register)),
    })
}

/// Draws `counts` words, at most [`WORDS_MAX`] of each stream, `extend` making as many new ones;
/// returns the place of the first of each.
#[inline]
pub(crate) fn draw(
    streams: &mut Streams,
    counts: [usize; STREAMS],
    extend: fn(&mut Streams, &[usize; STREAMS]),
) -> [usize; STREAMS] {
    extend(streams, &counts);
    let mut firsts = [0; STREAMS];
    for ((first, stream), count) in firsts.iter_mut().zip(streams).zip(counts) {
        *first = stream.advance(count);
    }
    firsts
}

/// The window that is `bits` ahead, at most 15.
pub(super) const fn advanced(window: u32, bits: u32) -> u32 {
    (window | ROUNDING.following(window) << 15) >> bits & ROUNDING.mask()
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
