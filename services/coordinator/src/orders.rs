//! Orders: what a node that asks is given to do.
//!
//! The rounds' clockwork posts a [`Board`] whenever the open rounds change; a node that finds nothing on it for itself
//! waits for the next one. The same node finds the same order in the same round, however often it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use federation::{
    Answer, Digest, Idle, ModelName, NodeId, Plan, RoundRef, Settled, TrainOrder, VersionNumber,
    draw,
};
use tokio::time::{Instant, sleep_until};

use crate::core::Core;
use crate::store::{RoundKey, StoreError};

/// Longest that a node can be told to stay away; the configured window ends here.
pub(crate) const RETRY_MS_MAX: u32 = 60_000;

/// Shortest and longest time after which a node asks again that takes part in a run: its next order may be near.
const RETRY_SOON_MS: (u32, u32) = (50, 500);

/// The orders to be had.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Rounds that take updates, the oldest first.
    pub(crate) rounds: BTreeMap<RoundKey, Arc<OpenRound>>,
    /// Runs that are not over, whose next round may want a node.
    pub(crate) runs: Vec<Wanted>,
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
    pub(crate) cohort: BTreeSet<NodeId>,
    /// Milliseconds of serving so far.
    pub(crate) served_ms: AtomicU64,
}

/// Whom a run draws from.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The learner of its model.
    pub(crate) learner: String,
    /// Its plan.
    pub(crate) plan: Plan,
}

/// What a node that asked is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// What to do.
    pub(crate) order: Order,
    /// What became of the round it asked about.
    pub(crate) awaited: Option<Settled>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Train.
    Train(TrainOrder),
    /// Nothing now.
    Idle(Idle),
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
    /// Waits up to `wait` for an order for `node`. Shutdown ends the wait at once.
    pub(crate) async fn wait_order(
        &self,
        node: &NodeId,
        wait: Duration,
        awaiting: Option<RoundRef>,
    ) -> Result<Answer<Told>, StoreError> {
        if let Err(refusal) = self.hear(node).await? {
            return Ok(Err(refusal));
        }
        let until = Instant::now() + wait;
        let mut board = self.board.subscribe();
        let mut counted = BTreeSet::new();
        let order = loop {
            let posted = board.read();
            if let Some(order) = self.find_order(&posted, node, &mut counted).await? {
                break Order::Train(order);
            }
            let changed = tokio::select! {
                biased;
                () = self.stop.cancelled() => false,
                () = sleep_until(until) => false,
                () = board.changed() => true,
            };
            if !changed {
                break Order::Idle(self.idle(&posted, node));
            }
        };
        self.presence.touch(node, &*self.clock);
        // Read after the order was found, so that a node never learns of a new round before the fate of the last.
        let awaited = match awaiting {
            Some(round) => Some(self.store.settled(round, node.clone()).await?),
            None => None,
        };
        Ok(Ok(Told { order, awaited }))
    }

    /// The oldest round that still waits for this node. `counted` remembers those that do not.
    async fn find_order(
        &self,
        board: &Board,
        node: &NodeId,
        counted: &mut BTreeSet<RoundKey>,
    ) -> Result<Option<TrainOrder>, StoreError> {
        for (key, round) in &board.rounds {
            if !round.cohort.contains(node) || counted.contains(key) {
                continue;
            }
            if !self.store.is_counted(*key, node.clone()).await? {
                return Ok(Some(round.order(node)));
            }
            counted.insert(*key);
        }
        Ok(None)
    }

    fn idle(&self, board: &Board, node: &NodeId) -> Idle {
        let wanted = |run: &Wanted| {
            run.plan.cohort.nodes.contains(node)
                || self.presence.suits(node, &run.plan.cohort.selector, &run.learner)
        };
        let (least, most) = if board.runs.iter().any(wanted) {
            RETRY_SOON_MS
        } else {
            (RETRY_SOON_MS.0, self.idle_retry_ms_max.max(RETRY_SOON_MS.0))
        };
        Idle { retry_after_ms: spread(node, least, most) }
    }
}

/// A number from `least` to `most` that is this node's own, so that a fleet spreads evenly.
fn spread(node: &NodeId, least: u32, most: u32) -> u32 {
    let [a, b, c, d, ..] = Digest::of(node.as_str().as_bytes()).0;
    let share = u64::from(u32::from_le_bytes([a, b, c, d]));
    let width = u64::from(most - least) + 1;
    least + u32::try_from((share * width) >> 32).expect("a 32-bit share of a 33-bit width fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_spreads_over_its_window() {
        let at = |i: u32| spread(&format!("node-{i}").parse().unwrap(), 50, 5_000);
        let times: BTreeSet<u32> = (0..1_000).map(at).collect();
        assert!(times.len() > 800 && times.iter().all(|ms| (50..=5_000).contains(ms)));
        assert_eq!(at(7), at(7));
        let node: NodeId = "n".parse().unwrap();
        assert_eq!(spread(&node, 50, 50), 50);
        assert!(spread(&node, 0, u32::MAX) > 0);
    }
}
