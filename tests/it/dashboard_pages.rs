//! Every page of the dashboard, wide and narrow, light and dark: no fault that axe-core calls serious or critical, no
//! error in the console, nothing wider than the window. Pictures of them are kept in `target/screens`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use simulator::Rest;
use simulator::demo::navigation_artifact;
use tokio::process::Child;

use crate::support::browser::Browser;
use crate::support::fixture::{post_model, post_run, wait_for, wait_run};
use crate::support::process::{Serve, muster};
use crate::support::python::python;
use crate::support::require::skip;

const NAME: &str = "every_page_is_for_everybody";

/// Widths of windows: a desk's and a telephone's.
const WIDTHS: [u32; 2] = [1_280, 390];

/// Pages with something on them.
const PAGES: [(&str, &str); 12] = [
    ("overview", "/"),
    ("fleet", "/fleet"),
    ("node", "/fleet/ams-1"),
    ("runs", "/runs"),
    ("run", "/runs/1"),
    ("live-run", "/runs/2"),
    ("models", "/models"),
    ("model", "/models/navigation"),
    ("compare", "/models/navigation/compare?from=1&to=4"),
    ("audit", "/audit"),
    ("settings", "/settings"),
    ("tokens", "/settings/tokens"),
];

/// Pages of a coordinator that has nothing yet.
const EMPTY: [(&str, &str); 5] = [
    ("empty", "/"),
    ("empty-fleet", "/fleet"),
    ("empty-runs", "/runs"),
    ("empty-models", "/models"),
    ("nowhere", "/nowhere"),
];

/// What axe-core finds that is serious or critical, one line each.
const LOOK: &str = "
    const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations
        .filter((one) => ['serious', 'critical'].includes(one.impact))
        .flatMap((one) => one.nodes.map((node) => `${one.impact} ${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))));";

/// The text of axe-core, out of the Python package that carries it.
fn axe() -> Option<String> {
    let python = python("importlib.util")?;
    // The package itself wants a browser of its own, which is not needed to find a file of it.
    let find = "import importlib.util as i, pathlib as p\n\
        for name in ('axe_playwright_python', 'axe_core_python'):\n\
        \x20   spec = i.find_spec(name)\n\
        \x20   for file in (p.Path(spec.origin).parent.rglob('axe.min.js') if spec else ()):\n\
        \x20       print(file); raise SystemExit";
    let output = Command::new(python).args(["-c", find]).output().ok()?;
    let file = String::from_utf8(output.stdout).ok()?;
    std::fs::read_to_string(file.trim()).ok()
}

fn screens() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_muster")).ancestors().nth(2).unwrap();
    let dir = target.join("screens");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn node(dir: &Path, grpc: &str, name: &str, labels: &str, seed: u32) -> Child {
    muster()
        .args(["node", "--coordinator", grpc, "--name", name, "--label", labels])
        .args(["--data", &format!("navigation:seed={seed}"), "--state"])
        .arg(dir.join(name))
        .stdout(Stdio::null())
        .spawn()
        .expect("muster starts")
}

fn plan(rounds: Option<u32>, goal: u32, deadline_ms: u32) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.5, "weighting": "samples"},
        "rounds": rounds,
        "continuous": rounds.is_none(),
        "cohort": {"goal": goal, "quorum": goal, "over_selection": 1.0, "deadline_ms": deadline_ms, "attempts_max": 3},
        "local": {"samples": 30, "evaluate_samples": 20},
        "seed": 7,
    })
}

/// A fleet that learned, two channels, a run that is over and one that waits in its round.
async fn live(rest: &Rest, dir: &Path, grpc: &str) -> Vec<Child> {
    post_model(rest, "navigation", &navigation_artifact(1)).await;
    post_model(rest, "tones", &navigation_artifact(2)).await;
    let channels = "/v1/models/navigation/channels";
    let stable = json!({"name": "stable", "steps": [100], "evaluate_samples": 5});
    rest.post::<Value>(channels, &stable).await.unwrap();
    let canary = json!({"name": "canary", "auto": true, "steps": [50, 100], "evaluate_samples": 5,
                        "guard": "accuracy >= 0.2 over 1 nodes", "approval": false});
    rest.post::<Value>(channels, &canary).await.unwrap();
    let mut nodes = Vec::new();
    for (seed, site) in [(1, "ams"), (2, "ams"), (3, "rtm"), (4, "utr")] {
        let ring = if seed == 1 { ",channel=canary" } else { "" };
        nodes.push(node(dir, grpc, &format!("{site}-{seed}"), &format!("site={site}{ring}"), seed));
    }
    let run = post_run(rest, "navigation", &plan(Some(14), 4, 600_000)).await;
    assert_eq!(wait_run(rest, run).await["state"], "completed");
    rest.post::<Value>(&format!("{channels}/stable/promote"), &json!({"version": 4}))
        .await
        .unwrap();
    let enrol = json!({"name": "line-3", "labels": {"site": "ams"}, "uses_max": 20});
    rest.post::<Value>("/v1/enrolment-tokens", &enrol).await.unwrap();
    rest.post::<Value>("/v1/tokens", &json!({"name": "ci", "scope": "operate"})).await.unwrap();
    // One that has its round open: a node fell asleep.
    let live = post_run(rest, "tones", &plan(None, 4, 3_600_000)).await;
    let made = |run: &Value| (run["rounds_published"].as_u64() >= Some(3)).then_some(());
    wait_for(rest, &format!("/v1/runs/{live}"), made).await;
    nodes.pop();
    let open = |run: &Value| (run["round"]["updates"].as_u64() == Some(3)).then_some(());
    wait_for(rest, &format!("/v1/runs/{live}"), open).await;
    nodes
}

/// Looks at a page in every way, and says what is wrong with it.
async fn examine(
    browser: &Browser,
    axe: &str,
    base: &str,
    (name, path): (&str, &str),
) -> Vec<String> {
    let mut faults = Vec::new();
    for width in WIDTHS {
        for dark in [false, true] {
            browser.look(width, dark).await;
            browser.go(&format!("{base}{path}")).await;
            browser.until("the page", "document.readyState === 'complete'").await;
            let way = format!("{name} at {width}{}", if dark { ", dark" } else { "" });
            browser.script(axe).await;
            let found = browser.script_later(LOOK).await;
            let found = found.as_array().into_iter().flatten().filter_map(Value::as_str);
            faults.extend(found.map(|fault| format!("{way}: {fault}")));
            let wide =
                browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            if wide.as_i64() > Some(0) {
                faults.push(format!("{way}: {wide} pixels wider than the window"));
            }
            // What is not found is told in the console, by its status.
            let complaints = browser.complaints().await.into_iter();
            let complaints = complaints.filter(|text| name != "nowhere" || !text.contains("404"));
            faults
                .extend(complaints.map(|complaint| format!("{way}: the console says {complaint}")));
            let file = format!("{name}-{width}{}.png", if dark { "-dark" } else { "" });
            browser.picture(&screens().join(file)).await;
        }
    }
    faults
}

#[tokio::test]
async fn every_page_is_for_everybody() {
    let Some(axe) = axe() else {
        return skip(NAME, "axe", "no python3 with axe-playwright-python or axe-core-python");
    };
    let Some(browser) = Browser::start().await else {
        return skip(NAME, "chromium", "no chromium with chromedriver");
    };
    let axe = format!("{axe}\nwindow.axe = axe;");
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let mut faults = Vec::new();
    for page in EMPTY {
        faults.extend(examine(&browser, &axe, serve.http(), page).await);
    }
    let _nodes = live(&serve.rest(), dir.path(), serve.grpc()).await;
    for page in PAGES {
        faults.extend(examine(&browser, &axe, serve.http(), page).await);
    }
    let mut command = muster();
    command.env("MUSTER_LOG", "warn").env("MUSTER_AUTH", "tokens");
    let guarded =
        Serve::start_by(command, &dir.path().join("guarded"), "127.0.0.1:0", "127.0.0.1:0").await;
    faults.extend(examine(&browser, &axe, guarded.http(), ("sign-in", "/sign-in")).await);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    drop(browser);
    serve.stop().await;
    guarded.stop().await;
}
