//! Enrolments that wait for the writer, to be made in one transaction.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use federation::{Answer, Enrolment, Timestamp};
use tokio::sync::oneshot;

use super::enrolment::Entry;
use super::nodes::Node;

/// Enrolments that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Enrolments(Mutex<VecDeque<Applicant>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) enrolment: Enrolment,
    pub(super) entry: Entry,
    pub(super) now: Timestamp,
    pub(super) reply: oneshot::Sender<Answer<Node>>,
}

/// Most enrolments in one transaction: it keeps the writer for about as long as a group of updates does.
const ENROLMENTS_MAX: usize = 256;

impl Enrolments {
    /// Lets one wait.
    pub(super) fn put(&self, applicant: Applicant) {
        self.lock().push_back(applicant);
    }

    /// As many as go into one transaction, those who waited longest first.
    pub(super) fn take(&self) -> Vec<Applicant> {
        let mut waiting = self.lock();
        let count = waiting.len().min(ENROLMENTS_MAX);
        waiting.drain(..count).collect()
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Applicant>> {
        self.0.lock().expect("no code panics while it holds the enrolments")
    }
}

#[cfg(test)]
mod tests {
    use federation::RefusalCode;
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;
    use crate::testing::{World, enrolment};

    #[tokio::test]
    async fn a_fleet_that_comes_at_once_is_enrolled_together_and_each_gets_its_own_answer() {
        let world = World::new().await;
        let core = &world.core;
        let (release, released) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let held = std::sync::Arc::clone(core);
        tasks.spawn(async move {
            held.store.hold(released).await;
            None
        });
        for i in 0..300 {
            let core = std::sync::Arc::clone(core);
            // Every tenth comes twice, and one wants another's name.
            let mut wish = enrolment(&format!("n{}", if i % 10 == 1 { i - 1 } else { i }));
            if i == 299 {
                wish.node = "n0".parse().unwrap();
            }
            tasks.spawn(async move {
                let answer = core.store.enrol(wish.clone(), Entry::Open, Timestamp(1)).await;
                Some((wish, answer.unwrap()))
            });
        }
        while core.store.enrolments_waiting() < 300 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        let mut refused = 0;
        while let Some(done) = tasks.join_next().await {
            let Some((wish, answer)) = done.unwrap() else { continue };
            match answer {
                Ok(node) => assert_eq!(node.id, wish.node),
                Err(refusal) => {
                    assert_eq!((refusal.code, wish.node.as_str()), (RefusalCode::NameTaken, "n0"));
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 1);
        assert_eq!(core.store.enrolments_waiting(), 0);
        assert_eq!(core.store.count_rows("nodes").await, 269);
    }
}
