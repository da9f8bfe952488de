//! What a coordinator drops by itself as it gets old: by policy, a little at a time, off the way of updates.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use federation::Timestamp;

use crate::core::Core;
use crate::store::{Spared, StoreError};

/// Serving before the first look: a coordinator that has just come up has other things to do.
const FIRST_MS: u64 = 60_000;
/// Between two looks.
const EVERY_MS: u64 = 6 * 60 * 60 * 1_000;
/// Before another try, after a failure.
const AGAIN_MS: u64 = 60_000;
/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What is kept, and for how long. 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Days that events are kept.
    pub(crate) events_days: u32,
    /// Days that a round's sum is kept after its end. Without it the versions from there on cannot be replayed.
    pub(crate) sums_days: u32,
    /// Days that a round's contributions and its cohort are kept after its end.
    pub(crate) receipts_days: u32,
    /// How many of a model's newest artifacts are kept.
    pub(crate) versions_newest: u32,
    /// Of the older ones, each whose number is a multiple of this; 0 for none.
    pub(crate) versions_every: u32,
}

/// The housekeeping of one coordinator, by the policy of the moment.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    core: Arc<Core>,
    due_ms: u64,
    /// What is looked at next.
    next: usize,
}

/// What there is to drop, in order. Events last: those that tell of the rest are younger.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Versions,
    Sums,
    Receipts,
    Events,
}

const KINDS: [Kind; 4] = [Kind::Versions, Kind::Sums, Kind::Receipts, Kind::Events];

impl Housekeeping {
    /// Housekeeping that begins in a minute.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let due_ms = core.clock.monotonic_ms().saturating_add(FIRST_MS);
        Self { core, due_ms, next: 0 }
    }

    /// Does one small thing if any is due. `true` means that there may be more, to be done at the next tick.
    ///
    /// # Errors
    /// When the database does not take it; it was logged, and is tried again in a minute.
    pub(crate) async fn tick(&mut self) -> Result<bool, StoreError> {
        let now_ms = self.core.clock.monotonic_ms();
        if now_ms < self.due_ms {
            return Ok(false);
        }
        let Some(kind) = KINDS.get(self.next).copied() else {
            (self.next, self.due_ms) = (0, now_ms.saturating_add(EVERY_MS));
            return Ok(false);
        };
        match self.drop_some(kind).await {
            Ok(0) => self.next += 1,
            Ok(dropped) => tracing::info!(?kind, dropped, "dropped what retention does not keep"),
            Err(error) => {
                tracing::warn!(?kind, %error, "retention drops nothing now; trying again in a minute");
                self.due_ms = now_ms.saturating_add(AGAIN_MS);
                return Err(error);
            }
        }
        Ok(true)
    }

    async fn drop_some(&self, kind: Kind) -> Result<u64, StoreError> {
        let (store, now) = (&self.core.store, self.core.clock.wall());
        let policy = self.core.limits().retention;
        // Of versions it is a count.
        let days = match kind {
            Kind::Versions => policy.versions_newest,
            Kind::Sums => policy.sums_days,
            Kind::Receipts => policy.receipts_days,
            Kind::Events => policy.events_days,
        };
        if days == 0 {
            return Ok(0);
        }
        let before = Timestamp(now.0.saturating_sub(u64::from(days).saturating_mul(DAY_MS)));
        match kind {
            Kind::Versions => {
                let spared =
                    Spared { newest: policy.versions_newest, every: policy.versions_every };
                store.drop_artifacts(spared, now).await
            }
            Kind::Sums => store.drop_sums(before, now).await,
            Kind::Receipts => store.drop_receipts(before, now).await,
            Kind::Events => store.drop_events(before, now).await,
        }
    }
}
