//! Pushing an update until there is a receipt.

use bytes::Bytes;
use federation::{Answer, Candidate, Idle, Metrics, Receipt};

use super::parse::{Malformed, chunk, digest, digest_bytes, name};
use super::refusal::{Reply, either};
use super::round::RoundField;
use crate::v1;
use crate::v1::push_update_request::Part;
use crate::v1::push_update_response::Result as Outcome;

/// A part of an update: first the header, then chunks. Their order is for the reader of the stream to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdatePart {
    /// The announcement.
    Header(Candidate),
    /// The next bytes of the payload: 1 to [`federation::limits::CHUNK_BYTES`].
    Chunk(Bytes),
}

impl TryFrom<v1::PushUpdateRequest> for UpdatePart {
    type Error = Malformed;
    fn try_from(message: v1::PushUpdateRequest) -> Result<Self, Malformed> {
        let v1::PushUpdateRequest { part } = message;
        match part {
            Some(Part::Header(header)) => Ok(Self::Header(header.try_into()?)),
            Some(Part::Chunk(bytes)) => Ok(Self::Chunk(chunk("chunk", bytes)?)),
            None => Err(Malformed::absent("part", "`header` or `chunk`")),
        }
    }
}

impl From<UpdatePart> for v1::PushUpdateRequest {
    fn from(part: UpdatePart) -> Self {
        let part = match part {
            UpdatePart::Header(candidate) => Part::Header(candidate.into()),
            UpdatePart::Chunk(bytes) => Part::Chunk(bytes),
        };
        Self { part: Some(part) }
    }
}

/// An update in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeUpdate {
    /// The announcement.
    pub candidate: Candidate,
    /// The payload: 1 to [`federation::limits::CHUNK_BYTES`].
    pub payload: Bytes,
}

impl TryFrom<v1::WholeUpdate> for WholeUpdate {
    type Error = Malformed;
    fn try_from(message: v1::WholeUpdate) -> Result<Self, Malformed> {
        let v1::WholeUpdate { header, payload } = message;
        let header = header.ok_or_else(|| Malformed::absent("header", "an announcement"))?;
        Ok(Self { candidate: header.try_into()?, payload: chunk("payload", payload)? })
    }
}

impl From<WholeUpdate> for v1::WholeUpdate {
    fn from(update: WholeUpdate) -> Self {
        let WholeUpdate { candidate, payload } = update;
        Self { header: Some(candidate.into()), payload }
    }
}

impl TryFrom<v1::UpdateHeader> for Candidate {
    type Error = Malformed;
    fn try_from(message: v1::UpdateHeader) -> Result<Self, Malformed> {
        let v1::UpdateHeader {
            node_id,
            round,
            base_digest,
            payload_bytes,
            payload_digest,
            samples,
            correct,
            synaptic_ops,
            bytes_down,
        } = message;
        Ok(Self {
            node: name("node_id", &node_id)?,
            round: RoundField::ROUND.required(round)?,
            base: digest("base_digest", &base_digest)?,
            payload_bytes,
            payload: digest("payload_digest", &payload_digest)?,
            samples,
            metrics: Metrics { correct, synaptic_ops, bytes_down },
        })
    }
}

impl From<Candidate> for v1::UpdateHeader {
    fn from(candidate: Candidate) -> Self {
        let Candidate {
            node,
            round,
            base,
            payload_bytes,
            payload,
            samples,
            metrics: Metrics { correct, synaptic_ops, bytes_down },
        } = candidate;
        Self {
            node_id: node.as_str().to_owned(),
            round: Some(round.into()),
            base_digest: digest_bytes(base),
            payload_bytes,
            payload_digest: digest_bytes(payload),
            samples,
            correct,
            synaptic_ops,
            bytes_down,
        }
    }
}

impl TryFrom<v1::Receipt> for Receipt {
    type Error = Malformed;
    fn try_from(message: v1::Receipt) -> Result<Self, Malformed> {
        let v1::Receipt { round, payload_digest, counted_at_ms } = message;
        Ok(Self {
            round: RoundField::ROUND.required(round)?,
            payload: digest("payload_digest", &payload_digest)?,
            counted_at_ms,
        })
    }
}

impl From<Receipt> for v1::Receipt {
    fn from(receipt: Receipt) -> Self {
        let Receipt { round, payload, counted_at_ms } = receipt;
        Self { round: Some(round.into()), payload_digest: digest_bytes(payload), counted_at_ms }
    }
}

impl TryFrom<v1::PushUpdateResponse> for (Reply<Receipt>, Option<Idle>) {
    type Error = Malformed;
    fn try_from(message: v1::PushUpdateResponse) -> Result<Self, Malformed> {
        let v1::PushUpdateResponse { result, idle } = message;
        let reply = match result {
            Some(Outcome::Receipt(receipt)) => Ok(receipt.try_into()?),
            Some(Outcome::Refused(refusal)) => Err(refusal.into()),
            None => return Err(Malformed::absent("result", "`receipt` or `refused`")),
        };
        Ok((reply, idle.map(Into::into)))
    }
}

impl From<(Answer<Receipt>, Option<Idle>)> for v1::PushUpdateResponse {
    fn from((answer, idle): (Answer<Receipt>, Option<Idle>)) -> Self {
        let result = either(answer, |receipt| Outcome::Receipt(receipt.into()), Outcome::Refused);
        Self { result, idle: idle.map(Into::into) }
    }
}
