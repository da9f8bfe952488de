//! `muster fleet token`: with what new nodes get in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use federation::secret::Kind;
use serde_json::{Value, json};
use thiserror::Error;

use crate::failure::Failure;
use crate::print::note;
use crate::remote::Remote;
use crate::table::{Column, age, labels, text};
use crate::token::{IdArgs, held, holds, keep, kept, revoke};
use crate::when::Span;

/// What to do with enrolment tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make an enrolment token and print it: it is shown this once
    Create(CreateArgs),
    /// Show the enrolment tokens, one a line
    List(ListArgs),
    /// Let in no more nodes by a token; those that it let in stay
    Revoke(IdArgs),
}

/// `muster fleet token create`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  muster fleet token create --name ams-rollout --label site=ams --uses 50 --expires 7d
  muster node --coordinator https://HOST:7401 --enrol-token TOKEN")]
pub(crate) struct CreateArgs {
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A label that its nodes carry, whatever they say; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Label>,
    /// How many nodes it may let in [default: 1]
    #[arg(long, value_name = "N")]
    uses: Option<u32>,
    /// How long it holds: 2h, 7d [default: 1d]
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
    /// Write it into this file, which its owner alone can read, and leave one there whose token still lets nodes in
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: Remote,
}

/// `muster fleet token list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    at: Remote,
}

/// A label as people type it.
#[derive(Clone, Debug)]
struct Label(String, String);

/// Text that is no label.
#[derive(Debug, Error)]
#[error("expected KEY=VALUE, such as site=ams")]
struct LabelError;

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let (key, value) = text.split_once('=').ok_or(LabelError)?;
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

const TOKENS: &[Column] = &[
    Column::number("TOKEN", |token, _| text(&token["id"])),
    Column::text("NAME", |token, _| text(&token["name"])),
    Column::text("USES", |token, _| {
        format!("{}/{}", text(&token["uses"]), text(&token["uses_max"]))
    }),
    Column::text("LABELS", |token, _| labels(&token["labels"])),
    Column::text("HOLDS", held),
    Column::text("MADE", |token, now| age(&token["created_at_ms"], now)).optional(),
];

/// Does what was asked for; answers with the exit status.
pub(super) async fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => create(args).await,
        Command::List(args) => {
            let (client, out) = args.at.open()?;
            let list = client.list("/v1/enrolment-tokens", &[]).await?;
            out.list(TOKENS, &list, "No enrolment tokens; `muster fleet token create` makes one.")?;
            Ok(0)
        }
        Command::Revoke(args) => revoke("/v1/enrolment-tokens", args).await,
    }
}

async fn create(args: CreateArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    if let Some(file) = &args.out
        && let Some(token) =
            kept(&client, "/v1/enrolment-tokens", Kind::EnrolmentToken, file, lets_in).await?
    {
        out.tell(&token, |_| format!("{} holds a token that lets nodes in", file.display()))?;
        return Ok(0);
    }
    let labels: BTreeMap<String, String> =
        args.labels.into_iter().map(|Label(key, value)| (key, value)).collect();
    let mut body = json!({"name": args.name, "labels": labels});
    if let Some(uses) = args.uses {
        body["uses_max"] = json!(uses);
    }
    if let Some(span) = args.expires {
        body["expires_in_ms"] = json!(span.ms);
    }
    let mut token = client.post("/v1/enrolment-tokens", &body).await?;
    let Some(file) = &args.out else {
        told_once(out.is_json(), &token);
        out.tell(&token, |_| text(&token["token"]))?;
        return Ok(0);
    };
    keep(&mut token, file)?;
    out.tell(&token, |_| {
        let (id, uses) = (text(&token["id"]), text(&token["uses_max"]));
        format!("Enrolment token {id}, in {}, lets in {uses} nodes.", file.display())
    })?;
    Ok(0)
}

/// Whether a token lets another node in.
fn lets_in(token: &Value, now_ms: u64) -> bool {
    let (uses, uses_max) = (token["uses"].as_u64(), token["uses_max"].as_u64());
    holds(token, now_ms) && uses < uses_max
}

/// Says beside a secret that it is not shown again.
fn told_once(json: bool, token: &Value) {
    if !json {
        let (id, uses) = (text(&token["id"]), text(&token["uses_max"]));
        note(&format!("Enrolment token {id} lets in {uses} nodes. It is shown this once:"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lets_in_until_it_is_used_up_over_or_revoked() {
        let token = |uses: u64, expires: Value, revoked: Value| json!({"uses": uses, "uses_max": 2, "expires_at_ms": expires, "revoked_at_ms": revoked});
        assert!(lets_in(&token(1, Value::Null, Value::Null), 10));
        assert!(lets_in(&token(0, json!(11), Value::Null), 10));
        assert!(!lets_in(&token(2, Value::Null, Value::Null), 10));
        assert!(!lets_in(&token(0, json!(10), Value::Null), 10));
        assert!(!lets_in(&token(0, Value::Null, json!(5)), 10));
    }
}
