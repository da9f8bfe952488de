//! `/metrics`: what the coordinator counts, for Prometheus; and the counting of requests.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::answers::problems;
use super::problem::Problem;
use crate::core::Core;
use crate::metrics::{self, Answered};

problems!(Problems = READ);

/// Tells what is counted and timed
///
/// In the text format of Prometheus, version 0.0.4. docs/reference/metrics.md lists the names.
#[utoipa::path(
    get, path = "/metrics", tag = "about", operation_id = "metrics",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"), Problems)
)]
pub(super) async fn metrics(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let text = metrics::text(&core).await?;
    let headers =
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}

/// Counts requests, and times them until their answer begins.
pub(super) async fn measured(
    State(core): State<Arc<Core>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = Instant::now();
    let response = next.run(request).await;
    core.metrics.request(Answered {
        method: method.as_str(),
        route: route.as_ref().map(MatchedPath::as_str),
        status: response.status().as_u16(),
        took: began.elapsed(),
    });
    response
}
