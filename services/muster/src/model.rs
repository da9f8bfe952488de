//! `muster model`: models and their versions, and files of them.

mod channel;
mod compare;
mod files;

use std::str::FromStr;

use interchange::{IdError, ModelName};
use serde_json::Value;
use thiserror::Error;

use crate::client::{Client, escaped};
use crate::failure::{Failure, status};
use crate::remote::Remote;
use crate::table::{Column, age, bytes, digest, facts, percent, text, time};

/// Versions that `muster model show` shows.
const VERSIONS_SHOWN: usize = 10;

/// What to do with models.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the models, one a line
    List(ListArgs),
    /// Show a model and its latest versions
    Show(ModelArgs),
    /// Show the versions of a model, one a line
    Versions(ModelArgs),
    /// Fetch the artifact of a version; its digest is checked
    Get(files::GetArgs),
    /// Write a version of a model in another format
    Export(files::ExportArgs),
    /// Make a new model, or a model's next version, of files in another format
    Import(files::ImportArgs),
    /// Show how two versions differ: changed weights by tensor, their histogram, accuracy
    Compare(compare::CompareArgs),
    /// Show how nodes do with a version: the distribution of their accuracy
    Evaluations(compare::EvaluationsArgs),
    /// Show the channels of a model, one a line
    Channels(ModelArgs),
    /// Make, set up or show one channel
    #[command(subcommand)]
    Channel(channel::Command),
    /// Bring a version to a channel, step by step if it has steps
    Promote(channel::PromoteArgs),
    /// Take a channel back to its last good version
    Rollback(channel::ChannelArgs),
    /// Keep a channel at a version until it is unpinned
    Pin(channel::PromoteArgs),
    /// Let a pinned channel move again
    Unpin(channel::ChannelArgs),
    /// Approve a promotion that waits for it
    Approve(channel::ApproveArgs),
}

/// `muster model list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    at: Remote,
}

/// A model.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// The model's name
    #[arg(value_name = "MODEL")]
    model: ModelName,
    #[command(flatten)]
    at: Remote,
}

/// A version of a model, as people type it.
#[derive(Clone, Debug)]
struct ModelVersion {
    name: ModelName,
    which: Which,
}

/// Which version.
#[derive(Clone, Debug)]
enum Which {
    Latest,
    Number(u32),
    /// The one that a channel is at.
    Channel(String),
}

impl FromStr for ModelVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (name, version) = text.split_once('@').unwrap_or((text, "latest"));
        let which = match version {
            "latest" => Which::Latest,
            name if name.starts_with(|first: char| first.is_ascii_lowercase()) => {
                Which::Channel(name.to_owned())
            }
            number => Which::Number(number.parse().map_err(|_| VersionError::Number)?),
        };
        Ok(Self { name: name.parse()?, which })
    }
}

impl ModelVersion {
    /// Where the coordinator has it.
    fn path(&self) -> String {
        let which = match &self.which {
            Which::Latest => "latest".to_owned(),
            Which::Number(number) => number.to_string(),
            Which::Channel(channel) => escaped(channel),
        };
        format!("/v1/models/{}/versions/{which}", self.name)
    }

    /// Its number, which the coordinator is asked for if nobody said it.
    async fn number(&self, client: &Client) -> Result<Value, Failure> {
        match self.which {
            Which::Number(number) => Ok(number.into()),
            _ => Ok(client.get(&self.path()).await?["number"].take()),
        }
    }

    /// The same; null if nobody said which.
    async fn number_if_said(&self, client: &Client) -> Result<Value, Failure> {
        match self.which {
            Which::Latest => Ok(Value::Null),
            _ => self.number(client).await,
        }
    }
}

/// Why text is not a version of a model.
#[derive(Debug, Error)]
enum VersionError {
    #[error(transparent)]
    Name(#[from] IdError),
    #[error("after `@` comes a version's number, `latest`, or a channel")]
    Number,
}

fn name_failure(error: IdError) -> Failure {
    Failure::new("invalid_name", error, status::USAGE)
}

const MODELS: &[Column] = &[
    Column::text("MODEL", |model, _| text(&model["name"])),
    Column::number("VERSION", |model, _| text(&model["latest_version"])),
    Column::text("DIGEST", |model, _| digest(&model["latest_digest"])),
    Column::text("LEARNER", |model, _| text(&model["learner"])),
    Column::number("WEIGHTS", |model, _| text(&model["weights"])).optional(),
    Column::text("MADE", |model, now| age(&model["created_at_ms"], now)),
];

const VERSIONS: &[Column] = &[
    Column::number("VERSION", |version, _| text(&version["number"])),
    Column::text("DIGEST", |version, _| digest(&version["digest"])),
    Column::number("PARENT", |version, _| text(&version["parent"])).optional(),
    Column::number("RUN", |version, _| text(&version["run_id"])),
    Column::number("ROUND", |version, _| text(&version["round"])),
    Column::number("UPDATES", |version, _| text(&version["updates"])),
    Column::number("TRAINING", |version, _| percent(&version["correct"], &version["samples"])),
    Column::number("HELD OUT", |version, _| {
        let told = &version["evaluation"];
        percent(&told["correct"], &told["samples"])
    }),
    Column::number("NODES", |version, _| text(&version["evaluation"]["nodes"])).optional(),
    Column::number("UP", |version, _| bytes(&version["bytes_up"])).optional(),
    Column::number("DOWN", |version, _| bytes(&version["bytes_down"])).optional(),
    Column::text("MADE", |version, now| age(&version["created_at_ms"], now)),
];

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Versions(args) => versions(args).await,
        Command::Get(args) => files::get(args).await,
        Command::Export(args) => files::export(args).await,
        Command::Import(args) => files::import(args).await,
        Command::Compare(args) => compare::compare(args).await,
        Command::Evaluations(args) => compare::evaluations(args).await,
        Command::Channels(args) => channel::list(args).await,
        Command::Channel(command) => channel::run(command).await,
        Command::Promote(args) => channel::promote(args).await,
        Command::Rollback(args) => channel::direct(args, "rollback").await,
        Command::Pin(args) => channel::pin(args).await,
        Command::Unpin(args) => channel::direct(args, "unpin").await,
        Command::Approve(args) => channel::approve(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let list = client.list("/v1/models", &[]).await?;
    out.list(MODELS, &list, "No models; `muster model import` makes one.")?;
    Ok(0)
}

async fn versions(args: ModelArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let list = client.list(&format!("/v1/models/{}/versions", args.model), &[]).await?;
    out.list(VERSIONS, &list, "No versions.")?;
    Ok(0)
}

async fn show(args: ModelArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let path = format!("/v1/models/{}", args.model);
    let model = client.get(&path).await?;
    if out.is_json() {
        out.say(&model.to_string())?;
        return Ok(0);
    }
    let list = client.list(&format!("{path}/versions"), &[]).await?;
    let versions = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = versions.len().saturating_sub(VERSIONS_SHOWN);
    let now = crate::when::now_ms();
    out.say(&words(&model, now))?;
    out.say("")?;
    out.say(&out.table(VERSIONS, &versions[first..], now))?;
    if first > 0 {
        out.say(&format!("\n{first} earlier versions: `muster model versions {}`.", args.model))?;
    }
    Ok(0)
}

fn words(model: &Value, now_ms: u64) -> String {
    facts(&[
        ("model", text(&model["name"])),
        ("learner", text(&model["learner"])),
        ("weights", text(&model["weights"])),
        ("latest", format!("version {}", text(&model["latest_version"]))),
        ("digest", text(&model["latest_digest"])),
        ("made", time(&model["created_at_ms"], now_ms)),
    ])
}
