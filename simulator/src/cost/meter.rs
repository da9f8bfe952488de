//! Runs the chip's model and counts.
//!
//! A sample is driven as `reckon` drives it itself, tick by tick, so that what goes on inside can be seen; a test holds
//! the two together.

use std::collections::BTreeMap;

use agent::learner::{LearnError, Model, Weights};
use agent::train::Trial;
use federation::{
    Artifact, Digest, LocalWork, ModelName, RoundRef, RunId, TrainOrder, VersionNumber,
};
use reckon::{Memory, Network, Params, Pins, Shape, StepReport};
use tasks::Sample;

use super::{Counts, Footprint, NeuroBench};
use crate::report::Trace;

/// A network with memory of its own.
#[derive(Debug)]
pub struct Chip {
    params: Params,
    weights: Vec<i8>,
    words: Vec<i16>,
    input: Vec<i8>,
    recurrent: Vec<i8>,
    output: Vec<i8>,
}

impl Chip {
    /// A chip with these registers and weights.
    #[must_use]
    pub fn new(params: Params, weights: Weights<'_>) -> Self {
        let needed = Network::memory_len(params.shape());
        Self {
            params,
            weights: vec![0; needed.weights],
            words: vec![0; needed.words],
            input: weights.input.to_vec(),
            recurrent: weights.recurrent.to_vec(),
            output: weights.output.to_vec(),
        }
    }

    /// A chip that infers with a version, as a node that evaluates it is programmed.
    ///
    /// # Errors
    /// [`LearnError`] when the artifact is no network.
    pub fn to_infer(artifact: &Artifact, seed: u64) -> Result<Self, LearnError> {
        let model = Model::read(artifact)?;
        let trial = Trial { samples: 0, registers: BTreeMap::new(), seed };
        Ok(Self::new(model.to_evaluate(&trial)?, model.weights))
    }

    /// A chip that learns from a version, as a node is programmed that an order gives these registers.
    ///
    /// # Errors
    /// [`LearnError`] when the artifact is no network or has no such registers.
    pub fn to_learn(
        artifact: &Artifact,
        registers: &BTreeMap<String, u32>,
        seed: u64,
    ) -> Result<Self, LearnError> {
        let model = Model::read(artifact)?;
        let order = order(1, 1, registers, seed);
        Ok(Self::new(model.to_train(&order)?, model.weights))
    }

    /// The shape of its network.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.params.shape()
    }

    /// Runs samples in a circle until `enough` of the last one answers. Of no samples, at once.
    pub fn learn_while<T: Default>(
        &mut self,
        samples: &[Sample],
        mut enough: impl FnMut(&Sample) -> Option<T>,
    ) -> T {
        let mut network = self.network();
        for sample in samples.iter().cycle() {
            network.run(&sample.as_sample());
            if let Some(answer) = enough(sample) {
                return answer;
            }
        }
        T::default()
    }

    /// Its network, with the weights it began with.
    #[must_use]
    pub fn network(&mut self) -> Network<'_> {
        let memory = Memory { weights: &mut self.weights, words: &mut self.words };
        let mut network =
            Network::new(&self.params, memory).expect("the memory is as large as the network says");
        network
            .load_weights(&self.input, &self.recurrent, &self.output)
            .expect("the weights are those of the shape");
        network
    }

    /// Runs samples, one after the other, and counts. A chip that learns goes on learning.
    pub fn count<'s>(&mut self, samples: impl IntoIterator<Item = &'s Sample>) -> Counts {
        let recurrent = self.params.shape().recurrent;
        let mut network = self.network();
        let mut counts = Counts::default();
        for sample in samples {
            drive(&mut network, sample, |tick| counts.take(tick, recurrent));
            counts.samples += 1;
        }
        counts
    }

    /// Runs samples, and counts as NeuroBench does too. For a chip that infers: weights are taken to stay.
    pub fn benchmark<'s>(
        &mut self,
        samples: impl IntoIterator<Item = &'s Sample>,
    ) -> (Counts, NeuroBench) {
        let shape = self.params.shape();
        let [inputs, recurrent, outputs] =
            [shape.inputs, shape.recurrent, shape.outputs].map(u64::from);
        let fan_out = |weights: &[i8], columns: u64| -> Vec<u64> {
            let columns = usize::try_from(columns).unwrap_or(1).max(1);
            weights.chunks(columns).map(nonzero).collect()
        };
        let input_fan = fan_out(&self.input, recurrent);
        let hidden_fan: Vec<u64> = fan_out(&self.recurrent, recurrent)
            .into_iter()
            .zip(fan_out(&self.output, outputs))
            .map(|(hidden, output)| hidden + output)
            .collect();
        let connections = (inputs + recurrent + outputs) * recurrent;
        let connected = nonzero(&self.input) + nonzero(&self.recurrent) + nonzero(&self.output);

        let mut network = self.network();
        let mut counts = Counts::default();
        let (mut effective_acs, mut steps, mut activations) = (0, 0, 0);
        for sample in samples {
            drive(&mut network, sample, |tick| {
                counts.take(tick, shape.recurrent);
                if !tick.first {
                    activations += recurrent;
                }
                if tick.last {
                    return;
                }
                steps += 1;
                let inputs =
                    tick.inputs.iter().filter_map(|&slot| input_fan.get(usize::from(slot)));
                let spikes =
                    tick.spikes.iter().filter_map(|&slot| hidden_fan.get(usize::from(slot)));
                effective_acs += inputs.chain(spikes).sum::<u64>();
            });
            counts.samples += 1;
        }
        let figures = NeuroBench {
            footprint_bytes: Footprint::of(shape).bytes(),
            connection_sparsity: 1.0 - ratio(connected, connections),
            activation_sparsity: 1.0 - ratio(counts.spikes, activations),
            effective_macs: 0,
            effective_acs,
            dense: steps * connections,
            samples: counts.samples,
            steps,
        };
        (counts, figures)
    }

    /// What the network does with one sample.
    #[must_use]
    pub fn trace(&mut self, version: u64, sample: &Sample) -> Trace {
        let shape = self.params.shape();
        let mut network = self.network();
        let outputs = usize::from(shape.outputs);
        let mut trace = Trace {
            version,
            label: sample.label,
            ticks: sample.ticks,
            inputs: shape.inputs,
            recurrent: shape.recurrent,
            outputs: shape.outputs,
            target_valid: [sample.target_valid.start, sample.target_valid.end],
            infer_acc: [sample.infer_acc.start, sample.infer_acc.end],
            potentials: vec![Vec::new(); outputs],
            ..Trace::default()
        };
        trace.inferred = drive(&mut network, sample, |tick| {
            trace.events.extend(tick.inputs.iter().map(|&slot| [tick.number, slot.into()]));
            let spikes = tick.spikes.iter().filter(|&&slot| u16::from(slot) < shape.recurrent);
            trace.spikes.extend(spikes.map(|&slot| [tick.number, slot.into()]));
            for (output, potential) in trace.potentials.iter_mut().zip(tick.potentials) {
                output.push(potential);
            }
        });
        trace
    }
}

/// An order as a node gets it in a round: so many samples, with these registers and this seed.
#[must_use]
pub fn order(
    number: u32,
    samples: u32,
    registers: &BTreeMap<String, u32>,
    seed: u64,
) -> TrainOrder {
    let registers = registers.clone();
    TrainOrder {
        round: RoundRef { run: RunId(1), number, attempt: 1 },
        model: "metered".parse::<ModelName>().expect("it is a name"),
        base_version: VersionNumber(1),
        base: Digest([0; 32]),
        weights: 0,
        work: LocalWork { samples, epochs: 1, evaluate_samples: 0, registers },
        seed,
        samples_max: samples,
        deadline_in_ms: 0,
    }
}

/// What one tick did.
#[derive(Debug)]
struct Tick<'a> {
    number: u32,
    first: bool,
    /// Nothing is integrated any more.
    last: bool,
    /// Slots of input events that were integrated, ascending.
    inputs: &'a [u8],
    /// Slots that fired in STEP, ascending.
    spikes: &'a [u8],
    /// Output potentials after STEP.
    potentials: [i16; 16],
    report: StepReport,
}

impl Counts {
    fn take(&mut self, tick: &Tick<'_>, recurrent: u16) {
        let reckon::Cycles { step, sdone, prop, eprop } = tick.report.cycles;
        let number = |count: usize| u64::try_from(count).expect("a count fits 64 bits");
        let neurons = tick.spikes.iter().filter(|&&slot| u16::from(slot) < recurrent);
        self.ticks += 1;
        self.input_events += number(tick.inputs.len());
        self.spikes += number(neurons.count());
        self.synaptic_ops += tick.report.synaptic_ops;
        self.weights_drawn += tick.report.weights_drawn;
        self.cycles.step += step;
        self.cycles.sdone += sdone;
        self.cycles.prop += prop;
        self.cycles.eprop += eprop;
    }
}

/// Drives one sample through the network, as [`Network::run`] does, and shows every tick. Returns the class.
fn drive(network: &mut Network<'_>, sample: &Sample, mut see: impl FnMut(&Tick<'_>)) -> u8 {
    if sample.ticks < 2 {
        return 0;
    }
    let shape = network.params().shape();
    let slots = shape.inputs.max(shape.recurrent);
    network.label(sample.label);
    let mut events = sample.events.iter().peekable();
    let (mut inputs, mut spikes) = (Vec::new(), Vec::new());
    for number in 0..sample.ticks {
        inputs.clear();
        spikes.clear();
        while let Some(event) = events.next_if(|event| event.tick <= number) {
            network.event(event.address);
            inputs.push(event.address);
        }
        inputs.sort_unstable();
        inputs.dedup();
        inputs.retain(|&slot| u16::from(slot) < slots);
        let last = number == sample.ticks - 1;
        if last {
            // They come too late to be integrated.
            inputs.clear();
        }
        let pins = Pins {
            target_valid: sample.target_valid.contains(&number),
            infer_acc: sample.infer_acc.contains(&number),
            last,
        };
        let mut potentials = [0; 16];
        let report = network.tick_with(pins, &mut |network| {
            let fired = (0..slots).filter_map(|slot| {
                let slot = u8::try_from(slot).ok()?;
                network.spiked(slot).then_some(slot)
            });
            spikes.extend(fired);
            potentials = *network.potentials();
        });
        see(&Tick {
            number,
            first: number == 0,
            last,
            inputs: &inputs,
            spikes: &spikes,
            potentials,
            report,
        });
    }
    network.inferred()
}

fn nonzero(weights: &[i8]) -> u64 {
    let count = weights.iter().filter(|&&weight| weight != 0).count();
    u64::try_from(count).expect("a count fits 64 bits")
}

#[expect(clippy::cast_precision_loss, reason = "a share, shown with three digits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
