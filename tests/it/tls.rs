//! TLS between real processes and real clients: who trusts whom, what they are told, and a new certificate under way.

use std::path::Path;
use std::time::Duration;

use agent::uplink::{Address, Retry, Trust, Uplink, UplinkError};
use federation::{Digest, Enrolment};
use serde_json::Value;
use simulator::{Access, Rest, RestError};
use tokio::time::timeout;

use crate::support::fixture::wait_for;
use crate::support::process::{Serve, muster};

/// Writes a new certificate and its key.
fn write_pair(dir: &Path) {
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
}

fn access(serve: &Serve, ca_file: &Path) -> Access {
    Access { url: serve.http().to_owned(), ca_file: Some(ca_file.to_owned()), token: None }
}

async fn enrol(address: &str, trust: Trust) -> Result<(), UplinkError> {
    let enrolment = Enrolment {
        public_key: Digest::of(b"a").0,
        node: "a".parse().unwrap(),
        labels: [].into(),
        learners: vec!["reckon/1".to_owned()],
        proof: None,
    };
    let address = Address::parse(address).unwrap().trusting(trust);
    Uplink::connect(&address).enrol(&enrolment).await.map(|answer| drop(answer.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_people_trust_the_file_they_are_given_and_a_hang_up_renews_it() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    write_pair(dir.path());
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let first = dir.path().join("first.pem");
    std::fs::copy(&cert, &first).unwrap();
    let config = dir.path().join("muster.toml");
    std::fs::write(&config, format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n")).unwrap();
    let mut command = muster();
    command.env("MUSTER_CONFIG", &config);
    let (serve, mut log) = Serve::start_read(command, &data_dir).await;
    assert!(serve.http().starts_with("https://") && serve.grpc().starts_with("https://"));

    let rest = Rest::connect(&access(&serve, &first)).unwrap();
    let mut node = muster();
    node.args(["node", "--coordinator", serve.grpc(), "--name", "n"])
        .arg("--ca-file")
        .arg(&first)
        .arg("--state")
        .arg(dir.path().join("node"));
    let _node = node.spawn().unwrap();
    wait_for(&rest, "/v1/nodes", |nodes| (nodes["items"][0]["id"] == "n").then_some(())).await;

    let error = enrol(serve.grpc(), Trust::default()).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("certificate_untrusted", Retry::Later), "{error}");
    assert!(error.to_string().contains("--ca-file"), "{error}");
    let plain = serve.grpc().replace("https", "http");
    let error = enrol(&plain, Trust::default()).await.unwrap_err();
    assert_eq!(error.retry, Retry::Soon, "{error}");
    let url = serve.http().to_owned();
    let missing = Access { url: url.clone(), ca_file: Some("/none".into()), token: None };
    let error = Rest::connect(&missing).unwrap_err();
    assert!(matches!(&error, RestError::Access { code: "ca_file_invalid", .. }), "{error}");
    let error = Rest::new(&url).get::<Value>("/healthz").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");

    // The command line, and what it says of each mistake.
    let list = async |url: &str, more: &[&str]| {
        let mut command = muster();
        command.args(["run", "list", "--json", "--coordinator", url]).args(more);
        let output = command.output().await.unwrap();
        let told = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code().unwrap(), String::from_utf8(told).unwrap())
    };
    let ca_file = ["--ca-file", first.to_str().unwrap()];
    assert_eq!(list(&url, &ca_file).await.0, 0);
    let (status, told) = list(&url, &["--ca-file", config.to_str().unwrap()]).await;
    assert!(status == 78 && told.contains("[ca_file_invalid]"), "{told}");
    let (status, told) = list(&url.replace("https", "http"), &[]).await;
    assert!(status == 69 && told.contains("does it want https://?"), "{told}");
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let stranger = dir.path().join("stranger.pem");
    std::fs::write(&stranger, other.cert.pem()).unwrap();
    let (status, told) = list(&url, &["--ca-file", stranger.to_str().unwrap()]).await;
    assert!(status == 69 && told.contains("hint: --ca-file names"), "{told}");

    // One that cannot be used, then one that can.
    let mut told = async |what: &str| {
        serve.hang_up();
        loop {
            let line = timeout(Duration::from_secs(60), log.next_line()).await;
            let line = line.expect("the log says so").unwrap().expect("it still runs");
            if line.contains(what) {
                return line;
            }
        }
    };
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "none").unwrap();
    let line = told("the certificate stays as it was").await;
    assert!(line.contains("tls_key_invalid") && line.contains("ERROR"), "{line}");
    Rest::connect(&access(&serve, &first)).unwrap().get::<Value>("/healthz").await.unwrap();
    std::fs::write(&key, good).unwrap();
    write_pair(dir.path());
    told("new connections get the certificate as it is now").await;
    enrol(serve.grpc(), Trust::of_file(&cert).unwrap()).await.unwrap();
    let error = enrol(serve.grpc(), Trust::of_file(&first).unwrap()).await.unwrap_err();
    assert_eq!(error.code, "certificate_untrusted", "{error}");
    serve.stop().await;
}

#[tokio::test]
async fn https_to_a_door_without_tls_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path()).await;
    let https = serve.grpc().replace("http", "https");
    let error = enrol(&https, Trust::default()).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("tls_failed", Retry::Soon), "{error}");
    let mut command = muster();
    let https = serve.http().replace("http", "https");
    let ca_file = dir.path().join("ca.pem");
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca_file, pair.cert.pem()).unwrap();
    command.args(["run", "list", "--coordinator", &https, "--ca-file"]).arg(&ca_file);
    let output = command.output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(69) && told.contains("http://?"), "{told}");
    serve.stop().await;
}
