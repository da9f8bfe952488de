//! Bars by version: bytes, and energy.

use super::axis::{Scale, ceiling, ticks};
use super::{Canvas, Pane, Plot, Width, float};
use crate::report::data::{Data, Version};
use crate::report::text;

/// Bytes to and from the fleet.
#[must_use]
pub(super) fn bytes(data: &Data, width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 232.0);
    let pane = canvas.pane([30.0, 10.0, 44.0, 64.0]);
    let title = "Bytes on the wire, by version".to_owned();
    let made = made(data);
    let (up, down) = sums(&made);
    let most = made.iter().map(|row| row.bytes_up.max(row.bytes_down)).max().unwrap_or(0);
    if most == 0 {
        let why = "No bytes were counted.";
        canvas.empty(pane, why);
        return canvas.plot("bytes", title, why.to_owned());
    }
    let label = |value: f64| text::tick(&text::bytes(round(value)));
    let (x, y) = axes(&mut canvas, pane, &made, float(most), label);
    canvas.rect("p-fill0", [pane.left, 8.0, 10.0, 10.0], "");
    canvas.text("p-mark", "start", pane.left + 15.0, 17.0, "updates received");
    canvas.rect("p-soft1", [pane.left + 126.0, 8.5, 9.0, 9.0], "");
    canvas.text("p-mark", "start", pane.left + 140.0, 17.0, "versions sent");
    let bar = bar(pane, &made);
    for row in made {
        let left = x.at(float(row.number)) - bar / 2.0;
        let tip =
            |what: &str, bytes| format!("version {}: {what} {}", row.number, text::bytes(bytes));
        let mut side = |class, left, bytes: u64, what| {
            let top = y.at(float(bytes));
            canvas.rect(class, [left, top, bar / 2.0 - 0.4, pane.bottom - top], &tip(what, bytes));
        };
        side("p-fill0", left, row.bytes_up, "received");
        side("p-soft1", left + bar / 2.0, row.bytes_down, "sent");
    }
    let desc = format!(
        "Two bars for each version: updates received for it, {} in all, and bytes of its parent sent to nodes, {} in all.",
        text::bytes(up),
        text::bytes(down)
    );
    canvas.plot("bytes", title, desc)
}

/// A node's mean energy.
#[must_use]
pub(super) fn energy(data: &Data, width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 232.0);
    let pane = canvas.pane([30.0, 10.0, 44.0, 64.0]);
    let title = "Estimated energy of a node’s learning, by version".to_owned();
    let made = made(data);
    let most = made.iter().map(|row| row.energy_nj).fold(0.0, f64::max);
    if most <= 0.0 {
        let why = "No synaptic operations were counted.";
        canvas.empty(pane, why);
        return canvas.plot("energy", title, why.to_owned());
    }
    let (x, y) = axes(&mut canvas, pane, &made, most, |value| text::tick(&text::energy(value)));
    canvas.text("p-mark", "start", pane.left, 17.0, "mean of a node, 5.3 pJ a synaptic operation");
    let bar = bar(pane, &made);
    let mut whole = 0.0;
    for row in made {
        let (left, top) = (x.at(float(row.number)) - bar / 2.0, y.at(row.energy_nj));
        let tip = format!("version {}: {}", row.number, text::energy(row.energy_nj));
        canvas.rect("p-fill2", [left, top, bar - 0.4, pane.bottom - top], &tip);
        whole += row.energy_nj * float(row.updates);
    }
    let desc = format!(
        "A bar for each version: what a node’s learning for it took, at most {}; {} for all nodes together.",
        text::energy(most),
        text::energy(whole)
    );
    canvas.plot("energy", title, desc)
}

/// The versions that updates made.
fn made(data: &Data) -> Vec<&Version> {
    data.versions.iter().filter(|version| version.updates > 0).collect()
}

fn sums(made: &[&Version]) -> (u64, u64) {
    (made.iter().map(|row| row.bytes_up).sum(), made.iter().map(|row| row.bytes_down).sum())
}

fn axes(
    canvas: &mut Canvas,
    pane: Pane,
    made: &[&Version],
    most: f64,
    label: impl Fn(f64) -> String,
) -> (Scale, Scale) {
    let first = made.first().map_or(0.0, |row| float(row.number));
    let last = made.last().map_or(0.0, |row| float(row.number));
    let edge = bar(pane, made) / 2.0 + 2.0;
    let x = Scale::new([first, last], [pane.left + edge, pane.right - edge]);
    let top = ceiling(most);
    let y = Scale::new([0.0, top], [pane.bottom, pane.top]);
    canvas.y_axis(pane, y, &ticks(0.0, top, 4, false), label);
    let marks = ticks(first, last, 6, true);
    canvas.x_axis(pane, x, &marks, "version", |value| format!("{value:.0}"));
    (x, y)
}

/// How wide a bar is.
fn bar(pane: Pane, made: &[&Version]) -> f64 {
    let first = made.first().map_or(0, |row| row.number);
    let last = made.last().map_or(0, |row| row.number);
    ((pane.right - pane.left) / float(last - first + 1) * 0.72).clamp(0.8, 28.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a tick of an axis that begins at 0"
)]
fn round(value: f64) -> u64 {
    value.round() as u64
}
