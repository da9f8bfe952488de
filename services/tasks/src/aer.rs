//! Recordings in the AER text form of ReckOn's test bench, read strictly, a line at a time.
//!
//! The first line is the number of samples. Then one event a line, `address, step`, steps never descending within a
//! sample; `-2, L` gives the label of the sample at hand; `-1, N` ends it after N steps. The chip integrates the
//! events of a step in that step's propagation phase (SPEC section 3), so a step is the chip's tick. When the chip
//! learns and votes is not in the file: [`Format::supervised_from`] says it.
//!
//! The reader does no input of its own. Hand it lines ([`Reader::line`]) from wherever they come, without their line
//! ends; it holds one sample at a time. Whatever is not exactly this form is an error that names the line.

use alloc::vec::Vec;
use core::fmt;

use reckon::Event;

use crate::limits::{CHANNELS_MAX, CLASSES_MAX, EVENTS_MAX, SAMPLES_MAX, TICKS_MAX};
use crate::sample::Sample;

/// What the file itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Input channels: addresses are below this (at most 256 count).
    pub channels: u16,
    /// Classes: labels are below this (at most 16 count).
    pub classes: u8,
    /// First step at which the chip is given the label, learns and votes; it does so to the end of the sample.
    pub supervised_from: u32,
}

impl Format {
    /// The recordings that come with the chip: navigation, 40 channels, 2 classes, supervised from step 2100.
    pub const RECKON_CUE: Self = Self { channels: 40, classes: 2, supervised_from: 2100 };
}

/// Reads every sample of `text`.
///
/// # Errors
/// The first [`AerError`] in the text.
pub fn parse(format: Format, text: &str) -> Result<Vec<Sample>, AerError> {
    let mut reader = Reader::new(format);
    let mut samples = Vec::new();
    for line in text.lines() {
        samples.extend(reader.line(line)?);
    }
    reader.finish()?;
    Ok(samples)
}

/// Reads one recording, a line at a time.
#[derive(Debug, Clone)]
pub struct Reader {
    format: Format,
    line: u64,
    /// Samples still to come, once the first line has announced how many there are.
    missing: Option<u32>,
    events: Vec<Event>,
    label: Option<u8>,
}

impl Reader {
    /// A reader that waits for a first line.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, line: 0, missing: None, events: Vec::new(), label: None }
    }

    /// Takes the next line and returns the sample that it ends, if it ends one.
    ///
    /// # Errors
    /// Says what is wrong with this line and why. A reader that has returned an error is of no further use.
    pub fn line(&mut self, text: &str) -> Result<Option<Sample>, AerError> {
        self.line = self.line.saturating_add(1);
        let line = self.line;
        self.take(text).map_err(|problem| AerError { line, problem })
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// If the last sample is not ended or fewer samples came than were announced; the line is the one after the last.
    pub fn finish(self) -> Result<(), AerError> {
        let line = self.line.saturating_add(1);
        let open = !self.events.is_empty() || self.label.is_some();
        let problem = match self.missing {
            None => Problem::NoCount,
            Some(0) => return Ok(()),
            Some(_) if open => Problem::Truncated,
            Some(missing) => Problem::SamplesMissing { missing },
        };
        Err(AerError { line, problem })
    }

    fn take(&mut self, text: &str) -> Result<Option<Sample>, Problem> {
        let Some(missing) = self.missing else {
            let count = whole_number(text).and_then(|count| u32::try_from(count).ok());
            let count = count.filter(|count| (1..=SAMPLES_MAX).contains(count));
            self.missing = Some(count.ok_or(Problem::BadCount)?);
            return Ok(None);
        };
        if missing == 0 {
            return Err(Problem::AfterTheLast);
        }
        let (first, second) = text.split_once(',').ok_or(Problem::NotTwoNumbers)?;
        let first = whole_number(first).ok_or(Problem::NotTwoNumbers)?;
        let second = whole_number(second).ok_or(Problem::NotTwoNumbers)?;
        match first {
            -1 => self.end(second, missing).map(Some),
            -2 => self.label(second).map(|()| None),
            address => self.event(address, second).map(|()| None),
        }
    }

    fn event(&mut self, address: i64, step: i64) -> Result<(), Problem> {
        let channels = self.format.channels.min(CHANNELS_MAX);
        let in_range = u8::try_from(address).ok().filter(|&address| u16::from(address) < channels);
        let address = in_range.ok_or(Problem::AddressOutOfRange { address, channels })?;
        let in_range = u32::try_from(step).ok().filter(|&step| step < TICKS_MAX);
        let tick = in_range.ok_or(Problem::StepOutOfRange { step })?;
        if let Some(last) = self.events.last().filter(|last| last.tick > tick) {
            return Err(Problem::StepDescends { step: tick, last: last.tick });
        }
        if self.events.len() >= EVENTS_MAX {
            return Err(Problem::TooManyEvents);
        }
        self.events.push(Event { tick, address });
        Ok(())
    }

    fn label(&mut self, label: i64) -> Result<(), Problem> {
        let classes = self.format.classes.min(CLASSES_MAX);
        if self.label.is_some() {
            return Err(Problem::LabelRepeated);
        }
        let in_range = u8::try_from(label).ok().filter(|&label| label < classes);
        self.label = Some(in_range.ok_or(Problem::LabelOutOfRange { label, classes })?);
        Ok(())
    }

    fn end(&mut self, steps: i64, missing: u32) -> Result<Sample, Problem> {
        let in_range = u32::try_from(steps).ok().filter(|steps| (1..=TICKS_MAX).contains(steps));
        let ticks = in_range.ok_or(Problem::EndOutOfRange { steps })?;
        if let Some(last) = self.events.last().filter(|last| last.tick >= ticks) {
            return Err(Problem::EventBeyondEnd { step: last.tick, steps: ticks });
        }
        let from = self.format.supervised_from;
        if ticks <= from {
            return Err(Problem::EndsUnsupervised { steps: ticks, supervised_from: from });
        }
        let label = self.label.take().ok_or(Problem::LabelMissing)?;
        self.missing = Some(missing - 1);
        let events = core::mem::take(&mut self.events);
        Ok(Sample { events, ticks, label, target_valid: from..ticks, infer_acc: from..ticks })
    }
}

/// What is wrong with a recording, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AerError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a line of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentence that Display makes of each is its documentation")]
pub enum Problem {
    NoCount,
    BadCount,
    NotTwoNumbers,
    AddressOutOfRange { address: i64, channels: u16 },
    StepOutOfRange { step: i64 },
    StepDescends { step: u32, last: u32 },
    TooManyEvents,
    LabelRepeated,
    LabelOutOfRange { label: i64, classes: u8 },
    LabelMissing,
    EndOutOfRange { steps: i64 },
    EventBeyondEnd { step: u32, steps: u32 },
    EndsUnsupervised { steps: u32, supervised_from: u32 },
    AfterTheLast,
    Truncated,
    SamplesMissing { missing: u32 },
}

impl AerError {
    /// A stable name of the problem, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            Problem::NoCount => "aer_no_count",
            Problem::BadCount => "aer_bad_count",
            Problem::NotTwoNumbers => "aer_not_two_numbers",
            Problem::AddressOutOfRange { .. } => "aer_address_out_of_range",
            Problem::StepOutOfRange { .. } => "aer_step_out_of_range",
            Problem::StepDescends { .. } => "aer_step_descends",
            Problem::TooManyEvents => "aer_too_many_events",
            Problem::LabelRepeated => "aer_label_repeated",
            Problem::LabelOutOfRange { .. } => "aer_label_out_of_range",
            Problem::LabelMissing => "aer_label_missing",
            Problem::EndOutOfRange { .. } => "aer_end_out_of_range",
            Problem::EventBeyondEnd { .. } => "aer_event_beyond_end",
            Problem::EndsUnsupervised { .. } => "aer_ends_unsupervised",
            Problem::AfterTheLast => "aer_after_the_last",
            Problem::Truncated => "aer_truncated",
            Problem::SamplesMissing { .. } => "aer_samples_missing",
        }
    }
}

impl fmt::Display for AerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl core::error::Error for AerError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoCount => {
                f.write_str("the recording is empty: its first line must be the number of samples")
            }
            Self::BadCount => {
                write!(
                    f,
                    "the first line must be the number of samples, a whole number from 1 to {SAMPLES_MAX}"
                )
            }
            Self::NotTwoNumbers => {
                f.write_str("expected `address, step`, `-2, label` or `-1, steps` in whole numbers")
            }
            Self::AddressOutOfRange { address, channels } => {
                write!(
                    f,
                    "address {address} is not a channel: the recording has {channels}, counted from 0"
                )
            }
            Self::StepOutOfRange { step } => {
                write!(
                    f,
                    "step {step} is out of range: steps count from 0 and stay below {TICKS_MAX}"
                )
            }
            Self::StepDescends { step, last } => {
                write!(
                    f,
                    "step {step} comes after step {last}: the steps of a sample must not descend"
                )
            }
            Self::TooManyEvents => write!(f, "the sample has more than {EVENTS_MAX} events"),
            Self::LabelRepeated => f.write_str("a second label: a sample has one"),
            Self::LabelOutOfRange { label, classes } => {
                write!(
                    f,
                    "label {label} is not a class: the recording has {classes}, counted from 0"
                )
            }
            Self::LabelMissing => {
                f.write_str("the sample ends without a label: `-2, label` must come before its end")
            }
            Self::EndOutOfRange { steps } => {
                write!(f, "a sample cannot last {steps} steps: its length is from 1 to {TICKS_MAX}")
            }
            Self::EventBeyondEnd { step, steps } => {
                write!(
                    f,
                    "the sample lasts {steps} steps but has an event at step {step}, counted from 0"
                )
            }
            Self::EndsUnsupervised { steps, supervised_from } => {
                write!(
                    f,
                    "the sample ends after {steps} steps, before supervision begins at step {supervised_from}"
                )
            }
            Self::AfterTheLast => {
                f.write_str("more lines than the announced number of samples needs")
            }
            Self::Truncated => {
                f.write_str("the recording ends within a sample: `-1, steps` must end it")
            }
            Self::SamplesMissing { missing } => {
                write!(
                    f,
                    "the recording ends, but {missing} more of the announced samples should follow"
                )
            }
        }
    }
}

/// A decimal whole number with an optional minus sign, blanks around it allowed.
fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim_matches([' ', '\t', '\r']);
    if text.starts_with('+') { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests;
