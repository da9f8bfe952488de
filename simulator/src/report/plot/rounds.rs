//! The rounds in time: a bar per attempt, from its opening to its end.

use super::axis::{Scale, ticks};
use super::{Canvas, Plot, Width, float, len};
use crate::report::data::Data;
use crate::report::text::{count, seconds, tick};

/// Room that a round's number takes.
const NUMBER_HEIGHT: f64 = 13.0;

/// Draws it.
#[must_use]
pub(super) fn draw(data: &Data, width: Width) -> Plot {
    let narrow = width == Width::Narrow;
    let title = "Rounds, in time".to_owned();
    let rows = len(data.rounds.len());
    let height = (rows * 9.0).clamp(96.0, 320.0) + 74.0;
    let mut canvas = Canvas::new(width, height);
    let pane = canvas.pane([30.0, 16.0, 44.0, 48.0]);
    let end = |round: &crate::report::data::Round| round.closed_ms.unwrap_or(round.opened_ms);
    let Some(last) = data.rounds.iter().map(end).max() else {
        canvas.empty(pane, "No round was opened.");
        return canvas.plot("rounds", title, "No round was opened.".to_owned());
    };
    let first = data.rounds.iter().map(|round| round.opened_ms).min().unwrap_or(0);
    let span = float(last.saturating_sub(first).max(1)) / 1000.0;
    let x = Scale::new([0.0, span], [pane.left, pane.right]);
    let y = Scale::new([0.0, rows], [pane.top, pane.bottom]);
    let time = if data.virtual_s.is_some() { "time in the world" } else { "time" };
    canvas.x_axis(pane, x, &ticks(0.0, span, if narrow { 4 } else { 10 }, false), time, |value| {
        tick(&seconds(value))
    });
    let mut legend = pane.left;
    for (class, name, states) in [
        ("p-fill0", "published", &["published"][..]),
        ("p-soft1", "abandoned", &["abandoned"]),
        ("p-open", "open", &["open", "closing"]),
    ] {
        if data.rounds.iter().any(|round| states.contains(&round.state.as_str())) {
            canvas.rect(class, [legend, 8.0, 10.0, 10.0], "");
            canvas.text("p-mark", "start", legend + 15.0, 17.0, name);
            legend += 92.0;
        }
    }
    let row = y.at(1.0) - y.at(0.0);
    // Numbers stand apart from each other.
    let every = (NUMBER_HEIGHT / row).ceil();
    let bar = row.min(12.0);
    for (index, round) in data.rounds.iter().enumerate() {
        let place = len(index);
        let from = x.at(float(round.opened_ms.saturating_sub(first)) / 1000.0);
        let to = x.at(float(end(round).saturating_sub(first)) / 1000.0);
        let (class, ended) = match round.state.as_str() {
            "published" => ("p-fill0", "published"),
            "abandoned" => ("p-soft1", "abandoned"),
            _ => ("p-open", "not ended"),
        };
        let took = round.closed_ms.map_or_else(String::new, |closed| {
            let took = closed.saturating_sub(round.opened_ms);
            format!(" after {}", seconds(float(took) / 1000.0))
        });
        let tip = format!(
            "round {}, attempt {}: {ended}{took}, {} of {} updates",
            round.number, round.attempt, round.updates, round.goal
        );
        let top = y.at(place) + (row - bar) / 2.0;
        let gap = if bar > 3.0 { 1.0 } else { 0.0 };
        canvas.rect(class, [from, top + gap, (to - from).max(1.5), bar - 2.0 * gap], &tip);
        if len(index) % every == 0.0 {
            canvas.text(
                "p-tick",
                "end",
                pane.left - 8.0,
                top + bar / 2.0 + 4.0,
                &round.number.to_string(),
            );
        }
    }
    canvas.text("p-name", "end", pane.left - 8.0, 17.0, "round");
    let published = data.rounds.iter().filter(|round| round.state == "published").count();
    let late = data.rounds.iter().filter(|round| round.at_deadline).count();
    let refused: u64 = data.rounds.iter().flat_map(|round| round.refused.values()).sum();
    let desc = format!(
        "{} attempts in {}: {published} published, {late} ended by their deadline, {} updates refused.",
        data.rounds.len(),
        seconds(span),
        count(refused)
    );
    canvas.plot("rounds", title, desc)
}
