//! Secrets that somebody carries: API tokens, enrolment tokens, credentials of nodes. How they look, what is stored of
//! them, and what a node signs when it enrols.
//!
//! A secret is 256 random bits. Nobody can guess or enumerate it, so one SHA-256 protects what is stored as well as a
//! slow hash would: those are for passwords. As text it says what it is (`mst_`, `mse_`, `msn_`) and whose, so that it
//! is found by its id, never by its secret part.

use std::fmt;
use std::str::FromStr;

use crate::clock::Entropy;
use crate::id::{Digest, NodeId};

/// 256 random bits. Shown only where it is meant to be, by [`Secret::text`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// What carries a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token of people and tools, by its number.
    Token,
    /// A token with which nodes enrol, by its number.
    EnrolmentToken,
    /// What a node shows at every call, by its name.
    Credential,
}

impl Kind {
    /// How its text begins.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "mst",
            Self::EnrolmentToken => "mse",
            Self::Credential => "msn",
        }
    }
}

impl Secret {
    /// A new secret.
    #[must_use]
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The text that is carried: `mst_7_` and 64 hexadecimal digits.
    #[must_use]
    pub fn text(&self, kind: Kind, id: impl fmt::Display) -> String {
        format!("{}_{id}_{}", kind.prefix(), Digest(self.0))
    }

    /// Reads a text of this kind: whose it is, and the secret. `None` when it is no such text.
    #[must_use]
    pub fn read<I: FromStr + fmt::Display>(kind: Kind, text: &str) -> Option<(I, Self)> {
        let rest = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let (name, secret) = rest.rsplit_once('_')?;
        let (id, Digest(secret)) = (name.parse::<I>().ok()?, secret.parse().ok()?);
        // One text for each: `mst_07_...` is none.
        (id.to_string() == name).then_some((id, Self(secret)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether two digests are the same. Takes the same time wherever they differ.
#[must_use]
pub fn same(one: &Digest, other: &Digest) -> bool {
    let pairs = one.0.into_iter().zip(other.0);
    pairs.fold(0, |differ, (one, other)| std::hint::black_box(differ | (one ^ other))) == 0
}

/// What a node's key signs to enrol: that its holder wants this name, by this token, and will show this credential.
/// Whoever sends it again gets nothing but a node with the credential that its own node chose.
#[must_use]
pub fn enrolment_statement(
    public_key: &[u8; 32],
    node: &NodeId,
    enrolment_token: u64,
    credential: &Digest,
) -> Vec<u8> {
    let mut statement = b"muster enrolment 1\0".to_vec();
    statement.extend_from_slice(public_key);
    statement.extend_from_slice(&enrolment_token.to_be_bytes());
    statement.extend_from_slice(&credential.0);
    statement.extend_from_slice(node.as_str().as_bytes());
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_text_is_read_back_and_says_whose_it_is() {
        let secret = Secret::new(&Fixed(0xab));
        let text = secret.text(Kind::Token, 7);
        assert_eq!(text, format!("mst_7_{}", "ab".repeat(32)));
        assert_eq!(Secret::read(Kind::Token, &text), Some((7_u64, secret.clone())));
        let node: NodeId = "a_b.c-1".parse().unwrap();
        let text = secret.text(Kind::Credential, &node);
        assert_eq!(Secret::read(Kind::Credential, &text), Some((node, secret)));
    }

    #[test]
    fn what_is_almost_a_text_is_none() {
        let hex = "ab".repeat(32);
        for text in [
            String::new(),
            "mst".to_owned(),
            "mst_7".to_owned(),
            format!("mse_7_{hex}"),
            format!("mst_07_{hex}"),
            format!("mst_+7_{hex}"),
            format!("mst__{hex}"),
            format!("mst_-7_{hex}"),
            format!("mst_99999999999999999999_{hex}"),
            format!("mst_7_{hex}0"),
            format!("mst_7_{}", &hex[1..]),
            format!("mst_7_{}", hex.to_uppercase()),
            format!(" mst_7_{hex}"),
            format!("mst_7_{hex}\n"),
        ] {
            assert_eq!(Secret::read::<u64>(Kind::Token, &text), None, "{text:?}");
        }
        assert_eq!(Secret::read::<NodeId>(Kind::Credential, &format!("msn_A_{hex}")), None);
    }

    #[test]
    fn only_the_secret_itself_is_what_was_stored() {
        let (one, other) = (Secret::new(&Fixed(1)), Secret::new(&Fixed(2)));
        let stored = one.digest();
        assert!(same(&one.digest(), &stored) && !same(&other.digest(), &stored));
        for byte in 0..32 {
            let mut near = stored;
            near.0[byte] ^= 0x80;
            assert!(!same(&near, &stored), "{byte}");
        }
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }

    #[test]
    fn a_statement_is_about_all_that_it_grants() {
        let node = |name: &str| name.parse::<NodeId>().unwrap();
        let digest = Digest::of(b"secret");
        let said = [
            enrolment_statement(&[1; 32], &node("a"), 1, &digest),
            enrolment_statement(&[2; 32], &node("a"), 1, &digest),
            enrolment_statement(&[1; 32], &node("b"), 1, &digest),
            enrolment_statement(&[1; 32], &node("a"), 2, &digest),
            enrolment_statement(&[1; 32], &node("a"), 1, &Digest::of(b"other")),
        ];
        let distinct: std::collections::BTreeSet<_> = said.iter().collect();
        assert_eq!(distinct.len(), said.len());
        assert!(said.iter().all(|statement| statement.starts_with(b"muster enrolment 1\0")));
    }
}
