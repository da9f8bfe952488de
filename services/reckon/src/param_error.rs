//! Why a parameter bank was refused: which register, which line, and what is wrong with it.

use core::error::Error;
use core::fmt;

/// Longest part of an unknown register name that is kept for the message, in bytes.
pub const NAME_KEPT_MAX: usize = 32;

/// What is wrong with a register, a pair or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamProblem {
    /// The chip has no register of this name.
    Unknown,
    /// The value does not fit the register.
    OutOfRange {
        /// The value given, as an unsigned image.
        value: u32,
        /// The largest image the register holds; the smallest is 0.
        max: u32,
    },
    /// The register, or the neuron pair of this number, was given twice.
    Duplicate,
    /// The register has no reset value, is needed by the other settings, and was not given.
    Missing,
    /// The register gives the network its shape, which is fixed once the network exists.
    Fixed,
    /// Registers are written between samples only, and a sample is running.
    Busy,
    /// The line is not of this form.
    Malformed {
        /// What a line should look like.
        expected: &'static str,
    },
}

/// Which of the two texts of [`Params::parse_text`](crate::Params::parse_text) a line number
/// belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The `NAME VALUE` lines.
    Config,
    /// The `pair,alpha12,thr` lines.
    Neurons,
}

/// A refused parameter bank: the register (or pair field) at fault, the problem, and the line where
/// there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamError {
    name: Option<Name>,
    pair: Option<u8>,
    problem: ParamProblem,
    line: Option<(Text, u32)>,
}

impl ParamError {
    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> ParamProblem {
        self.problem
    }

    /// A stable name of the problem, for machines: `unknown_register`, `out_of_range`, `duplicate`,
    /// `missing`, `fixed`, `busy` or `malformed`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            ParamProblem::Unknown => "unknown_register",
            ParamProblem::OutOfRange { .. } => "out_of_range",
            ParamProblem::Duplicate => "duplicate",
            ParamProblem::Missing => "missing",
            ParamProblem::Fixed => "fixed",
            ParamProblem::Busy => "busy",
            ParamProblem::Malformed { .. } => "malformed",
        }
    }

    /// The register at fault; of an unknown one at most the first [`NAME_KEPT_MAX`] bytes. For a
    /// neuron pair it is the field: `pair`, `alpha12` or `thr`. `None` when a line could not be
    /// read at all.
    #[must_use]
    pub fn register(&self) -> Option<&str> {
        self.name.as_ref().map(Name::as_str)
    }

    /// The neuron pair at fault, 0..=255, when it is one.
    #[must_use]
    pub const fn pair(&self) -> Option<u8> {
        self.pair
    }

    /// The line at fault, counted from 1, when the bank was read from text.
    #[must_use]
    pub const fn line(&self) -> Option<(Text, u32)> {
        self.line
    }

    pub(crate) const fn of(name: &'static str, problem: ParamProblem) -> ParamError {
        ParamError { name: Some(Name::Known(name)), pair: None, problem, line: None }
    }

    pub(crate) fn unknown(name: &str) -> ParamError {
        ParamError {
            name: Some(Name::keep(name)),
            pair: None,
            problem: ParamProblem::Unknown,
            line: None,
        }
    }

    pub(crate) const fn malformed(expected: &'static str) -> ParamError {
        ParamError {
            name: None,
            pair: None,
            problem: ParamProblem::Malformed { expected },
            line: None,
        }
    }

    pub(crate) const fn at_pair(self, pair: u8) -> ParamError {
        ParamError { pair: Some(pair), ..self }
    }

    pub(crate) const fn at_line(self, text: Text, line: u32) -> ParamError {
        ParamError { line: Some((text, line)), ..self }
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some((Text::Config, line)) => write!(f, "config line {line}: ")?,
            Some((Text::Neurons, line)) => write!(f, "neurons line {line}: ")?,
            None => {}
        }
        if let Some(pair) = self.pair {
            write!(f, "neuron pair {pair}: ")?;
        }
        if let Some(name) = &self.name {
            write!(f, "{}: ", name.as_str())?;
        }
        match self.problem {
            ParamProblem::Unknown => write!(f, "the chip has no register of this name"),
            ParamProblem::OutOfRange { value, max } => {
                write!(f, "value {value} is outside 0..={max}")
            }
            ParamProblem::Duplicate => write!(f, "given twice"),
            ParamProblem::Missing => {
                write!(f, "not given, has no reset value, and the other registers make use of it")
            }
            ParamProblem::Fixed => {
                write!(f, "fixes the shape, which an existing network cannot change")
            }
            ParamProblem::Busy => write!(f, "cannot be written while a sample is running"),
            ParamProblem::Malformed { expected } => write!(f, "not of the form `{expected}`"),
        }
    }
}

impl Error for ParamError {}

/// A register name that outlives the text it was read from, without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Known(&'static str),
    Kept { bytes: [u8; NAME_KEPT_MAX], len: usize },
}

impl Name {
    /// As many whole characters of `name` as fit.
    fn keep(name: &str) -> Name {
        let len = name.floor_char_boundary(NAME_KEPT_MAX);
        let mut bytes = [0; NAME_KEPT_MAX];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Name::Kept { bytes, len }
    }

    fn as_str(&self) -> &str {
        match self {
            Name::Known(name) => name,
            Name::Kept { bytes, len } => {
                core::str::from_utf8(&bytes[..*len]).expect("cut at a character boundary")
            }
        }
    }
}
