//! Charts, drawn here: lines stretched over their box, words beside them as text, so that both read well at any width.

use maud::{Markup, PreEscaped, html};

/// The width and the height of a chart's own coordinates.
const WIDTH: u64 = 1_000;
const HEIGHT: u64 = 200;
/// Most points of a line: beyond that there is more than pixels.
pub(super) const POINTS_MAX: usize = 500;

/// One line: shares in permille by position, and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What it is.
    pub(super) name: &'static str,
    /// How it looks: `main` or `side`.
    pub(super) class: &'static str,
    /// Where it is: place and permille, by place.
    pub(super) points: Vec<(u64, u64)>,
}

/// Shares of a whole over places from `first` to `last`.
pub(super) fn shares(
    id: &str,
    title: &str,
    unit: &str,
    lines: &[Line],
    (first, last): (u64, u64),
) -> Markup {
    let span = last.saturating_sub(first).max(1);
    let x = |place: u64| (place.saturating_sub(first)) * WIDTH / span;
    let y = |permille: u64| HEIGHT - permille.min(1_000) * HEIGHT / 1_000;
    let described = describe(lines, unit);
    html! {
        figure.chart {
            figcaption {
                span id=(id) { (title) }
                span.legend {
                    @for line in lines {
                        span class=(format!("key {}", line.class)) { (line.name) }
                    }
                }
            }
            div.plot {
                ol.y aria-hidden="true" { li { "100\u{202f}%" } li { "50\u{202f}%" } li { "0\u{202f}%" } }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(described) {
                    @for part in [0, 1, 2, 3, 4] {
                        line.grid x1="0" x2=(WIDTH) y1=(part * HEIGHT / 4) y2=(part * HEIGHT / 4) {}
                    }
                    @for line in lines.iter().filter(|line| line.class == "main") {
                        @if let [first, .., last] = line.points.as_slice() {
                            polygon.area points=(joined([(x(first.0), HEIGHT)].into_iter()
                                .chain(line.points.iter().map(|one| (x(one.0), y(one.1))))
                                .chain([(x(last.0), HEIGHT)]))) {}
                        }
                    }
                    @for line in lines {
                        @match line.points.as_slice() {
                            [] => {}
                            [(place, share)] => line class=(format!("line {}", line.class)) x1=(x(*place).saturating_sub(6)) x2=(x(*place) + 6) y1=(y(*share)) y2=(y(*share)) {}
                            points => polyline class=(format!("line {}", line.class)) points=(joined(points.iter().map(|one| (x(one.0), y(one.1))))) {}
                        }
                    }
                }
                ol.x aria-hidden="true" { li { (unit) " " (first) } li { (last) } }
            }
        }
    }
}

fn joined(points: impl Iterator<Item = (u64, u64)>) -> PreEscaped<String> {
    let mut text = String::new();
    for (x, y) in points {
        text.push_str(&format!("{x},{y} "));
    }
    PreEscaped(text)
}

fn describe(lines: &[Line], unit: &str) -> String {
    let mut told = Vec::new();
    for line in lines {
        let (Some(first), Some(last)) = (line.points.first(), line.points.last()) else { continue };
        let best = line.points.iter().map(|one| one.1).max().unwrap_or_default();
        let share = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        told.push(format!(
            "{}: from {} at {unit} {} to {} at {unit} {}, at best {}",
            line.name,
            share(first.1),
            first.0,
            share(last.1),
            last.0,
            share(best)
        ));
    }
    if told.is_empty() { "No values yet".to_owned() } else { told.join("; ") }
}

/// Points that are not more than can be seen: of each stretch the last.
pub(super) fn thinned<T: Copy>(points: &[T]) -> Vec<T> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let mut thin: Vec<T> = points.iter().copied().skip(step - 1).step_by(step).collect();
    if let Some(last) = points.last().filter(|_| !points.len().is_multiple_of(step)) {
        thin.push(*last);
    }
    thin
}

/// A bar of a strip.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// How full, in permille.
    pub(super) share: u64,
    /// `published`, `abandoned` or `open`: abandoned ones are crossed, open ones are an outline.
    pub(super) class: &'static str,
    /// What people see who point at it.
    pub(super) title: String,
}

/// Bars beside each other, the newest at the right.
pub(super) fn strip(bars: &[Bar], label: &str) -> Markup {
    const STEP: usize = 10;
    const BARS_MIN: usize = 60;
    let width = bars.len().max(BARS_MIN) * STEP;
    html! {
        svg.strip viewBox=(format!("0 0 {width} 100")) preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (at, bar) in bars.iter().enumerate() {
                @let (x, height) = (at * STEP, bar.share.clamp(40, 1_000) / 10);
                g class=(bar.class) {
                    title { (bar.title) }
                    rect.back x=(x) y="0" width="9" height="100" {}
                    rect.fill x=(x) y=(100 - height) width="9" height=(height) {}
                    @if bar.class == "abandoned" { path.cross d=(format!("M{} 8L{} 30M{} 8L{} 30", x + 1, x + 8, x + 8, x + 1)) {} }
                }
            }
        }
    }
}

/// A histogram over `from`, in steps of `step`.
pub(super) fn histogram(title: &str, from: i16, step: u16, counts: &[u64]) -> Markup {
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let whole: u64 = counts.iter().sum();
    let bins = u64::try_from(counts.len()).unwrap_or(1).max(1);
    let width = WIDTH / bins;
    let end = i64::from(from) + i64::from(step) * i64::try_from(bins).unwrap_or_default();
    // The square root, so that a few weights are seen beside many.
    let height = |count: u64| (count.saturating_mul(40_000) / most).isqrt();
    let at =
        |bin: usize| i64::from(from) + i64::from(step) * i64::try_from(bin).unwrap_or_default();
    html! {
        figure.chart.small {
            figcaption { (title) }
            div.plot.bare {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                    aria-label=(format!("{title}: {whole} weights from {from} to {end}, most of them around {}", peak(counts, at))) {
                    line.grid x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
                    @for (bin, &count) in counts.iter().enumerate() {
                        @let x = width * u64::try_from(bin).unwrap_or_default();
                        rect.bin x=(x + 2) width=(width - 4) y=(HEIGHT - height(count)) height=(height(count)) {
                            title { (at(bin)) " to " (at(bin) + i64::from(step) - 1) ": " (count) }
                        }
                    }
                }
                ol.x aria-hidden="true" { li { (from) } li { (end - 1) } }
            }
        }
    }
}

fn peak(counts: &[u64], at: impl Fn(usize) -> i64) -> i64 {
    counts.iter().enumerate().max_by_key(|one| one.1).map_or(0, |one| at(one.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_more_points_than_can_be_seen_and_ends_where_it_ends() {
        let check = |number: u64| {
            let points: Vec<u64> = (1..=number).collect();
            let thin = thinned(&points);
            assert!(thin.len() <= POINTS_MAX + 1 && thin.last() == points.last(), "{number}");
            assert!(thin.is_sorted());
        };
        for number in [0, 1, 2, 499, 500, 501, 1_000, 1_001, 99_999] {
            check(number);
        }
        assert_eq!(thinned(&[1, 2, 3]), [1, 2, 3]);
    }

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let line =
            Line { name: "held out", class: "main", points: vec![(1, 500), (9, 900), (10, 875)] };
        let chart = shares("c", "Accuracy", "round", &[line], (1, 10)).into_string();
        assert!(
            chart
                .contains("held out: from 50.0 % at round 1 to 87.5 % at round 10, at best 90.0 %"),
            "{chart}"
        );
        assert!(chart.contains("points=\"0,100 888,20 1000,25 \""), "{chart}");
        let empty = shares("c", "Accuracy", "round", &[], (1, 1)).into_string();
        assert!(empty.contains("No values yet"));
    }
}
