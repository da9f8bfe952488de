//! What all pages have: the frame around them, who looks at them, and what was just done.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Redirect;
use maud::{DOCTYPE, Markup, html};

use super::super::caller::Caller;
use super::super::page::Page;
use super::super::problem::Code;
use super::act::hidden;
use super::{Oops, assets, newest_event};
use crate::access::Scope;
use crate::core::{Core, Readiness};

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Fleet,
    Runs,
    Models,
    Audit,
    Settings,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Overview, "/", "Overview"),
    (Place::Fleet, "/fleet", "Fleet"),
    (Place::Runs, "/runs", "Runs"),
    (Place::Models, "/models", "Models"),
    (Place::Audit, "/audit", "Audit"),
    (Place::Settings, "/settings", "Settings"),
];

/// Somebody who looks at a page.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) core: Arc<Core>,
    pub(super) caller: Caller,
    /// The newest event before the page was read.
    event: u64,
    done: Option<Done>,
}

/// What a form did, told on the page that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Revoked,
    Paused,
    Resumed,
    Cancelled,
    Promoted,
    RolledBack,
    Pinned,
    Unpinned,
    Approved,
}

const DONE: [(Done, &str, &str); 9] = [
    (Done::Revoked, "revoked", "Revoked. Nothing is answered to it any more."),
    (Done::Paused, "paused", "Paused. The open round goes on; no other is opened."),
    (Done::Resumed, "resumed", "Resumed."),
    (Done::Cancelled, "cancelled", "Cancelled. Its open round was abandoned."),
    (Done::Promoted, "promoted", "Promoted. It goes to the channel's nodes step by step."),
    (Done::RolledBack, "rolled-back", "Rolled back to the version before."),
    (Done::Pinned, "pinned", "Pinned. The channel stays at its version."),
    (Done::Unpinned, "unpinned", "Unpinned. The channel moves again."),
    (Done::Approved, "approved", "Approved. The promotion begins."),
];

impl Done {
    /// The page at `path`, which tells of it.
    pub(super) fn at(self, path: &str) -> Redirect {
        let word = DONE.iter().find(|one| one.0 == self).map_or("", |one| one.1);
        Redirect::to(&format!("{path}?done={word}"))
    }

    fn text(self) -> &'static str {
        DONE.iter().find(|one| one.0 == self).map_or("", |one| one.2)
    }
}

impl FromRequestParts<Arc<Core>> for Visit {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<Core>) -> Result<Self, Oops> {
        let caller = Caller::from_request_parts(parts, core).await?;
        let event = newest_event(core).await?;
        let mut pairs = parts.uri.query().unwrap_or_default().split('&');
        let word = pairs.find_map(|pair| pair.strip_prefix("done="));
        let done = word.and_then(|word| DONE.iter().find(|one| one.1 == word)).map(|one| one.0);
        Ok(Self { core: Arc::clone(core), caller, event, done })
    }
}

impl Visit {
    /// Whether they may do what needs `scope`.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.scope >= Some(scope)
    }

    /// The time of the page.
    pub(super) fn now_ms(&self) -> u64 {
        self.core.clock.wall().0
    }

    /// A button that does something, as a form: works without script.
    pub(super) fn button(&self, action: &str, class: &str, label: &str, fields: &Markup) -> Markup {
        html! {
            form.inline method="post" action=(action) {
                (hidden(&self.core, &self.caller))
                (fields)
                button.(class) type="submit" { (label) }
            }
        }
    }

    /// A button that asks first.
    pub(super) fn asking(&self, action: &str, label: &str, question: &Markup, yes: &str) -> Markup {
        html! {
            details.ask {
                summary.button { (label) "…" }
                div.panel {
                    (question)
                    (self.button(action, "danger", yes, &html! {}))
                }
            }
        }
    }

    /// The page. What is `live` of it has `data-live` and an id.
    pub(super) fn page(&self, place: Place, title: &str, content: &Markup) -> Markup {
        self.page_every(place, title, None, content)
    }

    /// The page, made anew every so often besides when something happens.
    pub(super) fn page_every(
        &self,
        place: Place,
        title: &str,
        refresh_ms: Option<u32>,
        content: &Markup,
    ) -> Markup {
        let ready = self.core.readiness();
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(title, None))
                body data-event=(self.event) data-refresh=[refresh_ms] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { (mark()) span { "Muster" } }
                        nav aria-label="Pages" {
                            @for (one, path, name) in PLACES {
                                a href=(path) aria-current=[(one == place).then_some("page")] { (name) }
                            }
                        }
                        div.who {
                            a href="/docs/" { "API" }
                            @if let Some(scope) = self.caller.scope.filter(|_| self.caller.session.is_some()) {
                                span.muted { (scope) }
                                (self.button("/sign-out", "quiet", "Sign out", &html! {}))
                            }
                        }
                    }
                    // Empty until the script has something to say.
                    div #lost.lost role="status" aria-live="polite" hidden {}
                    main #main tabindex="-1" {
                        @if let Some(done) = self.done {
                            p.note.good role="status" { (done.text()) }
                        }
                        @if ready != Readiness::Ready {
                            p.note.bad role="status" { (trouble(ready)) }
                        }
                        (content)
                    }
                    footer {
                        span { "Muster " (env!("CARGO_PKG_VERSION")) }
                        span { a href="/metrics" { "Metrics" } }
                        span #live.muted {}
                    }
                }
            }
        }
    }
}

fn trouble(ready: Readiness) -> &'static str {
    match ready {
        Readiness::Ready => "",
        Readiness::StorageFull => {
            "The disk or the database is full: updates are refused until there is room."
        }
        Readiness::StoreFailing => {
            "The database does not take writes: rounds stand still. The log says why."
        }
        Readiness::Draining => "The coordinator is shutting down.",
    }
}

/// A page without navigation.
pub(super) struct Bare<'a> {
    pub(super) title: &'a str,
    /// Where a browser goes on to by itself.
    pub(super) refresh: Option<&'a str>,
}

/// A page for somebody who is not signed in, or who came to where nothing is.
pub(super) fn bare(Bare { title, refresh }: &Bare<'_>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, *refresh))
            body.bare {
                main #main { a.brand href="/" { (mark()) span { "Muster" } } (content) }
            }
        }
    }
}

/// A problem, told on a page.
pub(super) fn error_page(code: Code, detail: &str) -> Markup {
    let facts = code.facts();
    bare(
        &Bare { title: facts.title, refresh: None },
        &html! {
            h1 { (facts.title) }
            p { (sentence(detail)) }
            p.muted { code { (facts.text) } " · " (facts.status.as_u16()) }
            p { a.button href="/" { "To the overview" } }
        },
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn head(title: &str, refresh: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            @if let Some(next) = refresh { meta http-equiv="refresh" content=(format!("0; url={next}")); }
            title { (title) " · Muster" }
            link rel="icon" href=(assets::icon()) type="image/svg+xml";
            link rel="stylesheet" href=(assets::style());
            script src=(assets::script()) defer {}
        }
    }
}

/// Three spikes, each higher than the one before.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" {
            rect width="32" height="32" rx="7" {}
            path d="M6 22h4.500V9.500M14 22h4V14M21.500 22H26V6" {}
        }
    }
}

/// The links below a list that goes on.
pub(super) fn more<T>(
    page: &Page<T>,
    path: &str,
    filters: &[(&str, &str)],
    further: bool,
) -> Markup {
    let mut query = String::new();
    for (name, value) in filters.iter().filter(|one| !one.1.is_empty()) {
        query.push_str(&format!("{name}={}&", escaped(value)));
    }
    html! {
        @if further || page.next_cursor.is_some() {
            nav.pager aria-label="More of the list" {
                @if further { a.button href=(format!("{path}?{query}")) { "To the begin" } }
                @if let Some(cursor) = &page.next_cursor {
                    a.button rel="next" href=(format!("{path}?{query}cursor={cursor}")) { "Next page" }
                }
            }
        }
    }
}

/// A text as it stands in a query.
pub(super) fn escaped(text: &str) -> String {
    let mut query = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push_str(&format!("%{byte:02X}"));
        }
    }
    query
}

/// A figure with what it is.
pub(super) fn tile(name: &str, value: &Markup, about: &Markup) -> Markup {
    html! { div.tile { dt { (name) } dd { strong { (value) } span.muted { (about) } } } }
}

/// What a list says that has nothing to show.
pub(super) fn empty(title: &str, what_next: &Markup) -> Markup {
    html! { div.empty { h2 { (title) } (what_next) } }
}
