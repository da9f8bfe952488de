//! A node in another language: generated from our proto by its own tools, it takes part in a round.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::fixture;
use crate::support::process::Serve;
use crate::support::python::python;
use crate::support::require::skip;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_python_node_enrols_fetches_and_pushes() {
    let Some(python) = python("grpc, grpc_tools.protoc") else {
        return skip(
            "a_python_node_enrols_fetches_and_pushes",
            "python",
            "no python3 with grpcio-tools",
        );
    };
    let dir = tempfile::tempdir().unwrap();
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    run(Command::new(&python)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .arg("--python_out")
        .arg(dir.path())
        .arg("--grpc_python_out")
        .arg(dir.path())
        .arg("muster/fleet/v1/fleet.proto"));

    let serve = Serve::start(&dir.path().join("data")).await;
    let rest = serve.rest();
    fixture::post_model(&rest, "plain", &fixture::plain_artifact(14_200)).await;
    let run_id = fixture::post_run(&rest, "plain", &fixture::open_plan(1)).await;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/python/node.py");
    let address = serve.grpc().trim_start_matches("http://").to_owned();
    let generated = dir.path().to_owned();
    let output = tokio::task::spawn(async move {
        tokio::process::Command::new(&python)
            .arg(script)
            .arg(generated)
            .arg(address)
            .arg("py-1")
            .output()
            .await
    });
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(seen["node_id"], "py-1");
    assert_eq!(seen["round"], json!([run_id, 1, 1]));
    assert_eq!(seen["refused"], "samples_out_of_range");
    assert_eq!(seen["conflict"], "update_conflict");
    assert_eq!(seen["evaluation"], "recorded");
    assert_eq!(seen["malformed"], "INVALID_ARGUMENT");
    assert_eq!(seen["relayed"], json!(["recorded", 3]), "3 is INVALID_ARGUMENT");

    // Its delta is in the next version: 1 in every seventh weight.
    let version = fixture::wait_version(&rest, "plain", 2).await;
    assert_eq!(version["updates"], 1);
    let bytes = rest.bytes("/v1/models/plain/versions/2/artifact").await.unwrap();
    let artifact = federation::Artifact::parse(&bytes).unwrap();
    assert!(artifact.weights().iter().enumerate().all(|(lane, &w)| w == i8::from(lane % 7 == 0)));
    serve.stop().await;
}
