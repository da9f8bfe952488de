//! What the command line says of itself: completions for shells and pages for `man`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::failure::{Failure, status};
use crate::print::Out;

/// `muster completions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bash:  muster completions bash > ~/.local/share/bash-completion/completions/muster
  zsh:   muster completions zsh > ~/.zfunc/_muster     (with ~/.zfunc in fpath)
  fish:  muster completions fish > ~/.config/fish/completions/muster.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// `muster man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Directory for the pages of all commands, as muster.1, muster-run.1 and so on; without it the page of `muster` is
    /// printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "muster", &mut text);
    Out::new(false).write(&text)?;
    Ok(0)
}

/// Prints the page of `muster`, or writes those of all commands.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<u8, Failure> {
    let out = Out::new(false);
    let mut command = without_help(command);
    let Some(dir) = &args.out else {
        let text = page(command);
        out.write(&text.map_err(|error| Failure::new("output_failed", error, status::IO))?)?;
        return Ok(0);
    };
    let unwritten = |path: &Path, error: io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failure::new("file_not_written", what, status::CANNOT_CREATE)
    };
    fs::create_dir_all(dir).map_err(|error| unwritten(dir, error))?;
    command.build();
    let mut waiting = vec![command];
    let mut pages = 0;
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|c| !c.is_hide_set()).cloned());
        // Built, a command is called `run create` and shown as `muster-run-create`.
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let path = dir.join(format!("{name}.1"));
        let written = page(command).and_then(|text| fs::write(&path, text));
        written.map_err(|error| unwritten(&path, error))?;
        pages += 1;
    }
    out.say(&format!("{pages} pages written to {}", dir.display()))?;
    Ok(0)
}

/// The page of a command.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let mut text = Vec::new();
    let source = format!("muster {}", env!("CARGO_PKG_VERSION"));
    Man::new(command).title(name).source(source).manual("Muster").render(&mut text)?;
    Ok(text)
}

/// The commands without `help`, which has no page: the pages are the help.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
