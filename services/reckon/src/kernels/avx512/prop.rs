//! PROP in AVX-512: all potentials stay in registers while rows are added to them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    reason = "places in a row of at most 256 columns, and shifts below 8"
)]

use core::arch::x86_64::*;

use super::{load_16, load_32, load_weights, store_16, store_32};
use crate::flags::Flags;
use crate::memory::{LANES, WeightLanes};
use crate::prop::{Excitation, Prop, Propagated, Raise, TRACE_MAX};

/// [`crate::kernels::Kernels::propagate`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt,bmi1,bmi2")]
pub(super) fn propagate(prop: &mut Prop<'_, '_>, spikes: &Flags, inputs: &Flags) -> Propagated {
    prop.propagate(spikes, inputs, |job| excite(job), |job| raise(job))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt,bmi1,bmi2")]
fn excite(job: &mut Excitation<'_>) {
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

/// Without a look at whether a block has events: it would be mispredicted too often.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt,bmi1,bmi2")]
fn raise(job: &mut Raise<'_, '_>) {
    let increments = job.increments.map(|increment| _mm512_set1_epi16(increment));
    let greatest = TRACE_MAX.map(|max| _mm512_set1_epi16(max));
    let neurons = &mut *job.neurons;
    let input = neurons.input_trace.as_flattened_mut().as_chunks_mut::<32>().0;
    let recurrent = neurons.recurrent_trace.as_flattened_mut().as_chunks_mut::<32>().0;
    let output = neurons.output_trace.as_flattened_mut().as_chunks_mut::<32>().0;
    let traces = input.iter_mut().zip(recurrent).zip(output);
    for (block, ((input, recurrent), output)) in traces.enumerate() {
        let (inputs, spikes) = (job.inputs.block(block), job.spikes.block(block));
        for (field, (traces, raised)) in
            [(input, inputs), (recurrent, spikes), (output, spikes)].into_iter().enumerate()
        {
            let old = load_32(traces);
            // At most 4095 + 1024: no lane overflows.
            let new = _mm512_mask_add_epi16(old, raised, old, increments[field]);
            store_32(traces, _mm512_min_epu16(new, greatest[field]));
        }
    }
}

/// Adds all rows, of `2 * N` groups or one less.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt,bmi1,bmi2")]
fn columns<const N: usize>(job: &mut Excitation<'_>) {
    let count = job.groups;
    let columns = job.reached + 1;
    assert!(
        (count == 2 * N || count + 1 == 2 * N) && columns.div_ceil(2 * LANES) == N,
        "a row has N vectors, the last perhaps half of one"
    );
    // Bit i: lane i of the last 32 changes. All of those before do.
    let last = u32::MAX >> (32 * N - columns);
    let potentials = &mut job.potentials.as_flattened_mut().as_chunks_mut::<32>().0[..N];
    let mut sums = [_mm512_setzero_si512(); N];
    for (sum, potentials) in sums.iter_mut().zip(&*potentials) {
        *sum = load_32(potentials);
    }
    let mut outputs = load_16(job.output.outputs);
    let output_mask = u16::MAX >> (LANES - 1 - job.output.last);
    let output_shift = _mm_cvtsi32_si128(job.output.shift as i32);

    let both = job.spikes.both(job.inputs);
    let (slots, active) = job.spikes.union(job.inputs).list();
    for &slot in &slots[..active] {
        let slot = usize::from(slot);
        // Spikes and inputs alternate at random: choose by index, not by branch.
        let spike = usize::from(job.spikes.has(slot));
        let place = slot * count + job.first[spike];
        let weights = &job.rows[place..place + count];
        let shift = _mm_cvtsi32_si128(job.shift[spike] as i32);
        if both.has(slot) {
            let place = slot * count + job.first[0];
            let others = &job.rows[place..place + count];
            let other_shift = _mm_cvtsi32_si128(job.shift[0] as i32);
            for (n, sum) in sums.iter_mut().enumerate() {
                let present = if n + 1 < N { u32::MAX } else { last };
                let weight = _mm512_sll_epi16(load_row(weights, n, present), shift);
                let other = _mm512_sll_epi16(load_row(others, n, present), other_shift);
                *sum = _mm512_adds_epi16(*sum, _mm512_adds_epi16(weight, other));
            }
        } else {
            for (n, sum) in sums.iter_mut().enumerate() {
                let present = if n + 1 < N { u32::MAX } else { last };
                let weight = _mm512_sll_epi16(load_row(weights, n, present), shift);
                *sum = _mm512_adds_epi16(*sum, weight);
            }
        }
        // Of an input event nothing is added, whichever row is read.
        let row = load_weights(&job.output.rows[slot.min(job.output.rows.len() - 1)]);
        let weight = _mm256_sll_epi16(_mm256_cvtepi8_epi16(row), output_shift);
        let added = output_mask & u16::from(job.spikes.has(slot)).wrapping_neg();
        outputs = _mm256_mask_adds_epi16(outputs, added, outputs, weight);
    }

    store_16(job.output.outputs, outputs);
    for (sum, potentials) in sums.into_iter().zip(potentials) {
        store_32(potentials, sum);
    }
}

/// The n-th 32 weights of a row, as numbers of 16 bits; 0 where not `present`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_row(row: &[WeightLanes], n: usize, present: u32) -> __m512i {
    let row = &row[2 * n..];
    let there = match row.len() {
        0 => 0,
        1 => 0xFFFF,
        _ => u32::MAX,
    };
    // SAFETY: lanes beyond the groups of `row` are masked out, so that they are not accessed.
    let weights = unsafe { _mm256_maskz_loadu_epi8(present & there, row.as_ptr().cast()) };
    _mm512_cvtepi8_epi16(weights)
}
