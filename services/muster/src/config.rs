//! `muster config`: files of settings for `muster serve`. What settings there are is `coordinator`'s to say.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use coordinator::{Args, CONFIG_FILE, ConfigError, default_file};
use serde_json::json;
use thiserror::Error;

use crate::certificate::CertificateArgs;

/// What to do with a file of settings.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write a file of all settings, each with what it means and its default, commented out
    Init(InitArgs),
    /// Check a file and tell every mistake in it: exit status 0 for none, 64 for some
    Check(CheckArgs),
    /// Make a certificate for `serve`, and what nodes and people trust it by, unless there is a good one
    Certificate(CertificateArgs),
}

/// `muster config init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = CONFIG_FILE)]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster config check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The file
    #[arg(value_name = "FILE", default_value = CONFIG_FILE)]
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Why a file was not written, or is not right.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("{}: there is such a file already; --force replaces it", file.display())]
    Exists { file: PathBuf },
    #[error("{}: cannot be written: {source}", file.display())]
    Unwritable { file: PathBuf, source: io::Error },
    #[error(transparent)]
    Wrong(#[from] ConfigError),
}

impl Error {
    /// A stable code, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "file_exists",
            Self::Unwritable { .. } => "file_not_writable",
            Self::Wrong(error) => error.code(),
        }
    }

    /// What the process should exit with, as `sysexits.h` numbers them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exists { .. } | Self::Unwritable { .. } => 73,
            Self::Wrong(error) => error.exit_code(),
        }
    }
}

/// Does what was asked for; answers with what there is to say and the exit status.
pub(crate) fn run(command: &Command) -> Result<(String, u8), Error> {
    match command {
        Command::Init(InitArgs { file, force, json }) => {
            write(file.clone(), *force)?;
            let name = file.display().to_string();
            let said = if *json { json!({ "file": name }).to_string() } else { name };
            Ok((said, 0))
        }
        Command::Check(CheckArgs { file, json }) => {
            let name = file.display().to_string();
            let problems = match Args::of_file(Some(file.clone())).load() {
                Ok(_) if !json => return Ok((format!("{name}: no mistakes"), 0)),
                Err(error) if !json => return Err(error.into()),
                Ok(_) => Vec::new(),
                Err(error) => error.problems,
            };
            let status = if problems.is_empty() { 0 } else { 64 };
            let problems = problems.iter().map(|problem| {
                json!({ "code": problem.code, "place": problem.place, "why": problem.why })
            });
            let problems: Vec<_> = problems.collect();
            Ok((json!({ "file": name, "problems": problems }).to_string(), status))
        }
        Command::Certificate(_) => unreachable!("`certificate` does it"),
    }
}

fn write(file: PathBuf, force: bool) -> Result<(), Error> {
    let opened = if force {
        File::create(&file)
    } else {
        OpenOptions::new().write(true).create_new(true).open(&file)
    };
    let written = opened.and_then(|mut opened| opened.write_all(default_file().as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { file },
        _ => Error::Unwritable { file, source },
    })
}

/// The variables that a command and its subcommands read.
pub(crate) fn variables(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env());
    let own = own.map(|name| name.to_string_lossy().into_owned());
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;
    use coordinator::{SETTINGS, Setting};

    use super::*;
    use crate::Cli;

    const BEGIN: &str = "<!-- settings of serve: written by a test -->";

    /// The table of the coordinator's settings in docs is what they say of themselves.
    ///
    /// The test writes it anew if it is not, and fails.
    #[test]
    fn the_docs_have_the_settings_of_serve() {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
        let docs = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = docs.split_once(BEGIN).expect(BEGIN);
        let (_, after) = rest.split_once("\n\n").expect("an empty line after the table");
        let rows: Vec<String> = SETTINGS.iter().map(Setting::row).collect();
        let head = "| file | variable | flag | meaning |\n|---|---|---|---|";
        let right = format!("{before}{BEGIN}\n{head}\n{}\n\n{after}", rows.join("\n"));
        if docs != right {
            std::fs::write(&file, right).unwrap();
            panic!("the table of settings was not right; it is now");
        }
    }

    #[test]
    fn variables_and_docs_agree() {
        let docs = include_str!("../../../docs/reference/configuration.md");
        let told: BTreeSet<String> = docs
            .lines()
            .filter(|line| line.starts_with('|'))
            .flat_map(|line| line.split('`'))
            .filter(|word| word.starts_with("MUSTER_"))
            .map(str::to_owned)
            .collect();
        assert_eq!(variables(&Cli::command()), told, "left: read; right: in the tables");
    }

    #[test]
    fn a_file_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("muster.toml");
        write(file.clone(), false).unwrap();
        std::fs::write(&file, "mine").unwrap();
        let error = write(file.clone(), false).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("file_exists", 73));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        write(file.clone(), true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), default_file());
        let error = write(dir.path().join("no/such"), false).unwrap_err();
        assert_eq!(error.code(), "file_not_writable");
    }
}
