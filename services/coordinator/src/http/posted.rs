//! What a POST brings: its JSON body, who sends it, and its `Idempotency-Key`.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::caller::Caller;
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::{By, Claim, Deed, Key, Reply};

/// The header by which a request is done once, however often it is sent.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Most bytes of a key.
const KEY_BYTES_MAX: usize = 255;

/// The key of a POST.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the description reads it; `key` reads the header")]
pub(super) struct KeyParam {
    /// A text of the client's choosing. The request is carried out once, however often it is sent with it.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$")]
    idempotency_key: Option<String>,
}

/// A POST.
#[derive(Debug)]
pub(super) struct Posted<T> {
    /// Its body.
    pub(super) body: T,
    /// Who does what it asks for, and how it is answered.
    pub(super) request: Asked,
}

/// The body of a POST that has nothing to say beside its path: an empty object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Who asks, and under which key.
#[derive(Debug)]
pub(super) struct Asked {
    by: By,
    claim: Option<Claim>,
}

impl Asked {
    /// Somebody who asks otherwise than by a POST of JSON.
    pub(super) fn new(by: By, claim: Option<Claim>) -> Self {
        Self { by, claim }
    }

    /// Something to do for this request, and the answer to it.
    pub(super) fn deed<T>(self, answer: impl FnOnce(&T) -> Reply + Send + 'static) -> Deed<T> {
        let Self { by, claim } = self;
        Deed { by, claim, answer: Box::new(answer), keep: Reply::clone }
    }

    /// Who asks, and when.
    pub(super) fn by(&self) -> &By {
        &self.by
    }
}

impl Reply {
    /// What was asked for, as it is now.
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, None, body)
    }

    /// What was made, and where it is.
    pub(super) fn created(location: String, body: &impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, Some(location), body)
    }

    fn json(status: StatusCode, location: Option<String>, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("the shapes of answers are always JSON");
        Self { status: status.as_u16(), location, body }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let Self { status, location, body } = self;
        let status = StatusCode::from_u16(status).expect("an answer's status is one of ours");
        let json = [(header::CONTENT_TYPE, "application/json")];
        let location = location.map(|location| [(header::LOCATION, location)]);
        (status, json, location, body).into_response()
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Core>> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, core: &Arc<Core>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Caller { actor, .. } = Caller::from_request_parts(&mut parts, core).await?;
        let key = key(&parts.headers)?;
        let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
        let request = Request::from_parts(parts, body);
        let JsonBody(body, digest) = JsonBody::from_request(request, core).await?;
        let claim = match key {
            None => None,
            Some(key) => {
                let key = Key { caller: actor.clone(), method, path, key };
                Some(core.store.claim(key, digest).ok_or_else(in_use)?)
            }
        };
        let by = By { actor, at: core.clock.wall() };
        Ok(Self { body, request: Asked { by, claim } })
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let wrong = || {
        let detail = format!(
            "Idempotency-Key should be one text of 1 to {KEY_BYTES_MAX} visible ASCII characters"
        );
        Problem::new(Code::InvalidIdempotencyKey, detail)
    };
    let key = key.to_str().map_err(|_| wrong())?;
    let fits =
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if fits && keys.next().is_none() { Ok(Some(key.to_owned())) } else { Err(wrong()) }
}

pub(super) fn in_use() -> Problem {
    let detail =
        "a request with this Idempotency-Key is being carried out; ask again for its answer";
    Problem::new(Code::IdempotencyKeyInUse, detail)
}
