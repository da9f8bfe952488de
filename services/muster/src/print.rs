//! The one module that prints: results on standard output, failures on standard error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where a command speaks to people"
)]

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use rustix::termios::tcgetwinsize;
use serde_json::Value;

use crate::failure::{Failure, status};
use crate::table::{self, Column};
use crate::when::now_ms;

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

/// A failure on standard error, with what to do next. Returns the exit status to end with.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    // Whoever read had enough: that is no failure of ours.
    if failure.code() != OUTPUT_CLOSED {
        eprintln!("{}", failure.text());
    }
    ExitCode::from(failure.status())
}

/// Something to know that is no failure, on standard error.
pub(crate) fn warning(text: &str) {
    eprintln!("warning: {text}");
}

/// The code of a failure that is none: standard output was closed.
const OUTPUT_CLOSED: &str = "output_closed";

/// Standard output, and what results look like on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
    terminal: bool,
    colour: bool,
}

impl Out {
    /// JSON if asked for, else for people: with the width and colours of a terminal, plain elsewhere.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, terminal: terminal && !dumb, colour: terminal && !no_colour && !dumb }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether it is a terminal that can be drawn on.
    pub(crate) fn is_screen(self) -> bool {
        self.terminal && !self.json
    }

    /// Whether it has colours.
    pub(crate) fn has_colour(self) -> bool {
        self.colour
    }

    /// Columns and rows of the terminal, as it is now; none if it is no terminal.
    pub(crate) fn size(self) -> Option<(u16, u16)> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|_| self.terminal)?;
        Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
    }

    /// A line, or several.
    pub(crate) fn say(self, text: &str) -> Result<(), Failure> {
        written(try_line(text))
    }

    /// Text as it is, at once: for what is drawn, and for bytes.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// An answer: as JSON, or in words.
    pub(crate) fn tell(
        self,
        answer: &Value,
        words: impl FnOnce(u64) -> String,
    ) -> Result<(), Failure> {
        self.say(&if self.json { answer.to_string() } else { words(now_ms()) })
    }

    /// A list: as JSON with all its items, or as a table. `none` is said to people if it is empty.
    pub(crate) fn list(self, columns: &[Column], list: &Value, none: &str) -> Result<(), Failure> {
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.json {
            return self.say(&list.to_string());
        }
        if items.is_empty() && self.terminal {
            return self.say(none);
        }
        self.say(&self.table(columns, items, now_ms()))
    }

    /// A table in the width that there is.
    pub(crate) fn table(self, columns: &[Column], items: &[Value], now_ms: u64) -> String {
        let width = self.size().map(|(columns, _)| columns);
        table::draw(columns, items, now_ms, width, self.colour)
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(OUTPUT_CLOSED, error, 0),
        _ => {
            let what = format!("standard output cannot be written: {error}");
            Failure::new("output_failed", what, status::IO)
        }
    })
}
