//! docs/reference/codes.md against the code: no code is missing, none is left that is gone, statuses and meanings are true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use federation::RefusalCode;
use serde_json::Value;

use crate::support::compose::root;
use crate::support::process::Serve;

fn file() -> PathBuf {
    root().join("docs/reference/codes.md")
}

/// The cells of the rows of a section's tables, without heads.
fn rows(section: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(file()).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let part = rest.split("\n## ").next().unwrap();
    let lines = part.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let inside = line.trim_start_matches("| ").trim_end_matches(" |");
        inside.split(" | ").map(str::to_owned).collect()
    };
    lines.map(cells).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The codes in the first column, each once.
fn listed(section: &str) -> BTreeSet<String> {
    let all: Vec<_> = rows(section).iter().flat_map(|row| quoted(&row[0])).collect();
    let once: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(all.len(), once.len(), "{section}: a code stands twice");
    once
}

/// What a command that is answered so ends with, as `muster::failure` has it.
fn exit(status: u64) -> u8 {
    match status {
        401 | 403 => 77,
        408 | 425 | 429 | 503 => 75,
        400..500 => 65,
        _ => 69,
    }
}

/// `BLESS=1` writes all but the last column anew.
#[tokio::test]
async fn problems_are_those_of_rest() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path()).await;
    let document: Value = serve.rest().get("/openapi.json").await.unwrap();
    serve.stop().await;
    let mut known = BTreeMap::new();
    let operations = document["paths"].as_object().unwrap().values();
    for operation in operations.flat_map(|item| item.as_object().unwrap().values()) {
        for response in operation["responses"].as_object().unwrap().values() {
            let examples = &response["content"]["application/problem+json"]["examples"];
            for (code, example) in examples.as_object().into_iter().flatten() {
                let status = example["value"]["status"].as_u64().unwrap();
                let about = example["summary"].as_str().unwrap().to_owned();
                known.insert(code.clone(), (status, about));
            }
        }
    }
    // No operation of its own answers it.
    let other = (405, "The route does not take the method.".to_owned());
    known.insert("method_not_allowed".to_owned(), other);
    let told: BTreeMap<String, String> = rows("Problems")
        .into_iter()
        .map(|mut row| (row[0].trim_matches('`').to_owned(), row.pop().unwrap()))
        .collect();
    let mut table =
        "| code | status | exit | meaning | what to do |\n|---|---|---|---|---|\n".to_owned();
    for (code, (status, about)) in &known {
        let what = told.get(code).cloned().unwrap_or_default();
        assert!(std::env::var_os("BLESS").is_some() || !what.is_empty(), "`{code}`: what to do?");
        table += &format!("| `{code}` | {status} | {} | {about} | {what} |\n", exit(*status));
    }
    let page = std::fs::read_to_string(file()).unwrap();
    let begin = "<!-- problems: all but the last column is written by a test -->\n";
    let (before, rest) = page.split_once(begin).unwrap();
    let (there, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file(), format!("{before}{begin}{table}<!-- end -->{after}")).unwrap();
    } else {
        assert_eq!(there, table, "BLESS=1 writes it anew, but for the last column");
    }
}

#[test]
fn refusals_are_those_of_the_protocol() {
    let known: BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(listed("Refusals"), known, "left: the page; right: the code");
}

/// The Rust code below `dir`, unit tests and comments left out.
fn sources(dir: &str) -> Vec<String> {
    let (mut found, mut dirs) = (Vec::new(), vec![root().join(dir)]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                dirs.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.push(lines.map(|line| format!("{line}\n")).collect());
            }
        }
    }
    found
}

/// Texts of `code` that look like codes and follow `mark`, in which a blank stands for any white space or none.
fn after(code: &str, mark: &str) -> Vec<String> {
    let dense: String = code.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    let texts =
        dense.split(mark).skip(1).filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
    let is_code =
        |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    texts.filter(is_code).map(str::to_owned).collect()
}

#[test]
fn grpc_errors_are_those_of_the_coordinator() {
    let status = std::fs::read_to_string(root().join("services/coordinator/src/grpc/status.rs"));
    let status = status.unwrap().split("#[cfg(test)]").next().unwrap().to_owned();
    let mut known = BTreeSet::from(["malformed".to_owned(), "stream_broken".to_owned()]);
    let dense = status.split_whitespace().collect::<Vec<_>>().join(" ");
    for call in dense.split("status(Code::").skip(1) {
        let mut words = call.split(", ");
        let (grpc, code) = (words.next().unwrap(), words.next().unwrap_or_default());
        let Some(code) = code.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            continue;
        };
        known.insert(code.to_owned());
        let row = rows("gRPC errors").into_iter().find(|row| row[0] == format!("`{code}`"));
        let row = row.unwrap_or_else(|| panic!("`{code}` is not told"));
        assert_eq!(row[1].replace('_', "").to_lowercase(), grpc.to_lowercase(), "{code}");
    }
    assert_eq!(listed("gRPC errors"), known, "left: the page; right: the code");
}

#[test]
fn commands_say_these_codes() {
    // Where commands are, and after what a code stands there; an error's own code is found everywhere.
    let dirs: [(&str, &[&str]); 7] = [
        ("services/muster/src", &["Failure::new(", " failure("]),
        ("services/agent/src", &["wrong("]),
        ("services/coordinator/src", &[]),
        ("services/interchange/src", &[]),
        ("services/reckon/src", &[]),
        ("services/tasks/src", &[]),
        ("simulator/src", &[]),
    ];
    let mut known = BTreeSet::new();
    let mut all = String::new();
    for (source, marks) in
        dirs.into_iter().flat_map(|(dir, marks)| sources(dir).into_iter().map(move |s| (s, marks)))
    {
        for mark in marks {
            known.extend(after(&source, mark));
        }
        // An error's own code: the arms of its `code`.
        for body in source.split("fn code(").skip(1) {
            let body = body.split("\n    }\n").next().unwrap();
            known.extend(after(body, "=> "));
            known.extend(after(body, "{ "));
        }
        all += &source;
    }
    let elsewhere = &listed("Refusals") | &listed("Problems");
    let listed = listed("Commands");
    let missing: Vec<_> =
        known.iter().filter(|code| !listed.contains(*code) && !elsewhere.contains(*code)).collect();
    assert!(missing.is_empty(), "docs/reference/codes.md does not tell of {missing:?}");
    let gone: Vec<_> = listed.iter().filter(|code| !all.contains(&format!("\"{code}\""))).collect();
    assert!(gone.is_empty(), "nobody says {gone:?} any more");
    assert!(known.len() > 100, "{} codes were found", known.len());
}
