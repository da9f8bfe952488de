//! Sound from WAV files: one channel, 16 bits, 8,000 samples a second.

use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec};
use tasks::audition::SAMPLE_RATE_HZ;

use super::{DataError, Place};

/// Longest sound that is read, in samples: two minutes.
const SAMPLES_MAX: usize = 120 * SAMPLE_RATE_HZ as usize;

/// The samples of the file at `path`.
///
/// # Errors
/// [`DataError`] when it cannot be read, is damaged, or is of another kind.
pub fn read(path: &Path) -> Result<Vec<i16>, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::unreadable(path))?;
    parse(path, &bytes)
}

/// The samples of a file whose bytes these are; `path` is only for messages.
///
/// # Errors
/// As for [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<i16>, DataError> {
    let wrong = |what: String| DataError::malformed(path, Place::File, what);
    let mut reader = WavReader::new(bytes).map_err(|error| wrong(error.to_string()))?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    if (channels, sample_rate, bits_per_sample) != (1, SAMPLE_RATE_HZ, 16)
        || sample_format != SampleFormat::Int
    {
        return Err(wrong(format!(
            "expected one channel, {SAMPLE_RATE_HZ} Hz and 16 bits, got {channels}, {sample_rate} Hz and {bits_per_sample}"
        )));
    }
    let mut samples = Vec::new();
    for sample in reader.samples::<i16>() {
        if samples.len() == SAMPLES_MAX {
            return Err(wrong(format!("more than {SAMPLES_MAX} samples: cut it into utterances")));
        }
        // 44 bytes is where the samples of an ordinary file begin.
        let at = 44 + 2 * u64::try_from(samples.len()).unwrap_or(u64::MAX);
        samples.push(sample.map_err(|error| DataError::malformed(path, Place::Byte(at), error))?);
    }
    if samples.is_empty() {
        return Err(wrong("no samples".to_owned()));
    }
    Ok(samples)
}
