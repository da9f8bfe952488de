//! The processes under test.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulator::Rest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// The binary under test, built by cargo for these tests.
pub(crate) const MUSTER: &str = env!("CARGO_BIN_EXE_muster");

/// `muster`.
pub(crate) fn muster() -> Command {
    free_of_settings(Command::new(MUSTER))
}

/// A command whose environment is free of settings that this machine may have; it ends with us.
pub(crate) fn free_of_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MUSTER_") {
            command.env_remove(name);
        }
    }
    // Nor has it this machine's profiles.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Sends `signal` to a child that has not been waited for.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .expect("the child has not been waited for");
    kill_process(pid, signal).expect("the child is ours");
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_string_lossy().parse::<u32>().ok() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = after_name.split_whitespace();
        if fields.next() != Some("Z") && fields.next() == Some(&pid.to_string()) {
            found.push(child);
        }
    }
    found
}

/// Waits until none of `pids` runs any more.
pub(crate) async fn wait_gone(pids: &[u32]) {
    let running = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next())
            .is_some_and(|state| state != "Z")
    };
    for _ in 0..1000 {
        if !pids.iter().any(running) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still running: {:?}", pids.iter().filter(|pid| running(pid)).collect::<Vec<_>>());
}

/// A `muster serve` of our own.
pub(crate) struct Serve {
    child: Child,
    http: String,
    grpc: String,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Serve {
    /// Starts a coordinator on free ports and waits until it is ready.
    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::start_at(data_dir, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a coordinator on given addresses and waits until it is ready.
    pub(crate) async fn start_at(data_dir: &Path, http: &str, grpc: &str) -> Self {
        let mut command = muster();
        command.env("MUSTER_LOG", "warn");
        Self::start_by(command, data_dir, http, grpc).await
    }

    /// Starts a coordinator whose log is read when it ends: it must be short.
    pub(crate) async fn start_logged(data_dir: &Path) -> Self {
        let mut command = muster();
        command.stderr(Stdio::piped());
        Self::start_by(command, data_dir, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a coordinator with at most `files` open files, of which it is given fewer at first; its log, in JSON, is
    /// to be read as it runs.
    pub(crate) async fn start_small(
        data_dir: &Path,
        files: u32,
    ) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut command = free_of_settings(Command::new("sh"));
        let limits =
            format!("ulimit -Sn {} && ulimit -Hn {files} && exec \"$0\" \"$@\"", files / 2);
        command.args(["-c", &limits, MUSTER]).env("MUSTER_LOG_FORMAT", "json");
        command.stderr(Stdio::piped());
        let mut serve = Self::start_by(command, data_dir, "127.0.0.1:0", "127.0.0.1:0").await;
        let log = serve.child.stderr.take().expect("it is piped");
        (serve, BufReader::new(log).lines())
    }

    /// Starts a coordinator whose log is to be read as it runs.
    pub(crate) async fn start_read(
        mut command: Command,
        data_dir: &Path,
    ) -> (Self, Lines<BufReader<ChildStderr>>) {
        command.stderr(Stdio::piped());
        let mut serve = Self::start_by(command, data_dir, "127.0.0.1:0", "127.0.0.1:0").await;
        let log = serve.child.stderr.take().expect("it is piped");
        (serve, BufReader::new(log).lines())
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        signal(&self.child, Signal::HUP);
    }

    /// Starts a coordinator with flags and variables of `command`.
    pub(crate) async fn start_with(command: Command, data_dir: &Path) -> Self {
        Self::start_by(command, data_dir, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a coordinator under another program.
    pub(crate) async fn start_by(
        mut command: Command,
        data_dir: &Path,
        http: &str,
        grpc: &str,
    ) -> Self {
        let mut child = command
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--http-listen", http, "--grpc-listen", grpc])
            .stdout(Stdio::piped())
            .spawn()
            .expect("muster starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut address = async |name: &str| {
            let line = timeout(Duration::from_secs(60), lines.next_line()).await;
            let line = line
                .expect("the coordinator is ready within a minute")
                .unwrap()
                .unwrap_or_default();
            line.strip_prefix(name)
                .unwrap_or_else(|| panic!("expected `{name}...`, got `{line}`"))
                .trim()
                .to_owned()
        };
        let http = address("REST").await;
        let grpc = address("gRPC").await;
        Self { child, http, grpc, _stdout: lines }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Its REST address.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Its gRPC address.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    /// A client of it.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(&self.http)
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// [`Serve::stop`]; answers with what it logged since the start, if it was started with its log kept.
    pub(crate) async fn stop_with_log(mut self) -> String {
        let stderr = self.child.stderr.take();
        self.stop().await;
        let mut log = String::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_string(&mut log).await.expect("a log is text");
        }
        log
    }

    /// SIGTERM, and waits until it has ended well.
    pub(crate) async fn stop(mut self) {
        signal(&self.child, Signal::TERM);
        let status =
            timeout(Duration::from_secs(60), self.child.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}");
    }
}

/// A `muster node` of our own, with its state below `dir`.
pub(crate) fn node(dir: &Path, grpc: &str, name: &str, seed: u32) -> Child {
    muster()
        .args(["node", "--coordinator", grpc, "--name", name])
        .args(["--data", &format!("navigation:seed={seed}"), "--state"])
        .arg(dir.join(name))
        .stdout(Stdio::null())
        .spawn()
        .expect("muster starts")
}

/// Longer than any demo or simulation of a test takes; one that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Starts `muster` with these words; what it says is read.
pub(crate) fn started(words: &[&str]) -> Child {
    let mut command = muster();
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("muster starts")
}

/// Waits until it has ended, and gives what it said.
pub(crate) async fn ended(child: Child) -> Output {
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends");
    output.expect("its output can be read")
}

/// The report that it wrote into `dir`.
pub(crate) fn report(dir: &Path) -> Value {
    let bytes = std::fs::read(dir.join("report.json")).expect("report.json");
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// The digests of a report's versions, in order.
pub(crate) fn digests(report: &Value) -> Vec<&str> {
    let versions = report["versions"].as_array().unwrap();
    versions.iter().map(|version| version["digest"].as_str().unwrap()).collect()
}
