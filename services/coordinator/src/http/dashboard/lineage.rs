//! A model's lineage as a picture: versions from the oldest shown to the newest, what each came from, where channels are.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::words::percent;
use crate::store::{Channel, Version};

/// From one version to the next.
const STEP: usize = 46;
/// Left of the first one.
const LEFT: usize = 28;
/// How high a channel's flag is.
const FLAG: usize = 22;

/// The picture. Versions of runs are circles, those that were brought are squares; a channel is a flag on its version, an
/// arrow where its promotion is on the way.
pub(super) fn draw(versions: &[Version], channels: &[Channel]) -> Markup {
    let place: BTreeMap<u32, usize> =
        versions.iter().enumerate().map(|(at, version)| (version.number.0, at)).collect();
    let x = |at: usize| LEFT + at * STEP;
    let mut flags: BTreeMap<usize, Vec<(String, bool)>> = BTreeMap::new();
    let mut off = Vec::new();
    for channel in channels {
        match place.get(&channel.good.version.0) {
            Some(&at) => flags.entry(at).or_default().push((channel.name.to_string(), true)),
            None => off.push(channel),
        }
        let moves =
            channel.newest.version != channel.good.version && channel.newest.ended_ms.is_none();
        if let Some(&at) = place.get(&channel.newest.version.0).filter(|_| moves) {
            let on_way = format!("{} {} %", channel.name, channel.newest.percent);
            flags.entry(at).or_default().push((on_way, false));
        }
    }
    let rows = flags.values().map(Vec::len).max().unwrap_or(0);
    let line = rows * FLAG + 26;
    let longest = flags.values().flatten().map(|one| one.0.len()).max().unwrap_or(0);
    let width = x(versions.len().saturating_sub(1)) + LEFT + (longest * 7).max(10);
    let height = line + 40;
    html! {
        div.scroll.lineage tabindex="0" role="region" aria-label="Lineage" data-end {
            svg width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(told(versions, channels)) {
                @for (at, version) in versions.iter().enumerate() {
                    @if let Some((parent, _)) = &version.parent {
                        @match place.get(&parent.0) {
                            Some(&from) if from + 1 == at => line.edge x1=(x(from) + 9) x2=(x(at) - 9) y1=(line) y2=(line) {}
                            Some(&from) => path.edge d=(format!("M{} {line}C{} {},{} {},{} {line}", x(from), x(from) + STEP / 2, line + 34, x(at) - STEP / 2, line + 34, x(at))) {}
                            None => line.edge.dim x1="0" x2=(x(at) - 9) y1=(line) y2=(line) {}
                        }
                    }
                }
                @for (at, version) in versions.iter().enumerate() {
                    @let class = if at + 1 == versions.len() { "dot newest" } else { "dot" };
                    g {
                        title { (about(version)) }
                        @if version.made_by.is_some() {
                            circle class=(class) cx=(x(at)) cy=(line) r="7" {}
                        } @else {
                            rect class=(class) x=(x(at) - 7) y=(line - 7) width="14" height="14" rx="2" {}
                        }
                        text.number x=(x(at)) y=(line + 26) text-anchor="middle" { (version.number.0) }
                    }
                    @for (row, (name, there)) in flags.get(&at).into_iter().flatten().enumerate() {
                        @let top = row * FLAG + 2;
                        g class=(if *there { "flag" } else { "flag coming" }) {
                            line x1=(x(at)) x2=(x(at)) y1=(top + 9) y2=(line - 8) {}
                            rect x=(x(at)) y=(top) width=(name.len() * 7 + 12) height="18" rx="3" {}
                            text x=(x(at) + 6) y=(top + 13) { (name) }
                        }
                    }
                }
            }
        }
        p.legend {
            span.key.circle { "made by a run" } span.key.square { "brought" } span.key.flag { "channel" }
            @for channel in off { span.muted { (channel.name) " → version " (channel.good.version.0) } }
        }
    }
}

fn about(version: &Version) -> String {
    let by = match &version.made_by {
        Some((run, round, _)) => format!("run {}, round {round}", run.0),
        None => "brought".to_owned(),
    };
    let held =
        version.accuracy.map(|told| format!(", {} held out", percent(told.correct, told.samples)));
    format!("Version {}: {by}{}", version.number.0, held.unwrap_or_default())
}

/// The picture in words.
fn told(versions: &[Version], channels: &[Channel]) -> String {
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
        return String::new();
    };
    let mut text = format!("Versions {} to {}", first.number.0, last.number.0);
    for channel in channels {
        text.push_str(&format!(", {} at version {}", channel.name, channel.good.version.0));
    }
    text
}
