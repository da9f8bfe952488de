//! Recordings: what the published sets hold as tasks, what `muster data check` says of them, and HDF5 as Python writes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use simulator::data::{address_events, archive, shd};
use simulator::task::{Task, Words, audition, tactile, vision};

use crate::support::process::muster;
use crate::support::python::python;
use crate::support::require::{shared, skip};

async fn check(dir: &Path) -> (Option<i32>, Value) {
    let mut command = muster();
    command
        .args(["data", "check", "--json"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), said)
}

#[tokio::test]
async fn published_sets_are_recognised_and_whole() {
    for (set, task) in [
        ("fsdd", Some("audition:")),
        ("nmnist-small", Some("vision:")),
        ("braille7", Some("tactile:")),
        ("reckon-cue", Some("reckon:")),
        ("dvsgesture", None),
    ] {
        let Some(dir) = shared("published_sets_are_recognised_and_whole", set) else { continue };
        let (status, said) = check(&dir).await;
        assert_eq!((status, &said["whole"]), (Some(0), &Value::Bool(true)), "{set}: {said}");
        let data = said["sets"][0]["data"].as_str();
        assert_eq!(data.map(|data| data.split_inclusive(':').next().unwrap()), task);
    }
}

#[tokio::test]
async fn what_is_not_there_is_an_answer_and_no_folder_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) = check(dir.path()).await;
    assert_eq!((status, &said["whole"]), (Some(1), &Value::Bool(false)));
    assert_eq!(check(&dir.path().join("none")).await.0, Some(66));
}

fn labels(samples: impl Iterator<Item = u8>) -> Vec<usize> {
    let mut counts = BTreeMap::new();
    samples.for_each(|label| *counts.entry(label).or_default() += 1);
    counts.into_values().collect()
}

fn fits(task: &Task) {
    let all = task.pool.items().iter().map(|item| &*item.sample).chain(task.test.iter());
    for sample in all {
        assert!(sample.events.iter().all(|event| u16::from(event.address) < task.channels));
        assert!(sample.events.is_sorted_by_key(|event| event.tick) && !sample.events.is_empty());
        assert!(sample.label < task.classes);
    }
    let artifact = task.recipe.artifact(1).unwrap();
    agent::learner::Model::read(&artifact).unwrap();
}

#[test]
fn spoken_digits_are_split_as_published() {
    let Some(dir) = shared("spoken_digits_are_split_as_published", "fsdd") else { return };
    let task = audition(&dir, &Words::Official).unwrap();
    fits(&task);
    assert_eq!(labels(task.pool.items().iter().map(|item| item.sample.label)), [270; 10]);
    assert_eq!(labels(task.test.iter().map(|sample| sample.label)), [30; 10]);
    assert_eq!(task.subjects, ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]);
    let task = audition(&dir, &Words::One(7)).unwrap();
    assert_eq!(labels(task.pool.items().iter().map(|item| item.sample.label)), [270; 2]);
    assert_eq!(labels(task.test.iter().map(|sample| sample.label)), [30; 2]);
    let task = audition(&dir, &Words::LeaveOut("theo".to_owned())).unwrap();
    assert_eq!((task.pool.items().len(), task.test.len(), task.recipe.samples), (2_500, 500, 250));
    assert_eq!(
        audition(&dir, &Words::LeaveOut("x".to_owned())).unwrap_err().code(),
        "data_missing"
    );
}

#[test]
fn digits_of_the_camera_have_their_writers() {
    let Some(dir) = shared("digits_of_the_camera_have_their_writers", "nmnist-small") else {
        return;
    };
    let task = vision(&dir).unwrap();
    fits(&task);
    assert_eq!((task.pool.items().len(), task.test.len(), task.subjects.len()), (1_000, 100, 224));
}

#[test]
fn letters_occur_once() {
    let Some(dir) = shared("letters_occur_once", "braille7") else { return };
    let task = tactile(&dir).unwrap();
    fits(&task);
    assert_eq!((task.pool.items().len(), task.test.len()), (926, 232));
    let events = |sample: &tasks::Sample| {
        sample.events.iter().map(|event| (event.tick, event.address)).collect::<Vec<_>>()
    };
    let learned: std::collections::BTreeSet<_> =
        task.pool.items().iter().map(|item| events(&item.sample)).collect();
    assert_eq!(learned.len(), 926);
    assert!(task.test.iter().all(|sample| !learned.contains(&events(sample))));
}

#[test]
fn gestures_of_the_camera_are_read() {
    let Some(dir) = shared("gestures_of_the_camera_are_read", "dvsgesture") else { return };
    let files = archive::files(&dir, "bs2").unwrap();
    assert_eq!(files.len(), 10);
    for (name, bytes) in files {
        let changes = address_events::parse(Path::new(&name), &bytes).unwrap();
        assert!((63_000..=182_000).contains(&changes.len()), "{name}: {}", changes.len());
        assert!(
            changes.iter().all(|change| change.x < 128 && change.y < 128 && change.us < 1_450_000)
        );
    }
}

#[test]
fn hdf5_of_python_has_rows_of_half_floats() {
    let Some(python) = python("h5py, numpy") else {
        return skip("hdf5_of_python_has_rows_of_half_floats", "python", "no python3 with h5py");
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shd_train.h5");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/python/shd.py");
    let output = Command::new(&python).arg(script).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let utterances = shd::read(&file).unwrap();
    let spikes: Vec<_> = utterances.iter().map(|one| one.spikes.as_slice()).collect();
    assert_eq!(spikes, [&[(0, 699), (500_000, 3), (1_000_000, 0)][..], &[], &[(333_251, 350)]]);
    assert_eq!(
        utterances.iter().map(|one| (one.label, one.speaker)).collect::<Vec<_>>(),
        [(0, 4), (19, 0), (7, 11)]
    );
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(shd::read(&file).unwrap_err().code(), "data_malformed");
}
