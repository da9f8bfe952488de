//! `/runs`: all runs, the newest first.

use maud::{Markup, html};
use serde::Deserialize;

use super::super::page::{Page, PageQuery};
use super::super::problem::Problem;
use super::Oops;
use super::overview::{open_round, rounds_of};
use super::page::{Place, Visit, empty, more};
use super::words::{ago, duration, state};
use crate::plan::PlanBody;
use crate::store::{Run, RunState, WhichRuns};

const STATES: [(&str, &str); 7] = [
    ("", "All"),
    ("running", "Running"),
    ("waiting", "Waiting"),
    ("paused", "Paused"),
    ("completed", "Completed"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
];

/// Which runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    state: String,
}

pub(super) async fn list(visit: Visit, query: PageQuery<Filter>) -> Result<Markup, Oops> {
    let chosen = query.filter.state.clone();
    let which = WhichRuns { model: None, state: chosen.parse::<RunState>().ok() };
    let after: Option<u64> = query.after()?;
    let before = after.unwrap_or(u64::MAX);
    let runs = visit.core.store.newest_runs(which, before, query.read()).await;
    let page = query.page(runs.map_err(Problem::from)?, |run| run.id.to_string(), |run| run);
    let content = html! {
        h1 { "Runs" }
        nav.tabs aria-label="States" {
            @for (value, name) in STATES {
                a href=(if value.is_empty() { "/runs".to_owned() } else { format!("/runs?state={value}") })
                    aria-current=[(value == chosen).then_some("true")] { (name) }
            }
        }
        section #runs data-live aria-label="Runs" {
            @if page.items.is_empty() {
                @if chosen.is_empty() { (none()) } @else { p.muted { "No run is " (chosen) "." } }
            } @else {
                (table(&page, visit.now_ms()))
                (more(&page, "/runs", &[("state", &chosen)], after.is_some()))
            }
        }
    };
    Ok(visit.page_every(Place::Runs, "Runs", Some(5_000), &content))
}

fn none() -> Markup {
    empty(
        "There is no run yet",
        &html! {
            p { "A run moves a model, round by round, with what nodes learn:" }
            pre { code { "muster run create --model NAME --rounds 20 --goal 10" } }
            p.muted { "Or see one at once, on this machine: " code { "muster demo" } "." }
        },
    )
}

/// The heads of what every table of runs begins with.
pub(super) fn heads() -> Markup {
    html! {
        th scope="col" { "Run" } th scope="col" { "Model" } th scope="col" { "State" }
        th.num scope="col" { "Versions made" } th scope="col" { "Open round" }
    }
}

/// What every table of runs says first of one.
pub(super) fn cells(run: &Run) -> Markup {
    html! {
        th scope="row" { a href=(format!("/runs/{}", run.id.0)) { "Run " (run.id.0) } }
        td { a href=(format!("/models/{}", run.model)) { (run.model) } }
        td { (state(run.state.as_str())) }
        td.num { (run.rounds_published) @if let Some(rounds) = rounds_of(run) { " of " (rounds) } }
        td { (open_round(run)) }
    }
}

fn table(page: &Page<Run>, now_ms: u64) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Runs" {
            table {
                thead { tr {
                    (heads())
                    th scope="col" { "Strategy" } th scope="col" { "Made" } th.num scope="col" { "Took" }
                } }
                tbody {
                    @for run in &page.items {
                        tr {
                            (cells(run))
                            td { code { (strategy(run)) } }
                            td { (ago(run.created_ms, now_ms)) }
                            td.num { (duration(run.ended_ms.unwrap_or(now_ms).saturating_sub(run.created_ms))) }
                        }
                    }
                }
            }
        }
    }
}

/// The strategy of a run's plan, as plans name it.
pub(super) fn strategy(run: &Run) -> String {
    let plan = serde_json::json!(PlanBody::from(&run.plan));
    plan["strategy"]["name"].as_str().unwrap_or_default().to_owned()
}
