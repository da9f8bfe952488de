//! The command line as a whole: that clap finds it sound, that docs/reference/cli.md says what it is, and that what the other pages say
//! of it can be typed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};

use crate::Cli;
use crate::failure::EXIT_STATUSES;

#[test]
fn clap_finds_the_commands_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_is_secret_is_not_in_a_help_text() {
    let mut waiting = vec![Cli::command()];
    let mut looked_at = 0;
    while let Some(command) = waiting.pop() {
        let secrets = ["token", "token_file"];
        for arg in command.get_arguments().filter(|arg| secrets.contains(&arg.get_id().as_str())) {
            assert!(arg.get_env().is_none() || arg.is_hide_env_values_set(), "{arg}");
            looked_at += 1;
        }
        waiting.extend(command.get_subcommands().cloned());
    }
    assert!(looked_at > 0);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages at the root and below docs, by their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let at_root = ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CONTRIBUTING.md"];
    let mut paths: Vec<PathBuf> = at_root.map(|name| root().join(name)).into();
    let mut dirs = vec![root().join("docs")];
    while let Some(dir) = dirs.pop() {
        let listed = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<_>, Vec<_>) = listed.partition(|path| path.is_dir());
        dirs.extend(below);
        paths.extend(
            files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")),
        );
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The words of a command line in a page, up to what a shell would do with its output.
fn words(line: &str) -> Vec<String> {
    let plain = line.split(" # ").next().unwrap_or(line).trim_end_matches([' ', '&']);
    let words = plain.split_whitespace().map(|word| word.trim_matches(['\'', '"']).to_owned());
    words.take_while(|word| !["|", ">", "<", "2>", "&&", ";"].contains(&word.as_str())).collect()
}

#[test]
fn what_the_pages_say_can_be_typed() {
    let mut commands = 0;
    for (path, page) in pages().into_iter().filter(|(path, _)| !path.ends_with("reference/cli.md"))
    {
        let blocks = page.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh"));
        let lines = blocks.map(|block| block.replace("\\\n", " "));
        for line in lines.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()) {
            if !line.starts_with("muster ") {
                continue;
            }
            commands += 1;
            let Err(error) = Cli::command().try_get_matches_from(words(&line)) else { continue };
            // A word in capitals stands for what only the reader knows, a variable for what only the shell does.
            let open = |word: &String| {
                word.contains('$') || word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase())
            };
            let stands_for = error.kind() == clap::error::ErrorKind::ValueValidation
                && words(&line).iter().any(open);
            assert!(stands_for, "{}: `{line}`: {error}", path.display());
        }
    }
    assert!(commands > 30, "{commands} commands were found");
}

#[test]
fn every_link_in_the_pages_leads_somewhere() {
    let mut links = 0;
    for (path, page) in pages() {
        for rest in page.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            links += 1;
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !part.is_empty() {
                let text = fs::read_to_string(target).unwrap();
                let heads = text.lines().filter(|line| line.starts_with('#')).map(|head| {
                    let head = head.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                    head.replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', "")
                });
                assert!(heads.into_iter().any(|head| head == part), "{}: {link}", path.display());
            }
        }
    }
    assert!(links > 20, "{links} links were found");
}

/// `BLESS=1` writes the page anew.
#[test]
fn the_reference_says_what_the_commands_are() {
    let path = root().join("docs/reference/cli.md");
    let expected = reference();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "docs/reference/cli.md is out of date; `BLESS=1` writes it: {differs:?}"
    );
}

fn reference() -> String {
    let mut page = "\
# The command line

What `muster --help` and the help of each command say, on one page. A test writes it from the code; do not edit it.

A command that talks to a coordinator finds it by its flags, then by `MUSTER_*` variables, then by a profile
(`muster profile`), else at `http://127.0.0.1:7400`. A profile's token goes to that profile's coordinator alone.

On a terminal, lists are tables that fit its width, without what a narrow one has no room for; elsewhere they are plain
columns with everything in them. `--json` prints what the coordinator answered, a list with all its pages.
`NO_COLOR` takes the colours away.

"
    .to_owned();
    page += &format!("```text\n{EXIT_STATUSES}\n```\n");
    let mut command = Cli::command();
    command.build();
    let list = command.find_subcommand("run").and_then(|run| run.find_subcommand("list"));
    let common = list.expect("muster run list").get_arguments().filter(of_coordinator);
    page += "\n## Which coordinator\n\nThe commands of `run`, `model`, `fleet` and `token`, `events` and `audit list` take these too:\n";
    page += &table(common);
    for command in command.get_subcommands() {
        section(command, "muster", 2, &mut page);
    }
    page
}

fn section(command: &Command, before: &str, depth: usize, page: &mut String) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{before} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    let about = about.unwrap_or_default();
    let end = if about.ends_with('.') { "" } else { "." };
    *page += &format!("\n{} `{name}`\n\n{about}{end}\n", "#".repeat(depth.min(4)));
    if command.get_subcommands().all(|sub| sub.get_name() == "help") {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        *page += &format!("\n```text\n{}\n```\n", usage.replace("\n       ", "\n"));
    }
    page.push_str(&table(command.get_arguments().filter(|arg| !of_coordinator(arg))));
    if let Some(more) = command.get_after_long_help() {
        *page += &format!("\n```text\n{more}\n```\n");
    }
    for command in command.get_subcommands() {
        section(command, &name, depth + 1, page);
    }
}

fn of_coordinator(arg: &&Arg) -> bool {
    arg.get_help_heading() == Some("Coordinator")
}

/// Arguments as a table; nothing if there are none.
fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let rows: String = args.filter(shown).map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!("\n| argument | variable | meaning |\n|---|---|---|\n{rows}")
}

fn row(arg: &Arg) -> String {
    let cell = |text: String| text.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ");
    let variable = arg.get_env().map_or_else(String::new, |name| format!("`{}`", name.display()));
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|value| value.display().to_string()).collect();
    let default = if defaults.is_empty() || !arg.get_action().takes_values() {
        String::new()
    } else {
        format!(" (default `{}`)", defaults.join(" "))
    };
    let values = arg.get_possible_values();
    let values: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    let values = if values.is_empty() || !arg.get_action().takes_values() {
        String::new()
    } else {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        format!(": {}", names.join(", "))
    };
    let arg = arg.to_string();
    format!(
        "| `{}` | {variable} | {}{values}{default} |\n",
        cell(arg),
        cell(help.unwrap_or_default())
    )
}
