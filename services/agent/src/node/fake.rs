//! A coordinator for tests: the real service over real sockets, a scripted world behind it, and power that can fail
//! between what it does and its answer.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use ed25519_dalek::{Signature, VerifyingKey};
use federation::secret::{Kind, Secret, enrolment_statement};
use federation::{
    Answer, Artifact, Candidate, Digest, Enrolment, EnrolmentProof, Evaluation, Hold, Holding,
    Idle, NodeId, NodeStatus, Receipt, Refusal, RefusalCode, RoundRef, Settled, TrainOrder,
    admission,
};
use proto::convert::{
    FetchVersion, Order, UpdatePart, VersionHeader, VersionPart, WaitOrder, WholeUpdate,
};
use proto::v1;
use proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use proto::v1::relay_request::Call;
use proto::v1::relay_response::Answer as Relayed;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::uplink::Address;

/// What the coordinator knows, and what tests make it do.
#[derive(Default)]
pub(super) struct World {
    /// Every call that arrived, by name.
    pub(super) calls: Vec<&'static str>,
    /// How many relays began.
    pub(super) relays: usize,
    /// Told of the end of each.
    pub(super) relay_ended: Arc<Notify>,
    pub(super) nodes: BTreeMap<NodeId, [u8; 32]>,
    pub(super) versions: BTreeMap<Digest, Vec<u8>>,
    /// Given until it has a receipt.
    pub(super) order: Option<TrainOrder>,
    pub(super) outcomes: BTreeMap<RoundRef, Settled>,
    pub(super) receipts: BTreeMap<RoundRef, Receipt>,
    /// When to ask again, as answers to updates say.
    pub(super) idle: Option<Idle>,
    /// Every payload that was counted, and those that came again.
    pub(super) pushed: Vec<(Candidate, Vec<u8>)>,
    pub(super) evaluations: Vec<Evaluation>,
    /// What nodes said of themselves, question by question.
    pub(super) statuses: Vec<NodeStatus>,
    /// What nodes should hold.
    pub(super) hold: Option<Hold>,
    /// What nodes said they hold, question by question.
    pub(super) holdings: Vec<Option<Holding>>,
    /// The call after which the power fails, once.
    pub(super) lose: Option<&'static str>,
    /// Answers to come instead of what `push` would say.
    pub(super) push_refusals: VecDeque<RefusalCode>,
    pub(super) push_errors: VecDeque<Status>,
    /// How many fetches give other bytes.
    pub(super) tamper: u32,
    pub(super) name_taken: bool,
    /// The enrolment token that new nodes need; none is needed where there is none.
    pub(super) wants: Option<String>,
    /// The credentials of the nodes that were let in.
    pub(super) credentials: BTreeMap<NodeId, Digest>,
    pub(super) revoked: bool,
}

impl World {
    pub(super) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| **made == call).count()
    }

    pub(super) fn settle(&mut self, round: RoundRef, outcome: Settled) {
        self.outcomes.insert(round, outcome);
    }

    /// Publishes an artifact and orders a round from it.
    pub(super) fn order(&mut self, artifact: &Artifact, order: TrainOrder) {
        self.versions.insert(order.base, artifact.encode());
        self.order = Some(order);
    }

    fn refusal<T>(&self, node: &NodeId) -> Answer<T> {
        let code = if self.revoked { RefusalCode::NodeRevoked } else { RefusalCode::UnknownNode };
        Err(Refusal::new(code, "node_id", "an enrolled node", node))
    }

    /// Whether the node is answered.
    fn knows(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node) && !self.revoked
    }

    /// Whose credential a call shows, if it is one that holds.
    fn shown<T>(&self, request: &Request<T>) -> Option<NodeId> {
        let text = request.metadata().get("authorization")?.to_str().ok()?;
        let (node, secret) = Secret::read(Kind::Credential, text.strip_prefix("Bearer ")?)?;
        (self.credentials.get(&node) == Some(&secret.digest())).then_some(node)
    }
}

/// The process around the world. Its port stays the same from one life to the next.
pub(super) struct Host {
    world: Arc<Mutex<World>>,
    listener: TcpListener,
    runtime: Option<Runtime>,
    power_fails: Arc<Notify>,
}

impl Host {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut host =
            Self { world: Arc::default(), listener, runtime: None, power_fails: Arc::default() };
        host.restart();
        host
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn address(&self) -> Address {
        let address: SocketAddr = self.listener.local_addr().unwrap();
        Address::parse(&format!("http://{address}")).unwrap()
    }

    /// Ready when the power has to fail.
    pub(super) async fn power_fails(&self) {
        self.power_fails.notified().await;
    }

    /// Ends every connection as `kill -9` does and starts again with the same world.
    pub(super) fn restart(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = self.listener.try_clone().unwrap();
        let fleet = Fleet { world: self.world.clone(), power_fails: self.power_fails.clone() };
        runtime.spawn(async move {
            let incoming =
                TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            let server =
                tonic::transport::Server::builder().add_service(FleetServiceServer::new(fleet));
            server.serve_with_incoming(incoming).await.unwrap();
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Fleet {
    world: Arc<Mutex<World>>,
    power_fails: Arc<Notify>,
}

impl Fleet {
    /// Refuses a call that shows no credential, where one is wanted.
    fn let_in<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let world = self.world.lock().unwrap();
        if world.wants.is_some() && world.shown(request).is_none() {
            return Err(Status::unauthenticated("who is it?"));
        }
        Ok(())
    }

    /// Counts an update that is there.
    async fn count(
        &self,
        candidate: Candidate,
        payload: Vec<u8>,
    ) -> Result<Response<v1::PushUpdateResponse>, Status> {
        let (answer, idle) = {
            let mut world = self.arrived("push");
            let idle = world.idle;
            if let Some(status) = world.push_errors.pop_front() {
                return Err(status);
            }
            let answer = if !world.knows(&candidate.node) {
                world.refusal(&candidate.node)
            } else if let Some(code) = world.push_refusals.pop_front() {
                Err(Refusal::new(code, "round", "another", "this"))
            } else {
                admission::check_payload(&candidate, &payload).unwrap();
                let new = Receipt {
                    round: candidate.round,
                    payload: candidate.payload,
                    counted_at_ms: 5,
                };
                let first = *world.receipts.entry(candidate.round).or_insert(new);
                world.pushed.push((candidate, payload));
                if first == new {
                    Ok(first)
                } else {
                    Err(Refusal::new(
                        RefusalCode::UpdateConflict,
                        "payload_digest",
                        first.payload,
                        new.payload,
                    ))
                }
            };
            (answer, idle)
        };
        self.answer("push", (answer, idle).into()).await
    }

    /// Answers a relayed call as one of its own.
    async fn relayed(&self, request: v1::RelayRequest) -> Result<v1::RelayResponse, Status> {
        fn call<M>(authorization: &str, message: M) -> Request<M> {
            let mut request = Request::new(message);
            if !authorization.is_empty() {
                let value = authorization.parse().unwrap();
                request.metadata_mut().insert("authorization", value);
            }
            request
        }
        let v1::RelayRequest { call_id, authorization, call: message, .. } = request;
        let answer = match message.unwrap() {
            Call::WaitOrder(ask) => {
                let answer = self.wait_order(call(&authorization, ask)).await;
                answer.map(|answer| Relayed::WaitOrder(answer.into_inner()))
            }
            Call::PushUpdate(update) => {
                let WholeUpdate { candidate, payload } = update.try_into().unwrap();
                let answer = match self.let_in(&call(&authorization, ())) {
                    Ok(()) => self.count(candidate, payload.to_vec()).await,
                    Err(status) => Err(status),
                };
                answer.map(|answer| Relayed::PushUpdate(answer.into_inner()))
            }
            Call::ReportEvaluation(report) => {
                let answer = self.report_evaluation(call(&authorization, report)).await;
                answer.map(|answer| Relayed::ReportEvaluation(answer.into_inner()))
            }
        };
        let answer = answer.unwrap_or_else(|status| {
            let (code, message) = (status.code().into(), status.message().to_owned());
            let details = status.details().to_vec().into();
            Relayed::Failed(v1::CallError { code, message, details })
        });
        Ok(v1::RelayResponse { call_id, answer: Some(answer) })
    }

    fn arrived(&self, call: &'static str) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.calls.push(call);
        world
    }

    /// What was done is done; whether the answer gets out is another matter.
    async fn answer<T>(&self, call: &'static str, answer: T) -> Result<Response<T>, Status> {
        let lost = self.world.lock().unwrap().lose.take_if(|lose| *lose == call).is_some();
        if lost {
            self.power_fails.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(Response::new(answer))
    }
}

type Parts =
    Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::FetchVersionResponse, Status>> + Send>>;

/// Tells of its end.
struct Ends(Arc<Notify>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

type Answers = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::RelayResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn enrol(
        &self,
        request: Request<v1::EnrolRequest>,
    ) -> Result<Response<v1::EnrolResponse>, Status> {
        let shown = self.world.lock().unwrap().shown(&request);
        let enrolment = Enrolment::try_from(request.into_inner()).unwrap();
        let answer = {
            let mut world = self.arrived("enrol");
            let let_in = world.wants.is_none()
                || shown.is_some()
                || enrolment.proof.as_ref().map(|proof| &proof.token) == world.wants.as_ref();
            if world.revoked {
                world.refusal(&enrolment.node)
            } else if !let_in {
                let code = RefusalCode::EnrolmentTokenMissing;
                Err(Refusal::new(code, "proof", "a token", "none"))
            } else if world.name_taken {
                Err(Refusal::new(RefusalCode::NameTaken, "node_id", "a free name", &enrolment.node))
            } else {
                world.nodes.insert(enrolment.node.clone(), enrolment.public_key);
                if let (None, Some(proof)) = (shown, enrolment.proof) {
                    let EnrolmentProof { token, credential, signature } = proof;
                    let (number, _) = Secret::read(Kind::EnrolmentToken, &token).unwrap();
                    let (key, node) = (enrolment.public_key, enrolment.node.clone());
                    let statement = enrolment_statement(&key, &node, number, &credential);
                    let key = VerifyingKey::from_bytes(&key).unwrap();
                    key.verify_strict(&statement, &Signature::from_bytes(&signature)).unwrap();
                    world.credentials.insert(node, credential);
                }
                Ok(enrolment.node)
            }
        };
        self.answer("enrol", answer.into()).await
    }

    async fn wait_order(
        &self,
        request: Request<v1::WaitOrderRequest>,
    ) -> Result<Response<v1::WaitOrderResponse>, Status> {
        self.let_in(&request)?;
        let WaitOrder { node, awaiting, status, holding, .. } =
            request.into_inner().try_into().unwrap();
        let answer = {
            let mut world = self.arrived("wait");
            world.statuses.extend(status);
            world.holdings.push(holding);
            let hold = world.hold.clone().filter(|hold| {
                let Hold { digest, promotion, .. } = *hold;
                holding != Some(Holding { digest, promotion })
            });
            let awaited =
                awaiting.map(|round| world.outcomes.get(&round).copied().unwrap_or(Settled::Open));
            let order =
                world.order.clone().filter(|order| !world.receipts.contains_key(&order.round));
            if world.knows(&node) {
                (
                    Ok(order.map_or(Order::Idle(Idle { retry_after_ms: 0 }), Order::Train)),
                    awaited,
                    hold,
                )
            } else {
                (world.refusal(&node), None, None)
            }
        };
        self.answer("wait", answer.into()).await
    }

    type FetchVersionStream = Parts;

    async fn fetch_version(
        &self,
        request: Request<v1::FetchVersionRequest>,
    ) -> Result<Response<Parts>, Status> {
        self.let_in(&request)?;
        let FetchVersion { digest, .. } = request.into_inner().try_into().unwrap();
        let parts: Vec<Answer<VersionPart>> = {
            let mut world = self.arrived("fetch");
            match world.versions.get(&digest).cloned() {
                None => vec![Err(Refusal::new(
                    RefusalCode::UnknownVersion,
                    "digest",
                    "a version",
                    digest,
                ))],
                Some(mut bytes) => {
                    if world.tamper > 0 {
                        world.tamper -= 1;
                        bytes[100] ^= 1;
                    }
                    let header = VersionHeader { digest, bytes: bytes.len().try_into().unwrap() };
                    let chunks =
                        bytes.chunks(5000).map(|chunk| VersionPart::Chunk(chunk.to_vec().into()));
                    std::iter::once(VersionPart::Header(header)).chain(chunks).map(Ok).collect()
                }
            }
        };
        let parts = parts.into_iter().map(|part| Ok(part.into()));
        self.answer("fetch", Box::pin(tokio_stream::iter(parts)) as Parts).await
    }

    async fn push_update(
        &self,
        request: Request<Streaming<v1::PushUpdateRequest>>,
    ) -> Result<Response<v1::PushUpdateResponse>, Status> {
        self.let_in(&request)?;
        let mut parts = request.into_inner();
        let (mut header, mut payload) = (None, Vec::new());
        while let Some(part) = parts.message().await? {
            match part.try_into().unwrap() {
                UpdatePart::Header(candidate) => header = Some(candidate),
                UpdatePart::Chunk(bytes) => payload.extend_from_slice(&bytes),
            }
        }
        self.count(header.unwrap(), payload).await
    }

    async fn report_evaluation(
        &self,
        request: Request<v1::ReportEvaluationRequest>,
    ) -> Result<Response<v1::ReportEvaluationResponse>, Status> {
        self.let_in(&request)?;
        let evaluation = Evaluation::try_from(request.into_inner()).unwrap();
        self.arrived("report").evaluations.push(evaluation);
        self.answer("report", Answer::Ok(()).into()).await
    }

    type RelayStream = Answers;

    async fn relay(
        &self,
        request: Request<Streaming<v1::RelayRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let ends = {
            let mut world = self.world.lock().unwrap();
            world.relays += 1;
            Ends(world.relay_ended.clone())
        };
        let fleet = self.clone();
        let answers = request.into_inner().then(move |call| {
            let (fleet, _) = (fleet.clone(), &ends);
            async move { fleet.relayed(call?).await }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
