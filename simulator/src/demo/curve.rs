//! The learning curve as SVG: accuracy on unseen samples by version.

use std::fmt::Write as _;

use super::report::Report;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 56.0;

/// Draws the curve. Readable on light and dark grounds, and without colour.
#[must_use]
pub(super) fn svg(report: &Report) -> String {
    let mut out = String::new();
    draw(report, &mut out).expect("writing to a string cannot fail");
    out
}

#[expect(clippy::cast_precision_loss, reason = "coordinates of a plot")]
fn draw(report: &Report, out: &mut String) -> std::fmt::Result {
    let first = report.versions.first().map_or(1, |row| row.number);
    let last = report.versions.last().map_or(1, |row| row.number);
    let low = report.versions.iter().map(|row| row.accuracy).fold(0.5, f64::min);
    let floor = (low * 10.0).floor() / 10.0;
    let x = |number: u64| {
        let span = (last - first).max(1) as f64;
        LEFT + (number - first) as f64 / span * (WIDTH - LEFT - RIGHT)
    };
    let y = |accuracy: f64| {
        HEIGHT - BOTTOM - (accuracy - floor) / (1.0 - floor) * (HEIGHT - TOP - BOTTOM)
    };

    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" role="img">"#
    )?;
    writeln!(
        out,
        "<title>{}: accuracy on {} unseen samples by version, {:.1} % at the end</title>",
        report.task,
        report.test_samples,
        report.final_accuracy * 100.0
    )?;
    writeln!(out, r##"<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fcfcfb"/>"##)?;
    writeln!(
        out,
        r##"<text x="{LEFT}" y="28" font-size="17" font-weight="600" fill="#1c1b1a">{}: {} nodes learn together</text>"##,
        report.task, report.nodes
    )?;
    writeln!(
        out,
        r##"<text x="{LEFT}" y="46" fill="#6b6a67">accuracy on {} samples that no node trained on; seed {}</text>"##,
        report.test_samples, report.seed
    )?;
    let mut level = floor;
    while level < 1.0 + 1e-9 {
        let at = y(level);
        writeln!(
            out,
            r##"<line x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}" stroke="#e4e3df"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#6b6a67">{:.0} %</text>"##,
            WIDTH - RIGHT,
            LEFT - 10.0,
            at + 4.5,
            level * 100.0
        )?;
        level += 0.1;
    }
    let step = ((last - first) / 8).max(1);
    for number in (first..=last).filter(|number| (number - first).is_multiple_of(step)) {
        writeln!(
            out,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#6b6a67">{number}</text>"##,
            x(number),
            HEIGHT - BOTTOM + 20.0
        )?;
    }
    writeln!(
        out,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#6b6a67">version</text>"##,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 14.0
    )?;
    let points: Vec<_> = report
        .versions
        .iter()
        .map(|row| format!("{:.1},{:.1}", x(row.number), y(row.accuracy)))
        .collect();
    writeln!(
        out,
        r##"<polyline points="{}" fill="none" stroke="#0b6e5f" stroke-width="2.5" stroke-linejoin="round"/>"##,
        points.join(" ")
    )?;
    for row in &report.versions {
        writeln!(
            out,
            r##"<circle cx="{:.1}" cy="{:.1}" r="3" fill="#0b6e5f"><title>version {}: {:.1} %</title></circle>"##,
            x(row.number),
            y(row.accuracy),
            row.number,
            row.accuracy * 100.0
        )?;
    }
    if let Some(row) = report.versions.last() {
        writeln!(
            out,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="end" font-weight="600" fill="#0b6e5f">{:.1} %</text>"##,
            x(row.number),
            y(row.accuracy) + 24.0,
            row.accuracy * 100.0
        )?;
    }
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn every_version_is_a_point_inside_the_frame() {
        let text = svg(&report());
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(text.contains(r#"cx="64.0""#) && text.contains(r#"cx="732.0""#), "{text}");
        assert!(text.contains("version 3: 97.0 %"), "{text}");
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn one_version_or_none_is_drawn_too() {
        let mut short = report();
        short.versions.truncate(1);
        assert!(svg(&short).contains("<circle"));
        short.versions.clear();
        assert!(svg(&short).ends_with("</svg>\n"));
    }
}
