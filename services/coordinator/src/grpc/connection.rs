//! A connection of nodes: HTTP/2, in one task together with the calls on it.
//!
//! So a call costs no task of its own, and what it shares with its connection stays with one thread.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;

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

/// Serves a connection until it ends, or until `stop` and its calls in flight are answered.
pub(super) async fn serve<IO>(
    io: IO,
    peer: Option<SocketAddr>,
    calls: Arc<Calls>,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let here = Here::default();
    let mut http = Builder::new(here.clone());
    http.timer(TokioTimer::new())
        .keep_alive_interval(Some(KEEPALIVE))
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_pending_accept_reset_streams(Some(RESETS_MAX))
        .max_local_error_reset_streams(Some(ERRORS_MAX));
    let service = service_fn(move |request| Arc::clone(&calls).answer(request));
    let mut served = pin!(http.serve_connection(TokioIo::new(io), service));
    let mut stopped = pin!(stop.cancelled().fuse());
    let mut running = FuturesUnordered::new();
    let ended = std::future::poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            served.as_mut().graceful_shutdown();
        }
        let ended = served.as_mut().poll(cx);
        if ended.is_ready() {
            return ended;
        }
        running.extend(here.take().into_iter().map(unconstrained));
        // A call that has something to send wakes the connection, and so this task.
        while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {}
        Poll::Pending
    });
    if let Err(error) = ended.await {
        tracing::debug!(?peer, %error, "a connection ended early");
    }
}

/// What the connection's task is to run besides: its calls.
#[derive(Clone, Default)]
struct Here(Arc<Mutex<Vec<Call>>>);

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Here {
    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().expect("no code panics while it holds the calls"))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Here {
    fn execute(&self, call: F) {
        self.0.lock().expect("no code panics while it holds the calls").push(Box::pin(call));
    }
}
