//! Admission: an update's way from its announcement to its receipt.
//!
//! The announcement is judged before any payload is read, from memory where that suffices; the payload is checked before
//! it waits for a group; and the transaction that counts the group judges again, because the round may have closed
//! meanwhile. The receipt goes out after the commit.

use bytes::Bytes;
use federation::admission::{RoundView, Verdict, check_payload, judge};
use federation::round::RoundState;
use federation::{Answer, Candidate, Receipt, Refusal};
use tokio::sync::OwnedSemaphorePermit;

use crate::commit::Uncounted;
use crate::core::Core;
use crate::metrics::RefusedUpdate;
use crate::store::StoreError;

/// The judgement of an announcement that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The payload may come.
    Proceed,
    /// It is counted already.
    Again(Receipt),
}

impl Core {
    /// Judges an announced update.
    pub(crate) async fn announce(
        &self,
        candidate: &Candidate,
    ) -> Result<Answer<Announced>, StoreError> {
        if let Err(refusal) = self.hear(&candidate.node).await? {
            return Ok(Err(self.refused(candidate, refusal)));
        }
        let view = match self.view_in_memory(candidate) {
            Some(view) => Some(view),
            None => self.store.round_view(candidate.round, candidate.node.clone()).await?,
        };
        Ok(match judge(view.as_ref(), candidate) {
            Verdict::Proceed => Ok(Announced::Proceed),
            Verdict::Again(receipt) => {
                self.metrics.update("again");
                Ok(Announced::Again(receipt))
            }
            Verdict::Refuse(refusal) => Err(self.refused(candidate, refusal)),
        })
    }

    /// The open round as a member meets it that is not known to be counted: the common case, without the database.
    fn view_in_memory(&self, candidate: &Candidate) -> Option<RoundView> {
        let board = self.board.get();
        let open = board.round(candidate.round)?;
        open.cohort.waits_for(&candidate.node).then(|| RoundView {
            round: open.round,
            state: RoundState::Open,
            base_version: open.base_version,
            base: open.base,
            weights: open.weights,
            samples_max: open.plan.samples_max,
            selected: true,
            receipt: None,
            late: None,
        })
    }

    /// Counts an announced update with its payload, durably and once. `room` is its share of the memory for payloads.
    pub(crate) async fn count(
        &self,
        candidate: &Candidate,
        payload: Bytes,
        room: OwnedSemaphorePermit,
    ) -> Result<Answer<Receipt>, Uncounted> {
        if let Err(refusal) = check_payload(candidate, &payload) {
            return Ok(Err(self.refused(candidate, refusal)));
        }
        let counted = self.groups.count(candidate.clone(), payload, room).await;
        let answer = counted.inspect_err(|uncounted| self.metrics.update(uncounted.as_str()))?;
        Ok(match answer {
            Ok(receipt) => {
                self.metrics.counted(candidate.payload_bytes);
                tracing::debug!(
                    run.id = candidate.round.run.0,
                    round = candidate.round.number,
                    attempt = candidate.round.attempt,
                    node.id = %candidate.node,
                    "counted an update"
                );
                Ok(receipt)
            }
            Err(refusal) => Err(self.refused(candidate, refusal)),
        })
    }

    fn refused(&self, candidate: &Candidate, refusal: Refusal) -> Refusal {
        tracing::info!(
            run.id = candidate.round.run.0,
            round = candidate.round.number,
            attempt = candidate.round.attempt,
            node.id = %candidate.node,
            code = %refusal.code,
            "refused an update: {refusal}"
        );
        self.metrics.update(refusal.code.as_str());
        self.metrics.refused.note(RefusedUpdate {
            node: candidate.node.clone(),
            round: candidate.round,
            code: refusal.code,
            at: self.clock.wall(),
        });
        refusal
    }
}
