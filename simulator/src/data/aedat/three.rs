//! AEDAT 3.1: a text head, then packets of events of one kind each.

use super::{Events, Wrong, array};

/// How such a file begins.
pub const HEADER: &[u8] = b"#!AER-DAT3.";
const END_OF_HEAD: &[u8] = b"#!END-HEADER\r\n";
const PACKET_HEAD_BYTES: usize = 28;
/// The kind of packet that tells of brighter and darker pixels, and the size of its events.
const POLARITY: u16 = 1;
const POLARITY_BYTES: u32 = 8;

pub(super) fn parse(bytes: &[u8], events: &mut Events) -> Result<(), Wrong> {
    let head = bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
    let wrong = |byte, what: &str| Wrong { byte, what: what.to_owned() };
    let mut at = head
        .ok_or_else(|| wrong(bytes.len(), "the text head does not end with #!END-HEADER"))?
        + END_OF_HEAD.len();
    while at < bytes.len() {
        let head: [u8; PACKET_HEAD_BYTES] =
            array(bytes, at).ok_or_else(|| wrong(at, "the file ends within a packet's head"))?;
        let word = |offset: usize| u32::from_le_bytes(array(&head, offset).unwrap_or_default());
        let kind = u16::from_le_bytes(array(&head, 0).unwrap_or_default());
        let (size, overflow, count) = (word(4), word(12), word(20));
        let body = at + PACKET_HEAD_BYTES;
        let length = u64::from(size) * u64::from(count);
        let end = usize::try_from(length).ok().and_then(|length| body.checked_add(length));
        let packet = end.and_then(|end| bytes.get(body..end));
        let packet =
            packet.ok_or_else(|| wrong(at, "a packet is longer than what is left of the file"))?;
        if kind == POLARITY {
            if size != POLARITY_BYTES {
                return Err(wrong(at, "events of brightness should have 8 bytes"));
            }
            let (pairs, _) = packet.as_chunks::<8>();
            for (pair, index) in pairs.iter().zip(0..) {
                let data = u32::from_le_bytes(array(pair, 0).unwrap_or_default());
                let stamp = u32::from_le_bytes(array(pair, 4).unwrap_or_default());
                if data & 1 == 0 {
                    continue; // Marked as invalid by the camera's own filters.
                }
                let us = i64::from(overflow) << 31 | i64::from(stamp & 0x7FFF_FFFF);
                let coordinate = |shift: u32| u16::try_from(data >> shift & 0x7FFF).unwrap_or(0);
                events.push(body + 8 * index, us, coordinate(17), coordinate(2), data & 2 != 0)?;
            }
        }
        at = body + packet.len();
    }
    Ok(())
}
