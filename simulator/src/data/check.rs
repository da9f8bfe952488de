//! What lies in a folder: which data set, how much of it, what is missing, and where it is published.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tasks::aer;

use super::{DataError, address_events, aedat, archive, braille, nmnist, shd, table, wav};

/// A data set that was recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is.
    pub set: &'static str,
    /// The task it is for, as the simulator's `--data` takes it; `None` for what only can be read.
    pub data: Option<String>,
    /// What there is, in words: counts of samples, subjects, classes.
    pub holds: Vec<String>,
    /// What should be there and is not, or is damaged.
    pub problems: Vec<String>,
    /// Where it is published, and its licence.
    pub published: &'static str,
}

const FSDD: &str = "https://github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0)";
const NMNIST: &str = "https://www.garrickorchard.com/datasets/n-mnist (CC BY-SA 4.0)";
const BRAILLE: &str = "https://github.com/neuromorphic-polito/L2MU-Braille (Apache-2.0; recordings: https://zenodo.org/records/7050094)";
const SHD: &str = "https://zenkelab.org/datasets (CC BY 4.0): shd_train.h5.gz and shd_test.h5.gz, unpacked with gunzip";
const GESTURE: &str =
    "https://research.ibm.com/interactive/dvsgesture (CC BY 4.0): DvsGesture.tar.gz";
const CUE: &str = "https://github.com/ChFrenkel/ReckOn, folder src/data (Solderpad 2.1)";
const OWN: &str = "your own";

/// Utterances that FSDD has: 10 digits x 6 speakers x 50.
const FSDD_FILES: usize = 3_000;
/// Recordings of DVS128 Gesture that its lists name.
const GESTURE_TRIALS: (usize, usize) = (98, 24);
/// Utterances of SHD.
const SHD_UTTERANCES: (usize, usize) = (8_156, 2_264);
/// Letters of Braille that differ.
const LETTERS: usize = 1_158;
const NMNIST_SMALL: (usize, usize) = (1_000, 100);

/// Every data set in `dir`; none where nothing is recognised.
///
/// # Errors
/// [`DataError`] only when the folder itself cannot be read: what is wrong with a data set is told with it.
pub fn check(dir: &Path) -> Result<Vec<Found>, DataError> {
    let names = names(dir)?;
    let has = |name: &str| names.contains(name);
    let ends =
        |end: &str| names.iter().filter(|name| name.ends_with(end)).cloned().collect::<Vec<_>>();
    let mut found = Vec::new();
    if has("recordings") || !ends(".wav").is_empty() {
        found.extend(speech(dir));
    }
    if has("train1K.txt") || has("test100.txt") {
        found.push(digits(dir));
    }
    let packed = ends(".tar.xz").iter().any(|name| name.contains("bs2"));
    if !has("train1K.txt") && (packed || !ends(".bs2").is_empty()) {
        found.push(five_bytes(dir));
    }
    if has("Train") && has("Test") {
        found.push(all_digits(dir));
    }
    if !ends(".pt").is_empty() || ends(".tar.xz").iter().any(|name| name.contains("braille")) {
        found.push(letters(dir));
    }
    if has("shd_train.h5") || has("shd_test.h5") {
        found.push(heidelberg(dir));
    }
    if has("trials_to_train.txt") || has("trials_to_test.txt") {
        found.push(gestures(dir));
    } else {
        let cameras: Vec<_> = [ends(".aedat"), ends(".aedat4")].concat();
        found.extend((!cameras.is_empty()).then(|| recordings(dir, &cameras)));
    }
    if has("dataset_cueAcc_train.dat") || has("dataset_cueAcc_test.dat") {
        found.push(cues(dir));
    }
    for name in ends(".toml") {
        found.extend(own(&dir.join(name)));
    }
    Ok(found)
}

fn names(dir: &Path) -> Result<BTreeSet<String>, DataError> {
    let entries = fs::read_dir(dir).map_err(DataError::unreadable(dir))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.map_err(DataError::unreadable(dir))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

impl Found {
    fn new(set: &'static str, task: Option<&str>, dir: &Path, published: &'static str) -> Self {
        let data = task.map(|task| format!("{task}:{}", dir.display()));
        Self { set, data, holds: Vec::new(), problems: Vec::new(), published }
    }

    /// Tells of `got` things, and that there should be `wanted`.
    fn count(&mut self, what: &str, got: usize, wanted: usize) {
        self.holds.push(format!("{got} {what}"));
        if got != wanted {
            self.problems.push(format!("{what}: {got} of {wanted}"));
        }
    }

    fn wrong(&mut self, error: &DataError) {
        self.problems.push(error.to_string());
    }
}

fn speech(dir: &Path) -> Option<Found> {
    let nested = dir.join("recordings");
    let folder = if nested.is_dir() { nested } else { dir.to_owned() };
    let mut found = Found::new("FSDD, spoken digits", Some("audition"), dir, FSDD);
    let (mut speakers, mut good) = (BTreeSet::new(), 0);
    let names = names(&folder).ok()?;
    for name in names.iter().filter(|name| name.ends_with(".wav")) {
        let parts: Vec<&str> = name.trim_end_matches(".wav").split('_').collect();
        let [digit, speaker, index] = parts.as_slice() else { continue };
        if digit.parse::<u8>().is_ok_and(|digit| digit < 10) && index.parse::<u32>().is_ok() {
            match wav::read(&folder.join(name)) {
                Err(error) => found.wrong(&error),
                Ok(_) => {
                    good += 1;
                    speakers.insert((*speaker).to_owned());
                }
            }
        }
    }
    if good == 0 && found.problems.is_empty() {
        return None;
    }
    found.count("utterances", good, FSDD_FILES);
    let list: Vec<String> = speakers.into_iter().collect();
    found.holds.push(format!("{} speakers: {}", list.len(), list.join(", ")));
    Some(found)
}

fn digits(dir: &Path) -> Found {
    let mut found = Found::new("N-MNIST, 1,100 digits of it", Some("vision"), dir, NMNIST);
    match nmnist::read(dir) {
        Err(error) => found.wrong(&error),
        Ok((training, test)) => {
            found.count("digits to learn from", training.len(), NMNIST_SMALL.0);
            found.count("digits to test on", test.len(), NMNIST_SMALL.1);
            let writers: BTreeSet<u32> = training.iter().filter_map(|digit| digit.writer).collect();
            found.holds.push(format!("{} writers", writers.len()));
            if writers.is_empty() {
                found
                    .problems
                    .push("writers.csv is not there: a split by writer is not possible".to_owned());
            }
        }
    }
    found
}

fn all_digits(dir: &Path) -> Found {
    let mut found = Found::new("N-MNIST, whole", None, dir, NMNIST);
    for (part, wanted) in [("Train", 60_000), ("Test", 10_000)] {
        let count = |digit: u8| {
            names(&dir.join(part).join(digit.to_string())).map_or(0, |names| names.len())
        };
        let got = (0..10).map(count).sum();
        found.count(&format!("recordings in {part}"), got, wanted);
    }
    found
}

fn letters(dir: &Path) -> Found {
    let mut found = Found::new("Braille letters", Some("tactile"), dir, BRAILLE);
    match braille::read(dir) {
        Err(error) => found.wrong(&error),
        Ok((letters, total)) => {
            found.count("different letters", letters.len(), LETTERS);
            found.holds.push(format!("{total} with those that occur again"));
        }
    }
    found
}

fn heidelberg(dir: &Path) -> Found {
    let mut found = Found::new("Spiking Heidelberg Digits", Some("shd"), dir, SHD);
    for (name, wanted) in [("shd_train.h5", SHD_UTTERANCES.0), ("shd_test.h5", SHD_UTTERANCES.1)] {
        match shd::read(&dir.join(name)) {
            Err(error) => found.wrong(&error),
            Ok(utterances) => {
                found.count(&format!("utterances in {name}"), utterances.len(), wanted);
                let speakers: BTreeSet<u16> = utterances.iter().map(|one| one.speaker).collect();
                found.holds.push(format!("{} speakers in {name}", speakers.len()));
            }
        }
    }
    found
}

fn gestures(dir: &Path) -> Found {
    let mut found = Found::new("DVS128 Gesture", Some("gesture"), dir, GESTURE);
    let lists =
        [("trials_to_train.txt", GESTURE_TRIALS.0), ("trials_to_test.txt", GESTURE_TRIALS.1)];
    for (list, wanted) in lists {
        let path = dir.join(list);
        let text = fs::read_to_string(&path).map_err(DataError::unreadable(&path));
        let text = match text {
            Err(error) => {
                found.wrong(&error);
                continue;
            }
            Ok(text) => text,
        };
        let trials: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut good = 0;
        for trial in &trials {
            let labels = dir.join(trial.replace(".aedat", "_labels.csv"));
            if !labels.is_file() {
                found.problems.push(format!("{} is not there", labels.display()));
            }
            match begins(&dir.join(trial), aedat::HEADER_3) {
                Err(error) => found.wrong(&error),
                Ok(()) => good += 1,
            }
        }
        found.count(&format!("recordings of {list}"), good, wanted);
    }
    found
}

/// Whether a file begins as it should, without reading the rest of its 30 MB.
fn begins(path: &Path, head: &[u8]) -> Result<(), DataError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(DataError::unreadable(path))?;
    let length = u64::try_from(head.len()).unwrap_or(0);
    file.take(length).read_to_end(&mut bytes).map_err(DataError::unreadable(path))?;
    if bytes == head {
        return Ok(());
    }
    Err(DataError::malformed(path, super::Place::Byte(0), "this is not an AEDAT 3.1 file"))
}

fn recordings(dir: &Path, names: &[String]) -> Found {
    let mut found = Found::new("camera recordings, AEDAT", None, dir, OWN);
    for name in names {
        match aedat::read(&dir.join(name)) {
            Err(error) => found.wrong(&error),
            Ok(aedat::Recording { changes, .. }) => {
                let us = changes.iter().map(|change| change.us).max().unwrap_or(0);
                found.holds.push(format!("{name}: {} events in {} ms", changes.len(), us / 1_000));
            }
        }
    }
    found
}

fn five_bytes(dir: &Path) -> Found {
    let mut found = Found::new("camera recordings, five bytes an event", None, dir, OWN);
    match archive::files(dir, "bs2") {
        Err(error) => found.wrong(&error),
        Ok(files) => {
            for (name, bytes) in files {
                match address_events::parse(&dir.join(&name), &bytes) {
                    Err(error) => found.wrong(&error),
                    Ok(changes) => found.holds.push(format!("{name}: {} events", changes.len())),
                }
            }
        }
    }
    found
}

fn cues(dir: &Path) -> Found {
    let mut found = Found::new("ReckOn's own cue recordings", Some("reckon"), dir, CUE);
    for part in ["train", "test"] {
        let path: PathBuf = dir.join(format!("dataset_cueAcc_{part}.dat"));
        let text = fs::read_to_string(&path).map_err(DataError::unreadable(&path));
        match text.map(|text| aer::parse(aer::Format::RECKON_CUE, &text)) {
            Err(error) => found.wrong(&error),
            Ok(Err(error)) => found.problems.push(format!("{}: {error}", path.display())),
            Ok(Ok(samples)) => found.count(&format!("samples to {part}"), samples.len(), 50),
        }
    }
    found
}

/// A description of one's own table; `None` where a TOML file is about something else.
fn own(path: &Path) -> Option<Found> {
    let text = fs::read_to_string(path).ok()?;
    let words: toml::Table = text.parse().ok()?;
    if !(words.contains_key("file") && words.contains_key("encoder")) {
        return None;
    }
    let mut found = Found::new("a table of your own", Some("csv"), path, OWN);
    match table::read(path) {
        Err(error) => found.wrong(&error),
        Ok(table) => {
            found.holds.push(format!("{} samples to learn from", table.training.len()));
            found.holds.push(format!("{} to test on", table.test.len()));
            found.holds.push(format!(
                "{} classes: {}",
                table.classes.len(),
                table.classes.join(", ")
            ));
            found.holds.push(format!("{} channels", table.channels));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_holds_nothing_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(dir.path()).unwrap(), []);
        assert_eq!(check(&dir.path().join("none")).unwrap_err().code(), "data_unreadable");
    }

    #[test]
    fn what_is_missing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).unwrap();
        put("trials_to_train.txt", b"user01_lab.aedat\n");
        put("user01_lab.aedat", b"#!AER-DAT3.1\r\n");
        put("3_ann_0.wav", b"RIFF");
        put("config.toml", b"a = 1\n");
        let found = check(dir.path()).unwrap();
        let sets: Vec<_> = found.iter().map(|one| one.set).collect();
        assert_eq!(sets, ["FSDD, spoken digits", "DVS128 Gesture"]);
        let all = |at: usize| found[at].problems.join("; ");
        assert!(all(0).contains("3_ann_0.wav") && all(0).contains("0 of 3000"), "{}", all(0));
        for part in ["user01_lab_labels.csv is not there", "1 of 98", "trials_to_test.txt"] {
            assert!(all(1).contains(part), "{part}: {}", all(1));
        }
    }
}
