//! Pages of a large world stay small, and what comes from outside stays text.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tower::ServiceExt as _;

use super::super::router;
use crate::testing::{World, plan};

/// Largest page.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// A page as it is sent to whoever takes no compression.
async fn page(world: &World, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("host", "localhost").header("accept", "text/html");
    let answer = router(world.core.clone()).oneshot(request.body(Body::empty()).unwrap());
    let answer = answer.await.unwrap();
    let status = answer.status();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CONTENT_SECURITY_POLICY, super::POLICY),
    ] {
        assert_eq!(answer.headers()[&name], value, "{path}");
    }
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    // Nothing that the policy would forbid, and nothing from elsewhere.
    for word in [" style=", " onclick=", "<style", "javascript:", "http://", "https://"] {
        let found = text.replace("https://HOST:7401", "").replace("http://HOST:7401", "");
        assert!(!found.contains(word), "{path} says {word}");
    }
    (status, text)
}

/// 10,000 nodes, a run of 1,000 rounds with their versions and what nodes reported of them.
async fn large() -> World {
    let mut world = World::new().await;
    world.run("m", plan(1, 1_000)).await;
    world.tick().await;
    let options = SqliteConnectOptions::new().filename(world.file());
    let mut file = options.foreign_keys(true).connect().await.unwrap();
    for statement in [
        "CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n",
        "INSERT INTO nodes (id, public_key, labels, learners, enrolled_ms, seen_ms)
         SELECT printf('node-%05d', i), CAST(printf('%032d', i) AS BLOB),
             json_object('site', 'site-' || (i % 7), 'task', 'navigation'), '[\"reckon/1\"]', i, i FROM n",
        "INSERT INTO artifacts (digest, bytes)
         SELECT CAST(printf('v%031d', i) AS BLOB), x'00' FROM n WHERE i BETWEEN 2 AND 1001",
        "INSERT INTO rounds (run_id, number, attempt, state, base_version, version, served_ms, cohort, updates, samples,
             correct, synaptic_ops, bytes_up, bytes_down, opened_ms, closed_ms)
         SELECT 1, i, 1, 'published', i, i + 1, 1000, 100, 90, 900, 500 + i % 400, 1000000, 90000, 90000, i, i
         FROM n WHERE i <= 1000",
        "INSERT INTO versions (model, number, digest, parent, round_id, created_ms)
         SELECT 'm', r.version, CAST(printf('v%031d', r.version) AS BLOB), r.base_version, r.id, r.opened_ms
         FROM rounds r WHERE r.version IS NOT NULL",
        "INSERT INTO evaluations (model, digest, node_id, samples, correct, reported_ms)
         SELECT 'm', v.digest, printf('node-%05d', e.i), 10, v.number % 10, 1 FROM versions v, n e WHERE e.i <= 10",
    ] {
        sqlx::query(statement).execute(&mut file).await.unwrap();
    }
    file.close().await.unwrap();
    world
}

#[tokio::test]
async fn pages_of_ten_thousand_nodes_and_a_thousand_rounds_are_small() {
    let world = large().await;
    let mut sizes = BTreeMap::new();
    for path in [
        "/",
        "/fleet",
        "/fleet?limit=1000",
        "/fleet?label=site%3Dsite-3",
        "/fleet/node-00001",
        "/runs",
        "/runs/1",
        "/models",
        "/models/m",
        "/audit",
        "/settings",
        "/settings/tokens",
    ] {
        let (status, text) = page(&world, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(text.len() < PAGE_BYTES_MAX, "{path} has {} bytes", text.len());
        sizes.insert(path, text.len());
    }
    assert!(sizes["/runs/1"] < 100_000 && sizes["/fleet"] < 200_000, "{sizes:?}");
    let (_, fleet) = page(&world, "/fleet?label=site%3Dsite-3").await;
    assert!(fleet.contains("node-00003") && !fleet.contains("node-00004"));
    assert!(fleet.contains("10\u{202f}000"), "all are counted");
    let next = fleet.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let next = next.replace("&amp;", "&");
    let (status, second) = page(&world, &next).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!second.contains("node-00003") && second.contains("To the begin"));
    let (_, run) = page(&world, "/runs/1").await;
    assert!(
        run.contains("980\u{202f}older") || run.contains("980 older"),
        "the rest is a page further"
    );
    assert!(run.contains("held out: from"), "the curve is told in words");
}

#[tokio::test]
async fn what_comes_from_outside_stays_text() {
    let world = World::new().await;
    let (status, text) = page(&world, "/fleet?label=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!text.contains("<script>alert") && text.contains("&lt;script&gt;"), "{text}");
    let (_, text) = page(&world, "/audit?action=%22%3E%3Cimg").await;
    assert!(!text.contains("\"><img"));
    for path in
        ["/nowhere", "/runs/x", "/runs/9", "/fleet/nobody", "/models/none", "/models/m/compare"]
    {
        let (status, text) = page(&world, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(text.contains("To the overview"), "{path}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_question_is_told_on_a_page() {
    let world = World::new().await;
    for path in [
        "/fleet?limit=0",
        "/fleet?seen_within_s=soon",
        "/fleet?cursor=x",
        "/runs?more=1",
        "/runs/1?before=x",
        "/audit?before=-1",
    ] {
        let (status, text) = page(&world, path).await;
        assert!(status.is_client_error(), "{path}: {status}");
        assert!(text.contains("To the overview"), "{path}: {text}");
    }
    // As the form sends it.
    assert_eq!(page(&world, "/fleet?label=&seen_within_s=").await.0, StatusCode::OK);
}

#[tokio::test]
async fn empty_pages_say_what_to_do_next() {
    let world = World::new().await;
    for (path, hint) in [
        ("/", "muster node --coordinator"),
        ("/fleet", "muster fleet token create"),
        ("/runs", "muster run create"),
        ("/models", "muster model import"),
    ] {
        let (_, text) = page(&world, path).await;
        assert!(text.contains(hint), "{path}");
    }
}

/// Names of events in the code that writes them.
fn kinds() -> BTreeSet<String> {
    let store = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(store).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        for word in text.split('"').skip(1).step_by(2) {
            let of_event = word.split_once('.').is_some_and(|(first, rest)| {
                let subjects = [
                    "channel",
                    "enrolment_token",
                    "model",
                    "node",
                    "round",
                    "run",
                    "token",
                    "version",
                ];
                let plain = rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                subjects.contains(&first) && plain && !rest.is_empty()
            });
            if of_event {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

#[test]
fn the_script_follows_every_kind_of_event() {
    let script = include_str!("assets/script.js");
    let kinds = kinds();
    assert!(kinds.contains("round.opened") && kinds.contains("channel.tripped"), "{kinds:?}");
    // Names of columns look alike.
    let ends = ["ed", "created", "published", "enrolled", "set_up"];
    for kind in kinds.iter().filter(|kind| ends.iter().any(|end| kind.ends_with(end))) {
        assert!(script.contains(&format!("\"{kind}\"")), "the script does not listen for {kind}");
    }
}
