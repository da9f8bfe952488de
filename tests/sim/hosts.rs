//! What runs on the simulated hosts: the real coordinator, real agents, a person with curl, and somebody who sends
//! other people's updates.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::data_spec::DataSpec;
use agent::{LEARNER, Node, Placement, Progress, Settings, StandIn};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coordinator::{Config, Coordinator, Moment, Simulated};
use federation::{
    Artifact, Candidate, Clock, Entropy, Idle, Layout, NodeId, Receipt, RoundRef, Tensor, Timestamp,
};
use proto::convert::{Reply, UpdatePart};
use proto::v1::PushUpdateRequest;
use proto::v1::fleet_service_client::FleetServiceClient;
use serde_json::json;
use tasks::random::{Rng, derive};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;

use crate::log::Log;
use crate::net;
use crate::scenario::{self, Script};

/// The model that the fleet trains.
pub(crate) const MODEL: &str = "model";

/// What outlives every crash: the files, the clocks as the world sets them, and notes for the oracle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) script: Script,
    pub(crate) dir: PathBuf,
    pub(crate) log: Log,
    pub(crate) now_ms: AtomicU64,
    /// How far the coordinator's wall clock is off.
    pub(crate) skew_ms: AtomicI64,
    pub(crate) power: Mutex<Power>,
    /// What each node learned in each round: weights after less weights before.
    pub(crate) learned: Mutex<BTreeMap<(usize, RoundRef), Vec<i32>>>,
    /// Updates to be sent by somebody else.
    pub(crate) to_send: Mutex<VecDeque<(Candidate, Arc<[u8]>)>>,
    /// The receipts that somebody else got for them.
    pub(crate) sent: Mutex<Vec<(Candidate, Receipt)>>,
    /// The run's state, as REST last told it.
    pub(crate) state: Mutex<String>,
}

/// The coordinator's power supply.
#[derive(Debug, Default)]
pub(crate) struct Power {
    /// It fails after so many transactions more, at this moment of the next one, for so many milliseconds.
    pub(crate) fails_in: Option<(u32, Moment, u64)>,
    pub(crate) out: bool,
}

impl Power {
    fn fails(&mut self, now: Moment) -> bool {
        if let Some((left, moment, _)) = &mut self.fails_in {
            if *left == 0 && *moment == now {
                self.out = true;
            } else if now == Moment::AfterTransaction {
                *left = left.saturating_sub(1);
            }
        }
        self.out
    }
}

impl Shared {
    pub(crate) fn node_dir(&self, index: usize) -> PathBuf {
        self.dir.join(node_name(index))
    }

    pub(crate) fn coordinator_dir(&self) -> PathBuf {
        self.dir.join("coordinator")
    }

    /// The first version: for each node one lane in which it adds 1 and one in which its learning does not fit.
    pub(crate) fn artifact(&self) -> Artifact {
        let tensor = |name: &str| Tensor {
            name: name.to_owned(),
            rows: 1,
            cols: u32::try_from(self.script.nodes).expect("a small fleet"),
            min: i8::MIN,
            max: i8::MAX,
        };
        let layout = Layout::new(vec![tensor("one"), tensor("much")]).expect("two plain tensors");
        let weights = [vec![0; self.script.nodes], vec![-100; self.script.nodes]].concat();
        Artifact::new(LEARNER, layout, b"simulated".to_vec(), weights).expect("it fits the layout")
    }
}

/// A node's name and host.
pub(crate) fn node_name(index: usize) -> String {
    format!("node-{index}")
}

/// Which node is on a host.
pub(crate) fn node_index(host: &str) -> Option<usize> {
    host.strip_prefix("node-")?.parse().ok()
}

/// The coordinator, from a start to the next crash.
pub(crate) async fn coordinator(shared: Arc<Shared>) -> turmoil::Result {
    let config = Config { data_dir: shared.coordinator_dir(), ..Config::default() };
    let clock = SimClock { shared: Arc::clone(&shared), started: Instant::now() };
    let power = Arc::clone(&shared);
    let world = Simulated {
        grpc: net::listen(net::GRPC_PORT).await?,
        http: net::listen(net::HTTP_PORT).await?,
        clock: Arc::new(clock),
        power_fails: Arc::new(move |moment| {
            power.power.lock().expect("no panic under the lock").fails(moment)
        }),
    };
    let running = Coordinator::simulate(config, world).await?;
    Ok(running.wait(std::future::pending()).await?)
}

#[derive(Debug)]
struct SimClock {
    shared: Arc<Shared>,
    started: Instant,
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        let now = 1_800_000_000_000 + self.shared.now_ms.load(Ordering::Relaxed);
        Timestamp(now.saturating_add_signed(self.shared.skew_ms.load(Ordering::Relaxed)))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).expect("a simulation ends before")
    }
}

/// A node, from a start to the next crash.
pub(crate) async fn node(shared: Arc<Shared>, index: usize) -> turmoil::Result {
    let settings = Settings {
        status_file: None,
        coordinator: net::coordinator(),
        state: shared.node_dir(index),
        name: Some(node_name(index).parse()?),
        enrol_token: None,
        labels: BTreeMap::from([("task".to_owned(), "sim".to_owned())]),
        data: DataSpec::Navigation { seed: None, class: None },
    };
    let slow = shared.script.slow_ms.get(&index).copied().map(Duration::from_millis);
    let entropy = Seeded(derive(shared.seed, &[2, index as u64]));
    let uplink = net::uplink(index, shared.script.piece_bytes);
    let mut node = Node::open(&settings, uplink, &entropy, Placement::Inline)?
        .learning_with(learn(shared, index));
    let Some(slow) = slow else { return Ok(agent::drive(&mut node).await?) };
    loop {
        match node.step().await? {
            Progress::Working => sleep(slow).await,
            Progress::Waiting(pause) => sleep(pause).await,
        }
    }
}

/// Learns 1 in the node's lane, and much in its other one.
fn learn(shared: Arc<Shared>, index: usize) -> StandIn {
    Box::new(move |artifact, order| {
        let before = artifact.weights();
        let mut after = before.to_vec();
        after[index] = after[index].saturating_add(1);
        after[shared.script.nodes + index] = 100;
        let learned =
            after.iter().zip(before).map(|(&after, &before)| i32::from(after) - i32::from(before));
        let mut notes = shared.learned.lock().expect("no panic under the lock");
        notes.insert((index, order.round), learned.collect());
        after
    })
}

#[derive(Debug)]
struct Seeded(u64);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = Rng::new(self.0);
        bytes.iter_mut().for_each(|byte| *byte = rng.next_u64().to_le_bytes()[0]);
    }
}

/// Makes the model and the run as a person would, and watches it.
pub(crate) async fn person(shared: Arc<Shared>) -> turmoil::Result {
    let artifact = STANDARD.encode(shared.artifact().encode());
    let model = json!({ "name": MODEL, "artifact": artifact });
    let run = json!({ "model": MODEL, "plan": scenario::json(&shared.script.plan) });
    for (path, body) in [("/v1/models", model), ("/v1/runs", run)] {
        // A request whose answer was lost has been heard: the second one says so.
        while !matches!(ask(path, Some(&body)).await, Some((200 | 201 | 409, _))) {
            sleep(Duration::from_millis(200)).await;
        }
    }
    loop {
        if let Some((200, run)) = ask("/v1/runs/1", None).await {
            let state = run["state"].as_str().unwrap_or_default().to_owned();
            *shared.state.lock().expect("no panic under the lock") = state;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn ask(path: &str, body: Option<&serde_json::Value>) -> Option<(u16, serde_json::Value)> {
    timeout(Duration::from_secs(2), net::rest(path, body)).await.ok()?.ok()
}

/// Sends what it is given over a slow line, all at the same time, and notes what it gets for it.
pub(crate) async fn somebody(shared: Arc<Shared>) -> turmoil::Result {
    let client = FleetServiceClient::new(net::channel(shared.script.piece_bytes));
    let mut rng = Rng::new(derive(shared.seed, &[4]));
    loop {
        let next = shared.to_send.lock().expect("no panic under the lock").pop_front();
        if let Some((candidate, payload)) = next {
            let gap = Duration::from_millis(u64::from(1 + rng.below(200)));
            tokio::spawn(push(Arc::clone(&shared), client.clone(), candidate, payload, gap));
            continue;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Pushes an update with a pause between announcement and payload, in which its round may close, and others may come.
async fn push(
    shared: Arc<Shared>,
    mut client: FleetServiceClient<Channel>,
    candidate: Candidate,
    payload: Arc<[u8]>,
    gap: Duration,
) {
    let parts = [UpdatePart::Header(candidate.clone()), UpdatePart::Chunk(payload.to_vec().into())];
    let parts = tokio_stream::iter(parts.map(PushUpdateRequest::from)).throttle(gap);
    let (answer, _): (Reply<Receipt>, Option<Idle>) = match client.push_update(parts).await {
        Ok(answer) => answer.into_inner().try_into().expect("a whole answer"),
        Err(status) => {
            return shared.log.note(format!("somebody got no answer: {}", status.code()));
        }
    };
    let Candidate { node, round, .. } = &candidate;
    match answer {
        Ok(receipt) => {
            let at_ms = receipt.counted_at_ms;
            shared.log.note(format!("somebody has a receipt for {node} {round} of {at_ms}"));
            shared.sent.lock().expect("no panic under the lock").push((candidate, receipt));
        }
        Err(refused) => {
            shared.log.note(format!("somebody is refused {node} {round}: {}", refused.code));
        }
    }
}

/// A node's id.
pub(crate) fn node_id(index: usize) -> NodeId {
    node_name(index).parse().expect("it is a name")
}
