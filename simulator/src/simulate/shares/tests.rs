//! Everybody gets something, nothing is dealt twice, and the split is what it says.

use super::*;
use crate::simulate::world::World;
use crate::task::{Item, navigation};

fn split(toml: &str) -> Split {
    World::parse("test", "test", &format!("[data]\n{toml}")).unwrap().data
}

/// A recorded task: 40 samples of four classes, from eight subjects.
fn recorded() -> Task {
    let stream = Stream::new(1);
    let item = |i: u32| {
        let mut sample = stream.sample(i.into());
        sample.label = u8::try_from(i % 4).unwrap();
        sample.ticks = 2250;
        Item { sample: Arc::new(sample), subject: i / 5 }
    };
    let pool = Pool::Recorded((0..40).map(item).collect());
    Task { pool, classes: 4, ..navigation(1) }
}

fn labels(shares: &Shares, index: usize) -> Vec<u8> {
    match shares.of(index) {
        Share::Samples(samples) => samples.iter().map(|sample| sample.label).collect(),
        Share::Stream { .. } => panic!("a stream"),
    }
}

fn all(shares: &Shares) -> usize {
    (0..shares.len()).map(|index| labels(shares, index).len()).sum()
}

#[test]
fn every_sample_is_dealt_once_however_they_are_split() {
    let task = recorded();
    for toml in [
        "",
        "split = \"classes\"\nclasses_per_node = 2",
        "split = \"dirichlet\"\nalpha = 0.2",
        "split = \"subject\"",
        "most_over_least = 8",
    ] {
        let shares = Shares::deal(&task, &split(toml), 8, 3);
        assert_eq!(all(&shares), 40, "{toml}");
        let mut seen: Vec<*const Sample> = Vec::new();
        for index in 0..8 {
            let Share::Samples(samples) = shares.of(index) else { panic!("a stream") };
            seen.extend(samples.iter().map(Arc::as_ptr));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 40, "{toml}");
        let again = Shares::deal(&task, &split(toml), 8, 3);
        assert!((0..8).all(|index| labels(&again, index) == labels(&shares, index)), "{toml}");
    }
}

#[test]
fn classes_and_subjects_stay_together() {
    let task = recorded();
    let one = Shares::deal(&task, &split("split = \"classes\"\nclasses_per_node = 1"), 8, 3);
    for index in 0..8 {
        let labels = labels(&one, index);
        assert!(labels.iter().all(|&label| usize::from(label) == index % 4), "{labels:?}");
    }
    let subjects = Shares::deal(&task, &split("split = \"subject\""), 8, 3);
    assert!((0..8).all(|index| labels(&subjects, index).len() == 5));
    let few = Shares::deal(&task, &split("split = \"subject\""), 3, 3);
    assert_eq!(all(&few), 40);
    let many = Shares::deal(&task, &split("split = \"subject\""), 20, 3);
    assert!((0..20).all(|index| !labels(&many, index).is_empty()));
}

#[test]
fn more_nodes_than_samples_leave_nobody_without() {
    let shares = Shares::deal(&recorded(), &split(""), 100, 3);
    assert!((0..100).all(|index| !labels(&shares, index).is_empty()));
}

#[test]
fn a_small_alpha_is_one_sided_and_a_large_one_is_not() {
    let lopsided = |alpha: &str| {
        let toml = format!("split = \"dirichlet\"\nalpha = {alpha}\nsamples_per_node = 30");
        let shares = Shares::deal(&navigation(1), &split(&toml), 60, 3);
        let most = |index: usize| {
            let ones = labels(&shares, index).iter().filter(|&&label| label == 1).count();
            ones.max(30 - ones)
        };
        (0..60).map(most).sum::<usize>() / 60
    };
    // The mean larger share of two classes is 30 x 0.96 for Beta(0.05, 0.05), and little over a half for Beta(100, 100).
    assert!(lopsided("0.05") >= 27, "{}", lopsided("0.05"));
    assert!(lopsided("100") <= 18, "{}", lopsided("100"));
}

#[test]
fn sizes_differ_as_much_as_they_may() {
    let sizes: Vec<u32> = (0..1_000).map(|seed| sized(20, 16, derive(1, &[seed]))).collect();
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert_eq!((*least, *most), (2, 32));
    assert_eq!(sized(20, 1, 7), 20);
}

#[test]
fn drift_moves_a_window_and_a_late_class_comes_late() {
    let drift = split("drift = true\nsamples_per_node = 20");
    let shares = Shares::deal(&navigation(1), &drift, 2, 3);
    let count = |source: &Source| source.samples();
    let first = shares.in_round(&drift, 0, 1, 10).unwrap();
    assert_eq!(count(&first), 10);
    let labels_in = |number: u32| {
        let Share::Samples(all) = shares.of(0) else { panic!("a stream") };
        window(all, number, 10).iter().map(|sample| u32::from(sample.label)).sum::<u32>()
    };
    assert!(labels_in(1) < labels_in(10), "{} {}", labels_in(1), labels_in(10));
    let late = split("late_class = 1\nlate_from_round = 4\nsamples_per_node = 20");
    let shares = Shares::deal(&navigation(1), &late, 2, 3);
    let zeros = labels(&shares, 0).iter().filter(|&&label| label == 0).count();
    let early = shares.in_round(&late, 0, 3, 10).unwrap();
    assert_eq!(count(&early), u64::try_from(zeros).unwrap());
    assert!(shares.in_round(&late, 0, 4, 10).is_none(), "from then on it has all");
}

#[test]
fn names_are_found_again() {
    for index in [0, 7, 99_999] {
        assert_eq!(index_of(&name_of(index)), Some(index));
    }
    assert_eq!(index_of(&"node".parse().unwrap()), None);
}

#[test]
fn what_is_held_out_is_not_learned_from() {
    let shares = Shares::deal(&recorded(), &split("split = \"subject\""), 4, 3);
    assert_eq!((shares.source(0).samples(), shares.source(0).held_out(9)), (10, 0));
    let shares = shares.holding_out(9);
    assert_eq!((shares.source(0).samples(), shares.source(0).held_out(9)), (8, 2), "a fifth");
    let shares = shares.holding_out(1);
    assert_eq!((shares.source(0).samples(), shares.source(0).held_out(9)), (9, 1), "at most one");
    let (training, held_out) = shares.parts(0);
    assert!(!training.iter().any(|sample| Arc::ptr_eq(sample, &held_out[0])));

    // Who has too few keeps them to learn from; a stream has others.
    let few = Shares::deal(&recorded(), &split(""), 20, 3).holding_out(9);
    assert_eq!((few.source(0).samples(), few.source(0).held_out(9)), (2, 0));
    let endless = Shares::deal(&navigation(1), &split(""), 2, 3).holding_out(9);
    assert_eq!((endless.held_out(0), endless.source(0).held_out(9)), (0, 9));

    // Nor in a round in which less is seen.
    let late = split("late_class = 1\nlate_from_round = 4");
    let shares = Shares::deal(&recorded(), &late, 4, 3).holding_out(9);
    let early = shares.in_round(&late, 0, 1, 10).unwrap();
    assert_eq!(early.held_out(9), 2);
    assert!(early.samples() < 8);
}
