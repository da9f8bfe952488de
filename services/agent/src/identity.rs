//! Who a node is: an Ed25519 key pair, made once, kept on disk, never sent.

use std::fmt;
use std::fs;
use std::io;

use ed25519_dalek::{SecretKey, Signer as _, SigningKey};
use federation::{Digest, Entropy, NodeId};

use crate::error::AgentError;
use crate::files::{StateDir, write_atomic};

/// The file in the state directory: 32 bytes, the seed of the key pair.
pub const FILE: &str = "identity";

/// A node's key pair.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// The identity in `dir`, made from `entropy` when there is none yet.
    ///
    /// # Errors
    /// `identity_corrupt` when the file is not one, `state_file_unreadable` or `state_dir_unusable` when it cannot
    /// be read or written.
    pub fn open(dir: &StateDir, entropy: &dyn Entropy) -> Result<Self, AgentError> {
        let path = dir.path().join(FILE);
        match fs::read(&path) {
            Ok(bytes) => match SecretKey::try_from(bytes.as_slice()) {
                Ok(seed) => Ok(Self { key: SigningKey::from_bytes(&seed) }),
                Err(_) => Err(AgentError::Identity { path, bytes: bytes.len() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut seed = SecretKey::default();
                entropy.fill(&mut seed);
                write_atomic(&path, &seed).map_err(|source| AgentError::StateDir {
                    path: dir.path().to_owned(),
                    source,
                })?;
                Ok(Self { key: SigningKey::from_bytes(&seed) })
            }
            Err(source) => Err(AgentError::File { path, source }),
        }
    }

    /// The public key, by which the coordinator knows the node.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The signature of `statement`.
    #[must_use]
    pub fn sign(&self, statement: &[u8]) -> [u8; 64] {
        self.key.sign(statement).to_bytes()
    }

    /// A number that belongs to the public key: seeds what must differ between nodes but is no secret.
    #[must_use]
    pub fn number(&self) -> u64 {
        let Digest(bytes) = Digest::of(&self.public_key());
        let (first, _) = bytes.split_first_chunk().expect("a SHA-256 digest has more than 8 bytes");
        u64::from_be_bytes(*first)
    }

    /// The name of a node that was given none: `n-` and the first 16 hexadecimal digits of its public key's SHA-256.
    #[must_use]
    pub fn name(&self) -> NodeId {
        format!("n-{:016x}", self.number())
            .parse()
            .expect("lower-case letters and digits are a name")
    }
}

/// What a node needs of its key while it runs: as a rule the public half. A virtual node keeps what its pair is made from,
/// so that the curve is only looked at when it enrols.
pub(crate) enum Key {
    Public([u8; 32]),
    Seed(SecretKey),
}

impl Key {
    /// The public key.
    pub(crate) fn public(&self) -> [u8; 32] {
        match self {
            Self::Public(key) => *key,
            Self::Seed(seed) => SigningKey::from_bytes(seed).verifying_key().to_bytes(),
        }
    }

    /// The signature of `statement`, if the private half is here.
    pub(crate) fn sign(&self, statement: &[u8]) -> Option<[u8; 64]> {
        match self {
            Self::Public(_) => None,
            Self::Seed(seed) => Some(SigningKey::from_bytes(seed).sign(statement).to_bytes()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.name()).finish_non_exhaustive()
    }
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
    fn an_identity_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let first = Identity::open(&state, &Fixed(7)).unwrap();
        let again = Identity::open(&state, &Fixed(8)).unwrap();
        assert_eq!(first.public_key(), again.public_key());
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), [7; 32]);
        let digest = Digest::of(&first.public_key()).to_string();
        assert_eq!(first.name().as_str(), format!("n-{}", &digest[..16]));
        assert!(!format!("{first:?}").contains("key"), "{first:?}");
    }

    #[test]
    fn a_damaged_identity_is_told_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::write(dir.path().join(FILE), [1; 31]).unwrap();
        let error = Identity::open(&state, &Fixed(7)).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("identity_corrupt", 3));
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), [1; 31]);
    }
}
