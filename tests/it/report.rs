//! The report as people get it: files of a real run, the page in a real browser, sweeps of real runs.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use resvg::tiny_skia::Pixmap;
use serde_json::Value;
use simulator::report::Data;
use simulator::sweep::{self, Outcome, Spec, Template};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::browser;
use crate::support::process::muster;
use crate::support::require::skip;

/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(300);
const PLOTS: [&str; 9] = [
    "curve",
    "accuracy",
    "participation",
    "rounds",
    "bytes",
    "energy",
    "raster",
    "potentials",
    "weights",
];

async fn demo(dir: &Path, args: &[&str]) -> Output {
    let work = muster().arg("demo").args(args).arg("--report").arg(dir).output();
    timeout(PATIENCE, work).await.expect("the demo ends").expect("muster starts")
}

#[tokio::test]
async fn a_report_tells_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--nodes",
        "3",
        "--rounds",
        "2",
        "--seed",
        "7",
        "--set",
        "local.samples=4",
        "--register",
        "SPI_LR_P_WOUT=13",
    ];
    let output = demo(dir.path(), &args).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    let data = Data::from_json(&text).unwrap();
    assert_eq!(
        data.command,
        "muster demo --nodes 3 --seed 7 --rounds 2 --set local.samples=4 --register SPI_LR_P_WOUT=13"
    );
    assert_eq!(data.plan["local"]["samples"], 4);
    assert_eq!(data.plan["local"]["schedule"][0]["registers"]["SPI_LR_P_WOUT"], 13);
    assert_eq!(data.rounds.len(), 2);
    for (round, version) in data.rounds.iter().zip(2..) {
        assert_eq!(
            (round.state.as_str(), round.version, round.updates),
            ("published", Some(version), 3)
        );
        assert!(round.closed_ms.is_some_and(|closed| closed >= round.opened_ms));
    }
    assert_eq!(data.participation.len(), 3);
    assert!(data.participation.iter().all(|node| (node.counted, node.samples) == (2, 8)));
    // What the nodes did is what the versions hold.
    let of_nodes: u64 = data.participation.iter().map(|node| node.synaptic_ops).sum();
    let of_versions: u64 = data.versions.iter().map(|version| version.synaptic_ops).sum();
    assert!(of_nodes > 0 && of_nodes == of_versions, "{of_nodes} {of_versions}");
    assert_eq!(data.node_accuracies.len(), 3);
    assert_eq!(data.histograms.len(), 9);
    assert_eq!(data.trace.as_ref().map(|trace| trace.ticks), Some(2250));
    let cost = data.cost.unwrap();
    let run = cost.run.unwrap();
    assert_eq!((run.samples, run.synaptic_ops), (24, of_versions));
    assert!(cost.learning.unwrap().chip_times_real_time.unwrap() > 1.0);
    assert!(data.speed.unwrap().times_real_time > 1.0);
    for plot in PLOTS {
        assert!(dir.path().join(format!("{plot}.svg")).exists(), "{plot}");
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (change, code, status) in [
        ("rounds.x=1", "plan_path_unknown", 64),
        ("local.nonsense=1", "coordinator_unreachable", 69),
    ] {
        let output = demo(dir.path(), &["--nodes", "1", "--set", change]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(status) && said.contains(code), "{change}: {said}");
    }
}

/// The browser, if there is one.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.exists())
}

/// Opens a page without a window. Returns what it said, with its console; with `--dump-dom` the page as it became.
async fn open(
    chromium: &Path,
    page: &Path,
    width: u32,
    dark: bool,
    more: &[&str],
) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let scheme = if dark { "0" } else { "1" };
    let work = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
        ])
        .args(["--enable-logging=stderr", "--disable-background-networking", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--window-size={width},5000"))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, work).await.expect("the browser ends").expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// The lines of a browser's log that the page's console wrote.
fn console(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("CONSOLE")).collect()
}

/// Measures every plot, in a copy of the page that allows it to, and says so on the console; again when the window has
/// got its size, which here is after the page has loaded.
const PROBE: &str = r#"<script>
const probe = () => {
  const plots = [...document.querySelectorAll("svg.plot")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const marks = [...svg.querySelectorAll("path,rect,circle,polyline")];
    const inside = marks.filter((one) => one.getBoundingClientRect().width > 0).length;
    return { id: svg.querySelector("title").id, width: box.width, height: box.height, left: box.left, right: box.right, inside };
  });
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const found = { plots, page: document.documentElement.scrollWidth, window: innerWidth, dark };
  console.log("PROBE" + JSON.stringify(found) + "PROBE");
};
addEventListener("load", probe);
addEventListener("resize", probe);
</script></body>"#;

#[tokio::test]
async fn the_page_shows_every_plot_in_a_browser() {
    let name = "the_page_shows_every_plot_in_a_browser";
    let Some(chromium) = chromium() else {
        return skip(name, "chromium", "there is no chromium");
    };
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--nodes", "3", "--rounds", "2", "--seed", "7"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = dir.path().join("report.html");
    let html = std::fs::read_to_string(&page).unwrap();

    // A page that does what its policy forbids, to see that a complaint is seen.
    let bad = dir.path().join("bad.html");
    std::fs::write(&bad, html.replacen("</body>", "<script>1</script></body>", 1)).unwrap();
    let _turn = browser::turn().await;
    let (_, log) = open(&chromium, &bad, 1280, false, &["--dump-dom"]).await;
    assert!(!console(&log).is_empty(), "the console is not seen: {log}");

    let policy = html.find("<meta http-equiv").unwrap();
    let end = policy + html[policy..].find('>').unwrap();
    let open_html =
        format!("{}{}", &html[..policy], &html[end + 1..]).replacen("</body>", PROBE, 1);
    let probed = dir.path().join("probed.html");
    std::fs::write(&probed, open_html).unwrap();

    let screens = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
    std::fs::create_dir_all(&screens).unwrap();
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let shot = format!("--screenshot={}", dir.path().join("probed.png").display());
        let (_, log) = open(&chromium, &probed, width, dark, &[&shot]).await;
        // The last but one part: the last is what follows.
        let found = log.rsplit("PROBE").nth(1).expect("the probe ran");
        let found: Value = serde_json::from_str(found).unwrap();
        assert_eq!(found["dark"], dark, "{found}");
        assert_eq!(found["window"], width);
        assert!(found["page"].as_u64() <= found["window"].as_u64(), "it is too wide: {found}");
        let plots = found["plots"].as_array().unwrap();
        assert_eq!(plots.len(), 2 * PLOTS.len());
        let (shown, hidden) = if width > 860 { ("wide", "narrow") } else { ("narrow", "wide") };
        for plot in PLOTS {
            let find = |class: &str| {
                let id = format!("{plot}-{class}-t");
                plots.iter().find(|one| one["id"] == id.as_str()).unwrap()
            };
            assert_eq!(find(hidden)["width"], 0);
            let plot = find(shown);
            assert!(
                plot["width"].as_f64() > Some(300.0) && plot["height"].as_f64() > Some(100.0),
                "{plot}"
            );
            assert!(
                plot["left"].as_f64() >= Some(0.0) && plot["right"].as_f64() <= Some(width.into()),
                "{plot}"
            );
            assert!(plot["inside"].as_u64() >= Some(2), "{plot}");
        }

        let kind = if dark { "dark" } else { "light" };
        let screen = screens.join(format!("report-{width}-{kind}.png"));
        let (_, log) =
            open(&chromium, &page, width, dark, &[&format!("--screenshot={}", screen.display())])
                .await;
        assert!(console(&log).is_empty(), "{width} {kind}: {:?}", console(&log));
        let picture = Pixmap::decode_png(&std::fs::read(&screen).unwrap()).unwrap();
        assert_eq!(picture.width(), width);
        let ground = picture.pixels()[0];
        assert_eq!(ground.red() < 128, dark, "{width} {kind}: the ground is {ground:?}");
    }
}

#[tokio::test]
async fn a_sweep_runs_the_real_thing_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::parse(
        "arguments = [\"--nodes\", \"1\", \"--rounds\", \"1\"]\nparallel = 2\n[parameters]\n\"plan.local.samples\" = [1, 2]\n\"register.SPI_LR_P_WOUT\" = [14]\n",
    )
    .unwrap();
    let template =
        Template { program: env!("CARGO_BIN_EXE_muster").into(), command: vec!["demo".to_owned()] };
    let work = sweep::run(&spec, &template, dir.path(), |_| {}, pending());
    let results = timeout(PATIENCE, work).await.expect("it ends").unwrap();
    assert_eq!((results.done(), results.failed()), (2, 0), "{results:?}");
    for (cell, _) in results.runs() {
        let text =
            std::fs::read_to_string(dir.path().join("runs").join(cell.name()).join("report.json"))
                .unwrap();
        assert_eq!(
            Data::from_json(&text).unwrap().plan["local"]["samples"],
            cell.values["plan.local.samples"]
        );
    }
    if let Some(chromium) = chromium() {
        let _turn = browser::turn().await;
        let screen = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep-1280-light.png");
        let shot = format!("--screenshot={}", screen.display());
        let (_, log) = open(&chromium, &dir.path().join("sweep.html"), 1280, false, &[&shot]).await;
        assert!(console(&log).is_empty(), "{:?}", console(&log));
    }
    let again = sweep::run(&spec, &template, dir.path(), |_| {}, pending()).await.unwrap();
    let kept =
        |outcome: Option<&Outcome>| matches!(outcome, Some(Outcome::Done { kept: true, .. }));
    assert!(again.runs().all(|(_, outcome)| kept(outcome)));
}
