//! The network of a task before learning, and the plan that a federation of it follows.

use agent::learner::{BuildError, Weights, reckon_artifact};
use federation::{Artifact, ScheduleStep};
use serde_json::{Value, json};
use tasks::navigation;
use tasks::random::{Rng, derive};
use tasks::weights::{Deviation, fill_normal};

/// How a task is learned: everything but the data and the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The chip's registers, `NAME VALUE` a line.
    pub registers: String,
    /// The chip's neurons, `pair,alpha12,thr` a line under that heading.
    pub neurons: String,
    /// Where the weights of version 1 come from.
    pub initial: Initial,
    /// Rounds, each of which makes a version.
    pub rounds: u32,
    /// Samples that a node learns from in a round, per epoch; a node that has fewer learns from all it has.
    pub samples: u32,
    /// Passes over them.
    pub epochs: u32,
    /// What the server multiplies the mean of the updates by.
    pub server_learning_rate: f64,
    /// Registers that nodes set from a round on.
    pub schedule: Vec<ScheduleStep>,
    /// Held-out samples on which a node evaluates each version, if it has them.
    pub evaluate: u32,
}

/// Where the first weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Drawn as for the chip's own benchmark.
    Navigation,
    /// Normal, rounded, the diagonal of the recurrent ones 0; the standard deviations in hundredths of a weight's unit.
    Normal {
        /// Input channels.
        inputs: u16,
        /// Recurrent neurons.
        recurrent: u16,
        /// Classes.
        outputs: u16,
        /// Standard deviation of input, recurrent and output weights.
        hundredths: [u16; 3],
    },
}

/// What the seed is drawn for.
const INITIAL: u64 = 1;

impl Recipe {
    /// The network before learning, its weights drawn from `seed`.
    ///
    /// # Errors
    /// [`BuildError`] when registers, neurons and weights do not fit together.
    pub fn artifact(&self, seed: u64) -> Result<Artifact, BuildError> {
        let seed = derive(seed, &[INITIAL]);
        let [input, recurrent, output] = match self.initial {
            Initial::Navigation => {
                let navigation::Weights { input, recurrent, output } =
                    navigation::initial_weights(seed);
                [input.to_vec(), recurrent.to_vec(), output.to_vec()]
            }
            Initial::Normal { inputs, recurrent, outputs, hundredths } => {
                normal(seed, [inputs, recurrent, outputs], hundredths)
            }
        };
        let weights = Weights { input: &input, recurrent: &recurrent, output: &output };
        reckon_artifact(&self.registers, &self.neurons, weights)
    }

    /// The plan by which it is learned in rounds of this cohort, as `POST /v1/runs` takes it.
    #[must_use]
    pub fn plan(&self, cohort: Value, seed: u64) -> Value {
        let schedule: Vec<Value> = self
            .schedule
            .iter()
            .map(|step| json!({"from_round": step.from_round, "registers": step.registers}))
            .collect();
        json!({
            "strategy": {
                "name": "fedavg",
                "server_learning_rate": self.server_learning_rate,
                "weighting": "samples",
            },
            "rounds": self.rounds,
            "cohort": cohort,
            "local": {"samples": self.samples, "epochs": self.epochs, "schedule": schedule},
            "seed": seed,
        })
    }
}

/// Input, recurrent and output weights; each matrix has a stream of draws of its own.
fn normal(seed: u64, [inputs, recurrent, outputs]: [u16; 3], hundredths: [u16; 3]) -> [Vec<i8>; 3] {
    let [inputs, neurons, outputs] = [inputs, recurrent, outputs].map(usize::from);
    let lengths = [inputs * neurons, neurons * neurons, neurons * outputs];
    let mut matrices = lengths.map(|length| vec![0; length]);
    for ((matrix, deviation), at) in matrices.iter_mut().zip(hundredths).zip(0..) {
        let mut rng = Rng::new(derive(seed, &[at]));
        fill_normal(&mut rng, Deviation::hundredths(deviation), matrix);
    }
    for neuron in 0..neurons {
        matrices[1][neuron * neurons + neuron] = 0;
    }
    matrices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_normal_and_no_neuron_drives_itself() {
        let [input, recurrent, output] = normal(3, [30, 20, 4], [2000, 1000, 500]);
        assert_eq!((input.len(), recurrent.len(), output.len()), (600, 400, 80));
        assert!((0..20).all(|neuron| recurrent[neuron * 21] == 0));
        let spread = |weights: &[i8]| {
            let squares: i64 = weights.iter().map(|&w| i64::from(w) * i64::from(w)).sum();
            squares / i64::try_from(weights.len()).unwrap()
        };
        assert!((340..=460).contains(&spread(&input)), "{}", spread(&input));
        assert!((75..=125).contains(&spread(&recurrent)), "{}", spread(&recurrent));
        assert!((15..=38).contains(&spread(&output)), "{}", spread(&output));
        assert_ne!(normal(4, [30, 20, 4], [2000, 1000, 500])[0], input);
    }
}
