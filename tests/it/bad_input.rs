//! What people get wrong, told by the process: what, where and why, with a stable code, and nothing else changes.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;
use simulator::RestError;

use crate::support::fixture::{navigation_plan, open_plan, plain_artifact, post_model};
use crate::support::process::{Serve, muster};

async fn serve(args: &[&str]) -> Output {
    muster()
        .arg("serve")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap()
}

/// Checks that a command fails and that its error names `code` and each of `says`.
fn fails(output: &Output, code: &str, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it did not fail");
    assert!(text.contains(&format!("[{code}]")), "wanted {code}, got: {text}");
    for word in says {
        assert!(text.contains(word), "wanted `{word}` in: {text}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = serve(&[
        "--data-dir",
        text(dir.path()),
        "--http-listen",
        &address,
        "--grpc-listen",
        "127.0.0.1:0",
    ])
    .await;
    fails(&output, "address_in_use", &[&address, "--http-listen"]);
    let output = serve(&[
        "--data-dir",
        text(dir.path()),
        "--http-listen",
        "127.0.0.1:0",
        "--grpc-listen",
        &address,
    ])
    .await;
    fails(&output, "address_in_use", &[&address, "--grpc-listen"]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let below = file.join("data");
    let output = serve(&["--data-dir", text(&below)]).await;
    fails(&output, "data_dir_unwritable", &[text(&below)]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a directory");

    let output = muster().args(["demo", "--report", text(&below)]).output().await.unwrap();
    fails(&output, "file_not_writable", &[text(&below)]);
    let output = muster().args(["node", "--state", text(&below)]).output().await.unwrap();
    fails(&output, "state_dir_unusable", &[text(&below)]);
}

#[tokio::test]
async fn an_address_that_is_not_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let output = serve(&["--data-dir", text(dir.path()), "--http-listen", "0.0.0.0:0"]).await;
    fails(&output, "address_not_loopback", &["0.0.0.0:0", "--http-listen"]);
}

#[tokio::test]
async fn a_data_directory_in_use_and_one_that_holds_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let first = Serve::start(dir.path()).await;
    let ports = ["--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"];
    let output = serve(&[&["--data-dir", text(dir.path())][..], &ports].concat()).await;
    fails(&output, "data_dir_in_use", &[text(dir.path())]);
    first.stop().await;

    let other = tempfile::tempdir().unwrap();
    let database = std::fs::read_dir(dir.path())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().path().file_name().map(|name| name.to_string_lossy().into_owned())
        })
        .find(|name| name.ends_with(".db") || name.ends_with(".sqlite"))
        .expect("the coordinator keeps a database");
    std::fs::write(
        other.path().join(&database),
        "this is not a database, and long enough to see that it is not",
    )
    .unwrap();
    let output = serve(&[&["--data-dir", text(other.path())][..], &ports].concat()).await;
    fails(&output, "database_invalid", &[&database]);
}

#[tokio::test]
async fn mistakes_in_a_nodes_settings_are_told_together() {
    let output = muster()
        .args([
            "node",
            "--coordinator",
            "ftp://nowhere",
            "--name",
            "Not A Name",
            "--data",
            "sonar",
            "--label",
            "x",
        ])
        .output()
        .await
        .unwrap();
    fails(&output, "config_invalid", &["--coordinator", "--name", "--data", "--label"]);
}

#[tokio::test]
async fn data_that_is_not_there_or_not_what_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let output = muster().args(["demo", "--data", "sonar"]).output().await.unwrap();
    fails(&output, "data_unknown", &["sonar"]);
    let source = format!("reckon:{}", dir.path().display());
    let output = muster().args(["demo", "--data", &source]).output().await.unwrap();
    fails(&output, "data_unreadable", &["dataset_cueAcc_train.dat"]);
    std::fs::write(dir.path().join("dataset_cueAcc_train.dat"), "1\n99, 3\n").unwrap();
    let output = muster().args(["demo", "--data", &source]).output().await.unwrap();
    fails(&output, "aer_address_out_of_range", &["dataset_cueAcc_train.dat", "line 2", "99"]);
}

async fn refused(result: Result<serde_json::Value, RestError>) -> (u16, String, String) {
    match result {
        Err(RestError::Refused { status, code, detail, .. }) => (status.as_u16(), code, detail),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_plan_with_an_unknown_field_or_impossible_values() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path()).await;
    let rest = serve.rest();
    post_model(&rest, "plain", &plain_artifact(16)).await;

    let mut plan = open_plan(1);
    plan["cohort"]["gaol"] = json!(3);
    let (status, code, detail) =
        refused(rest.post("/v1/runs", &json!({"model": "plain", "plan": plan})).await).await;
    assert_eq!((status, code.as_str()), (422, "unknown_field"));
    assert!(detail.contains("gaol"), "{detail}");

    let mut plan = navigation_plan(&["a".to_owned()], 1, 1);
    plan["cohort"]["goal"] = json!(2);
    plan["rounds"] = json!(0);
    let (status, code, _) =
        refused(rest.post("/v1/runs", &json!({"model": "plain", "plan": plan})).await).await;
    assert_eq!((status, code.as_str()), (422, "invalid_plan"));

    let (status, code, _) =
        refused(rest.post("/v1/runs", &json!({"model": "none", "plan": open_plan(1)})).await).await;
    assert_eq!((status, code.as_str()), (404, "model_not_found"));
    let runs: serde_json::Value = rest.get("/v1/runs").await.unwrap();
    assert_eq!(runs["items"], json!([]), "nothing else changed");
    serve.stop().await;
}

/// A full disk, made of a database that may not grow: SQLite says the same in both cases.
#[tokio::test]
async fn a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut child = muster()
        .args(["serve", "--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"])
        .args(["--database-size-max-mib", "1", "--data-dir", text(&data)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
    let rest = simulator::Rest::new(line.trim_start_matches("REST").trim());
    post_model(&rest, "small", &plain_artifact(16)).await;
    let (status, code, _) =
        refused(rest.create_model("large", &plain_artifact(2_000_000)).await).await;
    assert_eq!((status, code.as_str()), (507, "storage_full"));
    let models: serde_json::Value = rest.get("/v1/models").await.unwrap();
    let names: Vec<_> =
        models["items"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, ["small"], "nothing else changed");
    post_model(&rest, "another", &plain_artifact(16)).await;
    child.kill().await.unwrap();
}
