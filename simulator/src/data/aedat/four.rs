//! AEDAT 4: a head and packets as FlatBuffers, each packet compressed by itself.

use std::borrow::Cow;
use std::io::Read;

use super::flat::Table;
use super::{Events, Wrong, array};

/// How such a file begins.
pub const HEADER: &[u8] = b"#!AER-DAT4.0\r\n";
/// Marks a packet of brightness events.
const EVENTS: &[u8] = b"EVTS";
/// An event: 64-bit microseconds, 16-bit column and row, one byte of polarity, padding.
const EVENT_BYTES: usize = 16;
const PACKET_HEAD_BYTES: usize = 8;
/// Most bytes of one packet unpacked: DV writes packets of 10 ms.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

pub(super) fn parse(bytes: &[u8], events: &mut Events) -> Result<(), Wrong> {
    let begin = HEADER.len();
    let head = sized(bytes, begin).and_then(|head| Some((Table::root(head)?, head.len())));
    let (head, length) = head.ok_or_else(|| wrong(begin, "the head is broken"))?;
    let compression = head.i32(0).unwrap_or(0);
    let mut at = begin + 4 + length;
    // The table of packets at the end is an index, which nobody needs who reads all.
    let table = head.i64(1).and_then(|at| usize::try_from(at).ok()).filter(|&table| table >= at);
    let end = table.map_or(bytes.len(), |table| table.min(bytes.len()));
    while at < end {
        let length: [u8; 4] = array(bytes, at + 4)
            .ok_or_else(|| wrong(at, "the file ends within a packet's head"))?;
        let length = usize::try_from(i32::from_le_bytes(length)).ok();
        let body = at + PACKET_HEAD_BYTES;
        let packed = length.and_then(|length| bytes.get(body..body.checked_add(length)?));
        let packed =
            packed.ok_or_else(|| wrong(at, "a packet is longer than what is left of the file"))?;
        let packet = unpack(packed, compression).map_err(|what| Wrong { byte: body, what })?;
        let broken = || wrong(body, "the packet is broken");
        let packet = sized(&packet, 0).ok_or_else(broken)?;
        if packet.get(4..8) == Some(EVENTS) {
            take(packet, body, events)?.ok_or_else(broken)?;
        }
        at = body + packed.len();
    }
    Ok(())
}

/// The events of one packet; `None` when it is broken.
fn take(packet: &[u8], byte: usize, events: &mut Events) -> Result<Option<()>, Wrong> {
    let Some(table) = Table::root(packet) else { return Ok(None) };
    if table.field(0).is_none() {
        return Ok(Some(())); // No events in it.
    }
    let Some((_, structs)) = table.structs(0, EVENT_BYTES) else { return Ok(None) };
    let (structs, _) = structs.as_chunks::<EVENT_BYTES>();
    for event in structs {
        let us = i64::from_le_bytes(array(event, 0).unwrap_or_default());
        let coordinate =
            |at| u16::try_from(i16::from_le_bytes(array(event, at).unwrap_or_default()));
        let (Ok(x), Ok(y)) = (coordinate(8), coordinate(10)) else {
            return Err(wrong(byte, "an event lies at a negative pixel"));
        };
        events.push(byte, us, x, y, event[12] != 0)?;
    }
    Ok(Some(()))
}

/// What stands after its own 32-bit length at `at`.
fn sized(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::try_from(u32::from_le_bytes(array(bytes, at)?)).ok()?;
    bytes.get(at + 4..(at + 4).checked_add(length)?)
}

fn unpack(packed: &[u8], compression: i32) -> Result<Cow<'_, [u8]>, String> {
    let mut bytes = Vec::new();
    let read = match compression {
        0 => return Ok(Cow::Borrowed(packed)),
        1 | 2 => lz4_flex::frame::FrameDecoder::new(packed)
            .take(UNPACKED_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("LZ4: {error}")),
        3 | 4 => ruzstd::decoding::StreamingDecoder::new(packed)
            .map_err(|error| format!("Zstandard: {error}"))
            .and_then(|decoder| {
                let read = decoder.take(UNPACKED_BYTES_MAX).read_to_end(&mut bytes);
                read.map_err(|error| format!("Zstandard: {error}"))
            }),
        other => return Err(format!("compression {other} is none of those of AEDAT 4")),
    };
    read.map(|_| Cow::Owned(bytes))
}

fn wrong(byte: usize, what: &str) -> Wrong {
    Wrong { byte, what: what.to_owned() }
}
