//! What carries calls: a channel, which connects and connects again, or one connection that is there.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;
use tower::util::{BoxCloneSyncService, ServiceExt as _};

type BoxError = Box<dyn StdError + Send + Sync>;

/// A carrier of HTTP/2 requests. A type of its own, by which the compiler sees that its futures can be sent.
#[derive(Clone, Debug)]
pub(super) struct Carrier(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Carrier {
    /// This channel.
    pub(super) fn channel(channel: Channel) -> Self {
        Self(BoxCloneSyncService::new(channel.map_err(BoxError::from)))
    }

    /// This connection.
    ///
    /// # Errors
    /// When HTTP/2 cannot begin on it.
    pub(super) async fn on<IO>(connection: IO) -> io::Result<Self>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await;
        let (requests, connection) = begun.map_err(io::Error::other)?;
        // Whoever calls is told of its end.
        tokio::spawn(async { connection.await.unwrap_or_default() });
        Ok(Self(BoxCloneSyncService::new(Line(requests))))
    }
}

impl Service<Request<Body>> for Carrier {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

/// One connection.
#[derive(Clone, Debug)]
struct Line(SendRequest<Body>);

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        Box::pin(async { Ok(answer.await?.map(Body::new)) })
    }
}
