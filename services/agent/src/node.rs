//! A node as a step machine: each [`Node::step`] does one thing and leaves behind a state that survives power loss.
//!
//! ```text
//! Enrol -> Ask -> Fetch -> Evaluate -> Report -> Train -> (journal) -> Ask: push from the journal until answered -> Ask
//!          Ask -> FetchHold -> TryHold -> ReportHold -> (held) -> Ask
//! ```
//!
//! Only the journal, and which version it holds, are durable. Whatever else is lost with the process is had again: asked again in the same round, the
//! coordinator gives the same order; the version is in the cache; training repeats to the same bytes. So a step that
//! fails goes back to asking after a pause, an unsent update is pushed before anything else is asked for, and a step
//! that is cancelled half-way, as at shutdown, has done nothing or all of what it does.

#[cfg(test)]
mod fake;
mod hold;
mod round;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use federation::secret::enrolment_statement;
use federation::{
    Artifact, Enrolment, EnrolmentProof, Entropy, Hold, Holding, NodeId, RefusalCode, RoundRef,
    Settled, TrainOrder,
};
use tracing::{debug, error, info, warn};

use crate::backoff::Backoff;
use crate::cache::{Cache, Shelf};
use crate::compute::{Compute, Learner, Placement, StandIn};
use crate::config::{EnrolToken, Settings};
use crate::credential::Credential;
use crate::data::Source;
use crate::error::AgentError;
use crate::files::StateDir;
use crate::held::Held;
use crate::identity::{Identity, Key};
use crate::journal::{FormatError, Journal};
use crate::learner::{self, LEARNER};
use crate::limits::{DAMAGED_TRIES_MAX, IDLE_MS_MAX, IDLE_MS_MIN, ORDER_WAIT_MS};
use crate::status::{Power, Reporter};
use crate::train::Evaluated;
use crate::uplink::{Asked, Order, Refused, Retry, UNAUTHENTICATED, Uplink, UplinkError};

/// What a step asks of whoever drives the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again at once.
    Working,
    /// Call again after this time.
    Waiting(Duration),
}

/// A node, driven by calls of [`Node::step`].
#[derive(Debug)]
pub struct Node {
    profile: Profile,
    /// What the node shows, where the coordinator wants to know who it is.
    credential: Option<Credential>,
    /// The name the coordinator knows it by.
    id: NodeId,
    uplink: Uplink,
    journal: Journal,
    cache: Cache,
    held: Held,
    compute: Compute,
    reporter: Reporter,
    backoff: Backoff,
    phase: Phase,
    /// Counts the asks, so that every awaited round has its turn.
    asks: usize,
    /// The order that this node cannot carry out, or whose update was refused: it is not tried again.
    given_up: Option<RoundRef>,
    /// The version that this node could not hold: it is not tried again.
    hold_given_up: Option<Holding>,
    /// How often the update in the outbox arrived damaged.
    damaged: u32,
    /// Whether the last call failed: a row of failures is told once.
    failing: bool,
    tally: Tally,
    /// How long an ask for work may stay open.
    wait_ms: u32,
    /// Holds the lock on the state directory for as long as the node lives; a virtual node has none.
    _state: Option<StateDir>,
}

/// What a node presents itself with. What virtual nodes have in common stands in memory once.
#[derive(Debug)]
struct Profile {
    key: Key,
    /// The name it asks for.
    name: NodeId,
    labels: Arc<BTreeMap<String, String>>,
    proof: Option<Box<EnrolmentProof>>,
}

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

/// What the next step does.
#[derive(Debug, Default)]
enum Phase {
    Enrol,
    /// Pushes what is in the outbox; when it is empty, asks for work. Always a right thing to do.
    #[default]
    Ask,
    Fetch(Box<TrainOrder>),
    Evaluate(Task),
    Report(Task, Evaluated, u32),
    Train(Task),
    FetchHold(Box<Hold>),
    TryHold(Box<Hold>, Arc<Artifact>),
    ReportHold(Box<Hold>, Evaluated, u32),
    /// It was revoked: there is nothing more to do.
    End,
}

/// An order with the version it starts from.
#[derive(Debug)]
struct Task {
    order: Box<TrainOrder>,
    artifact: Arc<Artifact>,
    bytes_down: u64,
}

impl Profile {
    fn enrolment(&self) -> Enrolment {
        Enrolment {
            public_key: self.key.public(),
            node: self.name.clone(),
            labels: (*self.labels).clone(),
            learners: vec![LEARNER.to_owned()],
            proof: self.proof.as_deref().cloned(),
        }
    }
}

impl Node {
    /// Opens a node's state directory, identity, journal, cache and data. Nothing is sent yet.
    ///
    /// # Errors
    /// [`AgentError`]: a directory in use, a damaged identity, data that cannot be used, and the like.
    pub fn open(
        settings: &Settings,
        mut uplink: Uplink,
        entropy: &dyn Entropy,
        placement: Placement,
    ) -> Result<Self, AgentError> {
        let state = StateDir::open(&settings.state)?;
        let unusable = |source| AgentError::StateDir { path: settings.state.clone(), source };
        let identity = Identity::open(&state, entropy)?;
        let id = settings.name.clone().unwrap_or_else(|| identity.name());
        let mut credential = Credential::open(&state)?;
        let mut proof = None;
        if let Some(token) = &settings.enrol_token {
            let credential = match &mut credential {
                Some(known) => known,
                none => none.insert(Credential::make(&state, &id, entropy)?),
            };
            let digest = credential.digest();
            let key = identity.public_key();
            let signature = identity.sign(&enrolment_statement(&key, &id, token.id(), &digest));
            let token = token.text().to_owned();
            proof = Some(Box::new(EnrolmentProof { token, credential: digest, signature }));
        }
        if let Some(credential) = &credential {
            uplink.show(credential);
        }
        let source = Source::open(&settings.data, identity.number())?;
        let file = settings.status_file.clone();
        let reporter = Reporter::new(source.samples(), learner::capacity(), file);
        let held = Held::open(state.path());
        let mut cache = Cache::open(state.path()).map_err(unusable)?;
        if let Some(holding) = held.holding() {
            cache.pin(holding.digest);
        }
        Ok(Self {
            profile: Profile {
                key: Key::Public(identity.public_key()),
                name: id.clone(),
                labels: Arc::new(settings.labels.clone()),
                proof,
            },
            credential,
            id,
            uplink,
            journal: Journal::open(state.path())?,
            cache,
            held,
            compute: Compute::new(source, placement).map_err(AgentError::Start)?,
            reporter,
            backoff: Backoff::new(identity.number()),
            phase: Phase::Enrol,
            asks: 0,
            given_up: None,
            hold_given_up: None,
            damaged: 0,
            failing: false,
            tally: Tally::default(),
            wait_ms: ORDER_WAIT_MS,
            _state: Some(state),
        })
    }

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
            profile: Profile { key: Key::Seed(key), name, labels, proof: None },
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
    pub fn let_in_by(mut self, token: &EnrolToken, entropy: &dyn Entropy) -> Self {
        let credential = Credential::in_memory(&self.id, entropy);
        let Profile { key, name, .. } = &self.profile;
        let digest = credential.digest();
        let statement = enrolment_statement(&key.public(), name, token.id(), &digest);
        let (signature, token) = (key.sign(&statement), token.text().to_owned());
        let proof = signature
            .map(|signature| Box::new(EnrolmentProof { token, credential: digest, signature }));
        self.profile.proof = proof;
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
            Phase::Train(task) => {
                let work = &task.order.work;
                Next::Train(work.samples.saturating_mul(work.epochs))
            }
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

    /// The same node, learning with `learn` instead of the chip.
    #[must_use]
    pub fn learning_with(mut self, learn: StandIn) -> Self {
        self.compute.replace(learn);
        self
    }

    /// The node's name, as the coordinator knows it once it is enrolled.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Does the next thing. May be cancelled at any point and called again.
    ///
    /// # Errors
    /// `enrolment_refused`, `enrolment_token_needed`, `node_revoked`: the coordinator will not have this node. Everything
    /// else is tried again.
    pub async fn step(&mut self) -> Result<Progress, AgentError> {
        match std::mem::take(&mut self.phase) {
            Phase::Enrol => self.enrol().await,
            Phase::Ask if self.journal.outbox().is_some() => Ok(self.push().await),
            Phase::Ask => Ok(self.ask().await),
            Phase::Fetch(order) => Ok(self.fetch(order).await),
            Phase::Evaluate(task) => Ok(self.evaluate(task).await),
            Phase::Report(task, evaluated, tries) => Ok(self.report(task, evaluated, tries).await),
            Phase::Train(task) => Ok(self.train(task).await),
            Phase::FetchHold(hold) => Ok(self.fetch_hold(hold).await),
            Phase::TryHold(hold, artifact) => Ok(self.try_hold(hold, artifact).await),
            Phase::ReportHold(hold, evaluated, tries) => {
                Ok(self.report_hold(hold, evaluated, tries).await)
            }
            Phase::End => {
                self.phase = Phase::End;
                Err(AgentError::Revoked { node: self.id.to_string() })
            }
        }
    }

    async fn enrol(&mut self) -> Result<Progress, AgentError> {
        let enrolment = self.profile.enrolment();
        match self.uplink.enrol(&enrolment).await {
            Ok(Ok(id)) => {
                self.worked();
                if id != self.profile.name {
                    warn!(node.wanted = %self.profile.name, node.id = %id, "the coordinator knows this node's key under its earlier name");
                }
                if let Some(credential) = &mut self.credential {
                    if let Err(error) = credential.rename(&id) {
                        self.phase = Phase::Enrol;
                        return Ok(self.unwritten(&error));
                    }
                    self.uplink.show(credential);
                }
                info!(node.id = %id, "enrolled");
                self.id = id;
                Ok(Progress::Working)
            }
            Ok(Err(refused)) if refused.known() == Some(RefusalCode::NodeRevoked) => {
                Ok(self.turned_away(&refused))
            }
            Ok(Err(refused)) => {
                let known = refused.known();
                let Refused { code, message, .. } = refused;
                let node = self.profile.name.to_string();
                Err(match known {
                    Some(
                        RefusalCode::EnrolmentTokenMissing
                        | RefusalCode::EnrolmentTokenUnknown
                        | RefusalCode::EnrolmentTokenExpired
                        | RefusalCode::EnrolmentTokenExhausted
                        | RefusalCode::EnrolmentTokenRevoked,
                    ) => AgentError::NotLetIn { node, code, message },
                    _ => AgentError::Refused { node, code, message },
                })
            }
            Err(error) => {
                self.phase = Phase::Enrol;
                Ok(self.failed(&error))
            }
        }
    }

    async fn ask(&mut self) -> Progress {
        let awaiting =
            self.journal.awaiting().nth(self.asks % self.journal.awaiting().len().max(1));
        self.asks = self.asks.wrapping_add(1);
        let status = self.reporter.read();
        let holding = self.held.holding();
        let asked = self.uplink.wait_order(&self.id, self.wait_ms, awaiting, status, holding);
        let asked = match asked.await {
            Ok(Ok(asked)) => asked,
            Ok(Err(refused)) => return self.turned_away(&refused),
            Err(error) => return self.failed(&error),
        };
        let Asked { order, awaited, hold } = asked;
        if let (Some(round), Some(outcome)) = (awaiting, awaited) {
            if outcome != Settled::Open {
                info!(%round, ?outcome, "the outcome of a round is known");
            }
            if let Err(error) = self.journal.settle(round, outcome) {
                return self.unwritten(&error);
            }
        }
        let refused_hold = match hold {
            Some(hold) if self.wants(&hold) => {
                self.worked();
                let Hold { channel, version, .. } = &hold;
                info!(%channel, %version, "another version to hold");
                // An order that came with it is given again.
                self.phase = Phase::FetchHold(Box::new(hold));
                return Progress::Working;
            }
            other => other.is_some(),
        };
        match order {
            // It is answered at once for as long as it holds another version than it should.
            Order::Idle(_) if refused_hold => Progress::Waiting(self.backoff.longest()),
            Order::Idle(idle) => {
                self.worked();
                let ms = u64::from(idle.retry_after_ms).clamp(IDLE_MS_MIN, IDLE_MS_MAX);
                Progress::Waiting(Duration::from_millis(ms))
            }
            Order::Train(order) => self.take_up(Box::new(order)),
        }
    }

    /// Begins an order, unless there is something against it.
    fn take_up(&mut self, order: Box<TrainOrder>) -> Progress {
        let round = order.round;
        if self.given_up == Some(round) {
            debug!(%round, "the same order again, which this node has given up");
            return Progress::Waiting(self.backoff.failed());
        }
        if self.journal.awaiting().any(|awaited| awaited == round) {
            // The coordinator has lost what it counted: its database was restored from a backup. Learning again gives
            // the same update; if it does hold the update after all, it answers with the first receipt.
            warn!(%round, "the coordinator asks again for an update it has given a receipt for");
            if let Err(error) = self.journal.settle(round, Settled::Abandoned) {
                return self.unwritten(&error);
            }
            self.phase = Phase::Fetch(order);
            return Progress::Waiting(self.backoff.failed());
        }
        self.worked();
        self.given_up = None;
        self.tally.orders += 1;
        info!(%round, model = %order.model, base.version = %order.base_version, "an order");
        self.phase = Phase::Fetch(order);
        Progress::Working
    }

    async fn push(&mut self) -> Progress {
        let Some(entry) = self.journal.outbox() else { return Progress::Working };
        let (round, candidate) = (entry.round, entry.candidate(&self.id));
        let (samples, metrics) = (entry.samples, entry.metrics);
        let payload = entry.payload.clone();
        match self.uplink.push(&candidate, payload).await {
            Ok(Ok(receipt)) => {
                if let Err(error) = self.journal.counted() {
                    return self.unwritten(&error);
                }
                self.worked();
                self.damaged = 0;
                self.tally.counted += 1;
                self.tally.samples += u64::from(samples);
                self.tally.synaptic_ops += metrics.synaptic_ops;
                info!(%round, counted_at_ms = receipt.counted_at_ms, "the update is counted");
                Progress::Working
            }
            Ok(Err(refused)) => match refused.known() {
                Some(RefusalCode::UnknownNode | RefusalCode::NodeRevoked) => {
                    self.turned_away(&refused)
                }
                Some(
                    RefusalCode::PayloadTruncated
                    | RefusalCode::PayloadTooLong
                    | RefusalCode::PayloadDigestMismatch,
                ) if self.damaged < DAMAGED_TRIES_MAX => {
                    self.damaged += 1;
                    warn!(%round, code = refused.code, "the update arrived damaged; it is sent again");
                    Progress::Waiting(self.backoff.failed())
                }
                _ => {
                    warn!(%round, code = refused.code, detail = refused.message,
                        "the update does not count; its learning is dropped");
                    self.drop_update(round)
                }
            },
            Err(error) if error.retry == Retry::Never => {
                error!(%round, %error, code = error.code, "the update cannot be sent; its learning is dropped");
                self.drop_update(round)
            }
            Err(error) => self.failed(&error),
        }
    }

    fn drop_update(&mut self, round: RoundRef) -> Progress {
        if let Err(error) = self.journal.refused() {
            return self.unwritten(&error);
        }
        self.damaged = 0;
        self.tally.refused += 1;
        self.given_up = Some(round);
        Progress::Working
    }

    /// The order cannot be carried out. The node goes on asking; should it get the same one, it pauses.
    fn give_up(&mut self, round: RoundRef, code: &str, error: &dyn std::fmt::Display) -> Progress {
        error!(%round, code, %error, "the order cannot be carried out");
        self.given_up = Some(round);
        Progress::Working
    }

    /// Something other than an update was refused.
    fn turned_away(&mut self, refused: &Refused) -> Progress {
        match refused.known() {
            Some(RefusalCode::UnknownNode) => {
                info!("the coordinator does not know this node; it enrols again");
                self.phase = Phase::Enrol;
            }
            Some(RefusalCode::NodeRevoked) => {
                self.phase = Phase::End;
                return Progress::Working;
            }
            _ => warn!(code = refused.code, detail = refused.message, "the coordinator refuses"),
        }
        Progress::Waiting(self.backoff.failed())
    }

    /// A call failed; the pause before the next one.
    fn failed(&mut self, error: &UplinkError) -> Progress {
        if self.failing {
            debug!(%error, code = error.code, "still no answer");
        } else {
            warn!(%error, code = error.code, "no answer from the coordinator; the node keeps trying");
        }
        self.failing = true;
        if error.code == UNAUTHENTICATED {
            // The coordinator wants to know who this is: its refusal of an enrolment says what is missing.
            self.phase = Phase::Enrol;
            return Progress::Waiting(self.backoff.failed());
        }
        Progress::Waiting(match error.retry {
            Retry::Soon => self.backoff.failed(),
            Retry::After(ms) => self.backoff.asked(ms.clamp(IDLE_MS_MIN, IDLE_MS_MAX)),
            Retry::Later | Retry::Never => self.backoff.longest(),
        })
    }

    fn worked(&mut self) {
        if self.failing {
            warn!("the coordinator answers again");
        }
        self.failing = false;
        self.backoff.succeeded();
    }

    /// The journal cannot be written, most likely a full disk. Nothing has changed, so the same is done again later.
    fn unwritten(&mut self, error: &std::io::Error) -> Progress {
        error!(%error, code = "journal_unwritable", "the journal cannot be written; the node tries again later");
        Progress::Waiting(self.backoff.longest())
    }
}
