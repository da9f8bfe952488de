//! The node's wall clock, and how far it is from the coordinator's. Nothing is decided by it but what TLS decides, which
//! checks certificates; a wrong one is worth a line in the log.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use federation::{Clock, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::limits::CLOCK_OFF_MS_MAX;

/// The machine's clocks, the wall clock as far off as a test wants it.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    fast_by_ms: i64,
}

impl SystemClock {
    /// A clock whose wall time is that of the machine and so many milliseconds.
    #[must_use]
    pub fn fast_by_ms(fast_by_ms: i64) -> Self {
        Self { started: Instant::now(), fast_by_ms }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the `Clock` of the agent")]
    fn wall(&self) -> Timestamp {
        // A machine whose clock stands before 1970 shows 1970.
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(since).saturating_add_signed(self.fast_by_ms))
    }

    fn monotonic_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Compares a clock with what the coordinator's answers say, and tells once that they differ, and once that they agree
/// again.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    clock: Arc<dyn Clock>,
    told: bool,
}

impl Comparison {
    /// Compares this clock.
    pub(crate) fn of(clock: Arc<dyn Clock>) -> Self {
        Self { clock, told: false }
    }

    /// Looks at the `date` of an answer that has just come, as HTTP writes it. What is no date says nothing.
    pub(crate) fn look(&mut self, date: &str) {
        let Some(off_ms) = self.off_ms(date) else { return };
        let off = off_ms.unsigned_abs() > CLOCK_OFF_MS_MAX;
        if off && !self.told {
            let (seconds, way) =
                (off_ms.unsigned_abs() / 1_000, if off_ms > 0 { "ahead of" } else { "behind" });
            warn!(
                code = "clock_off",
                off_ms,
                "this node's clock is {seconds} s {way} the coordinator's: set it, or certificates may seem \
                 to be from another time"
            );
        }
        if !off && self.told {
            info!(off_ms, "this node's clock is right again");
        }
        self.told = off;
    }

    /// By how much the clock is ahead.
    fn off_ms(&self, date: &str) -> Option<i64> {
        let there = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let (here, there) = (self.clock.wall().0, millis(there));
        Some(i64::try_from(i128::from(here) - i128::from(there)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const DATE: &str = "Thu, 26 Nov 2026 08:00:00 GMT";
    const DATE_MS: u64 = 1_795_680_000_000;

    #[derive(Debug, Default)]
    struct Set(AtomicU64);

    impl Clock for Set {
        fn wall(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }

        fn monotonic_ms(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_clock_is_told_to_be_off_once_and_only_if_it_is() {
        let clock = Arc::new(Set::default());
        let mut comparison = Comparison::of(clock.clone());
        let mut at = |wall_ms: u64, date: &str| {
            clock.0.store(wall_ms, Ordering::Relaxed);
            comparison.look(date);
            (comparison.told, comparison.off_ms(date))
        };
        assert_eq!(at(DATE_MS, DATE), (false, Some(0)));
        assert_eq!(at(DATE_MS + 60_000, DATE), (false, Some(60_000)));
        assert_eq!(at(DATE_MS + 3_600_000, DATE), (true, Some(3_600_000)));
        assert_eq!(at(0, "yesterday"), (true, None), "what is no date changes nothing");
        assert_eq!(at(DATE_MS - 60_001, DATE), (true, Some(-60_001)));
        assert_eq!(at(DATE_MS - 999, DATE), (false, Some(-999)));
    }

    #[test]
    fn the_clock_of_a_test_is_as_far_off_as_it_says() {
        let right = SystemClock::fast_by_ms(0).wall().0;
        let slow = SystemClock::fast_by_ms(-3_600_000).wall().0;
        let fast = SystemClock::fast_by_ms(3_600_000).wall().0;
        assert!(slow < right && right < fast, "{slow} {right} {fast}");
        assert!(fast - slow >= 7_200_000);
    }
}
