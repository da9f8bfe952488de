//! `muster fleet`: the nodes that are enrolled, and the tokens with which new ones get in.

mod teach;
mod token;

use serde_json::{Value, json};

use crate::client::escaped;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::{Column, age, bytes, digest, facts, labels, percent, text, time};
use crate::when::{Span, now_ms};

/// From here on a number of samples stands for no end.
const ENDLESS: u64 = 1_000_000_000_000;
/// Contributions that `muster fleet show` shows.
const CONTRIBUTIONS_SHOWN: usize = 10;

/// What to do with the fleet.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the nodes, one a line
    List(ListArgs),
    /// Show a node and what it contributed last
    Show(NodeArgs),
    /// Shut a node out, at once and for good; what it contributed stays
    Revoke(NodeArgs),
    /// Make, show and revoke the tokens with which nodes enrol
    #[command(subcommand)]
    Token(token::Command),
    /// Teach the nodes that are there a task that Muster brings: model, channel and run, in one
    Teach(teach::TeachArgs),
}

/// `muster fleet list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only nodes with labels like this: `site=ams,class in (a,b),!retired`
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,
    /// Only nodes that were heard of within so long: 30s, 10m, 2h
    #[arg(long, value_name = "SPAN")]
    seen_within: Option<Span>,
    #[command(flatten)]
    at: Remote,
}

/// A node.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// The node's name
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    at: Remote,
}

const NODES: &[Column] = &[
    Column::text("NODE", |node, _| text(&node["id"])),
    Column::text("LABELS", |node, _| labels(&node["labels"])),
    Column::text("SEEN", seen),
    Column::number("TURNS", |node, _| text(&node["turns"])),
    Column::text("HOLDING", |node, _| digest(&node["holding"])).optional(),
    Column::text("STATUS", |node, _| status(&node["status"])).optional(),
    Column::number("SAMPLES", |node, _| samples(&node["status"]["samples"])).optional(),
    Column::text("ENROLLED", |node, now| age(&node["enrolled_at_ms"], now)).optional(),
];

const CONTRIBUTIONS: &[Column] = &[
    Column::number("RUN", |one, _| text(&one["run_id"])),
    Column::number("ROUND", |one, _| text(&one["counted_in_round"])),
    Column::text("FATE", |one, _| text(&one["fate"])),
    Column::number("SAMPLES", |one, _| text(&one["samples"])),
    Column::number("TRAINING", |one, _| percent(&one["correct"], &one["samples"])),
    Column::number("UP", |one, _| bytes(&one["bytes_up"])).optional(),
    Column::number("DOWN", |one, _| bytes(&one["bytes_down"])).optional(),
    Column::text("COUNTED", |one, now| age(&one["counted_at_ms"], now)),
];

/// When a node was heard of; or that it may not come any more.
fn seen(node: &Value, now_ms: u64) -> String {
    if node["revoked_at_ms"].is_u64() {
        return format!("revoked {}", age(&node["revoked_at_ms"], now_ms));
    }
    age(&node["seen_at_ms"], now_ms)
}

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
        Command::Show(args) => show(args).await,
        Command::Revoke(args) => revoke(args).await,
        Command::Token(command) => token::run(command).await,
        Command::Teach(args) => teach::run(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let within = args.seen_within.map(|span| span.ms.div_ceil(1_000).to_string());
    let filters = [("label", args.select), ("seen_within_s", within)];
    let list = client.list("/v1/nodes", &filters).await?;
    out.list(NODES, &list, "No such nodes; `muster node` starts one.")?;
    Ok(0)
}

async fn show(args: NodeArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("/v1/nodes/{}", escaped(&args.node));
    let node = client.get(&path).await?;
    if out.is_json() {
        out.say(&node.to_string())?;
        return Ok(0);
    }
    let list = client.list(&format!("{path}/contributions"), &[]).await?;
    let all = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = now_ms();
    out.say(&words(&node, now))?;
    if !all.is_empty() {
        let first = all.len().saturating_sub(CONTRIBUTIONS_SHOWN);
        out.say(&format!("\n{} contributions, the latest:", all.len()))?;
        out.say(&out.table(CONTRIBUTIONS, &all[first..], now))?;
    }
    Ok(0)
}

async fn revoke(args: NodeArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("/v1/nodes/{}/revoke", escaped(&args.node));
    let node = client.post(&path, &json!({})).await?;
    out.tell(&node, |_| format!("Node {} is revoked: it is shut out for good.", args.node))?;
    Ok(0)
}

/// A node in words.
fn words(node: &Value, now_ms: u64) -> String {
    let learners = node["learners"].as_array().into_iter().flatten().map(text);
    let mut told = vec![
        ("node", text(&node["id"])),
        ("labels", labels(&node["labels"])),
        ("learners", learners.collect::<Vec<_>>().join(", ")),
        ("key", text(&node["public_key"])),
        ("holding", text(&node["holding"])),
        ("enrolled", time(&node["enrolled_at_ms"], now_ms)),
        ("seen", time(&node["seen_at_ms"], now_ms)),
        ("turns", text(&node["turns"])),
        ("status", status(&node["status"])),
        ("samples", samples(&node["status"]["samples"])),
        ("capacity", labels(&node["status"]["capacity"])),
    ];
    if node["revoked_at_ms"].is_u64() {
        told.push(("revoked", time(&node["revoked_at_ms"], now_ms)));
    }
    facts(&told)
}
