//! STEP: leak, fire, reset and trace decay of all neurons, once per tick (SPEC 4).
//!
//! srnn.v:746-757, 1034-1036, 1094-1111, 1135-1157, 1188-1240.

use crate::fixed::{NEVER_UP, decay, low16};
use crate::flags::Flags;
use crate::kernels::Kernels;
use crate::lfsr::{Planes, Rounding, STREAMS, Streams, WORDS_MAX, draw};
use crate::memory::{LANES, Lanes, Neurons, PairWord};
use crate::settings::Settings;

/// Slots of a block: the two lanes of 16 rounding words.
pub(crate) const BLOCK: usize = 32;
/// Width of the input and recurrent traces.
const TRACE_12: i16 = 0xFFF;
/// Width of the output traces.
const TRACE_10: i16 = 0x3FF;
/// Width of a potential.
const WHOLE: i16 = -1;

/// Rounding words for all slots (or outputs) of a step: lane 0 in the low half, each at the top of
/// its 16 bits.
pub(crate) type Words = [u32; WORDS_MAX];

/// The words that switch rounding off: [`NEVER_UP`] in both lanes.
static NEVER: Words = [u32::MAX; WORDS_MAX];
const _: () = assert!(NEVER_UP == u16::MAX, "both halves of u32::MAX");

/// What a step works on: whole blocks, whether or not the scan completes the last one.
#[derive(Debug)]
pub(crate) struct Step<'a, 'm> {
    pub(crate) neurons: &'a mut Neurons<'m>,
    /// `v`; those above nO are 0 and stay so.
    pub(crate) outputs: &'a mut Lanes,
    /// Number of blocks of slots.
    pub(crate) blocks: usize,
    /// Of membranes, input traces, recurrent traces, output traces; one word per pair.
    pub(crate) words: [&'a Words; 4],
    /// Of output potentials; one word per output, of which lane 0 counts.
    pub(crate) output_words: &'a Words,
    /// Instead of all words, if rounding is on and the kernels keep their generators so; to be moved
    /// on by a step.
    pub(crate) planes: Option<&'a mut Planes>,
    /// Some leak factor is exactly 1.0. The membrane's words are in `words` nevertheless, all ones
    /// where they are not used, and its generator has moved on.
    pub(crate) held: bool,
    /// Some trace may be other than 0.
    pub(crate) traces_live: bool,
    pub(crate) reset_to_zero: bool,
    /// SPI_KAPPA.
    pub(crate) kappa: i16,
    /// To be filled: bit n of element b, slot 32 b + n fired.
    pub(crate) fired: [u32; 8],
    /// To be filled: all elements of `fired`, by or.
    pub(crate) any: u32,
}

/// Steps every pair of slots that the chip's scan completes, and the outputs, and returns the word
/// that the scan read last: that of pair nS >> 1 as it was before, raw (SPEC 6.4).
///
/// An even nS means an odd number of slots: their last pair is read but not written, and its spike
/// flags stay 0. `traces_live` says that some trace may be other than 0.
pub(crate) fn all(
    neurons: &mut Neurons<'_>,
    outputs: &mut Lanes,
    spikes: &mut Flags,
    rounding: &mut Rounding,
    settings: &Settings,
    traces_live: bool,
    kernels: &Kernels,
) -> PairWord {
    let last_pair = settings.last_stepped >> 1;
    let restored = settings.last_stepped & 1 == 0;
    let stale = if restored || settings.every_step {
        neurons.read(last_pair)
    } else {
        // Nobody looks at it.
        PairWord::default()
    };
    *spikes = Flags::EMPTY;
    let pairs = settings.last_stepped.div_ceil(2);
    neurons.start(settings.stepped_pairs);

    // A pair whose leak is exactly 1.0 does not use up the membrane's word.
    let held = settings.stochastic && !neurons.all_leak;
    let (leaking, drawn) = if held { leaking(neurons, pairs) } else { (0, pairs) };
    let held_words;
    let mut words = [&NEVER; STREAMS];
    let mut planes = None;
    if settings.stochastic {
        match rounding {
            Rounding::Streams(streams) => {
                let [_, potentials] = words_per_step(settings);
                let counts = [drawn, pairs, pairs, pairs, potentials];
                let firsts = draw(streams, counts, kernels.extend);
                for (words, (stream, first)) in words.iter_mut().zip(streams.iter().zip(firsts)) {
                    *words = stream.words(first);
                }
                if held {
                    held_words = spread(words[0], leaking);
                    words[0] = &held_words;
                }
                if settings.kappa == 128 {
                    words[3] = &NEVER;
                    words[4] = &NEVER;
                }
            }
            Rounding::Planes(all) => {
                if held {
                    held_words = all.draw_membrane(leaking);
                    words[0] = &held_words;
                }
                planes = Some(&mut *all);
            }
        }
    }

    let [membrane, input, recurrent, output, potential] = words;
    let mut step = Step {
        neurons,
        outputs,
        blocks: pairs.div_ceil(BLOCK / 2),
        words: [membrane, input, recurrent, output],
        output_words: potential,
        planes,
        held,
        traces_live,
        reset_to_zero: settings.reset_to_zero,
        kappa: settings.kappa,
        fired: [0; 8],
        any: 0,
    };
    (kernels.step)(&mut step);
    let Step { neurons, fired, any, .. } = step;
    if any != 0 {
        *spikes = Flags::from_blocks(fired).both(&settings.stepped);
    }
    if restored {
        // The kernels work on whole blocks, so they may have run over the pair that the chip does
        // not write.
        neurons.write(last_pair, &stale);
    }
    stale
}

/// Rounding words that a step takes, unless pairs are held: for each pair, and for each output.
pub(crate) fn words_per_step(settings: &Settings) -> [usize; 2] {
    let outputs = settings.last_stepped.min(15).saturating_add(1);
    let potentials = if settings.kappa == 128 { 0 } else { outputs };
    [settings.last_stepped.div_ceil(2), potentials]
}

/// Which of the first `pairs` pairs have a leak other than 1.0, and how many.
fn leaking(neurons: &Neurons<'_>, pairs: usize) -> (u128, usize) {
    let leaks = neurons.leak.as_flattened().as_chunks::<2>().0.iter().take(pairs);
    leaks.enumerate().fold((0, 0), |(set, count), (pair, leak)| {
        if leak[0] == 0 { (set, count) } else { (set | 1 << pair, count.saturating_add(1)) }
    })
}

/// Deals `words` out to the pairs in `leaking`; the others use none.
fn spread(words: &Words, leaking: u128) -> Words {
    let mut dealt = NEVER;
    let mut words = words.iter();
    for (pair, dealt) in dealt.iter_mut().enumerate() {
        if leaking >> pair & 1 == 1
            && let Some(&word) = words.next()
        {
            *dealt = word;
        }
    }
    dealt
}

/// [`Kernels::extend`] in plain code.
#[expect(clippy::arithmetic_side_effects, reason = "places in a stream")]
pub(crate) fn extend(streams: &mut Streams, counts: &[usize; STREAMS]) {
    for (stream, &count) in streams.iter_mut().zip(counts) {
        let making = stream.make();
        let [a, b, c] = making.from;
        for n in 0..count {
            making.words[making.to + n] =
                making.words[a + n] ^ making.words[b + n] ^ making.words[c + n];
        }
    }
}

/// [`Kernels::step`] in plain code.
pub(crate) fn blocks(step: &mut Step<'_, '_>) {
    let neurons = &mut *step.neurons;
    let kappa_leak = [i32::from(step.kappa).wrapping_sub(128) << 9; LANES];
    for group in 0..step.blocks.saturating_mul(2) {
        let leak = neurons.leak[group].map(i32::from);
        let [membrane, input, recurrent, output] =
            step.words.map(|words| lanes(&words.as_chunks().0[group]));
        let fired = fire(
            &mut neurons.potential[group],
            &leak,
            &neurons.threshold[group],
            &membrane,
            step.reset_to_zero,
        );
        step.fired[group >> 1] |= u32::from(fired) << ((group & 1) << 4);
        step.any |= u32::from(fired);
        if step.traces_live {
            decay_all(&mut neurons.input_trace[group], &leak, &input, TRACE_12);
            decay_all(&mut neurons.recurrent_trace[group], &leak, &recurrent, TRACE_12);
            decay_all(&mut neurons.output_trace[group], &kappa_leak, &output, TRACE_10);
        }
    }
    let mut random = [0; LANES];
    for (random, &word) in random.iter_mut().zip(step.output_words) {
        *random = low16(word);
    }
    decay_all(step.outputs, &kappa_leak, &random, WHOLE);
}

/// One leak, comparison and reset of 16 potentials; bit n of the result: lane n fired. The
/// comparison is with the potential before the leak.
#[inline]
fn fire(
    potential: &mut Lanes,
    leak: &[i32; LANES],
    threshold: &Lanes,
    random: &[u16; LANES],
    reset_to_zero: bool,
) -> u16 {
    let mut bits = [0_u16; LANES];
    for n in 0..LANES {
        let fired = potential[n] >= threshold[n];
        let leaked = decay(potential[n], leak[n], random[n], WHOLE);
        let reset = if reset_to_zero { 0 } else { leaked.wrapping_sub(threshold[n]) };
        potential[n] = if fired { reset } else { leaked };
        bits[n] = u16::from(fired) << n;
    }
    bits.iter().fold(0, |all, bit| all | bit)
}

#[inline]
fn decay_all(values: &mut Lanes, leak: &[i32; LANES], random: &[u16; LANES], mask: i16) {
    for n in 0..LANES {
        values[n] = decay(values[n], leak[n], random[n], mask);
    }
}

/// Both lanes of the rounding words of eight pairs.
fn lanes(words: &[u32; LANES / 2]) -> [u16; LANES] {
    let mut lanes = [0; LANES];
    for ([even, odd], &word) in lanes.as_chunks_mut().0.iter_mut().zip(words) {
        *even = low16(word);
        *odd = low16(word >> 16);
    }
    lanes
}
