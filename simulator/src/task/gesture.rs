//! gesture and shd: the full sets of DVS128 Gesture and the Spiking Heidelberg Digits, for who has them. Their networks are those
//! of vision and audition; nobody has tuned them on these recordings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tasks::Sample;
use tasks::vision::{Change, Grid, Retina};

use super::network::{NEURONS, Network, halvings};
use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, Place, aedat, shd as heidelberg};

const RATES: [u32; 3] = [9, 8, 8];
/// Gestures, numbered from 1 in the files.
const GESTURES: u8 = 11;
/// Digits, in either of two languages.
const DIGITS: u8 = 10;

/// DVS128 Gesture in `dir`: the recordings that its two lists name, cut by their labels. Subjects are the users.
///
/// # Errors
/// [`DataError`] when a file is missing or damaged.
pub fn gesture(dir: &Path) -> Result<Task, DataError> {
    let training = trials(dir, "trials_to_train.txt")?;
    let test = trials(dir, "trials_to_test.txt")?.into_iter().map(|(sample, _)| sample);
    let network = Network {
        inputs: 242,
        classes: GESTURES,
        threshold: 3_000,
        alpha12: 0xDE2,
        kappa: 127,
        rates: RATES,
    };
    Ok(task("gesture", &network, Grid::GESTURE, [3_000, 1_000, 1_000], training, test.collect()))
}

/// Spiking Heidelberg Digits in `dir`: `shd_train.h5` and `shd_test.h5`. 700 units become 140 channels, the two languages one, since
/// the chip has 256 inputs and 16 outputs. Subjects are the speakers.
///
/// # Errors
/// [`DataError`] when a file is missing or damaged.
pub fn shd(dir: &Path) -> Result<Task, DataError> {
    let read = |name: &str| -> Result<Vec<(Sample, String)>, DataError> {
        let mut retina = Retina::new(Grid::SHD);
        let mut hear = |one: heidelberg::Utterance| {
            let mut spikes = one.spikes;
            spikes.sort_unstable();
            for (us, unit) in spikes {
                retina.see(Change { us, x: unit, y: 0, on: true });
            }
            (retina.end(one.label % DIGITS), format!("speaker-{:02}", one.speaker))
        };
        Ok(heidelberg::read(&dir.join(name))?.into_iter().map(&mut hear).collect())
    };
    let training = read("shd_train.h5")?;
    let test = read("shd_test.h5")?.into_iter().map(|(sample, _)| sample);
    let network = Network {
        inputs: 140,
        classes: DIGITS,
        threshold: 2_000,
        alpha12: 0xCD7,
        kappa: 126,
        rates: RATES,
    };
    Ok(task("shd", &network, Grid::SHD, [2_500, 1_000, 1_000], training, test.collect()))
}

fn task(
    name: &str,
    network: &Network,
    grid: Grid,
    hundredths: [u16; 3],
    training: Vec<(Sample, String)>,
    test: Arc<[Sample]>,
) -> Task {
    let mut names: BTreeMap<String, u32> =
        training.iter().map(|(_, subject)| (subject.clone(), 0)).collect();
    names.values_mut().zip(0..).for_each(|(place, index)| *place = index);
    let share = training.len().div_ceil(names.len().max(1));
    let items = training.into_iter().map(|(sample, subject)| Item {
        sample: Arc::new(sample),
        subject: names.get(&subject).copied().unwrap_or(0),
    });
    Task {
        name: name.to_owned(),
        pool: Pool::Recorded(items.collect()),
        test,
        channels: network.inputs,
        classes: network.classes,
        subjects: names.into_keys().collect(),
        step_us: grid.tick_us.into(),
        recipe: Recipe {
            registers: network.registers(),
            neurons: network.neurons(),
            initial: Initial::Normal {
                inputs: network.inputs,
                recurrent: NEURONS,
                outputs: network.classes.into(),
                hundredths,
            },
            rounds: 30,
            samples: u32::try_from(share).unwrap_or(u32::MAX).clamp(1, 1_000),
            epochs: 1,
            server_learning_rate: 1.5,
            schedule: halvings(RATES, &[20, 22, 24, 26, 28]),
            evaluate: 0,
        },
    }
}

/// The gestures of every recording that `list` names, and who made each.
fn trials(dir: &Path, list: &str) -> Result<Vec<(Sample, String)>, DataError> {
    let path = dir.join(list);
    let text = std::fs::read_to_string(&path).map_err(DataError::unreadable(&path))?;
    let mut samples = Vec::new();
    for trial in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let subject = trial.split('_').next().unwrap_or(trial).to_owned();
        let recording = aedat::read(&dir.join(trial))?;
        let labels = dir.join(trial.replace(".aedat", "_labels.csv"));
        for sample in cut(&labels, &recording)? {
            samples.push((sample, subject.clone()));
        }
    }
    if samples.is_empty() {
        return Err(DataError::missing(&path, "it names no recording that holds a gesture"));
    }
    Ok(samples)
}

/// The gestures of a recording: `class,startTime_usec,endTime_usec` a line.
fn cut(labels: &Path, recording: &aedat::Recording) -> Result<Vec<Sample>, DataError> {
    let text = std::fs::read_to_string(labels).map_err(DataError::unreadable(labels))?;
    let mut retina = Retina::new(Grid::GESTURE);
    let mut samples = Vec::new();
    for (line, number) in text.lines().zip(1..).skip(1) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let parsed = match fields.as_slice() {
            [class, from, to] => {
                class.parse::<u8>().ok().zip(from.parse::<i64>().ok().zip(to.parse::<i64>().ok()))
            }
            _ => None,
        };
        let what =
            format!("expected a class from 1 to {GESTURES}, a start and an end in microseconds");
        let wrong = || DataError::malformed(labels, Place::Line(number), &what);
        let (class, (from, to)) = parsed.ok_or_else(wrong)?;
        let label = class.checked_sub(1).filter(|&label| label < GESTURES).ok_or_else(wrong)?;
        for change in &recording.changes {
            let at = recording.start_us.saturating_add(change.us.into());
            if (from..to).contains(&at) {
                let us = u32::try_from(at.saturating_sub(from)).unwrap_or(u32::MAX);
                retina.see(Change { us, ..*change });
            }
        }
        samples.push(retina.end(label));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gestures_are_cut_by_their_labels() {
        let dir = tempfile::tempdir().unwrap();
        let labels = dir.path().join("labels.csv");
        let write = |text: &str| std::fs::write(&labels, text).unwrap();
        let change = |us, x| Change { us, x, y: 0, on: true };
        let recording = aedat::Recording {
            start_us: 1_000,
            changes: vec![change(0, 0), change(20_000, 127), change(60_000, 64), change(70_000, 0)],
        };
        write("class,startTime_usec,endTime_usec\n3,1000,31000\n11,61000,71000\n");
        let samples = cut(&labels, &recording).unwrap();
        let events = |at: usize| -> Vec<(u32, u8)> {
            samples[at].events.iter().map(|event| (event.tick, event.address)).collect()
        };
        assert_eq!((samples[0].label, samples[1].label), (2, 10));
        assert_eq!((events(0), events(1)), (vec![(0, 0), (2, 10)], vec![(0, 5)]));
        for bad in ["12,0,1", "0,0,1", "1,x,1", "1,2"] {
            write(&format!("class,startTime_usec,endTime_usec\n{bad}\n"));
            let error = cut(&labels, &recording).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn subjects_are_numbered_by_name() {
        let sample = |label| Retina::new(Grid::GESTURE).end(label);
        let network =
            Network { inputs: 242, classes: 11, threshold: 9, alpha12: 9, kappa: 9, rates: RATES };
        let training =
            [(0, "b"), (1, "a"), (2, "b")].map(|(label, who)| (sample(label), who.to_owned()));
        let task = task("x", &network, Grid::SHD, [1; 3], training.into(), Arc::from([]));
        assert_eq!(task.subjects, ["a", "b"]);
        let subjects: Vec<u32> = task.pool.items().iter().map(|item| item.subject).collect();
        assert_eq!((subjects, task.recipe.samples), (vec![1, 0, 1], 2));
    }
}
