//! The dashboard as a person uses it, in a browser: signs in, watches a run learn, moves versions, revokes a node, loses
//! the coordinator and finds it again.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use simulator::demo::navigation_artifact;
use simulator::{Access, Rest};
use tokio::process::Child;

use crate::support::browser::Browser;
use crate::support::fixture::{post_model, wait_for};
use crate::support::process::{Serve, muster, node};
use crate::support::require::skip;

/// A run over two nodes that goes on until it is cancelled.
fn endless() -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "continuous": true,
        "cohort": {"goal": 2, "quorum": 1, "over_selection": 1.0, "deadline_ms": 600_000},
        "local": {"samples": 3, "evaluate_samples": 2},
        "seed": 7,
    })
}

/// The key, as WebDriver names it.
const ESCAPE: &str = "\u{e00c}";

/// Points of a line of the curve.
const POINTS: &str = "(document.querySelector('#curve polyline.side')?.getAttribute('points') ?? '').trim().split(' ').length";

/// What the browser's console complained of, but for the coordinator that was away.
async fn complaints(browser: &Browser) -> Vec<String> {
    let all = browser.complaints().await;
    all.into_iter().filter(|text| !text.contains("net::ERR_") && !text.contains("503")).collect()
}

fn guarded_node(dir: &Path, grpc: &str, name: &str, token: &str, seed: u32) -> Child {
    muster()
        .args(["node", "--coordinator", grpc, "--name", name, "--enrol-token", token])
        .args(["--data", &format!("navigation:seed={seed}"), "--state"])
        .arg(dir.join(name))
        .stdout(Stdio::null())
        .spawn()
        .expect("muster starts")
}

#[tokio::test]
async fn a_person_signs_in_watches_a_run_and_acts() {
    let name = "a_person_signs_in_watches_a_run_and_acts";
    let Some(browser) = Browser::start().await else {
        return skip(name, "chromium", "no chromium with chromedriver");
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = muster();
    command.env("MUSTER_LOG", "warn").env("MUSTER_AUTH", "tokens");
    let serve = Serve::start_by(command, &data, "127.0.0.1:0", "127.0.0.1:0").await;
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let token = token.trim().to_owned();
    let access = Access { url: serve.http().to_owned(), token: Some(token.clone()), ca_file: None };
    let rest = Rest::connect(&access).unwrap();
    post_model(&rest, "navigation", &navigation_artifact(1)).await;
    let channel = json!({"name": "stable", "steps": [100], "evaluate_samples": 2});
    rest.post::<Value>("/v1/models/navigation/channels", &channel).await.unwrap();
    let enrol = json!({"name": "line-3", "uses_max": 2, "labels": {"site": "ams"}});
    let enrol: Value = rest.post("/v1/enrolment-tokens", &enrol).await.unwrap();
    let enrol = enrol["token"].as_str().unwrap();
    let _nodes = [
        guarded_node(dir.path(), serve.grpc(), "ams-1", enrol, 1),
        guarded_node(dir.path(), serve.grpc(), "ams-2", enrol, 2),
    ];
    let run = json!({"model": "navigation", "plan": endless()});
    let run: Value = rest.post("/v1/runs", &run).await.unwrap();
    let page = |path: &str| format!("{}{path}", serve.http());

    // Signs in, with a wrong token first, and comes to where the link led.
    browser.go(&page("/runs/1")).await;
    browser.until("the form", "location.pathname === '/sign-in'").await;
    browser.write("#token", "mst_1_wrong").await;
    browser.click("form button").await;
    browser
        .until(
            "the refusal",
            "document.querySelector('#wrong')?.innerText.includes('Not signed in')",
        )
        .await;
    // That answer is 401, which the console tells of.
    browser.complaints().await;
    browser.write("#token", &token).await;
    browser.click("form button").await;
    browser
        .until(
            "the run",
            "location.pathname === '/runs/1' && document.querySelector('h1').innerText === 'Run 1'",
        )
        .await;
    let cookie = browser.script("return document.cookie").await;
    assert_eq!(cookie, "", "no script reads the cookie");

    // The curve grows while somebody looks, without the page being loaded again.
    browser.script("window.untouched = true").await;
    browser.until("a curve", &format!("{POINTS} >= 2")).await;
    let points = browser.script(&format!("return {POINTS}")).await.as_u64().unwrap();
    browser.until("a longer curve", &format!("{POINTS} >= {}", points + 2)).await;
    assert_eq!(browser.script("return window.untouched").await, true);
    browser
        .until(
            "a version",
            // Of any round: the newest one is open most of the time, and has none yet.
            "[...document.querySelectorAll('#rounds tbody td:nth-child(6)')].some(cell => Number(cell.innerText) >= 3)",
        )
        .await;

    // Pauses the run, promotes a version, and rolls back.
    browser.click("form[action='/runs/1/pause'] button").await;
    browser
        .until("it is paused", "document.querySelector('.note')?.innerText.startsWith('Paused')")
        .await;
    assert_eq!(rest.get::<Value>("/v1/runs/1").await.unwrap()["state"], "paused");
    browser.go(&page("/models/navigation")).await;
    browser.script("document.querySelector('#promote-stable').value = 2").await;
    browser.click("form[action$='/stable/promote'] button").await;
    browser
        .until(
            "it is promoted",
            "document.querySelector('.note')?.innerText.startsWith('Promoted')",
        )
        .await;
    browser
        .until(
            "the channel has it",
            "document.querySelector('.card .big').innerText.startsWith('Version 2')",
        )
        .await;
    let stable = "/v1/models/navigation/channels/stable";
    wait_for(&rest, stable, |channel| (channel["version"] == 2).then_some(())).await;
    browser.click("details.ask summary").await;
    browser.click("form[action$='/stable/rollback'] button").await;
    browser
        .until("it is back", "document.querySelector('.note')?.innerText.startsWith('Rolled back')")
        .await;
    wait_for(&rest, stable, |channel| (channel["version"] == 1).then_some(())).await;

    // Finds a node, and revokes it after a question.
    browser.go(&page("/fleet")).await;
    browser.write("#label", "site=ams, !ring").await;
    browser.click("form.filter button").await;
    browser.until("they are found", "location.search.includes('label=') && document.querySelectorAll('#nodes tbody tr').length === 2").await;
    browser.click("a[href='/fleet/ams-2']").await;
    // The question is left by the keyboard, and what asked it has the focus again.
    browser.click("details.ask summary").await;
    browser.until("the question", "document.querySelector('details.ask').open").await;
    browser.write("details.ask summary", ESCAPE).await;
    browser.until("no question", "!document.querySelector('details.ask').open").await;
    assert_eq!(browser.script("return document.activeElement.tagName").await, "SUMMARY");
    browser.click("details.ask summary").await;
    browser.click("form[action='/fleet/ams-2/revoke'] button").await;
    browser
        .until("it is revoked", "document.querySelector('#state')?.innerText.includes('revoked')")
        .await;
    let node: Value = rest.get("/v1/nodes/ams-2").await.unwrap();
    assert!(node["revoked_at_ms"].is_u64(), "{node}");
    let log: Value = rest.get("/v1/audit?action=node.revoked").await.unwrap();
    assert_eq!(log["items"][0]["actor"], "token:1");
    assert_eq!(complaints(&browser).await, Vec::<String>::new());

    // The coordinator goes, the page says so; it comes back without its sessions, and the page says that, too.
    let (http, grpc) = (serve.http().to_owned(), serve.grpc().to_owned());
    serve.stop().await;
    browser
        .until(
            "the page says so",
            "document.querySelector('#lost:not([hidden])')?.innerText.includes('does not answer')",
        )
        .await;
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let mut command = muster();
    command.env("MUSTER_LOG", "warn").env("MUSTER_AUTH", "tokens");
    let serve = Serve::start_by(command, &data, &address(&http), &address(&grpc)).await;
    browser
        .until(
            "the page says so",
            "document.querySelector('#lost:not([hidden]) a')?.innerText === 'Sign in'",
        )
        .await;
    browser.click("#lost a").await;
    browser.write("#token", &token).await;
    browser.click("form button").await;
    browser.until("back where it was", "location.pathname === '/fleet/ams-2'").await;
    browser.click(".who button").await;
    browser.until("it is left", "location.pathname === '/sign-in'").await;
    assert_eq!(run["id"], 1);
    drop(browser);
    serve.stop().await;
}

#[tokio::test]
async fn a_page_finds_the_coordinator_again_and_goes_on() {
    let name = "a_page_finds_the_coordinator_again_and_goes_on";
    let Some(browser) = Browser::start().await else {
        return skip(name, "chromium", "no chromium with chromedriver");
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serve = Serve::start(&data).await;
    let rest = serve.rest();
    post_model(&rest, "navigation", &navigation_artifact(1)).await;
    let run = json!({"model": "navigation", "plan": endless()});
    rest.post::<Value>("/v1/runs", &run).await.unwrap();
    let (http, grpc) = (serve.http().to_owned(), serve.grpc().to_owned());
    let _nodes = [node(dir.path(), &grpc, "a", 1), node(dir.path(), &grpc, "b", 2)];
    browser.go(&format!("{http}/runs/1")).await;
    browser.script("window.untouched = true").await;
    browser.until("a curve", &format!("{POINTS} >= 2")).await;
    serve.kill().await;
    browser
        .until(
            "the page says so",
            "document.querySelector('#lost:not([hidden])')?.innerText.includes('does not answer')",
        )
        .await;
    let points = browser.script(&format!("return {POINTS}")).await.as_u64().unwrap();
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let serve = Serve::start_at(&data, &address(&http), &address(&grpc)).await;
    browser
        .until("the page says so", "document.querySelector('#lost').innerText.includes('is back')")
        .await;
    browser.until("the curve goes on", &format!("{POINTS} > {}", points + 1)).await;
    browser.until("nothing is said any more", "document.querySelector('#lost').hidden").await;
    assert_eq!(browser.script("return window.untouched").await, true);
    assert_eq!(complaints(&browser).await, Vec::<String>::new());
    drop(browser);
    serve.stop().await;
}
