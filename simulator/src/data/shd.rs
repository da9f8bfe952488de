//! Spiking Heidelberg Digits: HDF5 files of `spikes/times` (rows of float16 seconds), `spikes/units` (rows of uint16), `labels`
//! and `extra/speaker`.

use std::path::Path;

use hdf5_reader::{Dataset, Hdf5File};

use super::{DataError, Place};

/// Units of the artificial cochlea.
pub const UNITS: u16 = 700;
/// Digits 0 to 9 in two languages.
pub const LABELS: u8 = 20;
/// Most utterances of one file.
const UTTERANCES_MAX: usize = 100_000;

/// One utterance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Spikes: microseconds and unit, in their order in the file.
    pub spikes: Vec<(u32, u16)>,
    /// 0 to 19.
    pub label: u8,
    /// Number of the speaker; 0 where the file does not tell.
    pub speaker: u16,
}

/// The utterances of the file at `path`.
///
/// # Errors
/// [`DataError`] when it is not such a file, or damaged.
pub fn read(path: &Path) -> Result<Vec<Utterance>, DataError> {
    let wrong = |what: String| DataError::malformed(path, Place::File, what);
    let file = Hdf5File::open(path).map_err(|error| wrong(error.to_string()))?;
    let dataset = |name: &str| {
        file.dataset(name).map_err(|error| wrong(format!("no data set `{name}`: {error}")))
    };
    let labels = whole(&dataset("labels")?).map_err(|what| wrong(format!("labels: {what}")))?;
    let speakers = dataset("extra/speaker").ok().map(|speakers| whole(&speakers)).transpose();
    let speakers = speakers.map_err(|what| wrong(format!("extra/speaker: {what}")))?;
    let times =
        rows(&dataset("spikes/times")?).map_err(|what| wrong(format!("spikes/times: {what}")))?;
    let units =
        rows(&dataset("spikes/units")?).map_err(|what| wrong(format!("spikes/units: {what}")))?;
    if times.len() != labels.len() || units.len() != labels.len() {
        return Err(wrong(format!(
            "{} labels, {} rows of times and {} of units should be as many",
            labels.len(),
            times.len(),
            units.len()
        )));
    }
    let mut utterances = Vec::with_capacity(labels.len());
    for (row, (label, (times, units))) in labels.iter().zip(times.iter().zip(&units)).enumerate() {
        let wrong = |what: String| wrong(format!("row {row}: {what}"));
        let label = u8::try_from(*label).ok().filter(|&label| label < LABELS);
        let label = label.ok_or_else(|| wrong(format!("its label is not below {LABELS}")))?;
        if times.len() != units.len() {
            return Err(wrong(format!("{} times, {} units", times.len(), units.len())));
        }
        let spikes = times.iter().zip(units).map(|(&time, &unit)| {
            let us =
                micros(time).ok_or_else(|| wrong("a time is negative or no number".to_owned()))?;
            if unit >= UNITS {
                return Err(wrong(format!("unit {unit} is not below {UNITS}")));
            }
            Ok((us, unit))
        });
        let spikes = spikes.collect::<Result<_, _>>()?;
        let speaker =
            speakers.as_ref().and_then(|speakers| speakers.get(row)).copied().unwrap_or(0);
        utterances.push(Utterance {
            spikes,
            label,
            speaker: u16::try_from(speaker).unwrap_or(u16::MAX),
        });
    }
    Ok(utterances)
}

/// A data set of unsigned whole numbers of 1, 2, 4 or 8 bytes, one dimension.
fn whole(dataset: &Dataset) -> Result<Vec<u64>, String> {
    let bytes = dataset.read_raw_bytes().map_err(|error| error.to_string())?;
    let count = dataset.num_elements().map_err(|error| error.to_string())?;
    let count = usize::try_from(count).ok().filter(|&count| count <= UTTERANCES_MAX);
    let count = count.ok_or_else(|| format!("more than {UTTERANCES_MAX} rows"))?;
    let size = bytes.len() / count.max(1);
    if !matches!(size, 1 | 2 | 4 | 8) || size * count != bytes.len() {
        return Err("expected whole numbers of 1, 2, 4 or 8 bytes".to_owned());
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    Ok(bytes.chunks_exact(size).map(number).collect())
}

/// A data set of rows of 16-bit values, little-endian.
fn rows(dataset: &Dataset) -> Result<Vec<Vec<u16>>, String> {
    let references = dataset.read_raw_bytes().map_err(|error| error.to_string())?;
    let size = dataset.vlen_reference_size();
    if references.len() % size != 0 || references.len() / size > UTTERANCES_MAX {
        return Err(format!("expected at most {UTTERANCES_MAX} rows of variable length"));
    }
    let row = |reference: &[u8]| -> Result<Vec<u16>, String> {
        if reference.get(..4) == Some(&[0; 4]) {
            return Ok(Vec::new());
        }
        let bytes = dataset
            .resolve_vlen_reference_bytes(reference, 2)
            .map_err(|error| error.to_string())?;
        let (values, _) = bytes.as_chunks::<2>();
        Ok(values.iter().map(|&value| u16::from_le_bytes(value)).collect())
    };
    references.chunks_exact(size).map(row).collect()
}

/// A time in seconds as IEEE half float, in whole microseconds; `None` for what is negative or no number.
fn micros(half: u16) -> Option<u32> {
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1F), u64::from(half & 0x3FF));
    if half & 0x8000 != 0 && half & 0x7FFF != 0 || exponent == 31 {
        return None;
    }
    // Value = significand x 2^(exponent - 25), subnormal ones as with exponent 1.
    let significand = if exponent == 0 { fraction } else { fraction | 0x400 };
    let micros = (significand * 1_000_000) << exponent.max(1) >> 25;
    u32::try_from(micros).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_microseconds() {
        assert_eq!(micros(0), Some(0));
        assert_eq!(micros(0x8000), Some(0));
        assert_eq!(micros(0x3C00), Some(1_000_000));
        assert_eq!(micros(0x3800), Some(500_000));
        assert_eq!(micros(0x3555), Some(333_251));
        assert_eq!(micros(0x0001), Some(0));
        assert_eq!(micros(0x7BFF), None, "65504 s are more than 32 bits of microseconds");
        assert_eq!(micros(0x6BFF), Some(4_094_000_000));
        assert_eq!([micros(0xBC00), micros(0x7C00), micros(0x7E00)], [None; 3]);
    }
}
