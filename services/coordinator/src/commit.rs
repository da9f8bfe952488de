//! Group commit: updates that arrive within a few milliseconds are counted in one transaction, with one sync.
//!
//! A checked update waits in a bounded queue. [`run`] takes what is there, up to a number, a size and a time, has the
//! store count it, and answers everybody after the commit. While one group is being synced the next one gathers.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use federation::{Answer, Candidate, Receipt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::store::{Counting, Offer, StoreError, Tally};

/// Bounds of a group, and of what waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLimits {
    /// Most updates in a group.
    pub(crate) updates_max: usize,
    /// Most payload bytes in a group; one update may exceed it alone.
    pub(crate) bytes_max: usize,
    /// Longest that the first update of a group waits for others.
    pub(crate) wait: Duration,
    /// Most updates that wait for a group.
    pub(crate) queue_max: usize,
}

/// An update on its way into a group.
#[derive(Debug)]
pub(crate) struct Waiting {
    offer: Offer,
    /// Its share of the memory for payloads, given back when it is answered.
    _room: OwnedSemaphorePermit,
    reply: oneshot::Sender<Result<Counting, Uncounted>>,
}

/// Why an update was not counted, as far as anybody knows.
#[derive(Clone, Debug)]
pub(crate) enum Uncounted {
    /// Too many wait, or its round cannot take it at this moment: nothing was done.
    Busy,
    /// The coordinator is shutting down: nothing was done.
    Closed,
    /// The group's transaction failed, which was logged.
    Failed(Arc<StoreError>),
}

impl Uncounted {
    /// The outcome in one word, for metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
        }
    }
}

/// The way into a group.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Waiting>,
    /// Groups that were committed.
    pub(crate) groups: AtomicU64,
    /// Updates that were counted in them.
    pub(crate) updates: AtomicU64,
}

/// A queue, and its end for [`run`].
pub(crate) fn queue(limits: &GroupLimits) -> (Queue, mpsc::Receiver<Waiting>) {
    let (sender, receiver) = mpsc::channel(limits.queue_max);
    (Queue { sender, groups: AtomicU64::new(0), updates: AtomicU64::new(0) }, receiver)
}

impl Queue {
    /// Updates that wait for a group.
    pub(crate) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Most updates that can.
    pub(crate) fn capacity(&self) -> usize {
        self.sender.max_capacity()
    }

    /// Has an update counted. Once it is queued it will be, whether anybody waits for the answer or not.
    pub(crate) async fn count(
        &self,
        candidate: Candidate,
        payload: Bytes,
        room: OwnedSemaphorePermit,
    ) -> Result<Answer<Receipt>, Uncounted> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { offer: Offer { candidate, payload }, _room: room, reply };
        self.sender.try_send(waiting).map_err(|refused| match refused {
            TrySendError::Full(_) => Uncounted::Busy,
            TrySendError::Closed(_) => Uncounted::Closed,
        })?;
        match answer.await {
            Ok(Ok(Counting::Done(answer))) => Ok(answer),
            Ok(Ok(Counting::Later)) => Err(Uncounted::Busy),
            Ok(Err(uncounted)) => Err(uncounted),
            Err(_) => Err(Uncounted::Closed),
        }
    }
}

/// Counts what comes, group by group, until `stop`; then what is queued, and no more.
pub(crate) async fn run(
    core: Arc<Core>,
    mut queue: mpsc::Receiver<Waiting>,
    stop: CancellationToken,
) {
    loop {
        let first = tokio::select! {
            biased;
            first = queue.recv() => first,
            () = stop.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let group = gather(first, &mut queue, &core.limits().groups).await;
        commit(&core, group).await;
    }
    let Queue { groups, updates, .. } = &core.groups;
    tracing::info!(
        groups = groups.load(Ordering::Relaxed),
        updates = updates.load(Ordering::Relaxed),
        "all queued updates are counted"
    );
}

async fn gather(
    first: Waiting,
    queue: &mut mpsc::Receiver<Waiting>,
    limits: &GroupLimits,
) -> Vec<Waiting> {
    let until = Instant::now() + limits.wait;
    let mut bytes = first.offer.payload.len();
    let mut group = vec![first];
    while group.len() < limits.updates_max && bytes < limits.bytes_max {
        let Ok(Some(next)) = timeout_at(until, queue.recv()).await else { break };
        bytes += next.offer.payload.len();
        group.push(next);
    }
    group
}

async fn commit(core: &Core, group: Vec<Waiting>) {
    let mut offers = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    for Waiting { offer, _room, reply } in group {
        replies.push((offer.candidate.round, offer.candidate.node.clone(), reply, _room));
        offers.push(offer);
    }
    match core.store.count_group(offers, core.clock.wall()).await {
        Ok(Tally { answers, closes }) => {
            if closes {
                core.wake.notify_one();
            }
            let board = core.board.get();
            core.groups.groups.fetch_add(1, Ordering::Relaxed);
            for ((round, node, reply, _room), answer) in replies.into_iter().zip(answers) {
                if matches!(answer, Counting::Done(Ok(_))) {
                    board.counted(round, &node);
                    core.groups.updates.fetch_add(1, Ordering::Relaxed);
                }
                // A client that hung up asks again.
                let _ = reply.send(Ok(answer));
            }
        }
        Err(StoreError::Closed { .. }) => {
            for (_, _, reply, _) in replies {
                let _ = reply.send(Err(Uncounted::Closed));
            }
        }
        Err(error) => {
            tracing::error!(%error, updates = replies.len(), "a group was not counted");
            let error = Arc::new(error);
            let board = core.board.get();
            for (round, _, reply, _) in replies {
                board.doubt(round);
                let _ = reply.send(Err(Uncounted::Failed(Arc::clone(&error))));
            }
        }
    }
}
