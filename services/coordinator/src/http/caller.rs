//! Who makes a request, and whether they may: by the token it shows, or by a session of the dashboard.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use federation::{Clock, Digest};
use hyper::body::{Frame, SizeHint};

use super::dashboard;
use super::problem::{Code, Problem};
use super::scope::needed;
use crate::access::{Access, Pass, Scope, Seat, Stranger};
use crate::core::Core;

/// Who makes a request, as [`identify`] found out.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The name under which the audit log tells of deeds, and under which idempotency keys are kept.
    pub(super) actor: String,
    /// What they may do; `None` of somebody who was not asked.
    pub(super) scope: Option<Scope>,
    /// The session by which they came in, if they signed in.
    pub(super) session: Option<Digest>,
}

/// The cookie of a session.
pub(super) const SESSION: &str = "muster_session";

/// Finds out who makes a request, and refuses it if they may not.
pub(super) async fn identify(
    State(core): State<Arc<Core>>,
    mut request: Request,
    next: Next,
) -> Response {
    let scope = needed(request.method(), request.uri().path());
    let (Some(scope), true) = (scope, core.access.asks_people()) else {
        // Where nobody is asked for a token, everybody may do everything.
        let scope = (!core.access.asks_people()).then_some(Scope::Admin);
        request.extensions_mut().insert(Caller { actor: "rest".to_owned(), scope, session: None });
        return next.run(request).await;
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    let (Pass { id, scope: has, seat }, session) = match let_in(&core, &request, peer) {
        Ok(pass) => pass,
        Err(problem) => return dashboard::refuse(problem, &request),
    };
    if has < scope {
        let detail = format!("this needs a token with the scope {scope}; yours has {has}");
        return dashboard::refuse(Problem::new(Code::ScopeMissing, detail), &request);
    }
    let caller = Caller { actor: format!("token:{id}"), scope: Some(has), session };
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    response.map(|body| Body::new(Seated { body, seat }))
}

fn let_in(
    core: &Core,
    request: &Request,
    peer: Option<IpAddr>,
) -> Result<(Pass, Option<Digest>), Problem> {
    if let (None, Some(cookie)) = (bearer(request.headers()), session(request)) {
        let back = core.access.come_back(cookie, &*core.clock);
        return match back {
            Ok((pass, session)) => Ok((pass, Some(session))),
            Err(Stranger::TooOften(ms)) => Err(too_often(ms)),
            Err(Stranger::Formless | Stranger::Unknown | Stranger::Expired) => {
                Err(Problem::new(Code::Unauthenticated, "the session is over: sign in again"))
            }
        };
    }
    show_token(core, bearer(request.headers()), peer, Access::let_in).map(|pass| (pass, None))
}

/// Has `enter` look at a token that somebody shows.
pub(super) fn show_token<T>(
    core: &Core,
    token: Option<&str>,
    peer: Option<IpAddr>,
    enter: impl FnOnce(&Access, &str, &dyn Clock) -> Result<T, Stranger>,
) -> Result<T, Problem> {
    let Some(token) = token else {
        let detail = "this needs an API token: Authorization: Bearer mst_...";
        return Err(Problem::new(Code::Unauthenticated, detail));
    };
    enter(&core.access, token, &*core.clock).map_err(|stranger| match stranger {
        Stranger::TooOften(ms) => too_often(ms),
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

fn too_often(ms: u64) -> Problem {
    let detail = "too many requests of this token, or too many at once";
    Problem::new(Code::RateLimited, detail).retry_after_ms(ms)
}

/// The session's cookie, where it counts. The API is changed by those who show a token alone: a browser sends a cookie
/// by itself, and the forms of the dashboard bring more than that.
fn session(request: &Request) -> Option<&str> {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let counts = looks || !request.uri().path().starts_with("/v1");
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    let ours = |pair: &str| matches!(pair.trim().split_once('='), Some((SESSION, _)));
    let found = pairs.find(|pair| ours(pair)).filter(|_| counts)?;
    found.split_once('=').map(|(_, value)| value.trim())
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
