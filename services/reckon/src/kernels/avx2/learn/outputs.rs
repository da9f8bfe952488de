//! The change of output weights in AVX2: one neuron's row at a time.

use core::arch::x86_64::*;

use super::{load_8, load_weights, moved, not_below, store_weights};
use crate::eprop::OutputJob;
use crate::lfsr::{BLOCK, BLOCKS_MAX};

/// [`crate::kernels::Kernels::change_outputs`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn change(job: &mut OutputJob<'_>) {
    let max = _mm256_set1_epi32(0xFFF_FFFF);
    let rate = job.settings.output_rate;
    let up = _mm_cvtsi32_si128(rate.up as i32);
    let down = _mm_cvtsi32_si128(rate.down as i32);
    let limit = _mm256_srl_epi32(max, up);

    // An error of 16 bits times a trace of 10 is below 2^26: the most negative change, which always
    // happens, does not occur. Its sign is that of the error.
    let errors = [
        _mm256_cvtepi16_epi32(load_8(job.errors.first_chunk().expect("half of 16 lanes"))),
        _mm256_cvtepi16_epi32(load_8(job.errors.last_chunk().expect("half of 16 lanes"))),
    ];
    // Two halves of a row; the second is there only if there are so many outputs.
    let halves = if job.settings.last_output < 8 { 1 } else { 2 };

    for rows in job.rows.chunks(BLOCKS_MAX) {
        let words = job.generator.draw(rows.len());
        for (row, first) in rows.iter().zip((0..).step_by(BLOCK)) {
            let words = words[first..].first_chunk().expect("one word more is drawn");
            let trace = _mm256_set1_epi32(row.trace);
            let mut moves = [_mm256_setzero_si256(); 2];
            for half in 0..halves {
                let change = _mm256_mullo_epi32(_mm256_abs_epi32(errors[half]), trace);
                let within = not_below(limit, change);
                let reach = _mm256_blendv_epi8(max, _mm256_sll_epi32(change, up), within);
                let reach = _mm256_srl_epi32(reach, down);
                moves[half] = not_below(reach, random(words, half));
            }
            let weights = &mut job.matrix[row.index as usize];
            // An error of 0 makes its step 0.
            let (new, _) = moved(load_weights(weights), moves, errors);
            store_weights(weights, new);
        }
    }
}

/// Words 0..8 or, with `half` = 1, 8..16 of 28 bits of a block: those start at bytes 0 and 28.
#[inline]
#[target_feature(enable = "avx2")]
fn random(block: &[u64; 8], half: usize) -> __m256i {
    // Four words are 14 bytes; the odd ones start at bit 4.
    let places = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 13,
    ));
    let (low, high) = four_words(block, 28 * half);
    let both = _mm256_set_m128i(high, low);
    let shifts = _mm256_set1_epi64x(4 << 32);
    let words = _mm256_srlv_epi32(_mm256_shuffle_epi8(both, places), shifts);
    _mm256_and_si256(words, _mm256_set1_epi32(0xFFF_FFFF))
}

/// 16 bytes of `block` from byte `first` on, 0 or 28, and from the 14th after it on.
#[inline]
#[target_feature(enable = "avx2")]
fn four_words(block: &[u64; 8], first: usize) -> (__m128i, __m128i) {
    assert!(first <= 28, "28 + 14 + 16 bytes are within the 64 of the block");
    let from: *const u8 = block.as_ptr().cast();
    // SAFETY: see the assertion.
    unsafe {
        (_mm_loadu_si128(from.add(first).cast()), _mm_loadu_si128(from.add(first + 14).cast()))
    }
}
