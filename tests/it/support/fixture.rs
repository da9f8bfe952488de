//! Models, plans and waiting, for tests that talk to a coordinator over REST.

use std::time::Duration;

use federation::{Artifact, Layout, Tensor};
use serde_json::{Value, json};
use simulator::{Rest, RestError};

/// A model of `weights` zeros that no node has to understand.
pub(crate) fn plain_artifact(weights: u32) -> Artifact {
    let tensor = Tensor { name: "w".to_owned(), rows: 1, cols: weights, min: -128, max: 127 };
    let layout = Layout::new(vec![tensor]).unwrap();
    Artifact::new("reckon/1", layout, Vec::new(), vec![0; usize::try_from(weights).unwrap()])
        .unwrap()
}

/// One round, open to any `goal` nodes, without a deadline that matters.
pub(crate) fn open_plan(goal: u32) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "rounds": 1,
        "cohort": {"goal": goal, "quorum": goal, "over_selection": 1.0, "deadline_ms": 600_000},
        "local": {"samples": 10},
        "seed": 1,
    })
}

/// A reproducible navigation run of `rounds` rounds over the nodes `names`.
pub(crate) fn navigation_plan(names: &[String], rounds: u32, samples: u32) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.5, "weighting": "samples"},
        "rounds": rounds,
        "cohort": {"goal": names.len(), "quorum": 1, "deadline_ms": 600_000, "nodes": names},
        "local": {"samples": samples, "evaluate_samples": 1},
        "seed": 7,
        "reproducible": true,
    })
}

/// Makes a model.
pub(crate) async fn post_model(rest: &Rest, name: &str, artifact: &Artifact) -> Value {
    rest.create_model(name, artifact).await.unwrap()
}

/// Starts a run and returns its id.
pub(crate) async fn post_run(rest: &Rest, model: &str, plan: &Value) -> u64 {
    let run: Value = rest.post("/v1/runs", &json!({"model": model, "plan": plan})).await.unwrap();
    run["id"].as_u64().unwrap()
}

/// Asks for `path` until `found` makes something of the answer. The coordinator may be away in between.
pub(crate) async fn wait_for<T>(
    rest: &Rest,
    path: &str,
    mut found: impl FnMut(&Value) -> Option<T>,
) -> T {
    let mut last = Value::Null;
    for _ in 0..6000 {
        match rest.get::<Value>(path).await {
            Ok(value) => {
                if let Some(result) = found(&value) {
                    return result;
                }
                last = value;
            }
            Err(RestError::Unreachable { .. } | RestError::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        // The pause between two questions; what is waited for is the answer.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never said what was waited for; last: {last:#}");
}

/// Waits until a version exists.
pub(crate) async fn wait_version(rest: &Rest, model: &str, number: u64) -> Value {
    let path = format!("/v1/models/{model}/versions/{number}");
    wait_for(rest, &path, |version| Some(version.clone())).await
}

/// Waits until a run has ended, and returns it.
pub(crate) async fn wait_run(rest: &Rest, id: u64) -> Value {
    let ended = |run: &Value| {
        matches!(run["state"].as_str(), Some("completed" | "failed")).then(|| run.clone())
    };
    wait_for(rest, &format!("/v1/runs/{id}"), ended).await
}

/// All version digests of a model, in order.
pub(crate) async fn digests(rest: &Rest, model: &str) -> Vec<String> {
    let list: Value = rest.get(&format!("/v1/models/{model}/versions?limit=1000")).await.unwrap();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|version| version["digest"].as_str().unwrap().to_owned()).collect()
}
