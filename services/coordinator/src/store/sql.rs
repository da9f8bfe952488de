//! How a caller gets what runs on the store's threads: it waits, or in a simulation its whole host stands still.
//!
//! Simulated time runs on while a caller waits for a real thread, so the answer would come at another simulated instant
//! in every run. There the caller blocks: SQL takes no simulated time, and the same seed gives the same run.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::unconstrained;

/// An instant at which a simulated power failure can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a transaction: nothing of it is there after the restart.
    BeforeTransaction,
    /// After its commit, before anybody hears of it.
    AfterTransaction,
}

/// Asked around every transaction of a simulation: whether the power fails now.
pub type PowerFails = Arc<dyn Fn(Moment) -> bool + Send + Sync>;

/// How SQL is reached.
#[derive(Clone, Default)]
pub(crate) enum Sql {
    /// The caller awaits the answer.
    #[default]
    Awaited,
    /// The caller's thread blocks until the answer is there. For simulations only.
    Blocking(PowerFails),
}

impl Sql {
    /// Waits for an answer of a store's thread.
    pub(super) async fn answer<T>(
        &self,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, oneshot::error::RecvError> {
        match self {
            Self::Awaited => answer.await,
            // Unconstrained: a task that has used up its turn would be told to wait, and would never get another.
            Self::Blocking(_) => block_on(unconstrained(answer)),
        }
    }

    /// Never returns when the power fails at this moment.
    pub(super) async fn pass(&self, moment: Moment) {
        if let Self::Blocking(fails) = self
            && fails(moment)
        {
            std::future::pending::<()>().await;
        }
    }

    /// Does work that itself waits for SQLite.
    pub(super) async fn aside<T, W>(&self, work: W) -> T
    where
        T: Send + 'static,
        W: AsyncFnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Awaited => work().await,
            Self::Blocking(_) => {
                let run = || {
                    let runtime = runtime::Builder::new_current_thread().enable_all().build();
                    runtime
                        .expect("a machine that simulates has a runtime to give")
                        .block_on(work())
                };
                thread::spawn(run).join().expect("opening a database does not panic")
            }
        }
    }

    /// What becomes of a store's thread when the store is dropped: in a simulation the file must be free at once, for
    /// the host that starts again.
    pub(super) fn keep(&self, thread: JoinHandle<()>) -> Joined {
        Joined(matches!(self, Self::Blocking(_)).then_some(thread))
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Awaited => "Awaited",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// Waits, when it is dropped, for the end of a thread.
#[derive(Debug)]
pub(super) struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the store ended in a panic");
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::Poll;

    use federation::Timestamp;

    use super::{Arc, Context, Moment, Sql, Waker, pin};
    use crate::store::{Entry, Store};
    use crate::testing::enrolment;

    /// Opens the file, and has the power fail at `moment` of the only write. Whether the node is there afterwards.
    async fn enrolled_in_spite_of(moment: Option<Moment>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.db");
        let moments = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&moments);
        let sql = Sql::Blocking(Arc::new(move |now| {
            seen.lock().unwrap().push(now);
            moment == Some(now)
        }));
        let store = Store::open(&file, 0, &sql).await.unwrap();
        {
            let mut enrol = pin!(store.enrol(enrolment("a"), Entry::Open, Timestamp(1)));
            // The first look brings the answer, or never will any.
            let answer = enrol.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(answer.is_ready(), moment.is_none());
            assert!(matches!(answer, Poll::Pending | Poll::Ready(Ok(Ok(_)))), "{answer:?}");
        }
        let passed = moments.lock().unwrap().clone();
        let both = [Moment::BeforeTransaction, Moment::AfterTransaction];
        assert_eq!(passed, both[..passed.len()]);
        drop(store);
        // The last connection takes the log with it: nothing holds the file any more.
        assert!(!dir.path().join("x.db-wal").exists());
        let store = Store::open(&file, 0, &Sql::Awaited).await.unwrap();
        let there = store.node("a".parse().unwrap()).await.unwrap().is_some();
        store.close().await;
        there
    }

    #[tokio::test]
    async fn a_simulated_store_answers_at_once_and_its_power_fails_around_the_commit() {
        assert!(enrolled_in_spite_of(None).await);
        assert!(!enrolled_in_spite_of(Some(Moment::BeforeTransaction)).await);
        assert!(enrolled_in_spite_of(Some(Moment::AfterTransaction)).await);
    }
}
