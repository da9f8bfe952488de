//! A coordinator that more connect to than it may have open files.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::plain::{client, enrol};
use crate::support::process::Serve;

/// Open files that the coordinator may have.
const FILES: u32 = 128;
/// More than fit, by fewer than a listener lets wait.
const MANY: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_more_connections_fit_it_says_so_once_and_serves_on() {
    // A coordinator that is stuck answers nobody, ever.
    timeout(Duration::from_secs(30), crowded()).await.unwrap();
}

async fn crowded() {
    let dir = tempfile::tempdir().unwrap();
    let (serve, mut log) = Serve::start_small(dir.path(), FILES).await;
    let fits = told(&mut log, |line| line.get("nodes_max").cloned()).await;
    assert_eq!(fits, 64, "half of a small limit is kept for the rest, and the soft one was raised");
    let few = told(&mut log, |line| (line["level"] == "WARN").then(|| line["nodes_max"].clone()));
    assert_eq!(few.await, 64);

    let mut inside = client(serve.grpc());
    enrol(&mut inside, "first").await;
    // Nodes: as many as fit, and then some.
    let nodes = crowd(serve.grpc()).await;
    assert_eq!(waits_at(&mut log).await, "gRPC");
    enrol(&mut inside, "while-no-node-fits").await;
    assert_eq!(names(&serve).await.len(), 2, "REST has room of its own");
    // Whoever speaks REST has no bound but the open files themselves.
    let people = crowd(serve.http()).await;
    assert_eq!(waits_at(&mut log).await, "REST");
    enrol(&mut inside, "while-nobody-fits").await;

    drop((nodes, people));
    enrol(&mut client(serve.grpc()), "afterwards").await;
    assert_eq!(names(&serve).await.len(), 4);
    drop(inside);
    serve.stop().await;
    while let Some(line) = log.next_line().await.unwrap() {
        assert!(!line.contains("new connections wait"), "{line}");
    }
}

/// Connections that say nothing.
async fn crowd(address: &str) -> Vec<TcpStream> {
    let address = address.trim_start_matches("http://");
    let mut crowd = Vec::new();
    for _ in 0..MANY {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    crowd
}

/// The names of the enrolled nodes.
async fn names(serve: &Serve) -> Vec<Value> {
    let list: Value = serve.rest().get("/v1/nodes").await.unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Which door says that new connections wait.
async fn waits_at(log: &mut Lines<impl AsyncBufReadExt + Unpin>) -> Value {
    told(log, |line| (line["message"] == "new connections wait").then(|| line["door"].clone()))
        .await
}

/// Reads the log until `found` makes something of a line.
async fn told<T>(
    log: &mut Lines<impl AsyncBufReadExt + Unpin>,
    found: impl Fn(&Value) -> Option<T>,
) -> T {
    loop {
        let line =
            timeout(Duration::from_secs(30), log.next_line()).await.unwrap().unwrap().unwrap();
        if let Some(found) = found(&serde_json::from_str(&line).unwrap()) {
            return found;
        }
    }
}
