//! A coordinator without sockets on a real file, with a clock that stands still until told: for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use federation::pace::Pace;
use federation::{
    Answer, Artifact, Candidate, Clock, Cohort, Digest, Eligibility, Enrolment, Layout, Local,
    Metrics, ModelName, NodeId, Plan, Receipt, RoundRef, Settled, Strategy, Tensor, Timestamp,
    TrainOrder, Weighting,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::admission::Announced;
use crate::commit::{self, GroupLimits, Uncounted};
use crate::config::Config;
use crate::core::{Core, Limits};
use crate::entropy::SystemEntropy;
use crate::orders::{Held, Order, Told};
use crate::rounds::Rounds;
use crate::store::{
    By, Deed, NewRun, NotDone, Reply, RoundKey, Run, Sql, Store, StoreError, Version,
};

/// Weights of the test model.
pub(crate) const WEIGHTS: u32 = 4;

/// A clock that stands still until told.
#[derive(Debug)]
pub(crate) struct StillClock(AtomicU64);

impl StillClock {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for StillClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Has something done, by nobody in particular, and gives what was done in place of the answer.
pub(crate) async fn done<T: Clone + Send + 'static, E, F>(
    at: Timestamp,
    act: impl FnOnce(Deed<T>) -> F,
) -> Result<Result<T, E>, StoreError>
where
    F: Future<Output = Result<Result<Reply, NotDone<E>>, StoreError>>,
{
    let (tell, told) = std::sync::mpsc::channel();
    let answer = move |done: &T| {
        tell.send(done.clone()).expect("the test waits for it");
        Reply { status: 200, location: None, body: String::new() }
    };
    let by = By { actor: "test".to_owned(), at };
    let deed = Deed { by, claim: None, answer: Box::new(answer), keep: Reply::clone };
    Ok(match act(deed).await? {
        Ok(_) => Ok(told.recv().expect("whoever answers told")),
        Err(NotDone::Refused(reason)) => Err(reason),
        Err(NotDone::KeyReused) => panic!("a deed without a key"),
    })
}

/// A coordinator without sockets.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) core: Arc<Core>,
    pub(crate) rounds: Rounds,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Arc::new(StillClock::new()), 0).await
    }

    /// Over the files of another.
    pub(crate) async fn on(dir: TempDir) -> Self {
        Self::over(dir, Arc::new(StillClock::new()), 0).await
    }

    /// The same files, opened again after a stop of `down_ms`: as after a crash, nothing was written at the end.
    pub(crate) async fn reopened(self, down_ms: u64, size_max_mib: u32) -> Self {
        self.core.store.close().await;
        self.advance(down_ms);
        Self::over(self.dir, self.clock, size_max_mib).await
    }

    /// With other bounds of groups.
    pub(crate) async fn bounded(groups: GroupLimits) -> Self {
        let clock = Arc::new(StillClock(AtomicU64::new(0)));
        let limits = Limits { groups, ..Config::default().limits() };
        Self::over_bounded(tempfile::tempdir().unwrap(), clock, 0, &limits).await
    }

    /// The same files with another pace.
    pub(crate) async fn at_pace(self, pace: Pace) -> Self {
        self.core.store.close().await;
        let limits = Limits { pace, ..Config::default().limits() };
        Self::over_bounded(self.dir, self.clock, 0, &limits).await
    }

    async fn over(dir: TempDir, clock: Arc<StillClock>, size_max_mib: u32) -> Self {
        Self::over_bounded(dir, clock, size_max_mib, &Config::default().limits()).await
    }

    async fn over_bounded(
        dir: TempDir,
        clock: Arc<StillClock>,
        size_max_mib: u32,
        limits: &Limits,
    ) -> Self {
        let file = dir.path().join("coordinator.db");
        let store = Store::open(&file, size_max_mib, &Sql::Awaited).await.unwrap();
        let (core, updates) =
            Core::new(store, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemEntropy), limits);
        let core = Arc::new(core);
        tokio::spawn(commit::run(Arc::clone(&core), updates, CancellationToken::new()));
        let rounds = Rounds::new(Arc::clone(&core));
        Self { dir, clock, core, rounds }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("coordinator.db")
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.clock.advance(ms);
    }

    /// Ticks until there is nothing more to do.
    pub(crate) async fn tick(&mut self) {
        while self.rounds.tick().await.unwrap() {}
    }

    /// Serves for `ms`, a tick every second.
    pub(crate) async fn serve(&mut self, ms: u64) {
        self.tick().await;
        for _ in 0..ms / 1_000 {
            self.advance(1_000);
            self.tick().await;
        }
        self.advance(ms % 1_000);
        self.tick().await;
    }

    pub(crate) async fn enrol(&self, name: &str) -> NodeId {
        self.core.enrol(enrolment(name), None).await.unwrap().unwrap()
    }

    /// Makes the model `name` if need be, and a run over it.
    pub(crate) async fn run(&self, name: &str, plan: Plan) -> Run {
        assert_eq!(plan.check(), []);
        let model: ModelName = name.parse().unwrap();
        let now = self.clock.wall();
        let store = &self.core.store;
        let made = done(now, |deed| store.create_model(model.clone(), artifact(WEIGHTS), deed));
        made.await.unwrap().unwrap();
        done(now, |deed| store.create_run(NewRun { model, plan }, deed)).await.unwrap().unwrap()
    }

    pub(crate) async fn ask(&self, node: &NodeId) -> Order {
        self.told(node, None).await.order
    }

    pub(crate) async fn order(&self, node: &NodeId) -> TrainOrder {
        match self.ask(node).await {
            Order::Train(order) => order,
            Order::Idle(idle) => panic!("{node} has no order: {idle:?}"),
        }
    }

    pub(crate) async fn fate(&self, node: &NodeId, round: RoundRef) -> Settled {
        self.told(node, Some(round)).await.awaited.unwrap()
    }

    async fn told(&self, node: &NodeId, awaiting: Option<RoundRef>) -> Told {
        self.asked(node, awaiting, Held::Apart).await
    }

    /// What a node is told that follows a channel and holds `held`.
    pub(crate) async fn asked(
        &self,
        node: &NodeId,
        awaiting: Option<RoundRef>,
        held: Held,
    ) -> Told {
        self.core.wait_order(node, Duration::ZERO, awaiting, None, held).await.unwrap().unwrap()
    }

    /// Offers an update as the gRPC service does.
    pub(crate) async fn push(&self, candidate: &Candidate, payload: &[u8]) -> Answer<Receipt> {
        match self.core.announce(candidate).await.unwrap()? {
            Announced::Again(receipt) => Ok(receipt),
            Announced::Proceed => self.count(candidate, payload).await,
        }
    }

    /// Offers an update that was announced.
    pub(crate) async fn count(&self, candidate: &Candidate, payload: &[u8]) -> Answer<Receipt> {
        self.try_count(candidate, payload).await.unwrap()
    }

    pub(crate) async fn try_count(
        &self,
        candidate: &Candidate,
        payload: &[u8],
    ) -> Result<Answer<Receipt>, Uncounted> {
        let room = Arc::clone(&self.core.payload_room).acquire_owned().await.unwrap();
        self.core.count(candidate, payload.to_vec().into(), room).await
    }

    /// Answers the order of each node with `delta` in every lane, in this order of arrival.
    pub(crate) async fn answer(&self, nodes: &[NodeId], delta: impl Fn(&TrainOrder) -> i8) {
        for node in nodes {
            let order = self.order(node).await;
            let (candidate, payload) = update(&order, node, delta(&order));
            self.push(&candidate, &payload).await.unwrap();
        }
    }

    /// The nodes drawn for the live round of the oldest run.
    pub(crate) async fn live_cohort(&self) -> Vec<NodeId> {
        let live = self.core.store.live().await.unwrap();
        self.cohort(live[0].live.as_ref().unwrap().key).await
    }

    /// The nodes drawn for a round, by name.
    pub(crate) async fn cohort(&self, round: RoundKey) -> Vec<NodeId> {
        let members = self.core.store.cohort(round).await.unwrap();
        members.into_iter().map(|(node, _)| node).collect()
    }

    pub(crate) async fn count_rows(&self, table: &'static str) -> i64 {
        self.core.store.count_rows(table).await
    }

    pub(crate) async fn find_run(&self, run: &Run) -> Run {
        self.core.store.run(run.id).await.unwrap().unwrap()
    }

    pub(crate) async fn versions(&self, model: &str) -> Vec<Version> {
        let model = model.parse().unwrap();
        self.core.store.versions(model, None, 0, 1_000).await.unwrap().unwrap()
    }
}

/// An artifact of `weights` weights.
pub(crate) fn artifact(weights: u32) -> Artifact {
    let tensor = Tensor { name: "w".to_owned(), rows: 1, cols: weights, min: -100, max: 100 };
    let layout = Layout::new(vec![tensor]).unwrap();
    let weights = vec![3; layout.weights()];
    Artifact::new("reckon/1", layout, b"config".to_vec(), weights).unwrap()
}

/// A plan for `goal` nodes: half of them are a quorum, a round takes at most 10 s, and two attempts.
pub(crate) fn plan(goal: u32, rounds: u32) -> Plan {
    Plan {
        strategy: Strategy::FedAvg { server_learning_rate: 0.5, weighting: Weighting::Samples },
        rounds,
        cohort: Cohort {
            selector: "task=navigation".parse().unwrap(),
            eligible: Eligibility::default(),
            goal,
            over_selection_permille: 1_000,
            quorum: goal.div_ceil(2),
            deadline_ms: 10_000,
            attempts_max: 2,
            nodes: Vec::new(),
        },
        local: Local { samples: 10, epochs: 1, evaluate_samples: 0, schedule: Vec::new() },
        samples_max: 100,
        seed: 7,
        reproducible: false,
    }
}

/// The plan that repeats bit for bit, over `nodes`.
pub(crate) fn reproducible(nodes: &[NodeId], rounds: u32) -> Plan {
    let mut plan = plan(u32::try_from(nodes.len()).unwrap(), rounds);
    plan.cohort.nodes = nodes.to_vec();
    plan.reproducible = true;
    plan
}

pub(crate) fn enrolment(name: &str) -> Enrolment {
    Enrolment {
        public_key: Digest::of(name.as_bytes()).0,
        node: name.parse().unwrap(),
        labels: BTreeMap::from([("task".to_owned(), "navigation".to_owned())]),
        learners: vec!["reckon/1".to_owned()],
        proof: None,
    }
}

/// An update that answers `order` with `delta` in every lane.
pub(crate) fn update(order: &TrainOrder, node: &NodeId, delta: i8) -> (Candidate, Vec<u8>) {
    let payload = vec![delta.cast_unsigned(); usize::try_from(order.weights).unwrap()];
    let candidate = Candidate {
        node: node.clone(),
        round: order.round,
        base: order.base,
        payload_bytes: order.weights,
        payload: Digest::of(&payload),
        samples: order.work.samples,
        metrics: Metrics { correct: 5, synaptic_ops: 1_000, bytes_down: 64 },
    };
    (candidate, payload)
}

/// The nodes with these names.
pub(crate) async fn fleet(world: &World, names: &[&str]) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(world.enrol(name).await);
    }
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), names.len());
    nodes
}
