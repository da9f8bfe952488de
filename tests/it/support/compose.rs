//! A fleet in containers, as `deploy/compose.yaml` makes it, and what befalls its hosts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use simulator::{Access, Rest};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::process::free_of_settings;
use super::require::skip;

/// Longest that one command of docker may take: starting forty containers on a busy machine is the longest.
const COMMAND_MAX: Duration = Duration::from_secs(300);

/// Fleets share two cores and one daemon: one at a time.
static ONE: Mutex<()> = Mutex::const_new(());

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this package stands in services/muster").to_owned()
}

/// A compose project of our own, gone without a trace when it is dropped.
pub(crate) struct Fleet {
    project: String,
    files: Vec<PathBuf>,
    port: u16,
    compose: &'static [&'static str],
    dir: TempDir,
    _one: MutexGuard<'static, ()>,
}

/// How Compose is called here, if a daemon answers and has the images; why not otherwise.
pub(crate) async fn usable() -> Result<&'static [&'static str], String> {
    let done = async |command: &[&str]| {
        let mut asked = docker_command(command);
        let output = timeout(Duration::from_secs(60), asked.output()).await;
        matches!(output, Ok(Ok(output)) if output.status.success())
    };
    if !done(&["docker", "version"]).await {
        return Err("no Docker daemon answers".to_owned());
    }
    for image in ["muster:latest", "muster-agent:latest"] {
        if !done(&["docker", "image", "inspect", image]).await {
            return Err(format!("the image {image} is not built: deploy/build.sh does it"));
        }
    }
    for compose in [&["docker", "compose"][..], &["docker-compose"]] {
        if done(&[compose, &["version"]].concat()).await {
            return Ok(compose);
        }
    }
    Err("there is no Compose".to_owned())
}

fn docker_command(words: &[&str]) -> Command {
    let mut command = free_of_settings(Command::new(words[0]));
    command.args(&words[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(command: &mut Command) -> Output {
    let output = timeout(COMMAND_MAX, command.output()).await;
    output.unwrap_or_else(|_| panic!("{command:?} takes too long")).expect("it is installed")
}

/// What a command said on both outputs; it must have ended well.
async fn ended_well(command: &mut Command) -> String {
    let output = run(command).await;
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (told(&output.stdout), told(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Runs docker; gives its standard output.
pub(crate) async fn docker(words: &[&str]) -> String {
    ended_well(&mut docker_command(&[&["docker"], words].concat())).await
}

/// Runs docker; gives its exit status and both outputs.
pub(crate) async fn docker_status(words: &[&str]) -> (Option<i32>, String) {
    let output = run(&mut docker_command(&[&["docker"], words].concat())).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

impl Fleet {
    /// A project for the test `name`, of the compose file and what `over` says otherwise; nothing is started yet.
    /// `None`, and the test is skipped, where there is no Docker.
    pub(crate) async fn new(name: &str, over: Option<&str>) -> Option<Self> {
        let compose = match usable().await {
            Ok(compose) => compose,
            Err(why) => {
                skip(name, "docker", &why);
                return None;
            }
        };
        let one = ONE.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let mut files = vec![root().join("deploy/compose.yaml")];
        if let Some(over) = over {
            let file = dir.path().join("over.yaml");
            std::fs::write(&file, over).unwrap();
            files.push(file);
        }
        // Free a moment ago; it must be the same after a restart.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let project = format!("muster-it-{}-{port}", std::process::id());
        Some(Self { project, files, port, compose, dir, _one: one })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = docker_command(self.compose);
        for file in &self.files {
            command.arg("-f").arg(file);
        }
        command.args(["-p", &self.project]).args(words);
        command.env("MUSTER_PORT", self.port.to_string());
        command
    }

    /// Runs Compose; gives its standard output.
    pub(crate) async fn compose(&self, words: &[&str]) -> String {
        ended_well(&mut self.command(words)).await
    }

    /// Starts `services`, or all, in the background, and waits for what they depend on.
    pub(crate) async fn up(&self, words: &[&str]) {
        self.compose(&[&["up", "-d", "--no-build"], words].concat()).await;
    }

    /// The containers of a service, running or not.
    pub(crate) async fn containers(&self, service: &str) -> Vec<String> {
        let filters = [
            format!("label=com.docker.compose.project={}", self.project),
            format!("label=com.docker.compose.service={service}"),
        ];
        let list = docker(&["ps", "-aq", "--filter", &filters[0], "--filter", &filters[1]]).await;
        list.split_whitespace().map(str::to_owned).collect()
    }

    /// The one container of a service.
    pub(crate) async fn container(&self, service: &str) -> String {
        let all = self.containers(service).await;
        assert_eq!(all.len(), 1, "{service}: {all:?}");
        all.into_iter().next().unwrap()
    }

    /// A volume's or network's name.
    pub(crate) fn name_of(&self, what: &str) -> String {
        format!("{}_{what}", self.project)
    }

    /// A directory for files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the coordinator is, for people.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A client with the token of the first admin, both files taken out of the volumes as people do it.
    pub(crate) async fn rest(&self) -> Rest {
        let coordinator = self.container("coordinator").await;
        self.wait_health(&coordinator, "healthy").await;
        let (ca, token) = (self.dir().join("ca.pem"), self.dir().join("admin.token"));
        for (from, to) in [("/fleet/ca.pem", &ca), ("/data/admin.token", &token)] {
            docker(&["cp", &format!("{coordinator}:{from}"), to.to_str().unwrap()]).await;
        }
        let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
        let access = Access { url: self.url(), ca_file: Some(ca), token: Some(token) };
        Rest::connect(&access).unwrap()
    }

    /// The log of a container: its JSON lines.
    pub(crate) async fn log(&self, container: &str) -> Vec<Value> {
        let (_, text) = docker_status(&["logs", container]).await;
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until `found` makes something of a container's log.
    pub(crate) async fn wait_log<T>(
        &self,
        container: &str,
        found: impl Fn(&Value) -> Option<T>,
    ) -> T {
        for _ in 0..300 {
            if let Some(found) = self.log(container).await.iter().find_map(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the log never said it: {:#?}", self.log(container).await);
    }

    /// Waits until docker's word for a container's health is `wanted`.
    pub(crate) async fn wait_health(&self, container: &str, wanted: &str) {
        let format = "{{.State.Health.Status}}";
        let mut last = String::new();
        for _ in 0..300 {
            last = docker(&["inspect", "--format", format, container]).await;
            if last.trim() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{container} is {last}, not {wanted}");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A test that fails shows what its containers said.
        if std::thread::panicking() {
            let mut logs = std::process::Command::new(self.compose[0]);
            logs.args(&self.compose[1..]).env("MUSTER_PORT", self.port.to_string());
            let _ = self.add_to(&mut logs).args(["logs", "--no-color", "--tail", "2"]).status();
        }
        let mut down = std::process::Command::new(self.compose[0]);
        down.args(&self.compose[1..]).env("MUSTER_PORT", self.port.to_string());
        let ended = self.add_to(&mut down).args(["down", "-v", "-t", "5"]).output();
        if !std::thread::panicking() {
            let output = ended.expect("Compose is there");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "down: {said}");
        }
    }
}

impl Fleet {
    fn add_to<'a>(&self, command: &'a mut std::process::Command) -> &'a mut std::process::Command {
        for file in &self.files {
            command.arg("-f").arg(file);
        }
        command.args(["-p", &self.project])
    }
}
