//! Sounds made for the purpose, and what the ear must say of them.

use super::*;
use std::vec;

fn hear(samples: impl Iterator<Item = i16>) -> Sample {
    let mut ear = Ear::new();
    samples.for_each(|sample| ear.hear(sample));
    ear.end(3)
}

/// A tone of `hertz` and `height`, from sample `from` on.
fn tone(hertz: f64, height: f64, from: usize) -> impl Iterator<Item = i16> {
    (0..4_000).map(move |n| {
        let wave = (core::f64::consts::TAU * hertz * n as f64 / 8_000.0).sin() * height;
        if n < from { 0 } else { wave as i16 }
    })
}

fn count(sample: &Sample, address: usize) -> usize {
    sample.events.iter().filter(|event| usize::from(event.address) == address).count()
}

#[test]
fn logarithms_are_close() {
    assert_eq!([log2(0), log2(1), log2(2), log2(1 << 40)], [0, 0, 256, 10_240]);
    for power in [3_u64, 5, 1_000, 65_535, 123_456_789, u64::MAX / 3] {
        let exact = (power as f64).log2() * 256.0;
        assert!((f64::from(log2(power)) - exact).abs() < 2.0, "{power}");
    }
}

#[test]
fn bands_overlap_without_a_gap() {
    assert_eq!([triangle(10, 10, 20, 40), triangle(20, 10, 20, 40)], [0, 256]);
    assert_eq!(
        [triangle(15, 10, 20, 40), triangle(30, 10, 20, 40), triangle(40, 10, 20, 40)],
        [128, 128, 0]
    );
    assert!(EDGES.is_sorted());
}

#[test]
fn an_integrator_fires_with_the_square_of_the_level() {
    let fired = |level: u16| {
        let mut charge = 0;
        (0..1_000).filter(|_| fires(&mut charge, level)).count()
    };
    assert_eq!(fired(0), 0);
    assert_eq!(fired(FLOOR), 1_000, "one a tick at most");
    // 1.5 / 4 of a thousand.
    assert!((374..=375).contains(&fired(FLOOR / 2)), "{}", fired(FLOOR / 2));
}

#[test]
fn levels_are_followed_in_steps() {
    let mut levels = vec![[20_000 - FLOOR; BANDS]; 10];
    levels[0][0] = 20_000;
    for level in &mut levels[2..6] {
        level[5] += 2 * STEP + 10;
    }
    let events = encode(&levels);
    let ticks = |address: u8| -> Vec<u32> {
        events.iter().filter(|event| event.address == address).map(|event| event.tick).collect()
    };
    assert_eq!((ticks(48 + 5), ticks(96 + 5)), (vec![2, 3], vec![6, 7]));
    assert_eq!(ticks(48), [0], "one step a tick, then back");
    assert_eq!(ticks(96), [1]);
}

#[test]
fn a_tone_sounds_in_its_band_however_loud() {
    // Band 20 peaks at point 21 of EDGES.
    let hertz = f64::from(EDGES[21]) / 256.0 * 31.25;
    let loud = hear(tone(hertz, 20_000.0, 1_000));
    let soft = hear(tone(hertz, 2_000.0, 1_000));
    for sample in [&loud, &soft] {
        let most = (0..BANDS).map(|band| count(sample, band)).max();
        assert_eq!(most, Some(count(sample, 20)));
        assert_eq!(count(sample, 40), 0, "far away is quiet");
        assert!(count(sample, 48 + 20) >= 8, "it comes up from silence");
    }
    assert_eq!(loud.ticks, soft.ticks);
    let (a, b) = (loud.events.len(), soft.events.len());
    assert!(a.abs_diff(b) * 20 < a, "{a} {b}");
}

#[test]
fn an_utterance_has_its_length_and_its_phases() {
    let sample = hear(tone(500.0, 9_000.0, 0));
    // A window of 192, then one each 32 samples.
    assert_eq!(sample.ticks, 1 + (4_000 - 192) / 32);
    assert_eq!(
        (sample.label, sample.target_valid.clone(), sample.infer_acc.clone()),
        (3, 24..120, 60..120)
    );
    assert!(sample.events.is_sorted_by_key(|event| (event.tick, event.address)));
    assert!(sample.events.iter().all(|event| u16::from(event.address) < CHANNELS));
    let short = hear([5_000; 10].into_iter());
    assert_eq!(short.ticks, 1);
    let silent = hear([0; 400].into_iter());
    assert!(silent.events.is_empty());
}

#[test]
fn an_ear_remembers_nothing_of_the_last_utterance() {
    let mut ear = Ear::new();
    tone(900.0, 9_000.0, 0).for_each(|sample| ear.hear(sample));
    ear.end(0);
    tone(500.0, 9_000.0, 0).for_each(|sample| ear.hear(sample));
    assert_eq!(ear.end(3), hear(tone(500.0, 9_000.0, 0)));
}
