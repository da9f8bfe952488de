//! Fetching a version.

use bytes::Bytes;
use federation::limits::ARTIFACT_BYTES_MAX;
use federation::{Answer, Digest, NodeId};

use super::parse::{Malformed, chunk, digest, digest_bytes, name, within};
use super::refusal::{Reply, either};
use crate::v1;
use crate::v1::fetch_version_response::Part;

/// A node asks for a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchVersion {
    /// The node.
    pub node: NodeId,
    /// The version.
    pub digest: Digest,
}

/// What follows in the stream of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionHeader {
    /// SHA-256 of all chunks together.
    pub digest: Digest,
    /// Length of all chunks together, in bytes: at most [`ARTIFACT_BYTES_MAX`].
    pub bytes: u64,
}

/// A part of a version: first the header, then chunks. Their order is for the reader of the stream to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPart {
    /// What follows.
    Header(VersionHeader),
    /// The next bytes: 1 to [`federation::limits::CHUNK_BYTES`].
    Chunk(Bytes),
}

impl TryFrom<v1::FetchVersionRequest> for FetchVersion {
    type Error = Malformed;
    fn try_from(message: v1::FetchVersionRequest) -> Result<Self, Malformed> {
        let v1::FetchVersionRequest { node_id, digest: version } = message;
        Ok(Self { node: name("node_id", &node_id)?, digest: digest("digest", &version)? })
    }
}

impl From<FetchVersion> for v1::FetchVersionRequest {
    fn from(request: FetchVersion) -> Self {
        let FetchVersion { node, digest } = request;
        Self { node_id: node.as_str().to_owned(), digest: digest_bytes(digest) }
    }
}

impl TryFrom<v1::VersionHeader> for VersionHeader {
    type Error = Malformed;
    fn try_from(message: v1::VersionHeader) -> Result<Self, Malformed> {
        let v1::VersionHeader { digest: version, bytes } = message;
        Ok(Self {
            digest: digest("digest", &version)?,
            bytes: within("bytes", bytes, 0..=ARTIFACT_BYTES_MAX as u64)?,
        })
    }
}

impl From<VersionHeader> for v1::VersionHeader {
    fn from(header: VersionHeader) -> Self {
        let VersionHeader { digest, bytes } = header;
        Self { digest: digest_bytes(digest), bytes }
    }
}

impl TryFrom<v1::FetchVersionResponse> for Reply<VersionPart> {
    type Error = Malformed;
    fn try_from(message: v1::FetchVersionResponse) -> Result<Self, Malformed> {
        let v1::FetchVersionResponse { part } = message;
        match part {
            Some(Part::Header(header)) => Ok(Ok(VersionPart::Header(header.try_into()?))),
            Some(Part::Chunk(bytes)) => Ok(Ok(VersionPart::Chunk(chunk("chunk", bytes)?))),
            Some(Part::Refused(refusal)) => Ok(Err(refusal.into())),
            None => Err(Malformed::absent("part", "`header`, `chunk` or `refused`")),
        }
    }
}

impl From<Answer<VersionPart>> for v1::FetchVersionResponse {
    fn from(answer: Answer<VersionPart>) -> Self {
        let part = |part| match part {
            VersionPart::Header(header) => Part::Header(header.into()),
            VersionPart::Chunk(bytes) => Part::Chunk(bytes),
        };
        Self { part: either(answer, part, Part::Refused) }
    }
}
