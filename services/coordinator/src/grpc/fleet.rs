//! The fleet service: what a node can ask.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use federation::limits::DRAIN_MESSAGES_MAX;
use federation::{Answer, Candidate, Evaluation, Idle, NodeId, Receipt, Refusal, RefusalCode};
use proto::convert::{
    FetchVersion, Malformed, Order as WireOrder, UpdatePart, VersionHeader, VersionPart, WaitOrder,
    WholeUpdate, chunks,
};
use proto::v1;
use proto::v1::fleet_service_server::FleetService;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::relay::{self, Answers};
use super::status::CallError;
use crate::access::{Credential, Denied, Visit};
use crate::admission::Announced;
use crate::core::Core;
use crate::orders::{Held, Order, Told};

/// Longest that an update may take to come: 4 MiB over a line of 300 kbit/s.
const PUSH_TIME_MAX: Duration = Duration::from_secs(120);

/// Longest that the remainder of a refused push is read.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The service, as one connection meets it.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) core: Arc<Core>,
    /// Where the connection comes from.
    peer: Option<IpAddr>,
}

impl Fleet {
    /// A service over `core` for a connection from `peer`.
    pub(super) fn new(core: Arc<Core>, peer: Option<IpAddr>) -> Self {
        Self { core, peer }
    }

    /// Lets a call in.
    async fn visit(&self, shown: &Shown) -> Result<Visit, CallError> {
        match self.core.visit(shown.credential.as_ref()).await? {
            Ok(visit) => Ok(visit),
            Err(denied) => Err(self.denied(shown, denied)),
        }
    }

    /// Lets a call for `node` in, and takes it from the node's rate.
    async fn visit_in_turn(&self, shown: &Shown, node: &NodeId) -> Result<Visit, CallError> {
        let visit = self.visit(shown).await?;
        visit.speaks_for(node)?;
        self.core.take_turn(node)?;
        Ok(visit)
    }

    /// Whoever shows a secret that does not hold may not do so for ever.
    fn denied(&self, shown: &Shown, denied: Denied) -> CallError {
        if denied == Denied::Unauthenticated && shown.any {
            return self.guessed().err().unwrap_or(CallError::Denied(denied));
        }
        CallError::Denied(denied)
    }

    fn guessed(&self) -> Result<(), CallError> {
        let guessed = self.core.access.guessed(self.peer, &*self.core.clock);
        guessed.map_err(CallError::TooManyAttempts)
    }

    /// Says what there is to do, or waits for it.
    pub(super) async fn wait(
        &self,
        shown: &Shown,
        request: v1::WaitOrderRequest,
    ) -> Result<v1::WaitOrderResponse, CallError> {
        let WaitOrder { node, wait_ms, awaiting, status, follows, holding } = request.try_into()?;
        let _visit = self.visit_in_turn(shown, &node).await?;
        let wait = Duration::from_millis(wait_ms.into());
        let held = match holding {
            _ if !follows => Held::Apart,
            None => Held::Nothing,
            Some(holding) => Held::Version(holding),
        };
        let told = self.core.wait_order(&node, wait, awaiting, status, held).await?;
        Ok(match told {
            Err(refusal) => (Err(refusal), None, None),
            Ok(Told { order, awaited, hold }) => {
                let order = match order {
                    Order::Train(order) => WireOrder::Train(order),
                    Order::Idle(idle) => WireOrder::Idle(idle),
                };
                (Ok(order), awaited, hold)
            }
        }
        .into())
    }

    /// Notes how a version does.
    pub(super) async fn report(
        &self,
        shown: &Shown,
        request: v1::ReportEvaluationRequest,
    ) -> Result<v1::ReportEvaluationResponse, CallError> {
        let evaluation: Evaluation = request.try_into()?;
        let _visit = self.visit_in_turn(shown, &evaluation.node).await?;
        Ok(self.core.record(evaluation).await?.into())
    }

    /// Reads and counts one update. What is left of the stream afterwards is for the caller to drain.
    async fn take_update(
        &self,
        shown: &Shown,
        parts: &mut Streaming<v1::PushUpdateRequest>,
    ) -> Result<Taken, CallError> {
        // Nothing is waited for from somebody unknown.
        let visit = self.visit(shown).await?;
        let Some(UpdatePart::Header(candidate)) = next_part(parts).await? else {
            return Err(out_of_order("`header` in the first message").into());
        };
        if let Some(taken) = self.judged(&visit, &candidate).await? {
            return Ok(taken);
        }
        // The announcement was judged: its length is the model's, which has a limit.
        let room = self.room(candidate.payload_bytes)?;
        let payload = read_payload(parts, &candidate).await?;
        self.counted(&candidate, payload, room).await
    }

    /// Counts an update that is there as a whole, and so has its `room` already.
    pub(super) async fn take_whole(
        &self,
        shown: &Shown,
        update: v1::WholeUpdate,
        room: OwnedSemaphorePermit,
    ) -> Result<v1::PushUpdateResponse, CallError> {
        let visit = self.visit(shown).await?;
        let WholeUpdate { candidate, payload } = update.try_into()?;
        let taken = match self.judged(&visit, &candidate).await? {
            Some(taken) => taken,
            None => self.counted(&candidate, payload, room).await?,
        };
        Ok(taken.into())
    }

    /// Judges an announcement: what it is answered, unless its payload is wanted.
    async fn judged(
        &self,
        visit: &Visit,
        candidate: &Candidate,
    ) -> Result<Option<Taken>, CallError> {
        visit.speaks_for(&candidate.node)?;
        Ok(match self.core.announce(candidate).await? {
            Err(refusal) => Some((Err(refusal), None)),
            // Whatever is counted has its receipt, however often it is asked for.
            Ok(Announced::Again(receipt)) => Some((Ok(receipt), self.core.rests(&candidate.node))),
            Ok(Announced::Proceed) => {
                self.core.take_turn(&candidate.node)?;
                None
            }
        })
    }

    /// Memory for a payload.
    pub(super) fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, CallError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.core.payload_room).try_acquire_many_owned(kib);
        room.map_err(|_| CallError::Overloaded)
    }

    /// Counts an update whose announcement was judged.
    async fn counted(
        &self,
        candidate: &Candidate,
        payload: Bytes,
        room: OwnedSemaphorePermit,
    ) -> Result<Taken, CallError> {
        let round = candidate.round;
        let traced = self.core.traces.counting(round);
        let answer = self.core.count(candidate, payload, room).await;
        if let (Some(update), Ok(Err(_)) | Err(_)) = (&traced, &answer) {
            self.core.traces.refused(round, update);
        }
        let answer = answer?;
        let idle = if answer.is_ok() { self.core.rests(&candidate.node) } else { None };
        Ok((answer, idle))
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn enrol(
        &self,
        request: Request<v1::EnrolRequest>,
    ) -> Result<Response<v1::EnrolResponse>, Status> {
        let shown = Shown::of(&request);
        let enrolment = request.into_inner().try_into().map_err(CallError::Malformed)?;
        // A node that is known comes in by its credential; one that is new shows one that does not hold yet.
        let credential = shown.credential.as_ref();
        let visit = credential.map(|credential| self.core.visit_known(credential));
        let _visit = visit.transpose().map_err(CallError::Denied)?;
        let answer = self.core.enrol(enrolment, credential).await.map_err(CallError::Store)?;
        let code = answer.as_ref().err().map(|refusal| refusal.code);
        let wrong = match code {
            Some(RefusalCode::EnrolmentTokenUnknown | RefusalCode::EnrolmentProofInvalid) => true,
            Some(RefusalCode::EnrolmentTokenMissing) => shown.any,
            _ => false,
        };
        if wrong {
            self.guessed()?;
        }
        Ok(Response::new(answer.into()))
    }

    async fn wait_order(
        &self,
        request: Request<v1::WaitOrderRequest>,
    ) -> Result<Response<v1::WaitOrderResponse>, Status> {
        let shown = Shown::of(&request);
        Ok(Response::new(self.wait(&shown, request.into_inner()).await?))
    }

    type FetchVersionStream =
        Pin<Box<dyn Stream<Item = Result<v1::FetchVersionResponse, Status>> + Send>>;

    async fn fetch_version(
        &self,
        request: Request<v1::FetchVersionRequest>,
    ) -> Result<Response<Self::FetchVersionStream>, Status> {
        let shown = Shown::of(&request);
        let FetchVersion { node, digest } =
            request.into_inner().try_into().map_err(CallError::Malformed)?;
        let visit = self.visit_in_turn(&shown, &node).await?;
        let parts = match self.core.hear(&node).await.map_err(CallError::Store)? {
            Err(refusal) => vec![Err(refusal)],
            Ok(()) => match self.core.store.artifact(digest).await.map_err(CallError::Store)? {
                None => {
                    let expected = "the digest of a version";
                    let code = RefusalCode::UnknownVersion;
                    vec![Err(Refusal::new(code, "digest", expected, digest))]
                }
                Some(version) => {
                    let bytes = u64::try_from(version.len()).expect("a length fits 64 bits");
                    let mut parts = vec![Ok(VersionPart::Header(VersionHeader { digest, bytes }))];
                    parts.extend(chunks(version).map(|chunk| Ok(VersionPart::Chunk(chunk))));
                    parts
                }
            },
        };
        let parts = parts.into_iter().map(move |part: Answer<VersionPart>| {
            // The call is open until its last part has gone out.
            let _open = &visit;
            Ok(part.into())
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn push_update(
        &self,
        request: Request<Streaming<v1::PushUpdateRequest>>,
    ) -> Result<Response<v1::PushUpdateResponse>, Status> {
        let shown = Shown::of(&request);
        let mut parts = request.into_inner();
        let taken = timeout(PUSH_TIME_MAX, self.take_update(&shown, &mut parts)).await;
        // A client that is still sending reads the answer only if what it sends is read.
        let _ = timeout(DRAIN_TIME_MAX, drain(&mut parts)).await;
        let answer = taken.unwrap_or(Err(CallError::TooSlow))?;
        Ok(Response::new(answer.into()))
    }

    async fn report_evaluation(
        &self,
        request: Request<v1::ReportEvaluationRequest>,
    ) -> Result<Response<v1::ReportEvaluationResponse>, Status> {
        let shown = Shown::of(&request);
        Ok(Response::new(self.report(&shown, request.into_inner()).await?))
    }

    type RelayStream = Answers;

    async fn relay(
        &self,
        request: Request<Streaming<v1::RelayRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Ok(Response::new(relay::answers(self.clone(), request.into_inner())))
    }
}

/// What an update is answered: whether it counts, and when to ask for work again.
type Taken = (Answer<Receipt>, Option<Idle>);

/// What a call shows of who makes it.
#[derive(Debug)]
pub(super) struct Shown {
    credential: Option<Credential>,
    /// Whether it shows anything at all, a credential or not.
    any: bool,
}

impl Shown {
    fn of<T>(request: &Request<T>) -> Self {
        let mut texts = request.metadata().get_all("authorization").iter();
        let (text, one) = (texts.next(), texts.next().is_none());
        Self::in_text(text.filter(|_| one).and_then(|text| text.to_str().ok()))
    }

    /// What stands in the text of `authorization`, if there is one.
    pub(super) fn in_text(text: Option<&str>) -> Self {
        let bearer = text.and_then(|text| text.strip_prefix("Bearer "));
        Self { credential: bearer.and_then(Credential::read), any: bearer.is_some() }
    }
}

/// The payload, read to its announced length or just beyond: the check tells a payload that is too long.
async fn read_payload(
    parts: &mut Streaming<v1::PushUpdateRequest>,
    candidate: &Candidate,
) -> Result<Bytes, CallError> {
    let announced = usize::try_from(candidate.payload_bytes).unwrap_or(usize::MAX);
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(part) = next_part(parts).await? {
        let UpdatePart::Chunk(bytes) = part else {
            return Err(out_of_order("`chunk` after the first message").into());
        };
        // Most payloads are one chunk, which is taken as it came.
        if first.is_empty() {
            first = bytes;
        } else {
            if joined.is_empty() {
                joined.reserve(announced);
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&bytes);
        }
        if joined.len().max(first.len()) > announced {
            break;
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
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
