//! A sweep's runs by one parameter: accuracy against value.

use super::axis::{Scale, ticks};
use super::{Canvas, Plot, Width, len};
use crate::report::compare::Point;
use crate::report::text::percent;

/// Draws it.
#[must_use]
pub(in crate::report) fn scatter(parameter: &str, points: &[Point], width: Width) -> Plot {
    let mut canvas = Canvas::new(width, 232.0);
    let pane = canvas.pane([14.0, 16.0, 44.0, 52.0]);
    let title = format!("Accuracy by {parameter}");
    if points.is_empty() {
        canvas.empty(pane, "No run has ended well.");
        return canvas.plot("scatter", title, "No run has ended well.".to_owned());
    }
    // Numbers stand where they belong, words beside each other.
    let numbers = points.iter().all(|point| point.at.is_some());
    let mut values: Vec<(f64, &str)> = Vec::new();
    for point in points {
        if !values.iter().any(|(_, name)| *name == point.name) {
            values.push((point.at.unwrap_or(len(values.len())), &point.name));
        }
    }
    if !numbers {
        values =
            values.into_iter().enumerate().map(|(index, (_, name))| (len(index), name)).collect();
    }
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let place =
        |name: &str| values.iter().find(|(_, other)| *other == name).map_or(0.0, |(at, _)| *at);
    let ends = [values.first(), values.last()].map(|end| end.map_or(0.0, |(at, _)| *at));
    let x = Scale::new(ends, [pane.left + 18.0, pane.right - 18.0]);
    let lowest = points.iter().map(|point| point.accuracy).fold(0.9, f64::min);
    let floor = (lowest * 10.0 + 1e-9).floor() / 10.0;
    let y = Scale::new([floor, 1.0], [pane.bottom, pane.top]);
    canvas.y_axis(pane, y, &ticks(floor, 1.0, 5, false), |value| format!("{:.0} %", value * 100.0));
    canvas.line("p-axis", [pane.left, pane.bottom, pane.right, pane.bottom]);
    let most = if width == Width::Narrow { 5 } else { 9 };
    for (at, name) in values.iter().step_by(values.len().div_ceil(most)) {
        let short: String = name.chars().take(10).collect();
        canvas.text("p-tick", "middle", x.at(*at), pane.bottom + 18.0, &short);
    }
    let mut means = Vec::new();
    for (at, name) in &values {
        let own: Vec<f64> =
            points.iter().filter(|point| point.name == *name).map(|point| point.accuracy).collect();
        means.push((x.at(*at), y.at(own.iter().sum::<f64>() / len(own.len()))));
    }
    canvas.polyline("p-line1", means.into_iter());
    for point in points {
        let tip = format!("{parameter} = {}: {}", point.name, percent(point.accuracy));
        canvas.dot("p-soft0", [x.at(place(&point.name)), y.at(point.accuracy), 4.0], &tip);
    }
    let best = points.iter().max_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
    let best = best.map_or_else(String::new, |best| {
        format!("the best, {}, has {}", percent(best.accuracy), best.name)
    });
    let desc =
        format!("{} runs with {} values of {parameter}: {best}.", points.len(), values.len());
    canvas.plot("scatter", title, desc)
}
