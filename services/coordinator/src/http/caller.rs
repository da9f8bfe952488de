//! Who makes a request, and whether they may.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use super::problem::{Code, Problem};
use super::scope::needed;
use crate::access::{Pass, Seat, Stranger};
use crate::core::Core;

/// Who makes a request, as [`identify`] found out.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The name under which the audit log tells of deeds, and under which idempotency keys are kept.
    pub(super) actor: String,
}

/// Finds out who makes a request, and refuses it if they may not.
pub(super) async fn identify(
    State(core): State<Arc<Core>>,
    mut request: Request,
    next: Next,
) -> Response {
    let scope = needed(request.method(), request.uri().path());
    let (Some(scope), true) = (scope, core.access.is_on()) else {
        request.extensions_mut().insert(Caller { actor: "rest".to_owned() });
        return next.run(request).await;
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    let Pass { id, scope: has, seat } = match let_in(&core, request.headers(), peer) {
        Ok(pass) => pass,
        Err(problem) => return problem.into_response(),
    };
    if has < scope {
        let detail = format!("this needs a token with the scope {scope}; yours has {has}");
        return Problem::new(Code::ScopeMissing, detail).into_response();
    }
    request.extensions_mut().insert(Caller { actor: format!("token:{id}") });
    let response = next.run(request).await;
    response.map(|body| Body::new(Seated { body, seat }))
}

fn let_in(core: &Core, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Pass, Problem> {
    let Some(token) = bearer(headers) else {
        let detail = "this needs an API token: Authorization: Bearer mst_...";
        return Err(Problem::new(Code::Unauthenticated, detail));
    };
    core.access.let_in(token, &*core.clock).map_err(|stranger| match stranger {
        Stranger::TooOften(ms) => {
            let detail = "too many requests of this token, or too many at once";
            Problem::new(Code::RateLimited, detail).retry_after_ms(ms)
        }
        Stranger::Formless => {
            let detail = "this is no API token: they look like mst_7_...";
            Problem::new(Code::Unauthenticated, detail)
        }
        Stranger::Expired => Problem::new(Code::Unauthenticated, "the token's time is over"),
        Stranger::Unknown => match core.access.guessed(peer, &*core.clock) {
            Ok(()) => {
                let detail = "no such token, or one that was revoked";
                Problem::new(Code::Unauthenticated, detail)
            }
            Err(ms) => {
                let detail = "too many wrong tokens came from this address";
                Problem::new(Code::TooManyAttempts, detail).retry_after_ms(ms)
            }
        },
    })
}

/// The text after `Bearer`; `None` without exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = all.next()?.to_str().ok()?.split_once(' ')?;
    let one = all.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    one.then_some(token.trim_matches(' '))
}

/// A body that counts as an open request until it has gone out. One without an end breaks off when its token is revoked.
struct Seated {
    body: Body,
    seat: Arc<Seat>,
}

impl HttpBody for Seated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.seat.is_revoked() && self.body.size_hint().exact().is_none() {
            return Poll::Ready(Some(Err(axum::Error::new("the token was revoked"))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Code::Internal, "nobody looked who makes the request"))
    }
}
