//! gRPC for nodes: the fleet service, health, reflection.
//!
//! Handlers decode (`proto::convert`), call the core, encode. A refusal is an answer; an error is a malformed request,
//! overload, or our own failure, and carries a stable code.

mod counted;
mod fleet;
mod status;

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use federation::limits::MESSAGE_BYTES_MAX;
use proto::v1::fleet_service_server::FleetServiceServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::layer::layer_fn;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::Empty;
use tracing::{Span, info_span};

use self::counted::Counted;
use self::fleet::Fleet;
use self::status::CallError;
use crate::core::Core;
use crate::traces;

/// The names under which health is asked for: the server as a whole, and its one service.
pub(crate) const HEALTH_SERVICES: [&str; 2] = ["", "muster.fleet.v1.FleetService"];

/// How often a silent connection is asked whether its node still lives, and how long it may take to say so: a device
/// that lost its power leaves its connection, and its long poll, open.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Most calls open on one connection: a simulator's nodes share one.
const STREAMS_MAX: u32 = 1_024;

/// Most bytes of a call's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Largest frame, in bytes; the least that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 16 << 10;

/// Calls that were opened and taken back before anybody looked at them: with more at one time the connection ends.
const RESETS_MAX: usize = 20;

/// Calls that broke the protocol and were reset for it: with more of them the connection ends.
const ERRORS_MAX: usize = 256;

/// Longest call: more than a push may take. It ends calls whose message does not come to its end.
const CALL_TIME_MAX: Duration = Duration::from_secs(180);

/// Serves until shutdown, and then until the calls in flight are answered.
pub(crate) async fn serve<IO>(
    core: Arc<Core>,
    health: HealthServer<impl Health>,
    connections: impl Stream<Item = io::Result<IO>>,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let stop = core.stop.clone();
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = described().build_v1().expect("the committed descriptors are well-formed");
    // The same under its earlier name, by which Python's library and older tools ask.
    let reflection_alpha =
        described().build_v1alpha().expect("the committed descriptors are well-formed");
    let counted = Arc::clone(&core);
    let fleet =
        FleetServiceServer::new(Fleet::new(core)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERRORS_MAX))
        .timeout(CALL_TIME_MAX)
        .trace_fn(span)
        .layer(layer_fn(move |inner| Counted::new(inner, Arc::clone(&counted))))
        .layer(CatchPanicLayer::custom(panicked))
        .add_service(fleet)
        .add_service(health)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .serve_with_incoming_shutdown(connections, async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "serve gRPC");
    }
}

/// A call's span, in its caller's trace.
fn span(request: &http::Request<()>) -> Span {
    let path = request.uri().path();
    let span = match path.rsplit('/').next() {
        Some("Enrol") => info_span!("enrol", node.id = Empty),
        Some("WaitOrder") => info_span!("wait order", node.id = Empty),
        Some("FetchVersion") => info_span!("fetch version", node.id = Empty),
        Some("PushUpdate") => info_span!("push update", node.id = Empty),
        Some("ReportEvaluation") => info_span!("report evaluation", node.id = Empty),
        _ => info_span!("call", path),
    };
    traces::follow_caller(&span, request.headers());
    span
}

/// Answers for a handler that panicked. The panic's message is on standard error already.
fn panicked(_: Box<dyn Any + Send>) -> http::Response<Body> {
    tracing::error!("a call handler panicked");
    tonic::Status::from(CallError::Panicked).into_http()
}
