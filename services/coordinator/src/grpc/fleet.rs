//! The fleet service: what a node can ask.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use federation::limits::{CHUNK_BYTES, DRAIN_MESSAGES_MAX};
use federation::{Answer, Candidate, Evaluation, Receipt, Refusal, RefusalCode};
use proto::convert::{
    FetchVersion, Malformed, Order as WireOrder, UpdatePart, VersionHeader, VersionPart, WaitOrder,
};
use proto::v1;
use proto::v1::fleet_service_server::FleetService;
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::status::CallError;
use crate::admission::Announced;
use crate::core::Core;
use crate::orders::{Held, Order, Told};

/// Longest that an update may take to come: 4 MiB over a line of 300 kbit/s.
const PUSH_TIME_MAX: Duration = Duration::from_secs(120);

/// Longest that the remainder of a refused push is read.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The service.
#[derive(Debug)]
pub(super) struct Fleet {
    core: Arc<Core>,
}

impl Fleet {
    /// A service over `core`.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Reads and counts one update. What is left of the stream afterwards is for the caller to drain.
    async fn take_update(
        &self,
        parts: &mut Streaming<v1::PushUpdateRequest>,
    ) -> Result<Answer<Receipt>, CallError> {
        let Some(UpdatePart::Header(candidate)) = next_part(parts).await? else {
            return Err(out_of_order("`header` in the first message").into());
        };
        match self.core.announce(&candidate).await? {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Announced::Again(receipt)) => return Ok(Ok(receipt)),
            Ok(Announced::Proceed) => {}
        }
        // The announcement was judged: its length is the model's, which has a limit.
        let kib = u32::try_from(candidate.payload_bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.core.payload_room)
            .try_acquire_many_owned(kib)
            .map_err(|_| CallError::Overloaded)?;
        let payload = read_payload(parts, &candidate).await?;
        Ok(self.core.count(candidate, payload, room).await?)
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn enrol(
        &self,
        request: Request<v1::EnrolRequest>,
    ) -> Result<Response<v1::EnrolResponse>, Status> {
        let enrolment = request.into_inner().try_into().map_err(CallError::Malformed)?;
        let answer = self.core.enrol(enrolment).await.map_err(CallError::Store)?;
        Ok(Response::new(answer.into()))
    }

    async fn wait_order(
        &self,
        request: Request<v1::WaitOrderRequest>,
    ) -> Result<Response<v1::WaitOrderResponse>, Status> {
        let WaitOrder { node, wait_ms, awaiting, status, follows, holding } =
            request.into_inner().try_into().map_err(CallError::Malformed)?;
        let wait = Duration::from_millis(wait_ms.into());
        let held = match holding {
            _ if !follows => Held::Apart,
            None => Held::Nothing,
            Some(holding) => Held::Version(holding),
        };
        let told = self.core.wait_order(&node, wait, awaiting, status, held).await;
        let answer = match told.map_err(CallError::Store)? {
            Err(refusal) => (Err(refusal), None, None),
            Ok(Told { order, awaited, hold }) => {
                let order = match order {
                    Order::Train(order) => WireOrder::Train(order),
                    Order::Idle(idle) => WireOrder::Idle(idle),
                };
                (Ok(order), awaited, hold)
            }
        };
        Ok(Response::new(answer.into()))
    }

    type FetchVersionStream =
        Pin<Box<dyn Stream<Item = Result<v1::FetchVersionResponse, Status>> + Send>>;

    async fn fetch_version(
        &self,
        request: Request<v1::FetchVersionRequest>,
    ) -> Result<Response<Self::FetchVersionStream>, Status> {
        let FetchVersion { node, digest } =
            request.into_inner().try_into().map_err(CallError::Malformed)?;
        let parts = match self.core.hear(&node).await.map_err(CallError::Store)? {
            Err(refusal) => vec![Err(refusal)],
            Ok(()) => match self.core.store.artifact(digest).await.map_err(CallError::Store)? {
                None => {
                    let expected = "the digest of a version";
                    let code = RefusalCode::UnknownVersion;
                    vec![Err(Refusal::new(code, "digest", expected, digest))]
                }
                Some(mut left) => {
                    let bytes = u64::try_from(left.len()).expect("a length fits 64 bits");
                    let mut parts = vec![Ok(VersionPart::Header(VersionHeader { digest, bytes }))];
                    while !left.is_empty() {
                        let chunk = left.split_to(CHUNK_BYTES.min(left.len()));
                        parts.push(Ok(VersionPart::Chunk(chunk)));
                    }
                    parts
                }
            },
        };
        let parts = parts.into_iter().map(|part: Answer<VersionPart>| Ok(part.into()));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn push_update(
        &self,
        request: Request<Streaming<v1::PushUpdateRequest>>,
    ) -> Result<Response<v1::PushUpdateResponse>, Status> {
        let mut parts = request.into_inner();
        let taken = timeout(PUSH_TIME_MAX, self.take_update(&mut parts)).await;
        // A client that is still sending reads the answer only if what it sends is read.
        let _ = timeout(DRAIN_TIME_MAX, drain(&mut parts)).await;
        let answer = taken.unwrap_or(Err(CallError::TooSlow))?;
        Ok(Response::new(answer.into()))
    }

    async fn report_evaluation(
        &self,
        request: Request<v1::ReportEvaluationRequest>,
    ) -> Result<Response<v1::ReportEvaluationResponse>, Status> {
        let evaluation: Evaluation =
            request.into_inner().try_into().map_err(CallError::Malformed)?;
        let answer = self.core.record(evaluation).await.map_err(CallError::Store)?;
        Ok(Response::new(answer.into()))
    }
}

/// The payload, read to its announced length or just beyond: the check tells a payload that is too long.
async fn read_payload(
    parts: &mut Streaming<v1::PushUpdateRequest>,
    candidate: &Candidate,
) -> Result<Vec<u8>, CallError> {
    let announced = usize::try_from(candidate.payload_bytes).unwrap_or(usize::MAX);
    let mut payload = Vec::with_capacity(announced);
    while let Some(part) = next_part(parts).await? {
        let UpdatePart::Chunk(bytes) = part else {
            return Err(out_of_order("`chunk` after the first message").into());
        };
        payload.extend_from_slice(&bytes);
        if payload.len() > announced {
            break;
        }
    }
    Ok(payload)
}

async fn next_part(
    parts: &mut Streaming<v1::PushUpdateRequest>,
) -> Result<Option<UpdatePart>, CallError> {
    match parts.message().await.map_err(CallError::Stream)? {
        Some(message) => Ok(Some(message.try_into()?)),
        None => Ok(None),
    }
}

async fn drain(parts: &mut Streaming<v1::PushUpdateRequest>) {
    for _ in 0..DRAIN_MESSAGES_MAX {
        if !matches!(parts.message().await, Ok(Some(_))) {
            break;
        }
    }
}

fn out_of_order(expected: &str) -> Malformed {
    Malformed { field: "part", expected: expected.to_owned(), got: "something else".to_owned() }
}
