//! Orders: what a node that asks is given to do.
//!
//! The rounds' clockwork posts a [`Board`] whenever the open rounds change; a node that finds nothing on it for itself
//! waits for the next one. The same node finds the same order in the same round, however often it asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use federation::{
    Answer, Digest, Hold, Holding, Idle, ModelName, NodeId, NodeStatus, Plan, RoundRef, Settled,
    TrainOrder, VersionNumber, draw,
};
use tokio::time::{Instant, sleep_until};

use crate::channels::Offers;
use crate::core::{Core, revoked};
use crate::members::Members;
use crate::store::{RoundKey, StoreError};

/// The orders to be had.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Rounds that take updates, the oldest first.
    pub(crate) rounds: BTreeMap<RoundKey, Arc<OpenRound>>,
    /// Runs that go on, whose next round may want a node.
    pub(crate) runs: Vec<Wanted>,
    /// How many runs people had directed when it was drawn up: of a cancelled one it still shows the round.
    pub(crate) directed: u64,
}

/// A round that takes updates.
#[derive(Debug)]
pub(crate) struct OpenRound {
    /// Its name.
    pub(crate) round: RoundRef,
    /// The model it moves.
    pub(crate) model: ModelName,
    /// The version it starts from.
    pub(crate) base_version: VersionNumber,
    /// That version's digest.
    pub(crate) base: Digest,
    /// Number of weights of the model.
    pub(crate) weights: u64,
    /// The run's plan.
    pub(crate) plan: Plan,
    /// The nodes drawn.
    pub(crate) cohort: Members,
    /// Milliseconds of serving so far.
    pub(crate) served_ms: AtomicU64,
    /// When its goal of nodes should have asked, by the monotonic clock, where that is known.
    pub(crate) expected_ms: Option<u64>,
    /// When it should end; 0 where that is not known.
    pub(crate) ends_ms: u64,
}

/// Whom a run draws from.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The learner of its model.
    pub(crate) learner: String,
    /// Its plan.
    pub(crate) plan: Plan,
    /// When its open round should end, by the monotonic clock; 0 where that is not known, or it may open one at any time.
    pub(crate) ends_ms: u64,
}

/// What a node that asked is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// What to do.
    pub(crate) order: Order,
    /// What became of the round it asked about.
    pub(crate) awaited: Option<Settled>,
    /// The version to hold, where that is another than it holds.
    pub(crate) hold: Option<Hold>,
}

/// What a node says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It follows no channel.
    Apart,
    /// Nothing yet.
    Nothing,
    /// This version.
    Version(Holding),
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Train.
    Train(TrainOrder),
    /// Nothing now.
    Idle(Idle),
}

impl Board {
    /// The round of this name, if it takes updates.
    pub(crate) fn round(&self, round: RoundRef) -> Option<&Arc<OpenRound>> {
        self.rounds.values().find(|open| open.round == round)
    }

    /// Notes that a node's update is counted.
    pub(crate) fn counted(&self, round: RoundRef, node: &NodeId) {
        if let Some(open) = self.round(round) {
            open.cohort.count(node);
        }
    }

    /// Notes that nobody knows whether some of a round's updates are counted.
    pub(crate) fn doubt(&self, round: RoundRef) {
        if let Some(open) = self.round(round) {
            open.cohort.doubt();
        }
    }
}

impl Held {
    fn digest(self) -> Option<Digest> {
        match self {
            Self::Apart | Self::Nothing => None,
            Self::Version(holding) => Some(holding.digest),
        }
    }
}

impl OpenRound {
    /// The order for a node of the cohort.
    fn order(&self, node: &NodeId) -> TrainOrder {
        let served_ms = self.served_ms.load(Ordering::Relaxed);
        TrainOrder {
            round: self.round,
            model: self.model.clone(),
            base_version: self.base_version,
            base: self.base,
            weights: self.weights,
            work: self.plan.local.work(self.round.number),
            seed: draw::draw(self.plan.seed, "train", self.round, node),
            samples_max: self.plan.samples_max,
            deadline_in_ms: self.plan.cohort.deadline_ms.saturating_sub(served_ms),
        }
    }
}

impl Core {
    /// Waits up to `wait` for an order for `node`, which is as `status` says. Shutdown ends the wait at once.
    pub(crate) async fn wait_order(
        &self,
        node: &NodeId,
        wait: Duration,
        awaiting: Option<RoundRef>,
        status: Option<NodeStatus>,
        held: Held,
    ) -> Result<Answer<Told>, StoreError> {
        if let Err(refusal) = self.hear(node).await? {
            return Ok(Err(refusal));
        }
        self.presence.report(node, status.unwrap_or_default(), wait.is_zero());
        self.presence.holds(node, held.digest());
        let until = Instant::now() + wait;
        let mut board = self.board.subscribe();
        let mut offers = self.channels.offers.subscribe();
        let order = loop {
            let posted = board.read();
            let offered = offers.read();
            // Whoever revokes a node posts the board again.
            if self.presence.is_revoked(node) {
                return Ok(Err(revoked(node)));
            }
            if let Some(order) = self.find_order(&posted, node).await? {
                break Some(order);
            }
            if self.new_hold(node, held, &offered).is_some() {
                break None;
            }
            let changed = tokio::select! {
                biased;
                () = self.stop.cancelled() => false,
                () = sleep_until(until) => false,
                () = board.changed() => true,
                () = offers.changed() => true,
            };
            if !changed {
                break None;
            }
        };
        self.presence.touch(node, &*self.clock);
        let order = match order {
            Some(order) => Order::Train(order),
            None => Order::Idle(self.idle(node)),
        };
        // Read after the order was found, so that a node never learns of a new round before the fate of the last.
        let awaited = match awaiting {
            Some(round) => Some(match self.settled_in_memory(round, node) {
                Some(settled) => settled,
                None => self.store.settled(round, node.clone()).await?,
            }),
            None => None,
        };
        let hold = self.new_hold(node, held, &self.channels.offers.get());
        Ok(Ok(Told { order, awaited, hold }))
    }

    /// What became of an update that is known to be counted in a round that is open, or ended not long ago. Of one that
    /// is on the board no newer one was ordered: it is as good as open.
    fn settled_in_memory(&self, round: RoundRef, node: &NodeId) -> Option<Settled> {
        let board = self.board.get();
        if let Some(open) = board.round(round) {
            let counted = board.directed == self.store.directed()
                && !open.plan.strategy.asynchronous()
                && open.cohort.is_counted(node);
            return counted.then_some(Settled::Open);
        }
        self.recent.outcome(round, node)
    }

    /// The version that a node should hold, where that is another than it holds.
    fn new_hold(&self, node: &NodeId, held: Held, offers: &Offers) -> Option<Hold> {
        let hold = match held {
            Held::Apart => None,
            Held::Nothing | Held::Version(_) => self.presence.hold(node, offers),
        };
        hold.filter(|hold| {
            let Hold { digest, promotion, .. } = *hold;
            held != Held::Version(Holding { digest, promotion })
        })
    }

    /// The oldest round that still waits for this node.
    async fn find_order(
        &self,
        board: &Board,
        node: &NodeId,
    ) -> Result<Option<TrainOrder>, StoreError> {
        for (key, round) in &board.rounds {
            if !round.cohort.waits_for(node) {
                continue;
            }
            // A node whose update is just being counted learns at worst what it has learned, and gets its first receipt.
            if !round.cohort.is_doubtful() || !self.store.is_counted(*key, node.clone()).await? {
                return Ok(Some(round.order(node)));
            }
            round.cohort.count(node);
        }
        Ok(None)
    }

    /// When a node whose update has just been counted should ask again; nothing of one that waits within its questions.
    pub(crate) fn rests(&self, node: &NodeId) -> Option<Idle> {
        self.presence.polls(node).then(|| self.idle(node))
    }

    /// When a node should ask again that there is no work for: not before the rounds should have ended that it has no
    /// part in, or none any more.
    fn idle(&self, node: &NodeId) -> Idle {
        let board = self.board.get();
        let wants = |run: &&Wanted| {
            let Wanted { learner, plan, .. } = run;
            plan.cohort.nodes.contains(node) || self.presence.suits(node, &plan.cohort, learner)
        };
        let ends_ms = board.runs.iter().filter(wants).map(|run| run.ends_ms).min();
        let now_ms = self.clock.monotonic_ms();
        let left_ms = ends_ms.unwrap_or_default().saturating_sub(now_ms);
        let window = self.limits().pace.window(self.presence.fleet(), ends_ms.is_some());
        let window = window.not_before(u32::try_from(left_ms).unwrap_or(u32::MAX));
        let retry_after_ms = window.retry_ms(node, now_ms);
        self.presence.away(node, retry_after_ms, &*self.clock);
        Idle { retry_after_ms }
    }
}
