//! What the two APIs and the rounds' clockwork share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use federation::pace::Pace;
use federation::{Answer, Clock, Entropy, Evaluation, NodeId, Refusal, RefusalCode, limits};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Auth};
use crate::care::retention::Policy;
use crate::channels::Desk;
use crate::commit::{GroupLimits, Queue, Waiting, queue};
use crate::metrics::Metrics;
use crate::orders::Board;
use crate::posted::Posted;
use crate::presence::{Heard, Presence};
use crate::recent::Recent;
use crate::store::{Store, StoreError};
use crate::traces::Traces;

/// Most streams of events at once: each costs a read of the database for each event.
const STREAMS_MAX: usize = 256;

/// The coordinator without its sockets.
#[derive(Debug)]
pub(crate) struct Core {
    /// The database.
    pub(crate) store: Store,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The nodes heard of lately.
    pub(crate) presence: Presence,
    /// The way of checked updates into a group.
    pub(crate) groups: Queue,
    /// Memory for payloads that are being received or wait to be counted, in KiB.
    pub(crate) payload_room: Arc<Semaphore>,
    /// Streams of events that can be open.
    pub(crate) streams: Arc<Semaphore>,
    /// The orders to be had, as the last tick left them.
    pub(crate) board: Posted<Arc<Board>>,
    /// The rounds that ended last.
    pub(crate) recent: Recent,
    /// What channels wait for, and what nodes should hold.
    pub(crate) channels: Desk,
    /// Asks for a tick now: something happened that a round waits for.
    pub(crate) wake: Notify,
    /// Cancelled when shutdown begins.
    pub(crate) stop: CancellationToken,
    /// Whether the last tick could not write.
    pub(crate) failing: AtomicBool,
    /// Who may come in.
    pub(crate) access: Access,
    /// The traces of updates whose rounds are open.
    pub(crate) traces: Traces,
    /// Whether there is no room to write.
    pub(crate) full: AtomicBool,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The bounds to keep to, which a reload may move: read at each use.
    limits: RwLock<Limits>,
    /// The configuration with where each value comes from, for people; where it is known.
    settings: RwLock<Option<Value>>,
}

/// What a core keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bounds of groups.
    pub(crate) groups: GroupLimits,
    /// Most memory for payloads, in KiB.
    pub(crate) payloads_kib_max: usize,
    /// What is kept, and for how long.
    pub(crate) retention: Policy,
    /// How often the fleet may ask.
    pub(crate) pace: Pace,
    /// Whether nodes must show who they are.
    pub(crate) nodes: Auth,
    /// Whether people and tools must.
    pub(crate) people: Auth,
    /// How often rounds are looked at when nothing calls for it.
    pub(crate) tick: Duration,
    /// Longest that shutdown waits for requests in flight.
    pub(crate) grace: Duration,
}

/// Whether requests are welcome: what `/readyz` and the gRPC health service say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Yes.
    Ready,
    /// No: the disk or the database is full.
    StorageFull,
    /// No: the database does not take writes.
    StoreFailing,
    /// No: it is shutting down.
    Draining,
}

impl Core {
    /// A core over an open store, as yet without orders, and the end of its queue of updates for `commit::run`.
    pub(crate) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: &Limits,
    ) -> (Self, mpsc::Receiver<Waiting>) {
        let (groups, updates) = queue(&limits.groups);
        let metrics = Metrics::new(store.timings());
        let core = Self {
            store,
            clock,
            presence: Presence::new(&*entropy),
            groups,
            payload_room: Arc::new(Semaphore::new(limits.payloads_kib_max)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            board: Posted::new(Arc::new(Board::default())),
            recent: Recent::default(),
            channels: Desk::new(),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            failing: AtomicBool::new(false),
            traces: Traces::default(),
            access: Access::new(limits.nodes, limits.people, entropy),
            full: AtomicBool::new(false),
            metrics,
            limits: RwLock::new(*limits),
            settings: RwLock::new(None),
        };
        (core, updates)
    }

    /// The bounds as they are now.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the bounds, of which those of the queue and of memory for payloads stay what they were made with.
    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        self.wake.notify_one();
    }

    /// The configuration, as [`Core::show_settings`] was told it last.
    pub(crate) fn settings(&self) -> Option<Value> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the configuration to show.
    pub(crate) fn show_settings(&self, settings: Value) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Some(settings);
    }

    /// Streams of events that are open.
    pub(crate) fn open_streams(&self) -> usize {
        STREAMS_MAX.saturating_sub(self.streams.available_permits())
    }

    /// Whether requests are welcome.
    pub(crate) fn readiness(&self) -> Readiness {
        if self.stop.is_cancelled() {
            Readiness::Draining
        } else if self.full.load(Ordering::Relaxed) {
            Readiness::StorageFull
        } else if self.failing.load(Ordering::Relaxed) {
            Readiness::StoreFailing
        } else {
            Readiness::Ready
        }
    }

    /// Notes that a node was heard of, or refuses one that is not enrolled or was revoked.
    pub(crate) async fn hear(&self, node: &NodeId) -> Result<Answer<()>, StoreError> {
        tracing::Span::current().record("node.id", node.as_str());
        let mut heard = self.presence.touch(node, &*self.clock);
        if heard == Heard::Unknown
            && let Some(known) = self.store.node(node.clone()).await?
        {
            self.presence.admit(known, &*self.clock);
            heard = self.presence.touch(node, &*self.clock);
        }
        Ok(match heard {
            Heard::Yes => Ok(()),
            Heard::Unknown => {
                let code = RefusalCode::UnknownNode;
                Err(Refusal::new(code, "node_id", "the name of an enrolled node", node))
            }
            Heard::Revoked => Err(revoked(node)),
        })
    }

    /// Notes how well a node finds a version.
    pub(crate) async fn record(&self, evaluation: Evaluation) -> Result<Answer<()>, StoreError> {
        let answer = self.take_evaluation(evaluation).await?;
        let outcome = answer.as_ref().map_or_else(|refusal| refusal.code.as_str(), |()| "recorded");
        self.metrics.evaluation(outcome);
        Ok(answer)
    }

    async fn take_evaluation(&self, evaluation: Evaluation) -> Result<Answer<()>, StoreError> {
        if let Err(refusal) = self.hear(&evaluation.node).await? {
            return Ok(Err(refusal));
        }
        let Evaluation { samples, correct, .. } = evaluation;
        let code = RefusalCode::EvaluationOutOfRange;
        if !(1..=limits::SAMPLES_MAX).contains(&samples) {
            let expected = format!("1 to {}", limits::SAMPLES_MAX);
            return Ok(Err(Refusal::new(code, "samples", expected, samples)));
        }
        if correct > samples {
            let expected = format!("at most samples, {samples}");
            return Ok(Err(Refusal::new(code, "correct", expected, correct)));
        }
        let answer = self.store.record_evaluation(evaluation, self.clock.wall()).await?;
        if answer.is_ok() && self.channels.reported() {
            self.wake.notify_one();
        }
        Ok(answer)
    }
}

/// The refusal of a node that was revoked.
pub(crate) fn revoked(node: &NodeId) -> Refusal {
    let expected = "a node that was not revoked";
    Refusal::new(RefusalCode::NodeRevoked, "node_id", expected, node)
}
