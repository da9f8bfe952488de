//! Nothing lost, nothing counted twice: a coordinator process killed with SIGKILL at random instants under the load of
//! 50 nodes. 20 kills; 200 with `MUSTER_LONG=1`. A failing run is repeated with `KILL_SEED`, as far as instants repeat.

use std::time::Duration;

use crate::support::fixture::{plain_artifact, post_model, post_run, wait_for};
use crate::support::plain::{Fleet, Oracle, plan};
use crate::support::process::{Serve, muster};

const NODES: u32 = 50;
const GOAL: u32 = 32;
const LIFE_MS_MAX: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_counted_twice_whenever_the_coordinator_is_killed() {
    let set = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let kills = if set("MUSTER_LONG").is_some() { 200 } else { 20 };
    let mut seed = set("KILL_SEED")
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    println!("KILL_SEED={seed}");
    let mut instant_ms = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % LIFE_MS_MAX
    };

    let dir = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(dir.path()).await;
    let (http, grpc) = (serve.http().replace("http://", ""), serve.grpc().replace("http://", ""));
    post_model(&serve.rest(), "m", &plain_artifact(NODES)).await;
    let run = post_run(&serve.rest(), "m", &plan(GOAL, NODES, 100_000)).await;
    let fleet = Fleet::start(serve.grpc(), usize::try_from(NODES).unwrap());
    let receipts = || fleet.receipts.lock().unwrap().clone();
    let path = format!("/v1/runs/{run}");
    let published = async |serve: &Serve, more_than: u64| {
        wait_for(&serve.rest(), &path, |run| {
            run["rounds_published"].as_u64().filter(|&count| count > more_than)
        })
        .await
    };
    published(&serve, 0).await;
    let lanes = usize::try_from(NODES).unwrap();
    let oracle = || Oracle::new(run, "m", lanes);
    let mut since = oracle();
    for _ in 0..kills {
        // The instant is random: nothing is waited for.
        tokio::time::sleep(Duration::from_millis(instant_ms())).await;
        serve.kill().await;
        serve = Serve::start_at(dir.path(), &http, &grpc).await;
        since.look(&serve.rest(), &receipts()).await;
    }
    // It still goes on; and a last look at all of it.
    let before = published(&serve, 0).await;
    published(&serve, before + 2).await;
    let mut all = oracle();
    all.look(&serve.rest(), &receipts()).await;
    println!("{kills} kills, {} rounds published", all.published);
    assert!(all.published >= 3);
    drop(fleet);
    serve.stop().await;
    // The file alone proves the rest: an unbroken log, and every version from its sum.
    for check in ["verify", "replay"] {
        let mut audit = muster();
        audit.args(["audit", check, "--database"]).arg(dir.path().join("coordinator.db"));
        let output = audit.output().await.unwrap();
        assert!(output.status.success(), "{check}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
