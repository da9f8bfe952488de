//! The examples for people who write in other languages, run as they stand, against a coordinator with TLS and tokens.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use simulator::{Access, Rest};
use tokio::process::Command;

use crate::support::compose::root;
use crate::support::fixture;
use crate::support::process::{Serve, muster};
use crate::support::python::{EXAMPLES, python};
use crate::support::require::skip;

/// Nodes of the Python fleet; each sees two of four classes.
const NODES: [&str; 2] = ["0,1", "2,3"];
const ROUNDS: u64 = 8;

async fn run(command: &mut Command) -> String {
    let output = command.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A coordinator with TLS and tokens, and what its clients need.
struct Guarded {
    dir: tempfile::TempDir,
    serve: Serve,
    python: PathBuf,
    rest: Rest,
}

impl Guarded {
    async fn start(python: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(path("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        let mut command = muster();
        command.env("MUSTER_LOG", "error").env("MUSTER_AUTH", "tokens");
        command.env("MUSTER_TLS_CERT", path("cert.pem")).env("MUSTER_TLS_KEY", path("key.pem"));
        let data = path("data");
        let serve = Serve::start_by(command, &data, "127.0.0.1:0", "127.0.0.1:0").await;
        let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
        let access = Access {
            url: serve.http().to_owned(),
            ca_file: Some(path("cert.pem")),
            token: Some(token.trim_end().to_owned()),
        };
        let rest = Rest::connect(&access).unwrap();
        Self { dir, serve, python, rest }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An example in Python.
    fn example(&self, script: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(root().join("deploy/examples/python").join(script)).arg("--ca-file");
        command.arg(self.path("cert.pem")).env("PYTHONPATH", self.path("gen"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
        command
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_in_python_learns_what_none_of_its_nodes_sees_alone() {
    let name = "a_fleet_in_python_learns_what_none_of_its_nodes_sees_alone";
    let Some(python) = python(EXAMPLES) else {
        return skip(name, "python", "python3 lacks what deploy/examples/python asks for");
    };
    let site = Guarded::start(python).await;
    std::fs::create_dir(site.path("gen")).unwrap();
    let mut protoc = Command::new(&site.python);
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(root().join("proto"));
    protoc.arg("--python_out").arg(site.path("gen"));
    protoc.arg("--grpc_python_out").arg(site.path("gen")).arg("muster/fleet/v1/fleet.proto");
    run(&mut protoc).await;

    // The first version is made in Python, too.
    let make = "import artifact, base64, numpy\n\
                w = {'w': numpy.zeros((16, 4), numpy.int8)}\n\
                print(base64.b64encode(artifact.write('linear/1', b'', w)).decode())";
    let mut first = Command::new(&site.python);
    first.args(["-c", make]).env("PYTHONPATH", root().join("deploy/examples/python"));
    let artifact = run(first.env("PYTHONDONTWRITEBYTECODE", "1")).await;
    let model = json!({"name": "linear", "artifact": artifact.trim_end()});
    let _: Value = site.rest.post("/v1/models", &model).await.unwrap();
    let plan = json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "rounds": ROUNDS,
        "cohort": {"goal": NODES.len(), "quorum": NODES.len(), "deadline_ms": 600_000},
        "local": {"samples": 40, "evaluate_samples": 500},
        "seed": 1,
    });
    let run_body = json!({"model": "linear", "plan": plan});
    let _: Value = site.rest.post("/v1/runs", &run_body).await.unwrap();
    let uses = json!({"name": "python", "uses_max": NODES.len()});
    let token: Value = site.rest.post("/v1/enrolment-tokens", &uses).await.unwrap();
    std::fs::write(site.path("enrol.token"), token["token"].as_str().unwrap()).unwrap();

    let nodes = NODES.iter().enumerate().map(|(number, classes)| {
        let mut node = site.example("node.py");
        let address = site.serve.grpc().trim_start_matches("https://");
        node.args(["--coordinator", address, "--classes", classes, "--name"]);
        node.arg(format!("py-{number}")).arg("--state").arg(site.path(&format!("py-{number}")));
        node.arg("--token-file").arg(site.path("enrol.token"));
        node.stdout(Stdio::null()).spawn().unwrap()
    });
    let nodes: Vec<_> = nodes.collect();
    fixture::wait_version(&site.rest, "linear", ROUNDS + 1).await;
    // The nodes try each version that an order begins from: the one before the last.
    let tried = format!("/v1/models/linear/versions/{ROUNDS}/evaluations/summary");
    let summary: Value = site.rest.get(&tried).await.unwrap();
    assert_eq!(summary["all"]["samples"], 1_000, "{summary}");
    let correct = summary["all"]["correct"].as_u64().unwrap();
    assert!(correct > 700, "with two of the four classes nobody gets far beyond half: {summary}");
    drop(nodes);
    site.serve.stop().await;
}

/// What the API is stands in a public file: whoever has the certificate may ask, and a token changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_tells_a_client_without_our_files_what_to_call() {
    let name = "reflection_tells_a_client_without_our_files_what_to_call";
    let Some(python) = python("grpc, grpc_reflection.v1alpha.reflection_pb2") else {
        return skip(name, "python", "python3 lacks grpcio-reflection");
    };
    let site = Guarded::start(python).await;
    let token = std::fs::read_to_string(site.path("data/admin.token")).unwrap();
    let ask = |ca_file: PathBuf, token: Option<&str>| {
        let mut command = Command::new(&site.python);
        command.arg(root().join("tests/it/python/reflection.py"));
        command.arg(site.serve.grpc().trim_start_matches("https://")).arg(ca_file).args(token);
        command
    };
    let mut answers = Vec::new();
    for token in [None, Some(token.trim_end())] {
        let seen: Value =
            serde_json::from_str(&run(&mut ask(site.path("cert.pem"), token)).await).unwrap();
        for service in ["grpc.health.v1.Health", "muster.fleet.v1.FleetService"] {
            assert!(seen["services"].as_array().unwrap().contains(&service.into()), "{seen}");
        }
        let methods =
            ["Enrol", "FetchVersion", "PushUpdate", "Relay", "ReportEvaluation", "WaitOrder"];
        assert_eq!(seen["methods"], json!(methods));
        assert!(seen["fields"].as_array().unwrap().contains(&"wait_ms".into()), "{seen}");
        // What is described is not thereby open: a person's token is no node's credential.
        assert_eq!(seen["told"], "UNAUTHENTICATED");
        answers.push(seen);
    }
    assert_eq!(answers[0], answers[1]);

    // Another's certificate is not trusted.
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(site.path("other.pem"), other.cert.pem()).unwrap();
    let refused = ask(site.path("other.pem"), None).output().await.unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    site.serve.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_in_python_draws_a_version() {
    let name = "a_script_in_python_draws_a_version";
    let Some(python) = python(EXAMPLES) else {
        return skip(name, "python", "python3 lacks what deploy/examples/python asks for");
    };
    let site = Guarded::start(python).await;
    fixture::post_model(&site.rest, "navigation", &simulator::demo::navigation_artifact(1)).await;
    let mut look = site.example("look.py");
    look.args([site.serve.http(), "navigation@1", "--out"]).arg(site.path("look"));
    look.arg("--token-file").arg(site.path("data/admin.token"));
    let said = run(&mut look).await;
    assert!(said.starts_with("navigation version 1"), "{said}");
    let (_, rate) = said.split_once("): ").unwrap();
    let rate: f64 = rate.split(' ').next().unwrap().parse().unwrap();
    assert!(rate > 0.0 && rate < 0.5, "its neurons fire, and not all the time: {said}");
    for picture in ["weights.png", "raster.png"] {
        let bytes = std::fs::read(site.path("look").join(picture)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{picture}");
    }
    site.serve.stop().await;
}
