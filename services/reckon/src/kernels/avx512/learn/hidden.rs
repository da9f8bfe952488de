//! The change of hidden weights in AVX-512: 16 weights of a row at a time, a group of columns after
//! the other.

use core::arch::x86_64::*;
use core::ops::Range;

use super::{load_16, load_u32, load_weights, store_u32, store_weights};
use crate::eprop::{HiddenJob, Row};
use crate::lfsr::{RING, RowBlock, RowGenerator};
use crate::memory::WeightLanes;
use crate::update::Bounds;

/// What drives the changes of a group of columns.
struct Drive {
    /// `L * h`; a trace times this is the wanted change.
    gain: __m512i,
    /// `A`.
    penalty: __m512i,
    /// `M`.
    passed: __m512i,
    up: __m128i,
    down: __m128i,
}

/// How much of the chip's arithmetic can make a difference in a group of columns.
const PLAIN: u8 = 0;
const PENALISED: u8 = 1;
const GENERAL: u8 = 2;

/// [`crate::kernels::Kernels::change_hidden`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(in super::super) fn change(job: &mut HiddenJob<'_>) -> u64 {
    let (settings, matrix) = (job.settings, job.matrix_settings);
    let penalty_up = _mm_cvtsi32_si128(matrix.penalty.up as i32);
    let penalty_down = _mm_cvtsi32_si128(matrix.penalty.down as i32);
    let blocked_shift = _mm_cvtsi32_si128(settings.multiplicative_shift as i32);
    let (up, down) = (matrix.rate.up, matrix.rate.down);
    let bounds = Bounds::new(job.rows.active, up);
    let zero = _mm512_setzero_si512();

    let mut visited = 0_u64;
    for group in 0..job.groups {
        let learning = job.learning;
        let signal = _mm512_cvtepi16_epi32(load_16(&learning.signal[group]));
        let slope = _mm512_cvtepi16_epi32(load_16(&learning.slope[group]));
        let excess = _mm512_cvtepu16_epi32(load_16(&learning.excess[group]));
        let gain = _mm512_mullo_epi32(signal, slope);
        let quiet = !settings.regularising || _mm512_test_epi32_mask(excess, excess) == 0;
        let penalty = if settings.additive && matrix.regularised {
            _mm512_srl_epi32(_mm512_sll_epi32(excess, penalty_up), penalty_down)
        } else {
            zero
        };
        let blocked = if settings.multiplicative {
            let blocked = _mm512_srl_epi32(excess, blocked_shift);
            _mm512_min_epu32(blocked, _mm512_set1_epi32(16))
        } else {
            zero
        };
        let passed = _mm512_sub_epi32(_mm512_set1_epi32(16), blocked);

        let magnitude = _mm512_abs_epi32(gain);
        let within = |value, bound: u32| {
            _mm512_cmpgt_epu32_mask(value, _mm512_set1_epi32(bound.cast_signed())) == 0
        };
        let unpunished = _mm512_test_epi32_mask(penalty, penalty) == 0;
        let whole = _mm512_test_epi32_mask(blocked, blocked) == 0;
        let down = _mm_cvtsi32_si128(down as i32);
        let up = _mm_cvtsi32_si128(up as i32);
        let drive = Drive { gain, penalty, passed, up, down };

        let (rows, own) = job.rows.visited(group, quiet);
        visited += rows.len() as u64;
        let mut target = Target {
            matrix: &mut *job.matrix,
            groups: job.groups,
            group,
            generator: &mut *job.generator,
        };
        if unpunished && _mm512_test_epi32_mask(gain, gain) == 0 {
            // Nothing is wanted of these weights, but their random words pass by.
            target.skip(rows.len());
        } else if quiet && whole && unpunished && within(magnitude, bounds.plain) {
            // No trace is 0 here: that would move nothing, whatever the random word.
            let drive = Drive { gain: _mm512_sll_epi32(magnitude, up), ..drive };
            target.all::<PLAIN>(&drive, gain, rows, own);
        } else if whole && within(magnitude, bounds.penalised) && within(penalty, bounds.penalty) {
            let drive = Drive {
                gain: _mm512_sll_epi32(gain, up),
                penalty: _mm512_sll_epi32(penalty, up),
                ..drive
            };
            target.all::<PENALISED>(&drive, gain, rows, own);
        } else {
            target.all::<GENERAL>(&drive, gain, rows, own);
        }
    }
    visited
}

/// The weights of a group of columns, and the random words for them.
struct Target<'a> {
    matrix: &'a mut [WeightLanes],
    groups: usize,
    group: usize,
    generator: &'a mut RowGenerator,
}

impl Target<'_> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn skip(&mut self, rows: usize) {
        for _ in 0..rows {
            draw(&mut self.generator.ring, &mut self.generator.head);
        }
    }

    /// Changes `rows`, of which those in `own` are the rows of the columns' own neurons.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn all<const WAY: u8>(
        &mut self,
        drive: &Drive,
        gain: __m512i,
        rows: &[Row],
        own: Range<usize>,
    ) {
        let driven = _mm512_test_epi32_mask(gain, gain);
        let fall = _mm512_movepi32_mask(gain);
        let delta = _mm_mask_blend_epi8(fall, _mm_set1_epi8(1), _mm_set1_epi8(-1));
        self.run::<WAY, false>(drive, driven, delta, &rows[..own.start]);
        self.run::<WAY, true>(drive, driven, delta, &rows[own.clone()]);
        self.run::<WAY, false>(drive, driven, delta, &rows[own.end..]);
    }

    /// Changes `rows`. `OWN`: lane n of row 16 g + n is where a neuron meets itself, and becomes 0
    /// instead of moving. `driven` and `delta`: which lanes have a gain, and its sign.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn run<const WAY: u8, const OWN: bool>(
        &mut self,
        drive: &Drive,
        driven: __mmask16,
        delta: __m128i,
        rows: &[Row],
    ) {
        // In a variable of its own, so that it need not go through memory.
        let mut head = self.generator.head;
        for row in rows {
            let random = draw(&mut self.generator.ring, &mut head);
            let trace = _mm512_set1_epi32(row.trace);
            let (moves, delta) = match WAY {
                PLAIN => {
                    let reach = _mm512_mullo_epi32(drive.gain, trace);
                    let reach = _mm512_srl_epi32(reach, drive.down);
                    (_mm512_mask_cmpge_epu32_mask(driven, reach, random), delta)
                }
                PENALISED => {
                    let change = _mm512_mullo_epi32(drive.gain, trace);
                    let change = _mm512_sub_epi32(change, drive.penalty);
                    let reach = _mm512_srl_epi32(_mm512_abs_epi32(change), drive.down);
                    decide(change, reach, random)
                }
                _ => general(drive, trace, random),
            };
            let place = row.index as usize * self.groups + self.group;
            let weights = &mut self.matrix[place];
            // Not a masked store, which is slow on some processors.
            let delta = _mm_maskz_mov_epi8(moves, delta);
            let mut new = _mm_adds_epi8(load_weights(weights), delta);
            if OWN {
                let own = 1 << (row.index & 15);
                new = _mm_mask_mov_epi8(new, moves & own, _mm_setzero_si128());
            }
            store_weights(weights, new);
        }
        self.generator.head = head;
    }
}

/// The block at `head`, which then moves on.
#[inline]
#[target_feature(enable = "avx512f")]
fn draw(ring: &mut [RowBlock; RING], head: &mut usize) -> __m512i {
    let block = load_u32(&ring[*head].0);
    let ahead = load_u32(&ring[RowGenerator::ahead(*head)].0);
    store_u32(&mut ring[*head].0, _mm512_xor_si512(block, ahead));
    *head = RowGenerator::after(*head);
    block
}

/// Which lanes move, and in which direction: those with a change other than 0 whose reach is not
/// below the random word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn decide(change: __m512i, reach: __m512i, random: __m512i) -> (__mmask16, __m128i) {
    let some = _mm512_test_epi32_mask(change, change);
    let fall = _mm512_movepi32_mask(change);
    let delta = _mm_mask_blend_epi8(fall, _mm_set1_epi8(1), _mm_set1_epi8(-1));
    (_mm512_mask_cmpge_epu32_mask(some, reach, random), delta)
}

/// All of SPEC 6.2 and 6.3, as [`crate::update`] does it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn general(drive: &Drive, trace: __m512i, random: __m512i) -> (__mmask16, __m128i) {
    let sixteen = _mm512_set1_epi32(16);
    let least = _mm512_set1_epi32(i32::MIN);
    let most = _mm512_set1_epi32(-1);
    let change = _mm512_mullo_epi32(drive.gain, trace);
    let passed = _mm512_mask_mov_epi32(drive.passed, _mm512_movepi32_mask(change), sixteen);
    let low = _mm512_and_si512(change, _mm512_set1_epi32(15));
    let low = _mm512_srai_epi32::<4>(_mm512_mullo_epi32(low, passed));
    let high = _mm512_mullo_epi32(_mm512_srai_epi32::<4>(change), passed);
    let bit31 = _mm512_movepi32_mask(_mm512_mullo_epi32(change, passed));
    let change = _mm512_sub_epi32(_mm512_add_epi32(high, low), drive.penalty);
    let guarded = !_mm512_movepi32_mask(change) & bit31;
    let change = _mm512_mask_mov_epi32(change, guarded, least);

    let magnitude = _mm512_abs_epi32(change);
    let over = _mm512_cmpgt_epu32_mask(magnitude, _mm512_srl_epi32(most, drive.up));
    let reach = _mm512_mask_mov_epi32(_mm512_sll_epi32(magnitude, drive.up), over, most);
    let reach = _mm512_srl_epi32(reach, drive.down);
    let certain = _mm512_cmpeq_epi32_mask(change, least);
    decide(change, _mm512_mask_mov_epi32(reach, certain, most), random)
}
