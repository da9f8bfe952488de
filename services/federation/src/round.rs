//! The states of a round and the rule that ends it.

use std::fmt;

use crate::plan::Cohort;

/// `open -> closing -> published | abandoned`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoundState {
    /// Updates count.
    Open,
    /// No more updates; the sum is being turned into a version.
    Closing,
    /// Its version stands.
    Published,
    /// Its updates are in no version.
    Abandoned,
}

impl RoundState {
    /// The state as text, the same in the database, in REST and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Published => "published",
            Self::Abandoned => "abandoned",
        }
    }

    /// The state with this text, if there is one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Open, Self::Closing, Self::Published, Self::Abandoned]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

impl fmt::Display for RoundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a round has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Updates counted.
    pub updates: u32,
    /// Milliseconds during which a coordinator served the round.
    pub served_ms: u64,
}

/// What to do with an open round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it go on.
    Wait,
    /// Aggregate: the goal is reached.
    CloseAtGoal,
    /// Aggregate: the deadline is reached with the quorum. A clock took part in this, so the run no longer repeats.
    CloseAtDeadline,
    /// Give up: the deadline is reached without the quorum.
    Abandon,
}

/// Decides over an open round.
#[must_use]
pub fn decide(cohort: &Cohort, progress: Progress) -> Decision {
    if progress.updates >= cohort.goal {
        Decision::CloseAtGoal
    } else if progress.served_ms < cohort.deadline_ms {
        Decision::Wait
    } else if progress.updates >= cohort.quorum {
        Decision::CloseAtDeadline
    } else {
        Decision::Abandon
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eligibility::Eligibility;
    use crate::selector::Selector;

    #[test]
    fn the_goal_closes_the_deadline_decides_by_quorum() {
        let cohort = Cohort {
            selector: Selector::default(),
            eligible: Eligibility::default(),
            goal: 10,
            over_selection_permille: 1300,
            quorum: 6,
            deadline_ms: 1000,
            attempts_max: 3,
            nodes: Vec::new(),
        };
        let check = |updates, served_ms| decide(&cohort, Progress { updates, served_ms });
        assert_eq!(check(10, 0), Decision::CloseAtGoal);
        assert_eq!(check(10, 2000), Decision::CloseAtGoal);
        assert_eq!(check(9, 999), Decision::Wait);
        assert_eq!(check(6, 1000), Decision::CloseAtDeadline);
        assert_eq!(check(5, 1000), Decision::Abandon);
        assert_eq!(check(0, 0), Decision::Wait);
    }

    #[test]
    fn states_round_trip_as_text() {
        for state in
            [RoundState::Open, RoundState::Closing, RoundState::Published, RoundState::Abandoned]
        {
            assert_eq!(RoundState::from_text(state.as_str()), Some(state));
        }
        assert_eq!(RoundState::from_text("done"), None);
    }
}
