//! Admission: an update's way from its announcement to its receipt.
//!
//! The announcement is judged before any payload is read; the payload is checked before the database is asked; and the
//! transaction that counts the update judges again, because the round may have closed meanwhile. The receipt goes out
//! after the commit.

use federation::admission::{Verdict, check_payload, judge};
use federation::{Answer, Candidate, Receipt, Refusal};

use crate::core::Core;
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
            return Ok(Err(refused(candidate, refusal)));
        }
        let view = self.store.round_view(candidate.round, candidate.node.clone()).await?;
        Ok(match judge(view.as_ref(), candidate) {
            Verdict::Proceed => Ok(Announced::Proceed),
            Verdict::Again(receipt) => Ok(Announced::Again(receipt)),
            Verdict::Refuse(refusal) => Err(refused(candidate, refusal)),
        })
    }

    /// Counts an announced update with its payload, durably and once.
    pub(crate) async fn count(
        &self,
        candidate: Candidate,
        payload: &[u8],
    ) -> Result<Answer<Receipt>, StoreError> {
        let lanes = match check_payload(&candidate, payload) {
            Ok(lanes) => lanes,
            Err(refusal) => return Ok(Err(refused(&candidate, refusal))),
        };
        let answer = self.store.count_update(candidate.clone(), lanes, self.clock.wall()).await?;
        Ok(match answer {
            Ok(counted) => {
                if counted.closes {
                    self.wake.notify_one();
                }
                tracing::debug!(
                    run.id = candidate.round.run.0,
                    round = candidate.round.number,
                    attempt = candidate.round.attempt,
                    node.id = %candidate.node,
                    "counted an update"
                );
                Ok(counted.receipt)
            }
            Err(refusal) => Err(refused(&candidate, refusal)),
        })
    }
}

fn refused(candidate: &Candidate, refusal: Refusal) -> Refusal {
    tracing::info!(
        run.id = candidate.round.run.0,
        round = candidate.round.number,
        attempt = candidate.round.attempt,
        node.id = %candidate.node,
        code = %refusal.code,
        "refused an update: {refusal}"
    );
    refusal
}
