//! The change of output weights in AVX-512: one neuron's row at a time.

use core::arch::x86_64::*;

use super::{load_16, load_u8, load_u64, load_weights, store_weights};
use crate::eprop::OutputJob;
use crate::lfsr::{BLOCK, BLOCKS_MAX};

/// Where the 16 words of 28 bits start in a block: the bytes of each that have them, the odd ones
/// from bit 4 on.
const BYTES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut k = 0;
    while k < 64 {
        bytes[k] = (k / 4 * 28 / 8 + k % 4) as u8;
        k += 1;
    }
    bytes
};

/// [`crate::kernels::Kernels::change_outputs`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(in super::super) fn change(job: &mut OutputJob<'_>) {
    let max = _mm512_set1_epi32(0xFFF_FFFF);
    let rate = job.settings.output_rate;
    let up = _mm_cvtsi32_si128(rate.up as i32);
    let down = _mm_cvtsi32_si128(rate.down as i32);
    let limit = _mm512_srl_epi32(max, up);
    let places = load_u8(&BYTES);
    let shifts = _mm512_set1_epi64(4 << 32);

    // An error of 16 bits times a trace of 10 is below 2^26: the most negative change, which always
    // happens, does not occur. Its sign is that of the error.
    let errors = _mm512_cvtepi16_epi32(load_16(job.errors));
    let magnitudes = _mm512_abs_epi32(errors);
    let wrong = _mm512_test_epi32_mask(errors, errors);
    let fall = _mm512_movepi32_mask(errors);
    let delta = _mm_mask_blend_epi8(fall, _mm_set1_epi8(1), _mm_set1_epi8(-1));

    for rows in job.rows.chunks(BLOCKS_MAX) {
        let words = job.generator.draw(rows.len());
        for (row, first) in rows.iter().zip((0..).step_by(BLOCK)) {
            let block = load_u64(words[first..].first_chunk().expect("one word more is drawn"));
            let random = _mm512_srlv_epi32(_mm512_permutexvar_epi8(places, block), shifts);
            let random = _mm512_and_si512(random, max);
            let change = _mm512_mullo_epi32(magnitudes, _mm512_set1_epi32(row.trace));
            let over = _mm512_cmpgt_epu32_mask(change, limit);
            let reach = _mm512_mask_mov_epi32(_mm512_sll_epi32(change, up), over, max);
            let reach = _mm512_srl_epi32(reach, down);
            let moves = _mm512_mask_cmpge_epu32_mask(wrong, reach, random);
            let weights = &mut job.matrix[row.index as usize];
            // Not a masked store, which is slow on some processors.
            let delta = _mm_maskz_mov_epi8(moves, delta);
            store_weights(weights, _mm_adds_epi8(load_weights(weights), delta));
        }
    }
}
