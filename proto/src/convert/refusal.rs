//! Refusals: the domain's own going out, plain text coming in.
//!
//! A node must understand that it was refused even by a coordinator that knows more reasons than it does, so what
//! comes in is text, of which [`RefusalText::known`] finds the code if there is one.

use std::fmt;

use federation::{Answer, Refusal, RefusalCode};

use crate::v1;

/// An answer as a node hears it: the thing, or why not.
pub type Reply<T> = Result<T, RefusalText>;

/// A refusal as it came over the wire. Nothing about it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalText {
    /// The stable code, perhaps one that this build does not know.
    pub code: String,
    /// One sentence, for people.
    pub message: String,
    /// The field of the request that is wrong, as a path.
    pub field: String,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub got: String,
}

impl RefusalText {
    /// The code, if this build knows it.
    #[must_use]
    pub fn known(&self) -> Option<RefusalCode> {
        RefusalCode::from_code(&self.code)
    }
}

impl fmt::Display for RefusalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for RefusalText {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let Refusal { code, field, expected, got } = refusal;
        Self { code: code.as_str().to_owned(), message, field: field.to_owned(), expected, got }
    }
}

impl From<v1::Refusal> for RefusalText {
    fn from(message: v1::Refusal) -> Self {
        let v1::Refusal { code, message, field, expected, got } = message;
        Self { code, message, field, expected, got }
    }
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        let RefusalText { code, message, field, expected, got } = refusal.into();
        Self { code, message, field, expected, got }
    }
}

/// Turns the two sides of an answer into the two variants of a response's oneof.
pub(super) fn either<T, P>(
    answer: Answer<T>,
    accepted: impl FnOnce(T) -> P,
    refused: impl FnOnce(v1::Refusal) -> P,
) -> Option<P> {
    Some(match answer {
        Ok(thing) => accepted(thing),
        Err(refusal) => refused(refusal.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_and_a_foreign_one_is_text() {
        for code in RefusalCode::ALL {
            let refusal = Refusal::new(code, "round", "an open round", "1/2/1");
            let heard = RefusalText::from(v1::Refusal::from(refusal.clone()));
            assert_eq!(heard.known(), Some(code));
            assert_eq!(heard.to_string(), refusal.to_string());
            assert_eq!(heard, RefusalText::from(refusal));
        }
        let foreign = v1::Refusal { code: "too_late_in_the_day".to_owned(), ..Default::default() };
        assert_eq!(RefusalText::from(foreign).known(), None);
    }
}
