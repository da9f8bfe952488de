//! HTTP itself: names of requests, tags, ranges, compression, methods, bodies that are too much.

use federation::Digest;
use serde_json::json;

use crate::support::{Response, Site, artifact};

async fn ask(site: &Site, line: &str, headers: &[(&str, &str)]) -> Response {
    let mut head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    site.raw(&head, b"").await
}

#[tokio::test]
async fn every_request_has_a_name() {
    let site = Site::start().await;
    for (path, status) in [("/healthz", 200), ("/v1/models", 200), ("/nothing", 404)] {
        let line = format!("GET {path}");
        let given = ask(&site, &line, &[("x-request-id", "a-name/1")]).await;
        assert_eq!((given.status, given.header("x-request-id")), (status, "a-name/1"), "{path}");
        let (one, two) = (ask(&site, &line, &[]).await, ask(&site, &line, &[]).await);
        let made = one.header("x-request-id");
        assert!(!made.is_empty() && made != two.header("x-request-id"), "{path}");
        let long = "x".repeat(65);
        for none in ["", "two words", long.as_str()] {
            let answer = ask(&site, &line, &[("x-request-id", none)]).await;
            let made = answer.header("x-request-id");
            assert!(!made.is_empty() && made != none, "{none}");
        }
    }
    let refused = ask(&site, "GET /v1/models/none", &[("x-request-id", "x1")]).await;
    assert_eq!(refused.is_problem(404, "model_not_found")["request_id"], "x1");
    let foreign = [("x-request-id", "x2"), ("origin", "http://example.com")];
    let refused = ask(&site, "GET /v1/models", &foreign).await;
    assert_eq!(refused.is_problem(403, "origin_not_allowed")["request_id"], "x2");
    site.running.shutdown().await;
}

#[tokio::test]
async fn json_has_a_weak_tag_and_is_not_sent_twice() {
    let site = Site::start().await;
    site.make_model("m").await;
    for path in ["/v1/models", "/v1/models/m", "/openapi.json", "/healthz"] {
        let line = format!("GET {path}");
        let first = ask(&site, &line, &[]).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.len() == 36, "{path} {tag}");
        assert_eq!(first.header("vary"), "accept-encoding", "{path}");
        let same = ask(&site, &line, &[("if-none-match", &tag)]).await;
        assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, &*tag), "{path}");
        let head = ask(&site, &format!("HEAD {path}"), &[]).await;
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, &*tag), "{path}");
        assert_eq!(head.header("content-length"), first.body.len().to_string(), "{path}");
        let held = ask(&site, &format!("HEAD {path}"), &[("if-none-match", &tag)]).await;
        assert_eq!(held.status, 304, "{path}");
    }
    let before = ask(&site, "GET /v1/models", &[]).await;
    site.make_model("n").await;
    let tag = before.header("etag");
    let after = ask(&site, "GET /v1/models", &[("if-none-match", tag)]).await;
    assert_eq!(after.status, 200);
    assert_ne!(after.header("etag"), tag);
    // What is refused has no tag.
    let refused = ask(&site, "GET /v1/models/none", &[("if-none-match", "*")]).await;
    refused.is_problem(404, "model_not_found");
    assert_eq!(refused.header("etag"), "");
    site.running.shutdown().await;
}

#[tokio::test]
async fn texts_are_compressed_and_artifacts_never() {
    let site = Site::start().await;
    site.make_model("m").await;
    let plain = ask(&site, "GET /openapi.json", &[]).await;
    assert_eq!(plain.header("content-encoding"), "");
    for (encoding, magic) in [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd])] {
        let short = ask(&site, "GET /openapi.json", &[("accept-encoding", encoding)]).await;
        assert_eq!(short.header("content-encoding"), encoding);
        assert_eq!(short.header("vary"), "accept-encoding");
        assert_eq!(short.header("etag"), plain.header("etag"), "a weak tag is for all of them");
        let body = String::from_utf8_lossy(&short.body).into_owned();
        let start = short.body.windows(magic.len()).position(|part| part == magic);
        assert!(start.is_some_and(|start| start < 16), "{body}");
        assert!(short.body.len() < plain.body.len() / 3);
        let head = ask(&site, "HEAD /openapi.json", &[("accept-encoding", encoding)]).await;
        assert_eq!((head.header("content-encoding"), head.body.len()), (encoding, 0));
        let path = "GET /v1/models/m/versions/1/artifact";
        let bytes = ask(&site, path, &[("accept-encoding", encoding)]).await;
        assert_eq!(bytes.header("content-encoding"), "");
        assert_eq!(bytes.body, artifact(3).encode());
    }
    let none = [("accept-encoding", "br, identity;q=0, *;q=0")];
    ask(&site, "GET /openapi.json", &none).await.is_problem(406, "not_acceptable");
    site.running.shutdown().await;
}

#[tokio::test]
async fn an_artifact_is_fetched_whole_in_part_or_not_at_all() {
    let site = Site::start().await;
    site.make_model("m").await;
    let whole = artifact(3).encode();
    let digest = Digest::of(&whole).to_string();
    let (tag, other) = (format!("\"{digest}\""), format!("\"{}\"", "0".repeat(64)));
    let size = whole.len();
    for path in [
        "/v1/models/m/versions/1/artifact".to_owned(),
        "/v1/models/m/versions/latest/artifact".to_owned(),
        format!("/v1/artifacts/{digest}"),
    ] {
        let get =
            async |headers: &[(&str, &str)]| ask(&site, &format!("GET {path}"), headers).await;
        let all = get(&[]).await;
        assert_eq!((all.status, all.header("accept-ranges"), &all.body), (200, "bytes", &whole));
        assert_eq!((all.header("etag"), all.header("vary")), (&*tag, ""));
        let part = get(&[("range", "bytes=10-19")]).await;
        assert_eq!((part.status, &part.body[..]), (206, &whole[10..20]));
        assert_eq!(part.header("content-range"), format!("bytes 10-19/{size}"));
        assert_eq!((part.header("etag"), part.header("content-length")), (&*tag, "10"));
        let end = get(&[("range", "bytes=-5"), ("if-range", &tag)]).await;
        assert_eq!((end.status, &end.body[..]), (206, &whole[size - 5..]));
        let changed = get(&[("range", "bytes=-5"), ("if-range", &other)]).await;
        assert_eq!((changed.status, changed.body.len()), (200, size));
        let beyond = get(&[("range", &format!("bytes={size}-"))]).await;
        beyond.is_problem(416, "range_not_satisfiable");
        assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
        let held = get(&[("if-none-match", &tag), ("range", "bytes=0-1")]).await;
        assert_eq!((held.status, held.body.len(), held.header("etag")), (304, 0, &*tag));
        get(&[("if-match", &other)]).await.is_problem(412, "precondition_failed");
        assert_eq!(get(&[("if-match", &tag)]).await.status, 200);
        let head = ask(&site, &format!("HEAD {path}"), &[("range", "bytes=0-1")]).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), size.to_string());
    }
    let by_digest = ask(&site, &format!("GET /v1/artifacts/{digest}"), &[]).await;
    assert_eq!(by_digest.header("cache-control"), "max-age=31536000, immutable");
    for none in ["0".repeat(64), "0".repeat(63), digest.to_uppercase(), "x".to_owned()] {
        let path = format!("/v1/artifacts/{none}");
        site.get(&path).await.is_problem(404, "artifact_not_found");
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_with_those_it_takes() {
    let site = Site::start().await;
    for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "QUERY", "get"] {
        let refused = ask(&site, &format!("{method} /v1/models"), &[]).await;
        refused.is_problem(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), "GET,HEAD,POST", "{method}");
    }
    let refused = ask(&site, "HEAD /v1/runs/1/cancel", &[]).await;
    let allow = (refused.status, refused.header("allow"), refused.body.len());
    assert_eq!(allow, (405, "POST", 0));
    let star = ask(&site, "OPTIONS *", &[]).await;
    star.is_problem(404, "not_found");
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_nested_too_deep_is_refused() {
    let site = Site::start().await;
    let post = "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    for (open, close) in [("[", "]"), ("{\"plan\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        // Whatever stands where a shape is expected is refused at its first word.
        let code = if open == "[" { "invalid_value" } else { "unknown_field" };
        site.raw(post, deep.as_bytes()).await.is_problem(422, code);
        // These two may be of several shapes, and are read before anyone knows which.
        for field in ["\"cohort\":{\"select\":", "\"strategy\":{\"x\":"] {
            let deep = format!("{{\"model\":\"m\",\"plan\":{{{field}{deep}}}}}}}");
            site.raw(post, deep.as_bytes()).await.is_problem(400, "invalid_json");
        }
    }
    assert_eq!(site.get("/healthz").await.json(), json!({"status": "ok"}));
    site.running.shutdown().await;
}

#[tokio::test]
async fn the_description_can_be_browsed_without_any_other_host() {
    let site = Site::start().await;
    let document = site.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.json()["openapi"], "3.1.0");
    let moved = site.get("/docs").await;
    assert_eq!((moved.status, moved.header("location")), (308, "/docs/"));
    let page = site.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js", "index.css"] {
        assert!(page.text().contains(file), "{file}");
        assert_eq!(site.get(&format!("/docs/{file}")).await.status, 200, "{file}");
    }
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    let set_up = site.get("/docs/swagger-initializer.js").await.text();
    assert!(set_up.contains("openapi.json") && !set_up.contains("://"), "{set_up}");
    assert!(set_up.contains("\"validatorUrl\": \"none\""), "{set_up}");
    site.get("/docs/none.js").await.is_problem(404, "not_found");
    site.get("/docs/../healthz").await.is_problem(404, "not_found");
    site.running.shutdown().await;
}
