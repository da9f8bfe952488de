//! The calls to the coordinator: the one place that knows tonic and the wire.
//!
//! A call is made once; whoever drives the node decides when to make it again, by the [`Retry`] of its error. What each
//! kind of failure means for that stands in one table, [`retry_of`]. Refusals are answers, not errors. Every call may be
//! repeated after a lost answer, which the protocol promises.

mod address;
mod call;
mod carrier;
mod relay;
mod trust;

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use federation::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use federation::{
    Candidate, Clock, Digest, Enrolment, Evaluation, Hold, Holding, Idle, NodeId, NodeStatus,
    Receipt, RoundRef, Settled,
};
use proto::convert::{
    FetchVersion, UpdatePart, VersionHeader, VersionPart, WaitOrder, WholeUpdate, chunks,
};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::relay_request::Call as Relayed;
use proto::v1::relay_response::Answer;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::clock::Comparison;
use crate::credential::Credential;
use crate::limits::{CALL_MS_MAX, CONNECT_MS_MAX, TRANSFER_MS_MAX};

pub use self::address::Address;
use self::call::Call;
pub use self::call::{Retry, UNAUTHENTICATED, UplinkError, retry_of};
use self::carrier::Carrier;
use self::relay::Relay;
pub use self::trust::Trust;
pub use proto::convert::{Order, RefusalText as Refused, Reply};

/// What a node gets when it asks for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The work.
    pub order: Order,
    /// What became of the round the node named.
    pub awaited: Option<Settled>,
    /// The version to hold, where that is another than the node holds.
    pub hold: Option<Hold>,
}

/// What a node gets for an update that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The coordinator's word for it.
    pub receipt: Receipt,
    /// When to ask for work again; nothing means at once.
    pub idle: Option<Idle>,
}

/// A node's way to its coordinator. Over TCP it connects when it is first used, and again whenever the connection is lost.
#[derive(Clone, Debug)]
pub struct Uplink {
    client: FleetServiceClient<Carrier>,
    /// What carries most of the calls, where there is one.
    relay: Option<Relay>,
    /// What every call shows.
    authorization: Option<MetadataValue<Ascii>>,
    /// A clock that is compared with the coordinator's.
    comparison: Option<Arc<Mutex<Comparison>>>,
}

impl Uplink {
    /// An uplink over TCP, with TLS where the address says so.
    #[must_use]
    pub fn connect(address: &Address) -> Self {
        Self::new(Self::endpoint(address).connect_lazy())
    }

    /// The endpoint of an address with the agent's timeouts, for a caller with its own connector:
    /// `Uplink::new(Uplink::endpoint(&address).connect_with_connector_lazy(connector))`.
    #[must_use]
    pub fn endpoint(address: &Address) -> Endpoint {
        address
            .endpoint()
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_millis(CALL_MS_MAX))
            .keep_alive_timeout(Duration::from_millis(CALL_MS_MAX))
    }

    /// An uplink over any channel.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self::carried(Carrier::Channel(channel), http::Uri::default())
    }

    /// An uplink over one connection, which is there: calls of all its clones share it, and fail once it is lost.
    ///
    /// # Errors
    /// When HTTP/2 cannot begin on it.
    pub async fn on<IO>(connection: IO) -> io::Result<Self>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let origin = http::Uri::from_static("http://coordinator");
        Ok(Self::carried(Carrier::on(connection).await?, origin))
    }

    fn carried(carrier: Carrier, origin: http::Uri) -> Self {
        let client = FleetServiceClient::with_origin(carrier, origin);
        Self {
            client: client.max_decoding_message_size(MESSAGE_BYTES_MAX),
            relay: None,
            authorization: None,
            comparison: None,
        }
    }

    /// The same, for a gateway: what all its clones ask, push and report goes over one stream, which begins when it is first
    /// used, and again whenever it is lost.
    #[must_use]
    pub fn relaying(self) -> Self {
        Self { relay: Some(Relay::over(self.client.clone())), ..self }
    }

    /// The same, which tells in the log when `clock` and the coordinator's differ.
    #[must_use]
    pub fn comparing(self, clock: Arc<dyn Clock>) -> Self {
        Self { comparison: Some(Arc::new(Mutex::new(Comparison::of(clock)))), ..self }
    }

    /// Shows this credential at every call from now on.
    pub fn show(&mut self, credential: &Credential) {
        self.authorization = Some(unshared(format!("Bearer {}", credential.text())));
    }

    /// Compares the clocks by what came with an answer.
    fn compare(&self, metadata: &MetadataMap) {
        let date = metadata.get("date").and_then(|date| date.to_str().ok());
        if let (Some(comparison), Some(date)) = (&self.comparison, date) {
            comparison.lock().unwrap_or_else(PoisonError::into_inner).look(date);
        }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }

    /// A call for a relay.
    fn relayed(&self, call: Relayed, traceparent: String) -> v1::RelayRequest {
        let shown = self.authorization.as_ref().map(|value| str::from_utf8(value.as_bytes()));
        let authorization = shown.map_or("", |text| text.expect("it is ASCII")).to_owned();
        v1::RelayRequest { call_id: 0, authorization, traceparent, call: Some(call) }
    }

    /// Presents the node.
    ///
    /// # Errors
    /// [`UplinkError`] when there is no answer.
    pub async fn enrol(&self, enrolment: &Enrolment) -> Result<Reply<NodeId>, UplinkError> {
        let call = Call { name: "enrol", ms: CALL_MS_MAX };
        let request = self.request(v1::EnrolRequest::from(enrolment.clone()));
        let mut client = self.client.clone();
        call.parse(call.made(pin!(client.enrol(request))).await?)
    }

    /// Asks for work and waits for it up to `wait_ms`; says how the node is doing, and which version it holds.
    ///
    /// # Errors
    /// [`UplinkError`] when there is no answer.
    pub async fn wait_order(
        &self,
        node: &NodeId,
        wait_ms: u32,
        awaiting: Option<RoundRef>,
        status: NodeStatus,
        holding: Option<Holding>,
    ) -> Result<Reply<Asked>, UplinkError> {
        let call = Call { name: "wait for an order", ms: CALL_MS_MAX + u64::from(wait_ms) };
        let (node, status) = (node.clone(), Some(status));
        let request = WaitOrder { node, wait_ms, awaiting, status, follows: true, holding };
        let request = v1::WaitOrderRequest::from(request);
        let message = if let Some(relay) = &self.relay {
            let request = self.relayed(Relayed::WaitOrder(request), String::new());
            let answer = |answer| match answer {
                Answer::WaitOrder(message) => Some(message),
                _ => None,
            };
            call.relayed(relay, request, answer).await?
        } else {
            let request = self.request(request);
            let mut client = self.client.clone();
            let answer = async {
                let answer = client.wait_order(request).await;
                self.compare(answer.as_ref().map_or_else(Status::metadata, Response::metadata));
                answer
            };
            call.made(pin!(answer)).await?
        };
        let told: (Reply<Order>, Option<Settled>, Option<Hold>) = call.parse(message)?;
        let (reply, awaited, hold) = told;
        Ok(reply.map(|order| Asked { order, awaited, hold }))
    }

    /// Fetches the bytes of a version and checks that they are that version's.
    ///
    /// # Errors
    /// [`UplinkError`] when there is no answer, or the bytes are others.
    pub async fn fetch(
        &self,
        node: &NodeId,
        digest: Digest,
    ) -> Result<Reply<Vec<u8>>, UplinkError> {
        let call = Call { name: "fetch a version", ms: TRANSFER_MS_MAX };
        let message = FetchVersion { node: node.clone(), digest };
        let request = self.request(v1::FetchVersionRequest::from(message));
        let mut client = self.client.clone();
        let stream = async {
            let mut parts = client
                .fetch_version(request)
                .await
                .map_err(|status| call.failed(&status))?
                .into_inner();
            let mut bytes = Vec::new();
            let mut announced: Option<usize> = None;
            while let Some(part) = parts.message().await.map_err(|status| call.failed(&status))? {
                let part: Reply<VersionPart> = call.parse(part)?;
                match (part, announced) {
                    (Err(refused), _) => return Ok(Err(refused)),
                    (Ok(VersionPart::Header(header)), None) => {
                        let VersionHeader { digest: got, bytes: length } = header;
                        if got != digest {
                            return Err(
                                call.damaged(&format!("version {got} came instead of {digest}"))
                            );
                        }
                        announced = Some(usize::try_from(length).expect("its limit was checked"));
                    }
                    (Ok(VersionPart::Chunk(chunk)), Some(length))
                        if bytes.len() + chunk.len() <= length =>
                    {
                        bytes.extend_from_slice(&chunk);
                    }
                    (Ok(_), _) => {
                        return Err(
                            call.damaged("its parts are not a header and then what it announces")
                        );
                    }
                }
            }
            let got = Digest::of(&bytes);
            if got == digest {
                Ok(Ok(bytes))
            } else {
                Err(call.damaged(&format!(
                    "{} bytes with digest {got} came instead of {digest}",
                    bytes.len()
                )))
            }
        };
        call.in_time(stream).await
    }

    /// Offers an update until it is answered.
    ///
    /// # Errors
    /// [`UplinkError`] when there is no answer, or a receipt for something else.
    pub async fn push(
        &self,
        candidate: &Candidate,
        payload: Arc<[u8]>,
    ) -> Result<Reply<Counted>, UplinkError> {
        let call = Call { name: "push an update", ms: TRANSFER_MS_MAX };
        let payload = Bytes::from_owner(payload);
        let message = match &self.relay {
            Some(relay) if (1..=CHUNK_BYTES).contains(&payload.len()) => {
                let update = WholeUpdate { candidate: candidate.clone(), payload };
                let request =
                    self.relayed(Relayed::PushUpdate(update.into()), traceparent(candidate));
                let answer = |answer| match answer {
                    Answer::PushUpdate(message) => Some(message),
                    _ => None,
                };
                call.relayed(relay, request, answer).await?
            }
            _ => {
                let header = std::iter::once(UpdatePart::Header(candidate.clone()));
                let parts = header.chain(chunks(payload).map(UpdatePart::Chunk));
                let parts = parts.map(v1::PushUpdateRequest::from);
                let mut request = self.request(tokio_stream::iter(parts));
                let parent = unshared(traceparent(candidate));
                request.metadata_mut().insert("traceparent", parent);
                let mut client = self.client.clone();
                call.made(pin!(client.push_update(request))).await?
            }
        };
        let (reply, idle): (Reply<Receipt>, Option<Idle>) = call.parse(message)?;
        match reply {
            Ok(receipt)
                if (receipt.round, receipt.payload) != (candidate.round, candidate.payload) =>
            {
                Err(call.unclear(format!(
                    "the receipt is for round {} and {}",
                    receipt.round, receipt.payload
                )))
            }
            reply => Ok(reply.map(|receipt| Counted { receipt, idle })),
        }
    }

    /// Reports how well a version does on held-out samples.
    ///
    /// # Errors
    /// [`UplinkError`] when there is no answer.
    pub async fn report(&self, evaluation: &Evaluation) -> Result<Reply<()>, UplinkError> {
        let call = Call { name: "report an evaluation", ms: CALL_MS_MAX };
        let request = v1::ReportEvaluationRequest::from(evaluation.clone());
        let message = if let Some(relay) = &self.relay {
            let request = self.relayed(Relayed::ReportEvaluation(request), String::new());
            let answer = |answer| match answer {
                Answer::ReportEvaluation(message) => Some(message),
                _ => None,
            };
            call.relayed(relay, request, answer).await?
        } else {
            let mut client = self.client.clone();
            call.made(pin!(client.report_evaluation(self.request(request)))).await?
        };
        call.parse(message)
    }
}

/// The trace of an update (W3C Trace Context), by which a coordinator that records traces shows what became of it. It follows
/// from the update, so that all tries are in one; whether it is recorded is for the coordinator to say.
fn traceparent(update: &Candidate) -> String {
    let (round, payload) = (update.round.to_string(), update.payload.to_string());
    let about = ["muster trace 1", update.node.as_str(), &round, &payload].join(" ");
    let id = Digest::of(about.as_bytes()).to_string();
    ["00", &id[..32], &id[32..48], "01"].join("-")
}

/// A value, of printable ASCII, that no other node's call has: it is secret, or it is only not to take the place of what calls
/// share in the table of HTTP/2's headers.
fn unshared(text: String) -> MetadataValue<Ascii> {
    let mut value: MetadataValue<Ascii> = text.try_into().expect("it is printable ASCII");
    value.set_sensitive(true);
    value
}
