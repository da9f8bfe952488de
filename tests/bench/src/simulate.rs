//! What virtual nodes cost: node-rounds a second, memory of a parked node, the share of CPU that is not learning. Each
//! figure is of a process of its own, so that none has another's memory.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use simulator::simulate::{Args, Figures, measure};
use tracing::subscriber::{NoSubscriber, set_global_default};

use crate::ingest::show;

/// Node-rounds a second that are wanted.
const NODE_ROUNDS_PER_S: f64 = 20_000.0;
/// Bytes of a parked node that are allowed, its coordinator's share included.
const PARKED_BYTES: f64 = 8_192.0;
/// Bytes of 100,000 nodes that learn.
const LEARNING_BYTES: f64 = 4e9;
/// Percent of CPU that protocol and coordinator may take while the fleet learns.
const AROUND_PERCENT: f64 = 25.0;

/// One simulation.
#[derive(Clone, Copy, Debug)]
struct Case {
    nodes: u32,
    cohort: u32,
    rounds: u32,
    /// 0 learns nothing.
    samples: u32,
    ask_per_s_max: u32,
    fetch_each: bool,
}

/// What a fleet asks a second at most, unless told otherwise.
const PACE: u32 = 500;
/// The same where speed is measured: nodes that are due at one instant are served together.
const PACE_FULL: u32 = 100_000;

const FULL: Case = Case {
    nodes: 20_000,
    cohort: 20_000,
    rounds: 6,
    samples: 0,
    ask_per_s_max: PACE_FULL,
    fetch_each: false,
};
const PARKED: Case = Case {
    nodes: 10_000,
    cohort: 1_000,
    rounds: 3,
    samples: 0,
    ask_per_s_max: PACE,
    fetch_each: false,
};
const LEARNING: Case = Case { nodes: 100_000, cohort: 1_000, rounds: 5, samples: 1, ..PARKED };
const USUAL: Case = Case { nodes: 1_000, cohort: 1_000, rounds: 3, samples: 10, ..PARKED };

/// Measures and prints.
pub(crate) fn run(json: bool, only: Option<&str>, print: fn(&str)) -> Result<(), String> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let line = |case: &str, value, unit, target| {
        print(&show("simulate", json, case, value, unit, target));
    };
    if wanted("rate") {
        for (name, fetch_each) in [("", false), (" fetch_each", true)] {
            let figures = apart(Case { fetch_each, ..FULL })?;
            let rate = number(&figures, "pushes") / number(&figures, "run_s");
            let target = (!fetch_each).then_some(NODE_ROUNDS_PER_S);
            line(&format!("20000 nodes{name} node_rounds_per_s"), rate, "1/s", target);
            let asks = number(&figures, "asks") / number(&figures, "pushes");
            line(&format!("20000 nodes{name} asks_per_node_round"), asks, "1", None);
            let cpu = number(&figures, "others_s") * 1e6 / number(&figures, "pushes");
            line(&format!("20000 nodes{name} cpu_per_node_round"), cpu, "us", None);
        }
    }
    if wanted("parked") {
        let few = apart(PARKED)?;
        let many = apart(Case { nodes: 100_000, ..PARKED })?;
        let bytes = (number(&many, "rss_bytes") - number(&few, "rss_bytes")) / 90_000.0;
        line("parked node bytes", bytes, "B", Some(PARKED_BYTES));
        line("100000 nodes enrolment", number(&many, "enrol_s"), "s", None);
    }
    for (name, case) in [("usual", USUAL), ("learning", LEARNING)] {
        if wanted(name) {
            let figures = apart(case)?;
            let title = format!("{} nodes learning", case.nodes);
            let (learning, others) = (number(&figures, "learning_s"), number(&figures, "others_s"));
            let percent = others / (learning + others) * 100.0;
            line(&format!("{title} around_percent"), percent, "%", Some(AROUND_PERCENT));
            let most = number(&figures, "rss_max_bytes");
            line(&format!("{title} rss_max"), most / 1e6, "MB", Some(LEARNING_BYTES / 1e6));
            line(&format!("{title} run_s"), number(&figures, "run_s"), "s", None);
            line(&format!("{title} enrol_s"), number(&figures, "enrol_s"), "s", None);
            line(&format!("{title} virtual_s"), number(&figures, "virtual_s"), "s", None);
            line(&format!("{title} asks"), number(&figures, "asks"), "1", None);
        }
    }
    Ok(())
}

/// Runs one simulation in this process and prints its figures, for the process that asked for it.
pub(crate) fn one(arguments: &[String], print: fn(&str)) -> Result<(), String> {
    let numbers: Vec<u32> = arguments
        .iter()
        .map(|text| text.parse().map_err(|_| format!("`{text}`")))
        .collect::<Result<_, _>>()?;
    let [nodes, cohort, rounds, samples, ask_per_s_max, fetch_each] = numbers[..] else {
        return Err("--one takes six numbers".to_owned());
    };
    let args = Args {
        nodes,
        cohort: Some(cohort),
        rounds: Some(rounds),
        samples: Some(samples.max(1)),
        no_learning: samples == 0,
        test_samples: Some(1),
        ask_per_s_max,
        fetch_each: fetch_each == 1,
        ..Args::default()
    };
    // Nothing is logged, which `muster simulate` takes care of, too: without a subscriber `tracing` makes spans for `log`.
    set_global_default(NoSubscriber::new()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let figures = runtime.block_on(measure(&args)).map_err(|error| error.to_string())?;
    let Figures {
        enrol_s,
        run_s,
        pushes,
        asks,
        virtual_s,
        rss_bytes,
        rss_max_bytes,
        learning_s,
        others_s,
    } = figures;
    print(
        &json!({
            "enrol_s": enrol_s,
            "run_s": run_s,
            "pushes": pushes,
            "asks": asks,
            "virtual_s": virtual_s,
            "rss_bytes": rss_bytes,
            "rss_max_bytes": rss_max_bytes,
            "learning_s": learning_s,
            "others_s": others_s,
        })
        .to_string(),
    );
    Ok(())
}

/// The figures of a simulation in a process of its own.
fn apart(case: Case) -> Result<Value, String> {
    let Case { nodes, cohort, rounds, samples, ask_per_s_max, fetch_each } = case;
    let numbers = [nodes, cohort, rounds, samples, ask_per_s_max, fetch_each.into()];
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let done = Command::new(own)
        .args(["simulate", "--one"])
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(format!("{case:?}: {}", done.status));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("{case:?}: {error}"))
}

fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or(f64::NAN)
}
