//! Samples from files: AER text, of which a node takes its share, and events files, which are a node's own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use tasks::aer::Reader;
use tasks::{Sample, events};

use super::{DataError, Kind};
use crate::data_spec::{EventsSpec, RecordingSpec};
use crate::limits::RECORDING_EVENTS_MAX;

/// Longest line of a recording that is read: two numbers, with room for blanks.
const LINE_BYTES_MAX: u64 = 256;

/// A node's share of a recording in AER text.
pub(super) fn aer(spec: &RecordingSpec) -> Result<Kind, DataError> {
    let path = || spec.file.clone();
    let unreadable = |source| DataError::Unreadable { path: path(), source };
    let malformed = |source| DataError::Malformed { path: path(), source };
    let mut lines = BufReader::new(File::open(&spec.file).map_err(unreadable)?);
    let mut reader = Reader::new(spec.format);
    let mut share = Share::of(&spec.file);
    let mut line = String::new();
    for index in 0_u32.. {
        let sample = loop {
            line.clear();
            if lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(unreadable)? == 0 {
                break None;
            }
            if let Some(sample) =
                reader.line(line.trim_end_matches(['\r', '\n'])).map_err(malformed)?
            {
                break Some(sample);
            }
        };
        let Some(sample) = sample else { break };
        if index % spec.parts == spec.part {
            share.take(sample)?;
        }
    }
    reader.finish().map_err(malformed)?;
    share.divide(spec.holdout, spec.format.channels, spec.format.classes)
}

/// A node's own file.
pub(super) fn events(spec: &EventsSpec) -> Result<Kind, DataError> {
    let wrong = |error| match error {
        events::ReadError::Source(source) => {
            DataError::Unreadable { path: spec.file.clone(), source }
        }
        events::ReadError::Malformed(source) => {
            DataError::Damaged { path: spec.file.clone(), source }
        }
    };
    let file = File::open(&spec.file)
        .map_err(|source| DataError::Unreadable { path: spec.file.clone(), source })?;
    let mut reader = events::Reader::new(BufReader::new(file).bytes()).map_err(wrong)?;
    let mut share = Share::of(&spec.file);
    while let Some(sample) = reader.sample().map_err(wrong)? {
        share.take(sample)?;
    }
    share.divide(spec.holdout, reader.channels(), reader.classes())
}

/// The samples that are this node's, as they come.
struct Share<'a> {
    path: &'a Path,
    samples: Vec<Arc<Sample>>,
    events: usize,
}

impl<'a> Share<'a> {
    fn of(path: &'a Path) -> Self {
        Self { path, samples: Vec::new(), events: 0 }
    }

    fn take(&mut self, sample: Sample) -> Result<(), DataError> {
        self.events += sample.events.len();
        if self.events > RECORDING_EVENTS_MAX {
            return Err(DataError::TooLarge { path: self.path.to_owned() });
        }
        self.samples.push(Arc::new(sample));
        Ok(())
    }

    /// The last `holdout` samples are held out.
    fn divide(self, holdout: u32, channels: u16, classes: u8) -> Result<Kind, DataError> {
        let Self { path, samples: mut training, .. } = self;
        let share = training.len();
        let kept = usize::try_from(holdout).ok().and_then(|holdout| share.checked_sub(holdout));
        let Some(kept) = kept.filter(|&kept| kept > 0) else {
            return Err(DataError::Empty { path: path.to_owned(), share, holdout });
        };
        let held_out = training.split_off(kept);
        Ok(Kind::Recording { channels, classes, training, held_out })
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{DataError, Part, Source};
    use tasks::navigation::Stream;

    fn open(path: &std::path::Path, options: &str) -> Result<Source, DataError> {
        Source::open(&format!("events:{}{options}", path.display()).parse().unwrap(), 9)
    }

    #[test]
    fn an_events_file_is_a_nodes_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.mev");
        let samples: Vec<_> = (0..3).map(|index| Stream::new(4).sample(index)).collect();
        let bytes = tasks::events::encode(40, 2, samples.iter()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let source = open(&path, ",holdout=1").unwrap();
        assert_eq!((source.samples(), source.held_out(9), source.shape()), (2, 1, (40, 2)));
        let mut buffer = Vec::new();
        for (part, index, expected) in [(Part::Training, 1, 1), (Part::HeldOut, 0, 2)] {
            let sample = source.sample(part, index, &mut buffer);
            assert_eq!(
                (sample.events, sample.label),
                (&samples[expected].events[..], samples[expected].label)
            );
        }
        assert_eq!(open(&path, ",holdout=3").unwrap_err().code(), "data_empty");
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let error = open(&path, "").unwrap_err();
        assert!(
            error.code().starts_with("events_") && error.to_string().contains("byte "),
            "{error}"
        );
    }
}
