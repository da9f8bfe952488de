//! What a node learns from, as people write it: `navigation:seed=7,class=1`, `aer:FILE,part=2/5,holdout=10`, `events:FILE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tasks::aer::Format;
use tasks::limits::{CHANNELS_MAX, CLASSES_MAX};

/// Where a node's samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSpec {
    /// `navigation[:seed=N][,class=C]`: the endless generated stream.
    Navigation {
        /// Seed of the stream; without one it follows from the node's public key, so that every node has its own.
        seed: Option<u64>,
        /// The only class that occurs, in training as in evaluation, for experiments with label skew.
        class: Option<u8>,
    },
    /// `aer:FILE[,part=I/N][,holdout=K][,channels=C][,classes=L][,from=STEP]`: a recording in AER text.
    Recording(RecordingSpec),
    /// `events:FILE[,holdout=K]`: a file of this node's own samples (see [`tasks::events`]).
    Events(EventsSpec),
}

/// A node's own file of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsSpec {
    /// The file. Its name has no comma.
    pub file: PathBuf,
    /// Samples at its end that are kept from training and used to evaluate; 0 evaluates nothing.
    pub holdout: u32,
}

/// Which samples of a recording are this node's, and what the file itself does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSpec {
    /// The file. Its name has no comma.
    pub file: PathBuf,
    /// This node's share, from 0: the samples whose index modulo `parts` is this.
    pub part: u32,
    /// Number of shares.
    pub parts: u32,
    /// Samples at the end of the share that are kept from training and used to evaluate; 0 evaluates nothing.
    pub holdout: u32,
    /// Channels, classes, and the first supervised step; by default those of ReckOn's own recordings.
    pub format: Format,
}

/// Why text is not a [`DataSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSpecError(String);

impl fmt::Display for DataSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DataSpec {
    type Err = DataSpecError;

    fn from_str(text: &str) -> Result<Self, DataSpecError> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "navigation" => navigation(rest),
            "aer" => recording(rest).map(Self::Recording),
            "events" => events(rest).map(Self::Events),
            _ => wrong(format!("`{kind}` is not a source: `navigation`, `aer` or `events`")),
        }
    }
}

fn navigation(text: &str) -> Result<DataSpec, DataSpecError> {
    let (mut seed, mut class) = (None, None);
    for option in text.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("seed", value)) => set(&mut seed, "seed", number(value, "seed", 0, u64::MAX)?)?,
            Some(("class", value)) => set(&mut class, "class", number(value, "class", 0_u8, 1)?)?,
            _ => {
                return wrong(format!(
                    "`{option}` is not an option of navigation: `seed=N`, `class=0|1`"
                ));
            }
        }
    }
    Ok(DataSpec::Navigation { seed, class })
}

fn recording(text: &str) -> Result<RecordingSpec, DataSpecError> {
    let mut options = text.split(',');
    let file = options.next().filter(|file| !file.is_empty());
    let Some(file) = file else {
        return wrong("`aer` needs a file: `aer:FILE`".to_owned());
    };
    let (mut part, mut holdout, mut channels, mut classes, mut from) =
        (None, None, None, None, None);
    for option in options {
        match option.split_once('=') {
            Some(("part", value)) => {
                let Some((share, parts)) = value.split_once('/') else {
                    return wrong(format!("part: `{value}` is not I/N, for example 0/5"));
                };
                let parts = number(parts, "part", 1, u32::MAX)?;
                set(&mut part, "part", (number(share, "part", 0, parts - 1)?, parts))?;
            }
            Some(("holdout", value)) => {
                set(&mut holdout, "holdout", number(value, "holdout", 0, u32::MAX)?)?
            }
            Some(("channels", value)) => {
                set(&mut channels, "channels", number(value, "channels", 1, CHANNELS_MAX)?)?
            }
            Some(("classes", value)) => {
                set(&mut classes, "classes", number(value, "classes", 1, CLASSES_MAX)?)?
            }
            Some(("from", value)) => set(&mut from, "from", number(value, "from", 0, u32::MAX)?)?,
            _ => {
                return wrong(format!(
                    "`{option}` is not an option of aer: `part=I/N`, `holdout=K`, `channels=C`, `classes=L`, `from=STEP`"
                ));
            }
        }
    }
    let (part, parts) = part.unwrap_or((0, 1));
    let standard = Format::RECKON_CUE;
    Ok(RecordingSpec {
        file: PathBuf::from(file),
        part,
        parts,
        holdout: holdout.unwrap_or(0),
        format: Format {
            channels: channels.unwrap_or(standard.channels),
            classes: classes.unwrap_or(standard.classes),
            supervised_from: from.unwrap_or(standard.supervised_from),
        },
    })
}

fn events(text: &str) -> Result<EventsSpec, DataSpecError> {
    let mut options = text.split(',');
    let Some(file) = options.next().filter(|file| !file.is_empty()) else {
        return wrong("`events` needs a file: `events:FILE`".to_owned());
    };
    let mut holdout = None;
    for option in options {
        match option.split_once('=') {
            Some(("holdout", value)) => {
                set(&mut holdout, "holdout", number(value, "holdout", 0, u32::MAX)?)?
            }
            _ => return wrong(format!("`{option}` is not an option of events: `holdout=K`")),
        }
    }
    Ok(EventsSpec { file: PathBuf::from(file), holdout: holdout.unwrap_or(0) })
}

fn number<T>(text: &str, option: &str, min: T, max: T) -> Result<T, DataSpecError>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let parsed = text.parse().ok().filter(|value| (&min..=&max).contains(&value));
    parsed.ok_or_else(|| {
        DataSpecError(format!("{option}: `{text}` is not a whole number from {min} to {max}"))
    })
}

fn set<T>(place: &mut Option<T>, option: &str, value: T) -> Result<(), DataSpecError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => wrong(format!("`{option}` is given twice")),
    }
}

fn wrong<T>(message: String) -> Result<T, DataSpecError> {
    Err(DataSpecError(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<DataSpec, String> {
        text.parse().map_err(|DataSpecError(message)| message)
    }

    #[test]
    fn navigation_takes_a_seed_and_a_class() {
        let spec = |seed, class| Ok(DataSpec::Navigation { seed, class });
        assert_eq!(check("navigation"), spec(None, None));
        assert_eq!(check("navigation:seed=7"), spec(Some(7), None));
        assert_eq!(check("navigation:seed=7,class=1"), spec(Some(7), Some(1)));
        assert_eq!(check("navigation:class=0"), spec(None, Some(0)));
    }

    #[test]
    fn recordings_take_a_share_and_a_format() {
        let Ok(DataSpec::Recording(spec)) =
            check("aer:/data/cue.txt,part=2/5,holdout=3,channels=8,classes=4,from=9")
        else {
            panic!("a recording");
        };
        assert_eq!(
            (spec.file, spec.part, spec.parts, spec.holdout),
            ("/data/cue.txt".into(), 2, 5, 3)
        );
        assert_eq!(spec.format, Format { channels: 8, classes: 4, supervised_from: 9 });
        let Ok(DataSpec::Recording(spec)) = check("aer:x") else { panic!("a recording") };
        assert_eq!(
            (spec.part, spec.parts, spec.holdout, spec.format),
            (0, 1, 0, Format::RECKON_CUE)
        );
    }

    #[test]
    fn events_take_a_file_and_a_holdout() {
        let spec = |holdout| Ok(DataSpec::Events(EventsSpec { file: "d/x.mev".into(), holdout }));
        assert_eq!(check("events:d/x.mev"), spec(0));
        assert_eq!(check("events:d/x.mev,holdout=4"), spec(4));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("", "`` is not a source"),
            ("Navigation", "`Navigation` is not a source"),
            ("navigation:seed=-1", "seed: `-1` is not a whole number from 0"),
            ("navigation:class=2", "class: `2`"),
            ("navigation:seed=1,seed=1", "`seed` is given twice"),
            ("navigation:part=1/2", "`part=1/2` is not an option of navigation"),
            ("aer", "needs a file"),
            ("aer:f,part=5/5", "part: `5` is not a whole number from 0 to 4"),
            ("aer:f,part=0/0", "part: `0` is not a whole number from 1"),
            ("aer:f,part=1", "is not I/N"),
            ("aer:f,channels=257", "channels: `257`"),
            ("events", "needs a file"),
            ("events:f,part=1/2", "is not an option of events"),
            ("aer:f,g", "`g` is not an option of aer"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
