//! `muster token`: what people and tools show to a coordinator.

use std::path::PathBuf;

use clap::ValueEnum as _;
use coordinator::access::{NewAdminToken, TokenName, create_token};
use coordinator::{Scope, SystemClock, SystemEntropy};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::print::note;
use crate::remote::Remote;
use crate::table::{Column, age, text};
use crate::when::Span;

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
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
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
    let CreateArgs { name, scope, expires, data_dir, at } = args;
    let expires_in_ms = expires.map(|span| span.ms);
    let word = scope.to_possible_value().expect("no scope is hidden");
    let word = word.get_name();
    let (out, token) = match data_dir {
        Some(dir) => {
            let new = NewAdminToken { name: name.clone(), scope, expires_in_ms };
            let made = create_token(&dir, new, &SystemClock::new(), &SystemEntropy).await;
            let secret =
                made.map_err(|error| Failure::new(error.code(), &error, error.exit_code()))?;
            (at.out(), json!({"name": name.as_str(), "scope": word, "token": secret}))
        }
        None => {
            let (client, out) = at.open()?;
            let mut body = json!({"name": name.as_str(), "scope": word});
            if let Some(ms) = expires_in_ms {
                body["expires_in_ms"] = json!(ms);
            }
            (out, client.post("/v1/tokens", &body).await?)
        }
    };
    if !out.is_json() {
        note(&format!("Token {name} is for {word}. It is shown this once:"));
    }
    out.tell(&token, |_| text(&token["token"]))?;
    Ok(0)
}

/// Revokes a token of a list.
pub(crate) async fn revoke(list: &str, args: IdArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let token = client.post(&format!("{list}/{}/revoke", args.id), &json!({})).await?;
    out.tell(&token, |_| format!("Token {} ({}) is revoked.", args.id, text(&token["name"])))?;
    Ok(0)
}
