//! Updates that were refused, for people: how many of each run for which reason, and the last ones with their nodes.
//!
//! In memory and bounded: the log has them all, and after a restart the count begins anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use federation::{NodeId, RefusalCode, RoundRef, RunId, Timestamp};

/// Runs that are counted apart. Nodes can name any; the smallest numbers go first.
const RUNS_MAX: usize = 256;
/// Refusals that are remembered with their nodes.
pub(super) const LAST_MAX: usize = 512;

/// What was refused.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_run: BTreeMap<RunId, BTreeMap<RefusalCode, u64>>,
    last: VecDeque<RefusedUpdate>,
}

/// An update that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedUpdate {
    /// Whose.
    pub(crate) node: NodeId,
    /// For which round.
    pub(crate) round: RoundRef,
    /// Why.
    pub(crate) code: RefusalCode,
    /// When.
    pub(crate) at: Timestamp,
}

impl Refused {
    /// Notes a refusal.
    pub(crate) fn note(&self, refused: RefusedUpdate) {
        let mut state = self.lock();
        // A round that is not there is of no run.
        if refused.code != RefusalCode::UnknownRound {
            *state.by_run.entry(refused.round.run).or_default().entry(refused.code).or_default() +=
                1;
            if state.by_run.len() > RUNS_MAX {
                state.by_run.pop_first();
            }
        }
        if state.last.len() >= LAST_MAX {
            state.last.pop_front();
        }
        state.last.push_back(refused);
    }

    /// How many updates of a run were refused since the start, by reason.
    pub(crate) fn of_run(&self, run: RunId) -> BTreeMap<RefusalCode, u64> {
        self.lock().by_run.get(&run).cloned().unwrap_or_default()
    }

    /// The last refusals, the newest first.
    pub(crate) fn last(&self) -> Vec<RefusedUpdate> {
        self.lock().last.iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the refusals")
    }
}
