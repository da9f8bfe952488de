//! The files of a folder, whether they lie there or are packed into a `.tar.xz` that does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use super::{DataError, Place};

/// Most bytes that are unpacked from one archive: the largest that comes with the project has 35 MB.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Most memory that an archive's dictionary may ask for, in KiB.
const DICTIONARY_KIB_MAX: u32 = 256 << 10;

/// Files by name, without their folders.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of `dir` that end in `.extension`; where none does, those of the `.tar.xz` archives in it.
///
/// # Errors
/// [`DataError`] when there is no such folder or file, or an archive is damaged.
pub fn files(dir: &Path, extension: &str) -> Result<Files, DataError> {
    let (mut plain, mut packed) = (Files::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(DataError::unreadable(dir))? {
        let path = entry.map_err(DataError::unreadable(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is(&name, extension) {
            plain.insert(name, fs::read(&path).map_err(DataError::unreadable(&path))?);
        } else if name.ends_with(".tar.xz") {
            packed.push(path);
        }
    }
    if plain.is_empty() {
        packed.sort();
        for path in &packed {
            plain.extend(unpack(path, extension)?);
        }
    }
    if plain.is_empty() {
        return Err(DataError::missing(dir, format!("no file that ends in .{extension}")));
    }
    Ok(plain)
}

/// The files of the archive at `path` that end in `.extension`.
///
/// # Errors
/// [`DataError`] when it cannot be read or is damaged.
pub fn unpack(path: &Path, extension: &str) -> Result<Files, DataError> {
    let file = BufReader::new(File::open(path).map_err(DataError::unreadable(path))?);
    let wrong = |error: std::io::Error| DataError::malformed(path, Place::File, error);
    let xz = lzma_rust2::XzReader::new_mem_limit(file, true, DICTIONARY_KIB_MAX);
    let mut archive = tar::Archive::new(xz.take(UNPACKED_BYTES_MAX));
    let mut files = Files::new();
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path().map_err(wrong)?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is(&name, extension) && entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(wrong)?;
            files.insert(name, bytes);
        }
    }
    // To the end of the archive, beyond that of the files in it: there is the checksum.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(wrong)?;
    Ok(files)
}

fn is(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tar c one.bs2 two.txt | xz`, of `hello` and `x`.
    fn packed() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in [("set/one.bs2", "hello"), ("set/two.txt", "x")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(text.len()).unwrap());
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        std::io::Write::write_all(&mut xz, &tar).unwrap();
        xz.finish().unwrap()
    }

    #[test]
    fn a_packed_folder_is_read_and_a_plain_one_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.tar.xz");
        fs::write(&path, packed()).unwrap();
        let names = |files: Files| files.into_iter().collect::<Vec<_>>();
        assert_eq!(
            names(files(dir.path(), "bs2").unwrap()),
            [("one.bs2".to_owned(), b"hello".to_vec())]
        );
        assert_eq!(files(dir.path(), "pt").unwrap_err().code(), "data_missing");
        fs::write(dir.path().join("mine.bs2"), "own").unwrap();
        assert_eq!(
            names(files(dir.path(), "bs2").unwrap()),
            [("mine.bs2".to_owned(), b"own".to_vec())]
        );
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.tar.xz");
        let whole = packed();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            fs::write(&path, &damaged).unwrap();
            if let Err(error) = unpack(&path, "bs2") {
                assert_eq!(error.code(), "data_malformed");
            }
            fs::write(&path, &whole[..at]).unwrap();
            assert!(unpack(&path, "bs2").is_err(), "cut at {at}");
        }
    }
}
