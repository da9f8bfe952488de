//! The end of a coordinator that many nodes wait at.

use std::time::Duration;

use proto::v1;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;

use crate::support::fixture::{open_plan, plain_artifact, post_model, post_run, wait_for};
use crate::support::plain::{client, enrol, update};
use crate::support::process::Serve;

const WAITING: usize = 1_000;
/// Nodes that share a connection.
const SHARING: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_nodes_are_answered_at_once_and_the_process_ends() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start_logged(dir.path()).await;
    let mut waiting = JoinSet::new();
    let (asked, mut asking) = tokio::sync::mpsc::channel(WAITING);
    for connection in 0..WAITING / SHARING {
        let shared = client(serve.grpc());
        for number in 0..SHARING {
            let (mut client, asked) = (shared.clone(), asked.clone());
            waiting.spawn(async move {
                let name = format!("w-{connection}-{number}");
                enrol(&mut client, &name).await;
                asked.send(()).await.unwrap();
                let request = v1::WaitOrderRequest {
                    node_id: name,
                    wait_ms: 60_000,
                    ..v1::WaitOrderRequest::default()
                };
                client.wait_order(request).await.unwrap().into_inner().order
            });
        }
    }
    for _ in 0..WAITING {
        asking.recv().await.unwrap();
    }
    // Their questions are on the way; that most have arrived is shown by their answers, which say so.
    let begun = Instant::now();
    let log = serve.stop_with_log().await;
    let took = begun.elapsed();
    let mut idle = 0;
    while let Some(answer) = waiting.join_next().await {
        // One that had not arrived when the doors closed has no answer.
        if let Ok(answer) = answer {
            assert!(matches!(answer, Some(Order::Idle(_))), "{answer:?}");
            idle += 1;
        }
    }
    println!("{idle} of {WAITING} answered, ended after {took:?}");
    assert!(idle > 0);
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_in_flight_is_receipted_and_present_or_neither() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path()).await;
    let (http, grpc) = (serve.http().replace("http://", ""), serve.grpc().replace("http://", ""));
    post_model(&serve.rest(), "m", &plain_artifact(4)).await;
    let run = post_run(&serve.rest(), "m", &open_plan(2)).await;
    let mut nodes = [client(serve.grpc()), client(serve.grpc())];
    let mut orders = Vec::new();
    for (lane, node) in nodes.iter_mut().enumerate() {
        enrol(node, &format!("n{lane}")).await;
    }
    for (lane, node) in nodes.iter_mut().enumerate() {
        let request = v1::WaitOrderRequest {
            node_id: format!("n{lane}"),
            wait_ms: 60_000,
            ..v1::WaitOrderRequest::default()
        };
        match node.wait_order(request).await.unwrap().into_inner().order {
            Some(Order::Train(order)) => orders.push(order),
            other => panic!("{other:?}"),
        }
    }
    // Half of the update is sent; the rest follows when the coordinator has been told to end.
    let mut parts = update("n0", 0, &orders[0]);
    let (send, rest_of_it) = tokio::sync::mpsc::channel(2);
    send.send(parts.remove(0)).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(rest_of_it).map(|part| part);
    let mut pushing = nodes[0].clone();
    let push = tokio::spawn(async move { pushing.push_update(stream).await });
    let path = format!("/v1/runs/{run}");
    wait_for(&serve.rest(), &path, |run| (run["state"] == "running").then_some(())).await;
    let stop = tokio::spawn(serve.stop());
    tokio::task::yield_now().await;
    send.send(parts.remove(0)).await.unwrap();
    drop(send);
    let answer = timeout(Duration::from_secs(30), push).await.unwrap().unwrap();
    stop.await.unwrap();

    let serve = Serve::start_at(dir.path(), &http, &grpc).await;
    let run: serde_json::Value = serve.rest().get(&path).await.unwrap();
    let receipted = match answer {
        Ok(answer) => match answer.into_inner().result {
            Some(Pushed::Receipt(_)) => 1,
            other => panic!("{other:?}"),
        },
        Err(status) => {
            assert!(
                matches!(
                    status.code(),
                    tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown
                ),
                "{status:?}"
            );
            0
        }
    };
    assert_eq!(run["round"]["updates"].as_u64(), Some(receipted));
    serve.stop().await;
}
