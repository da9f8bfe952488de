//! Braille letters under an artificial fingertip, as the authors of L2MU-Braille published them: `.pt` files, each a ZIP whose
//! member `data/0` is 280 x 256 x 12 numbers (f32, little-endian, 0 or 1) and `data/1` the 280 labels (i64).
//!
//! The published files are overlapping random draws from one set of recordings. The same recording is therefore kept once:
//! otherwise test samples would be among those learned from.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};
use std::path::Path;

use tasks::tactile::{CLASSES, TAXELS};
use zip::ZipArchive;

use super::{DataError, Place, archive};

/// Steps of a letter, 5 ms each.
pub const STEPS: usize = 256;
/// Most bytes of one member.
const MEMBER_BYTES_MAX: u64 = 256 << 20;

/// One letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    /// 0 to 6: Space, A, E, I, O, U, Y.
    pub label: u8,
    /// Each step's events, a bit for each taxel.
    pub steps: Vec<u16>,
}

/// The different letters of every file in `dir`, and how many there are counted as often as they occur.
///
/// The order is that of the recordings themselves, not of files, so that it does not depend on the draws.
///
/// # Errors
/// [`DataError`] when a file is missing or damaged.
pub fn read(dir: &Path) -> Result<(Vec<Letter>, usize), DataError> {
    let (mut letters, mut total) = (BTreeSet::new(), 0);
    for (name, bytes) in archive::files(dir, "pt")? {
        let read = parse(&dir.join(name), &bytes)?;
        total += read.len();
        letters.extend(read);
    }
    Ok((letters.into_iter().collect(), total))
}

/// The letters of one file whose bytes these are; `path` is only for messages.
///
/// # Errors
/// [`DataError`] when it is damaged.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Letter>, DataError> {
    let wrong = |error: &dyn std::fmt::Display| DataError::malformed(path, Place::File, error);
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| wrong(&error))?;
    let mut member = |name: &str| -> Result<Vec<u8>, DataError> {
        let file = zip.by_name(name).map_err(|error| wrong(&format!("{name}: {error}")))?;
        let mut bytes = Vec::new();
        file.take(MEMBER_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(&format!("{name}: {error}")))?;
        Ok(bytes)
    };
    let (events, labels) = (member("archive/data/0")?, member("archive/data/1")?);
    let (labels, rest) = labels.as_chunks::<8>();
    let letter_bytes = STEPS * usize::from(TAXELS) * 4;
    if !rest.is_empty() || events.len() != labels.len() * letter_bytes {
        return Err(wrong(&format!(
            "{} bytes of events are not {STEPS} x {TAXELS} numbers for each of {} labels",
            events.len(),
            labels.len()
        )));
    }
    let mut letters = Vec::with_capacity(labels.len());
    for (index, (label, events)) in labels.iter().zip(events.chunks_exact(letter_bytes)).enumerate()
    {
        let label = u8::try_from(i64::from_le_bytes(*label)).ok().filter(|&label| label < CLASSES);
        let label = label
            .ok_or_else(|| wrong(&format!("label {index} is not one of {CLASSES} letters")))?;
        let (numbers, _) = events.as_chunks::<4>();
        let mut steps = vec![0; STEPS];
        for (at, number) in numbers.iter().enumerate() {
            let (step, taxel) = (at / usize::from(TAXELS), at % usize::from(TAXELS));
            match f32::from_le_bytes(*number) {
                0.0 => {}
                1.0 => steps[step] |= 1_u16 << taxel,
                got => {
                    let what =
                        format!("letter {index}, step {step}, taxel {taxel}: {got} is not 0 or 1");
                    return Err(wrong(&what));
                }
            }
        }
        letters.push(Letter { label, steps });
    }
    Ok(letters)
}
