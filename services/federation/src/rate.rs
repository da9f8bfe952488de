//! How often somebody may come: the generic cell rate algorithm. A caller costs one number, and nothing has to tick.

/// A rate that is kept over time, with a burst that may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    every_us: u64,
    burst_us: u64,
}

/// What is remembered of a caller: when it will have used up nothing, in microseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used(u64);

impl Rate {
    /// One every `every_ms`, and `burst` at once.
    #[must_use]
    pub const fn new(every_ms: u64, burst: u64) -> Self {
        let every_us = every_ms * 1_000;
        Self { every_us, burst_us: every_us * burst }
    }

    /// Takes one at `now_ms` of the monotonic clock.
    ///
    /// ```
    /// # use federation::rate::{Rate, Used};
    /// let (rate, mut used) = (Rate::new(1_000, 2), Used::default());
    /// assert_eq!([rate.take(&mut used, 0), rate.take(&mut used, 0)], [Ok(()), Ok(())]);
    /// assert_eq!(rate.take(&mut used, 400), Err(600));
    /// assert_eq!(rate.take(&mut used, 1_000), Ok(()));
    /// ```
    ///
    /// # Errors
    /// In how many milliseconds there is one; nothing is taken.
    pub fn take(&self, used: &mut Used, now_ms: u64) -> Result<(), u64> {
        let now_us = now_ms.saturating_mul(1_000);
        let next = used.0.max(now_us).saturating_add(self.every_us);
        let wait_us = next.saturating_sub(now_us.saturating_add(self.burst_us));
        if wait_us > 0 {
            return Err(wait_us.div_ceil(1_000));
        }
        used.0 = next;
        Ok(())
    }
}

impl Used {
    /// Whether nothing is used up at `now_ms`: as good as a caller nobody heard of.
    #[must_use]
    pub fn is_nothing(self, now_ms: u64) -> bool {
        self.0 <= now_ms.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_comes_at_once_and_then_the_rate_is_kept() {
        let (rate, mut used) = (Rate::new(50, 60), Used::default());
        let taken = |used: &mut Used, now_ms| {
            let mut taken = 0;
            while rate.take(used, now_ms).is_ok() {
                taken += 1;
            }
            taken
        };
        assert_eq!(taken(&mut used, 7), 60);
        assert_eq!(taken(&mut used, 56), 0);
        assert_eq!(rate.take(&mut used, 56), Err(1));
        assert_eq!(taken(&mut used, 57), 1);
        assert_eq!(taken(&mut used, 157), 2);
        assert_eq!(taken(&mut used, 1_157), 20, "a second at the rate");
        assert_eq!(taken(&mut used, 60_000_000), 60, "a long rest is worth one burst");
    }

    #[test]
    fn who_asks_too_early_is_told_exactly_when() {
        let (rate, mut used) = (Rate::new(10, 3), Used::default());
        let mut now_ms = 0;
        for _ in 0..1_000 {
            if let Err(wait_ms) = rate.take(&mut used, now_ms) {
                assert_ne!(rate.take(&mut used, now_ms + wait_ms - 1), Ok(()));
                now_ms += wait_ms;
                assert_eq!(rate.take(&mut used, now_ms), Ok(()));
            }
        }
        assert_eq!(now_ms, 9_970, "all but the burst of three had to wait");
    }

    #[test]
    fn what_was_used_is_forgotten() {
        let (rate, mut used) = (Rate::new(1_000, 2), Used::default());
        assert!(used.is_nothing(0));
        rate.take(&mut used, 5).unwrap();
        assert!(!used.is_nothing(1_004) && used.is_nothing(1_005));
    }
}
