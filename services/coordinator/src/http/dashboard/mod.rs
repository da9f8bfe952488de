//! The dashboard: pages for people, made here, of the same reads and deeds as REST.
//!
//! A page is whole without its script; the script follows the events, and has the parts of a page that change made
//! anew (`data-live`). Nothing is loaded from elsewhere. Who signs in shows an API token once ([`sign_in`]); forms bring
//! what only a page of ours knows ([`act`]). The pages are for people: the API's description does not describe them.

mod act;
mod actions;
mod assets;
mod audit;
mod channels;
mod chart;
mod compare;
mod lineage;
mod model;
mod models;
mod node;
mod nodes;
mod overview;
mod page;
mod rounds;
mod run;
mod runs;
mod settings;
mod sign_in;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use serde_json::Value;

use self::page::error_page;
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::StoreError;

/// Most bytes of a form: names, numbers and what every form brings.
const FORM_BYTES_MAX: usize = 16 << 10;

/// What a page may load, and who may show it: this origin alone, and nobody.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The type of a page.
const HTML: &str = "text/html; charset=utf-8";

/// The pages.
pub(super) fn pages() -> Router<Arc<Core>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/fleet", get(nodes::list))
        .route("/fleet/{id}", get(node::show))
        .route("/fleet/{id}/revoke", post(actions::revoke_node))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(run::show))
        .route("/runs/{id}/pause", post(actions::pause))
        .route("/runs/{id}/resume", post(actions::resume))
        .route("/runs/{id}/cancel", post(actions::cancel))
        .route("/models", get(models::list))
        .route("/models/{name}", get(model::show))
        .route("/models/{name}/compare", get(compare::show))
        .route("/models/{name}/channels/{channel}/promote", post(actions::promote))
        .route("/models/{name}/channels/{channel}/rollback", post(actions::roll_back))
        .route("/models/{name}/channels/{channel}/pin", post(actions::pin))
        .route("/models/{name}/channels/{channel}/unpin", post(actions::unpin))
        .route("/models/{name}/channels/{channel}/approve", post(actions::approve))
        .route("/audit", get(audit::show))
        .route("/settings", get(settings::show))
        .route("/settings/tokens", get(tokens::show).post(tokens::create))
        .route("/settings/tokens/{id}/revoke", post(tokens::revoke))
        .route("/settings/enrolment-tokens", post(tokens::create_enrolment))
        .route("/settings/enrolment-tokens/{id}/revoke", post(tokens::revoke_enrolment))
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/assets/{file}", get(assets::serve))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(guarded))
}

/// Puts on every page what browsers are to keep to.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && !is_page(response.headers()) {
        response = told(response).await;
    }
    let headers = response.headers_mut();
    keep_to(headers);
    // What a page shows is for who is signed in now.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn keep_to(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A form's Origin stays: without any referrer browsers would hide it.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The page in place of a problem, or of what the framework says of a query or a form that it cannot read.
async fn told(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // What refuses is short, and in memory already.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let by_code = Code::ALL.iter().find(|code| problem["code"] == code.facts().text);
    let code = by_code.copied().unwrap_or(match parts.status.as_u16() {
        413 => Code::BodyTooLarge,
        415 => Code::UnsupportedMediaType,
        422 => Code::InvalidValue,
        _ => Code::InvalidQuery,
    });
    let page = error_page(code, problem["detail"].as_str().unwrap_or(&text)).into_string();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, page.into())
}

/// Refuses a request: people get a page, or the way to sign in; programs the problem.
pub(super) fn refuse(problem: Problem, request: &Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/v1") || !wants_page(request.headers()) {
        return problem.into_response();
    }
    if problem.told().0 != Code::Unauthenticated {
        return Oops(problem).into_response();
    }
    let looks = request.method() == Method::GET;
    let back = request.uri().path_and_query().filter(|_| looks).map_or("/", |back| back.as_str());
    Redirect::to(&sign_in::place(back)).into_response()
}

/// Whether a person's browser asks for something to show.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    accepts.filter_map(|list| list.to_str().ok()).any(|list| list.contains("text/html"))
}

/// A problem, told on a page.
#[derive(Debug)]
pub(super) struct Oops(pub(super) Problem);

impl<E: Into<Problem>> From<E> for Oops {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let (code, detail) = self.0.told();
        let page = error_page(code, detail).into_string();
        let mut response = self.0.into_response();
        let headers = response.headers_mut();
        keep_to(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = page.into();
        response
    }
}

/// The number of the newest event: what a page shows is at least as new.
async fn newest_event(core: &Core) -> Result<u64, StoreError> {
    Ok(core.store.events_kept().await?.newest)
}
