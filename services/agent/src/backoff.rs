//! Pauses after failures: doubling, jittered, capped, from a seed.

use std::time::Duration;

use tasks::random::Rng;

use crate::limits::{BACKOFF_MS_MAX, BACKOFF_MS_MIN};

/// The pauses of one node.
#[derive(Clone, Debug)]
pub struct Backoff {
    rng: Rng,
    failures: u32,
}

impl Backoff {
    /// Pauses that belong to `seed`: different nodes must not come back at the same instant.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), failures: 0 }
    }

    /// The pause after one more failure: half to all of [`BACKOFF_MS_MIN`] doubled with each, up to [`BACKOFF_MS_MAX`].
    pub fn failed(&mut self) -> Duration {
        let doubled = BACKOFF_MS_MIN << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.jittered(doubled.min(BACKOFF_MS_MAX))
    }

    /// The longest pause: for a failure that trying again soon cannot mend.
    pub fn longest(&mut self) -> Duration {
        self.jittered(BACKOFF_MS_MAX)
    }

    /// A pause the other side asked for, and up to half as much again so that not all who were asked come at once.
    pub fn asked(&mut self, ms: u64) -> Duration {
        Duration::from_millis(ms.saturating_add(self.below(ms / 2)))
    }

    /// Something worked: the next pause is the shortest again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    fn jittered(&mut self, ms: u64) -> Duration {
        Duration::from_millis(ms / 2 + self.below(ms / 2))
    }

    fn below(&mut self, ms: u64) -> u64 {
        let bound = u32::try_from(ms).unwrap_or(u32::MAX).saturating_add(1);
        self.rng.below(bound).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_cap_and_begin_again() {
        let mut backoff = Backoff::new(1);
        let mut top = u128::from(BACKOFF_MS_MIN);
        for _ in 0..100 {
            let ms = backoff.failed().as_millis();
            assert!((top / 2..=top).contains(&ms), "{ms} of {top}");
            top = (2 * top).min(BACKOFF_MS_MAX.into());
        }
        backoff.succeeded();
        assert!(backoff.failed().as_millis() <= BACKOFF_MS_MIN.into());
        assert!((100..=150).contains(&backoff.asked(100).as_millis()));
        assert!(backoff.longest().as_millis() >= u128::from(BACKOFF_MS_MAX / 2));
    }

    #[test]
    fn nodes_differ_and_repeat() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            std::array::from_fn::<_, 8, _>(|_| backoff.failed())
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
