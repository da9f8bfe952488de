//! `/runs/{id}`: one run, as it learns.

use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::problem::Problem;
use super::super::runs::find;
use super::Oops;
use super::overview::rounds_of;
use super::page::{Place, Visit, tile};
use super::rounds::{Rounds, Sums};
use super::runs::strategy;
use super::words::{Mood, at, badge, bytes, count, duration, energy, operations, percent, state};
use crate::access::Scope;
use crate::plan::PlanBody;
use crate::store::{Run, RunState};

/// Rounds of the table at once.
const ROUNDS: usize = 20;
/// How often a run that goes on is looked at, besides when something happens.
const LIVE_MS: u32 = 1_500;
/// Tenths of a picojoule for one synaptic operation of ReckOn: Frenkel and Indiveri, ISSCC 2022.
const TENTHS_PJ_PER_OPERATION: u64 = 53;
/// The learner that figure is of.
const RECKON: &str = "reckon/1";

/// What is shown of it.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    /// Rounds before this one's row.
    before: Option<u64>,
}

pub(super) async fn show(
    visit: Visit,
    Path(id): Path<String>,
    Query(Shown { before }): Query<Shown>,
) -> Result<Markup, Oops> {
    let core = &visit.core;
    let run = find(core, &id).await?;
    let rounds = Rounds::read(core, &run).await?;
    let model = core.store.model(run.model.clone()).await.map_err(Problem::from)?;
    let is_reckon = model.is_some_and(|model| model.learner == RECKON);
    let sums = rounds.sums();
    let refused = core.metrics.refused.of_run(run.id);
    let refused_all: u64 = refused.values().sum();
    let now_ms = visit.now_ms();
    let lives = run.ended_ms.is_none();
    let (table, _) = rounds.table(&run, before, ROUNDS, now_ms);
    let content = html! {
        p.crumbs { a href="/runs" { "Runs" } " / " a href=(format!("/models/{}", run.model)) { (run.model) } }
        div.title {
            h1 { "Run " (run.id.0) }
            span #state data-live { (state(run.state.as_str())) @if let Some(reason) = &run.reason { span.muted { " " (reason.replace('_', " ")) } } }
            div #actions.actions data-live { @if lives && visit.may(Scope::Operate) { (actions(&visit, &run)) } }
        }
        section #figures data-live aria-label="Figures" { (figures(&run, &rounds, &sums, refused_all, is_reckon)) }
        section #open data-live aria-label="The open round" { (open(&run)) }
        section #curve data-live aria-labelledby="h-curve" { (rounds.curve()) }
        div.columns {
            section #timeline data-live aria-labelledby="h-timeline" {
                h2 #h-timeline { "Rounds by updates" }
                @if rounds.all.is_empty() {
                    p.muted { "No round was opened yet: it waits for " (run.plan.cohort.goal) " nodes that fit its plan." }
                } @else {
                    (rounds.strip(&run))
                    p.legend {
                        span.key.published { "published" } span.key.abandoned { "abandoned" } span.key.open { "open" }
                    }
                }
            }
            section #refused data-live aria-labelledby="h-refused" {
                h2 #h-refused { "Refused updates" }
                @if refused.is_empty() {
                    p.muted { "None since the coordinator's start." }
                } @else {
                    ul.plain.reasons {
                        @for (code, number) in &refused { li { (badge(Mood::Warn, code.as_str())) " " strong { (count(*number)) } } }
                    }
                    p.muted { "Since the coordinator's start. The log has each with its node." }
                }
            }
        }
        @if !rounds.all.is_empty() {
            section #rounds data-live aria-labelledby="h-rounds" { h2 #h-rounds { "Rounds" } (table) }
        }
        section aria-labelledby="h-plan" {
            h2 #h-plan { "Plan" }
            dl.facts {
                dt { "Strategy" } dd { code { (strategy(&run)) } }
                dt { "Seed" } dd { code { (run.plan.seed) } }
                dt { "Repeats bit for bit" } dd { @if run.reproducible { "yes" } @else { "no" } }
                dt { "Began with" } dd { "version " (run.base_version.0) }
                dt { "Made" } dd { (at(run.created_ms)) }
                @if let Some(ended) = run.ended_ms { dt { "Ended" } dd { (at(ended)) } }
            }
            details { summary { "The whole plan" } pre { code { (whole(&run)) } } }
        }
    };
    let title = format!("Run {}", run.id.0);
    Ok(visit.page_every(Place::Runs, &title, lives.then_some(LIVE_MS), &content))
}

fn whole(run: &Run) -> String {
    serde_json::to_string_pretty(&PlanBody::from(&run.plan)).expect("a plan is always JSON")
}

fn actions(visit: &Visit, run: &Run) -> Markup {
    let path = format!("/runs/{}", run.id.0);
    html! {
        @if run.state == RunState::Paused {
            (visit.button(&format!("{path}/resume"), "primary", "Resume", &html! {}))
        } @else {
            (visit.button(&format!("{path}/pause"), "", "Pause", &html! {}))
        }
        (visit.asking(&format!("{path}/cancel"), "Cancel", &html! {
            p { "The run ends, and its open round is abandoned. The versions it made stay." }
        }, "Cancel the run"))
    }
}

fn figures(run: &Run, rounds: &Rounds, sums: &Sums, refused: u64, is_reckon: bool) -> Markup {
    let totals = &sums.totals;
    let held_out = rounds.held_out();
    html! {
        dl.tiles {
            @match held_out {
                Some((version, correct, samples)) => (tile("Held-out accuracy", &html! { (percent(correct, samples)) },
                    &html! { "version " (version) ", " (count(samples)) " samples" })),
                None => (tile("Accuracy while learning", &html! { (percent(totals.correct, totals.samples)) },
                    &html! { (count(totals.samples)) " samples" })),
            }
            (tile("Versions made", &html! { (run.rounds_published) }, &html! {
                @if let Some(of) = rounds_of(run) { "of " (of) } @else { "without end" }
                @if sums.abandoned > 0 { ", " (sums.abandoned) " rounds abandoned" }
            }))
            (tile("Took part", &html! { (percent(sums.counted, sums.drawn)) }, &html! { (count(sums.counted)) " of " (count(sums.drawn)) " drawn" }))
            (tile("Updates", &html! { (count(totals.updates)) }, &html! { (count(refused)) " refused" }))
            (tile("Sent and fetched", &html! { (bytes(totals.bytes_up)) }, &html! { (bytes(totals.bytes_down)) " fetched" }))
            (tile("Synaptic ops", &html! { (operations(totals.synaptic_ops)) }, &html! {
                @if is_reckon { "about " (energy(totals.synaptic_ops, TENTHS_PJ_PER_OPERATION)) " at 5.3 pJ each" }
            }))
        }
    }
}

fn open(run: &Run) -> Markup {
    let Some(round) = &run.live else { return html! {} };
    let plan = &run.plan.cohort;
    let updates = round.totals.updates;
    html! {
        div.open {
            p { strong { "Round " (round.round.number) } @if round.round.attempt > 1 { " (attempt " (round.round.attempt) ")" } " is " (round.state.as_str()) }
            progress value=(updates) max=(plan.goal) aria-label=(format!("{updates} of {} updates", plan.goal)) {}
            p.muted { (updates) " of " (plan.goal) " updates, " (round.cohort) " nodes drawn; " (plan.quorum) " suffice at the deadline, "
                (duration(round.served_ms)) " of " (duration(plan.deadline_ms)) }
        }
    }
}
