//! The name of each request: given by the client or made here, in the answer, in every log line of the request and in
//! its problem.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::core::Core;

/// The header that holds it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Most bytes of one that a client gives.
const BYTES_MAX: usize = 64;

/// How many this process has made.
static MADE: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    /// That of the request that this task answers.
    static CURRENT: HeaderValue;
}

/// Names a request.
pub(super) async fn named(State(core): State<Arc<Core>>, request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| make(&core));
    let (method, path) = (request.method(), request.uri().path());
    let text = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = text, %method, path);
    let answer = next.run(request).instrument(span);
    let mut response = CURRENT.scope(id.clone(), answer).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// The name of the request that this task answers; `None` in no request.
pub(super) fn current() -> Option<String> {
    CURRENT.try_with(|id| id.to_str().map(str::to_owned).ok()).ok().flatten()
}

/// The client's, where it gives a short one of visible ASCII.
fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(X_REQUEST_ID)?;
    let fits = (1..=BYTES_MAX).contains(&id.len());
    (fits && id.as_bytes().iter().all(u8::is_ascii_graphic)).then(|| id.clone())
}

/// One that this coordinator makes once: the time, and a number in this process.
fn make(core: &Core) -> HeaderValue {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:x}-{number:x}", core.clock.wall().0);
    HeaderValue::from_str(&id).expect("hexadecimal digits fit in a header")
}
