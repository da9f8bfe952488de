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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wav(channels: u16, sample_rate: u32, samples: &[i16]) -> Vec<u8> {
        let spec = WavSpec {
            channels,
            sample_rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn error(bytes: &[u8]) -> String {
        parse(Path::new("x.wav"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn one_channel_of_eight_kilohertz_is_read() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        assert_eq!(parse(Path::new("x"), &wav(1, 8_000, &samples)).unwrap(), samples);
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(error(&wav(2, 8_000, &[1, 2])).contains("got 2, 8000 Hz and 16"));
        assert!(error(&wav(1, 16_000, &[1])).contains("16000 Hz"));
        assert!(error(&wav(1, 8_000, &[])).contains("no samples"));
        assert!(error(b"RIFF").starts_with("x.wav: "));
        let whole = wav(1, 8_000, &[1, 2, 3]);
        assert!(
            error(&whole[..whole.len() - 1]).contains("byte 48"),
            "{}",
            error(&whole[..whole.len() - 1])
        );
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..60, byte in any::<u8>(), cut in 0_usize..60) {
            let mut bytes = wav(1, 8_000, &[7; 8]);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            if let Err(error) = parse(Path::new("x"), &bytes) {
                prop_assert_eq!(error.code(), "data_malformed");
            }
        }
    }
}
