//! The calls to the coordinator: the one place that knows tonic and the wire.
//!
//! A call is made once; whoever drives the node decides when to make it again, by the [`Retry`] of its error. What each
//! kind of failure means for that stands in one table, [`retry_of`]. Refusals are answers, not errors. Every call may be
//! repeated after a lost answer, which the protocol promises.

mod address;
mod carrier;
mod trust;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use federation::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use federation::{
    Candidate, Clock, Digest, Enrolment, Evaluation, Hold, Holding, Idle, NodeId, NodeStatus,
    Receipt, RoundRef, Settled,
};
use proto::convert::{FetchVersion, Malformed, UpdatePart, VersionHeader, VersionPart, WaitOrder};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::clock::Comparison;
use crate::credential::Credential;
use crate::limits::{CALL_MS_MAX, CONNECT_MS_MAX, TRANSFER_MS_MAX};

pub use self::address::Address;
use self::carrier::Carrier;
pub use self::trust::Trust;
pub use proto::convert::{Order, RefusalText as Refused, Reply};

/// When a failed call is worth making again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a short pause that grows.
    Soon,
    /// After at least so many milliseconds: the coordinator said so.
    After(u64),
    /// After a long pause: somebody has to change something first.
    Later,
    /// Not with this request: it is wrong in itself.
    Never,
}

/// A call that got no answer, or none that can be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: {message}")]
pub struct UplinkError {
    /// The call.
    pub call: &'static str,
    /// A stable code: that of gRPC in snake case, `timed_out`, `malformed_answer`, `version_damaged`,
    /// `certificate_untrusted`, or `tls_failed`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
}

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
            authorization: None,
            comparison: None,
        }
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
        let request = self.request(v1::WaitOrderRequest::from(request));
        let mut client = self.client.clone();
        let answer = async {
            let answer = client.wait_order(request).await;
            self.compare(answer.as_ref().map_or_else(Status::metadata, Response::metadata));
            answer
        };
        let message = call.made(pin!(answer)).await?;
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
        let header = std::iter::once(UpdatePart::Header(candidate.clone()));
        let mut left = Bytes::from_owner(payload);
        let chunks = std::iter::from_fn(move || {
            let chunk = left.split_to(CHUNK_BYTES.min(left.len()));
            (!chunk.is_empty()).then_some(UpdatePart::Chunk(chunk))
        });
        let parts = tokio_stream::iter(header.chain(chunks).map(v1::PushUpdateRequest::from));
        let mut request = self.request(parts);
        request.metadata_mut().insert("traceparent", traceparent(candidate));
        let mut client = self.client.clone();
        let message = call.made(pin!(client.push_update(request))).await?;
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
        let request = self.request(v1::ReportEvaluationRequest::from(evaluation.clone()));
        let mut client = self.client.clone();
        call.parse(call.made(pin!(client.report_evaluation(request))).await?)
    }
}

/// The code of a call that shows no credential that holds.
pub const UNAUTHENTICATED: &str = "unauthenticated";

/// What a gRPC error means for trying again, and its stable code.
#[must_use]
pub fn retry_of(code: Code) -> (Retry, &'static str) {
    match code {
        Code::Ok => (Retry::Soon, "ok"),
        Code::Cancelled => (Retry::Soon, "cancelled"),
        Code::Unknown => (Retry::Soon, "unknown"),
        Code::DeadlineExceeded => (Retry::Soon, "deadline_exceeded"),
        Code::ResourceExhausted => (Retry::Soon, "resource_exhausted"),
        Code::Aborted => (Retry::Soon, "aborted"),
        Code::Internal => (Retry::Soon, "internal"),
        Code::Unavailable => (Retry::Soon, "unavailable"),
        Code::DataLoss => (Retry::Soon, "data_loss"),
        Code::NotFound => (Retry::Later, "not_found"),
        Code::AlreadyExists => (Retry::Later, "already_exists"),
        Code::PermissionDenied => (Retry::Later, "permission_denied"),
        Code::FailedPrecondition => (Retry::Later, "failed_precondition"),
        Code::Unimplemented => (Retry::Later, "unimplemented"),
        Code::Unauthenticated => (Retry::Later, UNAUTHENTICATED),
        Code::InvalidArgument => (Retry::Never, "invalid_argument"),
        Code::OutOfRange => (Retry::Never, "out_of_range"),
    }
}

/// The trace of an update (W3C Trace Context), by which a coordinator that records traces shows what became of it. It follows
/// from the update, so that all tries are in one; whether it is recorded is for the coordinator to say.
fn traceparent(update: &Candidate) -> MetadataValue<Ascii> {
    let about = format!("muster trace 1 {} {} {}", update.node, update.round, update.payload);
    let id = Digest::of(about.as_bytes()).to_string();
    unshared(format!("00-{}-{}-01", &id[..32], &id[32..48]))
}

/// A value, of printable ASCII, that no other node's call has: it is secret, or it is only not to take the place of what calls
/// share in the table of HTTP/2's headers.
fn unshared(text: String) -> MetadataValue<Ascii> {
    let mut value: MetadataValue<Ascii> = text.try_into().expect("it is printable ASCII");
    value.set_sensitive(true);
    value
}

/// One call: its name in messages, and how long it may take.
#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    ms: u64,
}

impl Call {
    /// What comes of it. It is large, and so it stays where it is.
    async fn made<M>(
        &self,
        answer: Pin<&mut impl Future<Output = Result<Response<M>, Status>>>,
    ) -> Result<M, UplinkError> {
        let answer = async { answer.await.map_err(|status| self.failed(&status)) };
        self.in_time(answer).await.map(Response::into_inner)
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, UplinkError>>,
    ) -> Result<T, UplinkError> {
        let late =
            |_| self.error("timed_out", format!("no answer within {} ms", self.ms), Retry::Soon);
        timeout(Duration::from_millis(self.ms), answer).await.map_err(late)?
    }

    fn parse<M, T: TryFrom<M, Error = Malformed>>(&self, message: M) -> Result<T, UplinkError> {
        message.try_into().map_err(|malformed: Malformed| self.unclear(malformed.to_string()))
    }

    fn failed(&self, status: &Status) -> UplinkError {
        if let Some(error) = trust::failure(status) {
            return match error {
                rustls::Error::InvalidCertificate(why) => {
                    let why = rustls::Error::InvalidCertificate(why);
                    let message = format!(
                        "the coordinator's certificate is not trusted ({why}); --ca-file names the certificate that vouches for it"
                    );
                    self.error("certificate_untrusted", message, Retry::Later)
                }
                other => self.error(
                    "tls_failed",
                    format!("the TLS handshake failed: {other}"),
                    Retry::Soon,
                ),
            };
        }
        let (retry, code) = retry_of(status.code());
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let retry = match asked {
            Some(delay) => Retry::After(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            None => retry,
        };
        let cause = std::error::Error::source(status)
            .map(root)
            .filter(|cause| !status.message().contains(cause));
        let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        self.error(code, format!("{}{cause}", status.message()), retry)
    }

    fn damaged(&self, message: &str) -> UplinkError {
        self.error("version_damaged", message.to_owned(), Retry::Soon)
    }

    /// The coordinator speaks another protocol than this release, or is broken.
    fn unclear(&self, message: String) -> UplinkError {
        self.error("malformed_answer", message, Retry::Later)
    }

    fn error(&self, code: &'static str, message: String, retry: Retry) -> UplinkError {
        UplinkError { call: self.name, code, message, retry }
    }
}

/// The innermost cause, which of a lost connection is what the operating system says.
fn root<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_asked_for_is_kept() {
        use tonic_types::ErrorDetails;
        let call = Call { name: "push an update", ms: 1 };
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        let error = call.failed(&status);
        assert_eq!((error.retry, error.code), (Retry::After(1500), "resource_exhausted"));
        assert_eq!(error.to_string(), "push an update: busy");
        assert_eq!(call.failed(&Status::unavailable("x")).retry, Retry::Soon);
        assert_eq!(call.failed(&Status::invalid_argument("x")).retry, Retry::Never);
        assert_eq!(call.failed(&Status::unimplemented("x")).retry, Retry::Later);
    }
}
