//! The learner `reckon/1`: how a ReckOn network stands in an artifact, and how an order programs it.
//!
//! An artifact has three tensors, `w_inp` (inputs x recurrent), `w_rec` (recurrent x recurrent) and `w_out` (recurrent x
//! outputs). Its configuration is text: `NAME VALUE` register lines, an empty line, then the neurons as
//! `pair,alpha12,thr` lines under that heading.
//!
//! What is programmed for an order, in this sequence, later ones winning: the artifact's registers; the nine seed
//! registers, drawn from the order's seed; the order's registers; and SPI_DO_EPROP, which is 0 to evaluate. To train it is
//! what the order says, else what the artifact says, else, where that is 0, all three matrices (7): an artifact is
//! often saved as it is used to infer.

use std::collections::BTreeMap;

use federation::{Artifact, ArtifactError, Layout, LayoutError, Tensor, TrainOrder};
use reckon::{ParamError, ParamProblem, Params, Shape};
use tasks::random::derive;
use thiserror::Error;

use crate::train::Trial;

/// The learner's id.
pub const LEARNER: &str = "reckon/1";

/// How large a network this node's chip holds, for runs that ask.
#[must_use]
pub fn capacity() -> BTreeMap<String, u64> {
    let sizes = [("inputs", 256), ("recurrent", 256), ("outputs", 16)];
    sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect()
}

/// A network's weights, row by row, a row per presynaptic neuron, without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights<'a> {
    /// Inputs x recurrent.
    pub input: &'a [i8],
    /// Recurrent x recurrent.
    pub recurrent: &'a [i8],
    /// Recurrent x outputs.
    pub output: &'a [i8],
}

/// Why an artifact is not a network of this learner, or an order cannot be carried out with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LearnError {
    /// The model is for another learner.
    #[error("the model is for learner `{got}`, this node has `{LEARNER}`")]
    Learner {
        /// The model's learner.
        got: String,
    },
    /// The configuration is not text with an empty line in it.
    #[error(
        "the model's configuration is not register lines, an empty line and neuron lines in UTF-8"
    )]
    Config,
    /// A register or neuron of the configuration is wrong.
    #[error("the model's configuration: {0}")]
    Params(ParamError),
    /// A register of the order is wrong.
    #[error("the order's registers: {0}")]
    Register(ParamError),
    /// The tensors are not those of the configuration's network.
    #[error("the model's tensors should be {expected} as its registers say, got {got}")]
    Shape {
        /// What the registers say.
        expected: String,
        /// What the artifact has.
        got: String,
    },
    /// The order is for another number of weights.
    #[error("the order is for {expected} weights, the version has {got}")]
    Weights {
        /// What the order says.
        expected: u64,
        /// What the artifact has.
        got: u64,
    },
    /// The node's samples do not fit the network.
    #[error(
        "the node's data has {channels} channels and {classes} classes, the model only {inputs} inputs and {outputs} outputs"
    )]
    Data {
        /// Channels of the data.
        channels: u16,
        /// Classes of the data.
        classes: u8,
        /// Inputs of the network.
        inputs: u16,
        /// Outputs of the network.
        outputs: u16,
    },
    /// The order asks for more than its update may claim.
    #[error(
        "the order asks for {samples} samples times {epochs} epochs, its update may claim {samples_max}"
    )]
    Samples {
        /// Samples per epoch.
        samples: u32,
        /// Passes over them.
        epochs: u32,
        /// Most that may be claimed.
        samples_max: u32,
    },
    /// Learning was stopped because nobody waits for it any more.
    #[error("learning was stopped")]
    Stopped,
    /// Learning ended in a panic, which is a defect of this program.
    #[error("learning broke off; this is a defect of the agent")]
    Crashed,
}

impl LearnError {
    /// The stable code, for programs. A wrong register has the code of what is wrong with it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Learner { .. } => "learner_unsupported",
            Self::Config => "model_config_malformed",
            Self::Params(error) | Self::Register(error) => error.code(),
            Self::Shape { .. } => "model_shape_mismatch",
            Self::Weights { .. } => "order_weights_mismatch",
            Self::Data { .. } => "data_shape_mismatch",
            Self::Samples { .. } => "order_samples_above_max",
            Self::Stopped => "learning_stopped",
            Self::Crashed => "learner_crashed",
        }
    }
}

/// Why parts do not make an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// A register or neuron is wrong.
    #[error("configuration: {0}")]
    Params(#[from] ParamError),
    /// The layout is not one.
    #[error("layout: {0}")]
    Layout(#[from] LayoutError),
    /// The weights are not as many as the registers say, or something else does not fit.
    #[error("artifact: {0}")]
    Artifact(#[from] ArtifactError),
}

/// The artifact of a ReckOn network: its registers (`NAME VALUE` lines), its neurons (`pair,alpha12,thr` lines under
/// that heading) and its weights. Lines are trimmed and empty ones dropped, so that equal networks have equal digests.
///
/// # Errors
/// [`BuildError`] says which part is wrong and why.
pub fn reckon_artifact(
    registers: &str,
    neurons: &str,
    weights: Weights<'_>,
) -> Result<Artifact, BuildError> {
    let shape = Params::parse_text(registers, neurons)?.shape();
    let lines = |text: &str| -> String {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let config = format!("{}\n{}", lines(registers), lines(neurons));
    let Weights { input, recurrent, output } = weights;
    let weights = [input, recurrent, output].concat();
    Ok(Artifact::new(LEARNER, layout(shape)?, config.into_bytes(), weights)?)
}

/// A network read from an artifact.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    /// Its registers and neurons.
    pub params: Params,
    /// Its weights.
    pub weights: Weights<'a>,
}

impl<'a> Model<'a> {
    /// Reads an artifact of this learner, every part checked.
    ///
    /// # Errors
    /// [`LearnError`] says which part is wrong and why.
    pub fn read(artifact: &'a Artifact) -> Result<Self, LearnError> {
        if artifact.learner() != LEARNER {
            return Err(LearnError::Learner { got: artifact.learner().to_owned() });
        }
        let config = std::str::from_utf8(artifact.config()).map_err(|_| LearnError::Config)?;
        let (registers, neurons) = config.split_once("\n\n").ok_or(LearnError::Config)?;
        let params = Params::parse_text(registers, neurons).map_err(LearnError::Params)?;
        let Shape { inputs, recurrent, .. } = params.shape();
        check_shape(params.shape(), artifact.layout())?;
        let (first, second) = (area(inputs, recurrent), area(recurrent, recurrent));
        let (input, rest) = artifact.weights().split_at(first);
        let (recurrent, output) = rest.split_at(second);
        Ok(Self { params, weights: Weights { input, recurrent, output } })
    }

    /// The registers to train as `order` says.
    ///
    /// # Errors
    /// [`LearnError::Register`], or [`LearnError::Shape`] when the order's registers change the network's shape.
    pub fn to_train(&self, order: &TrainOrder) -> Result<Params, LearnError> {
        let mut params = self.program(order.seed, &order.work.registers, TRAINING)?;
        let plastic = params.get(DO_EPROP).is_some_and(|value| value != 0);
        if !plastic && !order.work.registers.contains_key(DO_EPROP) {
            params.set(DO_EPROP, ALL_MATRICES).map_err(LearnError::Register)?;
        }
        Ok(params)
    }

    /// The registers to evaluate a version as `trial` says.
    ///
    /// # Errors
    /// As [`Model::to_train`].
    pub fn to_evaluate(&self, trial: &Trial) -> Result<Params, LearnError> {
        let mut params = self.program(trial.seed, &trial.registers, EVALUATION)?;
        params.set(DO_EPROP, 0).map_err(LearnError::Register)?;
        Ok(params)
    }

    fn program(
        &self,
        seed: u64,
        registers: &BTreeMap<String, u32>,
        purpose: u64,
    ) -> Result<Params, LearnError> {
        let mut params = self.params.clone();
        for (name, value) in seeds(seed, purpose) {
            params.set(name, value).map_err(LearnError::Register)?;
        }
        set_all(&mut params, registers)?;
        if params.shape() == self.params.shape() {
            return Ok(params);
        }
        let describe =
            |shape| layout(shape).map_or_else(|error| error.to_string(), |layout| text(&layout));
        Err(LearnError::Shape {
            expected: describe(params.shape()),
            got: describe(self.params.shape()),
        })
    }
}

/// The nine seed registers for `seed`.
///
/// A register of one generator is the low bits of `derive(seed, [purpose, register, 0, try])`, one of two generators
/// has 15 bits of `derive(seed, [purpose, register, lane, try])` for each. Registers count from 0 in the order below,
/// `derive` is SplitMix64's (see [`tasks::random`]), and `try` is the first from 0 whose bits are not all 0, because a
/// generator seeded with 0 stands still.
#[must_use]
pub fn seeds(seed: u64, purpose: u64) -> [(&'static str, u32); 9] {
    let mut drawn = [("", 0); 9];
    for ((place, (name, bits, lanes)), register) in drawn.iter_mut().zip(SEEDS).zip(0_u64..) {
        let lane = |lane: u64| {
            let draws = (0..64).map(|attempt| derive(seed, &[purpose, register, lane, attempt]));
            let value = draws.map(|draw| draw & ((1 << bits) - 1)).find(|&value| value != 0);
            u32::try_from(value.unwrap_or(1)).expect("a generator has at most 25 bits")
        };
        *place = (name, if lanes == 2 { lane(0) | lane(1) << bits } else { lane(0) });
    }
    drawn
}

const DO_EPROP: &str = "SPI_DO_EPROP";
const ALL_MATRICES: u32 = 7;
/// What the seeds are drawn for.
const TRAINING: u64 = u64::from_be_bytes(*b"agt/trai");
const EVALUATION: u64 = u64::from_be_bytes(*b"agt/eval");

/// The seed registers: name, bits of a generator, generators.
const SEEDS: [(&str, u32, u32); 9] = [
    ("SPI_SEED_INP", 25, 1),
    ("SPI_SEED_REC", 25, 1),
    ("SPI_SEED_OUT", 22, 1),
    ("SPI_SEED_STRND_NEUR", 15, 2),
    ("SPI_SEED_STRND_ONEUR", 15, 1),
    ("SPI_SEED_STRND_TINP", 15, 2),
    ("SPI_SEED_STRND_TREC", 15, 2),
    ("SPI_SEED_STRND_TOUT", 15, 2),
    ("SPI_SEED_NOISE_NEUR", 17, 1),
];

/// Sets registers that may need each other, in whatever order they can be set.
fn set_all(params: &mut Params, registers: &BTreeMap<String, u32>) -> Result<(), LearnError> {
    let mut waiting: Vec<(&String, u32)> =
        registers.iter().map(|(name, &value)| (name, value)).collect();
    while !waiting.is_empty() {
        let (before, mut missing) = (waiting.len(), None);
        let mut still = Vec::new();
        for (name, value) in waiting {
            match params.set(name, value) {
                Ok(()) => {}
                Err(error) if error.problem() == ParamProblem::Missing => {
                    missing = Some(error);
                    still.push((name, value));
                }
                Err(error) => return Err(LearnError::Register(error)),
            }
        }
        match missing {
            Some(error) if still.len() == before => return Err(LearnError::Register(error)),
            _ => waiting = still,
        }
    }
    Ok(())
}

fn layout(shape: Shape) -> Result<Layout, LayoutError> {
    let Shape { inputs, recurrent, outputs } = shape;
    let tensor = |name: &str, rows: u16, cols: u16| Tensor {
        name: name.to_owned(),
        rows: rows.into(),
        cols: cols.into(),
        min: i8::MIN,
        max: i8::MAX,
    };
    Layout::new(vec![
        tensor("w_inp", inputs, recurrent),
        tensor("w_rec", recurrent, recurrent),
        tensor("w_out", recurrent, outputs),
    ])
}

/// Names and sizes must agree; ranges may be narrower, for they bind only what the coordinator publishes.
fn check_shape(shape: Shape, got: &Layout) -> Result<(), LearnError> {
    let expected = layout(shape).map_err(|_| LearnError::Config)?;
    let same = |(a, b): (&Tensor, &Tensor)| (&a.name, a.rows, a.cols) == (&b.name, b.rows, b.cols);
    let whole = expected.tensors().len() == got.tensors().len();
    if whole && expected.tensors().iter().zip(got.tensors()).all(same) {
        return Ok(());
    }
    Err(LearnError::Shape { expected: text(&expected), got: text(got) })
}

fn text(layout: &Layout) -> String {
    let each = |tensor: &Tensor| format!("{} {}x{}", tensor.name, tensor.rows, tensor.cols);
    layout.tensors().iter().map(each).collect::<Vec<_>>().join(", ")
}

fn area(rows: u16, cols: u16) -> usize {
    usize::from(rows) * usize::from(cols)
}

#[cfg(test)]
mod tests;
