//! `muster fleet`: the nodes that are enrolled.

use serde_json::Value;

use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::{Column, age, labels, text};

/// From here on a number of samples stands for no end.
const ENDLESS: u64 = 1_000_000_000_000;

/// What to do with the fleet.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the nodes, one a line
    List(ListArgs),
}

/// `muster fleet list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    at: Remote,
}

const NODES: &[Column] = &[
    Column::text("NODE", |node, _| text(&node["id"])),
    Column::text("LABELS", |node, _| labels(&node["labels"])),
    Column::text("SEEN", |node, now| age(&node["seen_at_ms"], now)),
    Column::number("TURNS", |node, _| text(&node["turns"])),
    Column::text("STATUS", |node, _| status(&node["status"])).optional(),
    Column::number("SAMPLES", |node, _| samples(&node["status"]["samples"])).optional(),
    Column::text("ENROLLED", |node, now| age(&node["enrolled_at_ms"], now)).optional(),
];

/// Samples that a node has; one that generates them has no end of them.
fn samples(value: &Value) -> String {
    match value.as_u64() {
        Some(ENDLESS..) => "endless".to_owned(),
        _ => text(value),
    }
}

/// How a node is, as it says.
fn status(status: &Value) -> String {
    let mut told = Vec::new();
    if status["charging"] == true {
        told.push("charging".to_owned());
    }
    if status["idle"] == true {
        told.push("idle".to_owned());
    }
    if let Some(percent) = status["battery_percent"].as_u64() {
        told.push(format!("battery {percent} %"));
    }
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let list = client.list("/v1/nodes", &[]).await?;
    out.list(NODES, &list, "No nodes; `muster node` starts one.")?;
    Ok(0)
}
