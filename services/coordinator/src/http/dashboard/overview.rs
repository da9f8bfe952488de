//! `/`: what goes on, in one look.

use federation::channel::State;
use maud::{Markup, html};

use super::super::problem::Problem;
use super::page::{Place, Visit, empty, tile};
use super::runs::{cells, heads};
use super::words::{ago, count, state};
use super::{Oops, channels};
use crate::core::{Core, Readiness};
use crate::store::{Event, Run, RunState, Standing, WhichRuns};

/// Events that are shown.
const EVENTS: u32 = 14;
/// Live runs that are shown.
const RUNS: u32 = 50;

pub(super) async fn show(visit: Visit) -> Result<Markup, Oops> {
    let core = &visit.core;
    let figures = core.store.figures().await.map_err(Problem::from)?;
    let mut runs = Vec::new();
    for state in [RunState::Running, RunState::Waiting, RunState::Paused] {
        let which = WhichRuns { model: None, state: Some(state) };
        runs.extend(core.store.runs(which, 0, RUNS).await.map_err(Problem::from)?);
    }
    let standing = core.store.standing().await.map_err(Problem::from)?;
    let newest = core.store.events_kept().await.map_err(Problem::from)?.newest;
    let after = newest.saturating_sub(EVENTS.into());
    let mut events =
        core.store.events(after, String::new(), EVENTS).await.map_err(Problem::from)?;
    events.reverse();
    let fleet = core.presence.fleet();
    let present = fleet.wanted + fleet.others;
    let enrolled = figures.nodes - figures.revoked;
    let content = html! {
        h1 { "Overview" }
        section #now data-live aria-label="Figures" {
            dl.tiles {
                (tile("Nodes present", &html! { (count(present)) }, &html! { "of " (count(enrolled)) " enrolled" }))
                (tile("Live runs", &html! { (runs.len()) }, &html! { (count(ended(&figures.runs))) " ended" }))
                (tile("Models", &html! { (figures.models.len()) }, &html! { (figures.channels.len()) " channels" }))
                (tile("Coordinator", &html! { (readiness(core)) }, &html! { "up " (super::words::duration(core.clock.monotonic_ms())) }))
            }
        }
        section #runs data-live aria-labelledby="h-runs" {
            h2 #h-runs { "Live runs" }
            @if runs.is_empty() { (no_runs(figures.models.is_empty(), enrolled == 0)) } @else { (live_runs(&runs)) }
        }
        section #channels data-live aria-labelledby="h-channels" {
            h2 #h-channels { "Channels" }
            @if standing.is_empty() {
                p.muted { "No model has a channel yet. Nodes follow one to hold the versions that are made." }
            } @else { (rollouts(&standing)) }
        }
        section #events data-live aria-labelledby="h-events" {
            h2 #h-events { "What happened" }
            @if events.is_empty() { p.muted { "Nothing yet." } } @else { (happened(&events, visit.now_ms())) }
        }
    };
    Ok(visit.page_every(Place::Overview, "Overview", (!runs.is_empty()).then_some(3_000), &content))
}

fn ended(runs: &[(RunState, u64)]) -> u64 {
    let over = |state: &RunState| {
        matches!(state, RunState::Completed | RunState::Failed | RunState::Cancelled)
    };
    runs.iter().filter(|one| over(&one.0)).map(|one| one.1).sum()
}

fn readiness(core: &Core) -> Markup {
    state(match core.readiness() {
        Readiness::Ready => "ready",
        Readiness::StorageFull => "storage_full",
        Readiness::StoreFailing => "store_failing",
        Readiness::Draining => "draining",
    })
}

fn no_runs(no_models: bool, no_nodes: bool) -> Markup {
    empty(
        "Nothing is learning",
        &html! {
            @if no_nodes {
                p { "No node is enrolled yet. Start one:" }
                pre { code { "muster node --coordinator http://HOST:7401 --state DIR --data navigation" } }
            }
            @if no_models {
                p { "There is no model. Make one of its first version:" }
                pre { code { "muster model import --format muster NAME FILE" } }
            } @else {
                p { "Start a run over a model:" }
                pre { code { "muster run create --model NAME --rounds 20 --goal 10" } }
            }
            p.muted { "Or see all of it at once, on this machine: " code { "muster demo" } "." }
        },
    )
}

fn live_runs(runs: &[Run]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Live runs" {
            table {
                thead { tr {
                    (heads())
                } }
                tbody {
                    @for run in runs {
                        tr {
                            (cells(run))
                        }
                    }
                }
            }
        }
    }
}

/// How many versions a run is to make; none of one that never ends.
pub(super) fn rounds_of(run: &Run) -> Option<u32> {
    (!run.plan.is_continuous()).then_some(run.plan.rounds)
}

/// How far the open round is.
pub(super) fn open_round(run: &Run) -> Markup {
    let Some(round) = &run.live else { return html! { span.muted { "–" } } };
    let (updates, goal) = (round.totals.updates, run.plan.cohort.goal);
    html! {
        span.progress {
            progress value=(updates) max=(goal) aria-label=(format!("Round {}: {updates} of {goal} updates", round.round.number)) {}
            span.muted { "round " (round.round.number) ", " (updates) "/" (goal) }
        }
    }
}

fn rollouts(standing: &[Standing]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Channels" {
            table {
                thead { tr {
                    th scope="col" { "Channel" } th.num scope="col" { "Version" } th scope="col" { "Last move" }
                    th scope="col" { "Evidence" }
                } }
                tbody {
                    @for Standing { channel, .. } in standing {
                        tr {
                            th scope="row" {
                                a href=(format!("/models/{}", channel.model)) { (channel.model) }
                                " / " (channel.name)
                            }
                            td.num { (channel.good.version.0) @if channel.pinned { " " span.tag { "pinned" } } }
                            td {
                                (state(channel.newest.state.as_str())) " "
                                @if channel.newest.state == State::Rolling || channel.newest.state == State::Waiting {
                                    span.muted { "version " (channel.newest.version.0) ", " (channel.newest.percent) "\u{202f}%" }
                                }
                            }
                            td { (channels::evidence(&channel.newest)) }
                        }
                    }
                }
            }
        }
    }
}

fn happened(events: &[Event], now_ms: u64) -> Markup {
    html! {
        ol.events {
            @for event in events {
                li {
                    span.when { (ago(event.at.0, now_ms)) }
                    code.kind { (event.kind) }
                    span.subject { (link(&event.kind, &event.subject)) }
                    span.muted.by { (event.actor) }
                }
            }
        }
    }
}

/// The subject of an event or a deed, with a link to its page where it has one.
pub(super) fn link(kind: &str, subject: &str) -> Markup {
    let mut parts = subject.split('/');
    let first = parts.next().unwrap_or(subject);
    let (place, name) = match kind.split('.').next().unwrap_or_default() {
        "run" => (format!("/runs/{first}"), format!("run {first}")),
        "round" => {
            let (number, attempt) = (parts.next().unwrap_or_default(), parts.next());
            let again = attempt.filter(|attempt| *attempt != "1").map(|n| format!(", attempt {n}"));
            let name = format!("run {first}, round {number}{}", again.unwrap_or_default());
            (format!("/runs/{first}"), name)
        }
        "node" => (format!("/fleet/{first}"), subject.to_owned()),
        "model" | "channel" => (format!("/models/{first}"), subject.replace('/', " / ")),
        "version" => {
            let number = parts.next().unwrap_or_default();
            (format!("/models/{first}#v{number}"), format!("{first}, version {number}"))
        }
        "token" => ("/settings/tokens".to_owned(), format!("API token {first}")),
        "enrolment_token" => ("/settings/tokens".to_owned(), format!("enrolment token {first}")),
        _ => return html! { (subject) },
    };
    html! { a href=(place) { (name) } }
}
