//! A user's own recordings: a CSV file of sensor readings, and a TOML description that says what its columns mean.
//!
//! ```toml
//! file = "gestures.csv"              # beside the description, unless it is an absolute path
//! sample = "recording"               # rows of a sample share this column's value and follow each other
//! columns = ["ax", "ay", "az"]       # the sensors, a row a tick
//! label = "gesture"                  # the class, the same in every row of a sample
//! subject = "person"                 # optional: whose sample it is
//! test_subjects = ["ann"]            # these test, the others learn; or: test_every = 5
//! learn_from = 0.2                   # from this part of a sample on the chip is given the label
//! vote_from = 0.5                    # and from this on it votes
//!
//! [encoder]
//! kind = "crossing"                  # ON and OFF events, a channel each, for every step up and down
//! step = 0.25                        # in the columns' own unit
//! # kind = "rate", full = 2.0        # an event a tick at this reading, the fewer the lower it is
//! # kind = "events"                  # an event where a reading is not 0
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tasks::Sample;
use tasks::limits::{CHANNELS_MAX, CLASSES_MAX, EVENTS_MAX, SAMPLES_MAX, TICKS_MAX};
use tasks::signal::{Crossing, Rate};

use super::{DataError, Place};

/// Readings are taken in this part of the encoder's own quantity, so that the encoder counts in whole numbers.
const FINENESS: f64 = 10_000.0;

/// What a description says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    file: PathBuf,
    sample: String,
    columns: Vec<String>,
    label: String,
    subject: Option<String>,
    #[serde(default)]
    test_subjects: Vec<String>,
    test_every: Option<usize>,
    #[serde(default = "fifth")]
    learn_from: f64,
    #[serde(default = "half")]
    vote_from: f64,
    encoder: Encoder,
}

fn fifth() -> f64 {
    0.2
}

fn half() -> f64 {
    0.5
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Encoder {
    Crossing { step: f64 },
    Rate { full: f64 },
    Events,
}

/// The samples of a table, encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Input channels.
    pub channels: u16,
    /// Names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// Names of the subjects; one empty name where no column tells.
    pub subjects: Vec<String>,
    /// Samples to learn from, and the index of the subject of each.
    pub training: Vec<(Sample, u32)>,
    /// Samples to test on.
    pub test: Vec<Sample>,
}

/// The table that the description at `path` describes.
///
/// # Errors
/// [`DataError`] with the line at which the description or the table goes wrong.
pub fn read(path: &Path) -> Result<Table, DataError> {
    let text = std::fs::read_to_string(path).map_err(DataError::unreadable(path))?;
    let description: Description = toml::from_str(&text).map_err(|error| {
        let line =
            error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count());
        let place =
            line.map_or(Place::File, |line| Place::Line(u64::try_from(line).unwrap_or(0) + 1));
        DataError::malformed(path, place, error.message())
    })?;
    description.check().map_err(|what| DataError::malformed(path, Place::File, what))?;
    let file = path.parent().unwrap_or(Path::new("")).join(&description.file);
    let text = std::fs::read(&file).map_err(DataError::unreadable(&file))?;
    description.encode(&text).map_err(|(line, what)| {
        DataError::malformed(&file, line.map_or(Place::File, Place::Line), what)
    })
}

/// A line, where one is at fault, and what is wrong.
type Wrong = (Option<u64>, String);

/// The rows of one sample.
struct Rows {
    label: String,
    subject: String,
    readings: Vec<Vec<f64>>,
}

impl Description {
    fn channels(&self) -> Option<u16> {
        let each = if matches!(self.encoder, Encoder::Crossing { .. }) { 2 } else { 1 };
        let channels = u16::try_from(self.columns.len()).ok()?.checked_mul(each)?;
        (1..=CHANNELS_MAX).contains(&channels).then_some(channels)
    }

    fn check(&self) -> Result<(), String> {
        if self.channels().is_none() {
            return Err(format!("columns: they should make 1 to {CHANNELS_MAX} channels"));
        }
        let size = match self.encoder {
            Encoder::Crossing { step } => step,
            Encoder::Rate { full } => full,
            Encoder::Events => 1.0,
        };
        if !(size.is_finite() && size > 0.0) {
            return Err(format!("encoder: {size} is not a size above 0"));
        }
        for (name, part) in [("learn_from", self.learn_from), ("vote_from", self.vote_from)] {
            if !(0.0..1.0).contains(&part) {
                return Err(format!("{name}: {part} is not from 0 to below 1"));
            }
        }
        match (self.test_subjects.is_empty(), self.test_every) {
            (true, None | Some(0 | 1)) => {
                Err("who tests? `test_subjects = [...]`, or `test_every = 5`, 2 at least"
                    .to_owned())
            }
            (false, Some(_)) => Err("either `test_subjects` or `test_every`, not both".to_owned()),
            (false, None) if self.subject.is_none() => {
                Err("`test_subjects` needs `subject`, the column of their names".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn encode(&self, text: &[u8]) -> Result<Table, Wrong> {
        let samples = self.rows(text)?;
        let names = |of: &dyn Fn(&Rows) -> &String| -> Vec<String> {
            samples.iter().map(of).cloned().collect::<BTreeSet<_>>().into_iter().collect()
        };
        let (classes, subjects) = (names(&|rows| &rows.label), names(&|rows| &rows.subject));
        if classes.len() > usize::from(CLASSES_MAX) {
            let what = format!("{} labels, at most {CLASSES_MAX} are possible", classes.len());
            return Err((None, what));
        }
        let index = |names: &[String]| -> BTreeMap<String, u32> {
            names.iter().cloned().zip(0..).collect()
        };
        let (labels, people) = (index(&classes), index(&subjects));
        let channels = self.channels().unwrap_or(CHANNELS_MAX);
        let mut table =
            Table { channels, classes, subjects, training: Vec::new(), test: Vec::new() };
        for (number, rows) in samples.iter().enumerate() {
            let label = labels.get(&rows.label).copied().unwrap_or(0);
            let sample =
                self.sample(rows, u8::try_from(label).unwrap_or(0)).map_err(|what| (None, what))?;
            let tests = match self.test_every {
                Some(every) => number % every == every - 1,
                None => self.test_subjects.contains(&rows.subject),
            };
            if tests {
                table.test.push(sample);
            } else {
                table.training.push((sample, people.get(&rows.subject).copied().unwrap_or(0)));
            }
        }
        if table.training.is_empty() || table.test.is_empty() {
            let (learn, test) = (table.training.len(), table.test.len());
            return Err((None, format!("{learn} samples to learn from and {test} to test on")));
        }
        Ok(table)
    }

    fn rows(&self, text: &[u8]) -> Result<Vec<Rows>, Wrong> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header = reader.headers().map_err(|error| (Some(1), error.to_string()))?.clone();
        let find = |name: &String| {
            let at = header.iter().position(|own| own == name);
            at.ok_or_else(|| (Some(1), format!("there is no column `{name}`")))
        };
        let (sample, label) = (find(&self.sample)?, find(&self.label)?);
        let subject = self.subject.as_ref().map(find).transpose()?;
        let columns = self.columns.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let (mut samples, mut seen, mut current) = (Vec::<Rows>::new(), BTreeSet::new(), None);
        for record in reader.records() {
            let record = record
                .map_err(|error| (error.position().map(csv::Position::line), error.to_string()))?;
            let line = record.position().map(csv::Position::line);
            let wrong = |what: String| (line, what);
            let value = |at: usize| record.get(at).unwrap_or_default();
            let readings = columns.iter().zip(&self.columns).map(|(&at, name)| {
                let reading = value(at).parse().ok().filter(|reading: &f64| reading.is_finite());
                reading.ok_or_else(|| wrong(format!("{name}: `{}` is not a number", value(at))))
            });
            let readings = readings.collect::<Result<Vec<f64>, _>>()?;
            let subject = subject.map(value).unwrap_or_default();
            if current.as_deref() != Some(value(sample)) {
                if !seen.insert(value(sample).to_owned()) {
                    return Err(wrong(format!(
                        "rows of sample `{}` do not follow each other",
                        value(sample)
                    )));
                }
                if u32::try_from(samples.len()).is_ok_and(|count| count >= SAMPLES_MAX) {
                    return Err(wrong(format!("more than {SAMPLES_MAX} samples")));
                }
                current = Some(value(sample).to_owned());
                let (label, subject) = (value(label).to_owned(), subject.to_owned());
                samples.push(Rows { label, subject, readings: Vec::new() });
            }
            let Some(rows) = samples.last_mut() else { continue };
            if rows.label != value(label) || rows.subject != subject {
                return Err(wrong("label or subject changes within a sample".to_owned()));
            }
            if u32::try_from(rows.readings.len()).is_ok_and(|ticks| ticks >= TICKS_MAX) {
                return Err(wrong(format!("a sample has more than {TICKS_MAX} rows")));
            }
            rows.readings.push(readings);
        }
        Ok(samples)
    }

    fn sample(&self, rows: &Rows, label: u8) -> Result<Sample, String> {
        let (mut crossings, mut rates) = (Vec::new(), Vec::new());
        let unit = match self.encoder {
            Encoder::Crossing { step } => {
                crossings = vec![Crossing::new(whole(FINENESS)); self.columns.len()];
                step
            }
            Encoder::Rate { full } => {
                rates = vec![Rate::new(whole(FINENESS)); self.columns.len()];
                full
            }
            Encoder::Events => 1.0,
        };
        let mut events = Vec::new();
        for (readings, tick) in rows.readings.iter().zip(0_u32..) {
            let mut addresses = Vec::new();
            for (at, &reading) in readings.iter().enumerate() {
                let number = whole(reading / unit * FINENESS);
                let address = match self.encoder {
                    Encoder::Crossing { .. } => {
                        crossings[at].take(number).map(|rose| 2 * at + usize::from(!rose))
                    }
                    Encoder::Rate { .. } => rates[at].take(number).then_some(at),
                    Encoder::Events => (reading != 0.0).then_some(at),
                };
                addresses.extend(address.and_then(|address| u8::try_from(address).ok()));
            }
            events.extend(addresses.into_iter().map(|address| reckon::Event { tick, address }));
        }
        if events.len() > EVENTS_MAX {
            return Err(format!(
                "a sample has more than {EVENTS_MAX} events: a larger step gives fewer"
            ));
        }
        let ticks = u32::try_from(rows.readings.len()).unwrap_or(u32::MAX);
        let from =
            |part: f64| u32::try_from(whole(f64::from(ticks) * part)).unwrap_or(0).min(ticks - 1);
        let (learn, vote) = (from(self.learn_from), from(self.vote_from));
        Ok(Sample { events, ticks, label, target_valid: learn..ticks, infer_acc: vote..ticks })
    }
}

/// To the nearest whole number that fits; the same on every machine.
#[expect(
    clippy::cast_possible_truncation,
    reason = "from floats, `as` ends at the ends of the type"
)]
fn whole(number: f64) -> i32 {
    number.round() as i32
}

#[cfg(test)]
mod tests;
