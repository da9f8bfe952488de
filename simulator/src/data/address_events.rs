//! Camera events of five bytes, as N-MNIST is published (`.bin`, `.bs2`): column, row, then one bit of polarity and 23 bits of
//! time in microseconds, big-endian.

use std::path::Path;

use tasks::vision::Change;

use super::{DataError, Place};

/// Bytes of an event.
const EVENT_BYTES: usize = 5;

/// The events of a file whose bytes these are, in their order; `path` is only for messages.
///
/// # Errors
/// [`DataError`] when its length is no number of events, or it has none.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Change>, DataError> {
    let (events, rest) = bytes.as_chunks::<EVENT_BYTES>();
    if !rest.is_empty() {
        let at = u64::try_from(bytes.len() - rest.len()).unwrap_or(u64::MAX);
        let what = format!("an event of {EVENT_BYTES} bytes ends after {}", rest.len());
        return Err(DataError::malformed(path, Place::Byte(at), what));
    }
    if events.is_empty() {
        return Err(DataError::malformed(path, Place::File, "no events"));
    }
    Ok(events.iter().map(change).collect())
}

fn change(&[x, y, high, middle, low]: &[u8; EVENT_BYTES]) -> Change {
    let us = u32::from_be_bytes([0, high & 0x7F, middle, low]);
    Change { us, x: x.into(), y: y.into(), on: high & 0x80 != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_five_bytes() {
        let events = parse(Path::new("x"), &[7, 33, 0x80, 1, 2, 255, 0, 0x7F, 0xFF, 0xFF]).unwrap();
        assert_eq!(
            events,
            [
                Change { us: 258, x: 7, y: 33, on: true },
                Change { us: 0x7F_FFFF, x: 255, y: 0, on: false }
            ]
        );
        let error = parse(Path::new("x"), &[0; 13]).unwrap_err();
        assert_eq!(error.to_string(), "x, byte 10: an event of 5 bytes ends after 3");
        assert_eq!(parse(Path::new("x"), &[]).unwrap_err().code(), "data_malformed");
    }
}
