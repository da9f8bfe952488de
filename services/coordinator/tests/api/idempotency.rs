//! `Idempotency-Key`: a request is done once, and its answer is the same however often it is sent.

use serde_json::{Value, json};

use crate::support::{Response, Site, new_model, plan};

async fn post(site: &Site, path: &str, key: &str, body: &Value) -> Response {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\n"
    );
    site.raw(&head, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once_and_answered_alike() {
    let site = Site::start().await;
    site.make_model("m").await;
    let body = json!({"model": "m", "plan": plan(1, 1)});
    let first = post(&site, "/v1/runs", "k1", &body).await;
    assert_eq!((first.status, first.header("location")), (201, "/v1/runs/1"));
    // The run has moved on in the meantime: the answer is still the first one.
    assert_eq!(site.post("/v1/runs/1/cancel", &json!({})).await.status, 200);
    let again = post(&site, "/v1/runs", "k1", &body).await;
    assert_eq!((again.status, again.header("location")), (201, "/v1/runs/1"));
    assert_eq!(again.body, first.body);
    assert_eq!(site.get("/v1/runs").await.json()["items"].as_array().unwrap().len(), 1);
    // Another key, another run; the same key elsewhere is another key.
    assert_eq!(post(&site, "/v1/runs", "k2", &body).await.header("location"), "/v1/runs/2");
    assert_eq!(post(&site, "/v1/models", "k1", &new_model("n", 1)).await.status, 201);
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_key_is_for_one_body_and_outlives_a_restart() {
    let site = Site::start().await;
    let (m, n) = (new_model("m", 3), new_model("n", 3));
    let first = post(&site, "/v1/models", "k", &m).await;
    assert_eq!(first.status, 201);
    post(&site, "/v1/models", "k", &n).await.is_problem(422, "idempotency_key_reused");
    let Site { dir, running, .. } = site;
    running.shutdown().await;
    let site = Site::over(dir).await;
    post(&site, "/v1/models", "k", &n).await.is_problem(422, "idempotency_key_reused");
    let again = post(&site, "/v1/models", "k", &m).await;
    assert_eq!((again.status, again.body), (201, first.body));
    assert_eq!(site.get("/v1/models/n").await.status, 404, "nothing of the refused one was done");
    site.running.shutdown().await;
}

#[tokio::test]
async fn what_was_refused_had_no_effect_and_is_judged_again() {
    let site = Site::start().await;
    let body = json!({"model": "m", "plan": plan(1, 1)});
    post(&site, "/v1/runs", "k", &body).await.is_problem(404, "model_not_found");
    site.make_model("m").await;
    assert_eq!(post(&site, "/v1/runs", "k", &body).await.status, 201);
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_key_is_visible_ascii_and_there_is_one() {
    let site = Site::start().await;
    let body = new_model("m", 3);
    let long = "k".repeat(256);
    for wrong in ["", "a b", "\u{e9}", long.as_str(), "a\r\nidempotency-key: b"] {
        let answer = post(&site, "/v1/models", wrong, &body).await;
        answer.is_problem(400, "invalid_idempotency_key");
    }
    assert_eq!(post(&site, "/v1/models", &long[1..], &body).await.status, 201);
    site.running.shutdown().await;
}
