//! Learning for many virtual nodes: a few threads with a chip each, and what attackers make of what comes out.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};

use agent::data::Source;
use agent::residual::Residual;
use agent::train::{Bench, Evaluated, Trained, Trial};
use agent::{LearnError, Learner, Learning};
use federation::{Artifact, Metrics, NodeId, TrainOrder};
use tokio::sync::oneshot;

/// What changes an update before its node sends it, and what a node has to learn from in a round.
pub(crate) trait Hand: fmt::Debug + Send + Sync {
    /// The samples that `node` has in the round of `order`, where they are not the ones it has all the time.
    fn source(&self, node: &NodeId, order: &TrainOrder) -> Option<Arc<Source>>;
    /// What the update of `node`, which otherwise has `source`, claims for `order`.
    fn claims(&self, node: &NodeId, source: &Source, order: &TrainOrder) -> u32 {
        self.source(node, order).map_or_else(|| source.claims(order), |now| now.claims(order))
    }
    /// The update as it is sent.
    fn touch(&self, node: &NodeId, order: &TrainOrder, trained: Trained) -> Trained;
}

/// The threads. They end when this is dropped, after the jobs they are at.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    hand: Arc<dyn Hand>,
}

/// No learning at all: every node sends the same small update. For measuring what is around the learning.
#[derive(Debug)]
pub(crate) struct NoLearning {
    hand: Arc<dyn Hand>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    over: bool,
}

enum Job {
    Train(Arc<Source>, Arc<Artifact>, Box<TrainOrder>, Residual, Reply<Trained>),
    Evaluate(Arc<Source>, Arc<Artifact>, Trial, Reply<Evaluated>),
}

type Reply<T> = oneshot::Sender<Result<T, LearnError>>;

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train(..) => "Train",
            Self::Evaluate(..) => "Evaluate",
        })
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no code panics while it holds the queue")
    }

    fn put(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.more.notify_one();
    }

    fn take(&self) -> Option<Job> {
        let waiting = self.lock();
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.over;
        let mut waiting =
            self.more.wait_while(waiting, idle).expect("no code panics while it holds the queue");
        waiting.jobs.pop_front()
    }
}

impl Pool {
    /// `threads` threads, whose updates pass through `hand`.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub(crate) fn start(threads: usize, hand: Arc<dyn Hand>) -> std::io::Result<Self> {
        let mut pool = Self { queue: Arc::default(), threads: Vec::new(), hand };
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&pool.queue);
            let name = format!("{THREAD}{number}");
            pool.threads.push(Builder::new().name(name).spawn(move || work(&queue))?);
        }
        Ok(pool)
    }
}

/// How the names of the threads begin, by which the system tells what they used.
pub(crate) const THREAD: &str = "sim-learn-";

impl Drop for Pool {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.over = true;
        waiting.jobs.clear();
        drop(waiting);
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of a job was caught and told to its node.
            thread.join().unwrap_or_default();
        }
    }
}

/// Takes jobs until there are none to come. A panic costs its job only.
fn work(queue: &Queue) {
    let mut bench = Bench::new();
    while let Some(job) = queue.take() {
        let done = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Train(source, artifact, order, residual, reply) => {
                let stop = || reply.is_closed();
                let result = bench.train(&source, &artifact, &order, residual, &stop);
                reply.send(result).is_ok()
            }
            Job::Evaluate(source, artifact, trial, reply) => {
                let result = bench.evaluate(&source, &artifact, &trial, &|| reply.is_closed());
                reply.send(result).is_ok()
            }
        }));
        if done.is_err() {
            bench = Bench::new();
        }
    }
}

impl Learner for Pool {
    fn train<'a>(
        &'a self,
        node: &'a NodeId,
        source: &'a Arc<Source>,
        artifact: Arc<Artifact>,
        order: &'a TrainOrder,
        residual: Residual,
    ) -> Learning<'a, Trained> {
        Box::pin(async move {
            let source = self.hand.source(node, order).unwrap_or_else(|| Arc::clone(source));
            let (reply, answer) = oneshot::channel();
            self.queue.put(Job::Train(source, artifact, Box::new(order.clone()), residual, reply));
            let trained = answer.await.unwrap_or(Err(LearnError::Crashed))?;
            Ok(self.hand.touch(node, order, trained))
        })
    }

    fn evaluate<'a>(
        &'a self,
        source: &'a Arc<Source>,
        artifact: Arc<Artifact>,
        trial: &'a Trial,
    ) -> Learning<'a, Evaluated> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.queue.put(Job::Evaluate(Arc::clone(source), artifact, trial.clone(), reply));
            answer.await.unwrap_or(Err(LearnError::Crashed))
        })
    }

    fn claims(&self, node: &NodeId, source: &Source, order: &TrainOrder) -> u32 {
        self.hand.claims(node, source, order)
    }
}

impl NoLearning {
    /// Its updates pass through `hand`, too.
    pub(crate) fn new(hand: Arc<dyn Hand>) -> Self {
        Self { hand }
    }
}

impl Learner for NoLearning {
    fn train<'a>(
        &'a self,
        node: &'a NodeId,
        source: &'a Arc<Source>,
        artifact: Arc<Artifact>,
        order: &'a TrainOrder,
        residual: Residual,
    ) -> Learning<'a, Trained> {
        let lanes = artifact.weights().len();
        // One lane of each node differs, so that no two updates are the same bytes.
        let at = usize::try_from(order.seed % u64::try_from(lanes).unwrap_or(1).max(1));
        let mut payload: Arc<[u8]> = std::iter::repeat_n(0, lanes).collect();
        if let Some(lane) = Arc::get_mut(&mut payload).and_then(|p| p.get_mut(at.unwrap_or(0))) {
            *lane = 1;
        }
        let trained = Trained {
            payload,
            residual,
            samples: self.claims(node, source, order),
            metrics: Metrics::default(),
        };
        Box::pin(std::future::ready(Ok(self.hand.touch(node, order, trained))))
    }

    fn evaluate<'a>(
        &'a self,
        _source: &'a Arc<Source>,
        _artifact: Arc<Artifact>,
        trial: &'a Trial,
    ) -> Learning<'a, Evaluated> {
        Box::pin(std::future::ready(Ok(Evaluated { samples: trial.samples, correct: 0 })))
    }

    fn claims(&self, node: &NodeId, source: &Source, order: &TrainOrder) -> u32 {
        self.hand.claims(node, source, order)
    }
}
