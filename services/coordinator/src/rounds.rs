//! The rounds' clockwork: opens rounds, watches them, ends them.
//!
//! [`Rounds::tick`] looks at every run that is not over and does at most one step for each: open its next round, or
//! settle the one that has its goal or its deadline. Everything it needs to go on stands in the database, so a tick
//! after a restart is a tick like any other.

#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use federation::draw::Standby;
use federation::invariant::{self, Violation};
use federation::round::{Decision, Progress, RoundState, decide};
use federation::{NodeId, RunId, aggregate, draw};

use self::turns::Held;
use crate::channels::Channels;
use crate::core::Core;
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
    waiting: BTreeMap<RunId, Waiting>,
    lags: BTreeMap<RunId, Lag>,
    /// The nodes of the round that was opened last, until it is in memory.
    drawn: Option<(RoundKey, Vec<NodeId>)>,
    ticked_ms: u64,
    kept_ms: Option<u64>,
    channels: Channels,
    /// Whether the last tick failed: its failure is told once, not at every tick.
    failing: bool,
}

/// How much later than expected the last two rounds of a run ended, in milliseconds: the time that learning takes, and the way
/// of an update.
#[derive(Clone, Copy, Debug, Default)]
struct Lag {
    last_ms: u64,
    before_ms: u64,
}

impl Lag {
    /// What the next round will hardly be spared: one slow node in one round does not make the fleet wait in the next.
    fn least_ms(self) -> u64 {
        self.last_ms.min(self.before_ms)
    }
}

/// A run that has no round.
#[derive(Debug)]
struct Waiting {
    /// The newest round when it began to wait.
    since: Option<RoundKey>,
    /// Since when it has the quorum of candidates, but not the goal.
    gathering_ms: Option<u64>,
}

impl Rounds {
    /// A clockwork that starts now.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let ticked_ms = core.clock.monotonic_ms();
        Self {
            core,
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lags: BTreeMap::new(),
            drawn: None,
            ticked_ms,
            kept_ms: None,
            channels: Channels::default(),
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
        let directed = self.core.store.directed();
        let mut live =
            self.core.store.live().await.inspect_err(|error| self.complain(None, error))?;
        self.forget_the_rest(&live);
        // Live rounds first: they are all in memory before anything is drawn. Then the longest without a turn.
        live.sort_by_key(|run| (run.live.is_none(), run.opened));
        let mut held = Held::default();
        let mut more = false;
        let mut failed = None;
        for run in &live {
            let stepped = match &run.live {
                Some(round) => self.watch(run, round).await,
                None if run.paused => continue,
                // One opening at a time: the next draw must know who is in a cohort by now.
                None if more => continue,
                None => self.open_next(run, now_ms, &mut held).await,
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
            self.post(live, directed);
        }
        let core = &self.core;
        match self.channels.tick(&core.channels, &core.store, &*core.clock).await {
            Ok(stepped) => more |= stepped,
            Err(error) => {
                self.complain(None, &error);
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(more), Err)
    }

    /// Drops what belongs to rounds and runs that are over: a cancelled one ends without this clockwork.
    fn forget_the_rest(&mut self, live: &[Live]) {
        let key = |run: &Live| run.live.as_ref().map(|round| round.key);
        let keys: BTreeSet<RoundKey> = live.iter().filter_map(key).collect();
        self.open.retain(|key, _| keys.contains(key));
        let waits = |run: &&Live| run.live.is_none() && !run.paused;
        let runs: BTreeSet<RunId> = live.iter().filter(waits).map(|run| run.round.run).collect();
        self.waiting.retain(|run, _| runs.contains(run));
        let runs: BTreeSet<RunId> = live.iter().map(|run| run.round.run).collect();
        self.lags.retain(|run, _| runs.contains(run));
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
        let due = self.kept_ms.is_none_or(|kept_ms| now_ms.saturating_sub(kept_ms) >= KEEP_TIME_MS);
        self.look_for_room(due).await;
        if !due {
            return Ok(());
        }
        let served = |(&key, round): (&RoundKey, &Arc<OpenRound>)| {
            (key, round.served_ms.load(Ordering::Relaxed))
        };
        let served = self.open.iter().map(served).collect();
        let board = self.core.board.get();
        self.core.presence.count(&board.runs, &*self.core.clock);
        let seen = self.core.presence.take_stale();
        let kept = self.core.store.keep_time(served, seen).await;
        self.core.failing.store(kept.is_err(), Ordering::Relaxed);
        kept?;
        let used = self.core.access.take_used();
        if !used.is_empty() {
            self.core.store.note_used(used).await?;
        }
        self.kept_ms = Some(now_ms);
        Ok(())
    }

    /// After a write found no room, looks whether there is none at all or was only too little for it, and from then on
    /// whether there is some again. `due` says that it is time for another look.
    async fn look_for_room(&self, due: bool) {
        let Core { store, full, .. } = &*self.core;
        let was_full = full.load(Ordering::Relaxed);
        if !(store.is_cramped() || was_full && due) {
            return;
        }
        let found = store.prove_room().await;
        store.forget_cramped();
        // What else may fail is for whoever writes next to tell.
        let is_full = matches!(found, Err(StoreError::Full { .. }));
        full.store(is_full, Ordering::Relaxed);
        match (was_full, is_full) {
            (false, true) => tracing::error!(
                code = "storage_full",
                "the disk or the database is full: updates are refused until there is room"
            ),
            (true, false) => tracing::info!("there is room again"),
            _ => {}
        }
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
        let traces = self.core.traces.settling(run.round);
        let settled = store.settle_round(live.key, served_ms, now, next_version).await;
        let metrics = &self.core.metrics;
        let settled = settled.inspect_err(|error| metrics.round_failed(error))?;
        let (id, number, attempt) = (run.round.run.0, run.round.number, run.round.attempt);
        let outcome = match settled {
            Settled::Waits => {
                self.core.traces.waits(traces);
                return Ok(false);
            }
            Settled::Published { version, digest, updates, run } => {
                traces.published(version.0, digest);
                metrics.round("published", served_ms);
                tracing::info!(
                    run.id = id,
                    run.state = %run,
                    round = number,
                    attempt,
                    updates,
                    version = version.0,
                    version.digest = %digest,
                    "published a version"
                );
                federation::Settled::Published
            }
            Settled::Abandoned { updates, run } => {
                traces.abandoned();
                metrics.round("abandoned", served_ms);
                tracing::warn!(
                    run.id = id,
                    run.state = %run,
                    round = number,
                    attempt,
                    updates,
                    "abandoned a round: its deadline came before its quorum"
                );
                federation::Settled::Abandoned
            }
        };
        self.core.traces.settled(run.round);
        if let Some(ended) = self.open.remove(&live.key) {
            if let Some(expected_ms) = ended.expected_ms {
                let late_ms = self.core.clock.monotonic_ms().saturating_sub(expected_ms);
                let lag = self.lags.get(&run.round.run);
                let before_ms = lag.map_or(late_ms, |lag| lag.last_ms);
                self.lags.insert(run.round.run, Lag { last_ms: late_ms, before_ms });
            }
            self.core.recent.ended(ended, outcome);
        }
        self.core.channels.moved();
        Ok(true)
    }

    /// The round in memory: as it was opened, or after a restart from the database.
    async fn load(&mut self, run: &Live, live: &LiveRound) -> Result<Arc<OpenRound>, StoreError> {
        if let Some(round) = self.open.get(&live.key) {
            return Ok(Arc::clone(round));
        }
        let drawn = self.drawn.take().filter(|(key, _)| *key == live.key);
        let cohort = match drawn {
            Some((_, nodes)) => nodes.into_iter().map(|node| (node, false)).collect(),
            None => self.core.store.cohort(live.key).await?,
        };
        let cohort = self.core.presence.named(cohort);
        let (goal, clock) = (run.plan.cohort.goal, &*self.core.clock);
        let expected_ms = self.core.presence.expected(cohort.names(), goal, clock);
        let lag = self.lags.get(&run.round.run).copied().unwrap_or_default();
        let round = Arc::new(OpenRound {
            round: run.round,
            model: run.model.clone(),
            base_version: live.base_version,
            base: live.base,
            weights: run.weights,
            plan: run.plan.clone(),
            cohort,
            served_ms: AtomicU64::new(live.served_ms),
            expected_ms,
            ends_ms: expected_ms.map_or(0, |ms| ms.saturating_add(lag.least_ms())),
        });
        self.open.insert(live.key, Arc::clone(&round));
        Ok(round)
    }

    /// Opens a run's next round, once there are nodes for it that no run before it holds back.
    async fn open_next(
        &mut self,
        run: &Live,
        now_ms: u64,
        held: &mut Held,
    ) -> Result<bool, StoreError> {
        let Some(cohort) = self.draw(run, now_ms, held).await? else { return Ok(false) };
        let weights = usize::try_from(run.weights).expect("a stored model's weights fit in memory");
        let opening = Opening { round: run.round, weights, cohort: cohort.clone() };
        let now = self.core.clock.wall();
        let Some(key) = self.core.store.open_round(opening, now).await? else { return Ok(false) };
        self.core.presence.drawn(&cohort, key.cursor());
        self.waiting.remove(&run.round.run);
        tracing::info!(
            run.id = run.round.run.0,
            round = run.round.number,
            attempt = run.round.attempt,
            cohort = cohort.len(),
            "opened a round"
        );
        self.drawn = Some((key, cohort));
        Ok(true)
    }

    /// Draws a cohort, or `None` while there are too few nodes. A run that could run holds the nodes it needs.
    async fn draw(
        &mut self,
        run: &Live,
        now_ms: u64,
        held: &mut Held,
    ) -> Result<Option<Vec<NodeId>>, StoreError> {
        let (plan, cohort) = (&run.plan, &run.plan.cohort);
        let newest = self.open.keys().next_back().copied();
        let waiting = self.waiting.entry(run.round.run);
        let since = waiting.or_insert(Waiting { since: newest, gathering_ms: None }).since;
        let all = self.candidates(run).await?;
        let enough =
            |count: usize, wanted: u32| usize::try_from(wanted).is_ok_and(|least| count >= least);
        let mut free = all.clone();
        free.retain(|one| !self.open.values().any(|round| round.cohort.contains(&one.node)));
        held.respect(&mut free, cohort.size());
        let gathered = if enough(free.len(), cohort.goal) {
            true
        } else if plan.reproducible || !enough(free.len(), cohort.quorum) {
            self.gather(run.round.run, None);
            false
        } else {
            let since_ms = self.gather(run.round.run, Some(now_ms)).unwrap_or(now_ms);
            now_ms.saturating_sub(since_ms) >= GATHER_MS
        };
        if gathered {
            self.core.presence.prefer_near(&mut free, cohort.size(), &*self.core.clock);
            return Ok(Some(draw::cohort(plan.seed, run.round, &free, cohort.size())));
        }
        let needed = if enough(all.len(), cohort.goal) { cohort.goal } else { cohort.quorum };
        if enough(all.len(), needed) {
            let newer = |(&key, round): (&RoundKey, &Arc<OpenRound>)| {
                (Some(key) > since).then(|| Arc::clone(round))
            };
            let newer: Vec<_> = self.open.iter().filter_map(newer).collect();
            let taken = |one: &&Standby| newer.iter().any(|round| round.cohort.contains(&one.node));
            let taken = all.iter().filter(taken).count();
            let needed = usize::try_from(needed).unwrap_or(usize::MAX);
            held.hold(all.into_iter().map(|one| one.node).collect(), needed, taken);
        }
        Ok(None)
    }

    /// Whom the run could draw from if none of them were busy.
    async fn candidates(&self, run: &Live) -> Result<Vec<Standby>, StoreError> {
        let (core, cohort) = (&self.core, &run.plan.cohort);
        if !run.plan.reproducible {
            return Ok(core.presence.candidates(cohort, &run.learner, &*core.clock));
        }
        // It waits for its own nodes, all of them.
        let names = cohort.nodes.clone();
        let enrolled = core.store.count_enrolled(names.clone(), run.learner.clone()).await?;
        if enrolled < names.len() {
            return Ok(Vec::new());
        }
        let standby = |node| Standby { node, drawn: 0, turns: 0 };
        let mut all: Vec<_> = names.into_iter().map(standby).collect();
        all.sort_by(|one, other| one.node.cmp(&other.node));
        Ok(all)
    }

    /// Notes whether a run gathers candidates now, and says since when it does.
    fn gather(&mut self, run: RunId, now_ms: Option<u64>) -> Option<u64> {
        let waiting = self.waiting.get_mut(&run)?;
        waiting.gathering_ms = now_ms.map(|now_ms| waiting.gathering_ms.unwrap_or(now_ms));
        waiting.gathering_ms
    }

    /// Posts the orders to be had, if they changed.
    fn post(&self, live: Vec<Live>, directed: u64) {
        let ends_ms = |round: LiveRound| self.open.get(&round.key).map(|open| open.ends_ms);
        let wanted = |run: Live| {
            let ends_ms = run.live.and_then(ends_ms).unwrap_or_default();
            Wanted { learner: run.learner, plan: run.plan, ends_ms }
        };
        let goes_on = live.into_iter().filter(|run| !run.paused);
        let runs: Vec<Wanted> = goes_on.map(wanted).collect();
        self.core.board.send_if_modified(|board| {
            let same = board.rounds.keys().eq(self.open.keys())
                && board.runs == runs
                && board.directed == directed;
            if !same {
                *board = Arc::new(Board { rounds: self.open.clone(), runs, directed });
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
