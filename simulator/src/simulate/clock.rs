//! Virtual time: it stands still while anything happens and then jumps to the next thing that is due.

use std::sync::atomic::{AtomicU64, Ordering};

use federation::{Clock, Timestamp};

/// Where every simulation's wall clock begins: a Monday midnight in 2026, UTC, so that hours of the day are easy to see.
const BEGIN_WALL_MS: u64 = 1_767_571_200_000;

/// The clock of a simulation, in microseconds. Only the engine moves it, and only forwards.
#[derive(Debug, Default)]
pub(crate) struct VirtualClock {
    now_us: AtomicU64,
}

impl VirtualClock {
    /// A clock that stands at `now_us`.
    pub(crate) fn at(now_us: u64) -> Self {
        Self { now_us: AtomicU64::new(now_us) }
    }

    /// Microseconds since the simulation began.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us.load(Ordering::Acquire)
    }

    /// Time jumps to `now_us`; never back.
    pub(crate) fn jump(&self, now_us: u64) {
        self.now_us.fetch_max(now_us, Ordering::AcqRel);
    }
}

impl Clock for VirtualClock {
    fn wall(&self) -> Timestamp {
        Timestamp(BEGIN_WALL_MS + self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_us() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_jumps_forwards_only() {
        let clock = VirtualClock::at(5_000);
        clock.jump(7_999);
        clock.jump(6_000);
        assert_eq!((clock.now_us(), clock.monotonic_ms()), (7_999, 7));
        assert_eq!(clock.wall().0, BEGIN_WALL_MS + 7);
    }
}
