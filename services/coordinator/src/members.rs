//! The nodes of a cohort, and which of them are counted: small enough to hold in memory for the largest round.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use federation::NodeId;
use indexmap::IndexSet;

use crate::salt::Salt;

/// A cohort. Membership never changes; a node that is counted stays so.
#[derive(Debug)]
pub(crate) struct Members {
    /// By name; each update looks for its node several times.
    names: IndexSet<NodeId, Salt>,
    counted: Box<[AtomicU64]>,
    /// Whether somebody may be counted who is not noted.
    doubtful: AtomicBool,
}

impl Members {
    /// A cohort of `members`, each with whether it is counted already.
    pub(crate) fn new(mut members: Vec<(NodeId, bool)>, salt: Salt) -> Self {
        members.sort_unstable();
        members.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut counted = vec![0; members.len().div_ceil(64)];
        for (at, (_, is_counted)) in members.iter().enumerate() {
            counted[at / 64] |= u64::from(*is_counted) << (at % 64);
        }
        let mut names = IndexSet::with_capacity_and_hasher(members.len(), salt);
        names.extend(members.into_iter().map(|(name, _)| name));
        Self {
            names,
            counted: counted.into_iter().map(AtomicU64::new).collect(),
            doubtful: AtomicBool::new(false),
        }
    }

    /// The members, by name.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &NodeId> {
        self.names.iter()
    }

    /// Whether `node` is a member.
    pub(crate) fn contains(&self, node: &NodeId) -> bool {
        self.names.contains(node)
    }

    /// Whether `node` is a member that is not known to be counted.
    pub(crate) fn waits_for(&self, node: &NodeId) -> bool {
        self.names.get_index_of(node).is_some_and(|at| !self.counted_at(at))
    }

    /// Whether `node` is known to be counted. `false` may be stale, by the moment between a commit and its note, or for as
    /// long as [`Members::is_doubtful`]: the database knows.
    pub(crate) fn is_counted(&self, node: &NodeId) -> bool {
        self.names.get_index_of(node).is_some_and(|at| self.counted_at(at))
    }

    fn counted_at(&self, at: usize) -> bool {
        self.counted[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    /// A group failed, and nobody knows whether it was committed.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether the database must be asked who is counted.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Notes that `node` is counted, durably.
    pub(crate) fn count(&self, node: &NodeId) {
        if let Some(at) = self.names.get_index_of(node) {
            self.counted[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_counted_one_by_one() {
        let name = |i: u32| format!("node-{i}").parse::<NodeId>().unwrap();
        let members =
            Members::new((0..200).rev().map(|i| (name(i), i % 50 == 0)).collect(), Salt::default());
        assert_eq!(members.names().len(), 200);
        assert!(members.names().is_sorted());
        assert!(members.contains(&name(199)) && !members.contains(&name(200)));
        assert!(members.is_counted(&name(150)) && !members.is_counted(&name(151)));
        let waits: Vec<_> =
            [150, 151, 200].map(name).iter().map(|node| members.waits_for(node)).collect();
        assert_eq!(waits, [false, true, false]);
        members.count(&name(151));
        members.count(&name(999));
        let counted: Vec<_> = (0..201).filter(|&i| members.is_counted(&name(i))).collect();
        assert_eq!(counted, [0, 50, 100, 150, 151]);
    }
}
