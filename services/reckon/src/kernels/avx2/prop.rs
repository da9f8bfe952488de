//! PROP in AVX2: up to 128 potentials stay in registers while all rows are added to them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    reason = "places in a row of at most 256 columns, and shifts below 8"
)]

use core::arch::x86_64::*;

use super::{load_16, load_weights, store_16};
use crate::fixed::low16;
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
    let (slots, active) = job.spikes.union(job.inputs).list();
    let slots = &slots[..active];
    let mut first = 0;
    while first < job.groups {
        match job.groups - first {
            1 => columns::<1>(job, slots, first),
            2 => columns::<2>(job, slots, first),
            3 => columns::<3>(job, slots, first),
            4 => columns::<4>(job, slots, first),
            5 => columns::<5>(job, slots, first),
            6 => columns::<6>(job, slots, first),
            7 => columns::<7>(job, slots, first),
            _ => columns::<8>(job, slots, first),
        }
        first += 8;
    }
    excite_outputs(&mut job.output, slots);
}

/// Adds the rows of the spikes among `slots`.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn excite_outputs(job: &mut OutputExcitation<'_>, slots: &[u16]) {
    let shift = _mm_cvtsi32_si128(job.shift as i32);
    let mask = lanes_below(job.last + 1);
    let mut outputs = load_16(job.outputs);
    for &slot in slots {
        let slot = usize::from(slot);
        // Of an input event nothing is added, whichever row is read.
        let spike = job.spikes.has(slot);
        let row = load_weights(&job.rows[slot.min(job.rows.len() - 1)]);
        let weight = _mm256_sll_epi16(_mm256_cvtepi8_epi16(row), shift);
        let mask = _mm256_and_si256(mask, _mm256_set1_epi16(-i16::from(spike)));
        outputs = _mm256_adds_epi16(outputs, _mm256_and_si256(weight, mask));
    }
    store_16(job.outputs, outputs);
}

/// Without a look at whether a group has events: it would be mispredicted too often.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn raise(job: &mut Raise<'_, '_>) {
    let increments = job.increments.map(|increment| _mm256_set1_epi16(increment));
    let greatest = TRACE_MAX.map(|max| _mm256_set1_epi16(max));
    let neurons = &mut *job.neurons;
    let traces = neurons.input_trace.iter_mut().zip(&mut *neurons.recurrent_trace);
    for (group, ((input, recurrent), output)) in traces.zip(&mut *neurons.output_trace).enumerate()
    {
        let lanes = [job.inputs, job.spikes].map(|flags| lanes_of(flags, group));
        for (field, (traces, lanes)) in
            [(input, lanes[0]), (recurrent, lanes[1]), (output, lanes[1])].into_iter().enumerate()
        {
            let increment = _mm256_and_si256(increments[field], lanes);
            // At most 4095 + 1024: no lane overflows.
            let new = _mm256_add_epi16(load_16(traces), increment);
            store_16(traces, _mm256_min_epi16(new, greatest[field]));
        }
    }
}

/// All ones in the lanes of `group` that are in the set.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes_of(flags: &Flags, group: usize) -> __m256i {
    const BITS: [i16; LANES] = [
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
    ];
    let flags = flags.block(group >> 1) >> ((group & 1) << 4);
    let bits = load_16(&BITS);
    _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16(low16(flags).cast_signed()), bits), bits)
}

/// All ones in the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes_below(count: usize) -> __m256i {
    let lanes = [[-1; LANES], [0; LANES]];
    let lanes = lanes.as_flattened()[LANES - count.min(LANES)..].first_chunk();
    load_16(lanes.expect("16 lanes begin at each of the first 17"))
}

/// Adds the rows of all `slots` in the columns of `N` groups from group `first` on.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
fn columns<const N: usize>(job: &mut Excitation<'_>, slots: &[u16], first: usize) {
    let potentials = &mut job.potentials[first..first + N];
    let mut sums = [_mm256_setzero_si256(); N];
    for (sum, potential) in sums.iter_mut().zip(&*potentials) {
        *sum = load_16(potential);
    }
    let both = job.spikes.both(job.inputs);
    for &slot in slots {
        let slot = usize::from(slot);
        // Spikes and inputs alternate at random: choose by index, not by branch.
        let spike = usize::from(job.spikes.has(slot));
        let start = slot * job.groups + first;
        let place = start + job.first[spike];
        let weights = &job.rows[place..place + N];
        let shift = _mm_cvtsi32_si128(job.shift[spike] as i32);
        if both.has(slot) {
            let place = start + job.first[0];
            let others = &job.rows[place..place + N];
            let other_shift = _mm_cvtsi32_si128(job.shift[0] as i32);
            for ((sum, weights), others) in sums.iter_mut().zip(weights).zip(others) {
                let weight = _mm256_sll_epi16(_mm256_cvtepi8_epi16(load_weights(weights)), shift);
                let other = _mm256_cvtepi8_epi16(load_weights(others));
                let other = _mm256_sll_epi16(other, other_shift);
                *sum = _mm256_adds_epi16(*sum, _mm256_adds_epi16(weight, other));
            }
        } else {
            for (sum, weights) in sums.iter_mut().zip(weights) {
                let weight = _mm256_cvtepi8_epi16(load_weights(weights));
                *sum = _mm256_adds_epi16(*sum, _mm256_sll_epi16(weight, shift));
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
