//! Small recordings by hand in both forms, whole and damaged.

use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Recording, String> {
    parse(Path::new("x"), bytes).map_err(|error| error.to_string())
}

/// Two packets: one of another kind, one of three events, the second of them invalid.
fn three() -> Vec<u8> {
    let mut bytes = b"#!AER-DAT3.1\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n".to_vec();
    let mut packet = |kind: u16, size: u32, overflow: u32, events: &[u32]| {
        let count = u32::try_from(events.len() * 4).unwrap() / size;
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        for word in [size, 4, overflow, count, count, count] {
            bytes.extend(word.to_le_bytes());
        }
        events.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    };
    packet(0, 8, 0, &[1, 5]);
    let at = |x: u32, y: u32, on: u32, valid: u32| x << 17 | y << 2 | on << 1 | valid;
    packet(1, 8, 1, &[at(5, 7, 1, 1), 100, at(1, 1, 1, 0), 110, at(127, 0, 0, 1), 350]);
    bytes
}

/// A FlatBuffer of a table with these fields, a length before it: 0 for one that is absent.
fn table(identifier: &[u8], fields: &[&[u8]], after: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    // Root offset, identifier, vtable, table.
    let vtable = 8;
    let length = 4 + 2 * fields.len();
    let at = (vtable + length).next_multiple_of(8) - 4;
    body.extend(u32::try_from(at).unwrap().to_le_bytes());
    body.extend(identifier);
    body.extend(u16::try_from(length).unwrap().to_le_bytes());
    let inside: usize = 4 + fields.iter().map(|field| field.len()).sum::<usize>();
    body.extend(u16::try_from(inside).unwrap().to_le_bytes());
    let mut place = 4_u16;
    for field in fields {
        body.extend(if field.is_empty() { 0 } else { place }.to_le_bytes());
        place += u16::try_from(field.len()).unwrap();
    }
    body.resize(at, 0);
    body.extend(i32::try_from(at - vtable).unwrap().to_le_bytes());
    fields.iter().for_each(|field| body.extend(*field));
    body.extend(after);
    let mut sized = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    sized.extend(body);
    sized
}

fn four(compression: i32) -> Vec<u8> {
    let mut vector = 2_u32.to_le_bytes().to_vec();
    for (us, x, y, on) in [(1_000_000_i64, 3_i16, 4_i16, 1_u8), (1_000_250, 9, 0, 0)] {
        vector.extend(us.to_le_bytes());
        vector.extend(x.to_le_bytes());
        vector.extend(y.to_le_bytes());
        vector.extend([on, 0, 0, 0]);
    }
    let packets = [table(b"TRIG", &[&[]], &[]), table(b"EVTS", &[&4_u32.to_le_bytes()], &vector)];
    let mut bytes = HEADER_4.to_vec();
    bytes.extend(table(b"IOHE", &[&compression.to_le_bytes(), &(-1_i64).to_le_bytes()], &[]));
    for packet in packets {
        let packed = match compression {
            0 => packet,
            _ => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                std::io::Write::write_all(&mut encoder, &packet).unwrap();
                encoder.finish().unwrap()
            }
        };
        bytes.extend(0_i32.to_le_bytes());
        bytes.extend(i32::try_from(packed.len()).unwrap().to_le_bytes());
        bytes.extend(packed);
    }
    bytes
}

#[test]
fn three_has_packets_of_which_one_kind_counts() {
    let recording = read(&three()).unwrap();
    assert_eq!(recording.start_us, (1 << 31) + 100);
    assert_eq!(
        recording.changes,
        [Change { us: 0, x: 5, y: 7, on: true }, Change { us: 250, x: 127, y: 0, on: false }]
    );
}

#[test]
fn four_is_read_plain_and_packed() {
    for compression in [0, 1] {
        let recording = read(&four(compression)).unwrap();
        assert_eq!(recording.start_us, 1_000_000);
        assert_eq!(
            recording.changes,
            [Change { us: 0, x: 3, y: 4, on: true }, Change { us: 250, x: 9, y: 0, on: false }]
        );
    }
    assert!(read(&four(9)).unwrap_err().contains("compression 9 is none"));
}

#[test]
fn what_is_wrong_names_its_byte() {
    let bytes = three();
    let error = read(&bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(
        error,
        format!("x, byte {}: a packet is longer than what is left of the file", bytes.len() - 52)
    );
    assert!(read(b"#!AER-DAT3.1\r\n").unwrap_err().contains("END-HEADER"));
    assert!(read(b"hello").unwrap_err().contains("neither AEDAT 3.1"));
    let bytes = four(0);
    assert!(read(&bytes[..bytes.len() - 1]).unwrap_err().contains("longer than what is left"));
}

proptest! {
    #[test]
    fn damage_is_an_error_or_a_recording_and_never_a_panic(
        kind in 0..3, at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400,
    ) {
        let mut bytes = if kind == 0 { three() } else { four(kind - 1) };
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        if let Err(error) = parse(Path::new("x"), &bytes) {
            prop_assert_eq!(error.code(), "data_malformed");
        }
    }
}
