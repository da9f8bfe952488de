//! Where learning runs: on one thread of its own behind a channel, inline where a simulator owns the time, or on a bench
//! that many virtual nodes share.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use federation::{Artifact, Metrics, NodeId, TrainOrder};
use tokio::sync::oneshot;

use crate::data::Source;
use crate::learner::LearnError;
use crate::memory;
use crate::residual::Residual;
use crate::train::{Bench, Evaluated, Trained, Trial};

/// Where a node's learning runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On a thread of its own, so that calls and signals are served meanwhile.
    Thread,
    /// In the caller, so that it takes no simulated time.
    Inline,
}

/// Stands in for the chip where a simulation looks at the protocol and not at learning: from a version and an order, the
/// weights after learning.
pub type StandIn = Box<dyn FnMut(&Artifact, &TrainOrder) -> Vec<i8> + Send>;

/// What comes of a job, in its time.
pub type Learning<'a, T> = Pin<Box<dyn Future<Output = Result<T, LearnError>> + Send + 'a>>;

/// Learns for many nodes, so that a chip's memory belongs to a worker and not to each of them.
pub trait Learner: fmt::Debug + Send + Sync {
    /// Learns from `source` as `order` says, from the version `artifact`, for `node`.
    fn train<'a>(
        &'a self,
        node: &'a NodeId,
        source: &'a Arc<Source>,
        artifact: Arc<Artifact>,
        order: &'a TrainOrder,
        residual: Residual,
    ) -> Learning<'a, Trained>;

    /// Tries the version `artifact` on held-out samples of `source`.
    fn evaluate<'a>(
        &'a self,
        source: &'a Arc<Source>,
        artifact: Arc<Artifact>,
        trial: &'a Trial,
    ) -> Learning<'a, Evaluated>;

    /// What the update of `node` for `order` will claim.
    fn claims(&self, node: &NodeId, source: &Source, order: &TrainOrder) -> u32;
}

/// Does a node's learning, one job at a time. A job whose caller went away stops at the next sample; dropping this
/// waits for that.
#[derive(Debug)]
pub struct Compute {
    source: Arc<Source>,
    place: Place,
}

enum Place {
    Inline(Bench),
    Thread(Worker),
    StandIn(StandIn),
    Shared(Arc<dyn Learner>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bench) => f.debug_tuple("Inline").field(bench).finish(),
            Self::Thread(worker) => f.debug_tuple("Thread").field(worker).finish(),
            Self::StandIn(_) => f.write_str("StandIn"),
            Self::Shared(learner) => f.debug_tuple("Shared").field(learner).finish(),
        }
    }
}

#[derive(Debug)]
struct Worker {
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Train(Arc<Artifact>, Box<TrainOrder>, Residual, oneshot::Sender<Result<Trained, LearnError>>),
    Evaluate(Arc<Artifact>, Trial, oneshot::Sender<Result<Evaluated, LearnError>>),
}

impl Compute {
    /// Learning on the samples of `source`.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn new(source: Source, placement: Placement) -> std::io::Result<Self> {
        let source = Arc::new(source);
        let place = match placement {
            Placement::Inline => Place::Inline(Bench::new()),
            Placement::Thread => Place::Thread(Worker::start(source.clone())?),
        };
        Ok(Self { source, place })
    }

    /// Learning on the samples of `source`, done by `learner` among others.
    #[must_use]
    pub fn shared(source: Arc<Source>, learner: Arc<dyn Learner>) -> Self {
        Self { source, place: Place::Shared(learner) }
    }

    /// Lets `learn` do the learning from here on.
    pub(crate) fn replace(&mut self, learn: StandIn) {
        self.place = Place::StandIn(learn);
    }

    /// How many held-out samples there are for an evaluation that asks for `wanted`.
    #[must_use]
    pub fn held_out(&self, wanted: u32) -> u32 {
        self.source.held_out(wanted)
    }

    /// What the update of `node` for `order` will claim, in samples.
    #[must_use]
    pub fn claims(&self, node: &NodeId, order: &TrainOrder) -> u32 {
        match &self.place {
            Place::Shared(learner) => learner.claims(node, &self.source, order),
            Place::Inline(_) | Place::Thread(_) | Place::StandIn(_) => self.source.claims(order),
        }
    }

    /// The most memory that the process ever had, in KiB, where it is a device's alone. In a simulation it says nothing of a
    /// node, and differs from run to run.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        matches!(self.place, Place::Thread(_)).then(memory::peak_kib)?
    }

    /// Learns as `order` says, from the version `artifact`, for `node`.
    ///
    /// # Errors
    /// [`LearnError`] when the model, the order and the data do not fit together.
    pub async fn train(
        &mut self,
        node: &NodeId,
        artifact: Arc<Artifact>,
        order: &TrainOrder,
        residual: Residual,
    ) -> Result<Trained, LearnError> {
        match &mut self.place {
            Place::Inline(bench) => {
                bench.train(&self.source, &artifact, order, residual, &|| false)
            }
            Place::Shared(learner) => {
                learner.train(node, &self.source, artifact, order, residual).await
            }
            Place::StandIn(learn) => {
                let local = learn(&artifact, order);
                let (samples, metrics) = (self.source.claims(order), Metrics::default());
                Ok(Trained::from_weights(&local, &artifact, residual, samples, metrics))
            }
            Place::Thread(worker) => {
                let order = Box::new(order.clone());
                worker.ask(|reply| Job::Train(artifact, order, residual, reply)).await
            }
        }
    }

    /// Tries the version `artifact` on held-out samples.
    ///
    /// # Errors
    /// As [`Compute::train`].
    pub async fn evaluate(
        &mut self,
        artifact: Arc<Artifact>,
        trial: &Trial,
    ) -> Result<Evaluated, LearnError> {
        match &mut self.place {
            Place::Inline(bench) => bench.evaluate(&self.source, &artifact, trial, &|| false),
            Place::Shared(learner) => learner.evaluate(&self.source, artifact, trial).await,
            Place::StandIn(_) => Ok(Evaluated { samples: trial.samples, correct: 0 }),
            Place::Thread(worker) => {
                let trial = trial.clone();
                worker.ask(|reply| Job::Evaluate(artifact, trial, reply)).await
            }
        }
    }
}

impl Worker {
    fn start(source: Arc<Source>) -> std::io::Result<Self> {
        // One job may wait while one that nobody waits for any more comes to its next sample.
        let (jobs, queue) = sync_channel(1);
        let thread =
            Builder::new().name("muster-learn".to_owned()).spawn(move || work(source, queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    async fn ask<T>(
        &mut self,
        job: impl FnOnce(oneshot::Sender<Result<T, LearnError>>) -> Job,
    ) -> Result<T, LearnError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job(reply)).is_ok());
        if sent {
            answer.await.unwrap_or(Err(LearnError::Crashed))
        } else {
            Err(LearnError::Crashed)
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                code = LearnError::Crashed.code(),
                "the learning thread ended in a panic"
            );
        }
    }
}

/// Takes jobs until nobody can send one. A panic costs its job only.
fn work(source: Arc<Source>, queue: Receiver<Job>) {
    let mut bench = Bench::new();
    for job in queue {
        let done = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Train(artifact, order, residual, reply) => {
                let result =
                    bench.train(&source, &artifact, &order, residual, &|| reply.is_closed());
                reply.send(result).is_ok()
            }
            Job::Evaluate(artifact, trial, reply) => {
                let result = bench.evaluate(&source, &artifact, &trial, &|| reply.is_closed());
                reply.send(result).is_ok()
            }
        }));
        if done.is_err() {
            bench = Bench::new();
        }
    }
}
