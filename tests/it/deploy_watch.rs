//! Prometheus and Grafana of `deploy/compose.yaml --profile watch`: that they are given what they look for, and that
//! Prometheus, where it is installed, really reads a coordinator that is set up like that of the compose file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use simulator::Rest;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::deploy::{service, text};
use crate::support::compose::root;
use crate::support::fixture::wait_for;
use crate::support::process::{PATIENCE, Serve, free_of_settings, muster};
use crate::support::require::skip;

/// What of `deploy` a service of the compose file gets to see, by where.
fn mounts(service: &str) -> BTreeMap<String, PathBuf> {
    let mounted = |line: &str| {
        let mut parts = line.trim().strip_prefix("- ./")?.split(':');
        let (file, place) = (parts.next()?, parts.next()?);
        assert_eq!(parts.next(), Some("ro"), "{line}");
        Some((place.to_owned(), root().join("deploy").join(file)))
    };
    service.lines().filter_map(mounted).collect()
}

/// The words of a list in brackets, or of one item a line, that follows `key`.
fn words(service: &str, key: &str) -> Vec<String> {
    let (_, rest) = service.split_once(&format!("    {key}:")).expect("it has this key");
    if let Some(list) = rest.strip_prefix(" [") {
        let (list, _) = list.split_once(']').expect("the list ends");
        return list.split(", ").map(|word| word.trim_matches('"').to_owned()).collect();
    }
    let items = rest.lines().skip(1).map_while(|line| line.trim().strip_prefix("- "));
    items.map(str::to_owned).collect()
}

#[test]
fn what_prometheus_and_grafana_look_for_is_there() {
    let compose = text("deploy/compose.yaml");
    for (name, image) in [("prometheus", "prom/prometheus:v"), ("grafana", "grafana/grafana:")] {
        let own = service(&compose, name);
        let tag = own.split_once(&format!("image: {image}")).expect("it has an image").1;
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{name}: a tag that stays");
    }
    for name in ["permit", "prometheus", "grafana"] {
        assert_eq!(words(&service(&compose, name), "profiles"), ["watch"], "{name}");
    }
    let prometheus = mounts(&service(&compose, "prometheus"));
    let grafana = mounts(&service(&compose, "grafana"));
    for (place, file) in prometheus.iter().chain(&grafana) {
        assert!(file.is_file(), "{place}: {} is not there", file.display());
    }

    // Grafana: data source and dashboard, where its provisioning looks for them.
    let told = |place: &str| fs::read_to_string(&grafana[place]).unwrap();
    let source = told("/etc/grafana/provisioning/datasources/muster.yaml");
    assert!(source.contains("url: http://prometheus:9090\n") && source.contains("isDefault: true"));
    let (_, path) = told("/etc/grafana/provisioning/dashboards/muster.yaml")
        .split_once("path: ")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .expect("it says where dashboards are");
    let dir = path.split(' ').next().unwrap();
    let dashboard = format!("{dir}/dashboard.json");
    assert!(service(&compose, "grafana").contains(&format!("HOME_DASHBOARD_PATH: {dashboard}\n")));
    let dashboard: Value = serde_json::from_str(&told(&dashboard)).unwrap();
    // Its data source is whichever there is: nobody has to choose.
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables.iter().find(|one| one["type"] == "datasource").unwrap();
    assert_eq!((&source["name"], &source["query"]), (&"source".into(), &"prometheus".into()));
}

/// Prometheus, with its address.
async fn prometheus(config: &Path, data: &Path) -> std::io::Result<(Child, String)> {
    let mut command = free_of_settings(Command::new("prometheus"));
    command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(data);
    command.args(["--web.listen-address", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let listening = async {
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("\"Listening on\" address=") {
                return format!("http://{address}");
            }
            said = format!("{said}{line}\n");
        }
        panic!("{said}");
    };
    let address = timeout(PATIENCE, listening).await.expect("it says where it listens");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_a_coordinator_with_tls_and_tokens() {
    let name = "prometheus_reads_a_coordinator_with_tls_and_tokens";
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let compose = text("deploy/compose.yaml");
    let here = |text: &str| text.replace("/watch/", &format!("{}/", dir.path().display()));

    // A coordinator as the compose file sets it up, and the token that its service makes, which it does once.
    let mut certificate = muster();
    certificate.args(["config", "certificate", "--name", "127.0.0.1", "--cert"]);
    certificate.arg(path("cert.pem")).arg("--key").arg(path("key.pem"));
    let made = certificate.arg("--ca").arg(path("ca.pem")).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = muster();
    command.env("MUSTER_LOG", "error").env("MUSTER_AUTH", "tokens");
    command.env("MUSTER_TLS_CERT", path("cert.pem")).env("MUSTER_TLS_KEY", path("key.pem"));
    let serve = Serve::start_with(command, &path("data")).await;
    let permit = async || {
        let mut command = muster();
        command.args(words(&service(&compose, "permit"), "command").iter().map(|word| here(word)));
        command.env("MUSTER_URL", serve.http()).env("MUSTER_CA_FILE", path("ca.pem"));
        command.env("MUSTER_TOKEN_FILE", path("data/admin.token"));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.stdout, fs::read_to_string(path("muster.token")).unwrap())
    };
    let (said, token) = permit().await;
    assert!(token.starts_with("mst_") && !String::from_utf8(said).unwrap().contains(token.trim()));
    assert_eq!(permit().await.1, token, "the second time it has nothing to do");

    // The configuration as it stands, but for where things are.
    let config = here(&text("deploy/grafana/prometheus.yaml"))
        .replace("/fleet/ca.pem", &path("ca.pem").display().to_string())
        .replace("coordinator:7400", serve.http().trim_start_matches("https://"))
        .replace("scrape_interval: 10s", "scrape_interval: 1s")
        .replace("evaluation_interval: 10s", "evaluation_interval: 1s");
    fs::write(path("prometheus.yaml"), &config).unwrap();
    fs::copy(root().join("deploy/grafana/alerts.yaml"), path("alerts.yaml")).unwrap();
    let mut check = Command::new("promtool");
    let Ok(checked) = check.args(["check", "config"]).arg(path("prometheus.yaml")).output().await
    else {
        return skip(name, "promtool", "no promtool");
    };
    let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(checked.status.success(), "{said}");
    let Ok((mut child, address)) = prometheus(&path("prometheus.yaml"), &path("tsdb")).await else {
        return skip(name, "promtool", "promtool is there, but no prometheus");
    };
    let rest = Rest::new(&address);
    let up = |answer: &Value| (answer["data"]["activeTargets"][0]["health"] == "up").then_some(());
    wait_for(&rest, "/api/v1/targets", up).await;
    let ready =
        |answer: &Value| answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned);
    let ready = wait_for(&rest, "/api/v1/query?query=muster_ready%7Bjob%3D%22muster%22%7D", ready);
    assert_eq!(ready.await, "1");
    let rules: Value = rest.get("/api/v1/rules").await.unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().len();
    assert_eq!(rules, text("deploy/grafana/alerts.yaml").matches("- alert: ").count());
    child.kill().await.unwrap();
    serve.stop().await;
}
