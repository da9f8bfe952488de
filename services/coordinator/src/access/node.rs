//! Calls of nodes: who makes them, and whether they may.

use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey};
use federation::limits::{NODE_OPEN_MAX, NODE_REST_MS};
use federation::secret::{Kind, Secret, enrolment_statement, same};
use federation::{Answer, Digest, Enrolment, EnrolmentProof, NodeId, Refusal, RefusalCode};

use crate::core::Core;
use crate::presence::Entrance;
use crate::store::{Entry, Node, StoreError};

/// What a call shows: whose it says it is, and the digest of its secret.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    node: NodeId,
    hash: Digest,
}

/// A call that may be answered; it counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit(Option<Visitor>);

/// Who makes it.
#[derive(Debug)]
struct Visitor {
    node: NodeId,
    _open: Arc<Digest>,
}

impl Visit {
    fn of(node: &NodeId, open: Arc<Digest>) -> Self {
        Self(Some(Visitor { node: node.clone(), _open: open }))
    }

    /// Whether the call may be about this node.
    pub(crate) fn speaks_for(&self, node: &NodeId) -> Result<(), Denied> {
        match &self.0 {
            Some(visitor) if visitor.node != *node => Err(Denied::NodeMismatch),
            _ => Ok(()),
        }
    }
}

/// Why a call is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It shows no credential that holds.
    Unauthenticated,
    /// It speaks for another node.
    NodeMismatch,
    /// Too many calls of this node, or too many at once; worth another try after so many milliseconds.
    TooOften(u64),
}

/// A node has as many calls open as it may.
const CROWDED: Denied = Denied::TooOften(1_000);

impl Credential {
    /// The credential in a text, if it is one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (node, secret) = Secret::read(Kind::Credential, text)?;
        Some(Self { node, hash: secret.digest() })
    }
}

impl Core {
    /// Lets in a call that shows `shown`. How often it comes is for [`Core::take_turn`] to say.
    pub(crate) async fn visit(
        &self,
        shown: Option<&Credential>,
    ) -> Result<Result<Visit, Denied>, StoreError> {
        if !self.access.asks_nodes() {
            return Ok(Ok(Visit(None)));
        }
        let Some(Credential { node, hash }) = shown else {
            return Ok(Err(Denied::Unauthenticated));
        };
        let enter = || self.presence.enter(node, hash, NODE_OPEN_MAX);
        let mut entrance = enter();
        if matches!(entrance, Entrance::Unknown) {
            // After a restart; or nobody's name.
            let known = self.store.node(node.clone()).await?;
            let holds = |known: &Node| known.credential.is_some_and(|stored| same(&stored, hash));
            let Some(known) = known.filter(holds) else { return Ok(Err(Denied::Unauthenticated)) };
            self.presence.admit(known, &*self.clock);
            entrance = enter();
        }
        Ok(match entrance {
            Entrance::Unknown | Entrance::Wrong => Err(Denied::Unauthenticated),
            Entrance::Crowded => Err(CROWDED),
            Entrance::In(open) => Ok(Visit::of(node, open)),
        })
    }

    /// Lets in the enrolment of a node that memory knows by the credential it shows, and takes it from the node's rate.
    /// `None` for whoever it does not know so: most who enrol are new, and what they show is judged with the rest.
    pub(crate) fn visit_known(&self, shown: &Credential) -> Result<Option<Visit>, Denied> {
        let Credential { node, hash } = shown;
        if !self.access.asks_nodes() {
            return Ok(None);
        }
        match self.presence.enter(node, hash, NODE_OPEN_MAX) {
            Entrance::Unknown | Entrance::Wrong => Ok(None),
            Entrance::Crowded => Err(CROWDED),
            Entrance::In(open) => {
                self.take_turn(node)?;
                Ok(Some(Visit::of(node, open)))
            }
        }
    }

    /// Takes a call of `node` from its rate.
    pub(crate) fn take_turn(&self, node: &NodeId) -> Result<(), Denied> {
        if !self.access.asks_nodes() {
            return Ok(());
        }
        let taken = self.presence.take_turn(node, self.clock.monotonic_ms());
        taken.map_err(|ms| Denied::TooOften(ms + NODE_REST_MS))
    }

    /// Makes a node known and answers with its name. `shown` is the credential that the call shows, if it shows one.
    pub(crate) async fn enrol(
        &self,
        enrolment: Enrolment,
        shown: Option<&Credential>,
    ) -> Result<Answer<NodeId>, StoreError> {
        let entry = match (self.access.asks_nodes(), &enrolment.proof) {
            (false, _) => Entry::Open,
            (true, proof) => {
                let proof = proof.as_ref().map(|proof| proven(&enrolment, proof));
                match proof.transpose() {
                    Ok(proof) => {
                        let shown = shown.map(|Credential { node, hash }| (node.clone(), *hash));
                        Entry::Guarded { shown, proof }
                    }
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
        };
        let answer = self.store.enrol(enrolment, entry, self.clock.wall()).await?;
        if let (Err(_), Some(shown)) = (&answer, shown) {
            // After a restart memory does not know who is refused: if it is a node of ours, its rate counts from now on.
            let _ = self.visit(Some(shown)).await?;
        }
        Ok(answer.map(|node| {
            let id = node.id.clone();
            self.channels.enrolled();
            self.presence.admit(node, &*self.clock);
            id
        }))
    }
}

/// A proof, once it is one: the token's number, the digest of its secret, and the credential that the node will show.
fn proven(enrolment: &Enrolment, proof: &EnrolmentProof) -> Answer<(u64, Digest, Digest)> {
    let EnrolmentProof { token, credential, signature } = proof;
    let Some((id, secret)) = Secret::read::<u64>(Kind::EnrolmentToken, token) else {
        let code = RefusalCode::EnrolmentTokenUnknown;
        return Err(Refusal::new(
            code,
            "proof.token",
            "an enrolment token: mse_...",
            "another text",
        ));
    };
    let Enrolment { public_key, node, .. } = enrolment;
    let statement = enrolment_statement(public_key, node, id, credential);
    let signed = VerifyingKey::from_bytes(public_key)
        .and_then(|key| key.verify_strict(&statement, &Signature::from_bytes(signature)));
    match signed {
        Ok(()) => Ok((id, secret.digest(), *credential)),
        Err(_) => {
            let code = RefusalCode::EnrolmentProofInvalid;
            let expected = "the signature of public_key over this enrolment";
            Err(Refusal::new(code, "proof.signature", expected, "another"))
        }
    }
}
