//! Channels of a model: names on its versions that nodes follow, what moves them, and how they came where they are.

use interchange::ModelName;
use serde_json::{Value, json};
use simulator::Method;

use super::{ModelArgs, ModelVersion};
use crate::client::escaped;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::{Column, age, digest, facts, percent, text, time};
use crate::when::now_ms;

/// What to do with a channel itself.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a channel
    Create(CreateArgs),
    /// Set a channel up otherwise; it goes on from where it is
    Set(SetArgs),
    /// Show a channel and what moved it
    Show(ChannelArgs),
}

/// A channel of a model.
#[derive(Debug, clap::Args)]
pub(crate) struct ChannelArgs {
    /// The model's name
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// The channel's name
    #[arg(value_name = "CHANNEL")]
    channel: String,
    #[command(flatten)]
    at: Remote,
}

/// How a channel is set up.
#[derive(Debug, clap::Args)]
struct Setup {
    /// What a version has to be like to stay: `accuracy >= 0.93 over 50 nodes`; empty for none
    #[arg(long, value_name = "GUARD")]
    guard: Option<String>,
    /// Percent of the nodes that each step reaches: 1,10,50,100
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',')]
    steps: Option<Vec<u8>>,
    /// Labels of the nodes that follow it: `ring=early`
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,
    /// Bring every new version to it
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    auto: Option<bool>,
    /// Let each promotion wait for `muster model approve`
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    approval: Option<bool>,
    /// Held-out samples on which a node tests the version it is given
    #[arg(long, value_name = "N")]
    evaluate_samples: Option<u32>,
}

impl Setup {
    /// The setup of a channel: what is given, and what `now` says of the rest.
    fn over(self, now: &Value) -> Value {
        let Self { guard, steps, select, auto, approval, evaluate_samples } = self;
        let guard = guard.map(|guard| if guard.is_empty() { Value::Null } else { json!(guard) });
        let given = [
            ("guard", guard),
            ("steps", steps.map(|steps| json!(steps))),
            ("select", select.map(|select| json!(select))),
            ("auto", auto.map(|auto| json!(auto))),
            ("approval", approval.map(|approval| json!(approval))),
            ("evaluate_samples", evaluate_samples.map(|samples| json!(samples))),
        ];
        let all = given
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.unwrap_or_else(|| now[key].clone())));
        Value::Object(all.filter(|(_, value)| !value.is_null()).collect())
    }
}

/// `muster model channel create`.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// The model, and the version it begins with: `navigation`, `navigation@3`
    #[arg(value_name = "MODEL[@VERSION]")]
    model: ModelVersion,
    /// The channel's name: `stable`, `canary`
    #[arg(value_name = "CHANNEL")]
    channel: String,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    at: Remote,
}

/// `muster model channel set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// The model's name
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// The channel's name
    #[arg(value_name = "CHANNEL")]
    channel: String,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    at: Remote,
}

/// A version and a channel to bring it to.
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    /// The model and its version: `navigation@3`, `navigation@canary`; without one promote takes the latest, pin the channel's own
    #[arg(value_name = "MODEL[@VERSION]")]
    model: ModelVersion,
    /// The channel's name
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// Although the channel's guard turned this version back before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    at: Remote,
}

/// `muster model approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The model's name
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// The channel's name
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// Only if it is this promotion that waits
    #[arg(long, value_name = "N")]
    promotion: Option<u32>,
    #[command(flatten)]
    at: Remote,
}

const CHANNELS: &[Column] = &[
    Column::text("CHANNEL", |channel, _| text(&channel["name"])),
    Column::number("VERSION", |channel, _| text(&channel["version"])),
    Column::text("DIGEST", |channel, _| digest(&channel["digest"])).optional(),
    Column::text("PROMOTION", |channel, _| promotion(&channel["promotion"])),
    Column::text("GUARD", |channel, _| text(&channel["guard"])),
    Column::text("EVIDENCE", |channel, _| evidence(&channel["promotion"]["evidence"])),
    Column::text("PINNED", |channel, _| text(&channel["pinned"])).optional(),
    Column::text("AUTO", |channel, _| text(&channel["auto"])).optional(),
    Column::text("NODES", |channel, _| followers(channel)).optional(),
];

const PROMOTIONS: &[Column] = &[
    Column::number("PROMOTION", |one, _| text(&one["number"])),
    Column::number("FROM", |one, _| text(&one["from_version"])),
    Column::number("TO", |one, _| text(&one["version"])),
    Column::text("STATE", |one, _| text(&one["state"])),
    Column::number("REACHED", |one, _| format!("{} %", text(&one["percent"]))),
    Column::text("EVIDENCE", |one, _| evidence(&one["evidence"])),
    Column::text("CAUSE", |one, _| text(&one["cause"])),
    Column::text("BY", |one, _| text(&one["actor"])).optional(),
    Column::text("STARTED", |one, now| age(&one["started_at_ms"], now)),
    Column::text("ENDED", |one, now| age(&one["ended_at_ms"], now)).optional(),
];

/// A promotion in a few words: where to, and how far it came.
fn promotion(one: &Value) -> String {
    match one["number"].as_u64() {
        None => "-".to_owned(),
        Some(number) => {
            let (to, state) = (text(&one["version"]), text(&one["state"]));
            format!("{number}: to {to}, {state} at {} %", text(&one["percent"]))
        }
    }
}

/// What a guard decided on.
fn evidence(told: &Value) -> String {
    match told["nodes"].as_u64() {
        None => "-".to_owned(),
        Some(nodes) => format!("{} of {nodes} nodes", percent(&told["correct"], &told["samples"])),
    }
}

fn followers(channel: &Value) -> String {
    match channel["select"].as_str() {
        None | Some("") => "all".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn place(model: &ModelName, channel: &str) -> String {
    format!("/v1/models/{model}/channels/{}", escaped(channel))
}

/// Shows the channels of a model.
pub(super) async fn list(args: ModelArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let list = client.list(&format!("/v1/models/{}/channels", args.model), &[]).await?;
    out.list(CHANNELS, &list, "No channels; `muster model channel create` makes one.")?;
    Ok(0)
}

/// Makes, sets up or shows a channel.
pub(super) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => {
            let (client, out) = args.at.open()?;
            let mut body = args.setup.over(&Value::Null);
            body["name"] = json!(args.channel);
            body["version"] = args.model.number_if_said(&client).await?;
            let name = &args.model.name;
            let made = client.post(&format!("/v1/models/{name}/channels"), &body).await?;
            tell(out, &made)
        }
        Command::Set(args) => {
            let (client, out) = args.at.open()?;
            let path = place(&args.model, &args.channel);
            let body = args.setup.over(&client.get(&path).await?);
            tell(out, &client.change(Method::PUT, &path, &body).await?)
        }
        Command::Show(args) => show(args).await,
    }
}

async fn show(args: ChannelArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = place(&args.model, &args.channel);
    let channel = client.get(&path).await?;
    if out.is_json() {
        out.say(&channel.to_string())?;
        return Ok(0);
    }
    let list = client.list(&format!("{path}/history"), &[]).await?;
    let history = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = now_ms();
    let bad = channel["bad_versions"].as_array().into_iter().flatten().map(digest);
    let bad: Vec<_> = bad.collect();
    let steps = channel["steps"].as_array().into_iter().flatten();
    let steps: Vec<_> = steps.map(|step| format!("{} %", text(step))).collect();
    out.say(&facts(&[
        ("channel", text(&channel["name"])),
        ("model", text(&channel["model"])),
        ("version", text(&channel["version"])),
        ("digest", text(&channel["digest"])),
        ("pinned", text(&channel["pinned"])),
        ("guard", text(&channel["guard"])),
        ("steps", steps.join(", ")),
        ("nodes", followers(&channel)),
        ("auto", text(&channel["auto"])),
        ("approval", text(&channel["approval"])),
        ("bad", if bad.is_empty() { "-".to_owned() } else { bad.join(", ") }),
        ("made", time(&channel["created_at_ms"], now)),
    ]))?;
    if !history.is_empty() {
        out.say("")?;
        out.say(&out.table(PROMOTIONS, history, now))?;
    }
    Ok(0)
}

/// Brings a version to a channel.
pub(super) async fn promote(args: PromoteArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let version = args.model.number(&client).await?;
    let path = format!("{}/promote", place(&args.model.name, &args.channel));
    tell(out, &client.post(&path, &json!({"version": version, "force": args.force})).await?)
}

/// Keeps a channel at a version.
pub(super) async fn pin(args: PromoteArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("{}/pin", place(&args.model.name, &args.channel));
    let version = args.model.number_if_said(&client).await?;
    let body = json!({"version": version, "force": args.force});
    tell(out, &client.post(&path, &body).await?)
}

/// Approves what waits for it.
pub(super) async fn approve(args: ApproveArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("{}/approve", place(&args.model, &args.channel));
    tell(out, &client.post(&path, &json!({"promotion": args.promotion})).await?)
}

/// Moves a channel where nothing more has to be said.
pub(super) async fn direct(args: ChannelArgs, directive: &str) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("{}/{directive}", place(&args.model, &args.channel));
    tell(out, &client.post(&path, &json!({})).await?)
}

/// Says where a channel is now.
fn tell(out: crate::print::Out, channel: &Value) -> Result<u8, Failure> {
    out.tell(channel, |_| {
        let pinned = if channel["pinned"] == true { ", pinned" } else { "" };
        format!(
            "Channel {} of {} is at version {}{pinned}; promotion {}.",
            text(&channel["name"]),
            text(&channel["model"]),
            text(&channel["version"]),
            promotion(&channel["promotion"])
        )
    })?;
    Ok(0)
}
