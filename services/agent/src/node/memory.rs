//! A node as a simulator drives it: what a device has on its disk is in memory, its learner is shared, and between two steps
//! it says what it is about to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::{Entropy, NodeId, RoundRef};

use super::profile::{Invitation, Profile};
use super::{Node, Phase};
use crate::backoff::Backoff;
use crate::cache::{Cache, Shelf};
use crate::compute::{Compute, Learner};
use crate::config::EnrolToken;
use crate::credential::Credential;
use crate::data::Source;
use crate::held::Held;
use crate::identity::Key;
use crate::journal::{FormatError, Journal};
use crate::status::{Power, Reporter};
use crate::uplink::Uplink;

/// A virtual node's state: what a device has on its disk, in memory, and a learner that it shares with others.
#[derive(Clone, Debug)]
pub struct InMemory {
    /// Its name.
    pub name: NodeId,
    /// The seed of its key.
    pub key: [u8; 32],
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Its samples.
    pub source: Arc<Source>,
    /// What it says of its chip.
    pub capacity: Arc<BTreeMap<String, u64>>,
    /// Who learns for it.
    pub learner: Arc<dyn Learner>,
    /// Where it keeps versions.
    pub shelf: Arc<Shelf>,
}

/// What a node has done so far, by its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rounds it began to learn for.
    pub orders: u32,
    /// Updates for which it has receipts.
    pub counted: u32,
    /// Updates that were refused, and dropped.
    pub refused: u32,
    /// Samples in its counted updates.
    pub samples: u64,
    /// Synaptic operations in its counted updates.
    pub synaptic_ops: u64,
}

/// What a node's next step is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Presents the node.
    Enrol,
    /// Asks for work.
    Ask,
    /// Gets a version, from its cache or by a call.
    Fetch,
    /// Tries a version on held-out samples: so many.
    Evaluate(u32),
    /// Reports how that went.
    Report,
    /// Learns: from so many samples, epochs counted.
    Train(u32),
    /// Sends an update of so many bytes.
    Push(usize),
    /// Nothing: it was revoked.
    End,
}

impl Node {
    /// A virtual node, which begins anew with the process. Between two steps it is data alone, well below a kilobyte. It
    /// never waits within a call: whoever drives it has the time that the coordinator names pass.
    #[must_use]
    pub fn in_memory(parts: InMemory, uplink: Uplink) -> Self {
        let InMemory { name, key, labels, source, capacity, learner, shelf } = parts;
        let number = u64::from_le_bytes(*key.first_chunk().expect("a key has 32 bytes"));
        Self {
            reporter: Reporter::new(source.samples(), capacity, None),
            compute: Compute::shared(source, learner),
            id: name.clone(),
            profile: Profile { key: Key::Seed(key), name, labels, invitation: Invitation::None },
            credential: None,
            uplink,
            journal: Journal::in_memory(),
            cache: Cache::shared(shelf),
            held: Held::in_memory(),
            backoff: Backoff::new(number),
            phase: Phase::Enrol,
            asks: 0,
            given_up: None,
            hold_given_up: None,
            damaged: 0,
            failing: false,
            tally: Tally::default(),
            wait_ms: 0,
            _state: None,
        }
    }

    /// The same virtual node, let in by an enrolment token; its credential comes from `entropy`.
    #[must_use]
    pub fn let_in_by(mut self, token: Arc<EnrolToken>, entropy: &dyn Entropy) -> Self {
        let credential = Credential::in_memory(&self.id, entropy);
        self.profile.invitation = Invitation::Token(token);
        self.uplink.show(&credential);
        self.credential = Some(credential);
        self
    }

    /// What the next step is about to do.
    #[must_use]
    pub fn next(&self) -> Next {
        match &self.phase {
            Phase::Enrol => Next::Enrol,
            Phase::Ask => match self.journal.outbox() {
                Some(entry) => Next::Push(entry.payload.len()),
                None => Next::Ask,
            },
            Phase::Fetch(_) | Phase::FetchHold(_) => Next::Fetch,
            Phase::Evaluate(task) => {
                Next::Evaluate(self.compute.held_out(task.order.work.evaluate_samples))
            }
            Phase::TryHold(hold, _) => Next::Evaluate(self.compute.held_out(hold.samples)),
            Phase::Report(..) | Phase::ReportHold(..) => Next::Report,
            Phase::Train(task) => Next::Train(self.compute.claims(&self.id, &task.order)),
            Phase::End => Next::End,
        }
    }

    /// The round whose order the node carries out or whose update it sends, if it does.
    #[must_use]
    pub fn round(&self) -> Option<RoundRef> {
        match &self.phase {
            Phase::Fetch(order) => Some(order.round),
            Phase::Evaluate(task) | Phase::Report(task, ..) | Phase::Train(task) => {
                Some(task.order.round)
            }
            _ => self.journal.outbox().map(|entry| entry.round),
        }
    }

    /// Bytes of the version that its last fetch brought; 0 when it had the version already.
    #[must_use]
    pub fn received(&self) -> u64 {
        match &self.phase {
            Phase::Evaluate(task) => task.bytes_down,
            _ => 0,
        }
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What must outlive the process of a virtual node, if there is anything.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        self.journal.to_bytes()
    }

    /// The same virtual node, which goes on from what [`Node::to_bytes`] gave.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are none of a node.
    pub fn recall(mut self, bytes: &[u8]) -> Result<Self, FormatError> {
        self.journal = Journal::from_bytes(bytes)?;
        Ok(self)
    }

    /// The power fails: whatever the node was doing is forgotten, as after a restart. Its journal is not.
    pub fn restart(&mut self) {
        self.phase = Phase::Enrol;
        self.failing = false;
        self.backoff.succeeded();
    }

    /// From now on the node says this of its device.
    pub fn set_power(&mut self, power: Power) {
        self.reporter.set(power);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_node_is_about_a_kilobyte() {
        let bytes = size_of::<Node>();
        assert!(bytes <= 1_280, "{bytes}");
    }
}
