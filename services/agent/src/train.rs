//! Local learning: a version, an order and the node's own samples become an update. The same ones, the same bytes.
//!
//! Nothing of an earlier job remains: a job programs the network anew, generators and memory included. Only the memory
//! itself is used again.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::{Artifact, Digest, Hold, LocalWork, Metrics, TrainOrder};
use reckon::{Event, Memory, Network, Params};

use crate::data::{Part, Source};
use crate::learner::{LearnError, Model};
use crate::residual::{Residual, split};

/// What training gives: an update and what did not fit into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trained {
    /// The update's lanes, as bytes.
    pub payload: Arc<[u8]>,
    /// The residual that becomes current with the update's receipt.
    pub residual: Residual,
    /// Samples learned from, counted once per epoch.
    pub samples: u32,
    /// What is reported beside; `bytes_down` is 0 here.
    pub metrics: Metrics,
}

impl Trained {
    /// The update of a node whose weights, after learning from `artifact`, are `local`.
    pub(crate) fn from_weights(
        local: &[i8],
        artifact: &Artifact,
        residual: Residual,
        samples: u32,
        metrics: Metrics,
    ) -> Self {
        let residual = residual.for_weights(local.len());
        let (lanes, residual) = split(local, artifact.weights(), &residual);
        let payload = lanes.into_iter().map(i8::cast_unsigned).collect();
        Self { payload, residual, samples, metrics }
    }
}

/// What evaluating gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// Held-out samples tried; 0 when the node holds out none.
    pub samples: u32,
    /// Of these, classified correctly.
    pub correct: u32,
}

/// How to try a version on held-out samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// How many samples, if there are so many.
    pub samples: u32,
    /// The learner's registers to set before.
    pub registers: BTreeMap<String, u32>,
    /// Seed of what the network draws.
    pub seed: u64,
}

impl Trial {
    /// Of the version that an order starts from.
    #[must_use]
    pub fn of_order(order: &TrainOrder) -> Self {
        let LocalWork { evaluate_samples, registers, .. } = &order.work;
        Self { samples: *evaluate_samples, registers: registers.clone(), seed: order.seed }
    }

    /// Of the version of a channel: as it is configured, and with the same draws on every node.
    #[must_use]
    pub fn of_hold(hold: &Hold) -> Self {
        let Digest(bytes) = hold.digest;
        let (first, _) = bytes.split_first_chunk::<8>().expect("a digest has more than 8 bytes");
        let seed = u64::from_le_bytes(*first);
        Self { samples: hold.samples, registers: BTreeMap::new(), seed }
    }
}

/// The memory of a network. It learns for one node after another, each with its own samples.
#[derive(Debug, Default)]
pub struct Bench {
    weights: Vec<i8>,
    words: Vec<i16>,
    events: Vec<Event>,
}

impl Bench {
    /// A bench that takes its memory with its first job.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns from `source` as `order` says, from the version `artifact`: from as many samples as it asks for, or from all, where
    /// there are fewer, and claims these. `stop` is asked between samples.
    ///
    /// # Errors
    /// [`LearnError`]: the model, the order and the data do not fit together, or it was stopped.
    pub fn train(
        &mut self,
        source: &Source,
        artifact: &Artifact,
        order: &TrainOrder,
        residual: Residual,
        stop: &dyn Fn() -> bool,
    ) -> Result<Trained, LearnError> {
        let model = Model::read(artifact)?;
        check(source, &model, artifact, order)?;
        let params = model.to_train(order)?;
        let draw = source.draw(order);
        let (mut network, events) = self.network(&params, &model);
        let mut metrics = Metrics::default();
        for _epoch in 0..order.work.epochs {
            for index in (0..).map_while(|i| draw.index(i)) {
                if stop() {
                    return Err(LearnError::Stopped);
                }
                let sample = source.sample(Part::Training, index, events);
                let report = network.run(&sample);
                metrics.correct += u64::from(report.label == sample.label);
                metrics.synaptic_ops = metrics.synaptic_ops.saturating_add(report.synaptic_ops);
            }
        }
        let mut local = vec![0; artifact.weights().len()];
        let (input, rest) = local.split_at_mut(model.weights.input.len());
        let (recurrent, output) = rest.split_at_mut(model.weights.recurrent.len());
        network.read_weights(input, recurrent, output).expect("the model's shape was checked");
        Ok(Trained::from_weights(&local, artifact, residual, source.claims(order), metrics))
    }

    /// Tries the version `artifact` on held-out samples of `source`, as many as `trial` asks for and there are.
    ///
    /// # Errors
    /// As [`Bench::train`].
    pub fn evaluate(
        &mut self,
        source: &Source,
        artifact: &Artifact,
        trial: &Trial,
        stop: &dyn Fn() -> bool,
    ) -> Result<Evaluated, LearnError> {
        let model = Model::read(artifact)?;
        check_data(source, &model)?;
        let params = model.to_evaluate(trial)?;
        let samples = source.held_out(trial.samples);
        let (mut network, events) = self.network(&params, &model);
        let mut correct = 0;
        for index in 0..samples {
            if stop() {
                return Err(LearnError::Stopped);
            }
            let sample = source.sample(Part::HeldOut, index.into(), events);
            correct += u32::from(network.run(&sample).label == sample.label);
        }
        Ok(Evaluated { samples, correct })
    }

    fn network(&mut self, params: &Params, model: &Model<'_>) -> (Network<'_>, &mut Vec<Event>) {
        let needed = Network::memory_len(params.shape());
        if self.weights.len() < needed.weights || self.words.len() < needed.words {
            self.weights = vec![0; needed.weights];
            self.words = vec![0; needed.words];
        }
        let memory = Memory { weights: &mut self.weights, words: &mut self.words };
        let mut network =
            Network::new(params, memory).expect("the memory is as large as the network says");
        let weights = model.weights;
        network
            .load_weights(weights.input, weights.recurrent, weights.output)
            .expect("the model's shape was checked");
        (network, &mut self.events)
    }
}

/// What must hold before anything runs. An order for more than its update may claim is wrong whatever the node has.
fn check(
    source: &Source,
    model: &Model<'_>,
    artifact: &Artifact,
    order: &TrainOrder,
) -> Result<(), LearnError> {
    let got = u64::try_from(artifact.weights().len()).expect("a length fits 64 bits");
    if got != order.weights {
        return Err(LearnError::Weights { expected: order.weights, got });
    }
    check_data(source, model)?;
    let (samples, epochs, samples_max) = (order.work.samples, order.work.epochs, order.samples_max);
    let asked = samples.checked_mul(epochs).filter(|&asked| asked > 0 && asked <= samples_max);
    asked.map(|_| ()).ok_or(LearnError::Samples { samples, epochs, samples_max })
}

/// Whether the samples fit the network.
fn check_data(source: &Source, model: &Model<'_>) -> Result<(), LearnError> {
    let (channels, classes) = source.shape();
    let reckon::Shape { inputs, outputs, .. } = model.params.shape();
    if channels > inputs || u16::from(classes) > outputs {
        return Err(LearnError::Data { channels, classes, inputs, outputs });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
