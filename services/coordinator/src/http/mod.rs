//! REST for people and tools: every answer JSON or bytes, every error an RFC 9457 problem.
//!
//! Handlers take a request apart, call the core, and put the answer together in shapes of their own; the domain knows
//! nothing of JSON. What the framework would answer by itself (no such route, wrong method, panic) is a problem too.

#![allow(unused_qualifications, reason = "`#[utoipa::path]` writes them")]

mod answers;
mod artifacts;
mod audit;
mod body;
mod caller;
mod channels;
mod code;
mod conditional;
mod connections;
mod contributions;
mod dashboard;
mod enrolment_tokens;
mod evaluations;
mod events;
mod guard;
mod health;
mod heard;
mod metrics;
mod models;
mod moves;
mod nodes;
mod openapi;
mod page;
mod posted;
mod problem;
mod request_id;
mod rounds;
mod runs;
mod scope;
#[cfg(test)]
mod tests;
mod tokens;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::problem::{Code, Problem};
use crate::core::Core;

/// Serves connections, each with where it comes from, until shutdown, and then until the requests in flight are
/// answered. The head of a request may take `head` to come.
pub(crate) async fn serve<IO>(
    core: Arc<Core>,
    connections: impl Stream<Item = (IO, Option<SocketAddr>)>,
    head: Duration,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = core.stop.clone();
    connections::serve(router(core), connections, head, stop).await;
}

/// The routes, each with its description: what is not described cannot be registered.
fn routes() -> OpenApiRouter<Arc<Core>> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi::document))
        .routes(routes!(models::list, models::create))
        .routes(routes!(models::show))
        .routes(routes!(models::versions, versions::import))
        .routes(routes!(models::version))
        .routes(routes!(artifacts::of_version))
        .routes(routes!(evaluations::list))
        .routes(routes!(versions::summary))
        .routes(routes!(versions::comparison))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::show, channels::set_up))
        .routes(routes!(channels::history))
        .routes(routes!(moves::promote))
        .routes(routes!(moves::roll_back))
        .routes(routes!(moves::pin))
        .routes(routes!(moves::unpin))
        .routes(routes!(moves::approve))
        .routes(routes!(runs::list, runs::create))
        .routes(routes!(runs::show))
        .routes(routes!(rounds::list))
        .routes(routes!(rounds::show))
        .routes(routes!(contributions::of_round))
        .routes(routes!(runs::pause))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::cancel))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::one))
        .routes(routes!(contributions::of_node))
        .routes(routes!(artifacts::by_digest))
        .routes(routes!(audit::list))
        .routes(routes!(nodes::revoke))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::show))
        .routes(routes!(tokens::revoke))
        .routes(routes!(enrolment_tokens::list, enrolment_tokens::create))
        .routes(routes!(enrolment_tokens::show))
        .routes(routes!(enrolment_tokens::revoke))
        .routes(routes!(events::events))
}

/// The routes, and what every request passes.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let (router, _) = routes().merge(openapi::pages()).split_for_parts();
    router
        .merge(dashboard::pages())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(conditional::tagged))
        .layer(conditional::compression())
        .layer(middleware::from_fn(conditional::head))
        .layer(middleware::from_fn_with_state(Arc::clone(&core), caller::identify))
        .layer(middleware::from_fn(guard::time_limit))
        .layer(middleware::from_fn_with_state(Arc::clone(&core), guard::loopback_only))
        .layer(middleware::from_fn(heard::out))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&core), metrics::measured))
        .layer(middleware::from_fn_with_state(Arc::clone(&core), request_id::named))
        .with_state(core)
}

async fn no_route(request: Request) -> Response {
    let problem = Problem::new(Code::NotFound, format!("nothing is at {}", request.uri().path()));
    dashboard::refuse(problem, &request)
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}
