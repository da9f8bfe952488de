//! `muster token`: the first token, made in the data directory of a coordinator that does not run. All others are made
//! over REST.

use std::path::PathBuf;

use coordinator::access::{NewAdminToken, TokenName, create_token};
use coordinator::{Scope, StartError, SystemClock, SystemEntropy};
use serde_json::json;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it: it is shown this once
    ///
    /// For a coordinator that does not run. One that runs with `--auth tokens` makes tokens at `POST /v1/tokens`; the
    /// first admin's is in `admin.token` in its data directory.
    Create(CreateArgs),
}

/// `muster token create`.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// The coordinator's data directory
    #[arg(long, env = "MUSTER_DATA_DIR", value_name = "DIR", default_value = "muster-data")]
    data_dir: PathBuf,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: TokenName,
    /// What it is good for; each includes those before it
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Scope,
    /// How many days it holds [default: until it is revoked]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3_660))]
    days: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked for and says what belongs on standard output.
pub(crate) async fn run(command: Command) -> Result<String, StartError> {
    let Command::Create(CreateArgs { data_dir, name, scope, days, json }) = command;
    let expires_in_ms = days.map(|days| days * 24 * 3_600_000);
    let new = NewAdminToken { name: name.clone(), scope, expires_in_ms };
    let token = create_token(&data_dir, new, &SystemClock::new(), &SystemEntropy).await?;
    Ok(if json {
        json!({"name": name.as_str(), "scope": scope.as_str(), "token": token}).to_string()
    } else {
        token
    })
}
