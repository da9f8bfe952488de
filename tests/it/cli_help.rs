//! The help of every command, as the files in `tests/it/help` have it; completions and manual pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::process::muster;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/help")
}

/// What `muster` prints, which ends well.
async fn prints(args: &[&str]) -> String {
    let mut command = muster();
    command.args(args).env("COLUMNS", "100").stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command's help, by its name.
async fn all() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![vec!["muster".to_owned()]];
    while let Some(command) = waiting.pop() {
        let mut args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        args.push("--help");
        let help = prints(&args).await;
        for name in commands(&help) {
            waiting.push([command.clone(), vec![name]].concat());
        }
        found.insert(command.join("-"), help);
    }
    found
}

/// `BLESS=1` writes the files anew.
#[tokio::test]
async fn the_help_of_each_command_is_the_one_that_was_read_over() {
    let found = all().await;
    assert!(found.len() > 20, "{:?}", found.keys());
    if std::env::var_os("BLESS").is_some() {
        fs::remove_dir_all(folder()).unwrap_or_default();
        fs::create_dir_all(folder()).unwrap();
        for (name, help) in &found {
            fs::write(folder().join(format!("{name}.txt")), help).unwrap();
        }
    }
    let mut known = BTreeMap::new();
    for entry in fs::read_dir(folder()).expect("tests/it/help; `BLESS=1` writes it") {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        known.insert(name, fs::read_to_string(&path).unwrap());
    }
    for (name, help) in &found {
        assert_eq!(known.get(name), Some(help), "{name}: `BLESS=1` writes it anew");
    }
    assert_eq!(known.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, help) in &found {
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{name} has long lines");
    }
}

#[tokio::test]
async fn shells_and_man_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = prints(&["completions", shell]).await;
        for word in ["completions", "watch", "versions", "evaluate-samples"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    // A shell that is there takes the script.
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("muster.bash");
    fs::write(&script, prints(&["completions", "bash"]).await).unwrap();
    let checked = std::process::Command::new("sh").arg("-c").arg("command -v bash").output();
    if checked.is_ok_and(|output| output.status.success()) {
        let run = std::process::Command::new("bash").arg("-n").arg(&script).status().unwrap();
        assert!(run.success());
    }

    let pages = dir.path().join("man");
    let said = prints(&["man", "--out", pages.to_str().unwrap()]).await;
    let found = all().await;
    assert_eq!(said, format!("{} pages written to {}\n", found.len(), pages.display()));
    for name in found.keys() {
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {}", name.to_uppercase())), "{name}: {page}");
    }
    assert_eq!(prints(&["man"]).await, fs::read_to_string(pages.join("muster.1")).unwrap());
}
