//! PROP: integration of this tick's input events and recurrent spikes (SPEC 5).
//!
//! srnn.v:968-1028, 1069-1094, 1136-1170, 1188-1240.

use crate::fixed::{count, low16};
use crate::flags::Flags;
use crate::lfsr::NoiseGenerator;
use crate::memory::{LANES, Lanes, Neurons, WeightLanes, Weights};
use crate::settings::{MatrixSettings, Settings};

/// What one PROP did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Propagated {
    /// Clock cycles (SPEC 11).
    pub(crate) cycles: u64,
    /// Weights read and applied.
    pub(crate) synaptic_ops: u64,
    /// Some trace was incremented.
    pub(crate) traced: bool,
}

/// A row of the chip's weight memory that no matrix of the network reaches: nothing was ever
/// written there.
static NO_ROW: [WeightLanes; LANES] = [[0; LANES]; LANES];

/// Visits the slots with a spike or an input event, in order, and clears their flags.
pub(crate) fn propagate(
    neurons: &mut Neurons<'_>,
    weights: &Weights<'_>,
    outputs: &mut Lanes,
    spikes: &mut Flags,
    inputs: &mut Flags,
    noise: &mut NoiseGenerator,
    settings: &Settings,
) -> Propagated {
    let last_pair = settings.last_recurrent >> 1;
    let pair_cycles = count(last_pair).saturating_add(1).saturating_mul(2);
    let hidden_ops = count(settings.last_recurrent).saturating_add(1);
    let output_ops = count(settings.last_output).saturating_add(1);
    let mut done = Propagated {
        cycles: count(settings.last_scanned).saturating_add(1),
        ..Propagated::default()
    };

    let mut active = spikes.union(inputs);
    active.keep_up_to(settings.last_scanned);
    while let Some(slot) = active.pop_first() {
        let spike = spikes.has(slot);
        let input = inputs.has(slot);
        neurons.start_pairs_up_to(last_pair);
        done.cycles = done.cycles.saturating_add(pair_cycles);
        if spike {
            let row = weights.output.get(slot).unwrap_or(&NO_ROW[0]);
            excite_outputs(outputs, row, settings);
            done.synaptic_ops =
                done.synaptic_ops.saturating_add(hidden_ops).saturating_add(output_ops);
        }
        if input {
            done.synaptic_ops = done.synaptic_ops.saturating_add(hidden_ops);
        }

        // Both lanes of the last pair are written, also when the second is not a neuron.
        let reached = last_pair << 1 | 1;
        let potentials = &mut neurons.potential.as_flattened_mut()[..=reached];
        let from_spike = Row::of(weights.recurrent, weights.groups, slot, &settings.recurrent);
        let from_input = Row::of(weights.input, weights.groups, slot, &settings.input);
        match (settings.noise_shift, spike, input) {
            (Some(shift), _, _) => {
                let from_spike = if spike { from_spike } else { Row::NONE };
                let from_input = if input { from_input } else { Row::NONE };
                excite_noisy(potentials, from_spike, from_input, noise, shift);
            }
            (None, true, true) => excite_twice(potentials, from_spike, from_input),
            (None, true, false) => excite(potentials, from_spike),
            (None, false, _) => excite(potentials, from_input),
        }
        done.traced |= trace(neurons, slot, spike, input, settings);
        if input && slot > settings.last_recurrent && settings.input_increment != 0 {
            supplement(neurons, slot, settings);
            done.cycles = done.cycles.saturating_add(2);
            done.traced = true;
        }
    }
    // The scan has cleared the flags it saw; none beyond it is looked at before the next tick
    // replaces it.
    *spikes = Flags::EMPTY;
    *inputs = Flags::EMPTY;
    done
}

/// The weights of one presynaptic slot in a hidden matrix.
#[derive(Clone, Copy)]
struct Row<'a> {
    /// COLS of them, or more 0s than any potential needs.
    weights: &'a [i8],
    shift: u32,
}

impl<'a> Row<'a> {
    const NONE: Row<'static> = Row { weights: NO_ROW.as_flattened(), shift: 0 };

    fn of(
        matrix: &'a [WeightLanes],
        groups: usize,
        slot: usize,
        settings: &MatrixSettings,
    ) -> Row<'a> {
        let first = slot.saturating_mul(groups);
        let row = matrix.get(first..first.saturating_add(groups)).unwrap_or(&NO_ROW);
        Row { weights: row.as_flattened(), shift: settings.weight_shift }
    }
}

/// A weight times 2^`shift`, 0..=7: at most 15 bits, so nothing is lost.
fn scaled(weight: i8, shift: u32) -> i16 {
    i16::from(weight).wrapping_shl(shift)
}

fn excite(potentials: &mut [i16], row: Row<'_>) {
    for (potential, &weight) in potentials.iter_mut().zip(row.weights) {
        *potential = potential.saturating_add(scaled(weight, row.shift));
    }
}

/// A spike and an input event of one slot: their weights are added first, so that only the sum can
/// saturate.
fn excite_twice(potentials: &mut [i16], a: Row<'_>, b: Row<'_>) {
    for ((potential, &from_a), &from_b) in potentials.iter_mut().zip(a.weights).zip(b.weights) {
        let weight = scaled(from_a, a.shift).saturating_add(scaled(from_b, b.shift));
        *potential = potential.saturating_add(weight);
    }
}

/// The same with noise: one word per pair, its low half for the even slot.
fn excite_noisy(
    potentials: &mut [i16],
    a: Row<'_>,
    b: Row<'_>,
    noise: &mut NoiseGenerator,
    shift: u32,
) {
    let mut word = 0;
    for (slot, potential) in potentials.iter_mut().enumerate() {
        word = if slot & 1 == 0 { noise.draw() } else { word >> 16 };
        let weight =
            scaled(a.weights[slot], a.shift).saturating_add(scaled(b.weights[slot], b.shift));
        *potential = add_noisy(*potential, weight, low16(word).cast_signed() >> shift);
    }
}

fn excite_outputs(outputs: &mut Lanes, row: &WeightLanes, settings: &Settings) {
    for (potential, &weight) in
        outputs.iter_mut().zip(row).take(settings.last_output.saturating_add(1))
    {
        *potential = potential.saturating_add(scaled(weight, settings.output_weight_shift));
    }
}

/// The chip's saturation, which judges by the signs of potential and weight alone: a noise that
/// turns the sum of two values of one sign into the other sign counts as overflow.
fn add_noisy(potential: i16, weight: i16, noise: i16) -> i16 {
    let sum = potential.wrapping_add(weight).wrapping_add(noise);
    if potential >= 0 && weight >= 0 && sum < 0 {
        i16::MAX
    } else if potential < 0 && weight < 0 && sum >= 0 {
        i16::MIN
    } else {
        sum
    }
}

/// Increments the traces of a visited slot, if the scan over the neurons passes it.
fn trace(
    neurons: &mut Neurons<'_>,
    slot: usize,
    spike: bool,
    input: bool,
    settings: &Settings,
) -> bool {
    let off =
        settings.input_increment | settings.recurrent_increment | settings.output_increment == 0;
    if off || slot >> 1 > settings.last_recurrent >> 1 {
        return false;
    }
    if input {
        raise(neurons.input_trace, slot, settings.input_increment, 4095);
    }
    if spike {
        raise(neurons.recurrent_trace, slot, settings.recurrent_increment, 4095);
        raise(neurons.output_trace, slot, settings.output_increment, 1023);
    }
    true
}

/// The chip's extra step for an input channel above the last neuron. It writes the traces of the
/// pair but not its potentials, so that what the memory held before becomes visible.
fn supplement(neurons: &mut Neurons<'_>, slot: usize, settings: &Settings) {
    neurons.start_traces(slot >> 1);
    raise(neurons.input_trace, slot, settings.input_increment, 4095);
}

fn raise(field: &mut [Lanes], slot: usize, increment: i16, max: i16) {
    let trace = &mut field.as_flattened_mut()[slot];
    *trace = trace.saturating_add(increment).min(max);
}
