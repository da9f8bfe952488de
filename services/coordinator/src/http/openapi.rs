//! The API's description, put together from the routes: `/openapi.json`, and `/docs` to browse it.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::Value;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Info, License, ObjectBuilder, RefOr, Response as Told, Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use super::answers::problems;
use super::body::Params;
use super::code::Code;
use super::problem::{Problem, ProblemBody};
use crate::core::Core;

/// The security scheme's name in the description.
const BEARER: &str = "bearer";

/// The description as it is served where whoever comes is served.
static OPEN: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(describe(Doors::Open).to_string()));
/// The description as it is served where a token is asked for.
static GUARDED: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(describe(Doors::Guarded).to_string()));

/// Whether a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doors {
    /// Whoever comes is served.
    Open,
    /// A token is asked for, except where an operation says otherwise.
    Guarded,
}

/// How the pages of `/docs` are set up. No page asks another host to validate what it shows.
static PAGES: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("../openapi.json").validator_url("none").deep_linking(true);
    Arc::new(config.display_request_duration(true).filter(true))
});

/// The routes' own description, with what concerns them all.
pub(super) fn describe(doors: Doors) -> Value {
    let mut document = super::routes().into_openapi();
    // The library would tell of itself.
    document.info = Info::new("Muster", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(ABOUT.to_owned());
    document.info.license = Some(License::new("MIT OR Apache-2.0"));
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token that the coordinator issued. On loopback it may be set up to ask for none.",
        ))
        .build();
    if doors == Doors::Guarded {
        document.security = Some(vec![SecurityRequirement::new(BEARER, [] as [&str; 0])]);
    }
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    // Every operation refers to a problem by name.
    let mut schemas: Vec<(String, RefOr<Schema>)> =
        vec![(ProblemBody::name().into_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for item in document.paths.paths.values_mut() {
        if let Some(operation) = &mut item.get {
            tell_of_tags(operation);
        }
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                let id = header("The request, as the coordinator's log names it.");
                response.headers.insert("X-Request-Id".to_owned(), id);
            }
        }
    }
    let mut document = serde_json::to_value(document).expect("the description is always JSON");
    sharpen(&mut document);
    document
}

/// A GET of JSON has an `ETag`, and answers 304 to those who hold it.
fn tell_of_tags(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(found)) = responses.get_mut("200") else { return };
    if !found.content.contains_key("application/json") {
        return;
    }
    let tag = || ("ETag".to_owned(), header("A weak tag of the answer, for `If-None-Match`."));
    found.headers.extend([tag()]);
    let mut same = Told::new("The client holds the answer already: `If-None-Match` names it.");
    same.headers.extend([tag()]);
    responses.insert("304".to_owned(), RefOr::T(same));
}

fn header(about: &str) -> RefOr<Header> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    RefOr::T(HeaderBuilder::new().schema(Some(text)).description(Some(about)).build())
}

/// Says what the macros cannot: integers without a sign, and that a strategy takes no other one's fields.
fn sharpen(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sharpen),
        Value::Object(fields) => {
            let is = |name: &str, text: &str| fields.get(name).is_some_and(|value| value == text);
            let natural = fields.get("minimum").and_then(Value::as_u64).is_some();
            if natural && is("format", "int32") {
                fields.insert("format".to_owned(), "uint32".into());
                fields.entry("maximum").or_insert(u32::MAX.into());
            } else if natural && is("format", "int64") {
                fields.insert("format".to_owned(), "uint64".into());
            }
            let strategy = fields
                .get("properties")
                .is_some_and(|properties| properties.get("server_learning_rate").is_some());
            if strategy {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(sharpen);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const ABOUT: &str = "Coordinates learning across fleets of small devices.

Every error is an RFC 9457 problem (`application/problem+json`) with a stable `code`: the schema `Problem`. A path where
nothing is answers 404 `not_found`; a method that a path does not take answers 405 `method_not_allowed`, with `Allow`.

Lists come a page at a time: `limit` items, then `next_cursor`, which the next request gives as `cursor`. What a cursor
says is nobody's business but the coordinator's.

A POST with an `Idempotency-Key` is carried out once, however often it is sent within 24 hours.

Every answer has an `X-Request-Id`: the request's own, of 1 to 64 visible ASCII characters, or one made here. JSON has a
weak `ETag` and comes compressed where `Accept-Encoding` likes gzip or zstd; an artifact has a strong `ETag`, its SHA-256,
takes ranges and is never compressed.

Times are milliseconds since 1970 (`_at_ms`) or durations in milliseconds (`_ms`). Digests are SHA-256 in hexadecimal.";

problems!(DocumentProblems = PLAIN);

/// Describes this API
///
/// The OpenAPI 3.1 document that you are reading.
#[utoipa::path(
    get, path = "/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The document.", body = Object), DocumentProblems)
)]
pub(super) async fn document(State(core): State<Arc<Core>>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let document = if core.access.asks_people() { &GUARDED } else { &OPEN };
    (json, Bytes::clone(document)).into_response()
}

/// The pages that show the description in a browser. They are for people: the description does not describe them.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::default()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("index.html")))
        .route("/docs/{*file}", get(async |Params(file): Params<String>| page(&file)))
}

fn page(file: &str) -> Result<Response, Problem> {
    match utoipa_swagger_ui::serve(file, PAGES.clone()) {
        Ok(Some(file)) => {
            let kind = [(header::CONTENT_TYPE, file.content_type)];
            Ok((kind, file.bytes.into_owned()).into_response())
        }
        Ok(None) => Err(Problem::new(Code::NotFound, "the documentation has no such page")),
        Err(error) => {
            tracing::error!(%error, "the documentation's page was not made");
            Err(Problem::new(Code::Internal, "the coordinator failed; its log says why"))
        }
    }
}

#[cfg(test)]
mod tests;
