//! The report as one HTML page that needs nothing else: no network, no other file.
//!
//! The page states its own Content-Security-Policy: nothing is loaded, and of styles and scripts only the two blocks in
//! it, by their digests, are used. All text is escaped where it is put in. Every plot is there twice, for a wide page
//! and for a narrow one, with its numbers in a table below.

mod parts;
mod sections;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::Digest;

use super::data::Data;
use super::plot;
use super::text::{escape, percent};

pub(super) use parts::put_rows;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a report.
#[must_use]
pub(super) fn html(data: &Data) -> String {
    let title = format!("{}: {}", subject(data), outcome(data));
    document(&title, &data.made_by, &sections::all(data))
}

/// A page with this title and body, both styles and the script in it.
#[must_use]
pub(super) fn document(title: &str, made_by: &str, body: &str) -> String {
    let style = format!("{STYLE}{}", plot::rules());
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        source(&style),
        source(SCRIPT)
    );
    let (title, made_by) = (escape(title), escape(made_by));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="{made_by}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}<script>{SCRIPT}</script>
</body>
</html>
"#
    )
}

/// A block's source expression in a policy.
fn source(text: &str) -> String {
    let Digest(digest) = Digest::of(text.as_bytes());
    format!("sha256-{}", STANDARD.encode(digest))
}

/// What learnt what.
fn subject(data: &Data) -> String {
    let task = if data.task.is_empty() { "A run".to_owned() } else { capitalised(&data.task) };
    let nodes = if data.nodes == 1 {
        "1 node".to_owned()
    } else {
        format!("{} nodes", super::text::count(data.nodes))
    };
    format!("{task}, {nodes}")
}

/// Text with a capital at its begin.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What came of it.
fn outcome(data: &Data) -> String {
    if data.versions.iter().all(|version| version.accuracy.is_none()) {
        return "no version was evaluated".to_owned();
    }
    format!("{} right on unseen samples", percent(data.final_accuracy))
}
