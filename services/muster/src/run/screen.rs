//! A terminal that is drawn on: the whole screen while it is watched, and left as it was found, whatever happens.

use crate::failure::Failure;
use crate::print::Out;

/// The other screen of a terminal. Dropped, the first one is back, and the cursor with it.
#[derive(Debug)]
pub(super) struct Screen {
    out: Out,
}

impl Screen {
    /// Takes the screen.
    pub(super) fn take(out: Out) -> Result<Self, Failure> {
        // Made first: what half took the screen is dropped too.
        let screen = Self { out };
        screen.out.write(b"\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// The terminal.
    pub(super) fn out(&self) -> Out {
        self.out
    }

    /// Draws lines, from the top.
    pub(super) fn draw(&self, lines: &[String]) -> Result<(), Failure> {
        let mut text = "\x1b[H".to_owned();
        for (index, line) in lines.iter().enumerate() {
            let end = if index + 1 < lines.len() { "\x1b[K\r\n" } else { "\x1b[K" };
            text += line;
            text += end;
        }
        text += "\x1b[J";
        self.out.write(text.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        self.out.write(b"\x1b[?25h\x1b[?1049l").unwrap_or_default();
    }
}
