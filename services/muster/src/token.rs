//! `muster token`: what people and tools show to a coordinator.

use std::fs;
use std::path::{Path, PathBuf};

use agent::files::write_atomic;
use clap::ValueEnum as _;
use coordinator::access::{NewAdminToken, TokenName, create_token};
use coordinator::{Scope, SystemClock, SystemEntropy};
use federation::secret::{Kind, Secret};
use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::{Failure, status};
use crate::print::note;
use crate::remote::Remote;
use crate::table::{Column, age, text};
use crate::when::{Span, now_ms};

/// What to do with API tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it: it is shown this once
    ///
    /// The first admin's is in `admin.token` in the data directory of a coordinator that was started with `--auth tokens`.
    /// With --data-dir a token is made there, for a coordinator that does not run.
    Create(CreateArgs),
    /// Show the tokens, one a line
    List(ListArgs),
    /// Let nobody in by a token any more
    Revoke(IdArgs),
}

/// `muster token create`.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: TokenName,
    /// What it is good for; each includes those before it
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Scope,
    /// How long it holds: 12h, 90d [default: until it is revoked]
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
    /// Make it in this data directory, whose coordinator does not run
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    data_dir: Option<PathBuf>,
    /// Write it into this file, which its owner alone can read, and leave one there whose token still holds
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: Remote,
}

/// `muster token list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    at: Remote,
}

/// A token.
#[derive(Debug, clap::Args)]
pub(crate) struct IdArgs {
    /// The token's number, as `list` shows it
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    at: Remote,
}

const TOKENS: &[Column] = &[
    Column::number("TOKEN", |token, _| text(&token["id"])),
    Column::text("NAME", |token, _| text(&token["name"])),
    Column::text("SCOPE", |token, _| text(&token["scope"])),
    Column::text("HOLDS", held),
    Column::text("USED", |token, now| age(&token["used_at_ms"], now)),
    Column::text("MADE", |token, now| age(&token["created_at_ms"], now)).optional(),
];

/// Whether a token holds, and how long yet.
pub(crate) fn held(token: &Value, now_ms: u64) -> String {
    match (token["revoked_at_ms"].as_u64(), token["expires_at_ms"].as_u64()) {
        (Some(_), _) => format!("revoked {}", age(&token["revoked_at_ms"], now_ms)),
        (None, Some(at)) if at <= now_ms => {
            format!("expired {}", age(&token["expires_at_ms"], now_ms))
        }
        (None, Some(at)) => format!("for {}", crate::when::span(at - now_ms)),
        (None, None) => "yes".to_owned(),
    }
}

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => create(args).await,
        Command::List(args) => {
            let (client, out) = args.at.open()?;
            let list = client.list("/v1/tokens", &[]).await?;
            out.list(TOKENS, &list, "No tokens; `muster token create` makes one.")?;
            Ok(0)
        }
        Command::Revoke(args) => revoke("/v1/tokens", args).await,
    }
}

async fn create(args: CreateArgs) -> Result<u8, Failure> {
    let CreateArgs { name, scope, expires, data_dir, out: file, at } = args;
    let expires_in_ms = expires.map(|span| span.ms);
    let word = scope.to_possible_value().expect("no scope is hidden");
    let word = word.get_name();
    let (out, mut token) = match data_dir {
        Some(dir) => {
            let new = NewAdminToken { name: name.clone(), scope, expires_in_ms };
            let made = create_token(&dir, new, &SystemClock::new(), &SystemEntropy).await;
            let secret =
                made.map_err(|error| Failure::new(error.code(), &error, error.exit_code()))?;
            (at.out(), json!({"name": name.as_str(), "scope": word, "token": secret}))
        }
        None => {
            let (client, out) = at.open()?;
            let good = |token: &Value, now_ms| holds(token, now_ms) && token["scope"] == word;
            if let Some(file) = &file
                && let Some(token) = kept(&client, "/v1/tokens", Kind::Token, file, good).await?
            {
                out.tell(&token, |_| format!("{} holds a token for {word}", file.display()))?;
                return Ok(0);
            }
            let mut body = json!({"name": name.as_str(), "scope": word});
            if let Some(ms) = expires_in_ms {
                body["expires_in_ms"] = json!(ms);
            }
            (out, client.post("/v1/tokens", &body).await?)
        }
    };
    if let Some(file) = &file {
        keep(&mut token, file)?;
        out.tell(&token, |_| format!("Token {name}, in {}, is for {word}.", file.display()))?;
        return Ok(0);
    }
    if !out.is_json() {
        note(&format!("Token {name} is for {word}. It is shown this once:"));
    }
    out.tell(&token, |_| text(&token["token"]))?;
    Ok(0)
}

/// The token in `file`, if this coordinator has it in `list`, and it is good for what it is wanted for.
pub(crate) async fn kept(
    client: &Client,
    list: &str,
    kind: Kind,
    file: &Path,
    good: impl Fn(&Value, u64) -> bool,
) -> Result<Option<Value>, Failure> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let Some((id, _)) = Secret::read::<u64>(kind, text.trim()) else { return Ok(None) };
    match client.get(&format!("{list}/{id}")).await {
        Ok(token) => Ok(Some(token).filter(|token| good(token, now_ms()))),
        Err(failure) if failure.http_status() == Some(404) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether a token is neither revoked nor expired.
pub(crate) fn holds(token: &Value, now_ms: u64) -> bool {
    let expires = token["expires_at_ms"].as_u64();
    token["revoked_at_ms"].is_null() && expires.is_none_or(|expires| now_ms < expires)
}

/// Writes the secret of a new token into `file`, which its owner alone can read, and takes it out of what is told.
pub(crate) fn keep(token: &mut Value, file: &Path) -> Result<(), Failure> {
    let written = write_atomic(file, format!("{}\n", text(&token["token"])).as_bytes());
    written.map_err(|error| {
        let what = format!("cannot write {}: {error}", file.display());
        Failure::new("file_not_written", what, status::CANNOT_CREATE)
    })?;
    if let Some(fields) = token.as_object_mut() {
        fields.remove("token");
    }
    Ok(())
}

/// Revokes a token of a list.
pub(crate) async fn revoke(list: &str, args: IdArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let token = client.post(&format!("{list}/{}/revoke", args.id), &json!({})).await?;
    out.tell(&token, |_| format!("Token {} ({}) is revoked.", args.id, text(&token["name"])))?;
    Ok(0)
}
