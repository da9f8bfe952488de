//! The learning curve: accuracy on unseen samples by version, beside what the same data give without federation.

use super::axis::{Scale, ticks};
use super::{Canvas, Plot, Width, float, len};
use crate::report::data::Data;
use crate::report::text::{count, percent};

/// Versions up to which each has a dot.
const DOTS_MAX: usize = 80;

/// Draws it.
#[must_use]
pub(super) fn draw(data: &Data, width: Width) -> Plot {
    let narrow = width == Width::Narrow;
    let mut canvas = Canvas::new(width, if narrow { 260.0 } else { 360.0 });
    let pane = canvas.pane([16.0, if narrow { 16.0 } else { 136.0 }, 44.0, 52.0]);
    let points: Vec<(u64, f64)> = data
        .versions
        .iter()
        .filter_map(|version| Some((version.number, version.accuracy?)))
        .collect();
    let title = "Accuracy on unseen samples, by version".to_owned();
    let (Some(&(first, start)), Some(&(last, end))) = (points.first(), points.last()) else {
        canvas.empty(pane, "No version was evaluated.");
        return canvas.plot("curve", title, "No version was evaluated.".to_owned());
    };
    let baselines = data.baselines.unwrap_or_default();
    let lines = [
        ("centralised", baselines.centralised, "p-line1 p-dash", "p-text1"),
        ("local only", baselines.local_only, "p-line2 p-dot", "p-text2"),
    ];
    let values = points.iter().map(|&(_, value)| value);
    let lowest = values.chain(lines.iter().filter_map(|line| line.1)).fold(0.5, f64::min);
    let floor = (lowest * 10.0 + 1e-9).floor() / 10.0;
    let x = Scale::new([float(first), float(last)], [pane.left + 10.0, pane.right - 10.0]);
    let y = Scale::new([floor, 1.0], [pane.bottom, pane.top]);

    canvas.y_axis(pane, y, &ticks(floor, 1.0, 6, false), |value| format!("{:.0} %", value * 100.0));
    let marks = ticks(float(first), float(last), if narrow { 5 } else { 12 }, true);
    canvas.x_axis(pane, x, &marks, "version", |value| format!("{value:.0}"));

    // Labels at the right keep 15 pixels apart.
    let mut labels = vec![(y.at(end), "p-value", format!("fleet {}", percent(end)))];
    for (name, value, line, text) in lines {
        let Some(value) = value else { continue };
        let at = y.at(value);
        canvas.line(line, [pane.left, at, pane.right, at]);
        labels.push((at, text, format!("{name} {}", percent(value))));
    }
    let place = |number: u64, value: f64| (x.at(float(number)), y.at(value));
    canvas.polyline("p-line0", points.iter().map(|&(number, value)| place(number, value)));
    if points.len() <= DOTS_MAX {
        for &(number, value) in &points {
            let (x, y) = place(number, value);
            canvas.dot("p-fill0", [x, y, 3.5], &format!("version {number}: {}", percent(value)));
        }
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Where there is no room beside the lines they stand in the corner that a curve which rises leaves free.
    let mut free = if narrow { pane.bottom - 15.0 * len(labels.len()) } else { f64::MIN };
    for (at, class, text) in labels {
        let at = if narrow { free } else { at.max(free) };
        free = at + 15.0;
        if narrow {
            canvas.text(class, "end", pane.right - 4.0, at + 4.0, &text);
        } else {
            canvas.text(class, "start", pane.right + 6.0, at + 4.0, &text);
        }
    }
    let mut desc = format!(
        "A line from {} at version {first} to {} at version {last}, on {} samples that no node trained on.",
        percent(start),
        percent(end),
        count(data.test_samples),
    );
    for (name, value, ..) in lines {
        if let Some(value) = value {
            desc += &format!(" The {name} baseline is a level line at {}.", percent(value));
        }
    }
    canvas.plot("curve", title, desc)
}
