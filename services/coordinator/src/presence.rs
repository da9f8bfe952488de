//! Which nodes were heard of lately, what they can do and how they are: in memory, so that a poll costs no disk.
//!
//! A round draws from the nodes that are present. After a restart nobody is, until each node asks again, which it does
//! within its retry time.
//!
//! A fleet may be large, so a node is small here: what many nodes have in common (labels and learners, sizes of the
//! chip) stands in memory once, and its name is shared with the cohorts it is in.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use federation::draw::Standby;
use federation::pace::Fleet;
use federation::rate::Used;
use federation::secret::same;
use federation::{
    Clock, Cohort, Digest, Entropy, Hold, NodeId, NodeStatus, Timestamp, eligible, limits,
};
use indexmap::IndexMap;

use crate::channels::Offers;
use crate::members::Members;
use crate::orders::Wanted;
use crate::salt::Salt;
use crate::store::{Node, Turns};

/// How much later than due a node may be heard of: the longest pause after a failed call, as long again at its own work,
/// and half a minute for a slow line.
const LATE_MS: u64 = 90_000;

/// A node that is due within this time is at hand, as good as one that waits.
const NEAR_MS: u64 = 5_000;

/// How old the written time of a node's last sign of life may get before it is written again.
const SEEN_STALE_MS: u16 = 30_000;

/// Most nodes whose times are written at once. The rest waits for the next time.
const SEEN_WRITES_MAX: usize = 1_000;

/// The nodes heard of since the start.
#[derive(Debug)]
pub(crate) struct Presence {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By name, in the order in which they came; each call asks for its node several times.
    nodes: IndexMap<NodeId, Present, Salt>,
    profiles: BTreeSet<Arc<Profile>>,
    capacities: BTreeSet<Arc<BTreeMap<String, u64>>>,
    fleet: Fleet,
}

/// What a node enrolled with, and the version it said it holds: all that nodes of a kind have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Profile {
    labels: BTreeMap<String, String>,
    learners: Vec<String>,
    holding: Option<Digest>,
}

#[derive(Debug)]
struct Present {
    profile: Arc<Profile>,
    /// What it reported; nothing of a node that reports nothing.
    status: Option<Box<NodeStatus>>,
    /// By the monotonic clock: when it should be heard of again.
    due_ms: u64,
    seen: Timestamp,
    turns: u32,
    /// How much older the written time of its last sign of life is.
    unwritten_ms: u16,
    manner: Manner,
    /// Whether it was revoked: nothing is answered to it, and no round draws it.
    revoked: bool,
    last_turn: u64,
    /// Digest of the credential it shows, if it has one; one more holder for each of its open calls.
    credential: Option<Arc<Digest>>,
    /// What it has used up of its rate.
    used: Used,
}

/// How a node comes by its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It has not asked for work since it was away, or since the start.
    Unknown,
    /// It waits for them within its questions.
    Waits,
    /// It does not, and is to be told when to ask.
    Polls,
    /// It was told to stay away until it is due.
    Away,
}

/// How a node is received that shows a credential.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// It is the node. The call is open until this is dropped.
    In(Arc<Digest>),
    /// It is the node, and has as many calls open as it may.
    Crowded,
    /// The node has another credential.
    Wrong,
    /// Nothing is known about the node.
    Unknown,
}

/// What became of a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is noted.
    Yes,
    /// Nothing is known about the node.
    Unknown,
    /// The node was revoked.
    Revoked,
}

impl Presence {
    /// As yet without nodes.
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let nodes = IndexMap::with_hasher(Salt::new(entropy));
        Self { known: Mutex::new(Known { nodes, ..Known::default() }) }
    }

    /// A node was heard of, and this is what is known about it.
    pub(crate) fn admit(&self, node: Node, clock: &dyn Clock) {
        let Node { id, labels, learners, seen_ms, turns, credential, revoked_ms, .. } = node;
        let mut known = self.lock();
        let Known { nodes, profiles, .. } = &mut *known;
        let holding = nodes.get(&id).and_then(|present| present.profile.holding);
        let profile = share(profiles, Arc::new(Profile { labels, learners, holding }));
        match nodes.get_mut(&id) {
            // It enrolled again. Memory is newer than the row that was read.
            Some(present) => {
                let old = std::mem::replace(&mut present.profile, profile);
                release(profiles, &old);
                if credential.is_some() && present.credential.as_deref() != credential.as_ref() {
                    present.credential = credential.map(Arc::new);
                    present.used = Used::default();
                }
                present.heard(clock);
            }
            None => {
                let Turns { last, count } = turns;
                let mut present = Present {
                    profile,
                    status: None,
                    due_ms: 0,
                    seen: Timestamp(seen_ms),
                    turns: count,
                    unwritten_ms: 0,
                    manner: Manner::Unknown,
                    revoked: revoked_ms.is_some(),
                    last_turn: last,
                    credential: credential.map(Arc::new),
                    used: Used::default(),
                };
                present.heard(clock);
                if nodes.len() == nodes.capacity() {
                    // A fleet may be large: a quarter more, not twice as many.
                    nodes.reserve_exact(nodes.len() / 4 + 16);
                }
                nodes.insert(id, present);
            }
        }
    }

    /// A node was heard of.
    pub(crate) fn touch(&self, node: &NodeId, clock: &dyn Clock) -> Heard {
        match self.lock().nodes.get_mut(node) {
            None => Heard::Unknown,
            Some(present) if present.revoked => Heard::Revoked,
            Some(present) => {
                present.heard(clock);
                Heard::Yes
            }
        }
    }

    /// Whether a known node is revoked.
    pub(crate) fn is_revoked(&self, node: &NodeId) -> bool {
        self.lock().nodes.get(node).is_some_and(|present| present.revoked)
    }

    /// A node is revoked from now on.
    pub(crate) fn revoke(&self, node: &NodeId) {
        if let Some(present) = self.lock().nodes.get_mut(node) {
            present.revoked = true;
        }
    }

    /// A node comes in by the credential of which this is the digest, if fewer than `open_max` of its calls are open.
    pub(crate) fn enter(&self, node: &NodeId, shown: &Digest, open_max: usize) -> Entrance {
        let known = self.lock();
        let Some(present) = known.nodes.get(node) else { return Entrance::Unknown };
        match &present.credential {
            Some(credential) if same(credential, shown) => {
                let open = Arc::strong_count(credential) - 1;
                if open < open_max {
                    Entrance::In(Arc::clone(credential))
                } else {
                    Entrance::Crowded
                }
            }
            _ => Entrance::Wrong,
        }
    }

    /// Takes a call of a known node from its rate, or says in how many milliseconds there is one.
    pub(crate) fn take_turn(&self, node: &NodeId, now_ms: u64) -> Result<(), u64> {
        match self.lock().nodes.get_mut(node) {
            Some(present) if present.credential.is_some() => {
                limits::NODE_RATE.take(&mut present.used, now_ms)
            }
            _ => Ok(()),
        }
    }

    /// A known node asks for work, and says how it is. It `polls` if it does not wait for work.
    pub(crate) fn report(&self, node: &NodeId, mut status: NodeStatus, polls: bool) {
        let mut known = self.lock();
        let Known { nodes, capacities, .. } = &mut *known;
        let Some(present) = nodes.get_mut(node) else { return };
        present.manner = if polls { Manner::Polls } else { Manner::Waits };
        let status = (status != NodeStatus::default()).then(|| {
            status.capacity = share(capacities, status.capacity);
            Box::new(status)
        });
        if let Some(old) = std::mem::replace(&mut present.status, status) {
            release(capacities, &old.capacity);
        }
    }

    /// A known node says which version it holds.
    pub(crate) fn holds(&self, node: &NodeId, version: Option<Digest>) {
        let mut known = self.lock();
        let Known { nodes, profiles, .. } = &mut *known;
        let Some(present) = nodes.get_mut(node) else { return };
        if present.profile.holding == version {
            return;
        }
        let Profile { labels, learners, .. } = &*present.profile;
        let (labels, learners) = (labels.clone(), learners.clone());
        let profile = share(profiles, Arc::new(Profile { labels, learners, holding: version }));
        let old = std::mem::replace(&mut present.profile, profile);
        release(profiles, &old);
    }

    /// The version that a node said it holds, if it did since the start.
    pub(crate) fn holding(&self, node: &NodeId) -> Option<Digest> {
        self.lock().nodes.get(node).and_then(|present| present.profile.holding)
    }

    /// Whether a node was heard of when it was due.
    pub(crate) fn is_present(&self, node: &str, clock: &dyn Clock) -> bool {
        let Ok(node) = node.parse::<NodeId>() else { return false };
        let now_ms = clock.monotonic_ms();
        self.lock().nodes.get(&node).is_some_and(|present| present.is_present(now_ms))
    }

    /// How many of the known nodes hold which version, as they say.
    pub(crate) fn holdings(&self) -> BTreeMap<Digest, u64> {
        let known = self.lock();
        let mut holdings = BTreeMap::new();
        for profile in &known.profiles {
            let Some(version) = profile.holding else { continue };
            // All holders but the pool are nodes.
            let nodes = u64::try_from(Arc::strong_count(profile) - 1).unwrap_or(u64::MAX);
            *holdings.entry(version).or_default() += nodes;
        }
        holdings
    }

    /// What a known node should hold.
    pub(crate) fn hold(&self, node: &NodeId, offers: &Offers) -> Option<Hold> {
        if offers.is_empty() {
            return None;
        }
        let profile = self.lock().nodes.get(node).map(|present| Arc::clone(&present.profile))?;
        offers.hold(node, &profile.labels, &profile.learners)
    }

    /// Whether a node did not wait when it last asked for work.
    pub(crate) fn polls(&self, node: &NodeId) -> bool {
        self.lock().nodes.get(node).is_some_and(|present| present.manner == Manner::Polls)
    }

    /// When `wanted` of these nodes should have asked for work, by the monotonic clock: those that were told to stay away
    /// when they are due, those that wait for work at once. Nothing where that is known of fewer.
    pub(crate) fn expected<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodeId>,
        wanted: u32,
        clock: &dyn Clock,
    ) -> Option<u64> {
        let now_ms = clock.monotonic_ms();
        let known = self.lock();
        let due = |node| {
            let present = known.nodes.get(node)?;
            match present.manner {
                Manner::Waits => Some(now_ms),
                Manner::Polls | Manner::Unknown => None,
                Manner::Away => Some(present.due_ms.max(now_ms)),
            }
        };
        let mut due: Vec<u64> = nodes.into_iter().filter_map(due).collect();
        drop(known);
        let last = usize::try_from(wanted).ok()?.checked_sub(1)?;
        (last < due.len()).then(|| *due.select_nth_unstable(last).1)
    }

    /// A known node was told to stay away for so long.
    pub(crate) fn away(&self, node: &NodeId, retry_ms: u32, clock: &dyn Clock) {
        if let Some(present) = self.lock().nodes.get_mut(node) {
            present.due_ms = clock.monotonic_ms() + u64::from(retry_ms);
            present.manner = Manner::Away;
        }
    }

    /// These nodes were drawn for the round with this number of a row.
    pub(crate) fn drawn(&self, cohort: &[NodeId], round: u64) {
        let mut known = self.lock();
        for node in cohort {
            if let Some(present) = known.nodes.get_mut(node) {
                present.turns = present.turns.saturating_add(1);
                present.last_turn = round;
            }
        }
    }

    /// When a node was last heard of, and how it said it was, if since the start.
    pub(crate) fn seen(&self, node: &NodeId) -> Option<(Timestamp, NodeStatus)> {
        self.lock()
            .nodes
            .get(node)
            .map(|present| (present.seen, present.status.as_deref().cloned().unwrap_or_default()))
    }

    /// The present nodes that a cohort may be drawn from for `learner`.
    pub(crate) fn candidates(
        &self,
        cohort: &Cohort,
        learner: &str,
        clock: &dyn Clock,
    ) -> Vec<Standby> {
        let now_ms = clock.monotonic_ms();
        let mut wish = Wish::new(cohort, learner);
        let known = self.lock();
        let present = known.nodes.iter().filter(|(_, node)| node.is_present(now_ms));
        let suitable = present.filter(|(_, node)| wish.suits(node));
        let standby = |(id, node): (&NodeId, &Present)| Standby {
            node: id.clone(),
            drawn: node.last_turn,
            turns: node.turns,
        };
        suitable.map(standby).collect()
    }

    /// Leaves the nodes at hand in `free`, if there are `size` of them: a round that has the choice need not wait for
    /// nodes that were told to stay away.
    pub(crate) fn prefer_near(&self, free: &mut Vec<Standby>, size: usize, clock: &dyn Clock) {
        let now_ms = clock.monotonic_ms();
        let known = self.lock();
        let near =
            |one: &Standby| known.nodes.get(&one.node).is_none_or(|node| node.is_near(now_ms));
        if free.iter().filter(|one| near(one)).count() >= size {
            free.retain(near);
        }
    }

    /// Whether a cohort may be drawn from this node for `learner`.
    pub(crate) fn suits(&self, node: &NodeId, cohort: &Cohort, learner: &str) -> bool {
        self.lock().nodes.get(node).is_some_and(|present| Wish::new(cohort, learner).suits(present))
    }

    /// Counts the present nodes, and those that one of `runs` may want. [`Presence::fleet`] says it from now on.
    pub(crate) fn count(&self, runs: &[Wanted], clock: &dyn Clock) {
        let now_ms = clock.monotonic_ms();
        let wish = |run| {
            let Wanted { learner, plan, .. }: &Wanted = run;
            let named: BTreeSet<&NodeId> = plan.cohort.nodes.iter().collect();
            (named, Wish::new(&plan.cohort, learner))
        };
        let mut wishes: Vec<_> = runs.iter().map(wish).collect();
        let mut known = self.lock();
        let mut fleet = Fleet::default();
        for (id, node) in known.nodes.iter().filter(|(_, node)| node.is_present(now_ms)) {
            let wanted =
                wishes.iter_mut().any(|(named, wish)| named.contains(id) || wish.suits(node));
            let count = if wanted { &mut fleet.wanted } else { &mut fleet.others };
            *count = count.saturating_add(1);
        }
        known.fleet = fleet;
    }

    /// How many nodes there were at the last count.
    pub(crate) fn fleet(&self) -> Fleet {
        self.lock().fleet
    }

    /// A cohort, each node with whether it is counted, that shares the names of those that are known.
    pub(crate) fn named(&self, cohort: Vec<(NodeId, bool)>) -> Members {
        let known = self.lock();
        let shared = |node| known.nodes.get_key_value(&node).map_or(node, |(id, _)| id.clone());
        let cohort = cohort.into_iter().map(|(node, counted)| (shared(node), counted));
        Members::new(cohort.collect(), *known.nodes.hasher())
    }

    /// Nodes whose written times are stale, with the times to write; these count as written from now on.
    pub(crate) fn take_stale(&self) -> Vec<(NodeId, Timestamp)> {
        let mut known = self.lock();
        let stale = known
            .nodes
            .iter_mut()
            .filter(|(_, node)| node.unwritten_ms >= SEEN_STALE_MS)
            .take(SEEN_WRITES_MAX);
        stale
            .map(|(id, node)| {
                node.unwritten_ms = 0;
                (id.clone(), node.seen)
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no code panics while it holds the nodes")
    }
}

impl Present {
    /// It was heard of now.
    fn heard(&mut self, clock: &dyn Clock) {
        let now = clock.wall();
        let later_ms = u16::try_from(now.0.saturating_sub(self.seen.0)).unwrap_or(u16::MAX);
        self.unwritten_ms = self.unwritten_ms.saturating_add(later_ms);
        self.seen = now;
        self.due_ms = clock.monotonic_ms() + u64::from(limits::WAIT_MS_MAX);
        if self.manner == Manner::Away {
            self.manner = Manner::Unknown;
        }
    }

    fn is_present(&self, now_ms: u64) -> bool {
        !self.revoked && self.due_ms.saturating_add(LATE_MS) >= now_ms
    }

    fn is_near(&self, now_ms: u64) -> bool {
        self.manner != Manner::Away || self.due_ms <= now_ms.saturating_add(NEAR_MS)
    }
}

/// What a run wants of a node. Labels are looked at once for all nodes that have the same.
struct Wish<'a> {
    cohort: &'a Cohort,
    learner: &'a str,
    judged: BTreeMap<*const Profile, bool>,
    /// What a node is taken for that reports nothing.
    silent: NodeStatus,
}

impl<'a> Wish<'a> {
    fn new(cohort: &'a Cohort, learner: &'a str) -> Self {
        Self { cohort, learner, judged: BTreeMap::new(), silent: NodeStatus::default() }
    }

    fn suits(&mut self, node: &Present) -> bool {
        let Self { cohort, learner, judged, silent } = self;
        let judge = || {
            let Profile { labels, learners, .. } = &*node.profile;
            learners.iter().any(|known| known == learner) && cohort.selector.matches(labels)
        };
        !node.revoked
            && *judged.entry(Arc::as_ptr(&node.profile)).or_insert_with(judge)
            && eligible(&cohort.eligible, node.status.as_deref().unwrap_or(silent))
    }
}

/// `value` as it stands in `pool` already, or from now on.
fn share<T: Ord>(pool: &mut BTreeSet<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(same) = pool.get(&value) {
        return Arc::clone(same);
    }
    pool.insert(Arc::clone(&value));
    value
}

/// Drops `value` from `pool` when nobody else has it: only the pool and the caller.
fn release<T: Ord>(pool: &mut BTreeSet<Arc<T>>, value: &Arc<T>) {
    if Arc::strong_count(value) <= 2 {
        pool.remove(value);
    }
}
