//! One sample: what goes in, who fires, and what the outputs make of it. Both plots have the same time axis.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::axis::{Scale, ticks};
use super::{Canvas, Pane, Plot, Width, len};
use crate::report::data::{Data, Trace};
use crate::report::text::count;

/// Marks up to which every one is drawn; of more, one of a few ticks stands for those beside it.
const MARKS_MAX: usize = 12_000;
/// Points of a potential; of more, the lowest and the highest of a few ticks are drawn.
const POINTS_MAX: usize = 1200;
const LEFT: f64 = 64.0;

/// Input events and spikes.
#[must_use]
pub(super) fn raster(data: &Data, width: Width) -> Plot {
    let narrow = width == Width::Narrow;
    let mut canvas = Canvas::new(width, if narrow { 300.0 } else { 380.0 });
    let title = "Spikes of one sample".to_owned();
    let whole = canvas.pane([24.0, right(width), 44.0, LEFT]);
    let Some(trace) = &data.trace else {
        canvas.empty(whole, "No sample was traced.");
        return canvas.plot("raster", title, "No sample was traced.".to_owned());
    };
    let rows = [f64::from(trace.inputs.max(1)), f64::from(trace.recurrent.max(1))];
    let room = whole.bottom - whole.top - 26.0;
    let share = (rows[0] / (rows[0] + rows[1])).clamp(0.25, 0.6);
    let inputs = Pane { bottom: whole.top + room * share, ..whole };
    let neurons = Pane { top: inputs.bottom + 26.0, ..whole };
    let x = time(data, &mut canvas, whole, trace, width);
    for (pane, marks, rows, class, name) in [
        (inputs, &trace.events, rows[0], "p-line1", "input channels"),
        (neurons, &trace.spikes, rows[1], "p-line0", "recurrent neurons"),
    ] {
        canvas.rect(
            "p-void",
            [pane.left, pane.top, pane.right - pane.left, pane.bottom - pane.top],
            "",
        );
        windows(&mut canvas, pane, x, trace);
        canvas.text("p-mark", "start", pane.left, pane.top - 7.0, name);
        let y = Scale::new([0.0, rows], [pane.top, pane.bottom]);
        for tick in [0.0, rows - 1.0] {
            canvas.text(
                "p-tick",
                "end",
                pane.left - 8.0,
                y.at(tick + 0.5) + 4.0,
                &format!("{tick:.0}"),
            );
        }
        let mark = (y.at(1.0) - y.at(0.0)).max(1.5);
        let coarse = u32::try_from(marks.len().div_ceil(MARKS_MAX).max(1)).unwrap_or(u32::MAX);
        let drawn: BTreeSet<(u32, u32)> =
            marks.iter().map(|&[tick, row]| (row, tick / coarse * coarse)).collect();
        let mut d = String::new();
        for (row, tick) in drawn {
            let (x, y) = (x.at(f64::from(tick)), y.at(f64::from(row)));
            write!(d, "M{x:.1} {y:.1}v{mark:.1}").expect("writing to a string cannot fail");
        }
        canvas.path(&format!("{class} p-thin"), &d);
    }
    let desc = format!(
        "Version {} and a sample of class {}: {} input events on {} channels above, {} spikes of {} recurrent neurons below, over {} ticks.",
        trace.version,
        trace.label,
        count(u64::try_from(trace.events.len()).unwrap_or(u64::MAX)),
        trace.inputs,
        count(u64::try_from(trace.spikes.len()).unwrap_or(u64::MAX)),
        trace.recurrent,
        trace.ticks
    );
    canvas.plot("raster", title, desc)
}

/// Output potentials.
#[must_use]
pub(super) fn potentials(data: &Data, width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 250.0);
    let title = "Output potentials of the same sample".to_owned();
    let pane = canvas.pane([24.0, right(width), 44.0, LEFT]);
    let values = || data.trace.iter().flat_map(|trace| trace.potentials.iter().flatten().copied());
    let (Some(trace), Some(low), Some(high)) = (&data.trace, values().min(), values().max()) else {
        canvas.empty(pane, "No sample was traced.");
        return canvas.plot("potentials", title, "No sample was traced.".to_owned());
    };
    let (low, high) = (f64::from(low.min(0)), f64::from(high.max(1)));
    let x = time(data, &mut canvas, pane, trace, width);
    let y = Scale::new([low, high], [pane.bottom, pane.top]);
    windows(&mut canvas, pane, x, trace);
    canvas.y_axis(pane, y, &ticks(low, high, 4, true), |value| format!("{value:.0}"));
    let mut labels: Vec<(f64, String, String)> = Vec::new();
    for (class, potentials) in trace.potentials.iter().enumerate() {
        let line = if potentials.len() > POINTS_MAX {
            envelope(potentials)
        } else {
            potentials.iter().copied().enumerate().collect()
        };
        let points =
            line.into_iter().map(|(tick, value)| (x.at(len(tick)), y.at(f64::from(value))));
        let own = class == usize::from(trace.label);
        let (stroke, text) = match (own, trace.potentials.len() <= 4) {
            (true, _) => ("p-line0".to_owned(), "p-text0".to_owned()),
            (false, true) => {
                let colour = 1 + class % 3;
                (format!("p-line{colour}"), format!("p-text{colour}"))
            }
            (false, false) => ("p-faint".to_owned(), "p-small".to_owned()),
        };
        canvas.polyline(&stroke, points);
        if let Some(&last) = potentials.last() {
            let suffix = if own { " (its class)" } else { "" };
            labels.push((y.at(f64::from(last)), text, format!("{class}{suffix}")));
        }
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::MIN;
    for (at, class, text) in labels {
        let at = at.max(free);
        free = at + 13.0;
        if width == Width::Narrow {
            let class_only = text.split(' ').next().unwrap_or_default();
            canvas.text(&class, "start", pane.right + 3.0, at + 4.0, class_only);
        } else {
            canvas.text(&class, "start", pane.right + 6.0, at + 4.0, &text);
        }
    }
    let desc = format!(
        "A line for each of {} outputs over {} ticks, from {low:.0} to {high:.0}. The sample is of class {}, the network says {}.",
        trace.outputs, trace.ticks, trace.label, trace.inferred
    );
    canvas.plot("potentials", title, desc)
}

/// Room for labels at the right.
fn right(width: Width) -> f64 {
    if width == Width::Narrow { 24.0 } else { 84.0 }
}

fn time(data: &Data, canvas: &mut Canvas, pane: Pane, trace: &Trace, width: Width) -> Scale {
    let x = Scale::new([0.0, f64::from(trace.ticks.max(1))], [pane.left, pane.right]);
    // Labels in milliseconds where a step has a length.
    let ms = if data.step_us == 0 { 1.0 } else { super::float(data.step_us) / 1000.0 };
    let name = if data.step_us == 0 { "ticks" } else { "milliseconds" };
    let most = if width == Width::Narrow { 4 } else { 10 };
    let marks: Vec<f64> = ticks(0.0, f64::from(trace.ticks) * ms, most, false)
        .into_iter()
        .map(|mark| mark / ms)
        .collect();
    canvas.x_axis(pane, x, &marks, name, |value| format!("{:.0}", value * ms));
    x
}

/// Shades the ticks in which the chip votes.
fn windows(canvas: &mut Canvas, pane: Pane, x: Scale, trace: &Trace) {
    let [from, to] = trace.infer_acc;
    if from >= to {
        return;
    }
    let (left, right) = (x.at(f64::from(from)), x.at(f64::from(to.min(trace.ticks))));
    canvas.rect(
        "p-soft3",
        [left, pane.top, right - left, pane.bottom - pane.top],
        "the chip votes",
    );
    if pane.bottom - pane.top > 120.0 {
        canvas.text("p-text3", "end", left - 5.0, pane.top + 14.0, "votes");
    }
}

/// The lowest and the highest value of every few ticks, in the order in which they come.
fn envelope(values: &[i16]) -> Vec<(usize, i16)> {
    let few = values.len().div_ceil(POINTS_MAX / 2);
    let mut points = Vec::new();
    for (index, part) in values.chunks(few).enumerate() {
        let ticks = || part.iter().copied().enumerate();
        let extremes =
            [ticks().min_by_key(|&(_, value)| value), ticks().max_by_key(|&(_, value)| value)];
        let mut extremes: Vec<_> = extremes.into_iter().flatten().collect();
        extremes.sort_unstable();
        extremes.dedup();
        points.extend(extremes.into_iter().map(|(tick, value)| (index * few + tick, value)));
    }
    points
}
