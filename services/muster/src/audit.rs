//! `muster audit`: what happened, from a database file. The work is `coordinator::audit`'s; here is its command line.

use std::io;
use std::path::PathBuf;

use coordinator::SystemClock;
use coordinator::audit::{AuditError, export, parse_time, prune, replay, verify};
use interchange::{Digest, ModelName};
use serde_json::json;

use crate::events::{at, detail};
use crate::failure::{Failure, status};
use crate::print::try_line;
use crate::remote::Remote;
use crate::table::{Column, digest, text};

/// What to ask a database file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check the audit log and the versions it tells of: exit status 0 for ok, 1 for broken, 3 for pruned
    Verify(VerifyArgs),
    /// Compute versions again from their recorded inputs: exit status 0 if all are the same, 1 if one differs, 3 if
    /// retention dropped what one was made of, 65 if one cannot be computed for another reason
    Replay(ReplayArgs),
    /// Show the audit log of a coordinator, running and asked over REST, one entry a line
    List(ListArgs),
    /// Write the audit log as JSON lines
    Export(ExportArgs),
    /// Drop the details of old entries, whose digests stay; the coordinator must be stopped
    Prune(PruneArgs),
}

/// `muster audit verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The coordinator's database, `coordinator.db` in its data directory, or a backup of it
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// A head that an earlier verify printed and that was kept elsewhere
    #[arg(long, value_name = "HASH")]
    head: Option<Digest>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster audit replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The coordinator's database, `coordinator.db` in its data directory, or a backup of it
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Only this model's versions
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster audit list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only entries after the one of this number
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Only this action: `version.published`, or `round` for all that begin so
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only entries about this: `navigation/3`
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    #[command(flatten)]
    at: Remote,
}

const ENTRIES: &[Column] = &[
    Column::number("ENTRY", |entry, _| text(&entry["seq"])),
    Column::text("WHEN", |entry, _| at(entry)),
    Column::text("ACTION", |entry, _| text(&entry["action"])),
    Column::text("SUBJECT", |entry, _| text(&entry["subject"])),
    Column::text("BY", |entry, _| text(&entry["actor"])),
    Column::text("HASH", |entry, _| digest(&entry["hash"])).optional(),
    Column::text("DETAIL", |entry, _| detail(&entry["detail"])).optional(),
];

/// Shows the log of a coordinator that is asked for it.
pub(crate) async fn list(args: ListArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let after = args.after.map(|after| after.to_string());
    let filters = [("after", after), ("action", args.action), ("subject", args.subject)];
    out.list(ENTRIES, &client.list("/v1/audit", &filters).await?, "No such entries.")?;
    Ok(0)
}

/// `muster audit export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The coordinator's database, `coordinator.db` in its data directory, or a backup of it
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
}

/// `muster audit prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// The coordinator's database, `coordinator.db` in its data directory
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Drop the details of entries before this: milliseconds since 1970, or a time such as 2026-11-25T22:00:00Z
    #[arg(long, value_name = "TIME")]
    before: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Failure> {
    let (text, status) = match command {
        Command::List(args) => return list(args).await,
        Command::Verify(args) => {
            let found = verify(&args.database, args.head).await.map_err(failed)?;
            let text = if args.json { json!(found).to_string() } else { found.to_string() };
            (text, found.exit_code())
        }
        Command::Replay(args) => {
            let found = replay(&args.database, args.model.as_ref()).await.map_err(failed)?;
            let text = if args.json { json!(found).to_string() } else { found.to_string() };
            (text, found.exit_code())
        }
        Command::Export(args) => {
            return match export(&args.database, try_line).await {
                // Whoever read had enough.
                Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Ok(0)
                }
                done => done.map(|()| 0).map_err(failed),
            };
        }
        Command::Prune(args) => {
            let before = parse_time(&args.before).map_err(|error| {
                let what = format!("--before {}: {error}", args.before);
                Failure::new("invalid_time", what, status::USAGE)
            })?;
            let clock = SystemClock::new();
            let pruned = prune(&args.database, before, &clock).await.map_err(failed)?;
            let text = if args.json {
                json!({"pruned": pruned}).to_string()
            } else {
                format!("Details dropped: {pruned}. Their digests stay, and verify says `pruned`.")
            };
            (text, 0)
        }
    };
    try_line(&text).map_err(AuditError::Output).map_err(failed)?;
    Ok(status)
}

fn failed(error: AuditError) -> Failure {
    Failure::new(error.code(), &error, error.exit_code())
}
