//! Nodes that do not learn: node i answers every order with a delta that is 1 or -1 in lane i and 0 elsewhere, so that a
//! sum shows who is in it, and how often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use federation::{Artifact, Digest};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::push_update_request::Part;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;
use serde_json::{Value, json};
use simulator::Rest;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

/// How long a node waits after a call that got no answer.
const PAUSE: Duration = Duration::from_millis(10);

/// Receipts by round and attempt, then by lane.
pub(crate) type Receipts = BTreeMap<(u32, u32), BTreeMap<usize, v1::Receipt>>;

/// A fleet of plain nodes. Dropped, it is gone.
pub(crate) struct Fleet {
    pub(crate) receipts: Arc<Mutex<Receipts>>,
    _nodes: JoinSet<()>,
}

/// The sign of a round's updates: they alternate, so that no weight runs into its bounds.
fn sign(round: u32) -> i8 {
    if round % 2 == 1 { 1 } else { -1 }
}

/// A plan for rounds of `goal` of `nodes` plain nodes, after which a weight has moved by exactly its lane's sum.
pub(crate) fn plan(goal: u32, nodes: u32, rounds: u32) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": f64::from(goal), "weighting": "equal"},
        "rounds": rounds,
        "cohort": {"goal": goal, "quorum": goal, "deadline_ms": 600_000,
                   "over_selection": f64::from(nodes) / f64::from(goal)},
        "local": {"samples": 1},
        "seed": 1,
    })
}

/// A client that connects when it has to, and again after the coordinator was away.
pub(crate) fn client(grpc: &str) -> FleetServiceClient<Channel> {
    FleetServiceClient::new(Endpoint::from_shared(grpc.to_owned()).unwrap().connect_lazy())
}

/// Makes a node known, however long it takes.
pub(crate) async fn enrol(client: &mut FleetServiceClient<Channel>, name: &str) {
    let request = v1::EnrolRequest {
        public_key: Digest::of(name.as_bytes()).0.to_vec().into(),
        node_id: name.to_owned(),
        labels: vec![],
        learners: vec!["reckon/1".to_owned()],
        proof: None,
    };
    while client.enrol(request.clone()).await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// The update of the node of lane `lane`.
pub(crate) fn update(
    name: &str,
    lane: usize,
    order: &v1::TrainOrder,
) -> Vec<v1::PushUpdateRequest> {
    let round = order.round.unwrap();
    let mut payload = vec![0_u8; usize::try_from(order.weights).unwrap()];
    payload[lane] = sign(round.round).cast_unsigned();
    let header = v1::UpdateHeader {
        node_id: name.to_owned(),
        round: Some(round),
        base_digest: order.base_digest.clone(),
        payload_bytes: order.weights,
        payload_digest: Digest::of(&payload).0.to_vec().into(),
        samples: 1,
        ..v1::UpdateHeader::default()
    };
    let part = |part| v1::PushUpdateRequest { part: Some(part) };
    vec![part(Part::Header(header)), part(Part::Chunk(payload.into()))]
}

impl Fleet {
    /// Nodes `0..count` that take part until they are dropped.
    pub(crate) fn start(grpc: &str, count: usize) -> Self {
        let receipts = Arc::new(Mutex::new(Receipts::new()));
        let mut nodes = JoinSet::new();
        for lane in 0..count {
            nodes.spawn(live(client(grpc), lane, Arc::clone(&receipts)));
        }
        Self { receipts, _nodes: nodes }
    }
}

async fn live(
    mut client: FleetServiceClient<Channel>,
    lane: usize,
    receipts: Arc<Mutex<Receipts>>,
) {
    let name = format!("plain-{lane:03}");
    enrol(&mut client, &name).await;
    loop {
        let request = v1::WaitOrderRequest {
            node_id: name.clone(),
            wait_ms: 1_000,
            ..v1::WaitOrderRequest::default()
        };
        let Ok(answer) = client.wait_order(request).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match answer.into_inner().order {
            Some(Order::Train(order)) => push(&mut client, &name, lane, &order, &receipts).await,
            Some(Order::Idle(_)) => tokio::time::sleep(PAUSE).await,
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Pushes until there is a receipt or a refusal; then once more, for the first receipt byte for byte.
async fn push(
    client: &mut FleetServiceClient<Channel>,
    name: &str,
    lane: usize,
    order: &v1::TrainOrder,
    receipts: &Mutex<Receipts>,
) {
    let round = order.round.unwrap();
    let mut first: Option<v1::Receipt> = None;
    loop {
        let parts = tokio_stream::iter(update(name, lane, order));
        let Ok(answer) = client.push_update(parts).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match answer.into_inner().result {
            Some(Pushed::Receipt(receipt)) => {
                if let Some(first) = first {
                    assert_eq!(receipt, first, "{name}: another receipt for the same update");
                    return;
                }
                let mut receipts = receipts.lock().unwrap();
                let of_round = receipts.entry((round.round, round.attempt)).or_default();
                of_round.insert(lane, receipt.clone());
                first = Some(receipt);
            }
            Some(Pushed::Refused(refusal)) => {
                let late = matches!(refusal.code.as_str(), "round_closed" | "round_full");
                assert!(late && first.is_none(), "{name}: {refusal:?}");
                return;
            }
            None => panic!("{name}: an answer without a result"),
        }
    }
}

/// The oracle: in every published round each lane's sum is 0 or 1, it is 1 where there is a receipt, and there are as
/// many ones as updates.
pub(crate) struct Oracle {
    run: u64,
    model: &'static str,
    /// Where the rounds begin that were not over at the last look.
    cursor: String,
    /// The version that the next round started from, and its weights.
    base: (u64, Vec<i8>),
    /// Rounds that were looked at.
    pub(crate) published: usize,
}

impl Oracle {
    /// An oracle of a run over a model of `weights` zeros.
    pub(crate) fn new(run: u64, model: &'static str, weights: usize) -> Self {
        Self { run, model, cursor: String::new(), base: (1, vec![0; weights]), published: 0 }
    }

    /// Looks at the rounds published since the last look.
    pub(crate) async fn look(&mut self, rest: &Rest, receipts: &Receipts) {
        loop {
            let path = format!("/v1/runs/{}/rounds?limit=100{}", self.run, self.cursor);
            let page: Value = rest.get(&path).await.unwrap();
            let rounds = page["items"].as_array().unwrap();
            for round in rounds.iter().filter(|round| round["state"] == "published") {
                self.judge(rest, round, receipts).await;
            }
            let over = rounds.iter().all(|round| round["closed_at_ms"].is_u64());
            match page["next_cursor"].as_str() {
                Some(next) if over => self.cursor = format!("&cursor={next}"),
                _ => return,
            }
        }
    }

    async fn judge(&mut self, rest: &Rest, round: &Value, receipts: &Receipts) {
        let number = |key: &str| round[key].as_u64().unwrap();
        let name = |key: &str| u32::try_from(number(key)).unwrap();
        if number("version") <= self.base.0 {
            return;
        }
        assert_eq!(number("base_version"), self.base.0, "{round}");
        let path = format!("/v1/models/{}/versions/{}/artifact", self.model, number("version"));
        let artifact = Artifact::parse(&rest.bytes(&path).await.unwrap()).unwrap();
        let moved = self.base.1.iter().zip(artifact.weights());
        let sums: Vec<i8> = moved.map(|(b, v)| (v - b) * sign(name("number"))).collect();
        assert!(sums.iter().all(|sum| matches!(sum, 0 | 1)), "{round}: {sums:?}");
        let ones = sums.iter().filter(|&&sum| sum == 1).count();
        assert_eq!(Some(ones as u64), round["updates"].as_u64(), "{round}");
        let counted = receipts.get(&(name("number"), name("attempt")));
        for lane in counted.into_iter().flat_map(BTreeMap::keys) {
            assert_eq!(sums[*lane], 1, "{round}: lane {lane} has a receipt and is lost");
        }
        self.base = (number("version"), artifact.weights().to_vec());
        self.published += 1;
    }
}
