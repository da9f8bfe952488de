//! REST's connections: HTTP/1.1, each in a task of its own, with bounds on what a request may be before it is one.
//!
//! Some answers are hyper's own, and not problems: to a head that cannot be read (400), is too long or has too many
//! fields (431), or whose path is too long (414). It ends the connection with them. A head that takes too long has no
//! answer.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::connections;

/// Most bytes of a request's head: paths and tokens are short, browsers send a few kilobytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Most header fields of a request.
const HEADERS_MAX: usize = 64;

/// Most bytes that are read ahead of a request's body.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;

/// Serves connections until `stop`, and then until the requests in flight are answered. Dropped, it cuts them off. The
/// peer's address, where there is one, is a request's `ConnectInfo`.
pub(super) async fn serve<IO>(
    router: Router,
    connections: impl Stream<Item = (IO, Option<SocketAddr>)>,
    head: Duration,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(READ_AHEAD_BYTES_MAX);
    let serve = |io, peer| connection(http.clone(), io, peer, router.clone(), stop.clone());
    connections::each(connections, &stop, serve).await;
}

async fn connection<IO>(
    http: http1::Builder,
    io: IO,
    peer: Option<SocketAddr>,
    router: Router,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        router.clone().call(request)
    });
    let mut served = pin!(http.serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, %error, "a connection ended early");
    }
}
