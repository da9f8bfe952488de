//! What becomes of a call before and after its handler: its span, its time, its count, and an answer where it panics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use federation::limits::MESSAGE_BYTES_MAX;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use proto::v1::fleet_service_server::FleetServiceServer;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{BoxError, Service as _};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use super::fleet::Fleet;
use super::status::CallError;
use crate::core::Core;
use crate::traces::{self, Headers, Parent};

/// The path of the fleet service; what follows is the method.
const SERVICE: &str = "/muster.fleet.v1.FleetService/";
/// Its methods. Whoever calls may not make up labels.
const METHODS: [&str; 6] =
    ["Enrol", "WaitOrder", "FetchVersion", "PushUpdate", "ReportEvaluation", "Relay"];

/// Longest call: more than a push may take. It ends calls whose message does not come to its end.
const CALL_TIME_MAX: Duration = Duration::from_secs(180);

/// The services, as the calls of one connection meet them.
#[derive(Debug)]
pub(super) struct Calls {
    fleet: FleetServiceServer<Fleet>,
    others: Routes,
    core: Arc<Core>,
}

impl Calls {
    /// The fleet service over `core` for a connection from `peer`, and `others`.
    pub(super) fn new(core: &Arc<Core>, others: Routes, peer: Option<SocketAddr>) -> Self {
        let fleet = Fleet::new(Arc::clone(core), peer.map(|peer| peer.ip()));
        let fleet = FleetServiceServer::new(fleet).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self { fleet, others, core: Arc::clone(core) }
    }

    /// Answers a call.
    pub(super) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
    ) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let path = request.uri().path().strip_prefix(SERVICE);
        let ours = path.is_some();
        let method = METHODS.into_iter().find(|known| Some(*known) == path).unwrap_or("other");
        let span = span(method, request.uri().path());
        traces::follow_caller(&span, &Headers(request.headers()));
        let time = time(request.headers());
        let answer = async {
            let answer = if ours {
                self.fleet.clone().call(request).await
            } else {
                self.others.clone().call(request).await
            };
            answer.unwrap_or_else(|never| match never {})
        };
        let answer = match unharmed(timeout(time, answer), span).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Status::from(CallError::OutOfTime).into_http(),
            Err(panicked) => Status::from(panicked).into_http(),
        };
        // An answer without messages has its status in the head; one with them was a success. A stream that breaks off
        // later counts as well begun.
        let status = Status::from_header_map(answer.headers());
        let code = status.map_or(Code::Ok, |status| status.code());
        self.core.metrics.call(method, name(code));
        Ok(answer)
    }
}

/// What comes of a call in its span, unless its handler panics.
async fn unharmed<T>(handler: impl Future<Output = T>, span: Span) -> Result<T, CallError> {
    let ended = AssertUnwindSafe(handler).catch_unwind().instrument(span).await;
    // The panic's message is on standard error already.
    ended.map_err(|_| {
        tracing::error!("a call handler panicked");
        CallError::Panicked
    })
}

/// What comes of a relayed call of `method`, whose trace is `traceparent`, unless that is empty.
pub(super) async fn relayed<T>(
    core: &Core,
    method: &'static str,
    traceparent: String,
    handler: impl Future<Output = Result<T, CallError>>,
) -> Result<T, Status> {
    let span = span(method, method);
    traces::follow_caller(&span, &Parent(&traceparent));
    drop(traceparent);
    let answer = unharmed(handler, span).await.flatten().map_err(Status::from);
    core.metrics.call(method, name(answer.as_ref().err().map_or(Code::Ok, Status::code)));
    answer
}

/// The span of a call.
fn span(method: &str, path: &str) -> Span {
    match method {
        "Enrol" => info_span!("enrol", node.id = Empty),
        "WaitOrder" => info_span!("wait order", node.id = Empty),
        "FetchVersion" => info_span!("fetch version", node.id = Empty),
        "PushUpdate" => info_span!("push update", node.id = Empty),
        "ReportEvaluation" => info_span!("report evaluation", node.id = Empty),
        "Relay" => info_span!("relay"),
        _ => info_span!("call", path),
    }
}

/// How long a call may take: as long as it says, if it says so and that is less than any may.
fn time(headers: &HeaderMap) -> Duration {
    let text = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
    text.and_then(duration).map_or(CALL_TIME_MAX, |asked| asked.min(CALL_TIME_MAX))
}

/// A time as gRPC over HTTP/2 writes it: up to eight digits and a unit.
fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A code as metrics name it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio_stream::Stream;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::World;

    /// What a call for work is answered whose message comes by `body`.
    async fn answered<S>(body: S) -> Status
    where
        S: Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + 'static,
    {
        let world = World::new().await;
        let calls = Arc::new(Calls::new(&world.core, Routes::default(), None));
        let request = Request::post(format!("{SERVICE}WaitOrder"))
            .header("grpc-timeout", "5m")
            .body(StreamBody::new(body));
        let Ok(answer) = calls.answer(request.unwrap()).await;
        Status::from_header_map(answer.headers()).unwrap()
    }

    fn reason(status: &Status) -> String {
        status.get_error_details().error_info().unwrap().reason.clone()
    }

    #[tokio::test]
    async fn a_call_whose_message_does_not_come_is_ended_in_time() {
        let status = answered(tokio_stream::pending()).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason(&status), "call_timeout");
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_for() {
        let panics = futures_util::stream::poll_fn(|_| panic!("a test"));
        let status = answered(panics).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "internal"));
    }

    #[test]
    fn a_call_has_the_time_it_asks_for_within_what_any_has() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            time(&headers)
        };
        assert_eq!(time(&HeaderMap::new()), CALL_TIME_MAX);
        assert_eq!(asked("2S"), Duration::from_secs(2));
        assert_eq!(asked("1M"), Duration::from_secs(60));
        assert_eq!(asked("250m"), Duration::from_millis(250));
        assert_eq!(asked("7u"), Duration::from_micros(7));
        assert_eq!(asked("00000009n"), Duration::from_nanos(9));
        for long_or_wrong in ["99999999H", "1H", "123456789n", "S", "", "5", "+5S", "5s", "5é"] {
            assert_eq!(asked(long_or_wrong), CALL_TIME_MAX, "{long_or_wrong}");
        }
    }
}
