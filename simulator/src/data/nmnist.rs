//! The 1,100 digits of N-MNIST that SLAYER's authors chose: recordings, labels, and who wrote each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tasks::vision::Change;

use super::{DataError, Place, address_events, archive};

/// One digit.
#[derive(Clone, Debug)]
pub struct Digit {
    /// What the camera said.
    pub changes: Vec<Change>,
    /// 0 to 9.
    pub label: u8,
    /// NIST's number of the writer; `None` where no list of writers lies beside.
    pub writer: Option<u32>,
}

/// Training and test digits, each in the order of its list.
///
/// # Errors
/// [`DataError`] when a list, a recording or a label is missing or wrong.
pub fn read(dir: &Path) -> Result<(Vec<Digit>, Vec<Digit>), DataError> {
    let mut recordings = archive::files(dir, "bs2")?;
    let writers = writers(&dir.join("writers.csv"))?;
    let mut digits = |list: &str| -> Result<Vec<Digit>, DataError> {
        let path = dir.join(list);
        let text = fs::read_to_string(&path).map_err(DataError::unreadable(&path))?;
        let mut digits = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let wrong = |what: &str| DataError::malformed(&path, Place::Line(number), what);
            let (id, label) = line
                .split_once(char::is_whitespace)
                .and_then(|(id, label)| Some((id.parse().ok()?, label.trim().parse().ok()?)))
                .filter(|&(_, label)| label < 10_u8)
                .ok_or_else(|| wrong("expected a number, a blank and a label from 0 to 9"))?;
            let name = format!("{id}.bs2");
            let bytes = recordings.remove(&name);
            let bytes =
                bytes.ok_or_else(|| wrong("there is no recording of this number, or twice"))?;
            let changes = address_events::parse(&dir.join(name), &bytes)?;
            digits.push(Digit { changes, label, writer: writers.get(&id).copied() });
        }
        Ok(digits)
    };
    Ok((digits("train1K.txt")?, digits("test100.txt")?))
}

/// Writers by the number of the digit: `sample_id,split,label,series,writer` a line.
fn writers(path: &Path) -> Result<BTreeMap<u32, u32>, DataError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(path).map_err(DataError::unreadable(path))?;
    let mut writers = BTreeMap::new();
    for (line, number) in text.lines().zip(1..).skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let pair = match fields.as_slice() {
            [id, _, _, _, writer] => id.parse().ok().zip(writer.trim().parse().ok()),
            _ => None,
        };
        let what = "expected `sample_id,split,label,series,writer` in numbers";
        let (id, writer) =
            pair.ok_or_else(|| DataError::malformed(path, Place::Line(number), what))?;
        writers.insert(id, writer);
    }
    Ok(writers)
}
