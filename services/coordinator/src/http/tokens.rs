//! `/v1/tokens`: what people and tools show with every request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::TokenName;
use federation::limits::TOKEN_LIFE_MS_MAX;
use federation::secret::{Kind, Secret};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, ToSchema};

use super::answers::{problems, words};
use super::body::Params;
use super::page::{Page, PageParams, PageQuery};
use super::posted::{KeyParam, Nothing, Posted};
use super::problem::{Code, FieldError, Problem};
use crate::access::Scope;
use crate::core::Core;
use crate::store::{ApiToken, By, Deed, NewToken, Reply, UnknownToken};

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTokenBody {
    /// What people call it: a name, which need not be unique.
    #[schema(examples("ci"), pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub(super) name: String,
    /// What it is good for.
    #[schema(schema_with = scopes)]
    pub(super) scope: String,
    /// How long it holds; until it is revoked where it does not say.
    #[schema(minimum = 1, maximum = 316_224_000_000_u64)]
    pub(super) expires_in_ms: Option<u64>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenBody {
    /// Its number.
    id: u64,
    /// What people call it.
    #[schema(examples("ci"))]
    name: String,
    /// What it is good for.
    #[schema(schema_with = scopes)]
    scope: &'static str,
    /// When it was made.
    created_at_ms: u64,
    /// From when on it does not hold; null for one that holds until it is revoked.
    #[schema(required)]
    expires_at_ms: Option<u64>,
    /// When it was revoked; null unless it was.
    #[schema(required)]
    revoked_at_ms: Option<u64>,
    /// When it was last used; null before it was.
    #[schema(required)]
    used_at_ms: Option<u64>,
    /// What is shown as `Authorization: Bearer ...`. Told once, in the answer that made it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A token's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TokenPath {
    /// The token's number.
    #[param(value_type = u64, minimum = 1, example = 1)]
    pub(super) id: String,
}

fn scopes() -> Schema {
    words(&["read", "operate", "admin"], "What it is good for. Each includes those before it.")
}

problems!(CreateProblems = POST + [InvalidName, TooManyTokens]);
problems!(ListProblems = LIST);
problems!(ShowProblems = READ + [NotFound, TokenNotFound]);
problems!(RevokeProblems = POST + [NotFound, TokenNotFound]);

/// Makes a token
///
/// Its secret is in this answer and nowhere else: the same request again, by its `Idempotency-Key`, is answered without.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens", operation_id = "create_token", params(KeyParam),
    request_body = NewTokenBody,
    responses(
        (status = 201, description = "It was made.", body = TokenBody,
            headers(("Location" = String, description = "Where it is."))),
        CreateProblems,
    )
)]
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

/// Lists the tokens
///
/// In the order of their numbers, those that do not hold any more included.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(PageParams),
    responses((status = 200, description = "A page of tokens.", body = Page<TokenBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<TokenBody>>, Problem> {
    let tokens = core.store.tokens(query.after()?.unwrap_or_default(), query.read()).await?;
    Ok(Json(query.page(
        tokens,
        |token| token.id.to_string(),
        |token| show_token(&core, token, None),
    )))
}

/// Shows a token
#[utoipa::path(
    get, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "show_token", params(TokenPath),
    responses((status = 200, description = "The token.", body = TokenBody), ShowProblems)
)]
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(TokenPath { id }): Params<TokenPath>,
) -> Result<Json<TokenBody>, Problem> {
    let token = core.store.token(number(&id)?).await?;
    Ok(Json(show_token(&core, token.ok_or(UnknownToken)?, None)))
}

/// Revokes a token
///
/// It does not hold any more, from the next request on; streams of events that it opened end.
#[utoipa::path(
    post, path = "/v1/tokens/{id}/revoke", tag = "tokens", operation_id = "revoke_token",
    params(TokenPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The token as it is now.", body = TokenBody), RevokeProblems)
)]
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Params(TokenPath { id }): Params<TokenPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    let id = number(&id)?;
    let shown = Arc::clone(&core);
    let deed =
        request.deed(move |token: &ApiToken| Reply::ok(&show_token(&shown, token.clone(), None)));
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
    text.parse()
        .map_err(|error: federation::IdError| Problem::new(Code::InvalidName, error.to_string()))
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
