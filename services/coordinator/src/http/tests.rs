//! What cannot be had through a socket at will: failures of our own, and the time of shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_stream::StreamExt as _;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::{guard, router};
use crate::http::problem::Problem;
use crate::store::{Fault, StoreError};
use crate::testing::World;

async fn ask(router: Router, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn readiness_follows_the_writer_and_the_shutdown() {
    let mut world = World::new().await;
    let core = &world.core;
    let ready = async || ask(router(core.clone()), "/readyz").await;
    world.rounds.tick().await.unwrap();
    assert_eq!(ready().await.1["status"], "ready");
    core.store.close().await;
    world.advance(1_000);
    world.rounds.tick().await.unwrap_err();
    let (status, body) = ask(router(world.core.clone()), "/readyz").await;
    assert_eq!((status.as_u16(), &body["status"]), (503, &"store_failing".into()));
    world.core.stop.cancel();
    let (status, body) = ask(router(world.core.clone()), "/readyz").await;
    assert_eq!((status.as_u16(), &body["status"]), (503, &"draining".into()));
    let (status, body) = ask(router(world.core.clone()), "/healthz").await;
    assert_eq!((status.as_u16(), &body["status"]), (200, &"ok".into()));
    let (status, body) = ask(router(world.core.clone()), "/v1/models").await;
    assert_eq!((status.as_u16(), &body["code"]), (503, &"shutting_down".into()));
}

#[tokio::test]
async fn our_own_failures_have_codes_and_no_internal_text() {
    let source = || std::io::Error::other("secret").into();
    let full = StoreError::Full { tx: "secret_tx", source: source() };
    let failed = StoreError::Failed { tx: "secret_tx", fault: Fault::Sql(source()) };
    let busy = StoreError::Busy { tx: "secret_tx" };
    let closed = StoreError::Closed { tx: "secret_tx" };
    for (error, status, code) in [
        (full, 507, "storage_full"),
        (failed, 500, "internal"),
        (busy, 503, "overloaded"),
        (closed, 503, "shutting_down"),
    ] {
        let response = Problem::from(error).into_response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers().contains_key("retry-after"), code == "overloaded");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(body.contains(code) && !body.contains("secret"), "{body}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem() {
    let panics = get(async || -> Response { panic!("secret") });
    let router = Router::new().route("/", panics).layer(CatchPanicLayer::custom(guard::panicked));
    let (status, body) = ask(router, "/").await;
    assert_eq!((status.as_u16(), &body["code"]), (500, &"internal".into()));
    assert!(!body.to_string().contains("secret"));
}

#[tokio::test]
async fn a_request_that_runs_holds_its_key() {
    let world = World::new().await;
    let (release, released) = tokio::sync::oneshot::channel();
    let ask = || {
        let request = Request::post("/v1/runs/1/cancel")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .body(Body::from("{}"))
            .unwrap();
        router(world.core.clone()).oneshot(request)
    };
    let run = world.run("m", crate::testing::plan(1, 1)).await;
    assert_eq!(run.id.0, 1);
    let (_, first, second) = tokio::join!(world.core.store.hold(released), ask(), async {
        let second = ask().await.unwrap();
        release.send(()).unwrap();
        second
    });
    assert_eq!(first.unwrap().status(), StatusCode::OK);
    let bytes = second.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&body["status"], &body["code"]), (&409.into(), &"idempotency_key_in_use".into()));
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK, "the key is free again");
}

#[tokio::test]
async fn an_artifact_that_was_tampered_with_on_disk_reaches_nobody() {
    use sqlx::{ConnectOptions as _, Connection as _};
    let world = World::new().await;
    world.run("m", crate::testing::plan(1, 1)).await;
    let mut file =
        sqlx::sqlite::SqliteConnectOptions::new().filename(world.file()).connect().await.unwrap();
    let tampered = "UPDATE artifacts SET bytes = zeroblob(length(bytes))";
    assert_eq!(sqlx::query(tampered).execute(&mut file).await.unwrap().rows_affected(), 1);
    file.close().await.unwrap();
    let digest = world.core.store.model("m".parse().unwrap()).await.unwrap().unwrap().latest_digest;
    for path in ["/v1/models/m/versions/1/artifact".to_owned(), format!("/v1/artifacts/{digest}")] {
        let (status, body) = ask(router(world.core.clone()), &path).await;
        assert_eq!((status.as_u16(), &body["code"]), (500, &"internal".into()), "{path}");
    }
    // What nodes fetch comes the same way.
    assert!(matches!(world.core.store.artifact(digest).await, Err(StoreError::Failed { .. })));
}

/// Refused for its head alone: the connection would close on a client that is still sending.
#[tokio::test]
async fn who_is_refused_is_heard_out_unless_they_asked_first() {
    let world = World::new().await;
    for (expect, heard) in [(None, 3), (Some("100-continue"), 0)] {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let parts = tokio_stream::iter(["{", "\"name\"", ":1}"]).map(move |part| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(part)
        });
        let request = Request::post("/v1/models").header("host", "localhost");
        let request = request.header("content-type", "text/plain");
        let request = expect.into_iter().fold(request, |request, it| request.header("expect", it));
        let request = request.body(Body::from_stream(parts)).unwrap();
        let response = router(world.core.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(count.load(Ordering::Relaxed), heard, "{expect:?}");
    }
}
