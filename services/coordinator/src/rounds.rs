//! The rounds' clockwork: opens rounds, watches them, ends them.
//!
//! [`Rounds::tick`] looks at every run that is not over and does at most one step for each: open its next round, or
//! settle the one that has its goal or its deadline. Everything it needs to go on stands in the database, so a tick
//! after a restart is a tick like any other.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use federation::invariant::{self, Violation};
use federation::round::{Decision, Progress, RoundState, decide};
use federation::{NodeId, RunId, aggregate, draw};

use crate::core::Core;
use crate::members::Members;
use crate::orders::{Board, OpenRound, Wanted};
use crate::store::{
    Aggregate, Aggregated, Live, LiveRound, Opening, RoundKey, Settled, StoreError,
};

/// How often served time and signs of life are written.
const KEEP_TIME_MS: u64 = 1_000;

/// Most serving that one tick can add. A process that was stopped for an hour did not serve for an hour.
const STEP_MS_MAX: u64 = 2 * KEEP_TIME_MS;

/// How long a round that has its quorum of candidates waits for its goal of them: a fleet that is just starting
/// arrives over a second or two.
const GATHER_MS: u64 = 2_000;

/// The clockwork. One per coordinator.
#[derive(Debug)]
pub(crate) struct Rounds {
    core: Arc<Core>,
    open: BTreeMap<RoundKey, Arc<OpenRound>>,
    gathering: BTreeMap<RunId, u64>,
    ticked_ms: u64,
    kept_ms: Option<u64>,
    /// Whether the last tick failed: its failure is told once, not at every tick.
    failing: bool,
}

impl Rounds {
    /// A clockwork that starts now.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let ticked_ms = core.clock.monotonic_ms();
        Self {
            core,
            open: BTreeMap::new(),
            gathering: BTreeMap::new(),
            ticked_ms,
            kept_ms: None,
            failing: false,
        }
    }

    /// Does what is due. `true` means that there is more to do at once. A run whose step fails does not hold up the
    /// others; the first failure is returned, after it was logged.
    pub(crate) async fn tick(&mut self) -> Result<bool, StoreError> {
        let ticked = self.step_all().await;
        if self.failing && ticked.is_ok() {
            tracing::info!("rounds go on");
        }
        self.failing = ticked.is_err();
        ticked
    }

    async fn step_all(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.core.clock.monotonic_ms();
        self.pass_time(now_ms);
        self.keep_time(now_ms).await.inspect_err(|error| self.complain(None, error))?;
        let mut live =
            self.core.store.live().await.inspect_err(|error| self.complain(None, error))?;
        // Live rounds first: they are all in memory before anything is drawn.
        live.sort_by_key(|run| run.live.is_none());
        let mut more = false;
        let mut failed = None;
        for run in &live {
            let stepped = match &run.live {
                Some(round) => self.watch(run, round).await,
                // One opening at a time: the next draw must know who is in a cohort by now.
                None if more => continue,
                None => self.open_next(run, now_ms).await,
            };
            match stepped {
                Ok(stepped) => more |= stepped,
                Err(error) => {
                    self.complain(Some(run.round.run), &error);
                    failed = failed.or(Some(error));
                }
            }
        }
        if !more {
            self.post(live);
        }
        failed.map_or(Ok(more), Err)
    }

    fn complain(&self, run: Option<RunId>, error: &StoreError) {
        if !self.failing {
            let run = run.map(|run| run.0);
            tracing::error!(run.id = run, %error, "rounds stand still; trying again at each tick");
        }
    }

    /// Writes what a restart would otherwise not know: called once more at the end.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        self.kept_ms = None;
        let now_ms = self.core.clock.monotonic_ms();
        self.pass_time(now_ms);
        self.keep_time(now_ms).await
    }

    fn pass_time(&mut self, now_ms: u64) {
        let step_ms = now_ms.saturating_sub(self.ticked_ms).min(STEP_MS_MAX);
        self.ticked_ms = now_ms;
        for round in self.open.values() {
            round.served_ms.fetch_add(step_ms, Ordering::Relaxed);
        }
    }

    async fn keep_time(&mut self, now_ms: u64) -> Result<(), StoreError> {
        if self.kept_ms.is_some_and(|kept_ms| now_ms.saturating_sub(kept_ms) < KEEP_TIME_MS) {
            return Ok(());
        }
        let served = |(&key, round): (&RoundKey, &Arc<OpenRound>)| {
            (key, round.served_ms.load(Ordering::Relaxed))
        };
        let served = self.open.iter().map(served).collect();
        let seen = self.core.presence.take_stale();
        let kept = self.core.store.keep_time(served, seen).await;
        self.core.failing.store(kept.is_err(), Ordering::Relaxed);
        kept?;
        self.kept_ms = Some(now_ms);
        Ok(())
    }

    /// Settles a round that has its goal or its deadline.
    async fn watch(&mut self, run: &Live, live: &LiveRound) -> Result<bool, StoreError> {
        let served_ms = self.load(run, live).await?.served_ms.load(Ordering::Relaxed);
        let progress = Progress { updates: live.updates, served_ms };
        let due = live.state == RoundState::Closing
            || decide(&run.plan.cohort, progress) != Decision::Wait;
        if !due {
            return Ok(false);
        }
        let (store, now) = (&self.core.store, self.core.clock.wall());
        let settled = store.settle_round(live.key, served_ms, now, next_version).await?;
        let (id, number, attempt) = (run.round.run.0, run.round.number, run.round.attempt);
        match settled {
            Settled::Waits => return Ok(false),
            Settled::Published { version, digest, updates, run } => tracing::info!(
                run.id = id,
                run.state = %run,
                round = number,
                attempt,
                updates,
                version = version.0,
                version.digest = %digest,
                "published a version"
            ),
            Settled::Abandoned { updates, run } => tracing::warn!(
                run.id = id,
                run.state = %run,
                round = number,
                attempt,
                updates,
                "abandoned a round: its deadline came before its quorum"
            ),
        }
        self.open.remove(&live.key);
        Ok(true)
    }

    /// The round in memory; after a restart or an opening, from the database.
    async fn load(&mut self, run: &Live, live: &LiveRound) -> Result<Arc<OpenRound>, StoreError> {
        if let Some(round) = self.open.get(&live.key) {
            return Ok(Arc::clone(round));
        }
        let cohort = Members::new(self.core.store.cohort(live.key).await?);
        let round = Arc::new(OpenRound {
            round: run.round,
            model: run.model.clone(),
            base_version: live.base_version,
            base: live.base,
            weights: run.weights,
            plan: run.plan.clone(),
            cohort,
            served_ms: AtomicU64::new(live.served_ms),
        });
        self.open.insert(live.key, Arc::clone(&round));
        Ok(round)
    }

    /// Opens a run's next round, once there are nodes for it.
    async fn open_next(&mut self, run: &Live, now_ms: u64) -> Result<bool, StoreError> {
        let Some(candidates) = self.candidates(run, now_ms).await? else { return Ok(false) };
        let plan = &run.plan;
        let cohort = draw::cohort(plan.seed, run.round, &candidates, plan.cohort.size());
        tracing::info!(
            run.id = run.round.run.0,
            round = run.round.number,
            attempt = run.round.attempt,
            cohort = cohort.len(),
            "open a round"
        );
        let weights = usize::try_from(run.weights).expect("a stored model's weights fit in memory");
        let opening = Opening { round: run.round, weights, cohort };
        self.gathering.remove(&run.round.run);
        self.core.store.open_round(opening, self.core.clock.wall()).await
    }

    /// Whom to draw from, or `None` while there are too few.
    async fn candidates(
        &mut self,
        run: &Live,
        now_ms: u64,
    ) -> Result<Option<Vec<NodeId>>, StoreError> {
        let cohort = &run.plan.cohort;
        if run.plan.reproducible {
            let names = cohort.nodes.clone();
            let enrolled =
                self.core.store.count_enrolled(names.clone(), run.learner.clone()).await?;
            return Ok((enrolled == names.len()).then_some(names));
        }
        let busy: BTreeSet<&NodeId> =
            self.open.values().flat_map(|round| round.cohort.names()).collect();
        let mut free =
            self.core.presence.candidates(&cohort.selector, &run.learner, &*self.core.clock);
        free.retain(|node| !busy.contains(node));
        let enough = |wanted: u32| usize::try_from(wanted).is_ok_and(|wanted| free.len() >= wanted);
        if enough(cohort.goal) {
            return Ok(Some(free));
        }
        if !enough(cohort.quorum) {
            self.gathering.remove(&run.round.run);
            return Ok(None);
        }
        let since_ms = *self.gathering.entry(run.round.run).or_insert(now_ms);
        Ok((now_ms.saturating_sub(since_ms) >= GATHER_MS).then_some(free))
    }

    /// Posts the orders to be had, if they changed.
    fn post(&self, live: Vec<Live>) {
        let wanted = |run: Live| Wanted { learner: run.learner, plan: run.plan };
        let runs: Vec<Wanted> = live.into_iter().map(wanted).collect();
        self.core.board.send_if_modified(|board| {
            let same = board.rounds.keys().eq(self.open.keys()) && board.runs == runs;
            if !same {
                *board = Arc::new(Board { rounds: self.open.clone(), runs });
            }
            !same
        });
    }
}

/// The next version: a pure function of its recorded inputs.
pub(crate) fn next_version(inputs: Aggregate) -> Result<Aggregated, Violation> {
    let Aggregate { plan, base, base_version, next_version, mut master, sum, contributions } =
        inputs;
    let layout = base.layout();
    invariant::counted_once(contributions, &sum)?;
    aggregate::advance(plan.strategy, &mut master, &sum, layout);
    let weights = aggregate::publish(&master, layout);
    invariant::publishable(base_version.0, next_version.0, &weights, layout)?;
    let artifact = base.with_weights(weights).expect("publishable weights fit the layout");
    Ok(Aggregated { artifact, master })
}
