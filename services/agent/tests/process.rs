//! `muster-agent` as a process: how it starts, what it says, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn agent(state: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-agent"));
    // Nobody listens on port 1: the node keeps trying.
    command.env_clear().args([
        "--coordinator",
        "http://127.0.0.1:1",
        "--log",
        "agent=info",
        "--state",
    ]);
    command
        .arg(state)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A node that has started, with the line that says so.
fn started(state: &Path, flags: &[&str]) -> (Child, String) {
    let mut child = agent(state, flags).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.as_mut().unwrap());
    let mut line = String::new();
    while !line.contains("the node starts") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it started");
    }
    (child, line)
}

fn ended(mut command: Command) -> (ExitStatus, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.stdout.is_empty(), "standard output is for nothing");
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().unwrap();
        let (mut child, line) = started(dir.path(), &["--name", "node-01"]);
        assert!(line.contains("node.id=node-01"), "{line}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn with_exit_with_parent_it_ends_when_its_input_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, _) = started(dir.path(), &["--exit-with-parent"]);
    drop(child.stdin.take());
    let mut rest = String::new();
    child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

#[test]
fn two_agents_do_not_share_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = started(dir.path(), &[]);
    let (status, text) = ended(agent(dir.path(), &[]));
    assert_eq!(status.code(), Some(3));
    assert!(text.contains("error[state_dir_in_use]"), "{text}");
    kill_process(Pid::from_child(&first), Signal::TERM).unwrap();
    assert!(first.wait().unwrap().success());
    let (mut next, _) = started(dir.path(), &[]);
    next.kill().unwrap();
    next.wait().unwrap();
    let (mut after_a_kill, _) = started(dir.path(), &[]);
    after_a_kill.kill().unwrap();
    after_a_kill.wait().unwrap();
}

#[test]
fn mistakes_are_told_together_with_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = agent(dir.path(), &["--name", "Node 1", "--label", "site"]);
    command.env("MUSTER_DATA", "maze");
    let (status, text) = ended(command);
    assert_eq!(status.code(), Some(2));
    for part in [
        "error[config_invalid]: 3 of the settings",
        "name_invalid",
        "label_invalid",
        "data_invalid",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (status, text) = ended(agent(dir.path(), &["--data", "aer:/no/such/file"]));
    assert_eq!(status.code(), Some(2));
    assert!(text.contains("error[data_unreadable]: data: /no/such/file"), "{text}");
}

#[test]
fn help_names_every_flag_and_variable() {
    let dir = tempfile::tempdir().unwrap();
    let output = agent(dir.path(), &["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["COORDINATOR", "STATE", "NAME", "LABELS", "DATA", "INSECURE", "LOG", "LOG_FORMAT"]
    {
        assert!(text.contains(&format!("MUSTER_{name}")), "{name}: {text}");
    }
    assert!(!text.contains("exit-with-parent"), "for other programs only");
}
