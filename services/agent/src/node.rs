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
mod memory;
mod profile;
mod round;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use federation::{
    Artifact, Entropy, Hold, Holding, Idle, NodeId, RefusalCode, RoundRef, Settled, TrainOrder,
};
use tracing::{debug, error, info, warn};

use crate::backoff::Backoff;
use crate::cache::Cache;
use crate::compute::{Compute, Placement, StandIn};
use crate::config::Settings;
use crate::credential::Credential;
use crate::data::Source;
use crate::error::AgentError;
use crate::files::StateDir;
use crate::held::Held;
use crate::identity::{Identity, Key};
use crate::journal::Journal;
use crate::learner;
use crate::limits::{DAMAGED_TRIES_MAX, IDLE_MS_MAX, IDLE_MS_MIN, ORDER_WAIT_MS};
use crate::status::Reporter;
use crate::train::Evaluated;
use crate::uplink::{Asked, Counted, Order, Refused, Retry, UNAUTHENTICATED, Uplink, UplinkError};

pub use self::memory::{InMemory, Next, Tally};
use self::profile::{Invitation, Profile, prove};

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
        let mut invitation = Invitation::None;
        if let Some(token) = &settings.enrol_token {
            let credential = match &mut credential {
                Some(known) => known,
                none => none.insert(Credential::make(&state, &id, entropy)?),
            };
            let sign = |statement: &[u8]| Some(identity.sign(statement));
            let proof = prove(token, &identity.public_key(), &id, credential.digest(), sign);
            invitation = proof.map_or(Invitation::None, |proof| Invitation::Proof(Box::new(proof)));
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
                invitation,
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
        let enrolment = self.profile.enrolment(self.credential.as_ref());
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
                Progress::Waiting(pause(idle))
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
            Ok(Ok(Counted { receipt, idle })) => {
                if let Err(error) = self.journal.counted() {
                    return self.unwritten(&error);
                }
                self.worked();
                self.damaged = 0;
                self.tally.counted += 1;
                self.tally.samples += u64::from(samples);
                self.tally.synaptic_ops += metrics.synaptic_ops;
                info!(%round, counted_at_ms = receipt.counted_at_ms, "the update is counted");
                idle.map_or(Progress::Working, |idle| Progress::Waiting(pause(idle)))
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

/// For how long the coordinator wants a node to stay away, within reason.
fn pause(idle: Idle) -> Duration {
    Duration::from_millis(u64::from(idle.retry_after_ms).clamp(IDLE_MS_MIN, IDLE_MS_MAX))
}
