//! audition: spoken digits (FSDD), one file an utterance, `{digit}_{speaker}_{index}.wav`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tasks::Sample;
use tasks::audition::{CHANNELS, Ear};
use tasks::random::permutation;

use super::network::{NEURONS, Network, halvings};
use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, Place, wav};

/// Digits.
const CLASSES: u8 = 10;
/// Index of a speaker's first utterance of a digit that is for learning; those before are the official test.
const TRAIN_FROM: u32 = 5;
const RATES: [u32; 3] = [9, 9, 8];

/// Which utterances are learned from, and what about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// Ten digits, official split: utterances 0 to 4 of each speaker and digit test.
    Official,
    /// Ten digits; this speaker tests, the others learn.
    LeaveOut(String),
    /// The chip paper's protocol: this digit (class 1) against as many others, drawn evenly from the nine; official split.
    One(u8),
}

/// One utterance, heard.
#[derive(Clone, Debug)]
struct Utterance {
    sample: Sample,
    speaker: String,
    index: u32,
}

/// Spoken digits from the recordings in `dir`, or in `dir/recordings`.
///
/// # Errors
/// [`DataError`] when a file is missing, misnamed or damaged.
pub fn audition(dir: &Path, words: &Words) -> Result<Task, DataError> {
    let utterances = hear(dir)?;
    let names: BTreeMap<String, u32> = {
        let mut names: Vec<_> = utterances.iter().map(|one| one.speaker.clone()).collect();
        names.sort();
        names.dedup();
        names.into_iter().zip(0..).collect()
    };
    let tests = |one: &Utterance| match words {
        Words::LeaveOut(speaker) => one.speaker == *speaker,
        Words::Official | Words::One(_) => one.index < TRAIN_FROM,
    };
    if let Words::LeaveOut(speaker) = words
        && !names.contains_key(speaker)
    {
        return Err(DataError::missing(dir, format!("no speaker is called `{speaker}`")));
    }
    let (mut test, mut training): (Vec<_>, Vec<_>) = utterances.into_iter().partition(tests);
    if let Words::One(digit) = words {
        test = one_word(test, *digit);
        training = one_word(training, *digit);
    }
    if test.is_empty() || training.is_empty() {
        return Err(DataError::missing(dir, "no utterances to learn from, or none to test on"));
    }
    let item = |Utterance { sample, speaker, .. }: Utterance| Item {
        sample: Arc::new(sample),
        subject: names.get(&speaker).copied().unwrap_or(0),
    };
    // A speaker's own: 450, or 90 of one word.
    let speakers: BTreeSet<&str> = training.iter().map(|one| one.speaker.as_str()).collect();
    let share = training.len().div_ceil(speakers.len());
    // Half of a share in each round: a node that learns all of it at once strays towards its own speaker.
    let (classes, rounds, samples, server_learning_rate, halved) = match words {
        Words::One(_) => (2, 30, share, 1.5, [20, 22, 24, 26, 28]),
        Words::Official | Words::LeaveOut(_) => {
            (CLASSES, 60, share.div_ceil(2), 2.0, [40, 44, 48, 52, 56])
        }
    };
    let network = Network {
        inputs: CHANNELS,
        classes,
        threshold: 2_000,
        alpha12: 0xCD7,
        kappa: 126,
        rates: RATES,
    };
    Ok(Task {
        name: "audition".to_owned(),
        pool: Pool::Recorded(training.into_iter().map(item).collect()),
        test: test.into_iter().map(|one| one.sample).collect(),
        channels: CHANNELS,
        classes,
        subjects: names.into_keys().collect(),
        // 32 samples at 8 kHz.
        step_us: 4_000,
        recipe: Recipe {
            registers: network.registers(),
            neurons: network.neurons(),
            initial: Initial::Normal {
                inputs: CHANNELS,
                recurrent: NEURONS,
                outputs: classes.into(),
                hundredths: [2_500, 1_000, 1_000],
            },
            rounds,
            samples: u32::try_from(samples).unwrap_or(u32::MAX).max(1),
            epochs: 1,
            server_learning_rate,
            schedule: halvings(RATES, &halved),
            evaluate: 0,
        },
    })
}

/// Every utterance, by digit, speaker and index.
fn hear(dir: &Path) -> Result<Vec<Utterance>, DataError> {
    let nested = dir.join("recordings");
    let dir = if nested.is_dir() { nested } else { dir.to_owned() };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&dir).map_err(DataError::unreadable(&dir))? {
        let path = entry.map_err(DataError::unreadable(&dir))?.path();
        if path.extension().is_some_and(|extension| extension == "wav") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let what = "its name should be {digit}_{speaker}_{index}.wav";
            let key = key(&stem).ok_or_else(|| DataError::malformed(&path, Place::File, what))?;
            found.insert(key, path);
        }
    }
    let mut ear = Ear::new();
    let mut utterances = Vec::with_capacity(found.len());
    for ((digit, speaker, index), path) in found {
        wav::read(&path)?.into_iter().for_each(|sample| ear.hear(sample));
        utterances.push(Utterance { sample: ear.end(digit), speaker, index });
    }
    Ok(utterances)
}

fn key(stem: &str) -> Option<(u8, String, u32)> {
    let (digit, rest) = stem.split_once('_')?;
    let (speaker, index) = rest.rsplit_once('_')?;
    let digit = digit.parse().ok().filter(|&digit| digit < CLASSES)?;
    Some((digit, speaker.to_owned(), index.parse().ok()?))
}

/// Every utterance of `digit` as class 1, and of each speaker as many others as class 0, an equal share of each digit as far as
/// that goes; which ones does not depend on any seed of a run.
fn one_word(utterances: Vec<Utterance>, digit: u8) -> Vec<Utterance> {
    let (targets, others): (Vec<_>, Vec<_>) =
        utterances.into_iter().partition(|one| one.sample.label == digit);
    let mut by_speaker: BTreeMap<String, (usize, BTreeMap<u8, Vec<Utterance>>)> = BTreeMap::new();
    for one in &targets {
        by_speaker.entry(one.speaker.clone()).or_default().0 += 1;
    }
    for one in others {
        let (_, digits) = by_speaker.entry(one.speaker.clone()).or_default();
        digits.entry(one.sample.label).or_default().push(one);
    }
    let mut chosen = targets;
    for (speaker, (wanted, digits)) in by_speaker.into_values().zip(0_u64..).map(|(v, n)| (n, v)) {
        let mut columns: Vec<Vec<Utterance>> = digits.into_values().collect();
        // Which digits give one more where nine do not divide the number: another choice for each speaker.
        let order = permutation(speaker, u32::try_from(columns.len()).unwrap_or(0));
        let mut left = wanted;
        while left > 0 && columns.iter().any(|column| !column.is_empty()) {
            for &column in &order {
                let column = columns.get_mut(usize::try_from(column).unwrap_or(0));
                if left > 0
                    && let Some(one) = column.and_then(Vec::pop)
                {
                    chosen.push(one);
                    left -= 1;
                }
            }
        }
    }
    for one in &mut chosen {
        one.sample.label = u8::from(one.sample.label == digit);
    }
    chosen.sort_by(|a, b| (&a.speaker, a.index).cmp(&(&b.speaker, b.index)));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utterance(digit: u8, speaker: &str, index: u32) -> Utterance {
        let mut ear = Ear::new();
        Utterance { sample: ear.end(digit), speaker: speaker.to_owned(), index }
    }

    #[test]
    fn names_are_read() {
        assert_eq!(key("7_van_dyke_12"), Some((7, "van_dyke".to_owned(), 12)));
        assert_eq!(key("10_x_1"), None);
        assert_eq!(key("7_x"), None);
    }

    #[test]
    fn one_word_meets_as_many_others_evenly() {
        let mut all = Vec::new();
        for speaker in ["a", "b"] {
            for digit in 0..10 {
                all.extend((0..20).map(|index| utterance(digit, speaker, index)));
            }
        }
        let chosen = one_word(all, 3);
        for speaker in ["a", "b"] {
            let of = |label| {
                chosen
                    .iter()
                    .filter(|one| one.speaker == speaker && one.sample.label == label)
                    .count()
            };
            assert_eq!((of(1), of(0)), (20, 20));
        }
    }
}
