//! How a golden case fails: at a place, with what was expected and what came.

use std::fmt;

/// Where in a case something was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) case: String,
    pub(crate) phase: Option<String>,
    /// Position of the sample in its phase.
    pub(crate) sample: Option<usize>,
    pub(crate) tick: Option<u32>,
}

/// An expected value and the model's differ, or one of the two has more to say than the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) place: Place,
    pub(crate) file: &'static str,
    pub(crate) field: String,
    pub(crate) index: Option<usize>,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// Why a case does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Differs(Box<Mismatch>),
    /// A file of the case cannot be used; line 0 stands for the whole file.
    Unreadable {
        case: String,
        file: String,
        line: usize,
        why: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {}", self.case)?;
        if let Some(phase) = &self.phase {
            write!(f, ", phase {phase}")?;
        }
        if let Some(sample) = self.sample {
            write!(f, ", sample {sample}")?;
        }
        if let Some(tick) = self.tick {
            write!(f, ", tick {tick}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Differs(mismatch) => {
                let Mismatch { place, file, field, index, expected, got } = mismatch.as_ref();
                write!(f, "{place}, {file}: {field}")?;
                if let Some(index) = index {
                    write!(f, "[{index}]")?;
                }
                write!(f, ": expected {expected}, got {got}")
            }
            Failure::Unreadable { case, file, line: 0, why } => {
                write!(f, "case {case}, {file}: {why}")
            }
            Failure::Unreadable { case, file, line, why } => {
                write!(f, "case {case}, {file}, line {line}: {why}")
            }
        }
    }
}

impl std::error::Error for Failure {}
