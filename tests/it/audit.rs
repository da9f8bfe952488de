//! `muster audit` on the database of a coordinator that trained a model: verify, replay, export, prune.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use simulator::demo::navigation_artifact;

use crate::support::fixture::{navigation_plan, post_model, post_run, wait_run};
use crate::support::process::{Serve, muster, node};

async fn audit(args: &[&str], file: &Path) -> Output {
    let mut command = muster();
    command.arg("audit").args(args).arg("--database").arg(file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap()
}

/// Runs `muster audit`, which ends with `status`, and returns what it says.
async fn says(args: &[&str], file: &Path, status: i32) -> String {
    let output = audit(args, file).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same with `--json`.
async fn finds(args: &[&str], file: &Path, status: i32) -> Value {
    let said = says(&[args, &["--json"]].concat(), file, status).await;
    serde_json::from_str(&said).unwrap()
}

#[tokio::test]
async fn a_run_can_be_verified_replayed_exported_and_pruned_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = data.join("coordinator.db");
    let serve = Serve::start(&data).await;
    let rest = serve.rest();
    post_model(&rest, "navigation", &navigation_artifact(1)).await;
    let names = ["a".to_owned(), "b".to_owned()];
    let _nodes = [node(dir.path(), serve.grpc(), "a", 1), node(dir.path(), serve.grpc(), "b", 2)];
    let run = post_run(&rest, "navigation", &navigation_plan(&names, 3, 2)).await;
    assert_eq!(wait_run(&rest, run).await["state"], "completed");
    let list: Value = rest.get("/v1/models/navigation/versions").await.unwrap();

    // While the coordinator runs.
    let found = finds(&["verify"], &file, 0).await;
    assert_eq!((&found["verdict"], &found["versions"]["as_told"]), (&json!("ok"), &json!(4)));
    let head = found["head"].as_str().unwrap().to_owned();
    let output = audit(&["prune", "--before", "0"], &file).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{errors}");
    assert!(errors.contains("error[data_dir_in_use]"), "{errors}");
    // And as a crash leaves the file, its last transactions in the write-ahead log beside it.
    serve.kill().await;
    assert!(data.join("coordinator.db-wal").exists());
    let found = finds(&["replay", "--model", "navigation"], &file, 0).await;
    let versions = found["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 4);
    for (index, version) in versions.iter().enumerate() {
        assert_eq!((&version["number"], &version["outcome"]), (&json!(index + 1), &json!("ok")));
    }
    let text = says(&["replay"], &file, 0).await;
    assert!(text.contains("navigation/4: ok: run 1, round 3 gives the same bytes\n"), "{text}");
    assert!(text.ends_with("4 of 4 versions are the same.\n"), "{text}");

    let text = says(&["verify", "--head", &head], &file, 0).await;
    assert!(text.contains("The head given is in the log"), "{text}");
    let text = says(&["verify", "--head", &"0f".repeat(32)], &file, 1).await;
    assert!(text.starts_with("broken: ") && text.contains("written anew"), "{text}");

    let lines = says(&["export"], &file, 0).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(u64::try_from(lines.len()).unwrap(), found_entries(&file).await);
    let published: Vec<&Value> =
        lines.iter().filter(|line| line["action"] == "version.published").collect();
    for (line, version) in published.iter().zip(&list["items"].as_array().unwrap()[1..]) {
        let detail: Value = serde_json::from_str(line["detail"].as_str().unwrap()).unwrap();
        assert_eq!(line["previous"], version["audit_head"]);
        assert_eq!(detail["digest"], version["digest"]);
        assert_eq!(detail["plan_digest"], version["plan_digest"]);
    }
    assert_eq!(published.len(), 3);

    let pruned = finds(&["prune", "--before", "2999-01-01T00:00:00Z"], &file, 0).await;
    assert_eq!(pruned, json!({"pruned": lines.len()}));
    let text = says(&["verify", "--head", &head], &file, 3).await;
    assert!(text.starts_with("pruned: "), "{text}");
    assert_eq!(finds(&["replay"], &file, 0).await["versions"].as_array().unwrap().len(), 4);
}

async fn found_entries(file: &Path) -> u64 {
    finds(&["verify"], file, 0).await["entries"].as_u64().unwrap()
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("coordinator.db");
    let fails = async |args: &[&str], status: i32, says: &str| {
        let output = audit(args, &file).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{errors}");
        assert!(errors.contains(says), "{errors}");
    };
    for command in ["verify", "replay", "export"] {
        fails(&[command], 66, "error[database_missing]").await;
    }
    fails(&["prune", "--before", "yesterday"], 64, "error[invalid_time]").await;
    fails(&["verify", "--head", "zz"], 2, "not a SHA-256 digest").await;
    std::fs::write(&file, [7; 4_096]).unwrap();
    fails(&["verify"], 65, "error[database_invalid]").await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}
