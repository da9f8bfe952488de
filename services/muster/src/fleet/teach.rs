//! `muster fleet teach`: from a fleet that has just come together to one that learns, in one command.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use simulator::task::navigation_recipe;
use tasks::navigation::plan::FLEET;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::data::deal;
use crate::failure::{Failure, status};
use crate::print::{Out, note};
use crate::remote::Remote;
use crate::table::text;

/// Held-out samples on which each node tests each version.
const EVALUATE_SAMPLES: u32 = 100;
/// Milliseconds that a round waits for its last node before it goes on with half of them.
const DEADLINE_MS: u64 = 60_000;
/// The channel by which the nodes get what they have learned.
const CHANNEL: &str = "stable";
/// How often the nodes are counted.
const LOOK: Duration = Duration::from_millis(500);
/// The fleet is together when so long no other node has come.
const QUIET: Duration = Duration::from_secs(4);
/// A node counts that was heard of within so many seconds: each asks twice a minute.
const SEEN_WITHIN_S: u64 = 60;

/// `muster fleet teach`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Makes the task's model, a channel `stable` that takes each version to the nodes, and, once the nodes have come together, a
run over all of them. What is there is left as it is: a model that has had a run gets no other.")]
pub(crate) struct TeachArgs {
    /// What to teach
    #[arg(value_enum, value_name = "TASK", default_value = "navigation")]
    task: Task,
    /// Wait for at least so many nodes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    nodes_min: u32,
    /// Longest to wait for them, in seconds
    #[arg(long, value_name = "S", default_value_t = 300)]
    wait_s: u64,
    /// Where people reach the coordinator, to be told [default: --coordinator]
    #[arg(long, value_name = "URL")]
    open_at: Option<String>,
    /// How people get a token here, to be told
    #[arg(long, value_name = "TEXT")]
    sign_in: Option<String>,
    #[command(flatten)]
    at: Remote,
}

/// Tasks that Muster knows how to teach.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Task {
    /// Which side had more cues, asked two seconds later
    Navigation,
}

/// Does what was asked for; answers with the exit status.
pub(super) async fn run(args: TeachArgs) -> Result<u8, Failure> {
    let TeachArgs { task: Task::Navigation, nodes_min, wait_s, open_at, sign_in, at } = args;
    let (client, out) = at.open()?;
    let model = "navigation";
    let path = format!("/v1/models/{model}");
    if found(&client, &path).await?.is_none() {
        client.create_model(model, &simulator::demo::navigation_artifact(1)).await?;
    }
    let channels = format!("{path}/channels");
    if found(&client, &format!("{channels}/{CHANNEL}")).await?.is_none() {
        let channel = json!({"name": CHANNEL, "auto": true, "evaluate_samples": EVALUATE_SAMPLES});
        client.post(&channels, &channel).await?;
    }
    let runs = client.list("/v1/runs", &[("model", Some(model.to_owned()))]).await?;
    let run = match runs["items"].as_array().and_then(|runs| runs.first()) {
        Some(run) => run.clone(),
        None => {
            let nodes = together(&client, nodes_min, Duration::from_secs(wait_s)).await?;
            client.post("/v1/runs", &json!({"model": model, "plan": plan(nodes)})).await?
        }
    };
    let open_at = open_at.unwrap_or_else(|| client.url().to_owned());
    tell(out, &run, open_at.trim_end_matches('/'), sign_in.as_deref())
}

/// What is at `path`; `None` if nothing is.
async fn found(client: &Client, path: &str) -> Result<Option<Value>, Failure> {
    match client.get(path).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.http_status() == Some(404) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Waits until the nodes have come together, and counts them.
async fn together(client: &Client, nodes_min: u32, longest: Duration) -> Result<u64, Failure> {
    let begin = Instant::now();
    let (mut last, mut since) = (0, begin);
    loop {
        let within = Some(SEEN_WITHIN_S.to_string());
        let nodes = client.list("/v1/nodes", &[("seen_within_s", within)]).await?;
        let nodes = nodes["items"].as_array().into_iter().flatten();
        let count = nodes.filter(|node| node["revoked_at_ms"].is_null()).count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if count != last {
            (last, since) = (count, Instant::now());
            note(&format!("{count} nodes have come"));
        }
        if count >= u64::from(nodes_min) && since.elapsed() >= QUIET {
            return Ok(count);
        }
        if begin.elapsed() >= longest {
            let seconds = longest.as_secs();
            let what = format!("{count} of {nodes_min} nodes came within {seconds} s");
            let failure = Failure::new("nodes_missing", what, status::UNAVAILABLE);
            return Err(
                failure.hint("`muster fleet list` shows those that came; the others' logs say why")
            );
        }
        sleep(LOOK).await;
    }
}

/// The task's plan for so many nodes: that for a fleet of 20, measured with 8 as well (ADR 0023).
fn plan(nodes: u64) -> Value {
    deal::plan(&navigation_recipe(&FLEET), nodes, DEADLINE_MS, 1)
}

fn tell(out: Out, run: &Value, open_at: &str, sign_in: Option<&str>) -> Result<u8, Failure> {
    let (dashboard, docs) = (format!("{open_at}/"), format!("{open_at}/docs"));
    let about =
        json!({"run": run["id"], "state": run["state"], "dashboard": dashboard, "docs": docs});
    out.tell(&about, |_| {
        let goal = text(&run["plan"]["cohort"]["goal"]);
        let id = text(&run["id"]);
        let mut told = format!(
            "Run {id} of {} is {}: {goal} nodes a round.\n\n  dashboard  {dashboard}\n  the API    {docs}",
            text(&run["model"]),
            text(&run["state"]),
        );
        if let Some(sign_in) = sign_in {
            told += &format!("\n  a token    {sign_in}");
        }
        told
    })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_the_tasks_and_goes_on_with_half_of_the_nodes() {
        for (nodes, quorum) in [(1, 1), (3, 2), (8, 4), (500, 250)] {
            let plan = plan(nodes);
            let cohort = &plan["cohort"];
            assert_eq!((&cohort["goal"], &cohort["quorum"]), (&json!(nodes), &json!(quorum)));
            let local = &plan["local"];
            assert_eq!((&local["samples"], &plan["rounds"]), (&json!(10), &json!(FLEET.rounds)));
            assert_eq!(local["schedule"][0]["registers"]["SPI_REGUL_MODE"], 0);
            assert_eq!(local["schedule"][3]["from_round"], 20);
        }
    }
}
