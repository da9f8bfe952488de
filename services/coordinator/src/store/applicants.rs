//! Enrolments that wait for the writer, to be made in one transaction.
//!
//! One call to the writer stands for a whole group: whoever comes when there are calls enough for all who wait makes none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use federation::{Answer, Enrolment, Timestamp};
use tokio::sync::oneshot;

use super::nodes::Node;
use super::register::Entry;

/// Most enrolments in one transaction: it keeps the writer for about as long as a group of updates does, some 20 ms.
pub(super) const ENROLMENTS_MAX: usize = 512;

/// Most enrolments that wait for the writer. They are some groups: a tenth of a second or two.
const WAITING_MAX: usize = 8 * ENROLMENTS_MAX;

/// Enrolments that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Enrolments(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    applicants: VecDeque<Applicant>,
    /// Calls under way. There are enough of them for all who wait.
    calls: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) wish: Arc<Wish>,
    pub(super) reply: oneshot::Sender<Answer<Node>>,
}

/// What it asks for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) enrolment: Enrolment,
    pub(super) entry: Entry,
    pub(super) now: Timestamp,
}

/// What became of one that was to wait.
#[derive(Debug)]
pub(super) enum Place {
    /// Too many wait: this one does not.
    Full,
    /// It waits, and a call that is under way will take it.
    Behind,
    /// It waits, and this call is to be made.
    First(Call),
}

/// A call to the writer. If it is dropped before it takes a group, those that no other call will take are let go: their
/// replies are dropped.
#[derive(Debug)]
pub(super) struct Call(Option<Arc<Enrolments>>);

impl Enrolments {
    /// Lets one wait.
    pub(super) fn put(self: &Arc<Self>, applicant: Applicant) -> Place {
        let mut waiting = self.lock();
        if waiting.applicants.len() >= WAITING_MAX {
            return Place::Full;
        }
        waiting.applicants.push_back(applicant);
        if waiting.applicants.len() <= waiting.calls * ENROLMENTS_MAX {
            return Place::Behind;
        }
        waiting.calls += 1;
        Place::First(Call(Some(Arc::clone(self))))
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().applicants.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("no code panics while it holds the enrolments")
    }
}

impl Call {
    /// As many as go into one transaction, those who waited longest first.
    pub(super) fn take(mut self) -> Vec<Applicant> {
        let Some(enrolments) = self.0.take() else { return Vec::new() };
        let mut waiting = enrolments.lock();
        waiting.calls -= 1;
        let count = waiting.applicants.len().min(ENROLMENTS_MAX);
        waiting.applicants.drain(..count).collect()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(enrolments) = self.0.take() else { return };
        let mut waiting = enrolments.lock();
        waiting.calls -= 1;
        let kept = waiting.applicants.len().min(waiting.calls * ENROLMENTS_MAX);
        let let_go = waiting.applicants.split_off(kept);
        drop(waiting);
        drop(let_go);
    }
}

#[cfg(test)]
mod tests {
    use federation::RefusalCode;
    use tokio::sync::oneshot::Receiver;
    use tokio::sync::oneshot::error::TryRecvError;
    use tokio::task::JoinSet;

    use super::*;
    use crate::testing::{World, enrolment};

    /// More than one group.
    const MANY: usize = ENROLMENTS_MAX + 103;

    fn put(enrolments: &Arc<Enrolments>) -> (Place, Receiver<Answer<Node>>) {
        let (reply, answer) = oneshot::channel();
        let wish = Wish { enrolment: enrolment("a"), entry: Entry::Open, now: Timestamp(1) };
        (enrolments.put(Applicant { wish: Arc::new(wish), reply }), answer)
    }

    /// So many wait from now on; the calls that are to be made for them.
    fn crowd(
        enrolments: &Arc<Enrolments>,
        count: usize,
    ) -> (Vec<Call>, Vec<Receiver<Answer<Node>>>) {
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (place, answer) = put(enrolments);
            match place {
                Place::First(call) => calls.push(call),
                Place::Behind => {}
                Place::Full => panic!("there is room for {count}"),
            }
            answers.push(answer);
        }
        (calls, answers)
    }

    fn let_go(answers: &mut [Receiver<Answer<Node>>]) -> Vec<usize> {
        let gone =
            |answer: &mut Receiver<_>| matches!(answer.try_recv(), Err(TryRecvError::Closed));
        (0..answers.len()).filter(|&at| gone(&mut answers[at])).collect()
    }

    #[test]
    fn one_call_is_made_for_each_group_and_none_for_more_than_may_wait() {
        let enrolments = Arc::default();
        let (calls, _answers) = crowd(&enrolments, WAITING_MAX);
        assert_eq!(calls.len(), WAITING_MAX / ENROLMENTS_MAX);
        assert!(matches!(put(&enrolments).0, Place::Full));
        for call in calls {
            assert_eq!(call.take().len(), ENROLMENTS_MAX);
        }
        // What the last call took has room again, and needs a call of its own.
        let (mut calls, _answers) = crowd(&enrolments, 2);
        assert_eq!((calls.len(), enrolments.waiting()), (1, 2));
        assert_eq!(calls.remove(0).take().len(), 2);
        assert_eq!(crowd(&enrolments, 1).0.len(), 1);
    }

    #[test]
    fn whoever_has_no_call_any_more_is_let_go_and_nobody_else() {
        let enrolments = Arc::default();
        let (mut calls, mut answers) = crowd(&enrolments, MANY);
        assert_eq!(calls.len(), 2);
        drop(calls.remove(0));
        let late: Vec<_> = (ENROLMENTS_MAX..MANY).collect();
        assert_eq!(let_go(&mut answers), late);
        let (more, mut behind) = crowd(&enrolments, 1);
        assert_eq!(more.len(), 1, "the call that is left has its group");
        drop(calls);
        assert_eq!(
            enrolments.waiting(),
            ENROLMENTS_MAX,
            "the newer call takes those who came first"
        );
        assert_eq!(let_go(&mut behind), [0]);
        drop(more);
        assert_eq!((enrolments.waiting(), let_go(&mut answers).len()), (0, MANY));
    }

    #[tokio::test]
    async fn a_fleet_that_comes_at_once_is_enrolled_together_and_each_gets_its_own_answer() {
        let world = World::new().await;
        let core = &world.core;
        let (release, released) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let held = Arc::clone(core);
        tasks.spawn(async move {
            held.store.hold(released).await;
            None
        });
        for i in 0..MANY {
            let core = Arc::clone(core);
            // Every tenth comes twice, and one wants another's name.
            let mut wish = enrolment(&format!("n{}", if i % 10 == 1 { i - 1 } else { i }));
            if i == MANY - 1 {
                wish.node = "n0".parse().unwrap();
            }
            tasks.spawn(async move {
                let answer = core.store.enrol(wish.clone(), Entry::Open, Timestamp(1)).await;
                Some((wish, answer.unwrap()))
            });
        }
        while core.store.enrolments_waiting() < MANY {
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
        let twice = (0..MANY).filter(|i| i % 10 == 1).count();
        let nodes = core.store.count_rows("nodes").await;
        assert_eq!(usize::try_from(nodes).unwrap(), MANY - twice - 1);
        // The writer was called for each group, not for each node.
        let metrics = crate::metrics::text(core).await.unwrap();
        assert!(metrics.contains("muster_tx_seconds_count{tx=\"enrol\"} 2\n"), "{metrics}");
    }
}
