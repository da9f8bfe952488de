//! PROP in AVX-512: all potentials stay in registers while rows are added to them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    reason = "places in a row of at most 256 columns, and shifts below 8"
)]

use core::arch::x86_64::*;

use super::{load_16, load_32, load_weights, store_16, store_32};
use crate::memory::{Lanes, WeightLanes};
use crate::prop::{Excitation, OutputExcitation, Raise, TRACE_MAX};

/// [`crate::kernels::Kernels::excite`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn excite(job: &mut Excitation<'_>) {
    match job.groups {
        0..=2 => columns::<1>(job),
        3..=4 => columns::<2>(job),
        5..=6 => columns::<3>(job),
        7..=8 => columns::<4>(job),
        9..=10 => columns::<5>(job),
        11..=12 => columns::<6>(job),
        13..=14 => columns::<7>(job),
        _ => columns::<8>(job),
    }
}

/// [`crate::kernels::Kernels::excite_outputs`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn excite_outputs(job: &mut OutputExcitation<'_>) {
    let shift = _mm_cvtsi32_si128(job.shift as i32);
    let mask = load_16(&job.mask);
    let mut outputs = load_16(job.outputs);
    for (word, mut spikes) in job.spikes.words().into_iter().enumerate() {
        while spikes != 0 {
            let row = &job.rows[word * 64 + spikes.trailing_zeros() as usize];
            spikes &= spikes - 1;
            let row = _mm256_sll_epi16(_mm256_cvtepi8_epi16(load_weights(row)), shift);
            outputs = _mm256_adds_epi16(outputs, _mm256_and_si256(row, mask));
        }
    }
    store_16(job.outputs, outputs);
}

/// [`crate::kernels::Kernels::raise`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn raise(job: &mut Raise<'_, '_>) {
    let neurons = &mut *job.neurons;
    let fields = [
        (&mut *neurons.input_trace, job.inputs),
        (&mut *neurons.recurrent_trace, job.spikes),
        (&mut *neurons.output_trace, job.spikes),
    ];
    for (((field, flags), increment), max) in fields.into_iter().zip(job.increments).zip(TRACE_MAX)
    {
        let (increment, max) = (_mm512_set1_epi16(increment), _mm512_set1_epi16(max));
        let blocks = field.as_flattened_mut().as_chunks_mut::<32>().0;
        for (block, traces) in blocks.iter_mut().enumerate() {
            let raised = flags.block(block);
            if raised != 0 {
                let old = load_32(traces);
                // At most 4095 + 1024: no lane overflows.
                let new = _mm512_mask_add_epi16(old, raised, old, increment);
                store_32(traces, _mm512_min_epu16(new, max));
            }
        }
    }
}

/// Adds all rows, of `2 * N` groups or one less.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
fn columns<const N: usize>(job: &mut Excitation<'_>) {
    let count = job.groups;
    let potentials = &mut *job.potentials;
    // Bit i: lane i of the n-th 32 may change.
    let mask = |n: usize| match (job.reached + 1).saturating_sub(32 * n) {
        wide if wide >= 32 => u32::MAX,
        left => (1 << left) - 1,
    };
    let mut sums = [_mm512_setzero_si512(); N];
    for (n, sum) in sums.iter_mut().enumerate() {
        *sum = load(potentials, n);
    }
    let shifts = [_mm_cvtsi32_si128(job.shift[0] as i32), _mm_cvtsi32_si128(job.shift[1] as i32)];
    let words = [job.inputs.words(), job.spikes.words()];
    for (word, (mut inputs, mut spikes)) in words[0].into_iter().zip(words[1]).enumerate() {
        while inputs | spikes != 0 {
            let bit = (inputs | spikes).trailing_zeros();
            // Spikes and inputs alternate at random: choose by index, not by branch.
            let spike = (spikes >> bit & 1) as usize;
            let both = spikes & inputs & 1 << bit != 0;
            (inputs, spikes) = (inputs & !(1 << bit), spikes & !(1 << bit));
            let start = (word * 64 + bit as usize) * count;
            let place = start + job.first[spike];
            let weights = &job.rows[place..place + count];
            if both {
                let place = start + job.first[0];
                let others = &job.rows[place..place + count];
                for (n, sum) in sums.iter_mut().enumerate() {
                    let weight = _mm512_sll_epi16(load_row(weights, n), shifts[1]);
                    let other = _mm512_sll_epi16(load_row(others, n), shifts[0]);
                    *sum = _mm512_adds_epi16(*sum, _mm512_adds_epi16(weight, other));
                }
            } else {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let weight = _mm512_sll_epi16(load_row(weights, n), shifts[spike]);
                    *sum = _mm512_adds_epi16(*sum, weight);
                }
            }
        }
    }
    for (n, sum) in sums.into_iter().enumerate() {
        store(potentials, n, mask(n), sum);
    }
}

/// Bit n: lane n of the 32 of groups `2 n` and `2 n + 1` is there.
const fn present(groups: usize, n: usize) -> u32 {
    if groups > 2 * n + 1 { u32::MAX } else { 0xFFFF }
}

/// 32 weights of a row, as numbers of 16 bits; 0 beyond its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_row(row: &[WeightLanes], n: usize) -> __m512i {
    let from = row[2 * n..].as_ptr().cast();
    // SAFETY: lanes beyond the groups of `row` are masked out, so that they are not accessed.
    _mm512_cvtepi8_epi16(unsafe { _mm256_maskz_loadu_epi8(present(row.len(), n), from) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(potentials: &[Lanes], n: usize) -> __m512i {
    let from = potentials[2 * n..].as_ptr().cast();
    // SAFETY: lanes beyond the groups of `potentials` are masked out, so that they are not accessed.
    unsafe { _mm512_maskz_loadu_epi16(present(potentials.len(), n), from) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(potentials: &mut [Lanes], n: usize, mask: u32, value: __m512i) {
    let mask = mask & present(potentials.len(), n);
    let to = potentials[2 * n..].as_mut_ptr().cast();
    // SAFETY: as in `load`.
    unsafe { _mm512_mask_storeu_epi16(to, mask, value) }
}
