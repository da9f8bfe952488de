//! The codes of problems: what clients of any kind can rely on. A code is never renamed and never changes its status.

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What is told of a code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The status it is answered with.
    pub(super) status: StatusCode,
    /// Its stable text.
    pub(super) text: &'static str,
    /// Its title, the same in every problem of the code.
    pub(super) title: &'static str,
    /// What it means, in one sentence.
    pub(super) about: &'static str,
}

/// The codes as one table: meaning, name, status, text, title.
macro_rules! codes {
    ($(#[doc = $about:literal] $name:ident = $status:ident $text:literal $title:literal,)+) => {
        /// What kind of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $about] $name,)+ }

        impl Code {
            /// All of them.
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What is told of it.
            pub(super) fn facts(self) -> Facts {
                match self {
                    $(Self::$name => Facts {
                        status: StatusCode::$status,
                        text: $text,
                        title: $title,
                        about: $about.trim_ascii(),
                    },)+
                }
            }
        }
    };
}

codes! {
    /// No such route.
    NotFound = NOT_FOUND "not_found" "Not found",
    /// The route does not take the method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "Method not allowed",
    /// The body is longer than any request needs.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large" "Body too large",
    /// A body that is not announced as JSON.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Unsupported media type",
    /// The request did not come to its end in time.
    RequestTimeout = REQUEST_TIMEOUT "request_timeout" "Request too slow",
    /// The body broke off.
    BodyIncomplete = BAD_REQUEST "body_incomplete" "Body incomplete",
    /// The body is not JSON.
    InvalidJson = BAD_REQUEST "invalid_json" "Not JSON",
    /// The JSON holds a field that nobody knows.
    UnknownField = UNPROCESSABLE_ENTITY "unknown_field" "Unknown field",
    /// A field is missing or has the wrong type.
    InvalidValue = UNPROCESSABLE_ENTITY "invalid_value" "Invalid value",
    /// The query string is wrong.
    InvalidQuery = BAD_REQUEST "invalid_query" "Invalid query",
    /// The `Idempotency-Key` is none.
    InvalidIdempotencyKey = BAD_REQUEST "invalid_idempotency_key" "Invalid idempotency key",
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY "idempotency_key_reused" "Idempotency key reused",
    /// A request with the same `Idempotency-Key` is being carried out.
    IdempotencyKeyInUse = CONFLICT "idempotency_key_in_use" "Idempotency key in use",
    /// The `Last-Event-ID` is none.
    InvalidEventId = BAD_REQUEST "invalid_event_id" "Invalid event id",
    /// The name is none.
    InvalidName = UNPROCESSABLE_ENTITY "invalid_name" "Invalid name",
    /// The artifact is none.
    InvalidArtifact = UNPROCESSABLE_ENTITY "invalid_artifact" "Invalid artifact",
    /// The plan cannot run.
    InvalidPlan = UNPROCESSABLE_ENTITY "invalid_plan" "Invalid plan",
    /// Another model holds the name.
    ModelExists = CONFLICT "model_exists" "Model exists",
    /// A run moves the model already.
    ModelBusy = CONFLICT "model_busy" "Model busy",
    /// The run ended before.
    RunOver = CONFLICT "run_over" "Run over",
    /// The model has a channel of this name.
    ChannelExists = CONFLICT "channel_exists" "Channel exists",
    /// The model has as many channels as a model can have.
    TooManyChannels = CONFLICT "too_many_channels" "Too many channels",
    /// The channel is pinned to its version.
    ChannelPinned = CONFLICT "channel_pinned" "Channel pinned",
    /// The channel's guard turned the version back before; `force` brings it all the same.
    VersionBad = CONFLICT "version_bad" "Version bad",
    /// Another promotion is on its way; `force` takes its place.
    PromotionRunning = CONFLICT "promotion_running" "Promotion running",
    /// The channel had no version before the one it has.
    NothingToRollBack = CONFLICT "nothing_to_roll_back" "Nothing to roll back",
    /// No promotion waits for approval, or another one than the one named.
    ApprovalNotAsked = CONFLICT "approval_not_asked" "Approval not asked",
    /// The guard cannot be read.
    InvalidGuard = UNPROCESSABLE_ENTITY "invalid_guard" "Invalid guard",
    /// The steps do not ascend to 100.
    InvalidSteps = UNPROCESSABLE_ENTITY "invalid_steps" "Invalid steps",
    /// The selector cannot be read.
    InvalidSelector = UNPROCESSABLE_ENTITY "invalid_selector" "Invalid selector",
    /// The artifact is of another learner or layout than the model.
    OtherModel = UNPROCESSABLE_ENTITY "other_model" "Other model",
    /// No such channel.
    ChannelNotFound = NOT_FOUND "channel_not_found" "Channel not found",
    /// No such model.
    ModelNotFound = NOT_FOUND "model_not_found" "Model not found",
    /// No such version.
    VersionNotFound = NOT_FOUND "version_not_found" "Version not found",
    /// No such artifact.
    ArtifactNotFound = NOT_FOUND "artifact_not_found" "Artifact not found",
    /// No such round.
    RoundNotFound = NOT_FOUND "round_not_found" "Round not found",
    /// No such node.
    NodeNotFound = NOT_FOUND "node_not_found" "Node not found",
    /// The client asked for the artifact as it knows it, and it is another one.
    PreconditionFailed = PRECONDITION_FAILED "precondition_failed" "Precondition failed",
    /// The artifact has no bytes in the range.
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE "range_not_satisfiable" "Range not satisfiable",
    /// The client accepts no encoding that there is.
    NotAcceptable = NOT_ACCEPTABLE "not_acceptable" "Not acceptable",
    /// Retention dropped the version's artifact.
    VersionPruned = GONE "version_pruned" "Version pruned",
    /// No such run.
    RunNotFound = NOT_FOUND "run_not_found" "Run not found",
    /// The request was meant for another host.
    HostNotAllowed = MISDIRECTED_REQUEST "host_not_allowed" "Host not allowed",
    /// The request comes from a foreign web page.
    OriginNotAllowed = FORBIDDEN "origin_not_allowed" "Origin not allowed",
    /// The request shows no token that holds.
    Unauthenticated = UNAUTHORIZED "unauthenticated" "Unauthenticated",
    /// The token is not good for this.
    ScopeMissing = FORBIDDEN "scope_missing" "Scope missing",
    /// Too many wrong tokens came from this address.
    TooManyAttempts = TOO_MANY_REQUESTS "too_many_attempts" "Too many attempts",
    /// Too many requests of this token, or too many at once.
    RateLimited = TOO_MANY_REQUESTS "rate_limited" "Rate limited",
    /// As many tokens hold as fit.
    TooManyTokens = CONFLICT "too_many_tokens" "Too many tokens",
    /// No such token.
    TokenNotFound = NOT_FOUND "token_not_found" "Token not found",
    /// The disk is full.
    StorageFull = INSUFFICIENT_STORAGE "storage_full" "Storage full",
    /// Too much at once.
    Overloaded = SERVICE_UNAVAILABLE "overloaded" "Overloaded",
    /// The coordinator goes down.
    ShuttingDown = SERVICE_UNAVAILABLE "shutting_down" "Shutting down",
    /// Our own failure.
    Internal = INTERNAL_SERVER_ERROR "internal" "Internal error",
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let texts = Self::ALL.iter().map(|code| Value::from(code.facts().text));
        let about =
            "What kind of problem it is. A code is never renamed; new ones come with new releases.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(texts))
            .description(Some(about))
            .into()
    }
}

impl ToSchema for Code {}
