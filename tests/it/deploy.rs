//! What stands in `deploy/`: that its settings are settings, its files what the tools want, and its images empty but for a
//! binary.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::support::compose::{docker, root, usable};
use crate::support::process::{free_of_settings, muster};
use crate::support::require::skip;

pub(crate) fn text(file: &str) -> String {
    let file = root().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The part of the compose file that is about a service.
pub(crate) fn service(compose: &str, name: &str) -> String {
    let begin = format!("\n  {name}:\n");
    let (_, rest) = compose.split_once(&begin).unwrap_or_else(|| panic!("no service {name}"));
    let own = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    own.map(|line| format!("{line}\n")).collect()
}

/// `MUSTER_...` variables that a file sets, each with its value.
fn variables(text: &str) -> BTreeMap<String, String> {
    let set = |line: &str| {
        let line = line.trim().trim_start_matches("Environment=");
        let (name, value) = line.split_once(": ").or_else(|| line.split_once('='))?;
        let named = name.starts_with("MUSTER_") && name.bytes().all(|byte| byte != b' ');
        named.then(|| (name.to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(set).collect()
}

/// What `muster serve` makes of variables.
async fn served(variables: &BTreeMap<String, String>) -> Value {
    let mut command = muster();
    command.envs(variables).args(["serve", "--print-config", "--json"]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A variable that nobody reads is no mistake for the program; here it is one.
    let help = muster().args(["serve", "--help"]).output().await.unwrap();
    let more = muster().args(["run", "list", "--help"]).output().await.unwrap();
    let known = String::from_utf8([help.stdout, more.stdout].concat()).unwrap();
    for name in variables.keys() {
        let of_clients = ["MUSTER_URL", "MUSTER_CA_FILE", "MUSTER_TOKEN_FILE"];
        let flag = name.trim_start_matches("MUSTER_").to_lowercase().replace('_', "-");
        let is_known = known.contains(name) || known.contains(&format!("--{flag}"));
        assert!(is_known || of_clients.contains(&name.as_str()), "{name} is no setting");
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

fn setting(config: &Value, key: &str) -> String {
    let found = config["settings"].as_array().into_iter().flatten().find(|one| one["key"] == key);
    let value = found.map_or(&config[key]["value"], |one| &one["value"]);
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test]
async fn the_coordinators_of_compose_and_systemd_are_set_up_as_serve_understands_it() {
    let compose = text("deploy/compose.yaml");
    let coordinator = service(&compose, "coordinator");
    let set = variables(&coordinator);
    assert!(set.len() >= 6, "{set:?}");
    let config = served(&set).await;
    for (key, variable) in [
        ("http.listen", "MUSTER_HTTP_LISTEN"),
        ("grpc.listen", "MUSTER_GRPC_LISTEN"),
        ("access.auth", "MUSTER_AUTH"),
        ("tls.cert", "MUSTER_TLS_CERT"),
    ] {
        assert_eq!(setting(&config, key), set[variable], "{config:#}");
    }

    // Ports that are published and asked are those it listens at.
    let port = |key: &str| setting(&config, key).parse::<SocketAddr>().unwrap().port();
    let (http, grpc) = (port("http.listen"), port("grpc.listen"));
    assert!(coordinator.contains(&format!(":{http}\"]")), "{http} is published: {coordinator}");
    let node = variables(&service(&compose, "node"));
    assert_eq!(node["MUSTER_COORDINATOR"], format!("https://coordinator:{grpc}"));
    assert_eq!(set["MUSTER_URL"], format!("https://localhost:{http}"));
    let client = variables(&service(&compose, "invitation"));
    assert_eq!(client["MUSTER_URL"], format!("https://coordinator:{http}"));

    let unit = variables(&text("deploy/systemd/muster.service"));
    assert!(unit.len() >= 3, "{unit:?}");
    let config = served(&unit).await;
    assert_eq!(setting(&config, "data.dir"), "/var/lib/muster");
    served(&variables(&text("deploy/Dockerfile").replace("ENV ", ""))).await;
}

/// Starts a node with these settings, with files where it looks for some; it ends at once because its input is closed.
async fn node_starts(set: &BTreeMap<String, String>, dir: &Path) {
    let (ca, token) = (dir.join("ca.pem"), dir.join("token"));
    let pair = rcgen::generate_simple_self_signed(vec!["coordinator".to_owned()]).unwrap();
    std::fs::write(&ca, pair.cert.pem()).unwrap();
    std::fs::write(&token, format!("mse_1_{}", "ab".repeat(32))).unwrap();
    let mut command = muster();
    command.args(["node", "--exit-with-parent"]).stdin(Stdio::null()).stderr(Stdio::piped());
    for (name, value) in set {
        let here = match name.as_str() {
            "MUSTER_CA_FILE" => ca.clone(),
            "MUSTER_ENROL_TOKEN_FILE" => token.clone(),
            "MUSTER_STATE" | "MUSTER_STATES" => dir.join("state"),
            _ => value.into(),
        };
        command.env(name, here);
    }
    let help = muster().args(["node", "--help"]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for name in set.keys() {
        assert!(help.contains(&format!("[env: {name}=")), "{name} is no setting of a node");
    }
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let place =
        if set.contains_key("MUSTER_STATES") { "state/1/identity" } else { "state/identity" };
    assert!(dir.join(place).exists(), "it began: {said}");
}

#[tokio::test]
async fn the_nodes_of_compose_and_systemd_are_set_up_as_a_node_understands_it() {
    let dir = tempfile::tempdir().unwrap();
    node_starts(&variables(&service(&text("deploy/compose.yaml"), "node")), dir.path()).await;
    let dir = tempfile::tempdir().unwrap();
    node_starts(&variables(&text("deploy/systemd/muster-agent.service")), dir.path()).await;
}

#[tokio::test]
async fn systemd_understands_the_units() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["muster.service", "muster-agent.service"] {
        let unit = text(&format!("deploy/systemd/{name}"));
        // What they start is not installed here.
        let start = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, unit.replace(start, "ExecStart=/bin/true")).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(&file);
        let Ok(output) = verify.output().await else {
            return skip("systemd_understands_the_units", "systemd", "there is no systemd-analyze");
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let own: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(own.is_empty(), "{own:?}");
    }
}

#[tokio::test]
async fn compose_understands_its_file() {
    for profile in [&[][..], &["--profile", "watch"]] {
        let mut command = free_of_settings(Command::new("docker-compose"));
        command.arg("-f").arg(root().join("deploy/compose.yaml")).args(profile);
        let Ok(output) = command.args(["config", "-q"]).output().await else {
            return skip("compose_understands_its_file", "docker", "there is no docker-compose");
        };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
}

#[tokio::test]
async fn images_hold_a_binary_and_nothing_else() {
    if let Err(why) = usable().await {
        return skip("images_hold_a_binary_and_nothing_else", "docker", &why);
    }
    for (image, limit_mb, dirs) in [
        ("muster", 40.0, &["bin", "data", "fleet", "watch"][..]),
        ("muster-agent", 15.0, &["bin", "fleet", "state"]),
    ] {
        let inspected = docker(&["image", "inspect", image]).await;
        let about: Value = serde_json::from_str(&inspected).unwrap();
        let (about, config) = (&about[0], &about[0]["Config"]);
        let mb = about["Size"].as_f64().unwrap() / 1e6;
        assert!(mb < limit_mb, "{image} has {mb:.1} MB, more than {limit_mb}");
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["StopSignal"], "SIGTERM");
        assert_eq!(config["Entrypoint"][0], format!("/bin/{image}"));
        assert_eq!(config["Labels"]["org.opencontainers.image.title"], image);
        let healthcheck = config["Healthcheck"]["Test"].as_array();
        assert_eq!(healthcheck.is_some(), image == "muster", "{config}");

        // What a container of it begins with; docker itself makes places for devices and names.
        let container = docker(&["create", image]).await;
        let dir = tempfile::tempdir().unwrap();
        let tar = dir.path().join("image.tar");
        docker(&["export", "--output", tar.to_str().unwrap(), container.trim()]).await;
        docker(&["rm", container.trim()]).await;
        let listed = Command::new("tar").arg("-tvf").arg(&tar).output().await.unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let (mut files, mut found) = (BTreeSet::new(), BTreeSet::new());
        for line in listed.lines() {
            let mut fields = line.split_whitespace();
            let (mode, size) = (fields.next().unwrap(), fields.nth(1).unwrap());
            let path = fields.nth(2).unwrap().trim_end_matches('/');
            let docker_made = ["dev", "etc", "proc", "sys", ".dockerenv"];
            if docker_made.contains(&path.split('/').next().unwrap()) {
                assert!(size == "0" || mode.starts_with(['l', 'c', 'd']), "{line}");
            } else if mode.starts_with('d') {
                let private = matches!(path, "data" | "state" | "watch");
                assert_eq!(mode, if private { "drwx------" } else { "drwxr-xr-x" }, "{line}");
                found.insert(path);
            } else {
                files.insert(path);
            }
        }
        assert_eq!(files, BTreeSet::from([&*format!("bin/{image}")]), "no shell, no secret");
        assert!(found.iter().eq(dirs), "{listed}");

        // Nothing was given to the build that should not be known.
        let history = docker(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", image]).await;
        for word in ["TOKEN=", "PASSWORD", "SECRET", "BEGIN "] {
            assert!(!history.to_uppercase().contains(word), "{word}: {history}");
        }
    }
}
