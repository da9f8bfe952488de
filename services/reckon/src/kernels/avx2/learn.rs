//! EPROP in AVX2: the 16 neurons or weights of a group as two halves.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    reason = "places in arrays of fixed length, and masks and shifts of vectors"
)]

pub(super) mod hidden;
pub(super) mod outputs;

use core::arch::x86_64::*;

use super::{load_8, load_16, load_u32, load_weights, store_16, store_u32, store_weights};
use crate::eprop::SignalJob;
use crate::memory::{Lanes, WeightLanes};

/// [`crate::kernels::Kernels::signals`].
#[target_feature(enable = "avx2")]
pub(super) fn signals(job: &mut SignalJob<'_>) {
    let settings = job.settings;
    let potential = load_16(job.potential);
    // The first bound that the potential is below decides; so the last to be looked at is the first.
    let mut slope = _mm256_set1_epi16(settings.slopes[4]);
    for n in (0..4).rev() {
        let below = _mm256_cmpgt_epi16(_mm256_set1_epi16(settings.slope_bounds[n]), potential);
        slope = _mm256_blendv_epi8(slope, _mm256_set1_epi16(settings.slopes[n]), below);
    }
    store_16(job.slope, slope);

    if settings.regularising {
        let shift = _mm_cvtsi32_si128(settings.recurrent.trace_shift as i32);
        let trace = _mm256_srl_epi16(load_16(job.recurrent_trace), shift);
        let floor = _mm256_set1_epi16(settings.trace_floor);
        store_16(job.excess, _mm256_subs_epu16(trace, floor));
    }

    let signal = if settings.hidden_learns() {
        let (low, high) = job.rows.split_at(8);
        let sums = [feedback(job.errors, low), feedback(job.errors, high)];
        // Bits 27..12 of the sum shifted left by 0..=15. The sum of 16 products of 16 and 8 bits is
        // below 2^27 in magnitude, so that three more bits are there for the shifts beyond 12.
        let down = _mm_cvtsi32_si128(12_i32.saturating_sub(settings.signal_shift as i32).max(0));
        let up = _mm_cvtsi32_si128((settings.signal_shift as i32 - 12).max(0));
        let packed = _mm256_packs_epi32(
            _mm256_sra_epi32(_mm256_sll_epi32(sums[0], up), down),
            _mm256_sra_epi32(_mm256_sll_epi32(sums[1], up), down),
        );
        _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
    } else {
        _mm256_setzero_si256()
    };
    store_16(job.signal, signal);
}

/// The output errors times the output weights of each of 8 neurons, summed.
#[inline]
#[target_feature(enable = "avx2")]
fn feedback(errors: &Lanes, rows: &[WeightLanes]) -> __m256i {
    let errors = load_16(errors);
    let mut sums = [_mm256_setzero_si256(); 8];
    for (sum, row) in sums.iter_mut().zip(rows) {
        *sum = _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_weights(row)), errors);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let low = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let high = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
    _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(low, high),
        _mm256_permute2x128_si256::<0x31>(low, high),
    )
}

/// The weights of a row moved by 1 in the direction of `sign` (of which no lane is 0) where `moves`
/// is all ones, both in lanes of 32 bits; and which lanes moved, in lanes of 8.
#[inline]
#[target_feature(enable = "avx2")]
fn moved(old: __m128i, moves: [__m256i; 2], sign: [__m256i; 2]) -> (__m128i, __m128i) {
    let delta = bytes([_mm256_sign_epi32(moves[0], sign[0]), _mm256_sign_epi32(moves[1], sign[1])]);
    // A lane of `moves` is -1 where it moves, so that the step has the wrong sign.
    (_mm_subs_epi8(old, delta), delta)
}

/// 16 lanes of 32 bits, of small numbers, as lanes of 8.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes([low, high]: [__m256i; 2]) -> __m128i {
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

/// All ones in the lanes where `a >= b`, unsigned.
#[inline]
#[target_feature(enable = "avx2")]
fn not_below(a: __m256i, b: __m256i) -> __m256i {
    _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a)
}
