//! `/v1/tokens`: what people and tools show with every request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::TokenName;
use federation::limits::TOKEN_LIFE_MS_MAX;
use federation::secret::{Kind, Secret};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::Params;
use super::page::{Page, PageQuery};
use super::posted::{Nothing, Posted};
use super::problem::{Code, FieldError, Problem};
use crate::access::Scope;
use crate::core::Core;
use crate::store::{ApiToken, By, Deed, NewToken, Reply, UnknownToken};

/// A token to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTokenBody {
    name: String,
    scope: String,
    /// How long it holds; until it is revoked where it does not say.
    expires_in_ms: Option<u64>,
}

/// A token.
#[derive(Debug, Serialize)]
pub(super) struct TokenBody {
    id: u64,
    name: String,
    scope: &'static str,
    created_at_ms: u64,
    expires_at_ms: Option<u64>,
    revoked_at_ms: Option<u64>,
    /// When it was last used; null before it was.
    used_at_ms: Option<u64>,
    /// What is shown as `Authorization: Bearer ...`: told once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// `POST /v1/tokens`.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Posted { body, request }: Posted<NewTokenBody>,
) -> Result<Reply, Problem> {
    let NewTokenBody { name, scope, expires_in_ms } = body;
    let name = name_of(&name)?;
    let scope = scope.parse::<Scope>().map_err(|error| {
        let expected = "read, operate or admin".to_owned();
        let error_of = FieldError { field: "scope".to_owned(), expected, got: scope };
        Problem::new(Code::InvalidValue, error).with(vec![error_of])
    })?;
    let expires_ms = expiry(expires_in_ms, request.by())?;
    let secret = core.access.new_secret();
    let new = NewToken { name, scope, expires_ms, hash: secret.digest() };
    let shown = Arc::clone(&core);
    let deed = request.deed(move |token: &ApiToken| {
        let body = show_token(&shown, token.clone(), Some(&secret));
        Reply::created(format!("/v1/tokens/{}", token.id), &body)
    });
    let answer = core.store.create_token(new, Deed { keep: without_token, ..deed }).await??;
    core.access.read_tokens(&core.store).await?;
    tracing::info!(token = answer.location, "made a token");
    Ok(answer)
}

/// `GET /v1/tokens`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<TokenBody>>, Problem> {
    let tokens = core.store.tokens(query.after_number()?, query.read()).await?;
    Ok(Json(query.page(tokens, |token| token.id.to_string(), |token| show_token(&core, token, None))))
}

/// `GET /v1/tokens/{id}`.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
) -> Result<Json<TokenBody>, Problem> {
    let token = core.store.token(number(&id)?).await?;
    Ok(Json(show_token(&core, token.ok_or(UnknownToken)?, None)))
}

/// `POST /v1/tokens/{id}/revoke`: it does not hold any more, from the next request on.
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    let id = number(&id)?;
    let shown = Arc::clone(&core);
    let deed = request.deed(move |token: &ApiToken| Reply::ok(&show_token(&shown, token.clone(), None)));
    let answer = core.store.revoke_token(id, deed).await??;
    core.access.read_tokens(&core.store).await?;
    tracing::info!(token.id = id, "revoked a token");
    Ok(answer)
}

fn show_token(core: &Core, token: ApiToken, secret: Option<&Secret>) -> TokenBody {
    let ApiToken { id, name, scope, hash: _, created_ms, expires_ms, revoked_ms, used_ms } = token;
    TokenBody {
        id,
        name: name.to_string(),
        scope: scope.as_str(),
        created_at_ms: created_ms,
        expires_at_ms: expires_ms,
        revoked_at_ms: revoked_ms,
        // Memory is newer than the database, which is written seldom.
        used_at_ms: core.access.used(id).map_or(used_ms, |used| used_ms.max(Some(used.0))),
        token: secret.map(|secret| secret.text(Kind::Token, id)),
    }
}

/// The name of a token of either kind.
pub(super) fn name_of(text: &str) -> Result<TokenName, Problem> {
    text.parse().map_err(|error: federation::IdError| Problem::new(Code::InvalidName, error.to_string()))
}

/// The number of a token of either kind.
pub(super) fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::from(UnknownToken))
}

/// When a token's time is over that holds for so long from now on.
pub(super) fn expiry(expires_in_ms: Option<u64>, by: &By) -> Result<Option<u64>, Problem> {
    let Some(ms) = expires_in_ms else { return Ok(None) };
    if (1..=TOKEN_LIFE_MS_MAX).contains(&ms) {
        return Ok(Some(by.at.0.saturating_add(ms)));
    }
    Err(out_of_range("expires_in_ms", TOKEN_LIFE_MS_MAX, ms))
}

/// A number that should have been 1 to `max`.
pub(super) fn out_of_range(field: &str, max: u64, got: u64) -> Problem {
    let expected = format!("1 to {max}");
    let detail = format!("{field} should be {expected}, got {got}");
    let error = FieldError { field: field.to_owned(), expected, got: got.to_string() };
    Problem::new(Code::InvalidValue, detail).with(vec![error])
}

/// The answer as it is kept for the same request again: a secret is told once and written down nowhere.
pub(super) fn without_token(reply: &Reply) -> Reply {
    let mut body: Value = serde_json::from_str(&reply.body).expect("an answer is JSON");
    if let Some(fields) = body.as_object_mut() {
        fields.remove("token");
    }
    Reply { body: body.to_string(), ..reply.clone() }
}
