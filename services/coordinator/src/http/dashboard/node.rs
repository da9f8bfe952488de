//! `/fleet/{id}`: one node.

use axum::Json;
use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::body::Params;
use super::super::nodes::{self, NodeBody, NodePath, parse_id};
use super::super::page::{Everything, Page, PageQuery};
use super::super::problem::Problem;
use super::Oops;
use super::nodes::{battery, holding, labels, names, standing};
use super::page::{Place, Visit, more};
use super::words::{Mood, ago, at, badge, bytes, count, digest, operations, percent, state};
use crate::access::Scope;
use crate::metrics::RefusedUpdate;
use crate::store::Contribution;

/// Contributions of one page.
const LIMIT: u32 = 50;

pub(super) async fn show(
    visit: Visit,
    Path(id): Path<String>,
    axum::extract::Query(query): axum::extract::Query<std::collections::BTreeMap<String, String>>,
) -> Result<Markup, Oops> {
    let core = &visit.core;
    let path = format!("/fleet/{id}");
    let query = PageQuery::new(&path, LIMIT, query.get("cursor").cloned(), Everything {})?;
    let place = Params(NodePath { id: id.clone() });
    let Json(node) = nodes::one(State(core.clone()), place).await?;
    let after: Option<u64> = query.after()?;
    let found = core
        .store
        .node_contributions(parse_id(&id)?, after.unwrap_or_default(), query.read())
        .await
        .map_err(Problem::from)?
        .unwrap_or_default();
    let page = query.page(found, |one| one.key.ordered().to_string(), |one| one);
    let names = names(core).await?;
    let refused: Vec<_> =
        core.metrics.refused.last().into_iter().filter(|one| one.node.as_str() == id).collect();
    let now_ms = visit.now_ms();
    let content = html! {
        p.crumbs { a href="/fleet" { "Fleet" } }
        div.title {
            h1.mono { (node.id) }
            span #state data-live { (standing(core, &node)) }
            @if node.revoked_at_ms.is_none() && visit.may(Scope::Admin) {
                (visit.asking(&format!("/fleet/{id}/revoke"), "Revoke", &html! {
                    p { "Nothing is answered to " strong { (node.id) } " any more, and no round draws it. What it contributed stays. "
                        "This is for good: with the same key it does not come back." }
                }, "Revoke for good"))
            }
        }
        section #about data-live aria-label="About the node" {
            (facts(&node, &names, now_ms))
        }
        section #refused data-live aria-labelledby="h-refused" {
            h2 #h-refused { "Refused lately" }
            (refusals(&refused, now_ms))
        }
        section #contributions data-live aria-labelledby="h-contributions" {
            h2 #h-contributions { "Contributions " span.muted { "the oldest first" } }
            (contributions(&page, now_ms))
            (more(&page, &path, &[], after.is_some()))
        }
    };
    Ok(visit.page_every(Place::Fleet, &node.id, Some(5_000), &content))
}

fn facts(node: &NodeBody, names: &super::nodes::Names, now_ms: u64) -> Markup {
    html! {
        dl.facts {
            dt { "Heard of" } dd { (ago(node.seen_at_ms, now_ms)) }
            dt { "Holds" } dd { (holding(node.holding.as_deref(), names)) }
            dt { "Battery" } dd { (battery(node.status.as_ref())) }
            @if let Some(status) = &node.status {
                dt { "Idle" } dd { (yes(status.idle)) }
                dt { "Samples to learn from" } dd { @match status.samples { Some(samples) => (operations(samples)), None => "–" } }
                @if !status.capacity.is_empty() {
                    dt { "Chip" } dd { @for (what, size) in &status.capacity { span.tag { (what) " " (size) } " " } }
                }
            }
            dt { "Drawn" } dd { (count(node.turns)) " times" }
            dt { "Labels" } dd { @if node.labels.is_empty() { "–" } (labels(&node.labels)) }
            dt { "Learners" } dd { @for learner in &node.learners { code { (learner) } " " } }
            dt { "Enrolled" } dd { (at(node.enrolled_at_ms)) }
            @if let Some(revoked) = node.revoked_at_ms { dt { "Revoked" } dd { (at(revoked)) } }
            dt { "Public key" } dd { code.digest.break { (node.public_key) } }
        }
    }
}

fn yes(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    }
}

fn refusals(refused: &[RefusedUpdate], now_ms: u64) -> Markup {
    if refused.is_empty() {
        return html! { p.muted { "None of its updates is among the last that were refused." } };
    }
    html! {
        ul.plain {
            @for one in refused.iter().take(20) {
                li { (badge(Mood::Warn, one.code.as_str())) " run " a href=(format!("/runs/{}", one.round.run.0)) { (one.round.run.0) }
                    ", round " (one.round.number) ", " span.muted { (ago(one.at.0, now_ms)) } }
            }
        }
    }
}

fn contributions(page: &Page<Contribution>, now_ms: u64) -> Markup {
    if page.items.is_empty() {
        return html! { p.muted { "Nothing of it was counted yet. A round draws it when it is present and fits the run's plan." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Contributions" {
            table {
                thead { tr {
                    th scope="col" { "Round" } th scope="col" { "Fate" } th.num scope="col" { "Samples" }
                    th.num scope="col" { "Correct while learning" } th.num scope="col" { "Sent" }
                    th scope="col" { "Update" } th scope="col" { "Counted" }
                } }
                tbody {
                    @for one in &page.items {
                        tr {
                            th scope="row" {
                                a href=(format!("/runs/{}", one.ordered.run.0)) { "Run " (one.ordered.run.0) }
                                " · round " (one.ordered.number)
                            }
                            td { (state(one.state.as_str())) }
                            td.num { (count(one.samples)) }
                            td.num { (percent(one.correct, one.samples)) }
                            td.num { (bytes(one.bytes_up)) }
                            td { (digest(&one.payload.to_string())) }
                            td { (ago(one.counted_ms, now_ms)) }
                        }
                    }
                }
            }
        }
    }
}
