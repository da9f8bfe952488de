//! What a node must not forget, in one file that is replaced as a whole: residuals, the unsent update, and the rounds
//! whose outcome it awaits.
//!
//! One round, step by step; each arrow is one durable write:
//!
//! ```text
//! {residual: old}
//!   -> keep      {residual: old, outbox: update + new residual}   before the first push
//!   -> counted   {residual: new, awaiting: round, new - old}      the coordinator's receipt is here
//!   -> settle    {residual: new}                                  the round was published
//!             or {residual: new - (new - old)}                    the round was abandoned
//!   or refused   {residual: old}                                  the update does not count: its learning is dropped
//! ```
//!
//! Whatever instant the power fails at, the file holds one of these states, and the next step can be done again: a
//! push repeated from the outbox gets its first receipt again. While a round is awaited the node may take part in others;
//! because what a round changed is kept as a difference, it can be taken back later on, too.
//!
//! A round that the coordinator does not know any more counts as published: most rounds are, it keeps its rounds for
//! 30 days after their end, and the price of a wrong guess is one round's residual.

mod format;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use federation::{Candidate, Digest, Metrics, ModelName, NodeId, RoundRef, Settled};
use tracing::{error, warn};

use crate::error::AgentError;
use crate::files::{Slot, sync_parent};
use crate::limits::{AWAITING_MAX, JOURNAL_BYTES_MAX, RESIDUALS_MAX};
use crate::residual::Residual;

pub use format::FormatError;

/// The file in the state directory.
pub const FILE: &str = "journal";

/// An update that waits for its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The round it is for.
    pub round: RoundRef,
    /// The model.
    pub model: ModelName,
    /// The version it is relative to.
    pub base: Digest,
    /// The lanes, as bytes.
    pub payload: Arc<[u8]>,
    /// Samples learned from, counted once per epoch.
    pub samples: u32,
    /// What is reported beside.
    pub metrics: Metrics,
    /// The residual that becomes current with the receipt.
    pub residual: Residual,
}

impl Entry {
    /// The update as its first message announces it.
    #[must_use]
    pub fn candidate(&self, node: &NodeId) -> Candidate {
        Candidate {
            node: node.clone(),
            round: self.round,
            base: self.base,
            payload_bytes: u64::try_from(self.payload.len()).expect("a length fits 64 bits"),
            payload: Digest::of(&self.payload),
            samples: self.samples,
            metrics: self.metrics,
        }
    }
}

/// A counted update whose round is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Awaited {
    round: RoundRef,
    model: ModelName,
    /// New residual less the old one: what an abandoned round takes back.
    change: Residual,
}

/// Everything the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// By model, the one used last at the end.
    residuals: Vec<(ModelName, Residual)>,
    /// Oldest first.
    awaiting: Vec<Awaited>,
    outbox: Option<Entry>,
}

/// The journal of a node's state directory.
#[derive(Debug)]
pub struct Journal {
    slot: Slot,
    state: State,
}

impl Journal {
    /// The journal in `dir`, empty when there is none.
    ///
    /// A file that is damaged is kept as `journal.corrupt` and told in the log as `journal_corrupt`; the node goes on
    /// without what it held, which costs at most one round's learning and never counts anything twice.
    ///
    /// # Errors
    /// `journal_format_unknown` for a file of another release, `state_file_unreadable` when it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, AgentError> {
        let path = dir.join(FILE);
        let unreadable = |source| AgentError::File { path: path.clone(), source };
        let state = match read_bounded(&path) {
            Ok(bytes) => match format::decode(&bytes) {
                Ok(state) => state,
                Err(FormatError::Unknown) => return Err(AgentError::JournalFormat { path }),
                Err(damage) => {
                    let kept = dir.join("journal.corrupt");
                    error!(code = "journal_corrupt", journal.kept = %kept.display(), %damage,
                        "the journal is damaged; the node goes on without its unsent update and residuals");
                    fs::rename(&path, &kept)
                        .and_then(|()| sync_parent(&path))
                        .map_err(unreadable)?;
                    State::default()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(unreadable(source)),
        };
        Ok(Self { slot: Slot::File(path), state })
    }

    /// An empty journal that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { slot: Slot::Memory, state: State::default() }
    }

    /// A journal that ends with the process and begins with what [`Journal::to_bytes`] gave.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are no journal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Ok(Self { slot: Slot::Memory, state: format::decode(bytes)? })
    }

    /// All that it holds, as it stands in a file; nothing of an empty one.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        (self.state != State::default()).then(|| format::encode(&self.state))
    }

    /// What did not fit into the model's last counted update.
    #[must_use]
    pub fn residual(&self, model: &ModelName) -> Residual {
        let found = self.state.residuals.iter().find(|(name, _)| name == model);
        found.map(|(_, residual)| residual.clone()).unwrap_or_default()
    }

    /// The update that waits for its receipt.
    #[must_use]
    pub fn outbox(&self) -> Option<&Entry> {
        self.state.outbox.as_ref()
    }

    /// The counted rounds whose outcome is not known, oldest first.
    pub fn awaiting(&self) -> impl ExactSizeIterator<Item = RoundRef> + '_ {
        self.state.awaiting.iter().map(|awaited| awaited.round)
    }

    /// Keeps an update, before it is sent for the first time.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub fn keep(&mut self, entry: Entry) -> io::Result<()> {
        let mut next = self.state.clone();
        next.outbox = Some(entry);
        self.replace(next)
    }

    /// The update in the outbox has its receipt: its residual becomes current, and its round is awaited.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed, and the push may be repeated.
    pub fn counted(&mut self) -> io::Result<()> {
        let mut next = self.state.clone();
        let Some(Entry { round, model, payload, residual, .. }) = next.outbox.take() else {
            return Ok(());
        };
        let change = residual.minus(&self.residual(&model).for_weights(payload.len()));
        next.set_residual(model.clone(), residual);
        next.awaiting.push(Awaited { round, model, change });
        if next.awaiting.len() > AWAITING_MAX {
            let oldest = next.awaiting.remove(0);
            warn!(round = %oldest.round, "too many rounds are awaited; the oldest counts as published");
        }
        self.replace(next)
    }

    /// The update in the outbox does not count: it is dropped with what it had learned.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub fn refused(&mut self) -> io::Result<()> {
        let mut next = self.state.clone();
        next.outbox = None;
        self.replace(next)
    }

    /// The outcome of an awaited round is known. An abandoned one's change of the residual is taken back.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed, and the coordinator can be asked again.
    pub fn settle(&mut self, round: RoundRef, outcome: Settled) -> io::Result<()> {
        let Some(at) = self.state.awaiting.iter().position(|awaited| awaited.round == round) else {
            return Ok(());
        };
        let back = match outcome {
            Settled::Open => return Ok(()),
            Settled::Published | Settled::Unknown => false,
            Settled::Abandoned => true,
        };
        let mut next = self.state.clone();
        let Awaited { model, change, .. } = next.awaiting.remove(at);
        if back {
            let residual = self.residual(&model).minus(&change);
            next.set_residual(model, residual);
        }
        self.replace(next)
    }

    fn replace(&mut self, next: State) -> io::Result<()> {
        if next != self.state {
            self.slot.keep(|| format::encode(&next))?;
            self.state = next;
        }
        Ok(())
    }
}

impl State {
    fn set_residual(&mut self, model: ModelName, residual: Residual) {
        self.residuals.retain(|(name, _)| *name != model);
        if !residual.is_zero() {
            self.residuals.push((model, residual));
        }
        if self.residuals.len() > RESIDUALS_MAX {
            self.residuals.remove(0);
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
