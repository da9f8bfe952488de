//! What became of the rounds that ended last: every node that was counted in one asks, and most ask before the next one
//! ends. So the answer needs no SQL.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use federation::{NodeId, RoundRef, Settled};

use crate::orders::OpenRound;

/// Rounds that are remembered: the one that everybody asks about, and the one before for those who are late.
const ROUNDS_MAX: usize = 2;

/// The rounds that ended last.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<(Arc<OpenRound>, Settled)>>);

impl Recent {
    /// A round has ended, durably. Of an asynchronous one nothing is remembered: its late updates count in others.
    pub(crate) fn ended(&self, round: Arc<OpenRound>, outcome: Settled) {
        if round.plan.strategy.asynchronous() {
            return;
        }
        let mut rounds = self.lock();
        rounds.push_front((round, outcome));
        rounds.truncate(ROUNDS_MAX);
    }

    /// What became of `node`'s update in `round`, where it is known to have been counted in it.
    pub(crate) fn outcome(&self, round: RoundRef, node: &NodeId) -> Option<Settled> {
        let rounds = self.lock();
        let (ended, outcome) = rounds.iter().find(|(ended, _)| ended.round == round)?;
        ended.cohort.is_counted(node).then_some(*outcome)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Arc<OpenRound>, Settled)>> {
        self.0.lock().expect("no code panics while it holds the rounds")
    }
}
