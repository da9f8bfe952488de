//! docs/reference/rest.md: the description as tables. `BLESS=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use super::{document, operations};
use crate::http::answers::{LIST, POST, READ, Set};
use crate::http::scope::needed;

/// The codes of a set.
fn codes(set: Set) -> BTreeSet<String> {
    set.iter().copied().flatten().map(|code| code.facts().text.to_owned()).collect()
}

/// Codes as they stand in a table.
fn told<'a>(codes: impl IntoIterator<Item = &'a String>) -> String {
    let told: Vec<_> = codes.into_iter().map(|code| format!("`{code}`")).collect();
    told.join(", ")
}

/// The fields of the query string and of the body; those that must be there are set in bold.
fn takes(document: &Value, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    let mut names: Vec<String> =
        query.map(|parameter| format!("?`{}`", parameter["name"].as_str().unwrap())).collect();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let of_name = |name: &str| document.pointer(name.strip_prefix('#').unwrap()).unwrap();
    let schema = body["$ref"].as_str().map_or(body, of_name);
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, _) in schema["properties"].as_object().into_iter().flatten() {
        let must = required.iter().any(|required| required == name);
        names.push(if must { format!("**`{name}`**") } else { format!("`{name}`") });
    }
    names.join(", ")
}

fn row(document: &Value, place: &str, operation: &Value) -> String {
    let (method, path) = place.split_once(' ').unwrap();
    let scope = needed(&method.parse::<Method>().unwrap(), path);
    let scope = scope.map_or_else(|| "none".to_owned(), |scope| scope.to_string());
    let usual: BTreeSet<_> = codes(POST).union(&codes(LIST)).cloned().collect();
    let (mut good, mut own) = (Vec::new(), BTreeSet::new());
    for (status, response) in operation["responses"].as_object().unwrap() {
        let examples = &response["content"]["application/problem+json"]["examples"];
        let Some(examples) = examples.as_object() else {
            good.push(status.as_str());
            continue;
        };
        own.extend(examples.keys().filter(|code| !usual.contains(*code)).cloned());
    }
    let summary = operation["summary"].as_str().unwrap().trim_end_matches('.');
    format!(
        "| `{place}` | {scope} | {summary} | {} | {} | {} |\n",
        takes(document, operation),
        good.join(", "),
        told(&own)
    )
}

fn tables() -> String {
    let document = document();
    let read = codes(READ);
    let with_body: Vec<_> = codes(POST).difference(&read).cloned().collect();
    let of_list: Vec<_> = codes(LIST).difference(&read).cloned().collect();
    let mut text = format!(
        "Any request can be answered {}. A request with a body also: {}. A request for a page of a list also: {}. The tables have \
         what an operation has besides; [codes](codes.md#problems) says what each means.\n",
        told(&read),
        told(&with_body),
        told(&of_list)
    );
    let mut by_tag: BTreeMap<&str, String> = BTreeMap::new();
    for (place, operation) in operations(&document) {
        let tag = operation["tags"][0].as_str().unwrap();
        by_tag.entry(tag).or_default().push_str(&row(&document, &place, operation));
    }
    for (tag, rows) in by_tag {
        let head = "| request | scope | what it does | takes | answers | problems of its own |";
        write!(text, "\n### {tag}\n\n{head}\n|---|---|---|---|---|---|\n{rows}").unwrap();
    }
    text
}

#[test]
fn the_page_lists_every_operation() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rest.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- tables: written by a test -->\n", "<!-- end of the tables -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (there, after) = rest.split_once(end).unwrap();
    let tables = tables();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{before}{begin}{tables}{end}{after}")).unwrap();
    } else {
        assert_eq!(there, tables, "BLESS=1 writes it anew");
    }
}
