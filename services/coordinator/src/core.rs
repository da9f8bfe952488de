//! What the two APIs and the rounds' clockwork share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use federation::{Answer, Clock, Enrolment, Evaluation, NodeId, Refusal, RefusalCode, limits};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::orders::Board;
use crate::posted::Posted;
use crate::presence::Presence;
use crate::store::{Store, StoreError};

/// The coordinator without its sockets.
#[derive(Debug)]
pub(crate) struct Core {
    /// The database.
    pub(crate) store: Store,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The nodes heard of lately.
    pub(crate) presence: Presence,
    /// The orders to be had, as the last tick left them.
    pub(crate) board: Posted<Arc<Board>>,
    /// Asks for a tick now: something happened that a round waits for.
    pub(crate) wake: Notify,
    /// Cancelled when shutdown begins.
    pub(crate) stop: CancellationToken,
    /// Whether the last tick could not write.
    pub(crate) failing: AtomicBool,
    /// Longest an idle node is told to stay away.
    pub(crate) idle_retry_ms_max: u32,
}

/// Whether requests are welcome: what `/readyz` and the gRPC health service say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Yes.
    Ready,
    /// No: the database does not take writes.
    StoreFailing,
    /// No: it is shutting down.
    Draining,
}

impl Core {
    /// A core over an open store, as yet without orders.
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, idle_retry_ms_max: u32) -> Self {
        Self {
            store,
            clock,
            presence: Presence::default(),
            board: Posted::new(Arc::new(Board::default())),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            failing: AtomicBool::new(false),
            idle_retry_ms_max,
        }
    }

    /// Whether requests are welcome.
    pub(crate) fn readiness(&self) -> Readiness {
        if self.stop.is_cancelled() {
            Readiness::Draining
        } else if self.failing.load(Ordering::Relaxed) {
            Readiness::StoreFailing
        } else {
            Readiness::Ready
        }
    }

    /// Notes that a node was heard of, or refuses one that is not enrolled.
    pub(crate) async fn hear(&self, node: &NodeId) -> Result<Answer<()>, StoreError> {
        tracing::Span::current().record("node.id", node.as_str());
        if self.presence.touch(node, &*self.clock) {
            return Ok(Ok(()));
        }
        let Some(known) = self.store.node(node.clone()).await? else {
            let code = RefusalCode::UnknownNode;
            return Ok(Err(Refusal::new(code, "node_id", "the name of an enrolled node", node)));
        };
        self.presence.admit(known, &*self.clock);
        Ok(Ok(()))
    }

    /// Makes a node known and answers with its name.
    pub(crate) async fn enrol(&self, enrolment: Enrolment) -> Result<Answer<NodeId>, StoreError> {
        let answer = self.store.enrol(enrolment, self.clock.wall()).await?;
        Ok(answer.map(|node| {
            let id = node.id.clone();
            self.presence.admit(node, &*self.clock);
            self.wake.notify_one();
            id
        }))
    }

    /// Notes how well a node finds a version.
    pub(crate) async fn record(&self, evaluation: Evaluation) -> Result<Answer<()>, StoreError> {
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
        self.store.record_evaluation(evaluation, self.clock.wall()).await
    }
}
