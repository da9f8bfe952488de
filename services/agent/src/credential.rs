//! What a node shows at every call: a credential that it chooses itself before it enrols, kept in its state directory.
//!
//! It is on disk before it is sent anywhere. So an answer that is lost costs nothing: the node shows the same credential
//! again, and the coordinator knows it.

use std::fs;
use std::io;

use federation::secret::{Kind, Secret};
use federation::{Digest, Entropy, NodeId};

use crate::error::AgentError;
use crate::files::{Slot, StateDir};

/// The file in the state directory: one line, `msn_NODE_SECRET`.
pub const FILE: &str = "credential";

/// A node's credential. Its secret stands in no log.
#[derive(Debug)]
pub struct Credential {
    slot: Slot,
    node: NodeId,
    secret: Secret,
}

impl Credential {
    /// The credential in `dir`, if there is one.
    ///
    /// # Errors
    /// `credential_corrupt` when the file is not one, `state_file_unreadable` when it cannot be read.
    pub fn open(dir: &StateDir) -> Result<Option<Self>, AgentError> {
        let path = dir.path().join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => match Secret::read(Kind::Credential, text.trim_end()) {
                Some((node, secret)) => Ok(Some(Self { slot: Slot::File(path), node, secret })),
                None => Err(AgentError::Credential { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(AgentError::Credential { path })
            }
            Err(source) => Err(AgentError::File { path, source }),
        }
    }

    /// A new credential in `dir` for the node of this name.
    ///
    /// # Errors
    /// `state_dir_unusable` when it cannot be written.
    pub fn make(dir: &StateDir, node: &NodeId, entropy: &dyn Entropy) -> Result<Self, AgentError> {
        let slot = Slot::File(dir.path().join(FILE));
        let credential = Self { slot, node: node.clone(), secret: Secret::new(entropy) };
        credential
            .write()
            .map_err(|source| AgentError::StateDir { path: dir.path().to_owned(), source })?;
        Ok(credential)
    }

    /// A new credential that is known to the process alone.
    #[must_use]
    pub fn in_memory(node: &NodeId, entropy: &dyn Entropy) -> Self {
        Self { slot: Slot::Memory, node: node.clone(), secret: Secret::new(entropy) }
    }

    /// The coordinator knows the node by this name: the credential says so from now on.
    ///
    /// # Errors
    /// When it cannot be written; it is then as it was.
    pub fn rename(&mut self, node: &NodeId) -> io::Result<()> {
        if self.node == *node {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.node, node.clone());
        self.write().inspect_err(|_| self.node = before)
    }

    /// What is sent.
    #[must_use]
    pub fn text(&self) -> String {
        self.secret.text(Kind::Credential, &self.node)
    }

    /// What the coordinator stores of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.secret.digest()
    }

    fn write(&self) -> io::Result<()> {
        self.slot.keep(|| format!("{}\n", self.text()).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[derive(Debug)]
    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn name(text: &str) -> NodeId {
        text.parse().unwrap()
    }

    #[test]
    fn a_credential_is_made_once_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert!(Credential::open(&state).unwrap().is_none());
        let mut made = Credential::make(&state, &name("a"), &Fixed).unwrap();
        let again = Credential::open(&state).unwrap().unwrap();
        assert_eq!((again.text(), again.digest()), (made.text(), made.digest()));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        made.rename(&name("b")).unwrap();
        let renamed = Credential::open(&state).unwrap().unwrap();
        assert_eq!(renamed.text(), format!("msn_b_{}", "07".repeat(32)));
        assert_eq!(renamed.digest(), made.digest());
        assert!(!format!("{made:?}").contains("0707"), "{made:?}");
    }

    #[test]
    fn a_damaged_credential_is_told_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        for damaged in [&b"msn_a_07"[..], b"", b"\xff"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            let error = Credential::open(&state).unwrap_err();
            assert_eq!((error.code(), error.exit_code()), ("credential_corrupt", 3));
            assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), damaged);
        }
    }
}
