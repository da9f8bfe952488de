//! What a node presents itself with.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::secret::enrolment_statement;
use federation::{Digest, Enrolment, EnrolmentProof, NodeId};

use crate::config::EnrolToken;
use crate::credential::Credential;
use crate::identity::Key;
use crate::learner::LEARNER;

/// What a node presents itself with. What virtual nodes have in common stands in memory once.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) key: Key,
    /// The name it asks for.
    pub(super) name: NodeId,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) invitation: Invitation,
}

/// By what a node gets in where its coordinator wants to know who it is.
#[derive(Debug)]
pub(super) enum Invitation {
    /// By the credential it has, if it has one.
    None,
    /// By an enrolment token, and the proof that this node uses it.
    Proof(Box<EnrolmentProof>),
    /// The same of a virtual node, whose proof is made when it is wanted.
    Token(Arc<EnrolToken>),
}

impl Profile {
    /// What the coordinator is told of it.
    pub(super) fn enrolment(&self, credential: Option<&Credential>) -> Enrolment {
        let public_key = self.key.public();
        let proof = match (&self.invitation, credential) {
            (Invitation::Proof(proof), _) => Some((**proof).clone()),
            (Invitation::Token(token), Some(credential)) => {
                let sign = |statement: &[u8]| self.key.sign(statement);
                prove(token, &public_key, &self.name, credential.digest(), sign)
            }
            (Invitation::Token(_) | Invitation::None, _) => None,
        };
        Enrolment {
            public_key,
            node: self.name.clone(),
            labels: (*self.labels).clone(),
            learners: vec![LEARNER.to_owned()],
            proof,
        }
    }
}

/// The proof that the node `name` with this key uses `token` and will show the credential of this digest; none without a
/// signature.
pub(super) fn prove(
    token: &EnrolToken,
    public_key: &[u8; 32],
    name: &NodeId,
    credential: Digest,
    sign: impl FnOnce(&[u8]) -> Option<[u8; 64]>,
) -> Option<EnrolmentProof> {
    let signature = sign(&enrolment_statement(public_key, name, token.id(), &credential))?;
    Some(EnrolmentProof { token: token.text().to_owned(), credential, signature })
}
