//! `muster audit`: what happened, from a database file. The work is `coordinator::audit`'s; here is its command line.

use std::io;
use std::path::PathBuf;

use coordinator::SystemClock;
use coordinator::audit::{AuditError, TimeError, export, parse_time, prune, replay, verify};
use interchange::{Digest, ModelName};
use serde_json::json;
use thiserror::Error;

/// What to ask a database file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check the audit log and the versions it tells of: exit status 0 for ok, 1 for broken, 3 for pruned
    Verify(VerifyArgs),
    /// Compute versions again from their recorded inputs: exit status 0 if all are the same, 1 if one differs, 3 if
    /// retention dropped what one was made of, 65 if one cannot be computed for another reason
    Replay(ReplayArgs),
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

/// Why nothing was found out.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("--before {given}: {source}")]
    Before { given: String, source: TimeError },
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Error {
    /// A stable code, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Before { .. } => "invalid_time",
            Self::Audit(error) => error.code(),
        }
    }

    /// What the process should exit with, as `sysexits.h` numbers them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Before { .. } => 64,
            Self::Audit(error) => error.exit_code(),
        }
    }
}

/// Does what was asked for, line by line into `say`, and answers with the exit status.
pub(crate) async fn run(
    command: &Command,
    mut say: impl FnMut(&str) -> io::Result<()>,
) -> Result<u8, Error> {
    let (text, status) = match command {
        Command::Verify(args) => {
            let found = verify(&args.database, args.head).await?;
            (
                if args.json { json!(found).to_string() } else { found.to_string() },
                found.exit_code(),
            )
        }
        Command::Replay(args) => {
            let found = replay(&args.database, args.model.as_ref()).await?;
            (
                if args.json { json!(found).to_string() } else { found.to_string() },
                found.exit_code(),
            )
        }
        Command::Export(args) => {
            return match export(&args.database, say).await {
                // Whoever read had enough.
                Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Ok(0)
                }
                done => Ok(done.map(|()| 0)?),
            };
        }
        Command::Prune(args) => {
            let before = parse_time(&args.before)
                .map_err(|source| Error::Before { given: args.before.clone(), source })?;
            let pruned = prune(&args.database, before, &SystemClock::new()).await?;
            let text = if args.json {
                json!({"pruned": pruned}).to_string()
            } else {
                format!("Details dropped: {pruned}. Their digests stay, and verify says `pruned`.")
            };
            (text, 0)
        }
    };
    say(&text).map_err(AuditError::Output)?;
    Ok(status)
}
