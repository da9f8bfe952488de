//! The coordinator is killed in the middle of a round and comes back: nothing is lost, nothing counted twice, and the
//! result is that of a run without the crash.

use rustix::process::Signal;
use simulator::Rest;

use crate::support::fixture::{digests, navigation_plan, post_model, post_run, wait_for, wait_run};
use crate::support::process::{Serve, node, signal};

const NODES: usize = 4;
const ROUNDS: u32 = 60;

fn names() -> Vec<String> {
    (1..=NODES).map(|i| format!("node-{i}")).collect()
}

async fn begin(rest: &Rest) -> u64 {
    post_model(rest, "navigation", &simulator::demo::navigation_artifact(7)).await;
    post_run(rest, "navigation", &navigation_plan(&names(), ROUNDS, 5)).await
}

fn nodes(dir: &std::path::Path, grpc: &str) -> Vec<tokio::process::Child> {
    (1u32..).zip(names()).map(|(seed, name)| node(dir, grpc, &name, seed)).collect()
}

#[tokio::test]
async fn a_killed_coordinator_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();

    // What must come out: the same run, undisturbed.
    let calm = Serve::start(&dir.path().join("calm")).await;
    let run = begin(&calm.rest()).await;
    let fleet = nodes(&dir.path().join("calm-nodes"), calm.grpc());
    assert_eq!(wait_run(&calm.rest(), run).await["state"], "completed");
    let expected = digests(&calm.rest(), "navigation").await;
    drop(fleet);
    calm.stop().await;
    assert_eq!(expected.len(), 1 + usize::try_from(ROUNDS).unwrap());

    // The same run, its coordinator killed twice in the middle of a round that holds an update already.
    let data = dir.path().join("stormy");
    let mut serve = Serve::start(&data).await;
    let (http, grpc) = (serve.http().replace("http://", ""), serve.grpc().replace("http://", ""));
    let run = begin(&serve.rest()).await;
    let fleet = nodes(&dir.path().join("stormy-nodes"), serve.grpc());
    let path = format!("/v1/runs/{run}");
    wait_for(&serve.rest(), &path, |run| {
        (run["rounds_published"].as_u64() > Some(0)).then_some(())
    })
    .await;
    for _ in 0..2 {
        // With one node held, the round of the moment fills up to all but one update and stays there.
        signal(&fleet[0], Signal::STOP);
        let held = loop {
            let held = wait_for(&serve.rest(), &path, |run| {
                let round = &run["round"];
                let all_but_one =
                    round["updates"].as_u64().is_some_and(|updates| updates + 1 == NODES as u64);
                (run["state"] == "running" && all_but_one).then(|| round["number"].as_u64())
            })
            .await;
            // Another node may be the one that is missing, for a moment.
            let counted = format!("{path}/rounds/{}/contributions", held.unwrap());
            let counted: serde_json::Value = serve.rest().get(&counted).await.unwrap();
            let first = &names()[0];
            if counted["items"].as_array().unwrap().iter().all(|one| one["node_id"] != **first) {
                break held;
            }
        };
        serve.kill().await;
        serve = Serve::start_at(&data, &http, &grpc).await;
        let after: serde_json::Value = serve.rest().get(&path).await.unwrap();
        assert_eq!(after["round"]["number"].as_u64(), held, "it goes on where it was");
        assert_eq!(after["round"]["updates"].as_u64(), Some(NODES as u64 - 1), "nothing is lost");
        signal(&fleet[0], Signal::CONT);
        wait_for(&serve.rest(), &path, |run| {
            (run["round"]["number"].as_u64() > held).then_some(())
        })
        .await;
    }
    let ended = wait_run(&serve.rest(), run).await;
    assert_eq!(ended["state"], "completed");
    assert_eq!(ended["reproducible"], true, "no deadline took part");
    assert_eq!(digests(&serve.rest(), "navigation").await, expected);
    for version in 2..=u64::from(ROUNDS) + 1 {
        let version: serde_json::Value =
            serve.rest().get(&format!("/v1/models/navigation/versions/{version}")).await.unwrap();
        assert_eq!(version["updates"].as_u64(), Some(u64::try_from(NODES).unwrap()));
    }
    drop(fleet);
    serve.stop().await;
}
