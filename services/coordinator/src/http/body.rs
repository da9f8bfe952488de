//! JSON bodies and path parameters of requests, with every way to get them wrong told apart.

use std::error::Error as _;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use federation::Digest;
use federation::limits::REST_BODY_BYTES_MAX;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Code, FieldError, Problem};

/// Most bytes read from a body that is refused for its length, so that the client reads the refusal, not a reset.
const DRAIN_BYTES_MAX: usize = 4 * REST_BODY_BYTES_MAX;

/// A JSON body, and the digest of its bytes.
pub(super) struct JsonBody<T>(pub(super) T, pub(super) Digest);

/// Path parameters; a path that cannot be decoded is one where nothing is.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "the body must be announced as Content-Type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let bytes = read(&parts.headers, body).await?;
        match Json::from_bytes(&bytes) {
            Ok(Json(value)) => Ok(Self(value, Digest::of(&bytes))),
            Err(rejection) => Err(explain(&rejection)),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Self(params)),
            Err(_) => Err(Problem::new(Code::NotFound, "nothing is at this path")),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("a body has at most {REST_BODY_BYTES_MAX} bytes");
        Problem::new(Code::BodyTooLarge, detail)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok());
    let mut body = Limited::new(body, DRAIN_BYTES_MAX);
    // A client that asks first is told at once and sends nothing.
    let asks_first = headers.contains_key(header::EXPECT);
    if announced.is_some_and(|bytes| bytes > REST_BODY_BYTES_MAX) && asks_first {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut len: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(_) => {
                return Err(Problem::new(Code::BodyIncomplete, "the body broke off"));
            }
        };
        if let Some(data) = frame.data_ref() {
            len = len.saturating_add(data.len());
            if len <= REST_BODY_BYTES_MAX {
                bytes.extend_from_slice(data);
            }
        }
    }
    if len > REST_BODY_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

/// A JSON error as a problem: its kind, its path, its place.
fn explain(rejection: &JsonRejection) -> Problem {
    let text = rejection.source().map(ToString::to_string).unwrap_or_default();
    if !matches!(rejection, JsonRejection::JsonDataError(_)) {
        return Problem::new(Code::InvalidJson, format!("the body is not JSON: {text}"));
    }
    // `path: message at line 1 column 2`, without the path where there is none. A path has no spaces.
    let (path, message) = match text.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => (path, message),
        _ => ("", text.as_str()),
    };
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = message.split('`').nth(1);
    let (code, got) = match named {
        Some(name) if message.starts_with("unknown field") => (Code::UnknownField, name),
        _ => (Code::InvalidValue, message),
    };
    let expected =
        message.split_once(", expected ").map_or("a value of its type", |(_, rest)| rest);
    let field = field(path, message, named);
    let error = FieldError { field, expected: expected.to_owned(), got: got.to_owned() };
    Problem::new(code, text.clone()).with(vec![error])
}

/// The whole path of the field that a message is about: messages about a field of an object name it themselves.
fn field(path: &str, message: &str, named: Option<&str>) -> String {
    let path = path.strip_prefix('.').unwrap_or(path);
    let about = ["unknown field", "missing field", "duplicate field"];
    match named {
        Some(name) if about.iter().any(|start| message.starts_with(start)) => {
            let last = path.rsplit('.').next().unwrap_or(path);
            match path {
                "" => name.to_owned(),
                _ if last == name => path.to_owned(),
                _ => format!("{path}.{name}"),
            }
        }
        _ => path.to_owned(),
    }
}
