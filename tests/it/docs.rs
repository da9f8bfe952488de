//! The pages of `docs` and README, executed: each page's `sh` blocks from top to bottom, as one shell session in a directory
//! of its own, with the binary under test as `muster`.
//!
//! What a page and this file agree on:
//!
//! * Every command of a block runs and must end well, which for `curl` means no problem as the answer. One whose comment names
//!   `error[CODE]` must fail and say CODE.
//! * `127.0.0.1`, `0.0.0.0` and `muster.example` are a loopback address that is the page's own, so that fixed ports are free.
//! * After a `muster serve ... &` the runner waits until the coordinator is ready, as a reader does before typing on.
//!   Whatever a page leaves running is ended with it.
//! * What cannot run in a test stands in [`PAGES`] with why; so does what has to be there before a page begins.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::timeout;

use crate::support::compose::root;
use crate::support::process::{MUSTER, PATIENCE, free_of_settings};
use crate::support::python::{EXAMPLES, python};
use crate::support::require::skip;

/// A page whose commands run.
struct Page {
    /// Its path from the project's root.
    path: &'static str,
    /// Commands before its first.
    before: &'static str,
    /// How commands begin that do not run, and why not.
    apart: &'static [(&'static str, &'static str)],
}

const RELEASE: &str = "builds a release, which .ci/run does";
const DOCKER: &str = "needs images, which tests/it/deploy_fleet.rs builds upon: it runs these";
const ROOT: &str = "changes the host as root; tests/it/deploy.rs reads the units";
const NETWORK: &str = "fetches packages, which .ci/run does";
const LARGE: &str = "takes minutes in a debug build; tests/it/simulate.rs runs smaller fleets";
const SELF: &str = "is what runs this";

/// The model of the demo with three versions, made by a run of two nodes, and a coordinator that has it.
const TRAINED: &str = "
muster serve --data-dir ./muster-data > serve.log &
muster data deal navigation --nodes 2 --out nav
muster model import --format muster navigation nav/model.muster
for n in 1 2; do muster node --name n$n --state nodes/n$n --label site=ams --data navigation:seed=$n & done
muster run create --model navigation --plan nav/plan.json --rounds 2 --samples 1 --wait
";

/// A coordinator with TLS and tokens, as docs/how-to/production.md sets it up, with what its clients need.
const GUARDED: &str = "
muster config certificate --name 127.0.0.1 --cert cert.pem --key key.pem --ca ca.pem
muster serve --auth tokens --tls-cert cert.pem --tls-key key.pem &
export MUSTER_URL=https://127.0.0.1:7400 MUSTER_CA_FILE=ca.pem MUSTER_TOKEN_FILE=muster-data/admin.token
muster fleet token create --name line-3 --out line-3.token
muster token create --name reader --scope read > reader.token
muster data deal navigation --nodes 1 --out nav
muster model import --format muster navigation nav/model.muster
muster model channel create navigation@1 stable
";

/// Every page that has `sh` blocks, each a test of its own.
macro_rules! pages {
    ($($name:ident = $page:expr,)+) => {
        const PAGES: &[Page] = &[$($page),+];
        $(
            #[tokio::test]
            async fn $name() {
                run(stringify!($name), &$page).await;
            }
        )+
    };
}

pages! {
    readme = Page {
        path: "README.md",
        before: "
            muster demo --nodes 2 --rounds 1 --keep > demo.log &
            until grep -o 'http://[0-9.:]*' demo.log > at; do kill -0 $!; sleep 0.1; done
            MUSTER=$(head -1 at)
        ",
        apart: &[("cargo run --release", RELEASE), ("cargo test", SELF), ("docker compose", DOCKER)],
    },
    clients = Page {
        path: "docs/how-to/clients.md",
        before: GUARDED,
        apart: &[("pip install", NETWORK)],
    },
    containers = Page {
        path: "docs/how-to/containers.md",
        before: "",
        apart: &[("docker", DOCKER), ("coordinator=$(docker", DOCKER), ("curl --cacert", DOCKER)],
    },
    models = Page { path: "docs/how-to/models.md", before: TRAINED, apart: &[] },
    production = Page {
        path: "docs/how-to/production.md",
        before: "",
        apart: &[("install ", ROOT), ("cat > /etc/muster", ROOT), ("systemctl", ROOT)],
    },
    real_chip = Page {
        path: "docs/how-to/real-chip.md",
        before: "",
        apart: &[("cargo build --release -p reckon-c", RELEASE)],
    },
    runs = Page { path: "docs/how-to/runs.md", before: TRAINED, apart: &[] },
    simulate = Page {
        path: "docs/how-to/simulate.md",
        before: "",
        apart: &[("muster simulate", LARGE)],
    },
    dashboard = Page { path: "docs/reference/dashboard.md", before: GUARDED, apart: &[] },
    metrics = Page {
        path: "docs/reference/metrics.md",
        before: GUARDED,
        apart: &[("docker compose", DOCKER)],
    },
    rest = Page { path: "docs/reference/rest.md", before: TRAINED, apart: &[] },
    tasks = Page {
        path: "docs/reference/tasks.md",
        before: "",
        apart: &[("cargo run --release", RELEASE)],
    },
    bad_model = Page { path: "docs/tutorial/bad-model.md", before: "", apart: &[] },
    first_steps = Page { path: "docs/tutorial/first-steps.md", before: "", apart: &[] },
    own_chip = Page { path: "docs/tutorial/own-chip.md", before: "", apart: &[] },
    own_sensor = Page { path: "docs/tutorial/own-sensor.md", before: "", apart: &[] },
}

/// All pages: README and what is below docs.
fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    let mut dirs = vec![root().join("docs")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The `sh` blocks of a page.
fn blocks(path: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(path)).unwrap();
    let fenced = page.split("```").skip(1).step_by(2).map(str::to_owned);
    fenced.filter_map(|block| block.strip_prefix("sh\n").map(str::to_owned)).collect()
}

/// The commands of a block: lines, joined until a shell finds them whole.
fn commands(block: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in block.lines() {
        open = if open.is_empty() { line.to_owned() } else { format!("{open}\n{line}") };
        let parsed = std::process::Command::new("bash").args(["-n", "-c", &open]).output().unwrap();
        if parsed.status.success() && parsed.stderr.is_empty() && !open.ends_with('\\') {
            found.push(std::mem::take(&mut open));
        }
    }
    assert!(open.is_empty(), "no shell understands `{open}`");
    found.retain(|command| !command.trim().is_empty() && !command.starts_with('#'));
    found
}

/// A command as the session runs it.
fn step(command: &str) -> String {
    let quoted = command.replace('\'', r"'\''");
    let told = format!("printf '%s\\n' '$ {quoted}'\n");
    let (typed, comment) = command.rsplit_once(" # ").unwrap_or((command, ""));
    let refused = comment.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
    if let Some((code, _)) = refused {
        return format!(
            "{told}if {{ {typed}\n}} > refused 2>&1; then echo 'it was not refused'; exit 1; fi\n\
             cat refused; grep -q '{code}' refused\n"
        );
    }
    let serve = command.strip_prefix("muster serve").and_then(|flags| flags.strip_suffix('&'));
    let wait = serve.map_or(String::new(), |flags| {
        let flags: Vec<_> = flags.split(' ').take_while(|word| !word.contains('>')).collect();
        let flags = flags.join(" ");
        format!("until muster healthcheck{flags} > health 2>&1; do kill -0 $!; sleep 0.05; done\n")
    });
    format!("{told}{command}\n{wait}")
}

/// The session of a page, on its own address.
fn session(page: &Page, address: &str) -> String {
    let mut steps = commands(page.before);
    let mut skipped = vec![0; page.apart.len()];
    for command in blocks(page.path).iter().flat_map(|block| commands(block)) {
        match page.apart.iter().position(|(begin, _)| command.starts_with(begin)) {
            Some(at) => skipped[at] += 1,
            None => steps.push(command),
        }
    }
    for ((begin, why), count) in page.apart.iter().zip(skipped) {
        assert!(count > 0, "{}: nothing begins with `{begin}` any more ({why})", page.path);
    }
    let steps: String = steps.iter().map(|command| step(command)).collect();
    let steps = ["127.0.0.1", "0.0.0.0", "muster.example"]
        .iter()
        .fold(steps, |steps, name| steps.replace(name, address));
    format!(
        "set -euo pipefail\ncurl() {{ command curl --fail-with-body \"$@\"; }}\ntrap 'running=$(jobs -p); [ -z \"$running\" ] || kill $running' EXIT\n{steps}"
    )
}

/// Runs the session of `page`.
async fn run(name: &str, page: &Page) {
    let path = page.path;
    let number = PAGES.iter().position(|other| other.path == path).unwrap();
    // All of 127.0.0.0/8 is this machine: no other page or test has this address.
    let pid = std::process::id();
    let address = format!("127.{}.{}.{}", 1 + number, pid / 250 % 250, 1 + pid % 250);
    let session = session(page, &address);
    let mut dirs = Vec::new();
    if session.contains("\npython") {
        let Some(python) = python(EXAMPLES) else {
            return skip(name, "python", "python3 lacks what deploy/examples/python asks for");
        };
        dirs.extend(python.parent().map(Path::to_owned));
    }
    let dir = tempfile::tempdir().unwrap();
    let here = |name: &str| dir.path().join(name);
    std::fs::create_dir(here("bin")).unwrap();
    std::os::unix::fs::symlink(MUSTER, here("bin/muster")).unwrap();
    // Where a page speaks of files of the project, they are there.
    for part in ["deploy", "proto"] {
        std::os::unix::fs::symlink(root().join(part), here(part)).unwrap();
    }
    dirs.push(here("bin"));
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let output = std::fs::File::create(here("output")).unwrap();
    let mut command = free_of_settings(tokio::process::Command::new("bash"));
    command.arg("-c").arg(session).current_dir(dir.path());
    command.env("PATH", std::env::join_paths(dirs).unwrap()).env("HOME", dir.path());
    command.env("XDG_CONFIG_HOME", here("config")).env("MUSTER_LOG", "warn");
    command.env("MUSTER_HTTP_LISTEN", format!("{address}:7400"));
    command.env("MUSTER_GRPC_LISTEN", format!("{address}:7401"));
    command.env("MUSTER_URL", format!("http://{address}:7400"));
    command.env("MUSTER_COORDINATOR", format!("http://{address}:7401"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdout(Stdio::from(output.try_clone().unwrap())).stderr(Stdio::from(output));
    command.as_std_mut().process_group(0);
    let mut child = command.spawn().unwrap();
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    let ended = timeout(PATIENCE, child.wait()).await;
    // Whatever it left running: the group is the page's own.
    kill_process_group(group, Signal::KILL).ok();
    let said = std::fs::read_to_string(here("output")).unwrap();
    let status = ended.unwrap_or_else(|_| panic!("{path} hangs:\n{said}")).unwrap();
    assert!(status.success(), "{path}: {status}\n{said}");
}

#[test]
fn every_page_with_commands_is_executed() {
    let with: Vec<_> = pages().into_iter().filter(|path| !blocks(path).is_empty()).collect();
    let mut known: Vec<_> = PAGES.iter().map(|page| page.path.to_owned()).collect();
    known.sort();
    assert_eq!(with, known, "left: pages with `sh` blocks; right: PAGES");
    for path in pages().into_iter().filter(|path| !path.starts_with("docs/adr")) {
        let page = std::fs::read_to_string(root().join(&path)).unwrap();
        let fenced = page.split("```").step_by(2).flat_map(str::lines);
        let command = |line: &&str| {
            ["muster ", "cargo ", "docker "]
                .iter()
                .any(|name| line.starts_with(&format!("    {name}")))
        };
        let beside: Vec<_> = fenced.filter(command).collect();
        assert!(beside.is_empty(), "{path}: commands stand in `sh` blocks, not so {beside:?}");
    }
}
