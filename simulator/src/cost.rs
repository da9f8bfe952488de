//! What learning and inference would cost on the chip: clock cycles, synaptic operations, energy, time; and the figures
//! that NeuroBench asks for.
//!
//! Everything counted is an exact integer, counted by the bit-exact model while it runs ([`meter`]). What is derived
//! from counts is a float, in the unit of its name:
//!
//! * **Cycles** are those of the chip's state machine (SPEC section 11): STEP, SDONE, PROP and EPROP. Handshakes and
//!   synchronisers, 2 to 3 cycles per tick and event, come on top on the chip and are not counted.
//! * **Synaptic operations** are weights read and applied: a row of the input matrix per input event, rows of the
//!   recurrent and of the output matrix per spike, zero weights included, as the chip reads them too.
//! * **Energy** is synaptic operations times 5.3 pJ, measured at 0.5 V by C. Frenkel and G. Indiveri, "ReckOn: A 28nm
//!   sub-mm2 task-agnostic spiking recurrent neural network processor", ISSCC 2022. It is an estimate: the chip's figure is
//!   for its own benchmark and covers all of its activity.
//! * **Time** is cycles over a clock; by default the 13 MHz of the chip at 0.5 V.
//! * **NeuroBench** (J. Yik et al., "The NeuroBench framework for benchmarking neuromorphic computing algorithms and
//!   systems", Nature Communications 16, 1545, 2025) defines footprint, connection sparsity, activation sparsity and
//!   synaptic operations of inference; [`NeuroBench`] says how each is taken here.

pub mod meter;
#[cfg(test)]
mod tests;

use reckon::{Network, Shape};
use serde::{Deserialize, Serialize};

/// Energy of one synaptic operation of the chip in picojoules, at 0.5 V: Frenkel and Indiveri, ISSCC 2022.
pub const PICOJOULES_PER_SYNAPTIC_OP: f64 = 5.3;
/// The chip's clock at that voltage, in megahertz.
pub const CLOCK_MHZ: f64 = 13.0;

/// A clock as people write it: above 0, in megahertz.
///
/// # Errors
/// What is wrong with it.
pub fn parse_clock(text: &str) -> Result<f64, String> {
    let clock: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if clock.is_finite() && clock > 0.0 { Ok(clock) } else { Err("it is not above 0".to_owned()) }
}

/// Mean energy of a node in nanojoules for `synaptic_ops` of `updates` nodes together.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "an estimate, shown with four digits")]
pub fn energy_nj(synaptic_ops: u64, updates: u64) -> f64 {
    if updates == 0 {
        return 0.0;
    }
    synaptic_ops as f64 / updates as f64 * PICOJOULES_PER_SYNAPTIC_OP / 1000.0
}

/// Clock cycles by part of the chip's state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cycles {
    /// Leak, fire, reset, trace decay.
    pub step: u64,
    /// The vote.
    pub sdone: u64,
    /// Integration of events and spikes.
    pub prop: u64,
    /// Learning.
    pub eprop: u64,
}

impl Cycles {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.step + self.sdone + self.prop + self.eprop
    }
}

/// What some samples took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Samples.
    pub samples: u64,
    /// Ticks: what the sensor's own time is counted in. A sample of T ticks makes T - 1 steps.
    pub ticks: u64,
    /// Input events that were integrated; two of a channel in one tick count once, as on the chip.
    pub input_events: u64,
    /// Spikes of recurrent neurons.
    pub spikes: u64,
    /// Synaptic operations.
    pub synaptic_ops: u64,
    /// Weights for which a learning pass drew a random word.
    pub weights_drawn: u64,
    /// Clock cycles.
    pub cycles: Cycles,
}

impl Counts {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.ticks += other.ticks;
        self.input_events += other.input_events;
        self.spikes += other.spikes;
        self.synaptic_ops += other.synaptic_ops;
        self.weights_drawn += other.weights_drawn;
        self.cycles.step += other.cycles.step;
        self.cycles.sdone += other.cycles.sdone;
        self.cycles.prop += other.cycles.prop;
        self.cycles.eprop += other.cycles.eprop;
    }
}

/// Counts with what follows from them, per sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Work {
    /// What was counted.
    pub counts: Counts,
    /// Synaptic operations of a sample, mean.
    pub synaptic_ops_per_sample: f64,
    /// Clock cycles of a sample, mean.
    pub cycles_per_sample: f64,
    /// Energy of a sample in nanojoules, mean.
    pub energy_nj_per_sample: f64,
    /// Time of a sample on the chip in milliseconds, mean, if it never waited for the sensor.
    pub chip_ms_per_sample: f64,
    /// How many times faster than the sensor's own time the chip could go; none where the length of a step is unknown.
    pub chip_times_real_time: Option<f64>,
}

impl Work {
    /// What follows from `counts` at a clock of `clock_mhz`, for steps of `step_us` microseconds (0: unknown).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "means and estimates")]
    pub fn of(counts: Counts, clock_mhz: f64, step_us: u64) -> Self {
        let per_sample = |count: u64| {
            if counts.samples == 0 { 0.0 } else { count as f64 / counts.samples as f64 }
        };
        let chip_us = counts.cycles.total() as f64 / clock_mhz;
        let real_us = counts.ticks as f64 * step_us as f64;
        Self {
            counts,
            synaptic_ops_per_sample: per_sample(counts.synaptic_ops),
            cycles_per_sample: per_sample(counts.cycles.total()),
            energy_nj_per_sample: energy_nj(counts.synaptic_ops, counts.samples),
            chip_ms_per_sample: per_sample(counts.cycles.total()) / clock_mhz / 1000.0,
            chip_times_real_time: (step_us > 0 && chip_us > 0.0).then(|| real_us / chip_us),
        }
    }
}

/// The figures that NeuroBench asks of an algorithm, over inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NeuroBench {
    /// Memory of the model in bytes: weights, neurons' parameters and the state that it keeps from step to step.
    pub footprint_bytes: u64,
    /// Share of weights that are zero, 0 to 1.
    pub connection_sparsity: f64,
    /// Share of neuron activations that are zero, over all recurrent neurons, steps and samples. The outputs do not
    /// spike and are left out.
    pub activation_sparsity: f64,
    /// Multiply-accumulates: none, for every activation is binary.
    pub effective_macs: u64,
    /// Accumulates: spikes and input events times the weights other than zero that they meet.
    pub effective_acs: u64,
    /// What hardware that knows no sparsity would do: every weight in every step.
    pub dense: u64,
    /// Samples these are of. NeuroBench reports the three operation counts divided by it.
    pub samples: u64,
    /// Steps in which activations were integrated: NeuroBench's model executions.
    pub steps: u64,
}

/// What memory a network takes on the chip and here, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Footprint {
    /// Its weights, 8 bits each.
    pub weights: u64,
    /// Its neurons' words: potential, traces, leak and threshold, 128 bits per pair, and 16 bits per output.
    pub neurons: u64,
    /// Memory that the chip's model takes on this machine, padding included.
    pub model: u64,
}

impl Footprint {
    /// Of a network of this shape.
    #[must_use]
    pub fn of(shape: Shape) -> Self {
        let [inputs, recurrent, outputs] =
            [shape.inputs, shape.recurrent, shape.outputs].map(u64::from);
        let pairs = inputs.max(recurrent).div_ceil(2);
        let model = Network::memory_len(shape).bytes() + size_of::<Network<'_>>();
        Self {
            weights: (inputs + recurrent + outputs) * recurrent,
            neurons: pairs * 16 + outputs * 2,
            model: u64::try_from(model).expect("a length fits 64 bits"),
        }
    }

    /// What NeuroBench calls it: all that the model must keep.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.weights + self.neurons
    }
}

/// What a run cost on the chips of its nodes, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Total {
    /// Updates counted.
    pub updates: u64,
    /// Samples learnt from.
    pub samples: u64,
    /// Synaptic operations, as the nodes counted them.
    pub synaptic_ops: u64,
    /// Clock cycles. Nodes do not report them: samples times the mean of those measured, unless `cycles_exact`.
    pub cycles: u64,
    /// Whether the cycles were counted, not estimated.
    pub cycles_exact: bool,
    /// Energy of all nodes in nanojoules.
    pub energy_nj: f64,
    /// Time on the chip, all nodes added up, in seconds.
    pub chip_s: f64,
}

/// What the work costs on the chip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// The clock that times are for, in megahertz.
    pub clock_mhz: f64,
    /// The energy that energies are for, in picojoules per synaptic operation.
    pub pj_per_synaptic_op: f64,
    /// Memory.
    pub footprint: Footprint,
    /// Learning, measured on some samples with the registers of the last round.
    pub learning: Option<Work>,
    /// Inference of the final version, measured on some samples.
    pub inference: Option<Work>,
    /// What NeuroBench asks for, over the same samples.
    pub neurobench: Option<NeuroBench>,
    /// The whole run.
    pub run: Option<Total>,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            clock_mhz: CLOCK_MHZ,
            pj_per_synaptic_op: PICOJOULES_PER_SYNAPTIC_OP,
            footprint: Footprint::default(),
            learning: None,
            inference: None,
            neurobench: None,
            run: None,
        }
    }
}
