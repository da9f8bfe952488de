//! What a fleet can learn: samples, the network they are for, and the plan that was found to work.
//!
//! A [`Task`] has a pool from which nodes are given samples, test samples that no node ever trains on, and a [`Recipe`]. Who
//! gets what of the pool is the caller's decision: each recorded sample names the subject (speaker, writer) it is from.
//! [`navigation()`] is generated, so that its pool is a rule rather than a list: each node has a stream of its own,
//! seeded by [`node_seed`].
//!
//! Everything here is a pure function of seeds and files, so that the same ones give the same model, bit for bit.

mod audition;
mod gesture;
pub(crate) mod navigation;
mod network;
mod open;
mod recipe;
pub mod rehearsal;
mod table;
mod tactile;
mod vision;

use std::sync::Arc;

use tasks::Sample;
use tasks::random::permutation;

pub use self::audition::{Words, audition};
pub use self::gesture::{gesture, shd};
pub use self::navigation::{navigation, node_seed, recipe as navigation_recipe, recorded_cues};
pub use self::network::halvings;
pub use self::open::open;
pub use self::recipe::{Initial, Recipe};
pub use self::table::csv;
pub use self::tactile::tactile;
pub use self::vision::vision;

/// Something to learn.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name, and its model's.
    pub name: String,
    /// What nodes learn from.
    pub pool: Pool,
    /// Samples that no node trains on.
    pub test: Arc<[Sample]>,
    /// Input channels.
    pub channels: u16,
    /// Classes.
    pub classes: u8,
    /// What a tick lasts, in microseconds.
    pub step_us: u64,
    /// Names of the subjects that recorded samples are from; empty where nobody knows.
    pub subjects: Vec<String>,
    /// The network and the plan.
    pub recipe: Recipe,
}

/// What nodes learn from.
#[derive(Clone, Debug)]
pub enum Pool {
    /// Navigation: node `n` of a fleet with seed `s` has the endless stream of [`node_seed`]`(s, n)`, of one class if wished.
    Generated,
    /// Recorded samples.
    Recorded(Arc<[Item]>),
}

/// One recorded sample.
#[derive(Clone, Debug)]
pub struct Item {
    /// The sample, with its label.
    pub sample: Arc<Sample>,
    /// Which of the task's subjects it is from; 0 where it has none.
    pub subject: u32,
}

impl Pool {
    /// The recorded samples; none of a generated pool.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        match self {
            Self::Generated => &[],
            Self::Recorded(items) => items,
        }
    }
}

/// What the choice of some samples is drawn by, always the same.
const SOME: u64 = 5;

/// So many of `samples`, drawn, in their order. Recordings lie sorted by class and subject: the first ones would be of one.
#[must_use]
pub fn some(samples: &[Sample], most: usize) -> Vec<Sample> {
    let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let mut chosen: Vec<u32> = permutation(SOME, count).into_iter().take(most).collect();
    chosen.sort_unstable();
    let chosen = chosen.into_iter().filter_map(|at| samples.get(usize::try_from(at).ok()?));
    chosen.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_samples_are_of_all_classes() {
        let stream = tasks::navigation::Stream::new(1);
        let sorted: Vec<Sample> = (0..60_u8)
            .map(|index| Sample { label: index / 10, ..stream.sample(index.into()) })
            .collect();
        let labels =
            |most| some(&sorted, most).into_iter().map(|sample| sample.label).collect::<Vec<_>>();
        assert_eq!(labels(20), labels(20));
        assert_eq!(labels(20).len(), 20);
        assert!(labels(20).is_sorted());
        assert!((0..6).all(|class| labels(20).contains(&class)), "{:?}", labels(20));
        assert_eq!((some(&sorted, 60), some(&sorted, 99)), (sorted.clone(), sorted.clone()));
        assert_eq!(some(&[], 3), []);
    }
}
