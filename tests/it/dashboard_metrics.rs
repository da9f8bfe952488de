//! What Prometheus itself thinks of our metrics, the alert rules, and the questions of the Grafana dashboard.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::Serve;
use crate::support::require::skip;

/// `promtool`, which ends well, with what it is told on standard input.
fn promtool(args: &[&str], input: &[u8]) {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

#[tokio::test]
async fn prometheus_reads_our_metrics_rules_and_questions() {
    let name = "prometheus_reads_our_metrics_rules_and_questions";
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip(name, "promtool", "no promtool");
    }
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let text = serve.rest().bytes("/metrics").await.unwrap();
    promtool(&["check", "metrics"], &text);
    serve.stop().await;

    let grafana = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana");
    let alerts = grafana.join("alerts.yaml");
    promtool(&["check", "rules", alerts.to_str().unwrap()], b"");

    // Each question as a rule, with what Grafana puts in.
    let dashboard = std::fs::read(grafana.join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut rules = String::from("groups:\n  - name: questions\n    rules:\n");
    for (at, target) in targets.enumerate() {
        let expr = target["expr"].as_str().unwrap();
        let expr =
            expr.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$job", ".*");
        rules.push_str(&format!("      - {{record: \"q:{at}\", expr: {}}}\n", Value::from(expr)));
    }
    let file = dir.path().join("questions.yaml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], b"");
}
