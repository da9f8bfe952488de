//! PROP: integration of this tick's input events and recurrent spikes (SPEC 5).
//!
//! srnn.v:968-1028, 1069-1094, 1136-1170, 1188-1240.

use crate::fixed::{count, low16};
use crate::flags::Flags;
use crate::kernels::Kernels;
use crate::lfsr::NoiseGenerator;
use crate::memory::{LANES, Lanes, Neurons, WeightLanes, Weights};
use crate::settings::Settings;

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

/// What a kernel adds to the potentials: rows of weights, in order.
#[derive(Debug)]
pub(crate) struct Excitation<'a> {
    /// Whole blocks of two groups, at least as many as a row has.
    pub(crate) potentials: &'a mut [Lanes],
    /// The last of the potentials that changes.
    pub(crate) reached: usize,
    /// All hidden weights, in rows of `groups` groups.
    pub(crate) rows: &'a [WeightLanes],
    pub(crate) groups: usize,
    /// Slots of an input event, and of a spike: both have a row of weights to add, in the order of
    /// the slots. Where a slot has both, their weights are added first, saturating.
    pub(crate) inputs: &'a Flags,
    pub(crate) spikes: &'a Flags,
    /// Where in `rows` the rows of the input matrix and of the recurrent one start, in groups.
    pub(crate) first: [usize; 2],
    /// Left shift of their weights, 0..=7.
    pub(crate) shift: [u32; 2],
    /// What the same spikes add to the outputs.
    pub(crate) output: OutputExcitation<'a>,
}

/// What a kernel adds to the output potentials: rows of output weights, in order.
#[derive(Debug)]
pub(crate) struct OutputExcitation<'a> {
    /// `v`.
    pub(crate) outputs: &'a mut Lanes,
    /// The last of them that changes.
    pub(crate) last: usize,
    pub(crate) rows: &'a [WeightLanes],
    /// The neurons whose rows are added, in order.
    pub(crate) spikes: &'a Flags,
    /// Left shift of the weights, 0..=7.
    pub(crate) shift: u32,
}

/// What a kernel adds to the traces: an event raises those of its slot.
#[derive(Debug)]
pub(crate) struct Raise<'a, 'm> {
    pub(crate) neurons: &'a mut Neurons<'m>,
    pub(crate) inputs: &'a Flags,
    pub(crate) spikes: &'a Flags,
    /// Of the input trace, for an input event; of the recurrent and the output trace, for a spike.
    pub(crate) increments: [i16; 3],
}

/// The greatest values of the three traces.
pub(crate) const TRACE_MAX: [i16; 3] = [4095, 4095, 1023];

/// What PROP works on, but for the events and spikes.
#[derive(Debug)]
pub(crate) struct Prop<'a, 'm> {
    pub(crate) settings: &'a Settings,
    pub(crate) kernels: &'a Kernels,
    pub(crate) neurons: &'a mut Neurons<'m>,
    pub(crate) weights: &'a Weights<'m>,
    pub(crate) outputs: &'a mut Lanes,
    pub(crate) noise: &'a mut NoiseGenerator,
}

impl Prop<'_, '_> {
    /// Visits the slots with a spike or an input event, in order. The scan clears the flags it
    /// sees, and none beyond it is looked at before the next tick replaces it, so that the caller
    /// need not keep any.
    #[inline]
    pub(crate) fn run(&mut self, spikes: Flags, inputs: Flags) -> Propagated {
        if spikes.union(&inputs).is_empty() {
            let cycles = one_more(self.settings.last_scanned);
            return Propagated { cycles, ..Propagated::default() };
        }
        self.visit(spikes, inputs)
    }

    fn visit(&mut self, spikes: Flags, inputs: Flags) -> Propagated {
        let spikes = spikes.both(&self.settings.scanned);
        let inputs = inputs.both(&self.settings.scanned);
        if spikes.union(&inputs).is_empty() {
            let cycles = one_more(self.settings.last_scanned);
            return Propagated { cycles, ..Propagated::default() };
        }
        self.neurons.start(self.settings.recurrent_pairs);
        (self.kernels.propagate)(self, &spikes, &inputs)
    }

    /// All of PROP for slots that the scan visits, some of them active, with the loops of a kernel,
    /// which this becomes part of: its bits are counted by one instruction there.
    #[inline(always)]
    pub(crate) fn propagate(
        &mut self,
        spikes: &Flags,
        inputs: &Flags,
        excite: impl FnOnce(&mut Excitation<'_>),
        raise: impl FnOnce(&mut Raise<'_, '_>),
    ) -> Propagated {
        let settings = self.settings;
        let done = account(spikes, inputs, settings);
        // A slot that is no neuron, or no input, has a row of the chip's memory where nothing was
        // ever written.
        let from_neurons = spikes.both(&settings.neurons);
        let from_inputs = inputs.both(&settings.inputs);
        let mut output = OutputExcitation {
            outputs: self.outputs,
            last: settings.last_output,
            rows: self.weights.output,
            spikes: &from_neurons,
            shift: settings.output_weight_shift,
        };
        if let Some(shift) = settings.noise_shift {
            let neurons = &mut *self.neurons;
            excite_noisy(neurons, self.weights, spikes, inputs, self.noise, shift, settings);
            excite_outputs(&mut output);
        } else {
            let groups = self.weights.groups;
            excite(&mut Excitation {
                potentials: self.neurons.potential,
                // Both lanes of the last pair are written, also when the second is not a neuron.
                reached: settings.last_recurrent | 1,
                rows: self.weights.hidden,
                groups,
                inputs: &from_inputs,
                spikes: &from_neurons,
                first: [0, self.weights.inputs.saturating_mul(groups)],
                shift: [settings.input.weight_shift, settings.recurrent.weight_shift],
                output,
            });
        }
        if done.traced {
            let increments =
                [settings.input_increment, settings.recurrent_increment, settings.output_increment];
            // The scan over the neurons passes both slots of their last pair.
            let passed = &settings.neuron_pairs;
            let (inputs, spikes) = (&inputs.both(passed), &spikes.both(passed));
            raise(&mut Raise { neurons: self.neurons, inputs, spikes, increments });
        }
        if settings.input_increment != 0 && settings.last_input > settings.last_recurrent {
            supplement(self.neurons, inputs.without(&settings.neurons), settings);
        }
        done
    }
}

/// Clock cycles, synaptic operations, and whether traces rise.
#[inline(always)]
#[expect(clippy::arithmetic_side_effects, reason = "at most 256 slots are counted")]
fn account(spikes: &Flags, inputs: &Flags, settings: &Settings) -> Propagated {
    let number = |flags: &Flags| u64::from(flags.count());
    let (spiking, firing) = (number(spikes), number(inputs));
    let active = spiking + firing - number(&spikes.both(inputs));
    let mut cycles = one_more(settings.last_scanned);
    cycles += active * 2 * one_more(settings.last_recurrent >> 1);
    if settings.input_increment != 0 && settings.last_input > settings.last_recurrent {
        // The supplementary steps of input channels above the last neuron.
        cycles += 2 * number(&inputs.without(&settings.neurons));
    }
    let hidden = (spiking + firing) * one_more(settings.last_recurrent);
    Propagated {
        cycles,
        synaptic_ops: hidden + spiking * one_more(settings.last_output),
        traced: settings.input_increment != 0 && firing != 0
            || settings.recurrent_increment | settings.output_increment != 0 && spiking != 0,
    }
}

/// A number of slots or outputs from the last one's.
fn one_more(last: usize) -> u64 {
    count(last).saturating_add(1)
}

/// A weight times 2^`shift`, 0..=7: at most 15 bits, so nothing is lost.
fn scaled(weight: i8, shift: u32) -> i16 {
    i16::from(weight).wrapping_shl(shift)
}

/// [`Kernels::propagate`] in plain code.
pub(crate) fn propagate(prop: &mut Prop<'_, '_>, spikes: &Flags, inputs: &Flags) -> Propagated {
    prop.propagate(spikes, inputs, excite, raise)
}

fn excite(job: &mut Excitation<'_>) {
    let potentials = &mut job.potentials.as_flattened_mut()[..=job.reached];
    let row = |matrix: usize, slot: usize| {
        let start = slot.saturating_mul(job.groups).saturating_add(job.first[matrix]);
        job.rows[start..start.saturating_add(job.groups)].as_flattened()
    };
    let mut active = job.spikes.union(job.inputs);
    while let Some(slot) = active.pop_first() {
        let spike = usize::from(job.spikes.has(slot));
        let (weights, shift) = (row(spike, slot), job.shift[spike]);
        if spike == 0 || !job.inputs.has(slot) {
            for (potential, &weight) in potentials.iter_mut().zip(weights) {
                *potential = potential.saturating_add(scaled(weight, shift));
            }
        } else {
            // The weights are added first, so that only their sum can saturate.
            for ((potential, &a), &b) in potentials.iter_mut().zip(weights).zip(row(0, slot)) {
                let weight = scaled(a, shift).saturating_add(scaled(b, job.shift[0]));
                *potential = potential.saturating_add(weight);
            }
        }
    }
    excite_outputs(&mut job.output);
}

fn raise(job: &mut Raise<'_, '_>) {
    let neurons = &mut *job.neurons;
    let fields = [
        (&mut *neurons.input_trace, job.inputs),
        (&mut *neurons.recurrent_trace, job.spikes),
        (&mut *neurons.output_trace, job.spikes),
    ];
    for (((field, flags), increment), max) in fields.into_iter().zip(job.increments).zip(TRACE_MAX)
    {
        let traces = field.as_flattened_mut();
        let mut left = *flags;
        while let Some(slot) = left.pop_first() {
            traces[slot] = traces[slot].saturating_add(increment).min(max);
        }
    }
}

fn excite_outputs(job: &mut OutputExcitation<'_>) {
    let mut spikes = *job.spikes;
    while let Some(slot) = spikes.pop_first() {
        for (potential, &weight) in job.outputs[..=job.last].iter_mut().zip(&job.rows[slot]) {
            *potential = potential.saturating_add(scaled(weight, job.shift));
        }
    }
}

/// The same with noise, for every active slot, rows or not: one word per pair, its low half for the
/// even slot.
fn excite_noisy(
    neurons: &mut Neurons<'_>,
    weights: &Weights<'_>,
    spikes: &Flags,
    inputs: &Flags,
    noise: &mut NoiseGenerator,
    shift: u32,
    settings: &Settings,
) {
    static NO_ROW: [WeightLanes; LANES] = [[0; LANES]; LANES];
    let pick = |matrix: &[WeightLanes], slots: &Flags, slot: usize| {
        let start = slot.saturating_mul(weights.groups);
        let row = slots.has(slot).then(|| matrix.get(start..start.saturating_add(weights.groups)));
        row.flatten().map_or(NO_ROW, |row| {
            let mut copy = NO_ROW;
            copy[..row.len()].copy_from_slice(row);
            copy
        })
    };
    let mut active = spikes.union(inputs);
    while let Some(slot) = active.pop_first() {
        let recurrent = pick(weights.recurrent(), spikes, slot);
        let input = pick(weights.input(), inputs, slot);
        let (a, b) = (recurrent.as_flattened(), input.as_flattened());
        let reached = settings.last_recurrent | 1;
        let potentials = &mut neurons.potential.as_flattened_mut()[..=reached];
        let mut word = 0;
        for (column, potential) in potentials.iter_mut().enumerate() {
            word = if column & 1 == 0 { noise.draw() } else { word >> 16 };
            let weight = scaled(a[column], settings.recurrent.weight_shift)
                .saturating_add(scaled(b[column], settings.input.weight_shift));
            *potential = add_noisy(*potential, weight, low16(word).cast_signed() >> shift);
        }
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

/// The chip's extra step for input channels above the last neuron. It writes the traces of the pair
/// but not its potentials, so that what the memory held before becomes visible.
fn supplement(neurons: &mut Neurons<'_>, mut inputs: Flags, settings: &Settings) {
    while let Some(slot) = inputs.pop_first() {
        neurons.start_traces(slot >> 1);
        let trace = &mut neurons.input_trace.as_flattened_mut()[slot];
        *trace = trace.saturating_add(settings.input_increment).min(4095);
    }
}
