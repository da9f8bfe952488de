//! As much of the ZIP format as npz files need: entries stored when written; stored or deflated when read.
//!
//! What is written has no dates and is the same for the same entries. Reading goes by the central directory, as ZIP asks.

use crate::error::{ImportError, Place, Problem};
use crate::limits::{ENTRIES_BYTES_MAX, ENTRIES_MAX};

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: usize = 22;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
/// Longest comment after the end record, by the format.
const COMMENT_BYTES_MAX: usize = 0xFFFF;
/// An offset that lies beyond the end of any file and to which lengths can be added.
const FAR: usize = usize::MAX / 2;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day that the format knows.
const NO_DATE: u16 = 0x21;

/// A ZIP of `entries`, all of them below 4 GiB together.
pub(crate) fn write(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let offset = field32(out.len());
        let mut about = Vec::new();
        let name_len = u16::try_from(name.len()).expect("names are short");
        for value in [20, 0, STORED, 0, NO_DATE] {
            about.extend_from_slice(&value.to_le_bytes());
        }
        for value in [crc32(data), field32(data.len()), field32(data.len())] {
            about.extend_from_slice(&value.to_le_bytes());
        }
        about.extend_from_slice(&name_len.to_le_bytes());
        about.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&LOCAL);
        out.extend_from_slice(&about);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(data);
        directory.extend_from_slice(&CENTRAL);
        directory.extend_from_slice(&20_u16.to_le_bytes());
        directory.extend_from_slice(&about);
        // No comment, first disk, no attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, len) = (field32(out.len()), field32(directory.len()));
    let count = u16::try_from(entries.len()).expect("an artifact has few tensors").to_le_bytes();
    out.extend_from_slice(&directory);
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}

/// The entries of a ZIP, in the order of its directory.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ImportError> {
    read_within(bytes, ENTRIES_BYTES_MAX)
}

/// The entries, at most `room` bytes together.
fn read_within(bytes: &[u8], mut room: usize) -> Result<Vec<(String, Vec<u8>)>, ImportError> {
    let earliest = bytes.len().saturating_sub(END_LEN + COMMENT_BYTES_MAX);
    let latest = bytes.len().checked_sub(END_LEN);
    let end = latest
        .and_then(|latest| (earliest..=latest).rev().find(|&at| bytes[at..].starts_with(&END)))
        .ok_or_else(|| {
            ImportError::missing(Place::Byte(bytes.len()), "the end record of a ZIP archive")
        })?;
    let count = usize::from(u16_at(bytes, end + 10)?);
    if count > ENTRIES_MAX {
        let expected = "an archive of at most 256 entries";
        return Err(ImportError::new(Place::Byte(end), Problem::Unsupported { expected }));
    }
    let mut at = offset_at(bytes, end + 16)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        marked(bytes, at, CENTRAL, "a directory record of a ZIP archive")?;
        let name_len = usize::from(u16_at(bytes, at + 28)?);
        let beside = usize::from(u16_at(bytes, at + 30)?) + usize::from(u16_at(bytes, at + 32)?);
        let name = String::from_utf8_lossy(slice(bytes, at + CENTRAL_LEN, name_len)?).into_owned();
        let data = entry(bytes, at, room)?;
        room -= data.len();
        entries.push((name, data));
        at += CENTRAL_LEN + name_len + beside;
    }
    Ok(entries)
}

/// The unpacked data, at most `room` bytes, of the entry whose directory record is at `at`.
fn entry(bytes: &[u8], at: usize, room: usize) -> Result<Vec<u8>, ImportError> {
    let fault =
        |expected| Err(ImportError::new(Place::Byte(at), Problem::Unsupported { expected }));
    let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
    if flags & 1 == 1 {
        return fault("an archive that is not encrypted");
    }
    let crc = u32_at(bytes, at + 16)?;
    let (packed, size) = (offset_at(bytes, at + 20)?, offset_at(bytes, at + 24)?);
    if size > room {
        return Err(ImportError::new(Place::Byte(at), Problem::TooLarge { got: size }));
    }
    let local = offset_at(bytes, at + 42)?;
    marked(bytes, local, LOCAL, "an entry of a ZIP archive")?;
    let names = usize::from(u16_at(bytes, local + 26)?) + usize::from(u16_at(bytes, local + 28)?);
    let start = local + LOCAL_LEN + names;
    let packed = slice(bytes, start, packed)?;
    let data = match method {
        STORED => packed.to_vec(),
        DEFLATED => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, size)
            .map_err(|_| damaged(start, "deflated data of the size that the directory says"))?,
        _ => return fault("entries that are stored or deflated"),
    };
    if data.len() != size || crc32(&data) != crc {
        return Err(damaged(start, "data of the size and checksum that the directory says"));
    }
    Ok(data)
}

fn damaged(at: usize, expected: &'static str) -> ImportError {
    ImportError::malformed(Place::Byte(at), expected, "other data")
}

fn marked(
    bytes: &[u8],
    at: usize,
    mark: [u8; 4],
    expected: &'static str,
) -> Result<(), ImportError> {
    match slice(bytes, at, 4)? {
        found if found == mark => Ok(()),
        _ => Err(damaged(at, expected)),
    }
}

fn slice(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], ImportError> {
    let taken = at.checked_add(len).and_then(|end| bytes.get(at..end));
    taken.ok_or_else(|| {
        let what = "a record of the ZIP archive";
        ImportError::new(Place::Byte(at.min(bytes.len())), Problem::Truncated { what })
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ImportError> {
    let field = slice(bytes, at, 2)?;
    Ok(u16::from_le_bytes(field.try_into().expect("two bytes were taken")))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ImportError> {
    let field = slice(bytes, at, 4)?;
    Ok(u32::from_le_bytes(field.try_into().expect("four bytes were taken")))
}

/// A 32-bit offset or size. What does not fit in memory lies beyond the end of any file.
fn offset_at(bytes: &[u8], at: usize) -> Result<usize, ImportError> {
    Ok(usize::try_from(u32_at(bytes, at)?).map_or(FAR, |offset| offset.min(FAR)))
}

fn field32(len: usize) -> u32 {
    u32::try_from(len).expect("an artifact is far below 4 GiB")
}

/// The checksum of ZIP: CRC-32 with the reflected polynomial 0xEDB88320.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn all_entries_together_are_bounded() {
        let entry = |name: &str| (name.to_owned(), b"abcd".to_vec());
        let bytes = write(&[entry("x"), entry("y")]);
        assert_eq!(read_within(&bytes, 8).unwrap().len(), 2);
        assert_eq!(read_within(&bytes, 7).unwrap_err().code(), "import_too_large");
    }

    #[test]
    fn deflated_entries_are_read() {
        // "aaaaaaaaaa" stored, then the same deflated by hand: one final block, fixed codes, `a` and a match of 9.
        let entries = vec![("x".to_owned(), b"aaaaaaaaaa".to_vec())];
        let stored = write(&entries);
        assert_eq!(read(&stored).unwrap(), entries);
        let packed = [0x4B, 0x84, 0x03, 0x00];
        let mut bytes = stored.clone();
        bytes.splice(31..41, packed);
        let directory = 31 + packed.len();
        bytes[directory + 10] = 8;
        bytes[directory + 20] = 4;
        let end = bytes.len() - END_LEN;
        bytes[end + 16] = u8::try_from(directory).unwrap();
        assert_eq!(read(&bytes).unwrap(), entries);
        // A size that is not true, and a wrong checksum.
        bytes[directory + 24] = 9;
        assert_eq!(read(&bytes).unwrap_err().code(), "import_malformed");
        bytes[directory + 24] = 10;
        bytes[directory + 16] ^= 1;
        assert_eq!(read(&bytes).unwrap_err().code(), "import_malformed");
    }
}
