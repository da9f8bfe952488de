//! Samples as bytes: a small file that a device reads as a stream, with a checksum, and no number in it that is not needed.
//!
//! ```text
//! file   = "MEV1" channels:u16 classes:u8 0:u8 samples:u32 sample* crc:u32       fixed numbers little-endian
//! sample = ticks label learn.start learn.end vote.start vote.end events event*   numbers in LEB128, at most 32 bits
//! event  = since:LEB128 address:u8                                               since = ticks after the event before
//! ```
//!
//! `learn` and `vote` are the ticks at which the chip is given the label and at which it votes. `crc` is the CRC-32 of
//! zip and Ethernet over everything before it. An event takes two bytes at most where events are less than 128 ticks apart.
//!
//! [`encode`] writes it. [`Reader`] takes bytes from anywhere, one at a time, and holds one sample; whatever is not
//! exactly this form is an error that names the byte. A reader knows that a file is whole only at its end: samples that
//! came before may be from a damaged file.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use reckon::Event;

use crate::limits::{CHANNELS_MAX, CLASSES_MAX, EVENTS_MAX, SAMPLES_MAX, TICKS_MAX};
use crate::sample::Sample;

/// The first bytes of every file.
pub const MAGIC: [u8; 4] = *b"MEV1";

/// The file of `samples`, of `channels` channels (1 to 256) and `classes` classes (1 to 16).
///
/// # Errors
/// The first thing by which the samples break the limits of the form; its byte is where it would have stood.
pub fn encode<'a>(
    channels: u16,
    classes: u8,
    samples: impl ExactSizeIterator<Item = &'a Sample>,
) -> Result<Vec<u8>, EventsError> {
    let mut bytes = Vec::from(MAGIC);
    let at = |bytes: &Vec<u8>, problem| EventsError { byte: bytes.len() as u64, problem };
    let count = u32::try_from(samples.len()).ok().filter(|&count| count <= SAMPLES_MAX);
    let count = count.ok_or_else(|| at(&bytes, Problem::BadHeader))?;
    bytes.extend(channels.to_le_bytes());
    bytes.extend([classes, 0]);
    bytes.extend(count.to_le_bytes());
    Header::parse(bytes[4..].try_into().unwrap_or_default())
        .map_err(|problem| EventsError { byte: 4, problem })?;
    for sample in samples {
        check(sample, channels, classes).map_err(|problem| at(&bytes, problem))?;
        let Sample { events, ticks, label, target_valid, infer_acc } = sample;
        let numbers = [target_valid.start, target_valid.end, infer_acc.start, infer_acc.end];
        leb128(&mut bytes, *ticks);
        leb128(&mut bytes, u32::from(*label));
        numbers.into_iter().for_each(|number| leb128(&mut bytes, number));
        leb128(&mut bytes, u32::try_from(events.len()).unwrap_or(u32::MAX));
        let mut last = 0;
        for event in events {
            leb128(&mut bytes, event.tick - last);
            bytes.push(event.address);
            last = event.tick;
        }
    }
    let mut crc = Crc::new();
    bytes.iter().for_each(|&byte| crc.take(byte));
    bytes.extend(crc.value().to_le_bytes());
    Ok(bytes)
}

/// Reads one file, a sample at a time.
#[derive(Debug, Clone)]
pub struct Reader<S> {
    source: S,
    header: Header,
    read: u64,
    crc: Crc,
    left: u32,
    ended: bool,
}

impl<E, S: Iterator<Item = Result<u8, E>>> Reader<S> {
    /// Reads the head of the file from `source`, which gives its bytes in order.
    ///
    /// # Errors
    /// [`ReadError`], as for [`Reader::sample`].
    pub fn new(source: S) -> Result<Self, ReadError<E>> {
        let header = Header { channels: 0, classes: 0, samples: 0 };
        let mut reader = Self { source, header, read: 0, crc: Crc::new(), left: 0, ended: false };
        let magic: [u8; 4] = reader.array()?;
        if magic != MAGIC {
            return Err(reader.wrong_at(0, Problem::NotThisForm));
        }
        let header = Header::parse(reader.array()?);
        reader.header = header.map_err(|problem| reader.wrong_at(4, problem))?;
        reader.left = reader.header.samples;
        Ok(reader)
    }

    /// Input channels: addresses are below this.
    #[must_use]
    pub const fn channels(&self) -> u16 {
        self.header.channels
    }

    /// Classes: labels are below this.
    #[must_use]
    pub const fn classes(&self) -> u8 {
        self.header.classes
    }

    /// The next sample; `None` after the last, once the checksum is right and nothing follows it.
    ///
    /// # Errors
    /// [`ReadError::Source`] when the source fails, else [`ReadError::Malformed`]. A reader that has returned an error is of
    /// no further use.
    pub fn sample(&mut self) -> Result<Option<Sample>, ReadError<E>> {
        if self.left == 0 {
            return if self.ended { Ok(None) } else { self.end().map(|()| None) };
        }
        let begin = self.read;
        let ticks = self.number()?;
        let label = u8::try_from(self.number()?)
            .map_err(|_| self.wrong_at(begin, Problem::LabelOutOfRange))?;
        let target_valid = self.number()?..self.number()?;
        let infer_acc = self.number()?..self.number()?;
        let count = self.number()?;
        if usize::try_from(count).is_ok_and(|count| count > EVENTS_MAX) {
            return Err(self.wrong_at(begin, Problem::TooManyEvents));
        }
        let mut sample = Sample { events: Vec::new(), ticks, label, target_valid, infer_acc };
        check(&sample, self.header.channels, self.header.classes)
            .map_err(|problem| self.wrong_at(begin, problem))?;
        let mut tick = 0_u32;
        for _ in 0..count {
            let at = self.read;
            let since = self.number()?;
            let address = self.byte()?;
            tick = tick.saturating_add(since);
            if tick >= ticks {
                return Err(self.wrong_at(at, Problem::EventBeyondEnd));
            }
            if u16::from(address) >= self.header.channels {
                return Err(self.wrong_at(at, Problem::AddressOutOfRange));
            }
            sample.events.push(Event { tick, address });
        }
        self.left -= 1;
        Ok(Some(sample))
    }

    fn end(&mut self) -> Result<(), ReadError<E>> {
        let (at, expected) = (self.read, self.crc.value());
        if u32::from_le_bytes(self.array()?) != expected {
            return Err(self.wrong_at(at, Problem::Checksum));
        }
        match self.source.next() {
            None => self.ended = true,
            Some(Ok(_)) => return Err(self.wrong_at(self.read, Problem::AfterTheEnd)),
            Some(Err(error)) => return Err(ReadError::Source(error)),
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, ReadError<E>> {
        match self.source.next() {
            Some(Ok(byte)) => {
                self.read += 1;
                self.crc.take(byte);
                Ok(byte)
            }
            Some(Err(error)) => Err(ReadError::Source(error)),
            None => Err(self.wrong_at(self.read, Problem::Truncated)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError<E>> {
        let mut array = [0; N];
        for place in &mut array {
            *place = self.byte()?;
        }
        Ok(array)
    }

    fn number(&mut self) -> Result<u32, ReadError<E>> {
        let at = self.read;
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.wrong_at(at, Problem::BadNumber));
            }
        }
        Err(self.wrong_at(at, Problem::BadNumber))
    }

    fn wrong_at(&self, byte: u64, problem: Problem) -> ReadError<E> {
        ReadError::Malformed(EventsError { byte, problem })
    }
}

#[derive(Debug, Clone, Copy)]
struct Header {
    channels: u16,
    classes: u8,
    samples: u32,
}

impl Header {
    fn parse(bytes: [u8; 8]) -> Result<Self, Problem> {
        let [c0, c1, classes, zero, s0, s1, s2, s3] = bytes;
        let channels = u16::from_le_bytes([c0, c1]);
        let samples = u32::from_le_bytes([s0, s1, s2, s3]);
        let good = (1..=CHANNELS_MAX).contains(&channels)
            && (1..=CLASSES_MAX).contains(&classes)
            && zero == 0
            && samples <= SAMPLES_MAX;
        if good { Ok(Self { channels, classes, samples }) } else { Err(Problem::BadHeader) }
    }
}

/// What must hold of a sample, whether it is to be written or was read.
fn check(sample: &Sample, channels: u16, classes: u8) -> Result<(), Problem> {
    let Sample { events, ticks, label, target_valid, infer_acc } = sample;
    let within = |range: &Range<u32>| range.start <= range.end && range.end <= *ticks;
    if !(1..=TICKS_MAX).contains(ticks) {
        return Err(Problem::TicksOutOfRange);
    }
    if *label >= classes {
        return Err(Problem::LabelOutOfRange);
    }
    if !within(target_valid) || !within(infer_acc) {
        return Err(Problem::PhaseOutOfRange);
    }
    if events.len() > EVENTS_MAX {
        return Err(Problem::TooManyEvents);
    }
    if events.iter().any(|event| u16::from(event.address) >= channels) {
        return Err(Problem::AddressOutOfRange);
    }
    if events.last().is_some_and(|event| event.tick >= *ticks)
        || !events.is_sorted_by_key(|e| e.tick)
    {
        return Err(Problem::EventBeyondEnd);
    }
    Ok(())
}

fn leb128(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7F) as u8);
}

/// CRC-32/ISO-HDLC, a nibble at a time: 64 bytes of table.
#[derive(Debug, Clone, Copy)]
struct Crc(u32);

impl Crc {
    const fn new() -> Self {
        Self(u32::MAX)
    }

    fn take(&mut self, byte: u8) {
        for nibble in [byte & 15, byte >> 4] {
            let at = (self.0 ^ u32::from(nibble)) & 15;
            self.0 = CRC_TABLE[usize::try_from(at).unwrap_or(0)] ^ (self.0 >> 4);
        }
    }

    const fn value(self) -> u32 {
        !self.0
    }
}

const CRC_TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let (mut at, mut nibble) = (0, 0_u32);
    while at < 16 {
        let (mut value, mut bit) = (nibble, 0);
        while bit < 4 {
            value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
        nibble += 1;
    }
    table
};

/// Why a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError<E> {
    /// The source of its bytes failed.
    Source(E),
    /// It is not what it should be.
    Malformed(EventsError),
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsError {
    /// The byte, counted from 0.
    pub byte: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentence that Display makes of each is its documentation")]
pub enum Problem {
    NotThisForm,
    BadHeader,
    BadNumber,
    TicksOutOfRange,
    LabelOutOfRange,
    PhaseOutOfRange,
    TooManyEvents,
    AddressOutOfRange,
    EventBeyondEnd,
    Truncated,
    Checksum,
    AfterTheEnd,
}

impl EventsError {
    /// A stable name of the problem, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            Problem::NotThisForm => "events_not_this_form",
            Problem::BadHeader => "events_bad_header",
            Problem::BadNumber => "events_bad_number",
            Problem::TicksOutOfRange => "events_ticks_out_of_range",
            Problem::LabelOutOfRange => "events_label_out_of_range",
            Problem::PhaseOutOfRange => "events_phase_out_of_range",
            Problem::TooManyEvents => "events_too_many_events",
            Problem::AddressOutOfRange => "events_address_out_of_range",
            Problem::EventBeyondEnd => "events_event_beyond_end",
            Problem::Truncated => "events_truncated",
            Problem::Checksum => "events_checksum",
            Problem::AfterTheEnd => "events_after_the_end",
        }
    }
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.byte, self.problem)
    }
}

impl core::error::Error for EventsError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotThisForm => f.write_str("an events file begins with `MEV1`"),
            Self::BadHeader => write!(
                f,
                "the head should name 1 to {CHANNELS_MAX} channels, 1 to {CLASSES_MAX} classes, a zero and at most {SAMPLES_MAX} samples"
            ),
            Self::BadNumber => f.write_str("a number has more than 32 bits"),
            Self::TicksOutOfRange => write!(f, "a sample's length is from 1 to {TICKS_MAX} ticks"),
            Self::LabelOutOfRange => f.write_str("the sample's label is not one of the classes"),
            Self::PhaseOutOfRange => {
                f.write_str("the sample learns or votes outside of its own length")
            }
            Self::TooManyEvents => write!(f, "the sample has more than {EVENTS_MAX} events"),
            Self::AddressOutOfRange => f.write_str("an event's address is not one of the channels"),
            Self::EventBeyondEnd => {
                f.write_str("an event lies beyond the sample's end, or before the event before it")
            }
            Self::Truncated => f.write_str("the file ends here, but more should follow"),
            Self::Checksum => f.write_str("the checksum is wrong: the file is damaged"),
            Self::AfterTheEnd => f.write_str("more follows after the checksum"),
        }
    }
}

#[cfg(test)]
mod tests;
