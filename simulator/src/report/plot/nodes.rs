//! Nodes: how well each does, and how often each took part.

use std::collections::BTreeMap;

use super::axis::{Scale, ceiling, ticks};
use super::{Canvas, Pane, Plot, Width, float, len};
use crate::report::data::Data;
use crate::report::text::{count, percent};

/// Bins of the distribution.
const BINS: usize = 20;
/// Nodes up to which each has a bar.
const BARS_MAX: usize = 60;

/// How many nodes reach which accuracy.
#[must_use]
pub(super) fn accuracy(data: &Data, width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 232.0);
    let pane = canvas.pane([30.0, 16.0, 44.0, 48.0]);
    let title = "Nodes, by their accuracy with the final version".to_owned();
    let mut shares: Vec<f64> = data
        .node_accuracies
        .iter()
        .filter(|node| node.total > 0)
        .map(|node| float(node.correct) / float(node.total))
        .collect();
    shares.sort_by(f64::total_cmp);
    let (Some(&worst), Some(&best)) = (shares.first(), shares.last()) else {
        let why = "No node tried the final version.";
        canvas.empty(pane, why);
        return canvas.plot("accuracy", title, why.to_owned());
    };
    // The lower half is shown only where somebody is in it.
    let floor = if worst < 0.5 { 0.0 } else { 0.5 };
    let mut bins = [0_u64; BINS];
    for &share in &shares {
        bins[bin(share, floor)] += 1;
    }
    let top = ceiling(bins.iter().copied().max().map_or(1.0, float));
    let x = Scale::new([floor, 1.0], [pane.left, pane.right]);
    let y = Scale::new([0.0, top], [pane.bottom, pane.top]);
    canvas.y_axis(pane, y, &ticks(0.0, top, 4, true), |value| count(whole(value)));
    canvas.x_axis(pane, x, &ticks(floor, 1.0, 5, false), "accuracy", |value| {
        format!("{:.0} %", value * 100.0)
    });
    let step = (1.0 - floor) / len(BINS);
    for (index, &nodes) in bins.iter().enumerate().filter(|(_, nodes)| **nodes > 0) {
        let low = floor + len(index) * step;
        let (left, right, at) = (x.at(low), x.at(low + step), y.at(float(nodes)));
        let tip =
            format!("{} nodes from {} to {}", count(nodes), percent(low), percent(low + step));
        canvas.rect("p-fill0", [left + 1.0, at, right - left - 2.0, pane.bottom - at], &tip);
    }
    let median = shares[shares.len() / 2];
    let at = x.at(median);
    canvas.line("p-line1 p-dash", [at, pane.top - 6.0, at, pane.bottom]);
    let anchor = if at > f64::midpoint(pane.left, pane.right) { "end" } else { "start" };
    canvas.text("p-text1", anchor, at, 17.0, &format!("median {}", percent(median)));
    let desc = format!(
        "{} nodes, each on samples it holds out: the worst {}, the median {}, the best {}.",
        count(u64::try_from(shares.len()).unwrap_or(u64::MAX)),
        percent(worst),
        percent(median),
        percent(best)
    );
    canvas.plot("accuracy", title, desc)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to the number of bins"
)]
fn bin(share: f64, floor: f64) -> usize {
    let place = (share - floor) / (1.0 - floor) * len(BINS);
    (place.max(0.0) as usize).min(BINS - 1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a tick of an axis that begins at 0"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// How often nodes took part: each where they are few, else how many did how often.
#[must_use]
pub(super) fn participation(data: &Data, width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 232.0);
    let pane = canvas.pane([30.0, 16.0, 44.0, 48.0]);
    let title = "Updates counted, by node".to_owned();
    let nodes = &data.participation;
    let Some(most) = nodes.iter().map(|node| node.counted + node.refused).max() else {
        let why = "No node took part.";
        canvas.empty(pane, why);
        return canvas.plot("participation", title, why.to_owned());
    };
    let counted: u64 = nodes.iter().map(|node| node.counted).sum();
    let refused: u64 = nodes.iter().map(|node| node.refused).sum();
    let silent = nodes.iter().filter(|node| node.counted == 0).count();
    if nodes.len() <= BARS_MAX {
        each(&mut canvas, pane, data, most);
    } else {
        distribution(&mut canvas, pane, data);
    }
    let desc = format!(
        "{} updates of {} nodes were counted, {} refused; {silent} nodes had none counted.",
        count(counted),
        count(u64::try_from(nodes.len()).unwrap_or(u64::MAX)),
        count(refused)
    );
    canvas.plot("participation", title, desc)
}

fn each(canvas: &mut Canvas, pane: Pane, data: &Data, most: u64) {
    let nodes = &data.participation;
    let top = ceiling(float(most.max(1)));
    let y = Scale::new([0.0, top], [pane.bottom, pane.top]);
    canvas.y_axis(pane, y, &ticks(0.0, top, 4, true), |value| count(whole(value)));
    let each = (pane.right - pane.left) / len(nodes.len());
    let bar = (each * 0.72).min(28.0);
    canvas.rect("p-fill0", [pane.left, 8.0, 10.0, 10.0], "");
    canvas.text("p-mark", "start", pane.left + 15.0, 17.0, "counted");
    canvas.rect("p-soft1", [pane.left + 76.5, 8.5, 9.0, 9.0], "");
    canvas.text("p-mark", "start", pane.left + 91.0, 17.0, "refused");
    for (index, node) in nodes.iter().enumerate() {
        let left = pane.left + each * (len(index) + 0.5) - bar / 2.0;
        let (at, above) = (y.at(float(node.counted)), y.at(float(node.counted + node.refused)));
        let tip = format!("{}: {} counted, {} refused", node.node, node.counted, node.refused);
        canvas.rect("p-fill0", [left, at, bar, pane.bottom - at], &tip);
        if node.refused > 0 {
            canvas.rect("p-soft1", [left, above, bar, at - above], &tip);
        }
    }
    canvas.line("p-axis", [pane.left, pane.bottom, pane.right, pane.bottom]);
    if let (Some(first), Some(last)) = (nodes.first(), nodes.last()) {
        canvas.text("p-tick", "start", pane.left, pane.bottom + 18.0, &clipped(&first.node));
        if nodes.len() > 1 {
            canvas.text("p-tick", "end", pane.right, pane.bottom + 18.0, &clipped(&last.node));
        }
    }
    canvas.text("p-name", "end", pane.right, pane.bottom + 35.0, "node");
}

/// A name, cut where it would run into its neighbour.
fn clipped(name: &str) -> String {
    if name.chars().count() <= 18 {
        return name.to_owned();
    }
    name.chars().take(17).chain(['…']).collect()
}

fn distribution(canvas: &mut Canvas, pane: Pane, data: &Data) {
    let mut by_count: BTreeMap<u64, u64> = BTreeMap::new();
    for node in &data.participation {
        *by_count.entry(node.counted).or_default() += 1;
    }
    let last = by_count.last_key_value().map_or(0, |(&counted, _)| counted);
    let top = ceiling(by_count.values().copied().max().map_or(1.0, float));
    let y = Scale::new([0.0, top], [pane.bottom, pane.top]);
    let each = (pane.right - pane.left) / float(last + 1);
    let bar = (each * 0.8).clamp(0.8, 40.0);
    let x = Scale::new([0.0, float(last)], [pane.left + each / 2.0, pane.right - each / 2.0]);
    canvas.y_axis(pane, y, &ticks(0.0, top, 4, true), |value| count(whole(value)));
    let marks = ticks(0.0, float(last), 8, true);
    canvas.x_axis(pane, x, &marks, "updates counted", |value| format!("{value:.0}"));
    canvas.text("p-mark", "start", pane.left, 17.0, "nodes");
    for (&counted, &nodes) in &by_count {
        let (left, at) = (x.at(float(counted)) - bar / 2.0, y.at(float(nodes)));
        let tip = format!("{} nodes: {counted} updates counted", count(nodes));
        canvas.rect("p-fill0", [left, at, bar, pane.bottom - at], &tip);
    }
}
