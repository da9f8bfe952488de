//! EPROP in AVX-512: the 16 neurons or weights of a group at a time.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "places in arrays of fixed length, and masks and shifts of vectors"
)]

pub(super) mod hidden;
pub(super) mod outputs;

use core::arch::x86_64::*;

use super::{
    load_16, load_32, load_u8, load_u32, load_u64, load_weights, store_16, store_u32, store_weights,
};
use crate::eprop::SignalJob;
use crate::memory::{LANES, Lanes, WeightLanes};

/// [`crate::kernels::Kernels::signals`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn signals(job: &mut SignalJob<'_>) {
    let settings = job.settings;
    let potential = load_16(job.potential);
    // The first bound that the potential is below decides; so the last to be looked at is the first.
    let mut slope = _mm256_set1_epi16(settings.slopes[4]);
    for n in (0..4).rev() {
        let below = _mm256_cmplt_epi16_mask(potential, _mm256_set1_epi16(settings.slope_bounds[n]));
        slope = _mm256_mask_mov_epi16(slope, below, _mm256_set1_epi16(settings.slopes[n]));
    }
    store_16(job.slope, slope);

    if settings.regularising {
        let shift = _mm_cvtsi32_si128(settings.recurrent.trace_shift as i32);
        let trace = _mm256_srl_epi16(load_16(job.recurrent_trace), shift);
        let floor = _mm256_set1_epi16(settings.trace_floor);
        store_16(job.excess, _mm256_subs_epu16(trace, floor));
    }

    let signal = if settings.hidden_learns() {
        let sums = feedback(job.errors, job.rows, settings.last_output);
        // Bits 27..12 of the sum shifted left by 0..=15. The sum of 16 products of 16 and 8 bits is
        // below 2^27 in magnitude, so that three more bits are there for the shifts beyond 12.
        let scaled = if settings.signal_shift <= 12 {
            _mm512_sra_epi32(sums, _mm_cvtsi32_si128(12 - settings.signal_shift as i32))
        } else {
            _mm512_sll_epi32(sums, _mm_cvtsi32_si128(settings.signal_shift as i32 - 12))
        };
        _mm512_cvtsepi32_epi16(scaled)
    } else {
        _mm256_setzero_si256()
    };
    store_16(job.signal, signal);
}

/// The output errors times the output weights of each of 16 neurons, summed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn feedback(errors: &Lanes, rows: &[WeightLanes; LANES], last_output: usize) -> __m512i {
    let parts: &[[i8; 64]] = rows.as_flattened().as_chunks().0;
    // Four neurons in each, eight words of two weights a neuron.
    let parts = [
        load_bytes(&parts[0]),
        load_bytes(&parts[1]),
        load_bytes(&parts[2]),
        load_bytes(&parts[3]),
    ];
    // Word 0 of every neuron of two parts.
    let mut places = [0_i16; 32];
    for (n, place) in (0_i16..8).zip(&mut places) {
        *place = n * 8;
    }
    let mut places = load_32(&places);
    let mut sums = _mm512_setzero_si512();
    for errors in errors.as_chunks::<2>().0.iter().take(last_output / 2 + 1) {
        let low = _mm512_permutex2var_epi16(parts[0], places, parts[1]);
        let high = _mm512_permutex2var_epi16(parts[2], places, parts[3]);
        let bytes = _mm256_set_m128i(_mm512_castsi512_si128(high), _mm512_castsi512_si128(low));
        let both =
            u32::from(errors[0].cast_unsigned()) | u32::from(errors[1].cast_unsigned()) << 16;
        let products =
            _mm512_madd_epi16(_mm512_cvtepi8_epi16(bytes), _mm512_set1_epi32(both as i32));
        sums = _mm512_add_epi32(sums, products);
        places = _mm512_add_epi16(places, _mm512_set1_epi16(1));
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(from: &[i8; 64]) -> __m512i {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}
