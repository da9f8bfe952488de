//! The metrics of a small world: what happens is counted, and the text is what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use federation::{RefusalCode, RunId, Timestamp};

use super::{Answered, Refused, RefusedUpdate};
use crate::testing::{World, plan, update};

/// Samples by name and labels, and the type of each name.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut samples, mut types, mut told) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 10, "{line}");
            assert!(told.insert(name.to_owned()), "{name} is told of twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    assert_eq!(told, types.keys().cloned().collect());
    (samples, types)
}

#[tokio::test]
async fn what_happens_is_counted() {
    let mut world = World::new().await;
    let (samples, types) = parse(&super::text(&world.core).await.unwrap());
    assert_eq!(samples["muster_updates_total{outcome=\"counted\"}"], 0.0);
    assert_eq!(samples["muster_ready"], 1.0);
    // Names as Prometheus wants them: counters end in _total, units are base units.
    for (name, kind) in &types {
        assert!(name.starts_with("muster_") || name.starts_with("process_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}: {kind}");
        assert!(
            !["_ms", "_us", "_kib", "_mib", "_minutes"].iter().any(|unit| name.ends_with(unit)),
            "{name}"
        );
    }
    let node = world.enrol("a").await;
    world.run("m", plan(1, 2)).await;
    world.tick().await;
    let order = world.order(&node).await;
    let (candidate, payload) = update(&order, &node, 1);
    world.push(&candidate, &payload).await.unwrap();
    world.push(&candidate, &payload).await.unwrap();
    let (other, payload) = update(&order, &node, 2);
    assert_eq!(world.push(&other, &payload).await.unwrap_err().code, RefusalCode::UpdateConflict);
    world.tick().await;
    let (samples, _) = parse(&super::text(&world.core).await.unwrap());
    let of = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(of("muster_updates_total{outcome=\"counted\"}"), 1.0);
    assert_eq!(of("muster_updates_total{outcome=\"again\"}"), 1.0);
    assert_eq!(of("muster_updates_total{outcome=\"update_conflict\"}"), 1.0);
    assert_eq!(of("muster_update_bytes_total"), 4.0);
    assert_eq!(of("muster_rounds_total{outcome=\"published\"}"), 1.0);
    assert_eq!(of("muster_round_open_seconds_count"), 1.0);
    assert_eq!(of("muster_model_version{model=\"m\"}"), 2.0);
    assert_eq!(of("muster_runs{state=\"running\"}"), 1.0);
    assert_eq!(of("muster_nodes_enrolled"), 1.0);
    assert_eq!(of("muster_tx_seconds_count{tx=\"count_group\"}"), 1.0);
    assert_eq!(of("muster_invariant_violations_total{id=\"INV-1\"}"), 0.0);
    assert!(of("muster_database_size_bytes") > 4096.0);
    let refused = world.core.metrics.refused.of_run(RunId(1));
    assert_eq!(refused, BTreeMap::from([(RefusalCode::UpdateConflict, 1)]));
    assert_eq!(world.core.metrics.refused.last()[0].node, node);
}

#[tokio::test]
async fn whoever_asks_makes_up_no_labels() {
    let world = World::new().await;
    for method in ["BREW", "GET", "get", "WHEN"] {
        let took = std::time::Duration::ZERO;
        world.core.metrics.request(Answered { method, route: None, status: 404, took });
    }
    let (samples, _) = parse(&super::text(&world.core).await.unwrap());
    let of = |method: &str| {
        let labels = format!("{{method=\"{method}\",route=\"none\",status=\"404\"}}");
        samples[&format!("muster_http_requests_total{labels}")]
    };
    assert_eq!((of("GET"), of("other")), (1.0, 3.0));
}

#[test]
fn refusals_are_remembered_within_bounds() {
    let refused = Refused::default();
    let one = |run: u64, code| RefusedUpdate {
        node: "a".parse().unwrap(),
        round: federation::RoundRef { run: RunId(run), number: 1, attempt: 1 },
        code,
        at: Timestamp(run),
    };
    for run in 1..=1_000 {
        refused.note(one(run, RefusalCode::RoundFull));
    }
    refused.note(one(5_000, RefusalCode::UnknownRound));
    assert_eq!(refused.last().len(), super::refused::LAST_MAX);
    assert_eq!(refused.last()[0].at, Timestamp(5_000), "the newest first");
    assert!(refused.of_run(RunId(1)).is_empty() && refused.of_run(RunId(5_000)).is_empty());
    assert_eq!(refused.of_run(RunId(1_000)), BTreeMap::from([(RefusalCode::RoundFull, 1)]));
}

/// A world in which everything was counted once, so that every name has a sample.
async fn everything() -> (BTreeMap<String, f64>, BTreeMap<String, String>, String) {
    let mut world = World::new().await;
    let node = world.enrol("a").await;
    world.run("m", plan(1, 2)).await;
    world.tick().await;
    let order = world.order(&node).await;
    let (candidate, payload) = update(&order, &node, 1);
    world.push(&candidate, &payload).await.unwrap();
    let (model, name) = ("m".parse().unwrap(), "stable".parse().unwrap());
    let setup = crate::store::Setup {
        guard: None,
        steps: federation::channel::Steps::default(),
        selector: federation::Selector::default(),
        auto: false,
        approval: false,
        evaluate_samples: 1,
    };
    let version = crate::store::Which::Latest;
    let new = crate::store::NewChannel { model, name, version, setup };
    let store = &world.core.store;
    crate::testing::done(Timestamp(1), |deed| store.create_channel(new, deed))
        .await
        .unwrap()
        .unwrap();
    let metrics = &world.core.metrics;
    let took = std::time::Duration::ZERO;
    metrics.request(Answered { method: "GET", route: Some("/"), status: 200, took });
    metrics.call("PushUpdate", "Ok");
    metrics.evaluation("recorded");
    store.timings().failed("count_group", "full");
    let text = super::text(&world.core).await.unwrap();
    let (samples, types) = parse(&text);
    (samples, types, text)
}

fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Labels of a sample, but for those of a histogram's own.
fn labels(sample: &str) -> BTreeSet<String> {
    let inside = sample.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    let names = inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|pair| pair.0);
    names.filter(|name| *name != "le").map(str::to_owned).collect()
}

/// `BLESS=1` writes the table anew.
#[tokio::test]
async fn the_documentation_lists_every_metric() {
    let (samples, types, text) = everything().await;
    let mut table = String::from("| metric | type | labels | what it is |\n|---|---|---|---|\n");
    let mut lines: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    lines.sort_unstable();
    for line in lines {
        let (name, help) = line.split_once(' ').unwrap();
        let of = |sample: &&String| {
            let base = sample.split('{').next().unwrap_or_default();
            [name.to_owned(), format!("{name}_bucket")].contains(&base.to_owned())
        };
        let sample = samples.keys().find(of).unwrap_or_else(|| panic!("{name} has no sample"));
        let labels: Vec<_> = labels(sample).into_iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!(
            "| `{name}` | {} | {} | {help} |\n",
            types[name],
            labels.join(", ")
        ));
    }
    let file = root().join("docs/reference/metrics.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end of the table -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (there, after) = rest.split_once(end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(there, table, "BLESS=1 writes it anew");
    }
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("muster_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_grafana_and_the_alerts_ask_for_exists() {
    let (samples, ..) = everything().await;
    let known: BTreeSet<&str> =
        samples.keys().map(|sample| sample.split('{').next().unwrap_or_default()).collect();
    let dashboard = std::fs::read_to_string(root().join("deploy/grafana/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let asked: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let alerts = std::fs::read_to_string(root().join("deploy/grafana/alerts.yaml")).unwrap();
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(asked.len() > 30 && rules.len() > 10, "{} {}", asked.len(), rules.len());
    for rule in &rules {
        for part in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{rule} has no {part}");
        }
    }
    for text in asked.into_iter().chain(rules) {
        for name in names(text) {
            assert!(known.contains(&*name), "{name} is asked for and does not exist: {text}");
        }
    }
    // Every name but those of the process is looked at by somebody.
    let shown = names(&dashboard.to_string());
    for name in ["muster_updates_total", "muster_run_round_updates", "muster_channel_version"] {
        assert!(known.contains(name));
    }
    assert!(shown.len() > 25, "{shown:?}");
}
