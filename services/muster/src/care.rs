//! `muster backup`, `restore` and `doctor`: a data directory in an operator's hands. The work is `coordinator::care`'s; here
//! are its command lines.

use std::path::PathBuf;

use coordinator::care::{self, CareError};
use coordinator::{Args, StartError, SystemClock};
use serde::Serialize;
use serde_json::json;

/// Whose database it is about.
#[derive(Debug, clap::Args)]
struct DataDir {
    /// The coordinator's data directory [default: what the file of settings says, or muster-data]
    #[arg(long, env = "MUSTER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The coordinator's file of settings [default: muster.toml in the working directory, if it is there]
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Where to write the copy; there must be no such file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    of: DataDir,
}

/// `muster restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup; it is only read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the place of the database that is there, which is kept beside it under another name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    of: DataDir,
}

/// `muster doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The certificate that the coordinator shows, to see how long it is good
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    #[command(flatten)]
    of: DataDir,
}

/// Makes a backup: what to say, and the exit status.
pub(crate) async fn backup(
    args: &BackupArgs,
    tell: impl FnMut(&str),
) -> Result<(String, u8), CareError> {
    let made = care::backup(&args.of.dir()?, &args.file, tell).await?;
    Ok((args.of.shown(&made), 0))
}

/// Restores a backup: what to say, and the exit status.
pub(crate) async fn restore(
    args: &RestoreArgs,
    tell: impl FnMut(&str),
) -> Result<(String, u8), CareError> {
    let RestoreArgs { file, replace, of } = args;
    let done = care::restore(file, &of.dir()?, *replace, &SystemClock::new(), tell).await?;
    Ok((of.shown(&done), 0))
}

/// Looks at a data directory: what to say, and the exit status.
pub(crate) async fn doctor(args: &DoctorArgs) -> Result<(String, u8), CareError> {
    let dir = args.of.dir()?;
    let found = care::doctor(&dir, args.tls_cert.as_deref(), &SystemClock::new()).await;
    Ok((args.of.shown(&found), found.exit_code()))
}

impl DataDir {
    /// The directory that `muster serve` would use here.
    fn dir(&self) -> Result<PathBuf, StartError> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(Args::of_file(self.config.clone()).load()?.config.data_dir),
        }
    }

    fn shown<T: std::fmt::Display + Serialize>(&self, result: &T) -> String {
        if self.json { json!(result).to_string() } else { result.to_string() }
    }
}
