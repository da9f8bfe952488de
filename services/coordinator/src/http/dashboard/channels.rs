//! A model's channels: where each is, what moves it, and the buttons that do.

use federation::channel::State;
use maud::{Markup, html};

use super::page::Visit;
use super::words::{ago, nodes, percent, state};
use crate::access::Scope;
use crate::store::{Channel, Model, Promotion};

/// One card for each.
pub(super) fn cards(visit: &Visit, model: &Model, channels: &[Channel]) -> Markup {
    if channels.is_empty() {
        return html! {
            div.empty { h3 { "No channel yet" }
                p { "A channel is a name on a version that nodes follow. Nodes without a label " code { "channel" } " follow " code { "stable" } ":" }
                pre { code { "muster model channel create " (model.name) " stable" } }
            }
        };
    }
    html! { div.cards { @for channel in channels { (card(visit, model, channel)) } } }
}

fn card(visit: &Visit, model: &Model, channel: &Channel) -> Markup {
    let newest = &channel.newest;
    let moves = matches!(newest.state, State::Waiting | State::Rolling);
    let now_ms = visit.now_ms();
    html! {
        article.card aria-label=(format!("Channel {}", channel.name)) {
            header {
                h3 { (channel.name) }
                @if channel.pinned { span.tag { "pinned" } }
                (state(newest.state.as_str()))
            }
            p.big { "Version " a href=(format!("#v{}", channel.good.version.0)) { (channel.good.version.0) }
                @if moves { span.muted { " → " (newest.version.0) } } }
            @if newest.state == State::Rolling {
                div.progress {
                    progress value=(newest.percent) max="100" aria-label=(format!("{} % of the channel's nodes", newest.percent)) {}
                    span.muted { (newest.percent) "\u{202f}% of its nodes" }
                }
            }
            dl.facts {
                dt { "Guard" } dd { @match &channel.setup.guard { Some(guard) => code { (guard) }, None => span.muted { "none" } } }
                dt { "Evidence" } dd { (evidence(newest)) }
                dt { "Steps" } dd { (steps(channel)) }
                dt { "New versions" } dd { @if channel.setup.auto { "taken by itself" } @else { "promoted by hand" } @if channel.setup.approval { ", after approval" } }
                dt { "Last move" } dd { (newest.cause.replace('_', " ")) " by " (newest.actor) ", " (ago(newest.started_ms, now_ms)) }
                @if !channel.bad.is_empty() { dt { "Turned back" } dd { (channel.bad.len()) " versions" } }
            }
            @if visit.may(Scope::Operate) { (buttons(visit, model, channel)) }
        }
    }
}

fn buttons(visit: &Visit, model: &Model, channel: &Channel) -> Markup {
    let path = format!("/models/{}/channels/{}", channel.model, channel.name);
    let id = format!("promote-{}", channel.name);
    html! {
        footer.actions {
            @if channel.newest.state == State::Waiting {
                (visit.button(&format!("{path}/approve"), "primary", &format!("Approve version {}", channel.newest.version.0), &html! {
                    input type="hidden" name="promotion" value=(channel.newest.number);
                }))
            }
            @if !channel.pinned {
                (visit.button(&format!("{path}/promote"), "", "Promote", &html! {
                    label.hidden for=(id) { "Version to promote to " (channel.name) }
                    input id=(id) type="number" name="version" min="1" max=(model.latest.0) value=(model.latest.0) required;
                }))
                (visit.asking(&format!("{path}/rollback"), "Roll back", &html! {
                    p { "All nodes of " strong { (channel.name) } " go back to the version before, at once. What is on its way is turned back." }
                }, "Roll back now"))
                (visit.button(&format!("{path}/pin"), "quiet", "Pin", &html! {}))
            } @else {
                (visit.button(&format!("{path}/unpin"), "", "Unpin", &html! {}))
            }
        }
    }
}

/// What a promotion's guard decided on last.
pub(super) fn evidence(promotion: &Promotion) -> Markup {
    html! {
        @match promotion.evidence {
            Some(told) if told.nodes > 0 => { (percent(told.correct, told.samples)) span.muted { " of " (nodes(told.nodes)) } }
            _ => span.muted { "–" }
        }
    }
}

fn steps(channel: &Channel) -> String {
    let steps: Vec<String> = channel.setup.steps.percents().iter().map(u8::to_string).collect();
    format!("{}\u{202f}%", steps.join(", "))
}
