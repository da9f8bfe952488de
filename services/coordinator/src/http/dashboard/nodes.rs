//! `/fleet`: who is enrolled, what they hold, how they are.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::nodes::{self, NodeBody, NodesFilter, StatusBody};
use super::super::page::{LIMIT_DEFAULT, PageQuery, invalid};
use super::super::problem::Problem;
use super::Oops;
use super::page::{Place, Visit, empty, more, tile};
use super::words::{Mood, ago, badge, count, percent};
use crate::core::Core;

/// Held versions that are told of by name.
const HELD_MAX: usize = 6;

/// Versions by digest, as people call them.
pub(super) type Names = BTreeMap<String, String>;

/// Which nodes. A form sends what is empty, too.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    label: String,
    #[serde(default)]
    seen_within_s: String,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Markup, Oops> {
    let core = &visit.core;
    let Asked { label, seen_within_s: within_text, limit, cursor } = asked;
    let (label, within_text) = (label.trim().to_owned(), within_text.trim().to_owned());
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| invalid("seen_within_s should be a number of seconds"))
    };
    let within = (!within_text.is_empty()).then(|| number(&within_text)).transpose()?;
    let filter =
        NodesFilter { label: (!label.is_empty()).then(|| label.clone()), seen_within_s: within };
    let query = PageQuery::new("/fleet", limit.unwrap_or(LIMIT_DEFAULT), cursor, filter)?;
    let further = query.after::<String>()?.is_some();
    let Json(page) = nodes::list(State(core.clone()), query).await?;
    let figures = core.store.figures().await.map_err(Problem::from)?;
    let names = names(core).await?;
    let refused = refused(core);
    let now_ms = visit.now_ms();
    let filtered = !label.is_empty() || within.is_some();
    let fleet = core.presence.fleet();
    let present = fleet.wanted + fleet.others;
    let content = html! {
        h1 { "Fleet" }
        section #figures data-live aria-label="Figures" {
            dl.tiles {
                (tile("Enrolled", &html! { (count(figures.nodes - figures.revoked)) }, &html! { (count(figures.revoked)) " revoked" }))
                (tile("Present", &html! { (count(present)) }, &html! { "heard of when due" }))
                (tile("Wanted by a run", &html! { (count(fleet.wanted)) }, &html! { "of those present" }))
            }
            (held(core, &names))
        }
        section aria-labelledby="h-nodes" {
            h2 #h-nodes { "Nodes" }
            (filters(&label, &within_text))
            div #nodes data-live {
                @if page.items.is_empty() && page.next_cursor.is_none() {
                    (nobody(filtered))
                } @else {
                    (table(core, &page.items, &names, &refused, now_ms))
                    (more(&page, "/fleet", &[("label", &label), ("seen_within_s", &within_text)], further))
                }
            }
        }
    };
    Ok(visit.page_every(Place::Fleet, "Fleet", Some(5_000), &content))
}

fn filters(label: &str, within: &str) -> Markup {
    let choices = [
        ("", "at any time"),
        ("60", "in the last minute"),
        ("3600", "in the last hour"),
        ("86400", "in the last day"),
    ];
    html! {
        form.filter method="get" action="/fleet" role="search" {
            div {
                label for="label" { "Labels" }
                input #label.mono name="label" value=(label) placeholder="site=ams, class in (a,b)" spellcheck="false" autocomplete="off";
            }
            div {
                label for="seen" { "Heard of" }
                select #seen name="seen_within_s" {
                    @for (value, name) in choices {
                        option value=(value) selected[value == within] { (name) }
                    }
                    @if !choices.iter().any(|one| one.0 == within) {
                        option value=(within) selected { "in the last " (within) " s" }
                    }
                }
            }
            button type="submit" { "Filter" }
            @if !label.is_empty() || !within.is_empty() { a.button.quiet href="/fleet" { "All" } }
        }
    }
}

fn nobody(filtered: bool) -> Markup {
    if filtered {
        return empty(
            "No node fits",
            &html! {
                p { "No enrolled node has these labels and was heard of then. " a href="/fleet" { "Show all" } }
            },
        );
    }
    empty(
        "No node is enrolled",
        &html! {
            p { "A node enrols by itself when it first asks for work. With tokens on, it needs one:" }
            pre { code { "muster fleet token create --name line-3 --uses 20\nmuster node --coordinator https://HOST:7401 --state DIR --data navigation --enrol-token mse_…" } }
        },
    )
}

fn table(core: &Core, items: &[NodeBody], names: &Names, refused: &Lately, now_ms: u64) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Nodes" {
            table {
                thead { tr {
                    th scope="col" { "Node" } th scope="col" { "State" } th scope="col" { "Heard of" }
                    th scope="col" { "Holds" } th.num scope="col" { "Battery" } th.num scope="col" { "Drawn" }
                    th scope="col" { "Refused lately" } th scope="col" { "Labels" }
                } }
                tbody {
                    @for node in items {
                        tr {
                            th scope="row" { a.mono href=(format!("/fleet/{}", node.id)) { (node.id) } }
                            td { (standing(core, node)) }
                            td { (ago(node.seen_at_ms, now_ms)) }
                            td { (holding(node.holding.as_deref(), names)) }
                            td.num { (battery(node.status.as_ref())) }
                            td.num { (node.turns) }
                            td { @match refused.get(&node.id) {
                                Some((number, last)) => { (badge(Mood::Warn, last)) @if *number > 1 { span.muted { " ×" (number) } } }
                                None => span.muted { "–" }
                            } }
                            td { (labels(&node.labels)) }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a node is there.
pub(super) fn standing(core: &Core, node: &NodeBody) -> Markup {
    if node.revoked_at_ms.is_some() {
        badge(Mood::Bad, "revoked")
    } else if core.presence.is_present(&node.id, &*core.clock) {
        badge(Mood::Good, "present")
    } else {
        badge(Mood::Warn, "quiet")
    }
}

/// What a node says of its battery.
pub(super) fn battery(status: Option<&StatusBody>) -> Markup {
    let Some(status) = status else { return html! { span.muted { "–" } } };
    html! {
        @match status.battery_percent {
            Some(left) => { @if left < 20 { span.low { "▼ " (left) "\u{202f}%" } } @else { (left) "\u{202f}%" } }
            None => span.muted { "–" }
        }
        @if status.charging == Some(true) { " " span.tag title="on mains power" { "mains" } }
    }
}

/// The version that a node holds.
pub(super) fn holding(digest: Option<&str>, names: &Names) -> Markup {
    html! {
        @match digest {
            None => span.muted { "–" }
            Some(digest) => {
                (super::words::digest(digest))
                @if let Some(name) = names.get(digest) { " " span.muted.nowrap { (name) } }
            }
        }
    }
}

pub(super) fn labels(labels: &BTreeMap<String, String>) -> Markup {
    html! {
        span.labels {
            @for (key, value) in labels {
                a.label href=(format!("/fleet?label={}", super::page::escaped(&format!("{key}={value}")))) { (key) "=" (value) }
            }
        }
    }
}

/// Which versions the fleet holds, with bars.
fn held(core: &Core, names: &Names) -> Markup {
    let mut held: Vec<_> = core.presence.holdings().into_iter().collect();
    held.sort_by_key(|one| std::cmp::Reverse(one.1));
    let whole: u64 = held.iter().map(|one| one.1).sum();
    let others: u64 = held.iter().skip(HELD_MAX).map(|one| one.1).sum();
    if held.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Versions held" }
        ul.bars {
            @for (digest, nodes) in held.iter().take(HELD_MAX) {
                li {
                    span.name { (holding(Some(&digest.to_string()), names)) }
                    meter min="0" max=(whole) value=(nodes) aria-label=(format!("{nodes} of {whole} nodes")) {}
                    span.num { (count(*nodes)) " " span.muted { (percent(*nodes, whole)) } }
                }
            }
            @if others > 0 { li { span.name { "others" } meter min="0" max=(whole) value=(others) aria-label=(format!("{others} of {whole} nodes")) {} span.num { (count(others)) } } }
        }
    }
}

/// What versions are called that nodes may hold: the newest of each model, and those of channels.
pub(super) async fn names(core: &Core) -> Result<Names, Problem> {
    let mut names = Names::new();
    for model in core.store.models(String::new(), 1_000).await? {
        names.insert(model.latest_digest.to_string(), format!("{} {}", model.name, model.latest.0));
    }
    for standing in core.store.standing().await? {
        let channel = standing.channel;
        for promotion in [&channel.newest, &channel.good] {
            let name = format!("{} {} · {}", channel.model, promotion.version.0, channel.name);
            names.insert(promotion.digest.to_string(), name);
        }
    }
    Ok(names)
}

/// How many updates of each node were refused lately, and why the last one was.
pub(super) type Lately = BTreeMap<String, (u64, &'static str)>;

fn refused(core: &Core) -> Lately {
    let mut lately = Lately::new();
    for refused in core.metrics.refused.last() {
        let (number, _) =
            lately.entry(refused.node.to_string()).or_insert((0, refused.code.as_str()));
        *number += 1;
    }
    lately
}
