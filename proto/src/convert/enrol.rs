//! Enrolment: a node presents itself and is known or refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use federation::limits::{LABELS_MAX, LEARNERS_MAX, TOKEN_BYTES_MAX};
use federation::{Answer, Enrolment, EnrolmentProof, NodeId};

use super::parse::{Malformed, bytes_32, digest, digest_bytes, excerpt, name, within, word};
use super::refusal::{Reply, either};
use crate::v1;
use crate::v1::enrol_response::Result as Part;

impl TryFrom<v1::EnrolRequest> for Enrolment {
    type Error = Malformed;
    fn try_from(message: v1::EnrolRequest) -> Result<Self, Malformed> {
        let v1::EnrolRequest { public_key, node_id, labels, learners, proof } = message;
        Ok(Self {
            public_key: bytes_32("public_key", &public_key)?,
            node: name("node_id", &node_id)?,
            labels: parse_labels(labels)?,
            learners: parse_learners(learners)?,
            proof: proof.map(EnrolmentProof::try_from).transpose()?,
        })
    }
}

impl From<Enrolment> for v1::EnrolRequest {
    fn from(enrolment: Enrolment) -> Self {
        let Enrolment { public_key, node, labels, learners, proof } = enrolment;
        Self {
            public_key: Bytes::copy_from_slice(&public_key),
            node_id: node.as_str().to_owned(),
            labels: labels.into_iter().map(|(key, value)| v1::Label { key, value }).collect(),
            learners,
            proof: proof.map(v1::EnrolProof::from),
        }
    }
}

impl TryFrom<v1::EnrolProof> for EnrolmentProof {
    type Error = Malformed;
    fn try_from(message: v1::EnrolProof) -> Result<Self, Malformed> {
        let v1::EnrolProof { token, credential_digest, signature } = message;
        // Which token it is, the coordinator says; its text is a secret and stands in no error.
        within("proof.token", token.len(), 1..=TOKEN_BYTES_MAX)?;
        let signature = <[u8; 64]>::try_from(&signature[..]).map_err(|_| {
            Malformed::new("proof.signature", "64 bytes", format!("{} bytes", signature.len()))
        })?;
        let credential = digest("proof.credential_digest", &credential_digest)?;
        Ok(Self { token, credential, signature })
    }
}

impl From<EnrolmentProof> for v1::EnrolProof {
    fn from(proof: EnrolmentProof) -> Self {
        let EnrolmentProof { token, credential, signature } = proof;
        Self {
            token,
            credential_digest: digest_bytes(credential),
            signature: Bytes::copy_from_slice(&signature),
        }
    }
}

impl TryFrom<v1::Enrolled> for NodeId {
    type Error = Malformed;
    fn try_from(message: v1::Enrolled) -> Result<Self, Malformed> {
        let v1::Enrolled { node_id } = message;
        name("node_id", &node_id)
    }
}

impl From<NodeId> for v1::Enrolled {
    fn from(node: NodeId) -> Self {
        Self { node_id: node.as_str().to_owned() }
    }
}

impl TryFrom<v1::EnrolResponse> for Reply<NodeId> {
    type Error = Malformed;
    fn try_from(message: v1::EnrolResponse) -> Result<Self, Malformed> {
        let v1::EnrolResponse { result } = message;
        match result {
            Some(Part::Enrolled(enrolled)) => Ok(Ok(enrolled.try_into()?)),
            Some(Part::Refused(refusal)) => Ok(Err(refusal.into())),
            None => Err(Malformed::absent("result", "`enrolled` or `refused`")),
        }
    }
}

impl From<Answer<NodeId>> for v1::EnrolResponse {
    fn from(answer: Answer<NodeId>) -> Self {
        Self { result: either(answer, |node| Part::Enrolled(node.into()), Part::Refused) }
    }
}

fn parse_labels(messages: Vec<v1::Label>) -> Result<BTreeMap<String, String>, Malformed> {
    within("labels", messages.len(), 0..=LABELS_MAX)?;
    let mut labels = BTreeMap::new();
    for v1::Label { key, value } in messages {
        // Keys and values keep to the rule of all names; the domain holds them as plain text.
        name::<NodeId>("labels.key", &key)?;
        name::<NodeId>("labels.value", &value)?;
        if labels.contains_key(&key) {
            let got = format!("{} twice", excerpt(&key));
            return Err(Malformed::new("labels.key", "distinct", got));
        }
        labels.insert(key, value);
    }
    Ok(labels)
}

fn parse_learners(messages: Vec<String>) -> Result<Vec<String>, Malformed> {
    within("learners", messages.len(), 1..=LEARNERS_MAX)?;
    let mut learners = Vec::with_capacity(messages.len());
    for message in messages {
        let alphabet = "a-z, 0-9, `.`, `_`, `-`, `/`, beginning with a letter or a digit";
        let learner = word("learners", message, alphabet, is_learner)?;
        if learners.contains(&learner) {
            let got = format!("{} twice", excerpt(&learner));
            return Err(Malformed::new("learners", "distinct", got));
        }
        learners.push(learner);
    }
    Ok(learners)
}

fn is_learner(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'.' | b'_' | b'-' | b'/')
        })
}
