//! Who makes a request.

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::problem::{Code, Problem};

/// Who makes a request, as [`identify`] found out.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The name under which the audit log tells of deeds, and under which idempotency keys are kept.
    pub(super) actor: String,
}

/// Finds out who makes a request.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Caller { actor: "rest".to_owned() });
    next.run(request).await
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Code::Internal, "nobody looked who makes the request"))
    }
}
