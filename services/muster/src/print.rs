//! The one module that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where a command speaks to people"
)]

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// One line on standard output: what was asked for.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// One line on standard output, which may be closed.
pub(crate) fn try_line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// How far something is, on standard error: what was asked for stays alone on standard output.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A failure on standard error: stable code, what, where and why. Returns the exit status to end with.
pub(crate) fn failure(code: &str, error: &dyn Display, status: u8) -> ExitCode {
    eprintln!("error[{code}]: {error}");
    ExitCode::from(status)
}
