//! The chip's own recordings, where the shared data is present.

mod support;

use tasks::Sample;
use tasks::aer::{Format, Reader, parse};

fn check(samples: &[Sample], right: usize, events: usize) {
    assert_eq!(samples.len(), 50);
    assert_eq!(samples.iter().filter(|s| s.label == 1).count(), right);
    assert_eq!(samples.iter().map(|s| s.events.len()).sum::<usize>(), events);
    for sample in samples {
        assert_eq!(
            (sample.ticks, &sample.target_valid, &sample.infer_acc),
            (2250, &(2100..2250), &(2100..2250))
        );
        let more_right = (0..7).filter(|cue| {
            let during = 50 + 150 * cue..150 + 150 * cue;
            let cue_events =
                sample.events.iter().filter(|e| during.contains(&e.tick) && e.address < 20);
            cue_events.map(|e| if e.address < 10 { -1 } else { 1 }).sum::<i32>() > 0
        });
        assert_eq!(
            u8::from(more_right.count() >= 4),
            sample.label,
            "the label is the side with more cues"
        );
    }
}

#[test]
fn the_chips_own_recordings_are_read_whole() {
    for (file, right, events) in
        [("dataset_cueAcc_train.dat", 28, 28_153), ("dataset_cueAcc_test.dat", 21, 28_221)]
    {
        let Some(text) = support::shared(
            "the_chips_own_recordings_are_read_whole",
            &format!("data/reckon-cue/{file}"),
        ) else {
            return;
        };
        check(&parse(Format::RECKON_CUE, &text).unwrap(), right, events);
    }
}

#[test]
fn a_recording_cut_anywhere_is_refused() {
    let Some(text) = support::shared(
        "a_recording_cut_anywhere_is_refused",
        "data/reckon-cue/dataset_cueAcc_train.dat",
    ) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    for end in (0..lines.len()).step_by(97) {
        let mut reader = Reader::new(Format::RECKON_CUE);
        let read = lines[..end].iter().filter_map(|line| reader.line(line).unwrap()).count();
        assert!(read < 50);
        assert!(reader.finish().is_err(), "cut after line {end}");
    }
}
