//! Signing in by an API token, and out.
//!
//! The token is sent once; a cookie stands for it from then on. The cookie is `Secure` where the browser speaks https,
//! which the form's `Origin` says, also where a proxy ends TLS. It is `SameSite=Strict`: a link from elsewhere leads to
//! this page, which then sends whoever is signed in on by itself.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::caller::{SESSION, show_token};
use super::super::problem::{Code, Problem};
use super::Oops;
use super::act::{Act, same_origin};
use super::page::{Bare, bare};
use crate::access::{Access, SESSION_S};
use crate::core::Core;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

/// What the form brings.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    token: String,
    #[serde(default)]
    next: String,
}

/// Where somebody signs in who wanted to look at `back`.
pub(super) fn place(back: &str) -> String {
    if back == "/" {
        return "/sign-in".to_owned();
    }
    // What a path and a query hold, without what would end this one.
    let mut place = String::from("/sign-in?next=");
    for byte in back.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            place.push(char::from(byte));
        } else {
            place.push_str(&format!("%{byte:02X}"));
        }
    }
    place
}

/// A place of ours, whatever somebody wrote into a link.
fn ours(next: &str) -> &str {
    let inside =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if inside { next } else { "/" }
}

/// The form.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Query(Next { next }): Query<Next>,
    headers: HeaderMap,
) -> Response {
    let next = ours(next.as_deref().unwrap_or("/")).to_owned();
    if !core.access.asks_people() {
        return Redirect::to(&next).into_response();
    }
    if is_foreign(&headers) {
        // The browser kept the cookie back because of where the link was. Asked again from here, it does not.
        return arrive(&next).into_response();
    }
    form(&next, None).into_response()
}

/// Signs somebody in.
pub(super) async fn enter(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    extensions: Extensions,
    Form(Shown { token, next }): Form<Shown>,
) -> Result<Response, Oops> {
    let origin = same_origin(&headers)?;
    let next = ours(&next).to_owned();
    if !core.access.asks_people() {
        return Ok(Redirect::to(&next).into_response());
    }
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    match show_token(&core, Some(token.trim()), peer, Access::sign_in) {
        Ok(cookie) => {
            let secure = if origin.scheme_str() == Some("https") { "; Secure" } else { "" };
            let cookie = format!(
                "{SESSION}={cookie}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict{secure}"
            );
            tracing::info!("somebody signed in to the dashboard");
            Ok(with_cookie(Redirect::to(&next), &cookie))
        }
        Err(problem) => {
            let (code, why) = problem.told();
            let status = code.facts().status;
            Ok((status, form(&next, Some(why))).into_response())
        }
    }
}

/// Signs somebody out.
pub(super) async fn leave(State(core): State<Arc<Core>>, act: Act) -> Response {
    if let Some(session) = &act.caller.session {
        core.access.sign_out(session);
    }
    let gone = format!("{SESSION}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    with_cookie(Redirect::to("/sign-in"), &gone)
}

fn with_cookie(redirect: Redirect, cookie: &str) -> Response {
    let cookie = HeaderValue::from_str(cookie).expect("hexadecimal digits fit");
    ([(header::SET_COOKIE, cookie)], redirect).into_response()
}

/// Whether a page of somebody else led here.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

fn arrive(next: &str) -> Markup {
    bare(
        &Bare { title: "Signing in", refresh: Some(next) },
        &html! {
            p { "One moment. " a href=(next) { "Go on" } }
        },
    )
}

fn form(next: &str, wrong: Option<&str>) -> Markup {
    bare(
        &Bare { title: "Sign in", refresh: None },
        &html! {
            h1 { "Sign in" }
            @if let Some(why) = wrong {
                p.note.bad #wrong role="alert" { strong { "Not signed in: " } (why) "." }
            }
            form.stack method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label for="token" { "API token" }
                input #token.mono type="password" name="token" required autofocus autocomplete="off"
                    spellcheck="false" placeholder="mst_1_…" aria-describedby="token-help";
                p #token-help.muted {
                    "A token with the scope " code { "read" } " looks, " code { "operate" } " acts, "
                    code { "admin" } " says who may come in. The first one is in the coordinator's data directory, in "
                    code { "admin.token" } "; more come from " code { "muster token create" } "."
                }
                button.primary type="submit" { "Sign in" }
            }
        },
    )
}

/// The problem of a form whose page was not ours.
pub(super) fn foreign() -> Problem {
    Problem::new(Code::OriginNotAllowed, "forms are taken from the dashboard's own pages alone")
}
