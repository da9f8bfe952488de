//! The problems of each operation, for the API's description: every status with its codes, each code with an example.
//!
//! An operation names its problems once, with [`problems!`]: a set that many share, and its own.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};

use super::problem::{Code, ProblemBody};

/// Codes that go together.
pub(super) type Set = &'static [&'static [Code]];

/// What any request can be answered.
const ANY: &[Code] = &[
    Code::NotAcceptable,
    Code::HostNotAllowed,
    Code::OriginNotAllowed,
    Code::RequestTimeout,
    Code::Internal,
];
/// What a request can be answered for who makes it.
const CALLER: &[Code] =
    &[Code::Unauthenticated, Code::ScopeMissing, Code::TooManyAttempts, Code::RateLimited];
/// What whoever asks the store can be answered.
const STORE: &[Code] = &[Code::Overloaded, Code::ShuttingDown];
/// What a request with a body and, maybe, a key can be answered.
const BODY: &[Code] = &[
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::BodyIncomplete,
    Code::InvalidJson,
    Code::UnknownField,
    Code::InvalidValue,
    Code::InvalidIdempotencyKey,
    Code::IdempotencyKeyReused,
    Code::IdempotencyKeyInUse,
    Code::StorageFull,
];

/// A request that needs no token.
pub(super) const OPEN: Set = &[ANY];
/// A request about the process alone.
pub(super) const PLAIN: Set = &[ANY, CALLER];
/// A request that reads.
pub(super) const READ: Set = &[ANY, CALLER, STORE];
/// A request for a page of a list.
pub(super) const LIST: Set = &[ANY, CALLER, STORE, &[Code::InvalidQuery]];
/// A request that changes something.
pub(super) const POST: Set = &[ANY, CALLER, STORE, BODY];

/// `problems!(Show = READ + [RunNotFound]);`: a type that stands for these problems in `#[utoipa::path]`.
macro_rules! problems {
    ($name:ident = $set:ident $(+ [$($code:ident),* $(,)?])?) => {
        #[derive(Debug)]
        enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::http::answers::describe(
                    $crate::http::answers::$set,
                    &[$($($crate::http::problem::Code::$code),*)?],
                )
            }
        }
    };
}
pub(super) use problems;

/// The responses of problems: one for each status.
pub(super) fn describe(set: Set, own: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in set.iter().copied().flatten().chain(own) {
        by_status.entry(code.facts().status.as_u16()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), RefOr::T(describe_status(&codes))))
        .collect()
}

fn describe_status(codes: &[Code]) -> Response {
    let told: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`: {}", code.facts().text, code.facts().about))
        .collect();
    let examples = codes.iter().map(|code| (code.facts().text, example(*code)));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    ResponseBuilder::new()
        .description(told.join(" "))
        .content("application/problem+json", content)
        .build()
}

fn example(code: Code) -> RefOr<utoipa::openapi::example::Example> {
    let about = code.facts().about;
    let body = ProblemBody::new(code, about.to_owned(), Vec::new());
    let value = serde_json::to_value(body).expect("a problem is always JSON");
    RefOr::T(ExampleBuilder::new().summary(about).value(Some(value)).build())
}

/// The schema of a text that is one of a few words.
pub(super) fn words(words: &[&str], about: &str) -> Schema {
    let values = words.iter().copied().map(Value::from);
    let object = utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .enum_values(Some(values))
        .description(Some(about));
    Schema::Object(object.build())
}
