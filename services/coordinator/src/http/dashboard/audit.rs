//! `/audit`: who did what, the newest first.

use axum::extract::Query;
use federation::audit::{Entry, Head};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::problem::Problem;
use super::Oops;
use super::overview::link;
use super::page::{Place, Visit, escaped};
use super::words::{at, count, digest};
use crate::core::Core;

/// Entries of a page.
const LIMIT: usize = 50;
/// Entries that are read at once to find some.
const READ: u32 = 1_000;
/// Most entries that one page looks at to find some.
const LOOKED_AT_MAX: u64 = 50_000;

const ACTIONS: [(&str, &str); 8] = [
    ("", "Everything"),
    ("run", "Runs"),
    ("round", "Rounds"),
    ("version", "Versions"),
    ("channel", "Channels"),
    ("node", "Nodes"),
    ("token", "API tokens"),
    ("enrolment_token", "Enrolment tokens"),
];

/// Which entries.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    action: String,
    /// Before this one.
    before: Option<u64>,
}

pub(super) async fn show(
    visit: Visit,
    Query(Shown { action, before }): Query<Shown>,
) -> Result<Markup, Oops> {
    let (entries, head, next) = newest(&visit.core, &action, before).await?;
    let content = html! {
        h1 { "Audit log" }
        section #head data-live aria-label="The log's end" {
            p { (count(head.seq)) " entries, each with the hash of the one before. The last one is " code.digest.break { (head.hash) } }
            p.muted { "Whoever keeps this hash elsewhere can show later that nothing before it was changed: " code { "muster audit verify --head HASH" } }
        }
        nav.tabs aria-label="What" {
            @for (value, name) in ACTIONS {
                a href=(if value.is_empty() { "/audit".to_owned() } else { format!("/audit?action={value}") }) aria-current=[(value == action).then_some("true")] { (name) }
            }
        }
        section #entries data-live=[before.is_none().then_some("")] aria-label="Entries" {
            @if entries.is_empty() { p.muted { "Nothing of this kind happened yet." } } @else { (table(&entries)) }
            @if let Some(next) = next {
                nav.pager aria-label="More entries" {
                    a.button rel="next" href=(format!("/audit?action={}&before={next}", escaped(&action))) { "Older entries" }
                }
            }
        }
    };
    Ok(visit.page(Place::Audit, "Audit log", &content))
}

/// The newest entries of these actions before `before`, and where to go on.
async fn newest(
    core: &Core,
    action: &str,
    before: Option<u64>,
) -> Result<(Vec<Entry>, Head, Option<u64>), Problem> {
    let (_, head) =
        core.store.audit_entries(String::new(), String::new(), u64::MAX >> 1, 1).await?;
    let first = before.unwrap_or(u64::MAX).min(head.seq + 1);
    let mut end = first;
    let mut found: Vec<Entry> = Vec::new();
    while end > 1 && found.len() < LIMIT && first - end < LOOKED_AT_MAX {
        let begin = end.saturating_sub(READ.into()).max(1);
        let entries =
            core.store.audit_entries(action.to_owned(), String::new(), begin - 1, READ).await?.0;
        let entries = entries.into_iter().filter(|entry| entry.seq < end);
        let mut entries: Vec<Entry> = entries.collect();
        entries.reverse();
        found.extend(entries);
        end = begin;
    }
    let more = found.len() > LIMIT || end > 1;
    found.truncate(LIMIT);
    let next = if found.len() < LIMIT { end } else { found.last().map_or(end, |last| last.seq) };
    Ok((found, head, more.then_some(next).filter(|&next| next > 1)))
}

fn table(entries: &[Entry]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Entries" {
            table {
                thead { tr {
                    th.num scope="col" { "Entry" } th scope="col" { "What" } th scope="col" { "To what" } th scope="col" { "Who" }
                    th scope="col" { "When" } th scope="col" { "Detail" } th scope="col" { "Hash" }
                } }
                tbody {
                    @for entry in entries {
                        tr {
                            th.num scope="row" { (entry.seq) }
                            td { code { (entry.action) } }
                            td { (link(&entry.action, &entry.subject)) }
                            td { code { (entry.actor) } }
                            td { (at(entry.at.0)) }
                            td { @match &entry.detail { Some(detail) => code.detail { (detail) }, None => span.muted { "dropped" } } }
                            td { (digest(&entry.hash.to_string())) }
                        }
                    }
                }
            }
        }
    }
}
