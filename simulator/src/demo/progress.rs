//! The demo's progress: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far the demo has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stand {
    /// Rounds published.
    pub(crate) published: u64,
    /// Rounds of the plan.
    pub(crate) rounds: u64,
    /// Updates counted in the open round.
    pub(crate) updates: u64,
    /// Updates the open round wants.
    pub(crate) goal: u64,
    /// Accuracy of the last version evaluated, with its number.
    pub(crate) accuracy: Option<(u64, f64)>,
    /// How long the demo has run.
    pub(crate) elapsed: Duration,
    /// Nodes started again so far.
    pub(crate) restarts: u32,
}

impl Stand {
    /// Time left, extrapolated from the rounds so far; none before the first.
    #[must_use]
    pub(crate) fn left(&self) -> Option<Duration> {
        if self.published == 0 {
            return None;
        }
        let goal = self.goal.max(1);
        // In updates, so that it moves within a round.
        let done = self.published * goal + self.updates.min(goal);
        let all = (self.rounds * goal).max(done);
        let left_ms = u128::from(all - done) * self.elapsed.as_millis() / u128::from(done.max(1));
        u64::try_from(left_ms).ok().map(Duration::from_millis)
    }

    fn line(&self) -> String {
        let mut line = format!("round {}/{}", self.published, self.rounds);
        if let Some((number, accuracy)) = self.accuracy {
            line += &format!("  version {number}: {:.1} %", accuracy * 100.0);
        }
        if self.restarts > 0 {
            line += &format!("  restarts {}", self.restarts);
        }
        line += &format!("  {:.0} s", self.elapsed.as_secs_f64());
        if let Some(left) = self.left().filter(|_| self.published < self.rounds) {
            line += &format!(", about {:.0} s left", left.as_secs_f64());
        }
        line
    }
}

/// Shows progress on standard error, so that standard output holds the result alone.
#[derive(Debug)]
pub(crate) enum Progress {
    /// On a terminal.
    Bars {
        /// Versions published.
        rounds: ProgressBar,
        /// Updates of the open round.
        updates: ProgressBar,
        /// Keeps the two together.
        both: MultiProgress,
    },
    /// Elsewhere: one line when a round is published or a version evaluated.
    Lines {
        /// What the last line told.
        told: Option<(u64, Option<u64>)>,
    },
    /// Nowhere.
    Silent,
}

impl Progress {
    /// Bars if standard error is a terminal, lines if it is not, nothing if `silent`.
    #[must_use]
    pub(crate) fn new(silent: bool) -> Self {
        if silent {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { told: None };
        }
        let both = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template)
                .expect("the templates below are well-formed");
            both.add(ProgressBar::new(1).with_style(style.progress_chars("━╸─")))
        };
        let rounds = bar("rounds   {bar:32.green/black.bright} {pos:>3}/{len}  {msg}");
        let updates = bar("updates  {bar:32.cyan/black.bright} {pos:>3}/{len}  {msg}");
        Self::Bars { rounds, updates, both }
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        use std::io::Write as _;
        match self {
            // A progress display that cannot be written to is no reason to fail.
            Self::Bars { both, .. } => both.println(text).unwrap_or_default(),
            Self::Lines { .. } => writeln!(std::io::stderr(), "{text}").unwrap_or_default(),
            Self::Silent => {}
        }
    }

    /// Shows how far the demo has come.
    pub(crate) fn show(&mut self, stand: &Stand) {
        match self {
            Self::Bars { rounds, updates, .. } => {
                rounds.set_length(stand.rounds);
                rounds.set_position(stand.published);
                updates.set_length(stand.goal.max(1));
                updates.set_position(stand.updates);
                let accuracy = stand.accuracy.map_or_else(
                    || "evaluating the first version".to_owned(),
                    |(number, accuracy)| {
                        format!("version {number}: {:.1} % of unseen samples", accuracy * 100.0)
                    },
                );
                rounds.set_message(accuracy);
                let left = stand
                    .left()
                    .map_or_else(String::new, |left| format!("about {} s left", left.as_secs()));
                updates.set_message(left);
            }
            Self::Lines { told } => {
                let now = Some((stand.published, stand.accuracy.map(|(number, _)| number)));
                if *told != now && stand.rounds > 0 {
                    *told = now;
                    self.say(&stand.line());
                }
            }
            Self::Silent => {}
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Self::Bars { rounds, updates, .. } = self {
            updates.finish_and_clear();
            rounds.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_extrapolated_from_updates() {
        let stand = |published, updates| Stand {
            published,
            rounds: 10,
            updates,
            goal: 4,
            elapsed: Duration::from_secs(8),
            ..Stand::default()
        };
        assert_eq!(stand(0, 3).left(), None);
        assert_eq!(stand(2, 0).left(), Some(Duration::from_secs(32)));
        assert_eq!(stand(3, 4).left(), Some(Duration::from_secs(12)));
        assert_eq!(stand(10, 0).left(), Some(Duration::ZERO));
    }

    #[test]
    fn a_line_tells_the_round_the_accuracy_and_the_time() {
        let stand = Stand {
            published: 5,
            rounds: 10,
            goal: 4,
            accuracy: Some((5, 0.912)),
            elapsed: Duration::from_secs(10),
            restarts: 2,
            ..Stand::default()
        };
        assert_eq!(
            stand.line(),
            "round 5/10  version 5: 91.2 %  restarts 2  10 s, about 10 s left"
        );
    }
}
