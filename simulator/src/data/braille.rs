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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// Letters: a label, and the numbers of a step and taxel that is 1.
    fn file(letters: &[(i64, usize, f32)]) -> Vec<u8> {
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("archive/data/0", stored).unwrap();
        for &(_, at, value) in letters {
            let mut numbers = vec![0.0_f32; STEPS * usize::from(TAXELS)];
            numbers[at] = value;
            let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            zip.write_all(&bytes).unwrap();
        }
        zip.start_file("archive/data/1", stored).unwrap();
        for &(label, ..) in letters {
            zip.write_all(&label.to_le_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn error(letters: &[(i64, usize, f32)]) -> String {
        parse(Path::new("x.pt"), &file(letters)).unwrap_err().to_string()
    }

    #[test]
    fn letters_are_read_and_kept_once() {
        let letters =
            parse(Path::new("x"), &file(&[(6, 12 * 255 + 11, 1.0), (0, 0, 0.0)])).unwrap();
        assert_eq!(
            (letters[0].label, letters[0].steps[255], letters[0].steps[254]),
            (6, 1 << 11, 0)
        );
        assert_eq!((letters[1].label, letters[1].steps.iter().max()), (0, Some(&0)));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.pt"), file(&[(1, 5, 1.0), (2, 5, 1.0)])).unwrap();
        std::fs::write(dir.path().join("b.pt"), file(&[(2, 5, 1.0), (1, 6, 1.0)])).unwrap();
        let (letters, total) = read(dir.path()).unwrap();
        assert_eq!((letters.len(), total), (3, 4));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(error(&[(7, 0, 0.0)]).contains("label 0 is not one of 7"));
        assert!(error(&[(0, 13, 0.5)]).contains("letter 0, step 1, taxel 1: 0.5 is not 0 or 1"));
        let not_a_zip = parse(Path::new("x.pt"), b"PK").unwrap_err();
        assert_eq!(not_a_zip.code(), "data_malformed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_damage_makes_it_panic(from_end in 1_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = file(&[(3, 7, 1.0)]);
            let length = bytes.len();
            bytes[length - from_end] = byte;
            bytes.truncate(length - cut);
            if let Err(error) = parse(Path::new("x"), &bytes) {
                prop_assert_eq!(error.code(), "data_malformed");
            }
        }
    }
}
