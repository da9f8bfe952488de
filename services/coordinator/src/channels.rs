//! The channels' clockwork: watches promotions, takes them from step to step, turns them back; and posts what each node
//! should hold.
//!
//! It stands still until something happens that a channel waits for: a channel was moved, a version was published, a
//! report came in. Each report is read once and added up in memory; after a restart they are read again, from where their
//! promotion began. A decision is written only if the channel still is as it was when it was decided.

mod offers;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use federation::channel::{Decision, Rollout, State, decide};
use federation::{ChannelName, Clock, ModelName};

pub(crate) use self::offers::Offers;
use self::tally::{Members, Tally};
use crate::posted::Posted;
use crate::store::{Standing, Store, StoreError};

/// Reports read at once.
const REPORTS_READ: u32 = 1_000;

/// Nodes read at once.
const NODES_READ: u32 = 1_000;

/// How long the count of the nodes of a step may be old, when nodes were enrolled since.
const COUNT_MS: u64 = 1_000;

/// What channels have to do with the rest of the coordinator.
#[derive(Debug)]
pub(crate) struct Desk {
    /// What nodes should hold, as the last tick left it.
    pub(crate) offers: Posted<Arc<Offers>>,
    moved: AtomicBool,
    reported: AtomicBool,
    enrolled: AtomicU64,
}

/// The clockwork. One per coordinator.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    standing: Vec<Standing>,
    tallies: BTreeMap<(ModelName, ChannelName), Tally>,
    members: Option<Members>,
}

impl Desk {
    /// A desk at which nothing was looked at yet.
    pub(crate) fn new() -> Self {
        Self {
            offers: Posted::new(Arc::default()),
            moved: AtomicBool::new(true),
            reported: AtomicBool::new(false),
            enrolled: AtomicU64::new(0),
        }
    }

    /// Something moved: a channel, or a model to a new version.
    pub(crate) fn moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// A node reported on a version. Whether a channel may wait for that.
    pub(crate) fn reported(&self) -> bool {
        let waits = self.offers.get().watch();
        if waits {
            self.reported.store(true, Ordering::Relaxed);
        }
        waits
    }

    /// A node was enrolled, or again with other labels.
    pub(crate) fn enrolled(&self) {
        self.enrolled.fetch_add(1, Ordering::Relaxed);
    }
}

impl Channels {
    /// Does what is due. `true` means that there is more to do at once.
    pub(crate) async fn tick(
        &mut self,
        desk: &Desk,
        store: &Store,
        clock: &dyn Clock,
    ) -> Result<bool, StoreError> {
        let moved = desk.moved.swap(false, Ordering::Relaxed);
        let reported = desk.reported.swap(false, Ordering::Relaxed);
        if !moved && !reported && !self.waits_for_count(desk, clock) {
            return Ok(false);
        }
        let stepped = self.step(moved, desk, store, clock).await;
        if !matches!(stepped, Ok(false)) {
            // What is written is read again; what failed is tried again.
            desk.moved();
        }
        stepped
    }

    async fn step(
        &mut self,
        moved: bool,
        desk: &Desk,
        store: &Store,
        clock: &dyn Clock,
    ) -> Result<bool, StoreError> {
        if moved {
            self.standing = store.standing().await?;
            let offers = Offers::of(&self.standing);
            self.tallies.retain(|(model, name), tally| {
                let same = |standing: &Standing| {
                    let channel = &standing.channel;
                    (&channel.model, &channel.name) == (model, name) && tally.is_of(channel)
                };
                self.standing.iter().any(same)
            });
            if self.standing.is_empty() {
                self.members = None;
            }
            desk.offers.send_if_modified(|posted| {
                let same = **posted == offers;
                if !same {
                    // What counts as a member was judged by the offers there were.
                    self.members = None;
                    *posted = Arc::new(offers);
                }
                !same
            });
        }
        let offers = desk.offers.get();
        let mut more = false;
        for standing in &self.standing {
            let (model, name) = (&standing.channel.model, &standing.channel.name);
            if standing.due.is_some() {
                let now = clock.wall();
                let promoted = store.promote_due(model.clone(), name.clone(), now).await?;
                if let Some(version) = promoted {
                    tracing::info!(%model, channel = %name, version = version.0, "a channel takes the new version");
                    more = true;
                    continue;
                }
            }
            let key = (model.clone(), name.clone());
            let tally = self.tallies.entry(key).or_insert_with(|| Tally::new(&standing.channel));
            more |= Self::watch(standing, tally, &mut self.members, &offers, desk, store, clock)
                .await?;
        }
        Ok(more)
    }

    /// Whether a decision waits until it is known how many nodes there are.
    fn waits_for_count(&self, desk: &Desk, clock: &dyn Clock) -> bool {
        let old = |members: &Members| members.is_old(desk, clock);
        self.members.as_ref().is_some_and(old) && self.tallies.values().any(Tally::waits_for_count)
    }

    /// Looks at a channel's newest promotion. Whether something was decided.
    async fn watch(
        standing: &Standing,
        tally: &mut Tally,
        members: &mut Option<Members>,
        offers: &Offers,
        desk: &Desk,
        store: &Store,
        clock: &dyn Clock,
    ) -> Result<bool, StoreError> {
        let channel = &standing.channel;
        let (newest, setup) = (&channel.newest, &channel.setup);
        if channel.pinned || !matches!(newest.state, State::Rolling | State::Done) {
            return Ok(false);
        }
        let guard = setup.guard.filter(|_| newest.watched);
        if guard.is_none() && newest.state == State::Done {
            return Ok(false);
        }
        let before = setup.steps.before(newest.percent);
        let (mut in_step, mut added) = (u64::MAX, u64::MAX);
        if let Some(guard) = guard {
            tally.read(standing, offers, store).await?;
            let fresh = tally.nodes(before, newest.percent);
            let short = fresh < u64::from(guard.nodes());
            tally.set_waits_for_count(short);
            if short {
                let old = members.as_ref().is_none_or(|members| members.is_old(desk, clock));
                if old {
                    *members = Some(Members::count(offers, desk, store, clock).await?);
                }
                let place = offers.place_of(&channel.model, &channel.name);
                if let Some((all, at)) = members.as_ref().zip(place) {
                    in_step = all.of(at, newest.percent);
                    added = in_step - all.of(at, before);
                }
            }
        }
        let evidence = tally.evidence(newest.percent);
        let decision = decide(&Rollout {
            state: newest.state,
            watched: newest.watched,
            guard,
            steps: &setup.steps,
            percent: newest.percent,
            evidence,
            members: in_step,
            fresh: tally.nodes(before, newest.percent),
            added,
        });
        if decision == Decision::Wait {
            return Ok(false);
        }
        let key = (channel.model.clone(), channel.name.clone());
        let at = (newest.number, newest.percent);
        let stopped = store.decide_promotion(key, at, decision, evidence, clock.wall()).await?;
        let (model, name, version) = (&channel.model, &channel.name, newest.version.0);
        match decision {
            Decision::Trip => tracing::warn!(
                %model, channel = %name, version, nodes = evidence.nodes, samples = evidence.samples,
                correct = evidence.correct, run.stopped = stopped.map(|run| run.0),
                "a guard turned a version back"
            ),
            Decision::Wait | Decision::Advance(_) | Decision::Done => tracing::info!(
                %model, channel = %name, version, percent = newest.percent, ?decision,
                nodes = evidence.nodes, "a version goes on"
            ),
        }
        Ok(true)
    }
}
