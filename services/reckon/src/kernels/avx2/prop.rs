//! PROP in AVX2: up to 128 potentials stay in registers while all rows are added to them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    reason = "places in a row of at most 256 columns, and shifts below 8"
)]

use core::arch::x86_64::*;

use super::{load_16, load_weights, store_16};
use crate::flags::Flags;
use crate::memory::LANES;
use crate::prop::{Excitation, OutputExcitation, Prop, Propagated, Raise, TRACE_MAX};

/// [`crate::kernels::Kernels::propagate`].
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
pub(super) fn propagate(prop: &mut Prop<'_, '_>, spikes: &Flags, inputs: &Flags) -> Propagated {
    prop.propagate(spikes, inputs, |job| excite(job), |job| raise(job))
}

#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn excite(job: &mut Excitation<'_>) {
    let mut first = 0;
    while first < job.groups {
        match job.groups - first {
            1 => columns::<1>(job, first),
            2 => columns::<2>(job, first),
            3 => columns::<3>(job, first),
            4 => columns::<4>(job, first),
            5 => columns::<5>(job, first),
            6 => columns::<6>(job, first),
            7 => columns::<7>(job, first),
            _ => columns::<8>(job, first),
        }
        first += 8;
    }
    excite_outputs(&mut job.output);
}

#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn excite_outputs(job: &mut OutputExcitation<'_>) {
    let shift = _mm_cvtsi32_si128(job.shift as i32);
    let mask = lanes_below(job.last + 1);
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

#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn raise(job: &mut Raise<'_, '_>) {
    let bits = _mm256_setr_epi16(
        1,
        2,
        4,
        8,
        0x10,
        0x20,
        0x40,
        0x80,
        0x100,
        0x200,
        0x400,
        0x800,
        0x1000,
        0x2000,
        0x4000,
        i16::MIN,
    );
    let neurons = &mut *job.neurons;
    let fields = [
        (&mut *neurons.input_trace, job.inputs),
        (&mut *neurons.recurrent_trace, job.spikes),
        (&mut *neurons.output_trace, job.spikes),
    ];
    for (((field, flags), increment), max) in fields.into_iter().zip(job.increments).zip(TRACE_MAX)
    {
        let (increment, max) = (_mm256_set1_epi16(increment), _mm256_set1_epi16(max));
        for (group, traces) in field.iter_mut().enumerate() {
            let raised = flags.block(group >> 1) >> ((group & 1) << 4) & 0xFFFF;
            if raised != 0 {
                let lanes = _mm256_and_si256(_mm256_set1_epi16(raised as i16), bits);
                let lanes = _mm256_cmpeq_epi16(lanes, bits);
                // At most 4095 + 1024: no lane overflows.
                let new = _mm256_add_epi16(load_16(traces), _mm256_and_si256(increment, lanes));
                store_16(traces, _mm256_min_epi16(new, max));
            }
        }
    }
}

/// All ones in the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes_below(count: usize) -> __m256i {
    const ONES_AND_ZEROS: [i16; 2 * LANES] = [
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0,
    ];
    let lanes = ONES_AND_ZEROS[LANES - count.min(LANES)..].first_chunk();
    load_16(lanes.expect("16 lanes begin at each of the first 17"))
}

/// Adds all rows in the columns of `N` groups from group `first` on.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn columns<const N: usize>(job: &mut Excitation<'_>, first: usize) {
    let potentials = &mut job.potentials[first..first + N];
    let mut sums = [_mm256_setzero_si256(); N];
    for (sum, potential) in sums.iter_mut().zip(&*potentials) {
        *sum = load_16(potential);
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
            let start = (word * 64 + bit as usize) * job.groups + first;
            let place = start + job.first[spike];
            let weights = &job.rows[place..place + N];
            if both {
                let place = start + job.first[0];
                let others = &job.rows[place..place + N];
                for ((sum, weights), others) in sums.iter_mut().zip(weights).zip(others) {
                    let weight = _mm256_cvtepi8_epi16(load_weights(weights));
                    let other = _mm256_cvtepi8_epi16(load_weights(others));
                    let weight = _mm256_sll_epi16(weight, shifts[1]);
                    let other = _mm256_sll_epi16(other, shifts[0]);
                    *sum = _mm256_adds_epi16(*sum, _mm256_adds_epi16(weight, other));
                }
            } else {
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    let weight = _mm256_cvtepi8_epi16(load_weights(weights));
                    *sum = _mm256_adds_epi16(*sum, _mm256_sll_epi16(weight, shifts[spike]));
                }
            }
        }
    }
    for (n, (sum, potential)) in sums.iter().zip(potentials).enumerate() {
        let reached = (job.reached + 1).saturating_sub((first + n) * LANES);
        if reached >= LANES {
            store_16(potential, *sum);
        } else {
            let mixed = _mm256_blendv_epi8(load_16(potential), *sum, lanes_below(reached));
            store_16(potential, mixed);
        }
    }
}
