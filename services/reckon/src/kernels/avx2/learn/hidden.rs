//! The change of hidden weights in AVX2: 16 weights of a row at a time, in two halves, a group of
//! columns after the other.

use core::arch::x86_64::*;
use core::ops::Range;

use super::{load_8, load_u32, load_weights, moved, not_below, store_u32, store_weights};
use crate::eprop::{HiddenJob, Row};
use crate::lfsr::{RING, RowBlock, RowGenerator};
use crate::memory::{Lanes, WeightLanes};
use crate::update::Bounds;

/// Both halves of 16 lanes of 32 bits.
type Halves = [__m256i; 2];

/// What drives the changes of a group of columns.
#[derive(Clone, Copy)]
struct Drive {
    /// `L * h`; a trace times this is the wanted change.
    gain: Halves,
    /// `A`.
    penalty: Halves,
    /// `M`.
    passed: Halves,
    up: __m128i,
    down: __m128i,
}

/// How much of the chip's arithmetic can make a difference in a group of columns.
const PLAIN: u8 = 0;
const PENALISED: u8 = 1;
const GENERAL: u8 = 2;

/// [`crate::kernels::Kernels::change_hidden`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn change(job: &mut HiddenJob<'_>) -> u64 {
    let (settings, matrix) = (job.settings, job.matrix_settings);
    let penalty_up = _mm_cvtsi32_si128(matrix.penalty.up as i32);
    let penalty_down = _mm_cvtsi32_si128(matrix.penalty.down as i32);
    let blocked_shift = _mm_cvtsi32_si128(settings.multiplicative_shift as i32);
    let bounds = Bounds::new(job.rows.active, matrix.rate.up);
    let up = _mm_cvtsi32_si128(matrix.rate.up as i32);
    let down = _mm_cvtsi32_si128(matrix.rate.down as i32);
    let zero = _mm256_setzero_si256();
    let sixteen = _mm256_set1_epi32(16);
    let additive = settings.additive && matrix.regularised;

    let mut visited = 0_u64;
    for group in 0..job.groups {
        let learning = job.learning;
        let signal = widened(&learning.signal[group]);
        let slope = widened(&learning.slope[group]);
        let excess = widened(&learning.excess[group]);
        let quiet = !settings.regularising || all_zero(excess);
        let mut drive =
            Drive { gain: [zero; 2], penalty: [zero; 2], passed: [sixteen; 2], up, down };
        for half in 0..2 {
            drive.gain[half] = _mm256_mullo_epi32(signal[half], slope[half]);
            if additive {
                let penalty = _mm256_sll_epi32(excess[half], penalty_up);
                drive.penalty[half] = _mm256_srl_epi32(penalty, penalty_down);
            }
            if settings.multiplicative {
                let blocked = _mm256_srl_epi32(excess[half], blocked_shift);
                drive.passed[half] = _mm256_sub_epi32(sixteen, _mm256_min_epu32(blocked, sixteen));
            }
        }
        let magnitude = [_mm256_abs_epi32(drive.gain[0]), _mm256_abs_epi32(drive.gain[1])];
        let unpunished = all_zero(drive.penalty);
        // Where nobody is too active, no increase is blocked.
        let whole = !settings.multiplicative || all_zero(excess);

        let (rows, own) = job.rows.visited(group, quiet);
        visited += rows.len() as u64;
        let mut target = Target {
            matrix: &mut *job.matrix,
            groups: job.groups,
            group,
            generator: &mut *job.generator,
        };
        if unpunished && all_zero(drive.gain) {
            // Nothing is wanted of these weights, but their random words pass by.
            target.skip(rows.len());
        } else if quiet && whole && unpunished && within(magnitude, bounds.plain) {
            // No trace is 0 here: that would move nothing, whatever the random word.
            let scaled = [_mm256_sll_epi32(magnitude[0], up), _mm256_sll_epi32(magnitude[1], up)];
            target.all::<PLAIN>(&Drive { gain: scaled, ..drive }, drive.gain, rows, own);
        } else if whole
            && within(magnitude, bounds.penalised)
            && within(drive.penalty, bounds.penalty)
        {
            let sign = drive.gain;
            for half in 0..2 {
                drive.gain[half] = _mm256_sll_epi32(drive.gain[half], up);
                drive.penalty[half] = _mm256_sll_epi32(drive.penalty[half], up);
            }
            target.all::<PENALISED>(&drive, sign, rows, own);
        } else {
            target.all::<GENERAL>(&drive, drive.gain, rows, own);
        }
    }
    visited
}

#[inline]
#[target_feature(enable = "avx2")]
fn widened(lanes: &Lanes) -> Halves {
    [
        _mm256_cvtepi16_epi32(load_8(lanes.first_chunk().expect("half of 16 lanes"))),
        _mm256_cvtepi16_epi32(load_8(lanes.last_chunk().expect("half of 16 lanes"))),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn all_zero(values: Halves) -> bool {
    let any = _mm256_or_si256(values[0], values[1]);
    _mm256_testz_si256(any, any) == 1
}

/// Whether no lane is above `bound`, unsigned.
#[inline]
#[target_feature(enable = "avx2")]
fn within(values: Halves, bound: u32) -> bool {
    let bound = _mm256_set1_epi32(bound.cast_signed());
    let most = _mm256_max_epu32(values[0], values[1]);
    _mm256_movemask_epi8(not_below(bound, most)) == -1
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
    #[target_feature(enable = "avx2")]
    fn skip(&mut self, rows: usize) {
        for _ in 0..rows {
            draw(&mut self.generator.ring, &mut self.generator.head);
        }
    }

    /// Changes `rows`, of which those in `own` are the rows of the columns' own neurons. `sign` is
    /// that of the gain.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn all<const WAY: u8>(&mut self, drive: &Drive, sign: Halves, rows: &[Row], own: Range<usize>) {
        self.run::<WAY, false>(drive, sign, &rows[..own.start]);
        self.run::<WAY, true>(drive, sign, &rows[own.clone()]);
        self.run::<WAY, false>(drive, sign, &rows[own.end..]);
    }

    /// Changes `rows`. `OWN`: lane n of row 16 g + n is where a neuron meets itself, and becomes 0
    /// instead of moving.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn run<const WAY: u8, const OWN: bool>(&mut self, drive: &Drive, sign: Halves, rows: &[Row]) {
        // In a variable of its own, so that it need not go through memory.
        let mut head = self.generator.head;
        for row in rows {
            let random = draw(&mut self.generator.ring, &mut head);
            let trace = _mm256_set1_epi32(row.trace);
            let mut moves = random;
            let mut sign = sign;
            for half in 0..2 {
                let (reach, change) = match WAY {
                    PLAIN => {
                        let reach = _mm256_mullo_epi32(drive.gain[half], trace);
                        (_mm256_srl_epi32(reach, drive.down), sign[half])
                    }
                    PENALISED => {
                        let change = _mm256_mullo_epi32(drive.gain[half], trace);
                        let change = _mm256_sub_epi32(change, drive.penalty[half]);
                        (_mm256_srl_epi32(_mm256_abs_epi32(change), drive.down), change)
                    }
                    _ => general(drive, half, trace),
                };
                moves[half] = not_below(reach, random[half]);
                sign[half] = change;
            }
            let place = row.index as usize * self.groups + self.group;
            let weights = &mut self.matrix[place];
            // A change of 0 makes its step 0.
            let (new, delta) = moved(load_weights(weights), moves, sign);
            store_weights(weights, new);
            if OWN {
                let own = (row.index & 15) as usize;
                let still = _mm_cmpeq_epi8(delta, _mm_setzero_si128());
                if _mm_movemask_epi8(still) >> own & 1 == 0 {
                    weights[own] = 0;
                }
            }
        }
        self.generator.head = head;
    }
}

/// The block at `head`, which then moves on.
#[inline]
#[target_feature(enable = "avx2")]
fn draw(ring: &mut [RowBlock; RING], head: &mut usize) -> Halves {
    let ahead = ring[RowGenerator::ahead(*head)].0.as_chunks().0;
    let ahead = [load_u32(&ahead[0]), load_u32(&ahead[1])];
    let block = ring[*head].0.as_chunks_mut().0;
    let drawn = [load_u32(&block[0]), load_u32(&block[1])];
    store_u32(&mut block[0], _mm256_xor_si256(drawn[0], ahead[0]));
    store_u32(&mut block[1], _mm256_xor_si256(drawn[1], ahead[1]));
    *head = RowGenerator::after(*head);
    drawn
}

/// All of SPEC 6.2 and 6.3, as [`crate::update`] does it: the reach and the change.
#[inline]
#[target_feature(enable = "avx2")]
fn general(drive: &Drive, half: usize, trace: __m256i) -> (__m256i, __m256i) {
    let least = _mm256_set1_epi32(i32::MIN);
    let most = _mm256_set1_epi32(-1);
    let change = _mm256_mullo_epi32(drive.gain[half], trace);
    let falls = _mm256_srai_epi32::<31>(change);
    let passed = _mm256_blendv_epi8(drive.passed[half], _mm256_set1_epi32(16), falls);
    let low = _mm256_and_si256(change, _mm256_set1_epi32(15));
    let low = _mm256_srai_epi32::<4>(_mm256_mullo_epi32(low, passed));
    let high = _mm256_mullo_epi32(_mm256_srai_epi32::<4>(change), passed);
    // Negative where bit 31 of the product is set.
    let bit31 = _mm256_mullo_epi32(change, passed);
    let change = _mm256_sub_epi32(_mm256_add_epi32(high, low), drive.penalty[half]);
    let guarded = _mm256_srai_epi32::<31>(_mm256_andnot_si256(change, bit31));
    let change = _mm256_blendv_epi8(change, least, guarded);

    let magnitude = _mm256_abs_epi32(change);
    let kept = not_below(_mm256_srl_epi32(most, drive.up), magnitude);
    let reach = _mm256_blendv_epi8(most, _mm256_sll_epi32(magnitude, drive.up), kept);
    let reach = _mm256_srl_epi32(reach, drive.down);
    let certain = _mm256_cmpeq_epi32(change, least);
    (_mm256_or_si256(reach, certain), change)
}
