//! STEP in AVX2: 16 slots at a time, in lanes of 16 bits.

#![expect(clippy::arithmetic_side_effects, reason = "places in arrays of fixed length")]

use core::arch::x86_64::*;

use super::{load_16, load_u32, store_16, store_u32};
use crate::lfsr::Streams;
use crate::step::Step;

/// [`crate::kernels::Kernels::extend`].
#[target_feature(enable = "avx2")]
pub(super) fn extend(streams: &mut Streams, counts: &[usize; 5]) {
    for (stream, &count) in streams.iter_mut().zip(counts) {
        let making = stream.make();
        // No lag is below 128, so that what is made now depends on words before it only.
        let whole = count.next_multiple_of(8);
        let (known, coming) = making.words.split_at_mut(making.to);
        let [a, b, c] = making.from;
        let [a, b, c] = [&known[a..a + whole], &known[b..b + whole], &known[c..c + whole]];
        let [a, b, c] = [a.as_chunks().0, b.as_chunks().0, c.as_chunks().0];
        let coming = coming[..whole].as_chunks_mut().0;
        for (((made, a), b), c) in coming.iter_mut().zip(a).zip(b).zip(c) {
            let ab = _mm256_xor_si256(load_u32(a), load_u32(b));
            store_u32(made, _mm256_xor_si256(ab, load_u32(c)));
        }
    }
}

/// [`crate::kernels::Kernels::step`].
#[target_feature(enable = "avx2")]
pub(super) fn blocks(step: &mut Step<'_, '_>) {
    let neurons = &mut *step.neurons;
    let [membrane, input, recurrent, output] = step.words;
    let kept = _mm256_set1_epi16(if step.reset_to_zero { 0 } else { -1 });
    let trace_width = _mm256_set1_epi16(0xFFF);
    let kappa = _mm256_set1_epi16(step.kappa << 5);

    let groups = membrane.as_chunks().0.iter().zip(input.as_chunks().0);
    let groups = groups.zip(recurrent.as_chunks().0).zip(output.as_chunks().0);
    for (group, (((membrane, input), recurrent), output)) in
        groups.enumerate().take(2 * step.blocks)
    {
        let leak = load_16(&neurons.leak[group]);
        let old = load_16(&neurons.potential[group]);
        let bound = load_16(&neurons.threshold[group]);
        let below = _mm256_cmpgt_epi16(bound, old);
        let leaked = decayed(old, leak, load_u32(membrane), _mm256_set1_epi16(-1));
        // Those that fired lose their threshold, or everything.
        let reset = _mm256_and_si256(_mm256_sub_epi16(leaked, bound), kept);
        store_16(&mut neurons.potential[group], _mm256_blendv_epi8(reset, leaked, below));
        let fired = !bits(below) & 0xFFFF;
        step.fired[group >> 1] |= fired << ((group & 1) << 4);
        step.any |= fired;

        if step.traces_live {
            let old = load_16(&neurons.input_trace[group]);
            let new = decayed(old, leak, load_u32(input), trace_width);
            store_16(&mut neurons.input_trace[group], new);
            let old = load_16(&neurons.recurrent_trace[group]);
            let new = decayed(old, leak, load_u32(recurrent), trace_width);
            store_16(&mut neurons.recurrent_trace[group], new);
            let old = load_16(&neurons.output_trace[group]);
            let new = decayed_output_trace(old, kappa, load_u32(output));
            store_16(&mut neurons.output_trace[group], new);
        }
    }
    outputs(step);
}

/// Bit n: lane n is all ones.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256i) -> u32 {
    let bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
    _mm_movemask_epi8(bytes).cast_unsigned()
}

/// `kept`, one more where the dropped part reaches the random word; never where `kept` is 0.
#[inline]
#[target_feature(enable = "avx2")]
fn rounded(kept: __m256i, dropped: __m256i, random: __m256i) -> __m256i {
    let zero = _mm256_setzero_si256();
    let up = _mm256_cmpeq_epi16(_mm256_subs_epu16(random, dropped), zero);
    let up = _mm256_andnot_si256(_mm256_cmpeq_epi16(kept, zero), up);
    _mm256_sub_epi16(kept, up)
}

/// [`crate::fixed::decay`].
#[inline]
#[target_feature(enable = "avx2")]
fn decayed(value: __m256i, leak: __m256i, random: __m256i, mask: __m256i) -> __m256i {
    let kept = _mm256_add_epi16(value, _mm256_mulhi_epi16(value, leak));
    let kept = _mm256_and_si256(kept, mask);
    // Where the factor is exactly 1.0, nothing reaches all ones.
    let exact = _mm256_cmpeq_epi16(leak, _mm256_setzero_si256());
    let random = _mm256_or_si256(random, exact);
    _mm256_and_si256(rounded(kept, _mm256_mullo_epi16(value, leak), random), mask)
}

/// [`crate::fixed::decay`] for traces of 10 bits; `kappa` is shifted left by 5.
///
/// With q = value * SPI_KAPPA, 18 bits, the product below is q * 2^9: its high half is q >> 7, its
/// low half the seven bits dropped, at the top. Where kappa is 1.0 the random words switch rounding
/// off.
#[inline]
#[target_feature(enable = "avx2")]
fn decayed_output_trace(value: __m256i, kappa: __m256i, random: __m256i) -> __m256i {
    let width = _mm256_set1_epi16(0x3FF);
    let shifted = _mm256_slli_epi16::<4>(value);
    let kept = _mm256_and_si256(_mm256_mulhi_epi16(shifted, kappa), width);
    let raised = rounded(kept, _mm256_mullo_epi16(shifted, kappa), random);
    _mm256_and_si256(raised, width)
}

/// The leak of all output potentials; 24 bits of product, in two parts of 16.
#[inline]
#[target_feature(enable = "avx2")]
fn outputs(step: &mut Step<'_, '_>) {
    let value = load_16(step.outputs);
    let kappa = _mm256_set1_epi16(step.kappa);
    let high = _mm256_mulhi_epi16(value, kappa);
    let low = _mm256_mullo_epi16(value, kappa);
    let kept = _mm256_or_si256(_mm256_slli_epi16::<9>(high), _mm256_srli_epi16::<7>(low));
    let dropped = _mm256_slli_epi16::<9>(low);
    // Lane 0 of every word.
    let words: [__m256i; 2] = [
        load_u32(&step.output_words.as_chunks().0[0]),
        load_u32(&step.output_words.as_chunks().0[1]),
    ];
    let lane = _mm256_set1_epi32(0xFFFF);
    let packed =
        _mm256_packus_epi32(_mm256_and_si256(words[0], lane), _mm256_and_si256(words[1], lane));
    let random = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
    store_16(step.outputs, rounded(kept, dropped, random));
}
