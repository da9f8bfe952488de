//! `/v1/enrolment-tokens`: with what new nodes get in.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::limits::{ENROLMENT_USES_MAX, LABELS_MAX};
use federation::secret::{Kind, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers::problems;
use super::body::Params;
use super::page::{Page, PageParams, PageQuery};
use super::posted::{KeyParam, Nothing, Posted};
use super::problem::{Code, FieldError, Problem};
use super::tokens::{TokenPath, expiry, name_of, number, out_of_range, without_token};
use crate::core::Core;
use crate::store::{Deed, EnrolmentToken, NewEnrolmentToken, Reply, UnknownToken};

/// How long an enrolment token holds where the request does not say: a day.
const EXPIRES_IN_MS: u64 = 24 * 3_600_000;

/// An enrolment token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewEnrolmentToken)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEnrolmentTokenBody {
    /// What people call it: a name, which need not be unique.
    #[schema(examples("line-3"), pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub(super) name: String,
    /// What its nodes carry, whatever they say; none where it does not say.
    #[schema(examples(json!({"site": "ams"})))]
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// How many nodes it may let in; one where it does not say.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub(super) uses_max: Option<u32>,
    /// How long it holds; a day where it does not say.
    #[schema(minimum = 1, maximum = 316_224_000_000_u64)]
    pub(super) expires_in_ms: Option<u64>,
}

/// An enrolment token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnrolmentToken)]
pub(super) struct EnrolmentTokenBody {
    /// Its number.
    id: u64,
    /// What people call it.
    #[schema(examples("line-3"))]
    name: String,
    /// What its nodes carry, whatever they say.
    #[schema(examples(json!({"site": "ams"})))]
    labels: BTreeMap<String, String>,
    /// How many nodes it may let in.
    uses_max: u32,
    /// How many it has let in.
    uses: u32,
    /// When it was made.
    created_at_ms: u64,
    /// From when on it does not hold.
    #[schema(required)]
    expires_at_ms: Option<u64>,
    /// When it was revoked; null unless it was.
    #[schema(required)]
    revoked_at_ms: Option<u64>,
    /// What a node is started with, as `--enrol-token`. Told once, in the answer that made it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

problems!(CreateProblems = POST + [InvalidName]);
problems!(ListProblems = LIST);
problems!(ShowProblems = READ + [NotFound, TokenNotFound]);
problems!(RevokeProblems = POST + [NotFound, TokenNotFound]);

/// Makes an enrolment token
///
/// Its secret is in this answer and nowhere else: the same request again, by its `Idempotency-Key`, is answered without.
#[utoipa::path(
    post, path = "/v1/enrolment-tokens", tag = "tokens", operation_id = "create_enrolment_token",
    params(KeyParam), request_body = NewEnrolmentTokenBody,
    responses(
        (status = 201, description = "It was made.", body = EnrolmentTokenBody,
            headers(("Location" = String, description = "Where it is."))),
        CreateProblems,
    )
)]
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Posted { body, request }: Posted<NewEnrolmentTokenBody>,
) -> Result<Reply, Problem> {
    let NewEnrolmentTokenBody { name, labels, uses_max, expires_in_ms } = body;
    let name = name_of(&name)?;
    check(&labels)?;
    let uses_max = uses_max.unwrap_or(1);
    if !(1..=ENROLMENT_USES_MAX).contains(&uses_max) {
        return Err(out_of_range("uses_max", ENROLMENT_USES_MAX.into(), uses_max.into()));
    }
    let expires_ms = expiry(Some(expires_in_ms.unwrap_or(EXPIRES_IN_MS)), request.by())?;
    let secret = core.access.new_secret();
    let new = NewEnrolmentToken { name, labels, uses_max, expires_ms, hash: secret.digest() };
    let deed = request.deed(move |token: &EnrolmentToken| {
        let body = show_token(token.clone(), Some(&secret));
        Reply::created(format!("/v1/enrolment-tokens/{}", token.id), &body)
    });
    let deed = Deed { keep: without_token, ..deed };
    let answer = core.store.create_enrolment_token(new, deed).await??;
    tracing::info!(token = answer.location, "made an enrolment token");
    Ok(answer)
}

/// Lists the enrolment tokens
///
/// In the order of their numbers, those that do not hold any more included.
#[utoipa::path(
    get, path = "/v1/enrolment-tokens", tag = "tokens", operation_id = "list_enrolment_tokens",
    params(PageParams),
    responses(
        (status = 200, description = "A page of enrolment tokens.", body = Page<EnrolmentTokenBody>),
        ListProblems,
    )
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<EnrolmentTokenBody>>, Problem> {
    let tokens =
        core.store.enrolment_tokens(query.after()?.unwrap_or_default(), query.read()).await?;
    Ok(Json(query.page(tokens, |token| token.id.to_string(), |token| show_token(token, None))))
}

/// Shows an enrolment token
#[utoipa::path(
    get, path = "/v1/enrolment-tokens/{id}", tag = "tokens",
    operation_id = "show_enrolment_token", params(TokenPath),
    responses(
        (status = 200, description = "The enrolment token.", body = EnrolmentTokenBody),
        ShowProblems,
    )
)]
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(TokenPath { id }): Params<TokenPath>,
) -> Result<Json<EnrolmentTokenBody>, Problem> {
    let token = core.store.enrolment_token(number(&id)?).await?;
    Ok(Json(show_token(token.ok_or(UnknownToken)?, None)))
}

/// Revokes an enrolment token
///
/// It lets in no more nodes. Those that it let in stay.
#[utoipa::path(
    post, path = "/v1/enrolment-tokens/{id}/revoke", tag = "tokens",
    operation_id = "revoke_enrolment_token", params(TokenPath, KeyParam), request_body = Nothing,
    responses(
        (status = 200, description = "The enrolment token as it is now.", body = EnrolmentTokenBody),
        RevokeProblems,
    )
)]
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Params(TokenPath { id }): Params<TokenPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    let id = number(&id)?;
    let deed = request.deed(|token: &EnrolmentToken| Reply::ok(&show_token(token.clone(), None)));
    let answer = core.store.revoke_enrolment_token(id, deed).await??;
    tracing::info!(token.id = id, "revoked an enrolment token");
    Ok(answer)
}

fn show_token(token: EnrolmentToken, secret: Option<&Secret>) -> EnrolmentTokenBody {
    let EnrolmentToken { id, name, labels, uses_max, uses, hash: _, .. } = token;
    EnrolmentTokenBody {
        id,
        name: name.to_string(),
        labels,
        uses_max,
        uses,
        created_at_ms: token.created_ms,
        expires_at_ms: token.expires_ms,
        revoked_at_ms: token.revoked_ms,
        token: secret.map(|secret| secret.text(Kind::EnrolmentToken, id)),
    }
}

/// Labels that a node could have.
fn check(labels: &BTreeMap<String, String>) -> Result<(), Problem> {
    if labels.len() > LABELS_MAX {
        let got = u64::try_from(labels.len()).unwrap_or(u64::MAX);
        return Err(out_of_range("labels", u64::try_from(LABELS_MAX).unwrap_or(u64::MAX), got));
    }
    for (key, value) in labels {
        for text in [key, value] {
            if text.parse::<federation::NodeId>().is_err() {
                let expected = "names for keys and values".to_owned();
                let error = FieldError { field: "labels".to_owned(), expected, got: text.clone() };
                let detail = format!("labels should be names, got `{}`", text.escape_default());
                return Err(Problem::new(Code::InvalidValue, detail).with(vec![error]));
            }
        }
    }
    Ok(())
}
