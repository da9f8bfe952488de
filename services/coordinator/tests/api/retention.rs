//! What REST says of what retention dropped.

use std::sync::Arc;
use std::time::Duration;

use coordinator::Config;
use serde_json::json;

use crate::support::{Hands, Site, config, new_model};

#[tokio::test]
async fn a_version_whose_artifact_was_dropped_is_known_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { retention_versions_newest: 1, ..config(dir.path()) };
    let clock = Arc::new(Hands::default());
    let site = Site::of(dir, config, clock.clone()).await;
    site.make_model("m").await;
    for fill in [1, 2] {
        let artifact = &new_model("m", fill)["artifact"];
        let added = site.post("/v1/models/m/versions", &json!({"artifact": artifact})).await;
        assert_eq!(added.status, 201, "{}", added.text());
    }
    let version = |number| format!("/v1/models/m/versions/{number}");
    let artifact = |number| format!("{}/artifact", version(number));
    let digest = site.get(&version(1)).await.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(site.get(&artifact(1)).await.status, 200);

    // A minute after its start the coordinator begins to keep house.
    clock.advance(61_000);
    let gone = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let answer = site.get(&artifact(1)).await;
            if answer.status != 200 {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    });
    let problem = gone.await.unwrap().is_problem(410, "version_pruned");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("version 1 of m is not kept"), "{detail}");
    // Its record stays, and so does what else there is.
    assert_eq!(site.get(&version(1)).await.json()["digest"], digest);
    assert_eq!(site.get(&artifact(3)).await.status, 200);
    let compared = site.get("/v1/models/m/compare?from=1&to=3").await;
    compared.is_problem(410, "version_pruned");
}
