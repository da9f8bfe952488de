//! The API's description, put together from the routes: `/openapi.json`, and `/docs` to browse it.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, License, OpenApi, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use super::answers::problems;
use super::code::Code;
use super::problem::{Problem, ProblemBody};

/// The security scheme's name in the description.
const BEARER: &str = "bearer";

/// The description as it is served.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = describe().to_json().expect("the description is always JSON");
    Bytes::from(text)
});

/// How the pages of `/docs` are set up. No page asks another host to validate what it shows.
static PAGES: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("../openapi.json").validator_url("none").deep_linking(true);
    Arc::new(config.display_request_duration(true).filter(true))
});

/// The routes' own description, with what concerns them all.
pub(super) fn describe() -> OpenApi {
    let mut document = super::routes().into_openapi();
    document.info.title = "Muster".to_owned();
    document.info.description = Some(ABOUT.to_owned());
    document.info.license = Some(License::new("MIT OR Apache-2.0"));
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token that the coordinator issued. On loopback without tokens, none is asked for.",
        ))
        .build();
    document.security = Some(vec![SecurityRequirement::new(BEARER, [] as [&str; 0])]);
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    // Every operation refers to a problem by name.
    let mut schemas: Vec<(String, RefOr<Schema>)> =
        vec![(ProblemBody::name().into_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    document
}

const ABOUT: &str = "Coordinates learning across fleets of small devices.

Every error is an RFC 9457 problem (`application/problem+json`) with a stable `code`: the schema `Problem`. A path where
nothing is answers 404 `not_found`; a method that a path does not take answers 405 `method_not_allowed`, with `Allow`.

Lists come a page at a time: `limit` items, then `next_cursor`, which the next request gives as `cursor`. What a cursor
says is nobody's business but the coordinator's.

A POST with an `Idempotency-Key` is carried out once, however often it is sent within 24 hours.

Times are milliseconds since 1970 (`_at_ms`) or durations in milliseconds (`_ms`). Digests are SHA-256 in hexadecimal.";

problems!(DocumentProblems = PLAIN);

/// Describes this API
///
/// The OpenAPI 3.1 document that you are reading.
#[utoipa::path(
    get, path = "/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The document.", body = Object), DocumentProblems)
)]
pub(super) async fn document() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, DOCUMENT.clone()).into_response()
}

/// The pages that show the description in a browser. They are for people: the description does not describe them.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::default()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("index.html")))
        .route("/docs/{*file}", get(async |Path(file): Path<String>| page(&file)))
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
