//! What saves bytes: HEAD, the `ETag` of JSON, and compression.
//!
//! An artifact has a strong `ETag` of its own and is never compressed here: its bytes are its name.

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use federation::Digest;
use http_body_util::BodyExt as _;
use tower_http::compression::{CompressionLayer, Predicate};

use super::problem::{Code, Problem};

/// Shortest body that is worth compressing, in bytes.
const COMPRESSED_BYTES_MIN: u64 = 512;

/// Asks for what a HEAD would have been sent as GET, and leaves out the body.
pub(super) async fn head(mut request: Request, next: Next) -> Response {
    let head = request.method() == Method::HEAD;
    if head {
        *request.method_mut() = Method::GET;
        // A range is asked for with GET alone.
        request.headers_mut().remove(header::RANGE);
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::NOT_ACCEPTABLE {
        // Compression says so, and sends the body all the same.
        let detail = "Accept-Encoding refuses identity, gzip and zstd";
        return Problem::new(Code::NotAcceptable, detail).into_response();
    }
    if !head {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if let Some(bytes) = body.size_hint().exact() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| bytes.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// Gives JSON a weak `ETag`, and answers 304 to those who hold it.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let held = request.headers().get_all(header::IF_NONE_MATCH).into_iter().cloned();
    let held: Vec<HeaderValue> = held.collect();
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // What is JSON is in memory already.
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Problem::new(Code::Internal, "the answer broke off").into_response();
    };
    let digest = Digest::of(&body).to_string();
    let tag = format!("\"{}\"", &digest[..32]);
    let weak = HeaderValue::from_str(&format!("W/{tag}")).expect("hexadecimal digits fit");
    parts.headers.insert(header::ETAG, weak);
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if holds(held.iter(), &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether a list of `If-None-Match` names `tag`, which is given without weakness, or anything.
pub(super) fn holds<'a>(lists: impl Iterator<Item = &'a HeaderValue>, tag: &str) -> bool {
    let lists = lists.filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
}

/// Compresses texts, where the client likes it.
pub(super) fn compression() -> CompressionLayer<impl Predicate + Send + Sync + 'static> {
    CompressionLayer::new().compress_when(is_worth_it)
}

fn is_worth_it(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let short = headers.get(header::CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok());
    let short = short.and_then(|bytes| bytes.parse::<u64>().ok());
    let short = short.is_some_and(|bytes| bytes < COMPRESSED_BYTES_MIN);
    let kind = kind(headers);
    let text = matches!(kind, "application/json" | "application/problem+json")
        || (kind.starts_with("text/") && kind != "text/event-stream");
    text && !short && status != StatusCode::PARTIAL_CONTENT
}

fn is_json(headers: &HeaderMap) -> bool {
    kind(headers) == "application/json"
}

fn kind(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}
