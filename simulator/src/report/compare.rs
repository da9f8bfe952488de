//! Many runs side by side: the page and the table of a sweep.

use super::page::{document, put_rows};
use super::plot::{self, Width};
use super::table::csv_lines;
use super::text::escape;

/// A run in the plot of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// The parameter's value where it is a number.
    pub(crate) at: Option<f64>,
    /// The parameter's value as people write it.
    pub(crate) name: String,
    /// Accuracy of the run's final version, 0 to 1.
    pub(crate) accuracy: f64,
}

/// Lines of cells as CSV.
#[must_use]
pub(crate) fn csv(lines: &[Vec<String>]) -> String {
    csv_lines(lines)
}

/// The page.
#[must_use]
pub(crate) fn html(
    title: &str,
    lede: &str,
    plots: &[(&str, Vec<Point>)],
    heads: &[String],
    rows: &[Vec<String>],
    failures: &[String],
) -> String {
    let mut body = format!(
        "<header><p class=\"kicker\">Muster · sweep</p><h1>{}</h1><p class=\"lede\">{}</p></header><main>",
        escape(title),
        escape(lede)
    );
    body += "<section id=\"parameters\" aria-labelledby=\"p-h\"><h2 id=\"p-h\">What each parameter does</h2><p>A dot for each run; the line goes through the means.</p><div class=\"pair\">";
    for (index, (name, points)) in plots.iter().enumerate() {
        let (wide, narrow) =
            (plot::scatter(name, points, Width::Half), plot::scatter(name, points, Width::Narrow));
        body += &format!(
            "<figure><figcaption>{}</figcaption>{}{}</figure>",
            escape(name),
            wide.inline(&format!("wide n{index}")),
            narrow.inline(&format!("narrow n{index}"))
        );
    }
    body += "</div></section><section id=\"runs\" aria-labelledby=\"r-h\"><h2 id=\"r-h\">Combinations, the best first</h2>";
    put_rows(&mut body, heads, rows, "Accuracy of the final version, over seeds");
    body += "</section>";
    if !failures.is_empty() {
        body +=
            "<section id=\"failures\" aria-labelledby=\"f-h\"><h2 id=\"f-h\">What failed</h2><pre>";
        body += &escape(&failures.join("\n"));
        body += "</pre></section>";
    }
    body += "</main><footer><p>Beside this page: sweep.csv, sweep.json, and in runs/ the report of each run.</p></footer>\n";
    document(title, concat!("muster ", env!("CARGO_PKG_VERSION")), &body)
}
