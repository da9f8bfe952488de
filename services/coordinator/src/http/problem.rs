//! Errors as people and tools see them: RFC 9457 problems, each with a stable code. The one map from what went wrong
//! to HTTP; it is total, and lets no internal text out.
#![deny(clippy::wildcard_enum_match_arm)]

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use federation::PlanProblem;
use serde::Serialize;

use crate::store::{ModelExists, NotDirected, NotDone, NotStarted, StoreError};

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// No such route.
    NotFound,
    /// The route does not take the method.
    MethodNotAllowed,
    /// The body is longer than any request needs.
    BodyTooLarge,
    /// A body that is not announced as JSON.
    UnsupportedMediaType,
    /// The request did not come to its end in time.
    RequestTimeout,
    /// The body broke off.
    BodyIncomplete,
    /// The body is not JSON.
    InvalidJson,
    /// The JSON holds a field that nobody knows.
    UnknownField,
    /// A field is missing or has the wrong type.
    InvalidValue,
    /// The query string is wrong.
    InvalidQuery,
    /// The `Idempotency-Key` is none.
    InvalidIdempotencyKey,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused,
    /// A request with the same `Idempotency-Key` is being carried out.
    IdempotencyKeyInUse,
    /// The name is none.
    InvalidName,
    /// The artifact is none.
    InvalidArtifact,
    /// The plan cannot run.
    InvalidPlan,
    /// Another model holds the name.
    ModelExists,
    /// A run moves the model already.
    ModelBusy,
    /// The run ended before.
    RunOver,
    /// No such model.
    ModelNotFound,
    /// No such version.
    VersionNotFound,
    /// Retention dropped the version's artifact.
    VersionPruned,
    /// No such run.
    RunNotFound,
    /// The request was meant for another host.
    HostNotAllowed,
    /// The request comes from a foreign web page.
    OriginNotAllowed,
    /// The disk is full.
    StorageFull,
    /// Too much at once.
    Overloaded,
    /// The coordinator goes down.
    ShuttingDown,
    /// Our own failure.
    Internal,
}

/// An error as it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
}

/// One field that is wrong.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FieldError {
    /// The field, as a path.
    pub(crate) field: String,
    /// What it should be.
    pub(crate) expected: String,
    /// What it is.
    pub(crate) got: String,
}

#[derive(Serialize)]
struct ProblemBody {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// Seconds after which an overloaded coordinator is worth another try.
const RETRY_AFTER_S: u8 = 1;

impl Code {
    /// The code's HTTP status, stable text and title.
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request_timeout", "Request too slow"),
            Self::BodyIncomplete => (S::BAD_REQUEST, "body_incomplete", "Body incomplete"),
            Self::InvalidJson => (S::BAD_REQUEST, "invalid_json", "Not JSON"),
            Self::UnknownField => (S::UNPROCESSABLE_ENTITY, "unknown_field", "Unknown field"),
            Self::InvalidValue => (S::UNPROCESSABLE_ENTITY, "invalid_value", "Invalid value"),
            Self::InvalidQuery => (S::BAD_REQUEST, "invalid_query", "Invalid query"),
            Self::InvalidIdempotencyKey => {
                (S::BAD_REQUEST, "invalid_idempotency_key", "Invalid idempotency key")
            }
            Self::IdempotencyKeyReused => {
                (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Idempotency key reused")
            }
            Self::IdempotencyKeyInUse => {
                (S::CONFLICT, "idempotency_key_in_use", "Idempotency key in use")
            }
            Self::InvalidName => (S::UNPROCESSABLE_ENTITY, "invalid_name", "Invalid name"),
            Self::InvalidArtifact => {
                (S::UNPROCESSABLE_ENTITY, "invalid_artifact", "Invalid artifact")
            }
            Self::InvalidPlan => (S::UNPROCESSABLE_ENTITY, "invalid_plan", "Invalid plan"),
            Self::ModelExists => (S::CONFLICT, "model_exists", "Model exists"),
            Self::ModelBusy => (S::CONFLICT, "model_busy", "Model busy"),
            Self::RunOver => (S::CONFLICT, "run_over", "Run over"),
            Self::ModelNotFound => (S::NOT_FOUND, "model_not_found", "Model not found"),
            Self::VersionNotFound => (S::NOT_FOUND, "version_not_found", "Version not found"),
            Self::VersionPruned => (S::GONE, "version_pruned", "Version pruned"),
            Self::RunNotFound => (S::NOT_FOUND, "run_not_found", "Run not found"),
            Self::HostNotAllowed => {
                (S::MISDIRECTED_REQUEST, "host_not_allowed", "Host not allowed")
            }
            Self::OriginNotAllowed => (S::FORBIDDEN, "origin_not_allowed", "Origin not allowed"),
            Self::StorageFull => (S::INSUFFICIENT_STORAGE, "storage_full", "Storage full"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::ShuttingDown => (S::SERVICE_UNAVAILABLE, "shutting_down", "Shutting down"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }
}

impl Problem {
    /// A problem, told in one sentence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// The same problem with the fields that are wrong.
    pub(crate) fn with(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { code, detail, errors } = self;
        let (status, text, title) = code.facts();
        let body = ProblemBody {
            r#type: format!("urn:muster:problem:{text}"),
            title,
            status: status.as_u16(),
            detail,
            code: text,
            errors,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if code == Code::Overloaded {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(u16::from(RETRY_AFTER_S)));
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

impl From<PlanProblem> for FieldError {
    fn from(problem: PlanProblem) -> Self {
        let PlanProblem { field, expected, got } = problem;
        Self { field: format!("plan.{field}"), expected, got }
    }
}
