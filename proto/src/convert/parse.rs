//! What is wrong with a message, and the checks that several messages share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bytes::Bytes;
use federation::limits::{CHUNK_BYTES, LEARNER_BYTES_MAX, NAME_BYTES_MAX};
use federation::{Digest, IdError};
use thiserror::Error;

/// A message breaks the contract. The sender's mistake: the same message will never be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} should be {expected}, got {got}")]
pub struct Malformed {
    /// The field, as a path within the message that was converted: `round.attempt`.
    pub field: &'static str,
    /// What it should have been.
    pub expected: String,
    /// What it was; foreign text is cut and escaped.
    pub got: String,
}

impl Malformed {
    /// The stable code of every malformed message, for `google.rpc.ErrorInfo.reason`.
    pub const CODE: &str = "malformed";

    /// The stable code: [`Malformed::CODE`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        Self::CODE
    }

    pub(super) fn new(field: &'static str, expected: impl Display, got: impl Display) -> Self {
        Self { field, expected: expected.to_string(), got: got.to_string() }
    }

    /// A message or oneof that must be there is not.
    #[must_use]
    pub fn absent(field: &'static str, expected: &str) -> Self {
        Self::new(field, expected, "nothing")
    }
}

/// A name, of whichever type.
pub(super) fn name<T: FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, Malformed> {
    text.parse().map_err(|_: IdError| {
        let expected = format!(
            "a name: 1 to {NAME_BYTES_MAX} of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or a digit"
        );
        Malformed::new(field, expected, excerpt(text))
    })
}

/// Exactly 32 bytes, as public keys and digests have.
pub(super) fn bytes_32(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    bytes
        .try_into()
        .map_err(|_| Malformed::new(field, "32 bytes", format!("{} bytes", bytes.len())))
}

/// A SHA-256 digest.
pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes_32(field, bytes).map(Digest)
}

/// A digest as it goes onto the wire.
pub(super) fn digest_bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

/// What `bytes` are sent as: chunks, each full but the last.
pub fn chunks(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let chunk = bytes.split_to(CHUNK_BYTES.min(bytes.len()));
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Bytes of a version or an update: at least one, at most a chunk.
pub(super) fn chunk(field: &'static str, bytes: Bytes) -> Result<Bytes, Malformed> {
    if (1..=CHUNK_BYTES).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(Malformed::new(
            field,
            format!("1 to {CHUNK_BYTES} bytes"),
            format!("{} bytes", bytes.len()),
        ))
    }
}

/// A number within its limits.
pub(super) fn within<N: Display + PartialOrd>(
    field: &'static str,
    number: N,
    limits: RangeInclusive<N>,
) -> Result<N, Malformed> {
    if limits.contains(&number) {
        Ok(number)
    } else {
        let expected = format!("{} to {}", limits.start(), limits.end());
        Err(Malformed::new(field, expected, number))
    }
}

/// A word of the learner's, 1 to 32 bytes for which `allowed` holds; `alphabet` says it to people.
pub(super) fn word(
    field: &'static str,
    text: String,
    alphabet: &str,
    allowed: impl Fn(&str) -> bool,
) -> Result<String, Malformed> {
    if (1..=LEARNER_BYTES_MAX).contains(&text.len()) && allowed(&text) {
        Ok(text)
    } else {
        let expected = format!("1 to {LEARNER_BYTES_MAX} bytes of {alphabet}");
        Err(Malformed::new(field, expected, excerpt(&text)))
    }
}

/// Foreign text, fit for an error message: short, printable, in backquotes.
pub(super) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(NAME_BYTES_MAX).flat_map(char::escape_default).collect();
    let more = if text.chars().nth(NAME_BYTES_MAX).is_some() { "…" } else { "" };
    format!("`{short}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_short_printable_sentence() {
        let error = name::<federation::NodeId>("node_id", "a\nb").unwrap_err();
        assert_eq!(
            error.to_string(),
            "node_id should be a name: 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or a digit, got `a\\nb`"
        );
        assert_eq!(error.code(), "malformed");
        assert_eq!(
            within("round.attempt", 0, 1..=3).unwrap_err().to_string(),
            "round.attempt should be 1 to 3, got 0"
        );
        assert_eq!(excerpt(&"é".repeat(63)), format!("`{}`", "\\u{e9}".repeat(63)));
        assert_eq!(excerpt(&"x".repeat(64)), format!("`{}…`", "x".repeat(63)));
    }

    #[test]
    fn chunks_hold_at_least_a_byte() {
        for (bytes, fits) in [(0, false), (1, true), (CHUNK_BYTES, true), (CHUNK_BYTES + 1, false)]
        {
            assert_eq!(chunk("chunk", Bytes::from(vec![0; bytes])).is_ok(), fits, "{bytes}");
        }
    }
}
