//! Requests are heard out. Who is refused before their body was read, for want of a token, say, may still be sending it; if
//! the connection closed on them then, they would see a reset instead of the refusal.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use federation::limits::REST_BODY_BYTES_MAX;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Frame, SizeHint};

/// Longest that the rest of a body is waited for: who sends it does so already.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Reads what the answer left of a request's body, and drops it. A client that asks first is told at once and sends nothing.
pub(super) async fn out(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(body.clone()))).await;
    let mut rest = Limited::new(body, REST_BODY_BYTES_MAX);
    let read = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Who does not send it, or has too much of it, gets the answer all the same.
    let _ = tokio::time::timeout(TIME_MAX, read).await;
    response
}

/// A body that one reads and then, where that one stopped, another.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Body) -> T) -> T {
        look(&mut self.0.lock().expect("nothing panics while it reads a body"))
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
