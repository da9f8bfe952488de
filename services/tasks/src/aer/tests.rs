//! Good recordings are read whole, bad ones are refused with the line, the code and a reason.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::*;
use crate::random::Rng;

const FORMAT: Format = Format { channels: 4, classes: 2, supervised_from: 5 };
const GOOD: &str = "2\n0, 0\n3, 0\n1, 4\n-2, 1\n2, 9\n-1, 10\n-2, 0\n-1, 6\n";

fn check(text: &str, line: u64, code: &str, reason: &str) {
    let error = parse(FORMAT, text).expect_err(text);
    assert_eq!((error.line, error.code()), (line, code), "{text:?}");
    let shown = error.to_string();
    assert!(shown.starts_with(&format!("line {line}: ")) && shown.contains(reason), "{shown}");
}

#[test]
fn a_good_recording_is_read_whole() {
    let event = |tick, address| Event { tick, address };
    let samples = parse(FORMAT, GOOD).unwrap();
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].events, [event(0, 0), event(0, 3), event(4, 1), event(9, 2)]);
    assert_eq!((samples[0].ticks, samples[0].label), (10, 1));
    assert_eq!((&samples[0].target_valid, &samples[0].infer_acc), (&(5..10), &(5..10)));
    assert_eq!((samples[1].events.len(), samples[1].ticks, samples[1].label), (0, 6, 0));
    assert_eq!(samples[0].as_sample().events, samples[0].events);
}

#[test]
fn line_ends_and_blanks_do_not_matter() {
    let wanted = parse(FORMAT, GOOD).unwrap();
    for text in
        [GOOD.replace('\n', "\r\n"), GOOD.replace(", ", " ,\t"), GOOD.trim_end().replace(", ", ",")]
    {
        assert_eq!(parse(FORMAT, &text).unwrap(), wanted, "{text:?}");
    }
}

#[test]
fn a_bad_count_is_refused() {
    check("", 1, "aer_no_count", "number of samples");
    for text in ["0\n", "-1\n", "1000001\n", "1, 2\n", "two\n", "\n", "99999999999999999999\n"] {
        check(text, 1, "aer_bad_count", "from 1 to 1000000");
    }
}

#[test]
fn garbage_is_refused() {
    for garbage in [
        "", "0", "0 0", "0, 1, 2", "a, 1", "1, b", "0x1, 2", "+1, 2", "1.5, 2", ",", "1,", "1, 2 3",
    ] {
        check(&format!("1\n0, 0\n{garbage}\n"), 3, "aer_not_two_numbers", "address, step");
    }
}

#[test]
fn a_bad_event_is_refused() {
    for address in [4, 255, 256, -3, i64::MAX, i64::MIN] {
        check(
            &format!("1\n{address}, 0\n"),
            2,
            "aer_address_out_of_range",
            &format!("address {address} "),
        );
    }
    for step in [-1, 65_536, i64::MAX] {
        check(&format!("1\n1, {step}\n"), 2, "aer_step_out_of_range", &format!("step {step} "));
    }
    check("1\n1, 7\n1, 6\n", 3, "aer_step_descends", "step 6 comes after step 7");
    check("1\n1, 7\n-2, 0\n-1, 7\n", 4, "aer_event_beyond_end", "event at step 7");
}

#[test]
fn a_bad_label_or_end_is_refused() {
    check("1\n-2, 2\n", 2, "aer_label_out_of_range", "label 2 ");
    check("1\n-2, -1\n", 2, "aer_label_out_of_range", "label -1 ");
    check("1\n-2, 1\n-2, 1\n", 3, "aer_label_repeated", "second label");
    check("1\n0, 1\n-1, 10\n", 3, "aer_label_missing", "without a label");
    for steps in [0, -1, 65_537] {
        check(
            &format!("1\n-2, 1\n-1, {steps}\n"),
            3,
            "aer_end_out_of_range",
            &format!("{steps} steps"),
        );
    }
    check("1\n-2, 1\n-1, 5\n", 3, "aer_ends_unsupervised", "begins at step 5");
}

#[test]
fn a_wrong_number_of_samples_is_refused() {
    check("2\n-2, 1\n-1, 6\n", 4, "aer_samples_missing", "1 more");
    check("1\n-2, 1\n-1, 6\n-2, 1\n", 4, "aer_after_the_last", "announced");
    check("1\n-2, 1\n-1, 6\n\n", 4, "aer_after_the_last", "announced");
    check("1\n0, 1\n", 3, "aer_truncated", "within a sample");
    check("1\n-2, 1\n", 3, "aer_truncated", "within a sample");
}

#[test]
fn a_sample_cannot_grow_without_bound() {
    let mut reader = Reader::new(FORMAT);
    reader.line("1").unwrap();
    for _ in 0..EVENTS_MAX {
        reader.line("0, 0").unwrap();
    }
    assert_eq!(reader.line("0, 0").unwrap_err().code(), "aer_too_many_events");
}

/// What the format says, written back.
fn write(samples: &[Sample]) -> String {
    let mut text = format!("{}\n", samples.len());
    for sample in samples {
        text += &format!("-2, {}\n", sample.label);
        for event in &sample.events {
            text += &format!("{}, {}\n", event.address, event.tick);
        }
        text += &format!("-1, {}\n", sample.ticks);
    }
    text
}

#[test]
fn every_prefix_of_a_recording_is_refused() {
    let lines = GOOD.trim_end();
    for end in (0..lines.len()).filter(|&end| lines.is_char_boundary(end)) {
        assert!(parse(FORMAT, &lines[..end]).is_err() || end == lines.len(), "{:?}", &lines[..end]);
    }
}

#[test]
fn whatever_is_damaged_is_refused_or_still_well_formed() {
    let mut rng = Rng::new(11);
    let alphabet = b"0123456789-, \n+x\r";
    let mut read = 0;
    for _ in 0..20_000 {
        let mut text = String::from(GOOD);
        for _ in 0..=rng.below(3) {
            let at = rng.next_u32() as usize % text.len();
            let with = char::from(alphabet[rng.next_u32() as usize % alphabet.len()]);
            match rng.below(3) {
                0 => text.insert(at, with),
                1 => drop(text.remove(at)),
                _ => text.replace_range(at..=at, with.encode_utf8(&mut [0; 4])),
            }
        }
        match parse(FORMAT, &text) {
            Err(error) => {
                assert!(error.line <= text.lines().count() as u64 + 1, "{text:?}: {error}")
            }
            Ok(samples) => {
                read += 1;
                for sample in &samples {
                    assert!(sample.events.is_sorted_by_key(|e| e.tick));
                    assert!(sample.events.iter().all(|e| e.address < 4 && e.tick < sample.ticks));
                    assert!(sample.label < 2 && sample.ticks > 5);
                }
                assert_eq!(parse(FORMAT, &write(&samples)).unwrap(), samples);
            }
        }
    }
    assert!(read > 500, "only {read} damaged recordings could still be read");
}
