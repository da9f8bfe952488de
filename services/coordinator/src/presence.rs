//! Which nodes were heard of lately, and what they can do: in memory, so that a poll costs no disk.
//!
//! A round draws from the nodes that are present. After a restart nobody is, until each node asks again, which it does
//! within its retry time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use federation::{Clock, NodeId, Selector, Timestamp, limits};

use crate::store::Node;

/// How long a node counts as present after it was heard of: the longest wait for an order, the longest retry time
/// after it, and half a minute for a slow line.
const PRESENT_MS: u64 = limits::WAIT_MS_MAX as u64 + crate::orders::RETRY_MS_MAX as u64 + 30_000;

/// How old the written time of a node's last sign of life may get before it is written again.
const SEEN_STALE_MS: u64 = 30_000;

/// Most nodes whose times are written at once. The rest waits for the next time.
const SEEN_WRITES_MAX: usize = 1_000;

/// The nodes heard of since the start.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    nodes: Mutex<BTreeMap<NodeId, Present>>,
}

#[derive(Debug)]
struct Present {
    labels: BTreeMap<String, String>,
    learners: Vec<String>,
    heard_ms: u64,
    seen: Timestamp,
    written: Timestamp,
}

impl Presence {
    /// A node was heard of, and this is what is known about it.
    pub(crate) fn admit(&self, node: Node, clock: &dyn Clock) {
        let Node { id, labels, learners, seen_ms, public_key: _, enrolled_ms: _ } = node;
        let present = Present {
            labels,
            learners,
            heard_ms: clock.monotonic_ms(),
            seen: clock.wall(),
            written: Timestamp(seen_ms),
        };
        self.lock().insert(id, present);
    }

    /// A node was heard of; false when nothing is known about it yet.
    pub(crate) fn touch(&self, node: &NodeId, clock: &dyn Clock) -> bool {
        let mut nodes = self.lock();
        let Some(present) = nodes.get_mut(node) else { return false };
        present.heard_ms = clock.monotonic_ms();
        present.seen = clock.wall();
        true
    }

    /// When a node was last heard of, if since the start.
    pub(crate) fn seen(&self, node: &NodeId) -> Option<Timestamp> {
        self.lock().get(node).map(|present| present.seen)
    }

    /// The present nodes with all labels of `selector` that can run `learner`.
    pub(crate) fn candidates(
        &self,
        selector: &Selector,
        learner: &str,
        clock: &dyn Clock,
    ) -> Vec<NodeId> {
        let now_ms = clock.monotonic_ms();
        let present = |present: &Present| now_ms.saturating_sub(present.heard_ms) <= PRESENT_MS;
        self.lock()
            .iter()
            .filter(|(_, node)| present(node) && node.suits(selector, learner))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether a node has all labels of `selector` and can run `learner`.
    pub(crate) fn suits(&self, node: &NodeId, selector: &Selector, learner: &str) -> bool {
        self.lock().get(node).is_some_and(|present| present.suits(selector, learner))
    }

    /// Nodes whose written times are stale, with the times to write; these count as written from now on.
    pub(crate) fn take_stale(&self) -> Vec<(NodeId, Timestamp)> {
        let mut nodes = self.lock();
        let stale = nodes
            .iter_mut()
            .filter(|(_, node)| node.seen.0.saturating_sub(node.written.0) >= SEEN_STALE_MS)
            .take(SEEN_WRITES_MAX);
        stale
            .map(|(id, node)| {
                node.written = node.seen;
                (id.clone(), node.seen)
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Present>> {
        self.nodes.lock().expect("no code panics while it holds the nodes")
    }
}

impl Present {
    fn suits(&self, selector: &Selector, learner: &str) -> bool {
        selector.matches(&self.labels) && self.learners.iter().any(|known| known == learner)
    }
}
