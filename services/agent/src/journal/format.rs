//! The journal's bytes, little-endian:
//!
//! ```text
//! 8 bytes  "MUSTERj1"
//! 32 bytes SHA-256 of all that follows
//! u8       number of residuals, then for each: name, lanes
//! u8       number of awaited rounds, then for each: round, name, lanes
//! u8       1 if there is an update: round, name, 32 bytes base, u32 samples, 3 x u64 metrics, u32 n, n bytes, lanes
//!
//! name     u8 n, n bytes
//! round    u64 run, u32 number, u32 attempt
//! lanes    u32 number, u8 width (1, 2 or 4), then as many integers of that width
//! ```

use federation::limits::WEIGHTS_MAX;
use federation::{Digest, Metrics, ModelName, RoundRef, RunId};
use thiserror::Error;

use super::{Awaited, Entry, State};
use crate::residual::Residual;

const FAMILY: &[u8] = b"MUSTERj";
const MAGIC: &[u8; 8] = b"MUSTERj1";
const HEAD_BYTES: usize = MAGIC.len() + 32;

/// Why bytes are not a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The file does not begin with the format's mark.
    #[error("it does not begin with \"MUSTERj\"")]
    Magic,
    /// It is a journal of another release.
    #[error("it is of another release")]
    Unknown,
    /// The checksum does not match: the file is torn, cut or changed.
    #[error("its checksum does not match")]
    Checksum,
    /// A field is cut or impossible, though the checksum matches.
    #[error("its field `{0}` is impossible")]
    Field(&'static str),
}

pub(super) fn encode(state: &State) -> Vec<u8> {
    let State { residuals, awaiting, outbox } = state;
    let mut out = Vec::from(MAGIC);
    out.extend_from_slice(&[0; 32]);
    out.push(small(residuals.len()));
    for (model, residual) in residuals {
        put_name(&mut out, model);
        put_lanes(&mut out, residual);
    }
    out.push(small(awaiting.len()));
    for Awaited { round, model, change } in awaiting {
        put_round(&mut out, *round);
        put_name(&mut out, model);
        put_lanes(&mut out, change);
    }
    out.push(u8::from(outbox.is_some()));
    if let Some(Entry { round, model, base, payload, samples, metrics, residual }) = outbox {
        put_round(&mut out, *round);
        put_name(&mut out, model);
        out.extend_from_slice(&base.0);
        out.extend_from_slice(&samples.to_le_bytes());
        let Metrics { correct, synaptic_ops, bytes_down } = metrics;
        for count in [correct, synaptic_ops, bytes_down] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&length(payload.len()).to_le_bytes());
        out.extend_from_slice(payload);
        put_lanes(&mut out, residual);
    }
    let Digest(sum) = Digest::of(&out[HEAD_BYTES..]);
    out[MAGIC.len()..HEAD_BYTES].copy_from_slice(&sum);
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<State, FormatError> {
    if !bytes.starts_with(FAMILY) {
        return Err(FormatError::Magic);
    }
    let mut reader = Reader { rest: bytes };
    if reader.take("mark", MAGIC.len())? != MAGIC {
        return Err(FormatError::Unknown);
    }
    let sum = reader.array("checksum")?;
    if Digest::of(reader.rest) != Digest(sum) {
        return Err(FormatError::Checksum);
    }
    let mut state = State::default();
    for _ in 0..reader.u8("residuals")? {
        state.residuals.push((reader.name()?, reader.lanes()?));
    }
    for _ in 0..reader.u8("awaiting")? {
        let round = reader.round()?;
        state.awaiting.push(Awaited { round, model: reader.name()?, change: reader.lanes()? });
    }
    match reader.u8("outbox")? {
        0 => {}
        1 => state.outbox = Some(reader.entry()?),
        _ => return Err(FormatError::Field("outbox")),
    }
    if reader.rest.is_empty() { Ok(state) } else { Err(FormatError::Field("end")) }
}

fn small(count: usize) -> u8 {
    u8::try_from(count).expect("limits keep every list of the journal below 256")
}

fn length(count: usize) -> u32 {
    u32::try_from(count).expect("limits keep a model's weights below 2^32")
}

fn put_name(out: &mut Vec<u8>, model: &ModelName) {
    out.push(small(model.as_str().len()));
    out.extend_from_slice(model.as_str().as_bytes());
}

fn put_round(out: &mut Vec<u8>, round: RoundRef) {
    let RoundRef { run: RunId(run), number, attempt } = round;
    out.extend_from_slice(&run.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&attempt.to_le_bytes());
}

fn put_lanes(out: &mut Vec<u8>, residual: &Residual) {
    let lanes = residual.lanes();
    let fits = |min: i32, max: i32| lanes.iter().all(|lane| (min..=max).contains(lane));
    let width: u8 = if fits(i8::MIN.into(), i8::MAX.into()) {
        1
    } else if fits(i16::MIN.into(), i16::MAX.into()) {
        2
    } else {
        4
    };
    out.extend_from_slice(&length(lanes.len()).to_le_bytes());
    out.push(width);
    for lane in lanes {
        out.extend_from_slice(&lane.to_le_bytes()[..usize::from(width)]);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(FormatError::Field(field))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(FormatError::Field(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    fn count(&mut self, field: &'static str) -> Result<usize, FormatError> {
        let count = usize::try_from(self.u32(field)?).ok().filter(|&count| count <= WEIGHTS_MAX);
        count.ok_or(FormatError::Field(field))
    }

    fn name(&mut self) -> Result<ModelName, FormatError> {
        let len = usize::from(self.u8("name")?);
        let text = std::str::from_utf8(self.take("name", len)?).ok();
        text.and_then(|text| text.parse().ok()).ok_or(FormatError::Field("name"))
    }

    fn round(&mut self) -> Result<RoundRef, FormatError> {
        let run = RunId(self.u64("round")?);
        Ok(RoundRef { run, number: self.u32("round")?, attempt: self.u32("round")? })
    }

    fn lanes(&mut self) -> Result<Residual, FormatError> {
        let count = self.count("lanes")?;
        let width = usize::from(self.u8("width")?);
        if !matches!(width, 1 | 2 | 4) {
            return Err(FormatError::Field("width"));
        }
        let widen = |chunk: &[u8]| {
            let negative = chunk.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 4];
            wide[..chunk.len()].copy_from_slice(chunk);
            i32::from_le_bytes(wide)
        };
        let bytes = self.take("lanes", count * width)?;
        Ok(Residual::new(bytes.chunks_exact(width).map(widen).collect()))
    }

    fn entry(&mut self) -> Result<Entry, FormatError> {
        let round = self.round()?;
        let model = self.name()?;
        let base = Digest(self.array("base")?);
        let samples = self.u32("samples")?;
        let metrics = Metrics {
            correct: self.u64("metrics")?,
            synaptic_ops: self.u64("metrics")?,
            bytes_down: self.u64("metrics")?,
        };
        let len = self.count("payload")?;
        let payload = self.take("payload", len)?.into();
        Ok(Entry { round, model, base, payload, samples, metrics, residual: self.lanes()? })
    }
}
