//! Whether the process is up, and whether requests are welcome.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{problems, words};
use crate::core::{Core, Readiness};

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// In one word.
    #[schema(schema_with = states)]
    status: &'static str,
}

fn states() -> utoipa::openapi::Schema {
    words(&["ok", "ready", "storage_full", "store_failing", "draining"], "In one word.")
}

problems!(Problems = OPEN);

/// Says that the process is up
#[utoipa::path(
    get, path = "/healthz", tag = "about", operation_id = "healthz", security(()),
    responses((status = 200, description = "It is up.", body = Status), Problems)
)]
pub(super) async fn alive() -> Response {
    Json(Status { status: "ok" }).into_response()
}

/// Says whether requests are welcome
#[utoipa::path(
    get, path = "/readyz", tag = "about", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "Requests are welcome.", body = Status),
        (status = 503, description = "They are not, and why.", body = Status),
        Problems,
    )
)]
pub(super) async fn ready(State(core): State<Arc<Core>>) -> Response {
    let (code, status) = match core.readiness() {
        Readiness::Ready => (StatusCode::OK, "ready"),
        Readiness::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "storage_full"),
        Readiness::StoreFailing => (StatusCode::SERVICE_UNAVAILABLE, "store_failing"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    (code, Json(Status { status })).into_response()
}
