//! Camera recordings as jAER, cAER and DV write them: AEDAT 3.1 and AEDAT 4.

mod flat;
mod four;
mod three;

use std::path::Path;

use tasks::vision::Change;

use super::{DataError, Place};

pub use self::four::HEADER as HEADER_4;
pub use self::three::HEADER as HEADER_3;

/// Most events of one file: more is not one recording.
const EVENTS_MAX: usize = 200 << 20;

/// A recording of any length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// When its first event was, in the camera's microseconds.
    pub start_us: i64,
    /// Its events, counted from that one; in their order in the file.
    pub changes: Vec<Change>,
}

/// The recording in the file at `path`, whichever of the two forms it has.
///
/// # Errors
/// [`DataError`] with the byte at which it goes wrong.
pub fn read(path: &Path) -> Result<Recording, DataError> {
    parse(path, &std::fs::read(path).map_err(DataError::unreadable(path))?)
}

/// The recording in a file whose bytes these are; `path` is only for messages.
///
/// # Errors
/// As for [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Recording, DataError> {
    let mut events = Events::default();
    let read = if bytes.starts_with(HEADER_4) {
        four::parse(bytes, &mut events)
    } else if bytes.starts_with(HEADER_3) {
        three::parse(bytes, &mut events)
    } else {
        Err(Wrong { byte: 0, what: "neither AEDAT 3.1 nor AEDAT 4: see its first line".to_owned() })
    };
    read.map_err(|Wrong { byte, what }| {
        DataError::malformed(path, Place::Byte(u64::try_from(byte).unwrap_or(u64::MAX)), what)
    })?;
    Ok(events.0)
}

/// What is wrong, and at which byte of the file.
#[derive(Debug)]
struct Wrong {
    byte: usize,
    what: String,
}

#[derive(Default)]
struct Events(Recording);

impl Events {
    fn push(&mut self, byte: usize, us: i64, x: u16, y: u16, on: bool) -> Result<(), Wrong> {
        let Recording { start_us, changes } = &mut self.0;
        if changes.is_empty() {
            *start_us = us;
        }
        if changes.len() == EVENTS_MAX {
            return Err(Wrong { byte, what: format!("more than {EVENTS_MAX} events") });
        }
        // A later event may bear an earlier time than the first; it counts as of the first.
        let since = us.saturating_sub(*start_us).max(0);
        let us = u32::try_from(since).map_err(|_| Wrong {
            byte,
            what: "an event more than 71 minutes after the first".to_owned(),
        })?;
        changes.push(Change { us, x, y, on });
        Ok(())
    }
}

/// `N` bytes at `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
