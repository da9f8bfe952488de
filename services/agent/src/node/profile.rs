//! What a node presents itself with.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::secret::enrolment_statement;
use federation::{Enrolment, EnrolmentProof, NodeId};

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
        let proof = match (&self.invitation, credential) {
            (Invitation::Proof(proof), _) => Some((**proof).clone()),
            (Invitation::Token(token), Some(credential)) => {
                let (key, digest) = (self.key.public(), credential.digest());
                let statement = enrolment_statement(&key, &self.name, token.id(), &digest);
                let proof = |signature| EnrolmentProof {
                    token: token.text().to_owned(),
                    credential: digest,
                    signature,
                };
                self.key.sign(&statement).map(proof)
            }
            (Invitation::Token(_) | Invitation::None, _) => None,
        };
        Enrolment {
            public_key: self.key.public(),
            node: self.name.clone(),
            labels: (*self.labels).clone(),
            learners: vec![LEARNER.to_owned()],
            proof,
        }
    }
}
