//! Whether the process is up, and whether requests are welcome.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::core::{Core, Readiness};

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// `GET /healthz`: the process is up.
pub(super) async fn alive() -> Response {
    Json(Status { status: "ok" }).into_response()
}

/// `GET /readyz`: requests are welcome, or why not.
pub(super) async fn ready(State(core): State<Arc<Core>>) -> Response {
    let (code, status) = match core.readiness() {
        Readiness::Ready => (StatusCode::OK, "ready"),
        Readiness::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "storage_full"),
        Readiness::StoreFailing => (StatusCode::SERVICE_UNAVAILABLE, "store_failing"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    (code, Json(Status { status })).into_response()
}
