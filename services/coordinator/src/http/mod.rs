//! REST for people and tools: every answer JSON or bytes, every error an RFC 9457 problem.
//!
//! Handlers take a request apart, call the core, and put the answer together in shapes of their own; the domain knows
//! nothing of JSON. What the framework would answer by itself (no such route, wrong method, panic) is a problem too.

mod body;
mod caller;
mod enrolment_tokens;
mod events;
mod guard;
mod health;
mod models;
mod nodes;
mod page;
mod posted;
mod problem;
mod runs;
mod scope;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{get, post};
use axum::serve::Listener;
use tower_http::catch_panic::CatchPanicLayer;

use self::caller::Peer;
use self::problem::{Code, Problem};
use crate::core::Core;

pub(crate) use self::caller::Address;

/// Serves until shutdown, and then until the requests in flight are answered.
pub(crate) async fn serve<L: Listener<Addr: Debug + Address>>(core: Arc<Core>, listener: L) {
    let stop = core.stop.clone();
    let service = router(core).into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "serve HTTP");
    }
}

/// The routes.
pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/v1/models", get(models::list).post(models::create))
        .route("/v1/models/{name}", get(models::show))
        .route("/v1/models/{name}/versions", get(models::versions))
        .route("/v1/models/{name}/versions/{version}", get(models::version))
        .route("/v1/models/{name}/versions/{version}/artifact", get(models::artifact))
        .route("/v1/runs", get(runs::list).post(runs::create))
        .route("/v1/runs/{id}", get(runs::show))
        .route("/v1/runs/{id}/rounds", get(runs::rounds))
        .route("/v1/runs/{id}/pause", post(runs::pause))
        .route("/v1/runs/{id}/resume", post(runs::resume))
        .route("/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}/revoke", post(nodes::revoke))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", get(tokens::show))
        .route("/v1/tokens/{id}/revoke", post(tokens::revoke))
        .route(
            "/v1/enrolment-tokens",
            get(enrolment_tokens::list).post(enrolment_tokens::create),
        )
        .route("/v1/enrolment-tokens/{id}", get(enrolment_tokens::show))
        .route("/v1/enrolment-tokens/{id}/revoke", post(enrolment_tokens::revoke))
        .route("/v1/events", get(events::events))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&core), caller::identify))
        .layer(middleware::from_fn(guard::time_limit))
        .layer(middleware::from_fn_with_state(Arc::clone(&core), guard::loopback_only))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::from_fn(guard::in_span))
        .with_state(core)
}

async fn no_route(uri: Uri) -> Problem {
    Problem::new(Code::NotFound, format!("nothing is at {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}
