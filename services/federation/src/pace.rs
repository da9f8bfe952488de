//! Pace steering: when a node that got no work should ask again, so that a fleet of any size asks at a bounded rate.
//!
//! Each node is told a time of its own within a [`Window`]. The windows grow with the fleet such that all nodes
//! together ask [`Pace::asks_per_s_max`] times a second: a window's middle is the number of its nodes divided by their
//! share of the rate. Nodes that a run may soon want get a larger share than their number, so that they come sooner.

use sha2::{Digest as _, Sha256};

use crate::id::NodeId;
use crate::limits::RETRY_MS_MAX;

/// Shortest time after which a node is told to ask again, in milliseconds.
pub const RETRY_MS_MIN: u32 = 50;

/// Width of the window of nodes that a run may soon want, in milliseconds, while their fleet is small.
const SOON_MS: u32 = 450;

/// How much more of the rate a node gets that a run may soon want.
const SOON_SHARE: u64 = 4;

/// How often a fleet may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Most questions a second, of the whole fleet.
    pub asks_per_s_max: u32,
    /// Least width of the window of nodes that no run wants, in milliseconds.
    pub idle_ms: u32,
}

/// How many nodes there are to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Those that a run may soon want.
    pub wanted: u32,
    /// The rest.
    pub others: u32,
}

/// When nodes are told to come back: from `from_ms`, spread evenly over `width_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The soonest, in milliseconds from now.
    pub from_ms: u32,
    /// How much later the latest, in milliseconds.
    pub width_ms: u32,
}

impl Pace {
    /// The window of a node of `fleet`; `wanted` when a run may soon want it.
    ///
    /// ```
    /// # use federation::pace::{Fleet, Pace};
    /// let pace = Pace { asks_per_s_max: 500, idle_ms: 5_000 };
    /// let window = pace.window(Fleet { wanted: 0, others: 10_000 }, false);
    /// assert_eq!((window.from_ms, window.width_ms), (10_000, 20_000));
    /// ```
    #[must_use]
    pub fn window(&self, fleet: Fleet, wanted: bool) -> Window {
        let asking = u64::from(fleet.wanted) * SOON_SHARE + u64::from(fleet.others);
        let share = if wanted { SOON_SHARE } else { 1 };
        let mean_ms = asking * 1_000 / (u64::from(self.asks_per_s_max.max(1)) * share);
        let least_ms = if wanted { SOON_MS } else { self.idle_ms.saturating_sub(RETRY_MS_MIN) };
        // From half the mean to one and a half: as wide as the mean, and never beyond the limit.
        let mean_ms = u32::try_from(mean_ms).unwrap_or(u32::MAX).min(RETRY_MS_MAX / 3 * 2);
        let from_ms = RETRY_MS_MIN.max(mean_ms / 2);
        let width_ms = least_ms.max(mean_ms).min(RETRY_MS_MAX - from_ms);
        Window { from_ms, width_ms }
    }
}

impl Window {
    /// The same window, but none of it before `ms`.
    #[must_use]
    pub fn not_before(self, ms: u32) -> Self {
        let from_ms = self.from_ms.max(ms.min(RETRY_MS_MAX - self.width_ms));
        Self { from_ms, ..self }
    }

    /// The time within the window that is `node`'s own at this question: another one at the next, so that no two nodes
    /// stay together. `question` is anything that differs from one question to the next, such as the time.
    #[must_use]
    pub fn retry_ms(&self, node: &NodeId, question: u64) -> u32 {
        let mut hash = Sha256::new();
        hash.update(b"muster pace\0");
        hash.update(question.to_le_bytes());
        hash.update(node.as_str().as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        let share = u64::from(u32::from_le_bytes([a, b, c, d]));
        let late = (share * (u64::from(self.width_ms) + 1)) >> 32;
        self.from_ms + u32::try_from(late).expect("a 32-bit share of a 33-bit width fits 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { asks_per_s_max: 500, idle_ms: 5_000 };

    fn node(i: u32) -> NodeId {
        format!("node-{i}").parse().unwrap()
    }

    fn window(wanted: u32, others: u32, asks: bool) -> (u32, u32) {
        let Window { from_ms, width_ms } = PACE.window(Fleet { wanted, others }, asks);
        (from_ms, width_ms)
    }

    #[test]
    fn a_small_fleet_has_the_configured_windows_and_a_large_one_the_rate() {
        assert_eq!(window(0, 0, false), (50, 4_950));
        assert_eq!(window(1, 20, true), (50, 450));
        assert_eq!(window(0, 2_000, false), (2_000, 4_950));
        assert_eq!(window(0, 10_000, false), (10_000, 20_000));
        assert_eq!(window(10_000, 0, true), (10_000, 20_000), "wanted or not");
        // Ten wanted nodes of ten thousand come within seconds, and the rest hardly later for it.
        assert_eq!(window(10, 9_990, true), (2_507, 5_015));
        assert_eq!(window(10, 9_990, false), (10_030, 20_060));
    }

    #[test]
    fn no_fleet_is_told_to_stay_away_for_longer_than_the_limit() {
        for fleet in [0, 1, 100_000, 1_000_000, u32::MAX] {
            for asks in [false, true] {
                for pace in [PACE, Pace { asks_per_s_max: 0, idle_ms: RETRY_MS_MAX }] {
                    let window = pace.window(Fleet { wanted: fleet, others: fleet }, asks);
                    assert!(window.from_ms >= RETRY_MS_MIN);
                    assert!(window.from_ms + window.width_ms <= RETRY_MS_MAX, "{window:?}");
                }
            }
        }
        let widest = Window { from_ms: 0, width_ms: u32::MAX };
        assert!((0..100).any(|i| widest.retry_ms(&node(i), 0) > u32::MAX / 2));
    }

    #[test]
    fn the_rate_holds_in_a_fleet_that_asks_on_and_on() {
        let fleet = Fleet { wanted: 3_000, others: 9_000 };
        let mut asked = 0_u32;
        for i in 0..12_000 {
            let wanted = i < 3_000;
            let window = PACE.window(fleet, wanted);
            // All come at once, as after a restart; what happens in the first minute does not count.
            let (mut at_ms, mut question) = (0, 0);
            while at_ms < 360_000 {
                at_ms += u64::from(window.retry_ms(&node(i), question));
                question += 1;
                asked += u32::from((60_000..360_000).contains(&at_ms));
            }
        }
        let per_s = asked / 300;
        assert!((490..=510).contains(&per_s), "{per_s} a second");
    }

    #[test]
    fn nodes_spread_evenly_and_anew_at_each_question() {
        let window = Window { from_ms: 100, width_ms: 999 };
        let mut tenths = [0_u32; 10];
        for i in 0..10_000 {
            let ms = window.retry_ms(&node(i), 7);
            tenths[usize::try_from((ms - 100) / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1_100).contains(count)), "{tenths:?}");
        let moved = (0..1_000).filter(|&i| {
            let apart = window.retry_ms(&node(i), 1).abs_diff(window.retry_ms(&node(i), 2));
            apart > 10
        });
        assert!(moved.count() > 950);
        assert_eq!(window.retry_ms(&node(1), 1), window.retry_ms(&node(1), 1));
        assert_eq!(Window { from_ms: 50, width_ms: 0 }.retry_ms(&node(1), 1), 50);
    }

    #[test]
    fn a_window_begins_later_and_is_as_wide() {
        let window = Window { from_ms: 100, width_ms: 999 };
        assert_eq!(window.not_before(50), window);
        assert_eq!(window.not_before(2_000), Window { from_ms: 2_000, width_ms: 999 });
        let last = window.not_before(u32::MAX);
        assert_eq!((last.from_ms + last.width_ms, last.width_ms), (RETRY_MS_MAX, 999));
    }
}
