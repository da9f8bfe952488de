//! A coordinator on free ports and a fresh directory, and clients for both its doors.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coordinator::{Config, Coordinator, Running, SystemClock};
use federation::limits::CHUNK_BYTES;
use federation::{
    Artifact, Candidate, Clock, Digest, Enrolment, Evaluation, Layout, Metrics, NodeId, Tensor,
    Timestamp, TrainOrder,
};
use proto::convert::{Order, RefusalText, Reply, UpdatePart, WaitOrder};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::transport::Channel;

/// Weights of the test model.
pub(crate) const WEIGHTS: u32 = 200_000;

/// A clock that stands still until told: rates and expiry are then exact.
#[derive(Debug, Default)]
pub(crate) struct Hands(AtomicU64);

impl Hands {
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp(1_800_000_000_000 + self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A coordinator, its directory, and a connection to its gRPC door.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) running: Running,
    pub(crate) fleet: FleetServiceClient<Channel>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn over(dir: TempDir) -> Self {
        let config = config(dir.path());
        Self::of(dir, config, Arc::new(SystemClock::new())).await
    }

    pub(crate) async fn of(dir: TempDir, config: Config, clock: Arc<dyn Clock>) -> Self {
        let running = Coordinator::start(config, clock).await.unwrap();
        let fleet = FleetServiceClient::new(channel(running.grpc_addr()).await);
        Self { dir, running, fleet }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        request(
            self.running.http_addr(),
            &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n"),
            b"",
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        );
        request(self.running.http_addr(), &head, body.to_string().as_bytes()).await
    }

    /// Sends a request of which only the length and the connection header are added.
    pub(crate) async fn raw(&self, head: &str, body: &[u8]) -> Response {
        request(self.running.http_addr(), head, body).await
    }

    pub(crate) async fn make_model(&self, name: &str) {
        let response = self.post("/v1/models", &new_model(name, 3)).await;
        assert_eq!(response.status, 201, "{}", response.text());
    }

    pub(crate) async fn make_run(&self, model: &str, plan: Value) -> u64 {
        let response = self.post("/v1/runs", &json!({"model": model, "plan": plan})).await;
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()["id"].as_u64().unwrap()
    }

    pub(crate) async fn enrol(&mut self, name: &str) -> NodeId {
        let response = self.fleet.enrol(v1::EnrolRequest::from(enrolment(name))).await.unwrap();
        Reply::<NodeId>::try_from(response.into_inner()).unwrap().unwrap()
    }

    pub(crate) async fn wait(&mut self, node: &NodeId, wait_ms: u32) -> Order {
        let request = WaitOrder {
            node: node.clone(),
            wait_ms,
            awaiting: None,
            status: None,
            follows: false,
            holding: None,
        };
        let response = self.fleet.wait_order(v1::WaitOrderRequest::from(request)).await.unwrap();
        let (reply, _, _) = response.into_inner().try_into().unwrap();
        let reply: Reply<Order> = reply;
        reply.unwrap()
    }

    /// The node's order; waits for one.
    pub(crate) async fn order(&mut self, node: &NodeId) -> TrainOrder {
        match self.wait(node, 30_000).await {
            Order::Train(order) => order,
            Order::Idle(idle) => panic!("{node} has no order: {idle:?}"),
        }
    }

    /// Reports how a version does on samples that a node holds out.
    pub(crate) async fn evaluate(
        &mut self,
        node: &NodeId,
        model: &str,
        digest: &str,
        samples: u32,
        correct: u32,
    ) {
        let (model, version) = (model.parse().unwrap(), digest.parse().unwrap());
        let evaluation = Evaluation { node: node.clone(), model, version, samples, correct };
        let report = v1::ReportEvaluationRequest::from(evaluation);
        let response = self.fleet.report_evaluation(report).await.unwrap().into_inner();
        Reply::<()>::try_from(response).unwrap().unwrap();
    }

    /// Pushes these messages as they are.
    pub(crate) async fn push_raw(
        &mut self,
        messages: Vec<v1::PushUpdateRequest>,
    ) -> Result<v1::PushUpdateResponse, Status> {
        let stream = tokio_stream::iter(messages);
        Ok(self.fleet.push_update(stream).await?.into_inner())
    }

    /// Pushes a header and a payload, and gives the receipt or the refusal's code.
    pub(crate) async fn push(
        &mut self,
        candidate: &Candidate,
        payload: &[u8],
    ) -> Result<v1::Receipt, String> {
        let response = self.push_raw(messages(candidate, payload)).await.unwrap();
        match response.result.unwrap() {
            v1::push_update_response::Result::Receipt(receipt) => Ok(receipt),
            v1::push_update_response::Result::Refused(refusal) => {
                assert!(!refusal.message.is_empty() && !refusal.expected.is_empty(), "{refusal:?}");
                Err(RefusalText::from(refusal).code)
            }
        }
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        data_dir: dir.to_owned(),
        http_listen: any,
        grpc_listen: any,
        tick_ms: 10,
        ..Config::default()
    }
}

pub(crate) async fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{addr}")).unwrap();
    endpoint.connect().await.unwrap()
}

pub(crate) fn artifact(fill: i8) -> Artifact {
    artifact_of(WEIGHTS, fill)
}

fn artifact_of(weights: u32, fill: i8) -> Artifact {
    let tensor = Tensor { name: "w".to_owned(), rows: 1, cols: weights, min: -128, max: 127 };
    let layout = Layout::new(vec![tensor]).unwrap();
    let weights = vec![fill; layout.weights()];
    Artifact::new("reckon/1", layout, b"config".to_vec(), weights).unwrap()
}

pub(crate) fn new_model(name: &str, fill: i8) -> Value {
    json!({"name": name, "artifact": STANDARD.encode(artifact(fill).encode())})
}

/// A model of so many weights.
pub(crate) fn small_model(name: &str, weights: u32) -> Value {
    json!({"name": name, "artifact": STANDARD.encode(artifact_of(weights, 3).encode())})
}

pub(crate) fn plan(goal: u32, rounds: u32) -> Value {
    json!({
        "strategy": {"name": "fedavg", "server_learning_rate": 1.0, "weighting": "samples"},
        "rounds": rounds,
        "cohort": {"goal": goal, "quorum": goal, "deadline_ms": 600_000, "over_selection": 1.0},
        "local": {"samples": 10},
        "samples_max": 50,
        "seed": 7,
    })
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

/// The messages of a push.
pub(crate) fn messages(candidate: &Candidate, payload: &[u8]) -> Vec<v1::PushUpdateRequest> {
    let mut messages = vec![UpdatePart::Header(candidate.clone()).into()];
    for chunk in payload.chunks(CHUNK_BYTES) {
        messages.push(UpdatePart::Chunk(chunk.to_vec().into()).into());
    }
    messages
}

/// An answer of the REST door.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Asserts that this is the problem `code` with `status`, complete and of the right type.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:muster:problem:{code}"));
        assert!(problem["title"].is_string() && problem["detail"].as_str().unwrap().len() > 5);
        problem
    }
}

async fn request(addr: SocketAddr, head: &str, body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = if head.contains("content-length") || head.contains("transfer-encoding") {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let head = format!("{head}{length}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    read_response(&mut stream).await
}

/// Reads an answer to the end of the connection.
pub(crate) async fn read_response(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Response { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
}
