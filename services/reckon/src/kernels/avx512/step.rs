//! STEP in AVX-512: 32 slots at a time, in lanes of 16 bits.

use core::arch::x86_64::*;

use super::{load_16, load_32, load_u8, load_u32, store_16, store_32, store_u8};
use crate::lfsr::Map;
use crate::step::Step;

/// [`crate::kernels::Kernels::step`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni")]
pub(super) fn blocks(step: &mut Step<'_, '_>) {
    // Where all leak factors are below 1.0, no trace outgrows its width, and none is exactly 1.0.
    match (step.neurons.all_leak, step.traces_live, step.planes.is_some()) {
        (true, true, true) => hidden::<true, true, true>(step),
        (true, true, false) => hidden::<true, true, false>(step),
        (true, false, true) => hidden::<true, false, true>(step),
        (true, false, false) => hidden::<true, false, false>(step),
        (false, true, true) => hidden::<false, true, true>(step),
        (false, true, false) => hidden::<false, true, false>(step),
        (false, false, true) => hidden::<false, false, true>(step),
        (false, false, false) => hidden::<false, false, false>(step),
    }
    outputs(step);
    if let Some(planes) = &mut step.planes {
        for (stream, (plane, map)) in planes.planes.iter_mut().zip(&planes.step).enumerate() {
            if !(step.held && stream == 0) {
                let moved = moved([load_u8(&plane.0[0]), load_u8(&plane.0[1])], maps(map));
                store_u8(&mut plane.0[0], moved[0]);
                store_u8(&mut plane.0[1], moved[1]);
            }
        }
    }
}

/// A map for [`moved`].
#[inline]
#[target_feature(enable = "avx512f")]
fn maps(map: &Map) -> [__m512i; 4] {
    let [a, b, c, d] = *map;
    [
        _mm512_set1_epi64(a.cast_signed()),
        _mm512_set1_epi64(b.cast_signed()),
        _mm512_set1_epi64(c.cast_signed()),
        _mm512_set1_epi64(d.cast_signed()),
    ]
}

/// The low and high bytes of 64 windows, moved on.
#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn moved([low, high]: [__m512i; 2], map: [__m512i; 4]) -> [__m512i; 2] {
    [
        _mm512_xor_si512(
            _mm512_gf2p8affine_epi64_epi8::<0>(low, map[0]),
            _mm512_gf2p8affine_epi64_epi8::<0>(high, map[1]),
        ),
        _mm512_xor_si512(
            _mm512_gf2p8affine_epi64_epi8::<0>(low, map[2]),
            _mm512_gf2p8affine_epi64_epi8::<0>(high, map[3]),
        ),
    ]
}

/// The hidden neurons. The body of the loop has no branch: across one, the compiler takes products
/// of 16 bits apart into ones of 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni")]
fn hidden<const ALL_LEAK: bool, const TRACES: bool, const RANDOM: bool>(step: &mut Step<'_, '_>) {
    let neurons = &mut *step.neurons;
    let kept = if step.reset_to_zero { 0 } else { u32::MAX };
    // A product of 14 and 13 bits: the kept part, 10 or 11 bits, is in its high half.
    let kappa = _mm512_set1_epi16(step.kappa << 5);
    let zero = _mm512_setzero_si512();
    let never = _mm512_set1_epi16(-1);
    // What switches rounding of the output traces off.
    let outputs_never = if step.kappa == 128 { never } else { zero };

    // The generators of this block and the one after, if rounding is on.
    let mut windows = [[zero; 2]; 4];
    let mut ahead = [[zero; 4]; 2];
    if let Some(planes) = &step.planes {
        for (windows, plane) in windows.iter_mut().zip(&planes.planes) {
            *windows = [load_u8(&plane.0[0]), load_u8(&plane.0[1])];
        }
        ahead = [maps(&planes.ahead[0]), maps(&planes.ahead[1])];
    }

    let blocks = step.blocks;
    let potentials = &mut neurons.potential.as_flattened_mut().as_chunks_mut().0[..blocks];
    let thresholds = &neurons.threshold.as_flattened().as_chunks().0[..blocks];
    let leaks = &neurons.leak.as_flattened().as_chunks().0[..blocks];
    let inputs = &mut neurons.input_trace.as_flattened_mut().as_chunks_mut().0[..blocks];
    let recurrent = &mut neurons.recurrent_trace.as_flattened_mut().as_chunks_mut().0[..blocks];
    let outputs = &mut neurons.output_trace.as_flattened_mut().as_chunks_mut().0[..blocks];
    let held = &step.words[0].as_chunks().0[..blocks];
    let all_fired = &mut step.fired[..blocks];
    let mut any = 0;

    for first in (0..blocks).step_by(2) {
        if RANDOM && first != 0 {
            windows = [
                moved(windows[0], ahead[0]),
                moved(windows[1], ahead[0]),
                moved(windows[2], ahead[0]),
                moved(windows[3], ahead[1]),
            ];
        }
        for block in first..blocks.min(first.saturating_add(2)) {
            let mut words = [never; 4];
            if RANDOM {
                let [membrane, input, recurrent, output] = windows;
                // The words of the last are the seven lowest bits of the windows.
                let windows = [membrane, input, recurrent, [zero, output[0]]];
                words = windows.map(|windows| words_of(windows, block & 1 == 1));
                words[3] = _mm512_or_si512(words[3], outputs_never);
            }
            if !ALL_LEAK && step.held {
                // A pair whose factor is exactly 1.0 has a word of all ones.
                words[0] = load_u32(&held[block]);
            }
            let leak = load_32(&leaks[block]);
            let old = load_32(&potentials[block]);
            let bound = load_32(&thresholds[block]);
            let fired = _mm512_cmpge_epi16_mask(old, bound);
            let leaked = decayed(old, leak, words[0]);
            // Those that fired lose their threshold, or everything.
            let reset = _mm512_maskz_sub_epi16(kept, leaked, bound);
            store_32(&mut potentials[block], _mm512_mask_mov_epi16(leaked, fired, reset));
            if TRACES {
                let old = load_32(&inputs[block]);
                store_32(&mut inputs[block], decayed_trace::<ALL_LEAK>(old, leak, words[1]));
                let old = load_32(&recurrent[block]);
                store_32(&mut recurrent[block], decayed_trace::<ALL_LEAK>(old, leak, words[2]));
                let old = load_32(&outputs[block]);
                store_32(&mut outputs[block], decayed_output_trace(old, kappa, words[3]));
            }
            all_fired[block] = fired;
            any |= fired;
        }
    }
    step.any = any;
}

/// 32 numbers of 16 bits out of the low and high bytes of 64: the first 32 or, with `half`, the
/// rest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words_of([low, high]: [__m512i; 2], half: bool) -> __m512i {
    if half { _mm512_unpackhi_epi8(low, high) } else { _mm512_unpacklo_epi8(low, high) }
}

/// [`crate::fixed::decay`] without a mask. No leak is 0, or the random word is all ones there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn decayed(value: __m512i, leak: __m512i, random: __m512i) -> __m512i {
    let kept = _mm512_add_epi16(value, _mm512_mulhi_epi16(value, leak));
    let up = _mm512_cmpge_epu16_mask(_mm512_mullo_epi16(value, leak), random);
    let up = _mm512_mask_test_epi16_mask(up, kept, kept);
    _mm512_mask_add_epi16(kept, up, kept, _mm512_set1_epi16(1))
}

/// [`crate::fixed::decay`] for traces of 12 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn decayed_trace<const ALL_LEAK: bool>(value: __m512i, leak: __m512i, random: __m512i) -> __m512i {
    if ALL_LEAK {
        // A trace of at most 4095 times less than 1.0 is at most 4094, and 4095 rounded up.
        return decayed(value, leak, random);
    }
    let width = _mm512_set1_epi16(0xFFF);
    let kept = _mm512_add_epi16(value, _mm512_mulhi_epi16(value, leak));
    let kept = _mm512_and_si512(kept, width);
    let up = _mm512_cmpge_epu16_mask(_mm512_mullo_epi16(value, leak), random);
    let up = _mm512_mask_test_epi16_mask(up, kept, kept);
    let up = _mm512_mask_test_epi16_mask(up, leak, leak);
    let raised = _mm512_mask_add_epi16(kept, up, kept, _mm512_set1_epi16(1));
    _mm512_and_si512(raised, width)
}

/// [`crate::fixed::decay`] for traces of 10 bits; `kappa` is shifted left by 5.
///
/// With q = value * SPI_KAPPA, 18 bits, the product below is q * 2^9: its high half is q >> 7, its
/// low half the seven bits dropped, at the top. Where kappa is 1.0 the random words switch rounding
/// off.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn decayed_output_trace(value: __m512i, kappa: __m512i, random: __m512i) -> __m512i {
    let width = _mm512_set1_epi16(0x3FF);
    let shifted = _mm512_slli_epi16::<4>(value);
    let kept = _mm512_and_si512(_mm512_mulhi_epi16(shifted, kappa), width);
    let up = _mm512_cmpge_epu16_mask(_mm512_mullo_epi16(shifted, kappa), random);
    let up = _mm512_mask_test_epi16_mask(up, kept, kept);
    let raised = _mm512_mask_add_epi16(kept, up, kept, _mm512_set1_epi16(1));
    _mm512_and_si512(raised, width)
}

/// The leak of all output potentials, in 32 bits: the product has 24.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn outputs(step: &mut Step<'_, '_>) {
    let value = _mm512_cvtepi16_epi32(load_16(step.outputs));
    let product = _mm512_mullo_epi32(value, _mm512_set1_epi32(step.kappa.into()));
    let kept = _mm512_cvtepi32_epi16(_mm512_srai_epi32::<7>(product));
    let dropped = _mm512_cvtepi32_epi16(_mm512_slli_epi32::<9>(product));
    let random = match &step.planes {
        Some(planes) if step.kappa != 128 => {
            let low = _mm512_castsi512_si128(load_u8(&planes.planes[4].0[0]));
            _mm256_slli_epi16::<8>(_mm256_cvtepu8_epi16(low))
        }
        _ => _mm256_set1_epi16(-1),
    };
    let up = _mm256_cmpge_epu16_mask(dropped, random);
    let up = _mm256_mask_test_epi16_mask(up, kept, kept);
    store_16(step.outputs, _mm256_mask_add_epi16(kept, up, kept, _mm256_set1_epi16(1)));
}
