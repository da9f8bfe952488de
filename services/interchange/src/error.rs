//! Why a model cannot be written in a format, or read from one: what, where, why, with a stable code.

use federation::{ArtifactError, LayoutError};
use reckon::ParamError;
use thiserror::Error;

/// Why a format cannot carry a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExportError {
    /// The format holds ReckOn networks alone.
    #[error("the model is for learner `{got}`; this format holds models of `reckon/1` alone")]
    Learner {
        /// The model's learner.
        got: String,
    },
    /// The configuration is not one of a ReckOn network.
    #[error(
        "the model's configuration is not register lines, an empty line and neuron lines in UTF-8"
    )]
    Config,
    /// A register or neuron of the configuration is wrong.
    #[error("the model's configuration: {0}")]
    Params(#[from] ParamError),
    /// The tensors are not those of the configuration's network.
    #[error("the model's tensors should be {expected} as its registers say, got {got}")]
    Shape {
        /// What the registers say.
        expected: String,
        /// What the artifact has.
        got: String,
    },
    /// The configuration is not text, and the format has room for text only.
    #[error("the model's configuration is not UTF-8 text, which this format needs")]
    NotText,
    /// A tensor has the name that the format gives to something else.
    #[error("tensor `{name}` has a name that this format uses for something else")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The format has no neuron that behaves so.
    #[error("{what}: {why}, for which NIR has no neuron")]
    NoSuchNeuron {
        /// Which part of the network.
        what: String,
        /// What it does.
        why: String,
    },
}

impl ExportError {
    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Learner { .. } => "learner_unsupported",
            Self::Config => "model_config_malformed",
            Self::Params(error) => error.code(),
            Self::Shape { .. } => "model_shape_mismatch",
            Self::NotText => "config_not_text",
            Self::Reserved { .. } => "tensor_name_reserved",
            Self::NoSuchNeuron { .. } => "neuron_not_expressible",
        }
    }
}

/// Where in the files something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular.
    Whole,
    /// A file of a directory.
    File(&'static str),
    /// A line of a text file, counted from 1; the file's name where there are several.
    Line(Option<&'static str>, usize),
    /// A byte of a binary file, counted from 0.
    Byte(usize),
    /// A named part: an array, a tensor, a key.
    Key(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::File(name) => write!(f, "{name}: "),
            Self::Line(None, line) => write!(f, "line {line}: "),
            Self::Line(Some(name), line) => write!(f, "{name} line {line}: "),
            Self::Byte(at) => write!(f, "byte {at}: "),
            Self::Key(key) => write!(f, "`{key}`: "),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Something that must be there is not.
    #[error("{what} is missing")]
    Missing {
        /// What.
        what: String,
    },
    /// Something is not of its form.
    #[error("expected {expected}, got `{got}`")]
    Malformed {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// The bytes end too early.
    #[error("the file ends within {what}")]
    Truncated {
        /// What is cut.
        what: &'static str,
    },
    /// A part of the format that is not read here.
    #[error("expected {expected}")]
    Unsupported {
        /// What is read instead.
        expected: &'static str,
    },
    /// Two parts contradict each other.
    #[error("{what} is {got} here and {expected} there")]
    Inconsistent {
        /// What they say different things of.
        what: String,
        /// What it should be to agree.
        expected: String,
        /// What it is.
        got: String,
    },
    /// More bytes than anything useful has.
    #[error("{got} bytes are more than a model can have")]
    TooLarge {
        /// How many.
        got: usize,
    },
    /// A register or neuron is wrong.
    #[error("configuration: {0}")]
    Params(ParamError),
    /// The parts do not make an artifact.
    #[error("{0}")]
    Artifact(ArtifactError),
}

/// Files that do not hold a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}{problem}")]
pub struct ImportError {
    place: Place,
    problem: Problem,
}

impl ImportError {
    pub(crate) fn new(place: Place, problem: Problem) -> Self {
        Self { place, problem }
    }

    pub(crate) fn missing(place: Place, what: impl Into<String>) -> Self {
        Self::new(place, Problem::Missing { what: what.into() })
    }

    /// `got` is cut to what fits a message.
    pub(crate) fn malformed(place: Place, expected: &'static str, got: &str) -> Self {
        let got = got.chars().take(EXCERPT_CHARS_MAX).flat_map(char::escape_default).collect();
        Self::new(place, Problem::Malformed { expected, got })
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.problem {
            Problem::Missing { .. } => "import_missing",
            Problem::Malformed { .. } => "import_malformed",
            Problem::Truncated { .. } => "import_truncated",
            Problem::Unsupported { .. } => "import_unsupported",
            Problem::Inconsistent { .. } => "import_inconsistent",
            Problem::TooLarge { .. } => "import_too_large",
            Problem::Params(error) => error.code(),
            Problem::Artifact(_) => "import_not_an_artifact",
        }
    }
}

impl From<ArtifactError> for ImportError {
    fn from(error: ArtifactError) -> Self {
        Self::new(Place::Whole, Problem::Artifact(error))
    }
}

impl From<LayoutError> for ImportError {
    fn from(error: LayoutError) -> Self {
        ArtifactError::Layout(error).into()
    }
}

impl From<ParamError> for ImportError {
    fn from(error: ParamError) -> Self {
        Self::new(Place::Whole, Problem::Params(error))
    }
}

/// Longest excerpt of foreign text in a message.
const EXCERPT_CHARS_MAX: usize = 40;
