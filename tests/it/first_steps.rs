//! From nothing to a fleet that learns, by the commands that the one-shot services of `deploy/compose.yaml` are: each does
//! its work once, however often it is called.

use std::path::Path;

use serde_json::Value;
use simulator::{Access, Rest};
use tokio::process::Command;

use crate::support::fixture::wait_run;
use crate::support::process::{Serve, muster};

/// What a command said, and its exit status.
async fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn certificate(dir: &Path) {
    let mut command = muster();
    command.args(["config", "certificate", "--name", "localhost", "--name", "127.0.0.1"]);
    for file in ["cert", "key", "ca"] {
        command.arg(format!("--{file}")).arg(dir.join(format!("{file}.pem")));
    }
    let (status, said) = ended(&mut command).await;
    assert_eq!(status, Some(0), "{said}");
}

/// `muster healthcheck` of a coordinator at `http` that shows the certificate in `cert`.
async fn health(http: &str, cert: &Path, key: &Path) -> (Option<i32>, String) {
    let mut command = muster();
    command.args(["healthcheck", "--http-listen", http.trim_start_matches("https://")]);
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    ended(&mut command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ca) = (dir.path().join("data"), dir.path().join("ca.pem"));
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    certificate(dir.path()).await;
    let first = std::fs::read(&ca).unwrap();
    certificate(dir.path()).await;
    assert_eq!(std::fs::read(&ca).unwrap(), first, "it is kept");

    let mut command = muster();
    command.env("MUSTER_LOG", "error").env("MUSTER_AUTH", "tokens");
    command.env("MUSTER_TLS_CERT", &cert).env("MUSTER_TLS_KEY", &key);
    let serve = Serve::start_by(command, &data, "127.0.0.1:0", "127.0.0.1:0").await;
    let (status, said) = health(serve.http(), &cert, &key).await;
    assert_eq!(status, Some(0), "{said}");
    let other = tempfile::tempdir().unwrap();
    certificate(other.path()).await;
    let others = (other.path().join("cert.pem"), other.path().join("key.pem"));
    let (status, said) = health(serve.http(), &others.0, &others.1).await;
    assert_eq!(status, Some(69), "it shows another certificate: {said}");
    assert!(said.contains("error[coordinator_unreachable]"), "{said}");

    let token_file = data.join("admin.token");
    let client = |words: &[&str]| {
        let mut command = muster();
        command.args(words).env("MUSTER_URL", serve.http()).env("MUSTER_CA_FILE", &ca);
        command.env("MUSTER_TOKEN_FILE", &token_file);
        command
    };
    let invitation = dir.path().join("enrol.token");
    let invite = async || {
        let words = ["fleet", "token", "create", "--name", "all", "--uses", "2", "--out"];
        let (status, said) = ended(client(&words).arg(&invitation)).await;
        assert_eq!(status, Some(0), "{said}");
        let token = std::fs::read_to_string(&invitation).unwrap();
        assert!(!said.contains(token.trim()), "the file alone has it: {said}");
        token
    };
    let made = invite().await;
    assert_eq!(invite().await, made, "it lets nodes in: it is kept");
    let (status, said) = ended(&mut client(&["fleet", "token", "revoke", "1"])).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(invite().await.starts_with("mse_2_"), "that one does not any more");

    // Two nodes, started alike.
    let states = dir.path().join("states");
    let node = || {
        let mut node = muster();
        node.args(["node", "--coordinator", serve.grpc(), "--ca-file"]).arg(&ca);
        node.arg("--states").arg(&states).arg("--enrol-token-file").arg(&invitation);
        node.spawn().unwrap()
    };
    let _fleet = [node(), node()];
    let teach = async || {
        let words =
            ["fleet", "teach", "--nodes-min", "2", "--open-at", "https://here/", "--sign-in", "so"];
        let (status, said) = ended(&mut client(&words)).await;
        assert_eq!(status, Some(0), "{said}");
        for told in ["dashboard  https://here/\n", "https://here/docs\n", "a token    so"] {
            assert!(said.contains(told), "{told}: {said}");
        }
        said
    };
    let said = teach().await;
    assert!(said.contains("Run 1 of navigation is") && said.contains("2 nodes a round"), "{said}");
    let token = std::fs::read_to_string(&token_file).unwrap().trim().to_owned();
    let url = serve.http().to_owned();
    let rest = Rest::connect(&Access { url, ca_file: Some(ca.clone()), token: Some(token) });
    let rest = rest.unwrap();
    assert_eq!(wait_run(&rest, 1).await["state"], "completed");
    let said = teach().await;
    assert!(said.contains("Run 1 of navigation is completed"), "{said}");
    let runs: Value = rest.get("/v1/runs").await.unwrap();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "nothing is taught twice");
    assert!(states.join("1/identity").exists() && states.join("2/identity").exists());

    let http = serve.http().to_owned();
    serve.stop().await;
    assert_eq!(health(&http, &cert, &key).await.0, Some(69), "nobody is there");
}
