//! Draws from a seed: a pure function of (seed, purpose, round, attempt, node), the same on every machine; and the
//! cohort, drawn fairly.

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

/// A node that may be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// The node.
    pub node: NodeId,
    /// When it was last drawn, as a number that grows from round to round; 0 for never. Only the order counts.
    pub drawn: u64,
    /// How often it was drawn.
    pub turns: u32,
}

/// Draws `count` of `candidates` for a round, in the order drawn: those whose last turn is longest ago first; of those
/// who had it in the same round, the ones with fewer turns; and else by the seed. The order of the candidates does not
/// matter.
///
/// So nodes that can always be drawn never differ by more than one turn. Of two of them, let A be the one drawn last:
/// it has as many turns as B or one more, for B is drawn before A is again. When they are drawn together that difference
/// stays, and then the one with fewer turns is first.
#[must_use]
pub fn cohort(seed: u64, round: RoundRef, candidates: &[Standby], count: usize) -> Vec<NodeId> {
    let place = |one: &Standby| (one.drawn, one.turns, draw(seed, "cohort", round, &one.node));
    let mut drawn: Vec<_> = candidates.iter().map(|one| (place(one), &one.node)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn.into_iter().take(count).map(|(_, node)| node.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;

    fn nodes(count: u32) -> Vec<Standby> {
        let node =
            |i| Standby { node: format!("node-{i:02}").parse().unwrap(), drawn: 0, turns: 0 };
        (0..count).map(node).collect()
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
    fn the_longest_unused_come_first_and_only_the_order_of_turns_counts() {
        let mut all = nodes(6);
        for (one, drawn) in all.iter_mut().zip([9, 4, 0, 4, 9, 0]) {
            one.drawn = drawn;
        }
        let names = |count| {
            let mut drawn = cohort(7, round(1, 1), &all, count);
            drawn.sort();
            drawn.iter().map(|node| node.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(2), ["node-02", "node-05"]);
        assert_eq!(names(4), ["node-01", "node-02", "node-03", "node-05"]);
        let mut busier = all.clone();
        busier[1].turns = 2;
        let third = |all: &[Standby]| cohort(7, round(1, 1), all, 3)[2].clone();
        assert_eq!(third(&busier).as_str(), "node-03");
        busier[3].turns = 3;
        assert_eq!(third(&busier).as_str(), "node-01");
        let mut later = all.clone();
        for one in &mut later {
            one.drawn = one.drawn * 1_000 + 5;
        }
        assert_eq!(cohort(7, round(1, 1), &all, 3), cohort(7, round(1, 1), &later, 3));
    }

    #[test]
    fn each_of_many_equal_nodes_takes_part_as_often_as_any_other() {
        for (fleet, size) in [(10, 3), (12, 4), (7, 7), (11, 10), (50, 1)] {
            let mut all = nodes(fleet);
            let mut partners = std::collections::BTreeSet::new();
            for number in 1..=200 {
                let drawn = cohort(7, round(number, 1), &all, size);
                for one in all.iter_mut().filter(|one| drawn.contains(&one.node)) {
                    one.drawn = number.into();
                    one.turns += 1;
                }
                let turns: Vec<u32> = all.iter().map(|one| one.turns).collect();
                let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
                assert!(most - least <= 1, "{size} of {fleet}, round {number}: {turns:?}");
                partners.insert(drawn);
            }
            assert!(size == 7 || partners.len() > 20, "the seed still mixes {size} of {fleet}");
        }
    }

    #[test]
    fn draws_are_fixed_forever() {
        let first = &nodes(1)[0].node;
        assert_eq!(draw(7, "train", round(1, 1), first), 99_840_095_607_192_572);
    }
}
