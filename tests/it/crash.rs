//! The coordinator is killed in the middle of a round and comes back: nothing is lost, nothing counted twice, and the
//! result is that of a run without the crash.

use simulator::Rest;

use crate::support::fixture::{digests, navigation_plan, post_model, post_run, wait_for, wait_run};
use crate::support::process::{Serve, node};

const NODES: usize = 4;
const ROUNDS: u32 = 4;

fn names() -> Vec<String> {
    (1..=NODES).map(|i| format!("node-{i}")).collect()
}

async fn begin(rest: &Rest) -> u64 {
    post_model(rest, "navigation", &simulator::demo::navigation_artifact(7)).await;
    post_run(rest, "navigation", &navigation_plan(&names(), ROUNDS, 2)).await
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
    for round in [2, 3] {
        let path = format!("/v1/runs/{run}");
        wait_for(&serve.rest(), &path, |run| {
            let at = &run["round"];
            let over = run["state"] != "running" && run["state"] != "waiting";
            let reached = at["number"].as_u64() > Some(round)
                || at["number"] == round && at["updates"].as_u64() >= Some(1);
            (reached || over).then_some(())
        })
        .await;
        serve.kill().await;
        serve = Serve::start_at(&data, &http, &grpc).await;
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
