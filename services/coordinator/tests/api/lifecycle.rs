//! Coming up and going down.

use std::net::SocketAddr;
use std::sync::Arc;

use coordinator::{Config, Coordinator, StartError, SystemClock};
use federation::{Candidate, Hold, Settled};
use proto::convert::{Order, Reply, WaitOrder};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Site, channel, config, new_model, plan, read_response, update};

async fn refusal(config: Config) -> StartError {
    Coordinator::start(config, Arc::new(SystemClock::new())).await.unwrap_err()
}

#[track_caller]
fn check(error: &StartError, code: &str, exit: u8, says: &str) {
    assert_eq!((error.code(), error.exit_code()), (code, exit), "{error}");
    assert!(error.to_string().contains(says), "{error} should say {says}");
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_told() {
    let site = Site::start().await;
    check(&refusal(config(site.dir.path())).await, "data_dir_in_use", 75, "another coordinator");

    let dir = tempfile::tempdir().unwrap();
    let base = config(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = refusal(Config { grpc_listen: address, ..base.clone() }).await;
    check(&error, "address_in_use", 69, &format!("--grpc-listen {address}"));
    let error = refusal(Config { http_listen: address, ..base.clone() }).await;
    check(&error, "address_in_use", 69, &format!("--http-listen {address}"));

    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = refusal(Config { http_listen: open, ..base.clone() }).await;
    check(&error, "address_not_loopback", 64, "--http-listen");
    let error = refusal(Config { http_listen: open, tick_ms: 0, ..base.clone() }).await;
    check(&error, "config_invalid", 64, "--tick-ms");

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(config(&file.join("below"))).await;
    check(&error, "data_dir_unwritable", 73, "below");

    let broken = dir.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("coordinator.db"), [1; 4_096]).unwrap();
    check(&refusal(config(&broken)).await, "database_invalid", 65, "coordinator.db");
    // Nothing was left running: the same addresses and directories can be had.
    assert!(Coordinator::start(base, Arc::new(SystemClock::new())).await.is_ok());
    site.running.shutdown().await;
}

#[tokio::test]
async fn shutdown_answers_those_who_wait_at_once() {
    let mut site = Site::start().await;
    let node = site.enrol("a").await;
    let wait = |wait_ms| {
        let request = WaitOrder {
            node: node.clone(),
            wait_ms,
            awaiting: None,
            status: None,
            follows: false,
            holding: None,
        };
        let mut fleet = site.fleet.clone();
        async move {
            let response = fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
            let (reply, _, _): (Reply<Order>, Option<Settled>, Option<Hold>) =
                response.into_inner().try_into().unwrap();
            reply.unwrap()
        }
    };
    let (long, short) = (wait(60_000), wait(0));
    let shutdown = async {
        // On one connection the long question was there before the short one that is answered now.
        short.await;
        site.running.shutdown().await;
    };
    let (order, ()) = tokio::join!(long, shutdown);
    assert!(matches!(order, Order::Idle(_)), "{order:?}");
}

/// Begins to post a model; the server has asked for the body when this returns.
async fn half_a_request(site: &Site, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(site.running.http_addr()).await.unwrap();
    let head = format!(
        "POST /v1/models HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_request_in_flight_is_answered_within_the_grace() {
    let site = Site::start().await;
    let body = new_model("m", 1).to_string();
    let mut stream = half_a_request(&site, body.as_bytes()).await;
    let finish = async {
        stream.write_all(body.as_bytes()).await.unwrap();
        read_response(&mut stream).await
    };
    let ((), response) = tokio::join!(site.running.shutdown(), finish);
    assert_eq!(response.status, 201, "{}", response.text());
    let site = Site::over(site.dir).await;
    assert_eq!(site.get("/v1/models/m").await.status, 200);
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { shutdown_grace_ms: 10, ..config(dir.path()) };
    let running = Coordinator::start(config, Arc::new(SystemClock::new())).await.unwrap();
    let fleet = FleetServiceClient::new(channel(running.grpc_addr()).await);
    let site = Site { dir, running, fleet };
    let stream = half_a_request(&site, b"{}").await;
    site.running.shutdown().await;
    Site::over(site.dir).await.running.shutdown().await;
    drop(stream);
}

#[tokio::test]
async fn a_round_survives_a_restart() {
    let mut site = Site::start().await;
    let nodes = [site.enrol("a").await, site.enrol("b").await];
    site.make_model("m").await;
    let run = site.make_run("m", plan(2, 1)).await;
    let orders = [site.order(&nodes[0]).await, site.order(&nodes[1]).await];
    let (first, payload) = update(&orders[0], &nodes[0], 1);
    let receipt = site.push(&first, &payload).await.unwrap();
    let (second, second_payload): (Candidate, _) = update(&orders[1], &nodes[1], 2);

    site.running.shutdown().await;
    let mut site = Site::over(site.dir).await;
    assert_eq!(site.push(&first, &payload).await.unwrap(), receipt);
    let again = site.order(&nodes[1]).await;
    assert_eq!(
        (again.round, again.base, again.seed),
        (orders[1].round, orders[1].base, orders[1].seed)
    );
    site.push(&second, &second_payload).await.unwrap();
    let run = loop {
        let run = site.get(&format!("/v1/runs/{run}")).await.json();
        if run["state"] != "running" {
            break run;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&run["state"], &run["latest_version"]), (&"completed".into(), &2.into()), "{run}");
    site.running.shutdown().await;
    assert!(!site.dir.path().join("coordinator.db-wal").exists());
}
