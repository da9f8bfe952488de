//! Draws from a seed: a pure function of (seed, purpose, round, attempt, node), the same on every machine.

use sha2::{Digest as _, Sha256};

use crate::id::{NodeId, RoundRef};

/// 64 bits for one node in one round. The run's number takes no part, so that the same seed repeats a run anywhere.
///
/// ```
/// # use federation::{draw, NodeId, RoundRef, RunId};
/// let node: NodeId = "node-01".parse()?;
/// let round = RoundRef { run: RunId(1), number: 1, attempt: 1 };
/// assert_ne!(draw::draw(7, "train", round, &node), draw::draw(8, "train", round, &node));
/// # Ok::<(), federation::IdError>(())
/// ```
#[must_use]
pub fn draw(seed: u64, purpose: &str, round: RoundRef, node: &NodeId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"muster draw\0");
    hash.update(seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(round.number.to_le_bytes());
    hash.update(round.attempt.to_le_bytes());
    hash.update(node.as_str().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) =
        digest.split_first_chunk::<8>().expect("a SHA-256 digest has more than 8 bytes");
    u64::from_le_bytes(*first)
}

/// Draws `count` of `candidates` for a round, in the order drawn. Their order does not matter.
#[must_use]
pub fn cohort(seed: u64, round: RoundRef, candidates: &[NodeId], count: usize) -> Vec<NodeId> {
    let mut drawn: Vec<_> =
        candidates.iter().map(|node| (draw(seed, "cohort", round, node), node)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn.into_iter().take(count).map(|(_, node)| node.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;

    fn nodes(count: u32) -> Vec<NodeId> {
        (0..count).map(|i| format!("node-{i:02}").parse().unwrap()).collect()
    }

    fn round(number: u32, attempt: u32) -> RoundRef {
        RoundRef { run: RunId(1), number, attempt }
    }

    #[test]
    fn a_cohort_depends_on_seed_round_and_attempt_but_not_on_order_or_run() {
        let all = nodes(20);
        let mut reversed = all.clone();
        reversed.reverse();
        let first = cohort(7, round(1, 1), &all, 5);
        assert_eq!(first.len(), 5);
        assert_eq!(first, cohort(7, round(1, 1), &reversed, 5));
        assert_eq!(first, cohort(7, RoundRef { run: RunId(9), ..round(1, 1) }, &all, 5));
        assert_ne!(first, cohort(8, round(1, 1), &all, 5));
        assert_ne!(first, cohort(7, round(2, 1), &all, 5));
        assert_ne!(first, cohort(7, round(1, 2), &all, 5));
        assert_eq!(cohort(7, round(1, 1), &all, 99).len(), 20);
    }

    #[test]
    fn draws_are_fixed_forever() {
        assert_eq!(draw(7, "train", round(1, 1), &nodes(1)[0]), 99_840_095_607_192_572);
    }
}
