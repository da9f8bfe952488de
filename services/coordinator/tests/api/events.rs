//! `/v1/events`: every deed is told, in order, to those who watch and to those who come back.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Response, Site, new_model, plan};

/// One message of a stream.
#[derive(Debug, PartialEq)]
struct Message {
    id: Option<u64>,
    kind: String,
    data: Value,
}

/// The messages of a body in chunks.
fn messages(response: &Response) -> Vec<Message> {
    assert_eq!(response.header("content-type"), "text/event-stream");
    let text = response.text();
    let parse = |block: &str| {
        // Chunk lengths stand on lines of their own, which are not fields.
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        let data = serde_json::from_str(&field("data")?).unwrap();
        Some(Message { id: field("id").map(|id| id.parse().unwrap()), kind: field("event")?, data })
    };
    text.split("\n\n").filter_map(parse).collect()
}

async fn stream(site: &Site, query: &str, last: Option<&str>) -> Response {
    let last = last.map_or(String::new(), |last| format!("last-event-id: {last}\r\n"));
    let head = format!(
        "GET /v1/events{query} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n{last}"
    );
    site.raw(&head, b"").await
}

fn kinds(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.kind.as_str()).collect()
}

#[tokio::test]
async fn every_deed_is_an_event_and_a_stream_resumes_where_it_broke_off() {
    let mut site = Site::start().await;
    site.enrol("a").await;
    site.make_model("m").await;
    site.make_run("m", plan(2, 1)).await;
    site.post("/v1/runs/1/cancel", &json!({})).await;
    let all = messages(&stream(&site, "?after=0&wait_s=0", None).await);
    assert_eq!(kinds(&all), ["node.enrolled", "model.created", "run.created", "run.ended", "bye"]);
    assert_eq!(all.iter().filter_map(|m| m.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((&all[1].data["subject"], &all[1].data["actor"]), (&json!("m/1"), &json!("rest")));
    assert_eq!(all[4].data, json!({"reason": "wait_s", "last_event_id": 4}));
    // The header is what a browser sends when it comes back; it goes before the query.
    let rest = messages(&stream(&site, "?after=0&wait_s=0", Some("2")).await);
    assert_eq!(rest, all[2..]);
    let two = messages(&stream(&site, "?after=1&max_events=2", None).await);
    assert_eq!(kinds(&two), ["model.created", "run.created", "bye"]);
    assert_eq!(two[2].data["reason"], "max_events");
    let runs = messages(&stream(&site, "?after=0&wait_s=0&kind=run", None).await);
    assert_eq!(kinds(&runs), ["run.created", "run.ended", "bye"]);
    let now = messages(&stream(&site, "?wait_s=0", None).await);
    assert_eq!(kinds(&now), ["bye"]);
    // The same as a list.
    let list = site.get("/v1/events?limit=3&kind=run.created").await.json();
    assert_eq!(list, json!({"items": [all[2].data], "next_cursor": null}));
    let page = site.get("/v1/events?limit=3").await.json();
    let next = page["next_cursor"].as_str().unwrap();
    let page = site.get(&format!("/v1/events?limit=3&cursor={next}")).await.json();
    assert_eq!(page, json!({"items": [all[3].data], "next_cursor": null}));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_number_of_another_life_of_the_database_begins_with_a_reset() {
    let site = Site::start().await;
    site.make_model("m").await;
    let again = messages(&stream(&site, "?wait_s=0", Some("17")).await);
    assert_eq!(kinds(&again), ["reset", "model.created", "bye"]);
    assert_eq!(again[0].data, json!({"oldest": 1, "newest": 1}));
    site.running.shutdown().await;
}

#[tokio::test]
async fn who_watches_is_told_at_once_and_told_goodbye() {
    let site = Site::start().await;
    let mut watcher = TcpStream::connect(site.running.http_addr()).await.unwrap();
    let head = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n";
    watcher.write_all(head.as_bytes()).await.unwrap();
    // The head of the answer: the stream stands before anything happens.
    let mut first = [0];
    watcher.read_exact(&mut first).await.unwrap();
    assert_eq!(first, *b"H");
    site.make_model("m").await;
    let mut seen = first.to_vec();
    while !String::from_utf8_lossy(&seen).contains("\"subject\":\"m/1\"") {
        let mut bytes = [0; 256];
        let got = watcher.read(&mut bytes).await.unwrap();
        assert_ne!(got, 0, "it ended early: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..got]);
    }
    let (left, ()) = tokio::join!(
        async {
            let mut left = Vec::new();
            watcher.read_to_end(&mut left).await.unwrap();
            String::from_utf8(left).unwrap()
        },
        site.running.shutdown()
    );
    assert!(left.contains("event: bye") && left.contains("\"reason\":\"shutdown\""), "{left}");
}

#[tokio::test]
async fn what_is_wrong_with_a_question_for_events_is_told() {
    let site = Site::start().await;
    for query in
        ["?after=1", "?wait_s=1", "?max_events=1", "?limit=0", "?kind=", "?x=1", "?cursor=x"]
    {
        site.get(&format!("/v1/events{query}")).await.is_problem(400, "invalid_query");
    }
    for query in ["?limit=1", "?cursor=1", "?after=x", "?wait_s=86401", "?max_events=0"] {
        stream(&site, query, None).await.is_problem(400, "invalid_query");
    }
    for last in ["", "x", "-1", "9223372036854775808"] {
        stream(&site, "", Some(last)).await.is_problem(400, "invalid_event_id");
    }
    site.post("/v1/events", &new_model("m", 1)).await.is_problem(405, "method_not_allowed");
    site.running.shutdown().await;
}
