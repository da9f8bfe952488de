//! References to rounds, and what became of them.

use federation::limits::{ATTEMPT_NUMBER_MAX, ROUND_NUMBER_MAX};
use federation::{RoundRef, RunId, Settled};

use super::parse::{Malformed, within};
use crate::v1;

/// Largest number of a run: what the coordinator's database counts up to.
const RUN_MAX: u64 = i64::MAX.unsigned_abs();

/// Where a round reference stands in its message, so that an error can name the path.
#[derive(Clone, Copy)]
pub(super) struct RoundField {
    itself: &'static str,
    run_id: &'static str,
    round: &'static str,
    attempt: &'static str,
}

impl RoundField {
    /// The field `round`.
    pub(super) const ROUND: Self = Self {
        itself: "round",
        run_id: "round.run_id",
        round: "round.round",
        attempt: "round.attempt",
    };
    /// The field `awaiting`.
    pub(super) const AWAITING: Self = Self {
        itself: "awaiting",
        run_id: "awaiting.run_id",
        round: "awaiting.round",
        attempt: "awaiting.attempt",
    };
    const ALONE: Self = Self { itself: "", run_id: "run_id", round: "round", attempt: "attempt" };

    /// A round that may be absent.
    pub(super) fn optional(
        self,
        message: Option<v1::RoundRef>,
    ) -> Result<Option<RoundRef>, Malformed> {
        let Some(v1::RoundRef { run_id, round, attempt }) = message else { return Ok(None) };
        Ok(Some(RoundRef {
            run: RunId(within(self.run_id, run_id, 1..=RUN_MAX)?),
            number: within(self.round, round, 1..=ROUND_NUMBER_MAX)?,
            attempt: within(self.attempt, attempt, 1..=ATTEMPT_NUMBER_MAX)?,
        }))
    }

    /// A round that must be there.
    pub(super) fn required(self, message: Option<v1::RoundRef>) -> Result<RoundRef, Malformed> {
        self.optional(message)?.ok_or_else(|| Malformed::absent(self.itself, "a round"))
    }
}

impl TryFrom<v1::RoundRef> for RoundRef {
    type Error = Malformed;
    fn try_from(message: v1::RoundRef) -> Result<Self, Malformed> {
        RoundField::ALONE.required(Some(message))
    }
}

impl From<RoundRef> for v1::RoundRef {
    fn from(round: RoundRef) -> Self {
        let RoundRef { run: RunId(run_id), number, attempt } = round;
        Self { run_id, round: number, attempt }
    }
}

/// What became of the awaited round; `None` when none was asked for.
pub(super) fn settled(outcome: i32) -> Result<Option<Settled>, Malformed> {
    let outcome = v1::RoundOutcome::try_from(outcome)
        .map_err(|_| Malformed::new("awaited", "0 to 4", outcome))?;
    Ok(match outcome {
        v1::RoundOutcome::Unspecified => None,
        v1::RoundOutcome::Open => Some(Settled::Open),
        v1::RoundOutcome::Published => Some(Settled::Published),
        v1::RoundOutcome::Abandoned => Some(Settled::Abandoned),
        v1::RoundOutcome::Unknown => Some(Settled::Unknown),
    })
}

/// The other way.
pub(super) fn outcome(settled: Option<Settled>) -> v1::RoundOutcome {
    match settled {
        None => v1::RoundOutcome::Unspecified,
        Some(Settled::Open) => v1::RoundOutcome::Open,
        Some(Settled::Published) => v1::RoundOutcome::Published,
        Some(Settled::Abandoned) => v1::RoundOutcome::Abandoned,
        Some(Settled::Unknown) => v1::RoundOutcome::Unknown,
    }
}
