//! The expected results of a case, consumed in the order in which the replay produces them.

use std::path::Path;

use crate::case::{contents, unreadable};
use crate::failure::{Failure, Mismatch, Place};

/// A file of little-endian numbers. A file that the case lacks accepts everything.
#[derive(Debug)]
pub(crate) struct Binary {
    file: &'static str,
    bytes: Option<Vec<u8>>,
    at: usize,
}

/// How a number stands in a [`Binary`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Width {
    U8,
    I8,
    U16,
    I16,
    U32,
}

impl Binary {
    pub(crate) fn open(case: &str, dir: &Path, file: &'static str) -> Result<Binary, Failure> {
        Ok(Binary { file, bytes: contents(case, dir, file)?, at: 0 })
    }

    pub(crate) const fn present(&self) -> bool {
        self.bytes.is_some()
    }

    /// Compares the numbers that come next with `got`.
    pub(crate) fn check(
        &mut self,
        place: &Place,
        field: &str,
        width: Width,
        got: impl IntoIterator<Item = i64>,
    ) -> Result<(), Failure> {
        let Some(bytes) = &self.bytes else { return Ok(()) };
        for (index, got) in got.into_iter().enumerate() {
            let rest = &bytes[self.at..];
            let (expected, len) = match width {
                Width::U8 => (rest.first_chunk().map(|&b| i64::from(u8::from_le_bytes(b))), 1),
                Width::I8 => (rest.first_chunk().map(|&b| i64::from(i8::from_le_bytes(b))), 1),
                Width::U16 => (rest.first_chunk().map(|&b| i64::from(u16::from_le_bytes(b))), 2),
                Width::I16 => (rest.first_chunk().map(|&b| i64::from(i16::from_le_bytes(b))), 2),
                Width::U32 => (rest.first_chunk().map(|&b| i64::from(u32::from_le_bytes(b))), 4),
            };
            if expected != Some(got) {
                let expected =
                    expected.map_or_else(|| "end of file".to_owned(), |value| value.to_string());
                return Err(differs(
                    place,
                    self.file,
                    field,
                    Some(index),
                    expected,
                    got.to_string(),
                ));
            }
            self.at += len;
        }
        Ok(())
    }

    /// Nothing is left over.
    pub(crate) fn finish(&self, place: &Place) -> Result<(), Failure> {
        let left = self.bytes.as_ref().map_or(0, |bytes| bytes.len() - self.at);
        if left == 0 {
            return Ok(());
        }
        Err(differs(
            place,
            self.file,
            "length",
            None,
            format!("{left} more bytes"),
            "no more".to_owned(),
        ))
    }
}

/// A file of comma-separated rows under a header. A file that the case lacks accepts everything.
#[derive(Debug)]
pub(crate) struct Csv {
    file: &'static str,
    header: Vec<String>,
    rows: Option<std::vec::IntoIter<String>>,
}

/// Columns that tell of the simulation, not of the chip.
const NOT_OF_THE_CHIP: [&str; 3] = ["cycles_total", "cycles", "wall_s"];

impl Csv {
    pub(crate) fn open(case: &str, dir: &Path, file: &'static str) -> Result<Csv, Failure> {
        let Some(bytes) = contents(case, dir, file)? else {
            return Ok(Csv { file, header: Vec::new(), rows: None });
        };
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(case, file, 0, error.to_string()))?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            return Err(unreadable(case, file, 1, "has no header"));
        }
        let header = lines.remove(0).split(',').map(str::to_owned).collect();
        Ok(Csv { file, header, rows: Some(lines.into_iter()) })
    }

    pub(crate) const fn present(&self) -> bool {
        self.rows.is_some()
    }

    /// Compares the next row with `got`, column by column by name.
    pub(crate) fn check(&mut self, place: &Place, got: &[(&str, String)]) -> Result<(), Failure> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let Some(row) = rows.next() else {
            let got: Vec<&str> = got.iter().map(|(_, value)| value.as_str()).collect();
            return Err(differs(
                place,
                self.file,
                "row",
                None,
                "end of file".to_owned(),
                got.join(","),
            ));
        };
        let cells: Vec<&str> = row.split(',').collect();
        if cells.len() != self.header.len() {
            let (expected, got) = (format!("{} columns", self.header.len()), format!("`{row}`"));
            return Err(differs(place, self.file, "row", None, expected, got));
        }
        let compared = |name: &&str| !NOT_OF_THE_CHIP.contains(name);
        let names: Vec<&str> = self.header.iter().map(String::as_str).filter(compared).collect();
        if let Some(unknown) =
            names.iter().find(|&name| !got.iter().any(|(known, _)| known == name))
        {
            return Err(differs(
                place,
                self.file,
                "header",
                None,
                format!("`{unknown}`"),
                "no such column".to_owned(),
            ));
        }
        for (name, got) in got {
            let Some(column) = self.header.iter().position(|column| column == name) else {
                return Err(differs(
                    place,
                    self.file,
                    "header",
                    None,
                    "no such column".to_owned(),
                    format!("`{name}`"),
                ));
            };
            if cells[column] != got {
                return Err(differs(
                    place,
                    self.file,
                    name,
                    None,
                    cells[column].to_owned(),
                    got.clone(),
                ));
            }
        }
        Ok(())
    }

    /// Nothing is left over.
    pub(crate) fn finish(&self, place: &Place) -> Result<(), Failure> {
        match self.rows.as_ref().map_or(&[][..], |rows| rows.as_slice()) {
            [] => Ok(()),
            [row, ..] => Err(differs(
                place,
                self.file,
                "row",
                None,
                format!("`{row}`"),
                "no more rows".to_owned(),
            )),
        }
    }
}

fn differs(
    place: &Place,
    file: &'static str,
    field: &str,
    index: Option<usize>,
    expected: String,
    got: String,
) -> Failure {
    let mismatch =
        Mismatch { place: place.clone(), file, field: field.to_owned(), index, expected, got };
    Failure::Differs(Box::new(mismatch))
}
