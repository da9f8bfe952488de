use super::*;
use std::convert::Infallible;
use std::vec;

fn sample(label: u8, events: &[(u32, u8)]) -> Sample {
    let events = events.iter().map(|&(tick, address)| Event { tick, address }).collect();
    Sample { events, ticks: 300, label, target_valid: 100..300, infer_acc: 200..300 }
}

fn decode(bytes: &[u8]) -> Result<Vec<Sample>, &'static str> {
    let code = |error: ReadError<Infallible>| match error {
        ReadError::Source(never) => match never {},
        ReadError::Malformed(error) => error.code(),
    };
    let mut reader = Reader::new(bytes.iter().map(|&byte| Ok(byte))).map_err(code)?;
    let mut samples = Vec::new();
    while let Some(sample) = reader.sample().map_err(code)? {
        samples.push(sample);
    }
    assert_eq!(reader.sample(), Ok(None), "the end stays the end");
    Ok(samples)
}

#[test]
fn the_bytes_are_those_of_the_form() {
    let bytes = encode(4, 2, [sample(1, &[(0, 3), (200, 0)])].iter()).unwrap();
    let mut expected = vec![b'M', b'E', b'V', b'1', 4, 0, 2, 0, 1, 0, 0, 0];
    expected.extend([0xAC, 2, 1, 100, 0xAC, 2, 0xC8, 1, 0xAC, 2, 2]);
    expected.extend([0, 3, 0xC8, 1, 0]);
    assert_eq!(bytes[..bytes.len() - 4], expected);
    assert_eq!(decode(&bytes), Ok(vec![sample(1, &[(0, 3), (200, 0)])]));
}

#[test]
fn the_checksum_is_the_usual_one() {
    let mut crc = Crc::new();
    b"123456789".iter().for_each(|&byte| crc.take(byte));
    assert_eq!(crc.value(), 0xCBF4_3926);
}

#[test]
fn what_was_written_is_read_again() {
    for samples in [
        vec![],
        vec![sample(0, &[])],
        vec![sample(1, &[(0, 0), (0, 255), (299, 7)]), sample(0, &[(5, 5)])],
    ] {
        assert_eq!(decode(&encode(256, 2, samples.iter()).unwrap()), Ok(samples));
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let bytes = encode(9, 2, [sample(1, &[(3, 8), (200, 1)]), sample(0, &[])].iter()).unwrap();
    for at in 0..bytes.len() {
        assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        for flip in 1..=255_u8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            assert!(decode(&damaged).is_err(), "byte {at} changed by {flip:#x}");
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(decode(&longer), Err("events_after_the_end"));
}

#[test]
fn what_cannot_be_written_is_told() {
    let code = |channels, classes, sample: Sample| {
        encode(channels, classes, [sample].iter()).unwrap_err().code()
    };
    assert_eq!(code(0, 2, sample(0, &[])), "events_bad_header");
    assert_eq!(code(257, 2, sample(0, &[])), "events_bad_header");
    assert_eq!(code(4, 17, sample(0, &[])), "events_bad_header");
    assert_eq!(code(4, 2, sample(2, &[])), "events_label_out_of_range");
    assert_eq!(code(4, 2, sample(0, &[(1, 4)])), "events_address_out_of_range");
    assert_eq!(code(4, 2, sample(0, &[(300, 1)])), "events_event_beyond_end");
    assert_eq!(code(4, 2, sample(0, &[(5, 1), (4, 1)])), "events_event_beyond_end");
    assert_eq!(code(4, 2, Sample { ticks: 0, ..sample(0, &[]) }), "events_ticks_out_of_range");
    assert_eq!(
        code(4, 2, Sample { infer_acc: 9..301, ..sample(0, &[]) }),
        "events_phase_out_of_range"
    );
}
