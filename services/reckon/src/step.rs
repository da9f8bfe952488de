//! STEP: leak, fire, reset and trace decay of all neurons, once per tick (SPEC 4).
//!
//! srnn.v:746-757, 1034-1036, 1094-1111, 1135-1157, 1188-1240.

use crate::fixed::{NEVER_UP, decay};
use crate::flags::Flags;
use crate::lfsr::{OutputGenerator, PairGenerators};
use crate::memory::{LANES, Lanes, Neurons, PairWord};
use crate::settings::Settings;

/// Width of the input and recurrent traces.
const TRACE_12: i16 = 0xFFF;
/// Width of the output traces.
const TRACE_10: i16 = 0x3FF;
/// Width of a potential.
const WHOLE: i16 = -1;

/// Steps every pair of slots that the chip's scan completes, and returns the word that the scan
/// read last: that of pair nS >> 1 as it was before, raw (SPEC 6.4).
///
/// An even nS means an odd number of slots: their last pair is read but not written, and its spike
/// flags stay 0. `traces_live` says that some trace may be other than 0.
pub(crate) fn hidden(
    neurons: &mut Neurons<'_>,
    spikes: &mut Flags,
    generators: &mut PairGenerators,
    settings: &Settings,
    traces_live: bool,
) -> PairWord {
    let last_pair = settings.last_stepped >> 1;
    let stale = neurons.read(last_pair);
    *spikes = Flags::EMPTY;
    let pairs = settings.last_stepped.div_ceil(2);
    if pairs == 0 {
        return stale;
    }
    neurons.start_pairs_up_to(pairs.wrapping_sub(1));

    for group in 0..pairs.div_ceil(LANES / 2) {
        let left = pairs.wrapping_sub(group << 3).min(LANES / 2);
        let leak = &neurons.leak[group];
        let below = if settings.stochastic { draw(generators, leak, left) } else { Below::NEVER };
        let fired = fire(
            &mut neurons.potential[group],
            leak,
            &neurons.threshold[group],
            &below.membrane,
            settings.reset_to_zero,
        );
        let complete = 0xFFFF_u16 >> (LANES.wrapping_sub(left << 1) & 15);
        spikes.set_group(group, fired & complete);
        if traces_live {
            let output_leak = [settings.output_leak; LANES];
            decay_all(&mut neurons.input_trace[group], leak, &below.input, TRACE_12);
            decay_all(&mut neurons.recurrent_trace[group], leak, &below.recurrent, TRACE_12);
            decay_all(&mut neurons.output_trace[group], &output_leak, &below.output, TRACE_10);
        }
    }
    if settings.last_stepped & 1 == 0 {
        // The loop works on whole groups, so it may have run over the pair that the chip does not
        // write.
        neurons.write(last_pair, &stale);
    }
    stale
}

/// Leaks the output potentials 0..=nO; the generator moves on for every one of the 16 that the scan
/// reaches.
pub(crate) fn outputs(
    potentials: &mut Lanes,
    generator: &mut OutputGenerator,
    settings: &Settings,
) {
    let draws = settings.stochastic && settings.output_leak != 0;
    for (output, potential) in
        potentials.iter_mut().enumerate().take(settings.last_stepped.saturating_add(1))
    {
        let below = if draws { below_7_bits(generator.draw()) } else { NEVER_UP };
        if output <= settings.last_output {
            *potential = decay(*potential, settings.output_leak, below, WHOLE);
        }
    }
}

/// The random words of 16 slots, less one, as [`decay`] takes them.
struct Below {
    membrane: Lanes,
    input: Lanes,
    recurrent: Lanes,
    output: Lanes,
}

impl Below {
    const NEVER: Below = Below {
        membrane: [NEVER_UP; LANES],
        input: [NEVER_UP; LANES],
        recurrent: [NEVER_UP; LANES],
        output: [NEVER_UP; LANES],
    };
}

/// The words of the next `pairs` pairs; a pair whose leak is exactly 1.0 does not use up the
/// membrane's.
#[inline]
fn draw(generators: &mut PairGenerators, leak: &Lanes, pairs: usize) -> Below {
    let mut below = Below::NEVER;
    for pair in 0..pairs {
        let lane = pair << 1;
        let words = generators.draw();
        if leak[lane] == 0 {
            generators.hold_membrane(&words);
        }
        for side in 0..2 {
            below.membrane[lane | side] = below_15_bits(words[side]);
            below.input[lane | side] = below_15_bits(words[2 | side]);
            below.recurrent[lane | side] = below_15_bits(words[4 | side]);
            below.output[lane | side] = below_7_bits(words[6 | side]);
        }
    }
    below
}

fn below_15_bits(word: u16) -> i16 {
    word.cast_signed().wrapping_sub(1)
}

/// A 7-bit word, compared with the top 7 of the 15 dropped bits.
fn below_7_bits(word: u16) -> i16 {
    below_15_bits((word & 0x7F) << 8)
}

/// One leak, comparison and reset of 16 potentials; bit n of the result: lane n fired. The
/// comparison is with the potential before the leak.
#[inline]
fn fire(
    potential: &mut Lanes,
    leak: &Lanes,
    threshold: &Lanes,
    below: &Lanes,
    reset_to_zero: bool,
) -> u16 {
    let mut bits = [0_u16; LANES];
    for n in 0..LANES {
        let fired = potential[n] >= threshold[n];
        let leaked = decay(potential[n], leak[n], below[n], WHOLE);
        let reset = if reset_to_zero { 0 } else { leaked.wrapping_sub(threshold[n]) };
        potential[n] = if fired { reset } else { leaked };
        bits[n] = u16::from(fired) << n;
    }
    bits.iter().fold(0, |all, bit| all | bit)
}

#[inline]
fn decay_all(values: &mut Lanes, leak: &Lanes, below: &Lanes, mask: i16) {
    for n in 0..LANES {
        values[n] = decay(values[n], leak[n], below[n], mask);
    }
}
