//! `/settings/tokens`: who may come in. For admins; a secret is shown once, on the page that answers its making.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};
use serde_json::Value;

use super::super::body::Params;
use super::super::enrolment_tokens::{self, NewEnrolmentTokenBody};
use super::super::posted::{Nothing, Posted};
use super::super::problem::{Code, Problem};
use super::super::tokens::{self, NewTokenBody, TokenPath};
use super::Oops;
use super::act::Act;
use super::page::{Done, Place, Visit};
use super::settings::tabs;
use super::words::{Mood, ago, at, badge};
use crate::access::Scope;
use crate::core::Core;
use crate::store::{ApiToken, EnrolmentToken, Reply};

/// Tokens that are shown of either kind: the store holds no more that hold.
const LIMIT: u32 = 1_000;
const DAY_MS: u64 = 24 * 3_600_000;

pub(super) async fn show(visit: Visit) -> Result<Markup, Oops> {
    page(&visit, None).await
}

/// Makes an API token.
pub(super) async fn create(visit: Visit, act: Act) -> Result<Markup, Oops> {
    let body = NewTokenBody {
        name: act.field("name")?.to_owned(),
        scope: act.field("scope")?.to_owned(),
        expires_in_ms: days(&act)?,
    };
    let posted = Posted { body, request: act.request };
    let reply = tokens::create(State(visit.core.clone()), posted).await?;
    page(&visit, Some(&reply)).await
}

/// Makes an enrolment token.
pub(super) async fn create_enrolment(visit: Visit, act: Act) -> Result<Markup, Oops> {
    let mut labels = BTreeMap::new();
    let pairs = act.option("labels").unwrap_or_default().split([',', ' ']);
    for pair in pairs.map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Problem::of_field(Code::InvalidValue, "labels", "key=value, …", format!("`{pair}`"))
        })?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    let body = NewEnrolmentTokenBody {
        name: act.field("name")?.to_owned(),
        labels,
        uses_max: act.number("uses")?,
        expires_in_ms: days(&act)?,
    };
    let posted = Posted { body, request: act.request };
    let reply = enrolment_tokens::create(State(visit.core.clone()), posted).await?;
    page(&visit, Some(&reply)).await
}

/// Revokes an API token.
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Redirect, Oops> {
    let posted = Posted { body: Nothing {}, request: act.request };
    tokens::revoke(State(core), Params(TokenPath { id }), posted).await?;
    Ok(Done::Revoked.at("/settings/tokens"))
}

/// Revokes an enrolment token.
pub(super) async fn revoke_enrolment(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Redirect, Oops> {
    let posted = Posted { body: Nothing {}, request: act.request };
    enrolment_tokens::revoke(State(core), Params(TokenPath { id }), posted).await?;
    Ok(Done::Revoked.at("/settings/tokens"))
}

fn days(act: &Act) -> Result<Option<u64>, Problem> {
    Ok(act.number::<u64>("days")?.map(|days| days.saturating_mul(DAY_MS)))
}

async fn page(visit: &Visit, made: Option<&Reply>) -> Result<Markup, Oops> {
    let core = &visit.core;
    if !visit.may(Scope::Admin) {
        return Err(Problem::new(Code::ScopeMissing, "tokens are for admins").into());
    }
    let api = core.store.tokens(0, LIMIT).await.map_err(Problem::from)?;
    let enrolment = core.store.enrolment_tokens(0, LIMIT).await.map_err(Problem::from)?;
    let now_ms = visit.now_ms();
    let content = html! {
        (tabs("/settings/tokens", true))
        h1 { "Tokens" }
        @if let Some(reply) = made { (secret(reply)) }
        @if !core.access.asks_people() {
            p.note { "This coordinator asks nobody for a token: it serves this machine alone. " code { "muster serve --auth tokens" } " asks." }
        }
        section aria-labelledby="h-api" {
            h2 #h-api { "API tokens" }
            p.muted { "What people and tools show." @if visit.caller.session.is_some() { " You are signed in by one." } }
            (api_tokens(visit, &api, now_ms))
            (new_token(visit))
        }
        section aria-labelledby="h-enrolment" {
            h2 #h-enrolment { "Enrolment tokens" }
            p.muted { "With what new nodes get in. A node that is in has a credential of its own." }
            (enrolments(visit, &enrolment, now_ms))
            (new_enrolment(visit))
        }
    };
    Ok(visit.page(Place::Settings, "Tokens", &content))
}

/// A secret that was just made.
fn secret(reply: &Reply) -> Markup {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    html! {
        div.note.good role="status" {
            @match body["token"].as_str() {
                Some(token) => {
                    p { strong { "Made " (body["name"].as_str().unwrap_or_default()) ". " } "Copy its secret now: it is not shown again." }
                    p { code.secret { (token) } }
                }
                None => p { "It was made before; its secret was shown then, and is not kept." }
            }
        }
    }
}

/// How a token stands.
fn standing(
    revoked_ms: Option<u64>,
    expires_ms: Option<u64>,
    used_up: bool,
    now_ms: u64,
) -> Markup {
    if revoked_ms.is_some() {
        badge(Mood::Bad, "revoked")
    } else if expires_ms.is_some_and(|at| at <= now_ms) {
        badge(Mood::Calm, "expired")
    } else if used_up {
        badge(Mood::Calm, "used up")
    } else {
        badge(Mood::Good, "holds")
    }
}

fn api_tokens(visit: &Visit, tokens: &[ApiToken], now_ms: u64) -> Markup {
    if tokens.is_empty() {
        return html! { p.muted { "None was made yet." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="API tokens" {
            table {
                thead { tr { th.num scope="col" { "No." } th scope="col" { "Name" } th scope="col" { "Scope" } th scope="col" { "State" } th scope="col" { "Used" } th scope="col" { "Expires" } th scope="col" { "Revoke" } } }
                tbody { @for token in tokens {
                    @let used = visit.core.access.used(token.id).map(|used| used.0).max(token.used_ms);
                    tr {
                        th.num scope="row" { (token.id) } td { (token.name) } td { code { (token.scope) } }
                        td { (standing(token.revoked_ms, token.expires_ms, false, now_ms)) }
                        td { @match used { Some(used) => (ago(used, now_ms)), None => span.muted { "never" } } }
                        td { @match token.expires_ms { Some(expires) => (at(expires)), None => span.muted { "never" } } }
                        td { @if token.revoked_ms.is_none() {
                            (visit.asking(&format!("/settings/tokens/{}/revoke", token.id), "Revoke", &html! { p { "From the next request on it does not hold." } }, "Revoke it"))
                        } }
                    }
                } }
            }
        }
    }
}

fn enrolments(visit: &Visit, tokens: &[EnrolmentToken], now_ms: u64) -> Markup {
    if tokens.is_empty() {
        return html! { p.muted { "None was made yet." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Enrolment tokens" {
            table {
                thead { tr { th.num scope="col" { "No." } th scope="col" { "Name" } th.num scope="col" { "Let in" } th scope="col" { "Labels" } th scope="col" { "State" } th scope="col" { "Expires" } th scope="col" { "Revoke" } } }
                tbody { @for token in tokens { tr {
                    th.num scope="row" { (token.id) } td { (token.name) }
                    td.num { (token.uses) span.muted { "/" (token.uses_max) } }
                    td { @for (key, value) in &token.labels { span.label { (key) "=" (value) } " " } }
                    td { (standing(token.revoked_ms, token.expires_ms, token.uses >= token.uses_max, now_ms)) }
                    td { @match token.expires_ms { Some(expires) => (at(expires)), None => span.muted { "never" } } }
                    td { @if token.revoked_ms.is_none() {
                        (visit.asking(&format!("/settings/enrolment-tokens/{}/revoke", token.id), "Revoke", &html! { p { "It lets nobody in any more. Nodes that are in stay." } }, "Revoke it"))
                    } }
                } } }
            }
        }
    }
}

fn new_token(visit: &Visit) -> Markup {
    html! {
        form.filter method="post" action="/settings/tokens" {
            (super::act::hidden(&visit.core, &visit.caller))
            div { label for="t-name" { "Name" } input #t-name name="name" required pattern="[a-z0-9][a-z0-9._\\-]{0,62}" placeholder="ci"; }
            div { label for="t-scope" { "Scope" } select #t-scope name="scope" { option { "read" } option { "operate" } option { "admin" } } }
            div { label for="t-days" { "Days" } input #t-days type="number" name="days" min="1" max="3660" placeholder="for ever"; }
            button type="submit" { "Make an API token" }
        }
    }
}

fn new_enrolment(visit: &Visit) -> Markup {
    html! {
        form.filter method="post" action="/settings/enrolment-tokens" {
            (super::act::hidden(&visit.core, &visit.caller))
            div { label for="e-name" { "Name" } input #e-name name="name" required pattern="[a-z0-9][a-z0-9._\\-]{0,62}" placeholder="line-3"; }
            div { label for="e-uses" { "Nodes" } input #e-uses type="number" name="uses" min="1" max="1000000" value="1"; }
            div { label for="e-days" { "Days" } input #e-days type="number" name="days" min="1" max="3660" value="1"; }
            div { label for="e-labels" { "Labels" } input #e-labels.mono name="labels" placeholder="site=ams" spellcheck="false"; }
            button type="submit" { "Make an enrolment token" }
        }
    }
}
