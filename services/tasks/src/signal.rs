//! Any slow sensor: numbers, one a step, to events, by level crossing or by integrate and fire. A channel at a time.

/// Tells when a number has moved on: an event for each step it has risen or fallen since the last, one a tick at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    step: i32,
    left: Option<i32>,
}

impl Crossing {
    /// For steps of this size; less than 1 counts as 1.
    #[must_use]
    pub const fn new(step: i32) -> Self {
        Self { step: if step < 1 { 1 } else { step }, left: None }
    }

    /// The next number: whether it rose (`Some(true)`) or fell (`Some(false)`) by a step. The first only sets the level.
    pub fn take(&mut self, number: i32) -> Option<bool> {
        let left = self.left.get_or_insert(number);
        let moved = i64::from(number) - i64::from(*left);
        let rose = moved > 0;
        if moved.abs() < i64::from(self.step) {
            return None;
        }
        *left = if rose { left.saturating_add(self.step) } else { left.saturating_sub(self.step) };
        Some(rose)
    }
}

/// Fires the faster the larger a number is: at `full` once a tick, at half of it every other tick, at 0 and below never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    full: i64,
    charge: i64,
}

impl Rate {
    /// For numbers up to `full`; less than 1 counts as 1.
    #[must_use]
    pub fn new(full: i32) -> Self {
        Self { full: full.max(1).into(), charge: 0 }
    }

    /// The next number: whether it fires.
    pub fn take(&mut self, number: i32) -> bool {
        self.charge += i64::from(number).clamp(0, self.full);
        let fires = self.charge >= self.full;
        if fires {
            self.charge -= self.full;
        }
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn crossing(step: i32, numbers: &[i32]) -> Vec<Option<bool>> {
        let mut crossing = Crossing::new(step);
        numbers.iter().map(|&number| crossing.take(number)).collect()
    }

    #[test]
    fn levels_are_crossed_one_step_a_tick() {
        assert_eq!(
            crossing(10, &[5, 14, 15, 40, 40, 40, 34, 24]),
            [None, None, Some(true), Some(true), Some(true), None, None, Some(false)]
        );
        assert_eq!(crossing(0, &[0, 1]), [None, Some(true)]);
        let ends = crossing(i32::MAX, &[i32::MIN, i32::MAX, i32::MAX, i32::MAX]);
        assert_eq!(ends, [None, Some(true), Some(true), None]);
    }

    #[test]
    fn a_rate_is_a_share_of_the_full_one() {
        let fired = |number| {
            let mut rate = Rate::new(100);
            (0..1_000).filter(|_| rate.take(number)).count()
        };
        assert_eq!(
            [fired(-5), fired(0), fired(25), fired(100), fired(i32::MAX)],
            [0, 0, 250, 1_000, 1_000]
        );
    }
}
