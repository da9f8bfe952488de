//! The journal across crashes: every step reloaded from disk, every cut and every changed byte told.

use super::*;
use crate::residual::split;
use federation::RunId;

fn model() -> ModelName {
    "navigation".parse().unwrap()
}

fn round(number: u32) -> RoundRef {
    RoundRef { run: RunId(1), number, attempt: 1 }
}

fn entry(number: u32, payload: &[i8], residual: Residual) -> Entry {
    Entry {
        round: round(number),
        model: model(),
        base: Digest::of(b"base"),
        payload: payload.iter().map(|lane| lane.cast_unsigned()).collect(),
        samples: 10,
        metrics: Metrics { correct: 7, synaptic_ops: 1 << 40, bytes_down: 3 },
        residual,
    }
}

/// Learns 200 in lane 0 and -200 in lane 1, on top of the current residual.
fn learned(journal: &Journal, number: u32) -> Entry {
    let (sent, rest) = split(&[100, -100], &[-100, 100], &journal.residual(&model()));
    entry(number, &sent, rest)
}

fn reopened(dir: &Path) -> Journal {
    Journal::open(dir).unwrap()
}

#[test]
fn a_round_goes_from_step_to_step_with_a_crash_after_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = reopened(dir.path());
    let first = learned(&journal, 1);
    journal.keep(first.clone()).unwrap();

    let mut journal = reopened(dir.path());
    assert_eq!(journal.outbox(), Some(&first));
    assert!(journal.residual(&model()).is_zero(), "not before the receipt");
    journal.counted().unwrap();

    let mut journal = reopened(dir.path());
    assert_eq!(journal.outbox(), None);
    assert_eq!(journal.residual(&model()).lanes(), [73, -73]);
    assert_eq!(journal.awaiting().collect::<Vec<_>>(), [round(1)]);
    journal.counted().unwrap();
    assert_eq!(journal.residual(&model()).lanes(), [73, -73], "once");
    journal.settle(round(1), Settled::Open).unwrap();
    assert_eq!(reopened(dir.path()).awaiting().len(), 1);
    journal.settle(round(1), Settled::Published).unwrap();

    let mut journal = reopened(dir.path());
    assert_eq!(journal.awaiting().len(), 0);
    assert_eq!(journal.residual(&model()).lanes(), [73, -73]);
    journal.settle(round(1), Settled::Abandoned).unwrap();
    assert_eq!(journal.residual(&model()).lanes(), [73, -73], "it is settled already");
}

#[test]
fn a_refused_update_leaves_the_old_residual_and_an_abandoned_one_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = reopened(dir.path());
    let play = |journal: &mut Journal, number: u32, outcome: Option<Settled>| {
        let entry = learned(journal, number);
        journal.keep(entry).unwrap();
        *journal = reopened(dir.path());
        match outcome {
            None => journal.refused().unwrap(),
            Some(outcome) => {
                journal.counted().unwrap();
                *journal = reopened(dir.path());
                journal.settle(round(number), outcome).unwrap();
            }
        }
        *journal = reopened(dir.path());
        journal.residual(&model()).lanes().first().copied().unwrap_or(0)
    };
    assert_eq!(play(&mut journal, 1, None), 0);
    assert_eq!(play(&mut journal, 2, Some(Settled::Abandoned)), 0);
    assert_eq!(play(&mut journal, 3, Some(Settled::Published)), 73);
    assert_eq!(play(&mut journal, 4, None), 73);
    assert_eq!(play(&mut journal, 5, Some(Settled::Abandoned)), 73);
    assert_eq!(play(&mut journal, 6, Some(Settled::Unknown)), 146);
}

#[test]
fn what_was_published_and_what_is_left_add_up_to_what_was_learned() {
    // Every script of outcomes for four rounds, settled in order or in reverse while others are awaited.
    for script in 0..16_u32 {
        for reversed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = reopened(dir.path());
            let mut sent = Vec::new();
            for number in 1..=4 {
                let entry = learned(&journal, number);
                sent.push(i32::from(entry.payload[0].cast_signed()));
                journal.keep(entry).unwrap();
                journal.counted().unwrap();
                journal = reopened(dir.path());
            }
            let mut order: Vec<u32> = (1..=4).collect();
            if reversed {
                order.reverse();
            }
            let published = |number: u32| script >> (number - 1) & 1 == 1;
            for number in order {
                let outcome =
                    if published(number) { Settled::Published } else { Settled::Abandoned };
                journal.settle(round(number), outcome).unwrap();
                journal = reopened(dir.path());
            }
            let rounds = (1..=4).filter(|&number| published(number));
            let out: i32 =
                rounds.clone().zip(1..).map(|(number, _)| sent[number as usize - 1]).sum();
            let rest = journal.residual(&model()).lanes().first().copied().unwrap_or(0);
            let learned = 200 * i32::try_from(rounds.count()).unwrap();
            assert_eq!(out + rest, learned, "script {script:04b}, reversed {reversed}");
        }
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_told() {
    let state = State {
        residuals: vec![(model(), Residual::new(vec![1, -40_000, 300]))],
        awaiting: vec![Awaited {
            round: round(1),
            model: model(),
            change: Residual::new(vec![-1, 200, 0]),
        }],
        outbox: Some(entry(2, &[1, -1, 127], Residual::new(vec![0, 0, -1]))),
    };
    let bytes = format::encode(&state);
    assert_eq!(format::decode(&bytes).unwrap(), state);
    for len in 0..bytes.len() {
        format::decode(&bytes[..len]).unwrap_err();
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        format::decode(&changed).unwrap_err();
    }
    let newer = [b"MUSTERj2".as_slice(), &bytes[8..]].concat();
    assert_eq!(format::decode(&newer), Err(FormatError::Unknown));
}

#[test]
fn a_damaged_journal_is_set_aside_and_a_newer_one_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut journal = reopened(dir.path());
    let entry = learned(&journal, 1);
    journal.keep(entry).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(reopened(dir.path()).outbox(), None);
    assert_eq!(fs::read(dir.path().join("journal.corrupt")).unwrap(), bytes);
    fs::write(&path, b"MUSTERj9").unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap_err().code(), "journal_format_unknown");
    assert!(path.exists());
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = reopened(dir.path());
    let first = learned(&journal, 1);
    // A directory where the temporary file should go fails for root, too.
    fs::create_dir(dir.path().join("journal.tmp")).unwrap();
    journal.keep(first.clone()).unwrap_err();
    assert_eq!(journal.outbox(), None);
    fs::remove_dir(dir.path().join("journal.tmp")).unwrap();
    journal.keep(first.clone()).unwrap();
    fs::create_dir(dir.path().join("journal.tmp")).unwrap();
    journal.counted().unwrap_err();
    assert_eq!((journal.outbox(), journal.awaiting().len()), (Some(&first), 0));
}

#[test]
fn lists_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = reopened(dir.path());
    for number in 0..20 {
        let mut entry = entry(number, &[1], Residual::new(vec![1]));
        entry.model = format!("model-{number}").parse().unwrap();
        journal.keep(entry).unwrap();
        journal.counted().unwrap();
    }
    assert_eq!(journal.awaiting().len(), AWAITING_MAX);
    assert_eq!(journal.awaiting().next(), Some(round(12)));
    assert_eq!(reopened(dir.path()).state.residuals.len(), RESIDUALS_MAX);
}
