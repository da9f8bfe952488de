//! Literal values of the generator, so that any change of it is noticed, and its statistics.

use alloc::vec::Vec;

use super::*;

const STREAM: Stream = Stream::new(1);

#[test]
fn the_generator_has_not_changed() {
    // Label, number of events, sum of 64 tick + address over them.
    let seen: Vec<(u8, usize, u32)> = (0..5)
        .map(|index| {
            let sample = STREAM.sample(index);
            let sum = sample.events.iter().map(|e| 64 * e.tick + u32::from(e.address)).sum();
            (sample.label, sample.events.len(), sum)
        })
        .collect();
    let wanted = [
        (0, 576, 35_880_936),
        (0, 575, 35_582_689),
        (1, 563, 35_482_611),
        (0, 592, 33_483_130),
        (0, 596, 33_931_910),
    ];
    assert_eq!(seen, wanted);
    let first: Vec<(u32, u8)> = STREAM.trial(0).take(8).map(|e| (e.tick, e.address)).collect();
    assert_eq!(
        first,
        [(14, 36), (18, 34), (33, 39), (37, 34), (37, 38), (39, 39), (43, 37), (50, 17)]
    );
    assert_ne!(Stream::of_node(1, 0), Stream::of_node(1, 1));
    assert_ne!(Stream::of_node(1, 0), Stream::unseen(1));
}

#[test]
fn a_sample_depends_on_seed_and_index_only() {
    assert_eq!(STREAM.sample(7), STREAM.sample(7));
    assert_ne!(STREAM.sample(7).events, STREAM.sample(8).events);
    assert_ne!(STREAM.sample(7).events, Stream::new(2).sample(7).events);
    let mut buffer = STREAM.sample(3).events;
    assert_eq!(STREAM.fill(7, &mut buffer), STREAM.sample(7).label);
    assert_eq!(buffer, STREAM.sample(7).events);
}

#[test]
fn events_ascend_strictly_and_stand_where_the_table_says() {
    for index in 0..50 {
        let trial = STREAM.trial(index);
        let cues = trial.cues();
        let events: Vec<Event> = trial.collect();
        assert!(events.is_sorted_by_key(|e| (e.tick, e.address)));
        assert!(events.windows(2).all(|w| w[0] != w[1]));
        for Event { tick, address } in events {
            assert!(tick < TICKS && address < CHANNELS);
            let cue = (0..7).find(|k| (50 + 150 * k..150 + 150 * k).contains(&tick));
            match address {
                0..20 => {
                    let side = if address < 10 { Side::Left } else { Side::Right };
                    assert_eq!(cues[cue.unwrap() as usize], side);
                }
                20..30 => assert!(tick >= 2100),
                _ => {}
            }
        }
    }
}

#[test]
fn rates_are_40_and_10_hertz() {
    let mut counts = [0_u32; 40];
    for index in 0..400 {
        for event in STREAM.trial(index) {
            counts[usize::from(event.address)] += 1;
        }
    }
    let of = |channels: Range<usize>| counts[channels].iter().sum::<u32>();
    // 400 samples: 10 channels x 700 ms x 40 Hz, 150 ms x 40 Hz, 2250 ms x 10 Hz; within about four deviations.
    assert!((110_600..=113_400).contains(&of(0..20)), "cues {}", of(0..20));
    assert!((23_400..=24_600).contains(&of(20..30)), "recall {}", of(20..30));
    assert!((88_800..=91_200).contains(&of(30..40)), "noise {}", of(30..40));
    // No channel is forgotten: each noise channel within 4 deviations (95) of 9000.
    assert!(counts[30..].iter().all(|n| (8_620..=9_380).contains(n)), "{counts:?}");
    assert!(counts[20..30].iter().all(|n| (2_200..=2_600).contains(n)), "{counts:?}");
}

#[test]
fn labels_are_the_majority_and_balanced() {
    let mut right_labels = 0;
    let mut histogram = [0_u32; CUES + 1];
    for index in 0..4_000 {
        let trial = STREAM.trial(index);
        let right = trial.cues().iter().filter(|&&side| side == Side::Right).count();
        assert_eq!(trial.label() == 1, right >= 4);
        histogram[right] += 1;
        right_labels += u32::from(trial.label());
    }
    assert!((1_870..=2_130).contains(&right_labels), "{right_labels}");
    // All seven on one side: (0.7^7 + 0.3^7) / 2 = 4.13 % each; four to three: (0.7^4 0.3^3 + 0.7^3 0.3^4) 35 / 2 = 16.2 %.
    for ends in [histogram[0], histogram[7]] {
        assert!((110..=220).contains(&ends), "{histogram:?}");
    }
    for middle in [histogram[3], histogram[4]] {
        assert!((550..=745).contains(&middle), "{histogram:?}");
    }
}

#[test]
fn cue_channels_carry_the_label() {
    for index in 0..200 {
        let sample = STREAM.sample(index);
        let mut more_right = 0;
        for cue in 0..7 {
            let during = 50 + 150 * cue..150 + 150 * cue;
            let of = |channels: Range<u8>| {
                let hit = |e: &&Event| during.contains(&e.tick) && channels.contains(&e.address);
                sample.events.iter().filter(hit).count()
            };
            more_right += u8::from(of(10..20) > of(0..10));
        }
        assert_eq!(u8::from(more_right >= 4), sample.label);
    }
}

#[test]
fn a_class_filter_keeps_only_that_class_and_mirrors_the_rest() {
    for label in 0..CLASSES {
        let only = STREAM.of_class(label);
        for index in 0..100 {
            let (all, one) = (STREAM.trial(index), only.trial(index));
            assert_eq!(one.label(), label);
            if all.label() == label {
                assert_eq!(only.sample(index), STREAM.sample(index));
            } else {
                assert_eq!(all.cues().map(Side::mirrored), one.cues());
            }
        }
    }
    assert_eq!(STREAM.of_class(2), STREAM);
}

#[test]
fn plans_ascend_and_the_chip_takes_their_registers() {
    for plan in [plan::FLEET, plan::RECORDINGS, plan::ONE_CLASS] {
        assert!(plan.schedule.is_sorted_by(|one, next| one.from_round < next.from_round));
        assert!(plan.schedule.iter().all(|step| step.from_round <= plan.rounds));
        let mut params = chip::params();
        for (name, value) in plan.schedule.iter().flat_map(|step| step.registers) {
            assert_eq!(params.set(name, *value), Ok(()), "{name}");
        }
    }
}
