//! A disk that is full, and has room again: a file system of a few MiB in memory, with a ballast file in it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use federation::Digest;
use proto::v1;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;
use simulator::{Rest, RestError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::fixture::{open_plan, plain_artifact, post_model, post_run, wait_version};
use crate::support::plain::{client, enrol, update};
use crate::support::process::{MUSTER, Serve, free_of_settings};
use crate::support::require::skip;

/// The file system's size.
const SIZE: &str = "size=24m";
/// Weights of the model that learns: its sum is more than what is left when nothing of [`SMALLEST`] fits.
const WEIGHTS: u32 = 65_536;
/// Weights of the models that fill what the ballast leaves, the largest first.
const FILLERS: [u32; 3] = [1_000_000, 300_000, SMALLEST];
const SMALLEST: u32 = 30_000;

/// A command in a world of mounts of its own, where `dir` is a small file system.
fn on_small_disk(dir: &Path, rest: &str) -> Command {
    let script = format!("mount -t tmpfs -o {SIZE} tmpfs \"$1\" && shift && {rest}");
    let mut command = free_of_settings(Command::new("unshare"));
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(dir);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_updates_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = on_small_disk(dir.path(), "true");
    let trial = trial.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if !trial.is_ok_and(|status| status.success()) {
        let why = "no file system can be mounted in a mount namespace";
        return skip("a_full_disk_refuses_updates_and_recovers", "tmpfs", why);
    }
    let mut command = on_small_disk(dir.path(), "exec \"$@\"");
    command.arg(MUSTER).env("MUSTER_LOG", "off");
    let serve = Serve::start_by(command, dir.path(), "127.0.0.1:0", "127.0.0.1:0").await;
    // The disk as the process sees it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", serve.pid(), dir.path().display()));
    assert!(disk.join("coordinator.db").exists(), "the database is on the small disk");
    let rest = serve.rest();
    post_model(&rest, "m", &plain_artifact(WEIGHTS)).await;
    let run = post_run(&rest, "m", &open_plan(1)).await;
    let mut node = client(serve.grpc());
    enrol(&mut node, "a").await;
    let order = order(&mut node, "a").await;
    assert_eq!(order.round.unwrap().run_id, run);
    assert_eq!(health(serve.grpc()).await, ServingStatus::Serving);

    let ballast = disk.join("ballast");
    fill(&ballast);
    for (index, weights) in FILLERS.into_iter().enumerate() {
        fill_with_models(&rest, index, weights).await;
    }
    until_ready_says(&serve, "503 Service Unavailable", "storage_full").await;
    wait_health(&serve, ServingStatus::NotServing).await;
    // Each update is refused, with a code and a time to come back; reading goes on.
    let parts = || tokio_stream::iter(update("a", 0, &order));
    let status = node.push_update(parts()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let reason = b"storage_full";
    assert!(status.details().windows(reason.len()).any(|part| part == reason), "{status:?}");
    let error = rest.create_model("another", &plain_artifact(SMALLEST)).await.unwrap_err();
    assert!(
        matches!(error, RestError::Refused { ref code, .. } if code == "storage_full"),
        "{error}"
    );
    let bytes = rest.bytes("/v1/models/m/versions/1/artifact").await.unwrap();
    assert_eq!(Digest::of(&bytes).0[..], order.base_digest[..]);

    fs::remove_file(&ballast).unwrap();
    until_ready_says(&serve, "200 OK", "ready").await;
    wait_health(&serve, ServingStatus::Serving).await;
    let answer = node.push_update(parts()).await.unwrap().into_inner();
    assert!(matches!(answer.result, Some(Pushed::Receipt(_))), "{answer:?}");
    wait_version(&rest, "m", 2).await;
    serve.stop().await;
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    for bytes in [1 << 16, 1 << 12] {
        while file.write_all(&vec![0x5a; bytes]).is_ok() {}
    }
}

/// Makes models of this size until there is no room for one.
async fn fill_with_models(rest: &Rest, kind: usize, weights: u32) {
    for number in 0..100 {
        // Each has content of its own: the same would be stored once.
        match rest
            .create_model(&format!("f{kind}-{number}"), &plain_artifact(weights + number))
            .await
        {
            Ok(_) => {}
            Err(RestError::Refused { code, status, .. }) => {
                assert_eq!((status.as_u16(), code.as_str()), (507, "storage_full"));
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("a full disk takes what one likes");
}

async fn order(
    node: &mut v1::fleet_service_client::FleetServiceClient<tonic::transport::Channel>,
    name: &str,
) -> v1::TrainOrder {
    loop {
        let request = v1::WaitOrderRequest {
            node_id: name.to_owned(),
            wait_ms: 10_000,
            ..v1::WaitOrderRequest::default()
        };
        let answer = node.wait_order(request).await.unwrap().into_inner();
        if let Some(Order::Train(order)) = answer.order {
            return order;
        }
    }
}

/// Asks `/readyz` until it says this.
async fn until_ready_says(serve: &Serve, status: &str, word: &str) {
    let mut said = String::new();
    for _ in 0..1_500 {
        let address = serve.http().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        said.clear();
        stream.read_to_string(&mut said).await.unwrap();
        if said.starts_with(&format!("HTTP/1.1 {status}"))
            && said.contains(&format!("\"status\":\"{word}\""))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("/readyz never said {status} {word}; last: {said}");
}

async fn health(grpc: &str) -> ServingStatus {
    let channel = Endpoint::from_shared(grpc.to_owned()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: "muster.fleet.v1.FleetService".to_owned() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

async fn wait_health(serve: &Serve, wanted: ServingStatus) {
    for _ in 0..1_500 {
        if health(serve.grpc()).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the health service never said {wanted:?}");
}
