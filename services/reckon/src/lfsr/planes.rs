//! The rounding generators as the AVX-512 kernels keep them: 64 windows side by side, and the linear
//! maps that move all of them on at once.
//!
//! To move a generator on by a fixed number of bits is a linear map of its 15-bit window over the
//! field of two elements, and the instruction GF2P8AFFINEQB applies an 8 x 8 part of such a map to 64
//! bytes at a time. A *plane* is the low or the high byte of 64 windows, which stand one bit to the
//! left. Four parts make a map.

use super::rounding::{Kind, STREAMS, advanced};

/// Windows of a plane, two for each pair.
const WINDOWS: usize = 64;
/// Pairs of a plane.
pub(crate) const PAIRS: usize = WINDOWS / 2;

/// The low and the high bytes of 64 windows.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Plane(pub(crate) [[u8; WINDOWS]; 2]);

/// A linear map of windows: from low bytes to low, high to low, low to high, high to high, each as
/// GF2P8AFFINEQB takes it.
pub(crate) type Map = [u64; 4];

/// The generators of all streams.
#[derive(Debug, Clone)]
pub(crate) struct Planes {
    /// In the order of [`super::Streams`]. Those of pairs are interleaved as unpacking bytes wants
    /// them; the one of outputs has a window per output, in order.
    pub(crate) planes: [Plane; STREAMS],
    /// Moves a plane of pairs on by [`PAIRS`]: generators of 15 bits, of 7 bits.
    pub(crate) ahead: [Map; 2],
    /// Moves a plane on by one step.
    pub(crate) step: [Map; STREAMS],
}

impl Planes {
    /// The generators whose windows are `windows`, which move on by `counts` words a step.
    pub(crate) fn new(windows: [[u32; 2]; STREAMS], counts: [usize; STREAMS]) -> Planes {
        let mut planes = [Plane([[0; WINDOWS]; 2]); STREAMS];
        for (stream, (plane, windows)) in planes.iter_mut().zip(windows).enumerate() {
            *plane = spread(stream, windows);
        }
        let kind = |stream: usize| if stream < 3 { Kind::By15 } else { Kind::By7 };
        Planes {
            planes,
            ahead: [map(Kind::By15, PAIRS), map(Kind::By7, PAIRS)],
            step: core::array::from_fn(|stream| map(kind(stream), counts[stream])),
        }
    }

    /// The windows of the next words.
    pub(crate) fn windows(&self) -> [[u32; 2]; STREAMS] {
        core::array::from_fn(|stream| {
            let Plane([low, high]) = &self.planes[stream];
            let window = |at: usize| (u32::from(low[at]) | u32::from(high[at]) << 8) >> 1;
            // The one of outputs has a single lane.
            if stream == STREAMS - 1 { [window(0), 0] } else { [window(0), window(1)] }
        })
    }

    /// Loads the windows of one stream.
    pub(crate) fn reload(&mut self, stream: usize, windows: [u32; 2]) {
        self.planes[stream] = spread(stream, windows);
    }

    /// The membrane's words for a step in which only the pairs in `leaking` use one, as
    /// `Stream::words` gives them; then moves on by as many.
    pub(crate) fn draw_membrane(&mut self, leaking: u128) -> [u32; 128] {
        let mut windows = self.windows()[0];
        let mut words = [u32::MAX; 128];
        for (pair, word) in words.iter_mut().enumerate() {
            if leaking >> pair & 1 == 1 {
                *word = windows[0] << 1 | windows[1] << 17;
                windows = windows.map(|window| advanced(window, 15));
            }
        }
        self.reload(0, windows);
        words
    }
}

/// The plane of a stream whose next windows are `windows`.
#[expect(clippy::arithmetic_side_effects, reason = "bit and window numbers below 64")]
fn spread(stream: usize, mut windows: [u32; 2]) -> Plane {
    let bits = if stream < 3 { 15 } else { 7 };
    let of_outputs = stream == STREAMS - 1;
    let mut plane = Plane([[0; WINDOWS]; 2]);
    for word in 0..WINDOWS {
        let lane = if of_outputs { 0 } else { word & 1 };
        // Unpacking takes eight bytes of every sixteen for the first 32 words, and the other eight
        // for the rest.
        let at = if of_outputs { word } else { word % 32 / 8 * 16 + word / 32 * 8 + word % 8 };
        let [low, high, ..] = (windows[lane] << 1).to_le_bytes();
        plane.0[0][at] = low;
        plane.0[1][at] = high;
        windows[lane] = advanced(windows[lane], bits);
    }
    plane
}

/// The map that moves windows on by `words` words.
#[expect(clippy::arithmetic_side_effects, reason = "bit numbers below 64")]
fn map(kind: Kind, words: usize) -> Map {
    let mut map = [0_u64; 4];
    for bit in 0..15 {
        let mut window = 1_u32 << bit;
        for _ in 0..words {
            window = advanced(window, kind.bits());
        }
        // Where in the shifted window the bit comes from, and what becomes of it.
        let (from, image) = (bit + 1, window << 1);
        for to in 0..16 {
            if image >> to & 1 == 1 {
                // Row `to` of a part is its byte 7 - to.
                let part = to / 8 * 2 + from / 8;
                map[part] |= 1 << (8 * (7 - to % 8) + from % 8);
            }
        }
    }
    map
}
