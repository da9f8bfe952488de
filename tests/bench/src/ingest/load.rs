//! The load: connections that push updates of one round after the other, each from another node, and wait for receipts.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use agent::Uplink;
use bytes::Bytes;
use federation::{Candidate, Digest};
use hyper_util::rt::TokioIo;
use proto::convert::chunks;
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::push_update_request::Part;
use proto::v1::push_update_response::Result as Outcome;
use proto::v1::wait_order_response::Order;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;
use tower::service_fn;

use super::fleet::{GROUP_NODES, GROUPS, PAYLOADS, node_id};
use super::server::Grpc;

/// Updates under way at once, at least: few connections carry several each.
const UNDER_WAY_MIN: usize = 100;

/// One round to fill.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) group: u32,
    pub(crate) order: v1::TrainOrder,
    nodes: u32,
    next: AtomicU32,
    /// How many updates with each payload have a receipt.
    pub(crate) counted: Vec<AtomicU32>,
}

/// How updates go over a connection.
#[derive(Debug, Clone)]
enum Way {
    /// Each by a call of its own.
    Calls(FleetServiceClient<Channel>),
    /// All on one stream, as a gateway's.
    Relay(Uplink),
}

/// What became of an update.
enum Pushed {
    /// It has a receipt.
    Counted,
    /// It is to come back.
    PutOff,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Load {
    grpc: Grpc,
    /// Whether each connection is a relay.
    relay: bool,
    payloads: Vec<(Bytes, Digest)>,
    rounds: watch::Sender<Vec<Arc<Round>>>,
    measuring: AtomicBool,
    stop: AtomicBool,
    acked: AtomicU64,
    /// Updates told to come back.
    pub(crate) put_off: AtomicU64,
    wire_bytes: AtomicU64,
    latencies_us: Mutex<Vec<u32>>,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) acked: f64,
    pub(crate) wire_bytes: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Load {
    pub(crate) fn new(grpc: &Grpc, relay: bool, payloads: Vec<(Bytes, Digest)>) -> Arc<Self> {
        Arc::new(Self {
            grpc: grpc.clone(),
            relay,
            payloads,
            rounds: watch::Sender::new(Vec::new()),
            measuring: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            wire_bytes: AtomicU64::new(0),
            latencies_us: Mutex::new(Vec::new()),
        })
    }

    /// Fills rounds over `connections` until [`Load::stop`]; answers with the rounds that were begun.
    pub(crate) async fn run(
        self: &Arc<Self>,
        connections: usize,
    ) -> Result<Vec<Arc<Round>>, String> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(self).offer_rounds());
        let each = UNDER_WAY_MIN.div_ceil(connections);
        for _ in 0..connections {
            let way = self.way().await?;
            for _ in 0..each {
                tasks.spawn(Arc::clone(self).push_all(way.clone()));
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|error| error.to_string())??;
        }
        Ok(self.rounds.borrow().clone())
    }

    pub(crate) fn measure(&self) -> (u64, u64) {
        self.measuring.store(true, Ordering::Relaxed);
        (self.acked.load(Ordering::Relaxed), self.wire_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn measured(&self, since: (u64, u64)) -> Measured {
        self.measuring.store(false, Ordering::Relaxed);
        let (acked, wire) = since;
        let mut latencies =
            std::mem::take(&mut *self.latencies_us.lock().expect("nobody panics with it"));
        latencies.sort_unstable();
        let at = |percent: usize| {
            let last = latencies.len().saturating_sub(1);
            latencies.get(last * percent / 100).map_or(f64::NAN, |&us| f64::from(us) / 1e3)
        };
        Measured {
            acked: (self.acked.load(Ordering::Relaxed) - acked) as f64,
            wire_bytes: (self.wire_bytes.load(Ordering::Relaxed) - wire) as f64,
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }

    /// Finishes the updates under way and begins no more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.rounds.send_modify(|_| ());
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn way(self: &Arc<Self>) -> Result<Way, String> {
        let channel = self.connect().await?;
        Ok(if self.relay {
            Way::Relay(Uplink::new(channel).relaying())
        } else {
            Way::Calls(FleetServiceClient::new(channel))
        })
    }

    async fn connect(self: &Arc<Self>) -> Result<Channel, String> {
        let load = Arc::clone(self);
        let connector = service_fn(move |uri: tonic::transport::Uri| {
            let load = Arc::clone(&load);
            async move {
                let to = format!("{}:{}", uri.host().unwrap_or(""), uri.port_u16().unwrap_or(0));
                let stream = TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(Counted { stream, load }))
            }
        });
        let endpoint = self.grpc.endpoint()?;
        endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
    }

    /// Has the first `nodes` nodes of a group answer `order`.
    pub(crate) fn offer(&self, group: u32, order: v1::TrainOrder, nodes: u32) {
        let counted = (0..PAYLOADS).map(|_| AtomicU32::new(0)).collect();
        let round = Arc::new(Round { group, order, nodes, next: AtomicU32::new(0), counted });
        self.rounds.send_modify(|rounds| rounds.push(round));
    }

    /// Pushes what was offered over `connections`, and ends when `acked` updates have receipts.
    pub(crate) async fn fill(
        self: &Arc<Self>,
        connections: usize,
        acked: u64,
    ) -> Result<(), String> {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(Arc::clone(self).push_all(self.way().await?));
        }
        while self.acked.load(Ordering::Relaxed) < acked {
            tokio::select! {
                // They go on until they are stopped: one that ends has failed.
                Some(done) = tasks.join_next() => done.map_err(|error| error.to_string())??,
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        Ok(())
    }

    /// Asks for the open round of each group in turn, by its last node, as that node would: one ahead of the load. The
    /// last is the one that a round left half full by an earlier load still waits for.
    async fn offer_rounds(self: Arc<Self>) -> Result<(), String> {
        let mut client = FleetServiceClient::new(self.connect().await?);
        for group in (0..GROUPS).cycle() {
            let order = loop {
                if self.stopped() {
                    return Ok(());
                }
                let request = v1::WaitOrderRequest {
                    node_id: node_id(group, GROUP_NODES - 1),
                    wait_ms: 500,
                    ..v1::WaitOrderRequest::default()
                };
                let answer = client.wait_order(request).await.map_err(|error| error.to_string())?;
                if let Some(Order::Train(order)) = answer.into_inner().order {
                    break order;
                }
            };
            self.offer(group, order, GROUP_NODES);
            let mut seen = self.rounds.subscribe();
            // The next one when this one has begun.
            while !self.stopped() && self.ahead() > 1 {
                let _ = tokio::time::timeout(Duration::from_millis(20), seen.changed()).await;
            }
        }
        Ok(())
    }

    /// Rounds that nobody has begun.
    fn ahead(&self) -> usize {
        let rounds = self.rounds.borrow();
        rounds.iter().rev().take_while(|round| round.next.load(Ordering::Relaxed) == 0).count()
    }

    async fn push_all(self: Arc<Self>, mut way: Way) -> Result<(), String> {
        let mut seen = self.rounds.subscribe();
        let mut at = 0;
        while !self.stopped() {
            let round = seen.borrow_and_update().get(at).cloned();
            let Some(round) = round else {
                let _ = seen.changed().await;
                continue;
            };
            let index = round.next.fetch_add(1, Ordering::Relaxed);
            if index >= round.nodes {
                at += 1;
                continue;
            }
            self.push(&mut way, &round, index).await?;
        }
        Ok(())
    }

    async fn push(&self, way: &mut Way, round: &Round, index: u32) -> Result<(), String> {
        let drawn = (index as usize * 31 + round.order.base_version as usize) % PAYLOADS;
        let (payload, digest) = &self.payloads[drawn];
        let header = v1::UpdateHeader {
            node_id: node_id(round.group, index),
            round: round.order.round,
            base_digest: round.order.base_digest.clone(),
            payload_bytes: payload.len() as u64,
            payload_digest: Bytes::copy_from_slice(&digest.0),
            samples: 1,
            ..v1::UpdateHeader::default()
        };
        loop {
            let begun = Instant::now();
            match way.push(header.clone(), payload.clone()).await? {
                Pushed::Counted => {
                    round.counted[drawn].fetch_add(1, Ordering::Relaxed);
                    self.acked.fetch_add(1, Ordering::Relaxed);
                    if self.measuring.load(Ordering::Relaxed) {
                        let us = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                        self.latencies_us.lock().expect("nobody panics with it").push(us);
                    }
                    return Ok(());
                }
                Pushed::PutOff => {
                    self.put_off.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Way {
    async fn push(&mut self, header: v1::UpdateHeader, payload: Bytes) -> Result<Pushed, String> {
        match self {
            Self::Calls(client) => {
                let header = std::iter::once(Part::Header(header));
                let parts = header.chain(chunks(payload).map(Part::Chunk));
                let parts = parts.map(|part| v1::PushUpdateRequest { part: Some(part) });
                match client.push_update(tokio_stream::iter(parts)).await {
                    Ok(answer) => match answer.into_inner().result {
                        Some(Outcome::Receipt(_)) => Ok(Pushed::Counted),
                        other => Err(format!("no receipt: {other:?}")),
                    },
                    Err(status) if status.code() == tonic::Code::ResourceExhausted => {
                        Ok(Pushed::PutOff)
                    }
                    Err(status) => Err(status.to_string()),
                }
            }
            Self::Relay(uplink) => {
                let candidate: Candidate = header.try_into().map_err(|error| format!("{error}"))?;
                match uplink.push(&candidate, payload.as_ref().into()).await {
                    Ok(Ok(_)) => Ok(Pushed::Counted),
                    Ok(Err(refused)) => Err(format!("no receipt: {refused:?}")),
                    Err(error) if error.code == "resource_exhausted" => Ok(Pushed::PutOff),
                    Err(error) => Err(error.to_string()),
                }
            }
        }
    }
}

/// Receipts by payload of the rounds that are full, by group and version they started from.
pub(crate) fn full(rounds: &[Arc<Round>]) -> BTreeMap<(u32, u32), Vec<u32>> {
    let counts = |round: &Arc<Round>| -> Vec<u32> {
        round.counted.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    };
    rounds
        .iter()
        .map(|round| ((round.group, round.order.base_version), counts(round)))
        .filter(|(_, counts)| counts.iter().sum::<u32>() == GROUP_NODES)
        .collect()
}

/// A connection whose bytes are counted, both ways.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    load: Arc<Load>,
}

impl Counted {
    fn add(&self, bytes: usize) {
        self.load.wire_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.add(buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.add(written);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = polled {
            self.add(written);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
