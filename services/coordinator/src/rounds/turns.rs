//! Whose turn it is when several runs want the same nodes.
//!
//! Runs open rounds in the order of how long ago they last did. That alone would starve a run that needs more nodes
//! than ever are free at once: small runs would take each node as it comes back. So a run that waits holds nodes back
//! from the runs behind it, as many as it needs beside those that it can hope for: what others held when it began to
//! wait comes back to it by itself, what was opened since then does not.

use federation::NodeId;
use federation::draw::Standby;

/// What waiting runs hold back in one pass over the runs, in their order.
#[derive(Debug, Default)]
pub(super) struct Held {
    claims: Vec<Claim>,
}

#[derive(Debug)]
struct Claim {
    /// The nodes that it could run on, by name.
    nodes: Vec<NodeId>,
    /// How many of them the runs behind it may still take.
    spare: usize,
}

impl Held {
    /// A run waits that could run on `nodes`, which stand by name, and needs `needed` of them; since it began to wait,
    /// others took `taken` of them.
    pub(super) fn hold(&mut self, nodes: Vec<NodeId>, needed: usize, taken: usize) {
        let spare = nodes.len().saturating_sub(needed).saturating_sub(taken);
        self.claims.push(Claim { nodes, spare });
    }

    /// Takes out of `free` what is held back from a run that draws up to `size` nodes.
    pub(super) fn respect(&self, free: &mut Vec<Standby>, size: usize) {
        for Claim { nodes, spare } in &self.claims {
            if size > *spare {
                free.retain(|one| nodes.binary_search(&one.node).is_err());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: u32) -> Vec<NodeId> {
        (0..count).map(|i| format!("n{i:02}").parse().unwrap()).collect()
    }

    fn left(held: &Held, size: usize) -> usize {
        let standby = |node| Standby { node, drawn: 0, turns: 0 };
        let mut free: Vec<_> = names(12).into_iter().map(standby).collect();
        held.respect(&mut free, size);
        free.len()
    }

    #[test]
    fn a_run_that_waits_holds_back_what_it_needs_and_no_more() {
        let mut held = Held::default();
        assert_eq!(left(&held, 12), 12);
        held.hold(names(10), 6, 0);
        assert_eq!((left(&held, 4), left(&held, 5)), (12, 2), "ten are wanted, two are not");
        held.hold(names(11), 6, 4);
        assert_eq!((left(&held, 1), left(&held, 2), left(&held, 5)), (12, 1, 1));
        held.hold(names(3), 9, 9);
        assert_eq!(left(&held, 1), 9);
    }
}
