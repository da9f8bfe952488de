//! The fleet and its runs: 100,000 enrolled nodes in ten groups of 10,000, each the cohort of a run of its own, so that
//! while one group's round is closed and published the next one's is open.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use federation::{Artifact, Digest, Layout, Tensor};
use futures_util::TryStreamExt as _;
use futures_util::stream::FuturesUnordered;
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use serde_json::{Value, json};
use simulator::Rest;
use tonic::transport::Channel;

use super::server::{Grpc, Server};

/// Groups of nodes, each with a model and a run.
pub(crate) const GROUPS: u32 = 10;
/// Nodes of a group: all of them make a round.
pub(crate) const GROUP_NODES: u32 = 10_000;
/// Nodes with the label `few`.
pub(crate) const FEW: u32 = 1_000;
/// Different payloads. Each node draws one of them.
pub(crate) const PAYLOADS: usize = 256;
/// Calls under way at once.
const CALLING: u32 = 64;

/// The name of a node.
pub(crate) fn node_id(group: u32, index: u32) -> String {
    format!("g{group}-{index:05}")
}

/// The name of a group's model.
pub(crate) fn model(group: u32) -> String {
    format!("m{group}")
}

/// Seeded random payloads of `weights` lanes, each in -127..=127, with their digests.
pub(crate) fn payloads(weights: usize) -> Vec<(Bytes, Digest)> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let mut lane = move || loop {
        let byte = random();
        if byte != 0x80 {
            break byte;
        }
    };
    let payload = |_| {
        let bytes: Vec<u8> = (0..weights).map(|_| lane()).collect();
        let digest = Digest::of(&bytes);
        (Bytes::from(bytes), digest)
    };
    (0..PAYLOADS).map(payload).collect()
}

/// Makes models, runs and nodes in a new data directory.
pub(crate) async fn prepare(data_dir: &Path, weights: u32) -> Result<(), String> {
    let server = Server::start(data_dir, false)?;
    let rest = server.rest()?;
    for group in 0..GROUPS {
        let select = format!("group={group}");
        start_run(&rest, &model(group), weights, &select, GROUP_NODES, 1_000_000).await?;
    }
    enrol(&server.grpc).await?;
    server.stop()
}

/// Makes a model of zeros and starts a run over it, whose rounds are all the `goal` nodes that `select` selects.
pub(crate) async fn start_run(
    rest: &Rest,
    model: &str,
    weights: u32,
    select: &str,
    goal: u32,
    rounds: u32,
) -> Result<(), String> {
    let tensor = Tensor { name: "w".to_owned(), rows: 1, cols: weights, min: -128, max: 127 };
    let layout = Layout::new(vec![tensor]).map_err(|error| error.to_string())?;
    let zero = vec![0; layout.weights()];
    let artifact = Artifact::new("bench/1", layout, vec![], zero).map_err(|e| e.to_string())?;
    rest.create_model(model, &artifact).await.map_err(|error| error.to_string())?;
    let plan = json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "equal"},
        "rounds": rounds, "seed": 1,
        "cohort": {"select": select, "goal": goal, "quorum": goal, "over_selection": 1.0,
                   "deadline_ms": 3_600_000},
        "local": {"samples": 1},
    });
    let run = json!({"model": model, "plan": plan});
    let _: Value = rest.post("/v1/runs", &run).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// Every node asks for work once, as it would after the coordinator was started: only those heard of are drawn.
pub(crate) async fn ask_all(grpc: &Grpc) -> Result<(), String> {
    each_node(grpc, async |client, group, index| {
        let request = v1::WaitOrderRequest {
            node_id: node_id(group, index),
            ..v1::WaitOrderRequest::default()
        };
        client.wait_order(request).await.map(drop)
    })
    .await
}

/// Enrols the whole fleet; the first [`FEW`] nodes with a label of their own.
pub(crate) async fn enrol(grpc: &Grpc) -> Result<(), String> {
    each_node(grpc, async |client, group, index| {
        let label = v1::Label { key: "group".to_owned(), value: group.to_string() };
        let mut labels = vec![label];
        if group == 0 && index < FEW {
            labels.push(v1::Label { key: "few".to_owned(), value: "yes".to_owned() });
        }
        client.enrol(enrolment(node_id(group, index), labels)).await.map(drop)
    })
    .await
}

/// What a node enrols with.
pub(crate) fn enrolment(node_id: String, labels: Vec<v1::Label>) -> v1::EnrolRequest {
    v1::EnrolRequest {
        public_key: Bytes::copy_from_slice(&Digest::of(node_id.as_bytes()).0),
        node_id,
        labels,
        learners: vec!["bench/1".to_owned()],
        proof: None,
    }
}

/// Makes a call for every node, several at once.
async fn each_node<C>(grpc: &Grpc, call: C) -> Result<(), String>
where
    C: AsyncFn(&mut FleetServiceClient<Channel>, u32, u32) -> Result<(), tonic::Status>,
{
    let channel = grpc.endpoint()?.connect().await.map_err(|error| error.to_string())?;
    let next = AtomicU32::new(0);
    let caller = async || {
        let mut client = FleetServiceClient::new(channel.clone());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= GROUPS * GROUP_NODES {
                return Ok(());
            }
            call(&mut client, number / GROUP_NODES, number % GROUP_NODES).await?;
        }
    };
    let callers: FuturesUnordered<_> = (0..CALLING).map(|_| caller()).collect();
    callers.try_collect::<()>().await.map_err(|status: tonic::Status| status.to_string())
}
