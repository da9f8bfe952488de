//! Tokens from the first start to a revoked node, with the programs that people start.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Access, Rest, RestError};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::support::process::{Serve, muster};

/// A client of `serve` that shows `token`.
fn client(serve: &Serve, token: &str) -> Rest {
    let access =
        Access { url: serve.http().to_owned(), ca_file: None, token: Some(token.to_owned()) };
    Rest::connect(&access).unwrap()
}

async fn start(data_dir: &Path) -> Serve {
    let mut command = muster();
    command.env("MUSTER_LOG", "error").env("MUSTER_AUTH", "tokens");
    Serve::start_by(command, data_dir, "127.0.0.1:0", "127.0.0.1:0").await
}

fn node(serve: &Serve, state: &Path) -> Command {
    let mut command = muster();
    command.args(["node", "--name", "device", "--coordinator", serve.grpc(), "--state"]).arg(state);
    command.stderr(Stdio::piped());
    command
}

/// Waits for the end of a node; its exit status and what it said.
async fn ended(node: Child) -> (Option<i32>, String) {
    let ended = timeout(Duration::from_secs(60), node.wait_with_output()).await;
    let output = ended.expect("it ends by itself").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Looks at the node until `wanted`.
async fn wait_for(rest: &Rest, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let nodes: Value = rest.get("/v1/nodes").await.unwrap();
        if wanted(&nodes["items"][0]) {
            return nodes["items"][0].clone();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the node did not come");
}

#[tokio::test]
async fn a_fleet_behind_tokens_from_its_first_start_to_a_revoked_node() {
    let dir = tempfile::tempdir().unwrap();
    let (data, state) = (dir.path().join("data"), dir.path().join("node"));

    // The first token, before the first start; what is printed is the token and nothing else.
    let mut create = muster();
    create.args(["token", "create", "--name", "me", "--scope", "admin", "--data-dir"]).arg(&data);
    let made = create.output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let admin = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
    let serve = start(&data).await;
    assert!(!data.join("admin.token").exists(), "there is one that holds");
    let busy = create.output().await.unwrap();
    assert_eq!(busy.status.code(), Some(75), "the coordinator runs");

    let nobody = serve.rest().get::<Value>("/v1/nodes").await.unwrap_err();
    assert!(
        matches!(&nobody, RestError::Refused { code, .. } if code == "unauthenticated"),
        "{nobody:?}"
    );
    let rest = client(&serve, &admin);

    // Without an enrolment token a node ends, and says what to do.
    let (status, said) = ended(node(&serve, &state).spawn().unwrap()).await;
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("error[enrolment_token_needed]"), "{said}");

    let line = json!({"name": "line", "labels": {"site": "ams"}});
    let token: Value = rest.post("/v1/enrolment-tokens", &line).await.unwrap();
    let file = dir.path().join("line.token");
    std::fs::write(&file, token["token"].as_str().unwrap()).unwrap();
    let mut first = node(&serve, &state).arg("--enrol-token-file").arg(&file).spawn().unwrap();
    let shown = wait_for(&rest, |node| node["id"] == "device").await;
    assert_eq!((&shown["labels"]["site"], &shown["revoked_at_ms"]), (&json!("ams"), &Value::Null));
    wait_for(&rest, |node| !node["status"].is_null()).await;

    // It starts again without the token.
    first.kill().await.unwrap();
    let second = node(&serve, &state).spawn().unwrap();
    let seen = shown["seen_at_ms"].as_u64();
    wait_for(&rest, |node| node["seen_at_ms"].as_u64() > seen).await;

    let revoked: Value = rest.post("/v1/nodes/device/revoke", &json!({})).await.unwrap();
    assert!(revoked["revoked_at_ms"].is_u64(), "{revoked}");
    let (status, said) = ended(second).await;
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("error[node_revoked]"), "{said}");
    serve.stop().await;
}
