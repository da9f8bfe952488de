//! Errors as people and tools see them: RFC 9457 problems, each with a stable code. The one map from what went wrong
//! to HTTP; it is total, and lets no internal text out.
#![deny(clippy::wildcard_enum_match_arm)]

use std::convert::Infallible;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use federation::PlanProblem;
use federation::limits::{CHANNELS_MAX, TOKENS_MAX};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use super::code::Code;
use super::code::Facts;
use super::request_id;
use crate::store::{
    ModelExists, NotDirected, NotDone, NotImported, NotMoved, NotStarted, StoreError,
    TooManyTokens, UnknownNode, UnknownToken,
};

/// An error as it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
}

/// One field that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, as a path.
    pub(crate) field: String,
    /// What it should be.
    pub(crate) expected: String,
    /// What it is.
    pub(crate) got: String,
}

/// An error, after RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// A name for the kind of problem: `urn:muster:problem:` and the code.
    #[schema(format = "uri", pattern = "^urn:muster:problem:[a-z_]+$")]
    r#type: String,
    /// The kind of problem in words; the same for every problem of a code.
    title: &'static str,
    /// The HTTP status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time, in one sentence.
    detail: String,
    /// The kind of problem, for programs.
    #[schema(value_type = Code)]
    code: &'static str,
    /// The fields that are wrong, where the problem is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The request, as its answer's `X-Request-Id` and the coordinator's log name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
}

/// Seconds after which an overloaded coordinator is worth another try.
const RETRY_AFTER_S: u64 = 1;

impl Problem {
    /// A problem, told in one sentence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_s = (code == Code::Overloaded).then_some(RETRY_AFTER_S);
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s }
    }

    /// One field that is wrong.
    pub(crate) fn of_field(code: Code, field: &str, expected: &str, got: String) -> Self {
        let detail = format!("{field}: {got}");
        let error = FieldError { field: field.to_owned(), expected: expected.to_owned(), got };
        Self::new(code, detail).with(vec![error])
    }

    /// The same problem with the fields that are wrong.
    pub(crate) fn with(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// What kind of problem it is, and in one sentence what went wrong.
    pub(super) fn told(&self) -> (Code, &str) {
        (self.code, &self.detail)
    }

    /// The same problem, which another try after so many milliseconds may not meet.
    pub(crate) fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_s = Some(ms.div_ceil(1_000));
        self
    }
}

impl ProblemBody {
    /// A problem as it is written.
    pub(super) fn new(code: Code, detail: String, errors: Vec<FieldError>) -> Self {
        let Facts { status, text, title, .. } = code.facts();
        Self {
            r#type: format!("urn:muster:problem:{text}"),
            title,
            status: status.as_u16(),
            detail,
            code: text,
            errors,
            request_id: request_id::current(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { code, detail, errors, retry_after_s } = self;
        let status = code.facts().status;
        let body = ProblemBody::new(code, detail, errors);
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if let Some(retry_after_s) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Full { .. } => {
                tracing::error!(%error, "the request was not carried out");
                Self::new(Code::StorageFull, "the coordinator's disk or database is full")
            }
            StoreError::Busy { .. } => {
                tracing::warn!(%error, "the request was not carried out");
                Self::new(Code::Overloaded, "too many requests wait for the database")
            }
            StoreError::Closed { .. } => {
                Self::new(Code::ShuttingDown, "the coordinator is shutting down")
            }
            StoreError::Failed { .. } => {
                tracing::error!(%error, "the request was not carried out");
                Self::new(Code::Internal, "the coordinator failed; its log says why")
            }
        }
    }
}

impl<E: Into<Self>> From<NotDone<E>> for Problem {
    fn from(reason: NotDone<E>) -> Self {
        match reason {
            NotDone::KeyReused => {
                let detail = "this Idempotency-Key came with another body before; use a new one";
                Self::new(Code::IdempotencyKeyReused, detail)
            }
            NotDone::Refused(reason) => reason.into(),
        }
    }
}

impl From<ModelExists> for Problem {
    fn from(ModelExists: ModelExists) -> Self {
        let detail = "a model with this name and another first artifact exists";
        Self::new(Code::ModelExists, detail)
    }
}

impl From<Infallible> for Problem {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<TooManyTokens> for Problem {
    fn from(TooManyTokens: TooManyTokens) -> Self {
        let detail = format!("{TOKENS_MAX} tokens hold, more do not fit: revoke some");
        Self::new(Code::TooManyTokens, detail)
    }
}

impl From<UnknownToken> for Problem {
    fn from(UnknownToken: UnknownToken) -> Self {
        Self::new(Code::TokenNotFound, "no token has this number")
    }
}

impl From<UnknownNode> for Problem {
    fn from(UnknownNode: UnknownNode) -> Self {
        Self::new(Code::NodeNotFound, "no node has this name")
    }
}

impl From<NotStarted> for Problem {
    fn from(reason: NotStarted) -> Self {
        match reason {
            NotStarted::UnknownModel => Self::new(Code::ModelNotFound, "no model has this name"),
            NotStarted::ModelBusy(run) => {
                let detail = format!("run {run} moves this model; wait for its end");
                let field = "model".to_owned();
                let expected = "a model that no live run moves".to_owned();
                let got = format!("moved by run {run}");
                Self::new(Code::ModelBusy, detail).with(vec![FieldError { field, expected, got }])
            }
        }
    }
}

impl From<NotDirected> for Problem {
    fn from(reason: NotDirected) -> Self {
        match reason {
            NotDirected::UnknownRun => Self::new(Code::RunNotFound, "no run has this number"),
            NotDirected::RunOver(state) => {
                Self::new(Code::RunOver, format!("the run is over: it is {state}"))
            }
        }
    }
}

impl From<NotMoved> for Problem {
    fn from(reason: NotMoved) -> Self {
        match reason {
            NotMoved::UnknownModel => Self::new(Code::ModelNotFound, "no model has this name"),
            NotMoved::UnknownChannel => {
                Self::new(Code::ChannelNotFound, "the model has no channel of this name")
            }
            NotMoved::UnknownVersion => {
                Self::new(Code::VersionNotFound, "the model has no such version")
            }
            NotMoved::Pruned(version) => {
                let detail = format!("the artifact of version {version} is not kept any more");
                Self::new(Code::VersionPruned, detail)
            }
            NotMoved::Exists => Self::new(
                Code::ChannelExists,
                "the model has a channel of this name; PUT changes it",
            ),
            NotMoved::TooMany => {
                let detail = format!("a model has at most {CHANNELS_MAX} channels");
                Self::new(Code::TooManyChannels, detail)
            }
            NotMoved::Pinned => Self::new(
                Code::ChannelPinned,
                "the channel is pinned to its version; unpin it first",
            ),
            NotMoved::Bad(version) => {
                let detail = format!(
                    "the channel's guard turned version {version} back; to bring it all the same, say `force`: true"
                );
                Self::new(Code::VersionBad, detail)
            }
            NotMoved::Running(promotion) => {
                let detail = format!(
                    "promotion {promotion} is on its way; wait for it, roll it back, or say `force`: true"
                );
                Self::new(Code::PromotionRunning, detail)
            }
            NotMoved::NothingBehind => {
                Self::new(Code::NothingToRollBack, "the channel had no version before this one")
            }
            NotMoved::NotAsked => {
                let detail = "no promotion waits for approval, or another one than the one named";
                Self::new(Code::ApprovalNotAsked, detail)
            }
        }
    }
}

impl From<NotImported> for Problem {
    fn from(reason: NotImported) -> Self {
        match reason {
            NotImported::UnknownModel => NotStarted::UnknownModel.into(),
            NotImported::ModelBusy(run) => NotStarted::ModelBusy(run).into(),
            NotImported::OtherModel => {
                let detail = "the artifact's learner or layout is not the model's";
                Self::new(Code::OtherModel, detail)
            }
        }
    }
}

impl From<PlanProblem> for FieldError {
    fn from(problem: PlanProblem) -> Self {
        let PlanProblem { field, expected, got } = problem;
        Self { field: format!("plan.{field}"), expected, got }
    }
}
