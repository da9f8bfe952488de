//! Databases of other releases: what the first one wrote goes on, what a later one wrote is left alone.
//!
//! `fixtures/first-issue.db` was written by the program as of commit bf56ffd, with one migration, serving three plain nodes:
//! run 1 over model `done` has finished with two rounds; run 2 over model `open` has published the first of three rounds,
//! and counted the updates of two nodes of three in the second. `fixtures/later-release.db` has nothing but a migration 9999
//! and a table of which nobody here knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use federation::Digest;
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::support::fixture::wait_run;
use crate::support::plain::{client, enrol, update};
use crate::support::process::{Serve, muster};

/// The receipts that the first release gave: run, round, lane, when.
const RECEIPTS: [(u64, u32, usize, u64); 11] = [
    (1, 1, 0, 1_795_655_128_833),
    (1, 1, 1, 1_795_655_128_839),
    (1, 1, 2, 1_795_655_128_843),
    (1, 2, 0, 1_795_655_128_855),
    (1, 2, 1, 1_795_655_128_863),
    (1, 2, 2, 1_795_655_128_868),
    (2, 1, 0, 1_795_655_128_886),
    (2, 1, 1, 1_795_655_128_890),
    (2, 1, 2, 1_795_655_128_894),
    (2, 2, 0, 1_795_655_128_906),
    (2, 2, 1, 1_795_655_128_910),
];

/// A data directory with a database of another release.
fn laid(dir: &Path, fixture: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/fixtures");
    let data = dir.join("data");
    fs::create_dir(&data).unwrap();
    fs::copy(fixtures.join(fixture), data.join("coordinator.db")).unwrap();
    data
}

/// Runs `muster` and returns its exit status, and what it says on both outputs.
async fn says(args: &[&str], flag: &str, path: &Path) -> (i32, String) {
    let mut command = muster();
    command.args(args).arg(flag).arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_database_of_the_first_release_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = laid(dir.path(), "first-issue.db");
    let file = data.join("coordinator.db");
    let (status, said) = says(&["audit", "verify"], "--database", &file).await;
    assert!(status == 65 && said.contains("error[schema_older]: "), "{said}");
    let (status, said) = says(&["doctor"], "--data-dir", &data).await;
    assert!(status == 1 && said.contains("warn  schema     version 1, "), "{said}");
    // It can be backed up before it is upgraded.
    let to = dir.path().join("before.backup");
    let (status, said) = says(&["backup", to.to_str().unwrap()], "--data-dir", &data).await;
    assert!(status == 0 && said.contains("its audit log was not checked"), "{said}");
    // And the backup can be put in place, which upgrades it.
    let place = dir.path().join("place");
    let (status, said) = says(&["restore", to.to_str().unwrap()], "--data-dir", &place).await;
    assert!(status == 0 && said.contains("updates with a receipt: 11."), "{said}");

    let serve = Serve::start(&data).await;
    let rest = serve.rest();
    let runs: Value = rest.get("/v1/runs").await.unwrap();
    let states: Vec<_> =
        runs["items"].as_array().unwrap().iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["completed", "running"]);
    let mut nodes = client(serve.grpc());
    for (run, round, lane, counted_at_ms) in RECEIPTS {
        let round = v1::RoundRef { run_id: run, round, attempt: 1 };
        let base_digest = Digest::of(b"any").0.to_vec().into();
        let order = v1::TrainOrder {
            round: Some(round),
            base_digest,
            weights: 3,
            ..v1::TrainOrder::default()
        };
        let parts = update(&format!("plain-{lane:03}"), lane, &order);
        let answer = nodes.push_update(tokio_stream::iter(parts)).await.unwrap().into_inner();
        let Some(Pushed::Receipt(receipt)) = answer.result else { panic!("{answer:?}") };
        assert_eq!((receipt.round, receipt.counted_at_ms), (Some(round), counted_at_ms));
    }
    // The run in the middle goes on: the last update of its second round, then its third.
    for lane in [2, 0, 1, 2] {
        let name = format!("plain-{lane:03}");
        // As a node does when it starts.
        enrol(&mut nodes, &name).await;
        push_next(&mut nodes, &name, lane).await;
    }
    assert_eq!(wait_run(&rest, 2).await["state"], "completed");
    let path = "/v1/models/open/versions?limit=10";
    let versions: Value = rest.get(path).await.unwrap();
    assert_eq!(versions["items"].as_array().unwrap().len(), 4);
    serve.stop().await;

    // What came before the log is not in it, and not broken; what came after it is.
    let (status, said) = says(&["audit", "verify", "--json"], "--database", &file).await;
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &found["verdict"]), (0, &Value::from("ok")), "{said}");
    assert_eq!(found["versions"], json!({"as_told": 2, "pruned": 0, "not_in_the_log": 5}));
    let (status, said) = says(&["audit", "replay"], "--database", &file).await;
    assert!(status == 0 && said.ends_with("7 of 7 versions are the same.\n"), "{said}");
    let (_, said) = says(&["doctor"], "--data-dir", &data).await;
    assert!(!said.contains("fail "), "{said}");
}

/// Waits for the node's order and answers it.
async fn push_next(nodes: &mut FleetServiceClient<Channel>, name: &str, lane: usize) {
    loop {
        let request = v1::WaitOrderRequest {
            node_id: name.to_owned(),
            wait_ms: 10_000,
            ..v1::WaitOrderRequest::default()
        };
        let answer = nodes.wait_order(request).await.unwrap().into_inner();
        let Some(Order::Train(order)) = answer.order else { continue };
        let parts = tokio_stream::iter(update(name, lane, &order));
        let answer = nodes.push_update(parts).await.unwrap().into_inner();
        assert!(matches!(answer.result, Some(Pushed::Receipt(_))), "{answer:?}");
        return;
    }
}

#[tokio::test]
async fn a_database_of_a_later_release_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = laid(dir.path(), "later-release.db");
    let file = data.join("coordinator.db");
    let before = fs::read(&file).unwrap();
    for (args, flag, path) in [
        (
            &["serve", "--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"][..],
            "--data-dir",
            &data,
        ),
        (&["backup", "never.backup"], "--data-dir", &data),
        (&["audit", "verify"], "--database", &file),
    ] {
        let (status, said) = says(args, flag, path).await;
        assert_eq!(status, 65, "{args:?}: {said}");
        assert!(said.contains("error[schema_newer]: "), "{args:?}: {said}");
        assert!(said.contains("its schema is version 9999"), "{args:?}: {said}");
        assert!(said.contains("install a newer one"), "{args:?}: {said}");
    }
    assert_eq!(fs::read(&file).unwrap(), before, "byte for byte");
    let mut names: Vec<_> =
        fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["coordinator.db", "coordinator.lock"]);
}
