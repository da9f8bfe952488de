//! Names and numbers that identify things. No raw integer or string crosses a function.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::limits::NAME_BYTES_MAX;

/// Why a name or digest is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// A name is empty, too long, or holds a character outside the allowed set.
    #[error(
        "`{got}` is not a name: 1 to {NAME_BYTES_MAX} of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or a digit"
    )]
    Name {
        /// What was given, cut to a printable length.
        got: String,
    },
    /// A digest is not 64 lower-case hexadecimal digits or 32 bytes.
    #[error("`{got}` is not a SHA-256 digest: 64 hexadecimal digits or 32 bytes")]
    Digest {
        /// What was given, cut to a printable length.
        got: String,
    },
}

/// Cuts foreign text to a length fit for an error message and escapes what does not print.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String =
        text.chars().take(NAME_BYTES_MAX).flat_map(char::escape_default).collect();
    if text.chars().count() > NAME_BYTES_MAX {
        short.push('…');
    }
    short
}

/// Whether `text` is a name: the one rule for node ids, model names, label keys and label values.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.len() <= NAME_BYTES_MAX
        && bytes.iter().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

// Shared text: a large fleet's names stand in many places at once, and a copy costs no memory.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(IdError::Name { got: excerpt(text) }) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// One enrolled device: a stable name, chosen by whoever set it up or derived from its public key. Unique in a fleet.
    NodeId
}
name! {
    /// A named lineage of versions.
    ModelName
}
name! {
    /// A movable name on a version of a model.
    ChannelName
}
name! {
    /// What people call a token. It says what it is for; its number is what identifies it.
    TokenName
}

/// One federated training job. Numbered from 1 by the coordinator's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A version's place in its model's lineage. Numbered from 1; each publication adds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One attempt at one round of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundRef {
    /// The run.
    pub run: RunId,
    /// The round, from 1.
    pub number: u32,
    /// The attempt at it, from 1; an abandoned round is retried under the next one.
    pub attempt: u32,
}

impl fmt::Display for RoundRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.number, self.attempt)
    }
}

/// A SHA-256 digest: the content address of a version or of an update's payload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest from its 32 bytes.
    ///
    /// # Errors
    /// [`IdError::Digest`] when there are not exactly 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| IdError::Digest { got: format!("{} bytes", bytes.len()) })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]));
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Digest { got: excerpt(text) };
        let half = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(bad()),
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| bad())?;
        let (pairs, _) = digits.as_chunks();
        let mut bytes = [0; 32];
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = half(high)? << 4 | half(low)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_and_plain() {
        for good in ["n", "node-01", "0a.b_c", &"a".repeat(63)] {
            assert_eq!(good.parse::<NodeId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "Node", "a b", "a/b", "é", "a\n", &"a".repeat(64)] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?}");
        }
        let error = "a\nb".parse::<NodeId>().unwrap_err().to_string();
        assert!(error.starts_with("`a\\nb` is not a name"), "{error}");
    }

    #[test]
    fn digests_round_trip_as_text_and_bytes() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert_eq!(Digest::from_bytes(&digest.0).unwrap(), digest);
        for bad in ["", "ab", &text.to_uppercase(), &"é".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        assert!(Digest::from_bytes(&[0; 31]).is_err());
    }
}
