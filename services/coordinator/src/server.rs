//! The coordinator as one thing that starts, runs and stops: a library, so that `muster serve`, `muster demo` and the
//! simulator run the same one.

mod clockwork;
mod door;
mod handshakes;
mod limits;
mod patience;
mod simulated;
mod tls;
mod wire;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use federation::Clock;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::access::{FirstToken, first_token};
use crate::commit::{self, Waiting};
use crate::config::{Config, Loaded};
use crate::core::{Core, Limits, Readiness};
use crate::entropy::SystemEntropy;
use crate::start::{self, StartError};
use crate::store::{Sql, Store};
use crate::{files, grpc, http};

pub use self::clockwork::Driver;
use self::clockwork::{Pulse, tick};
use self::door::Door;
pub use self::limits::DoorLimits;
use self::patience::Patient;
pub use self::simulated::Simulated;
use self::tls::Speech;
pub use self::tls::{Certificates, TlsError};
use self::wire::Seated;

/// The coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Coordinator;

/// A coordinator that runs. Dropped without [`Running::shutdown`], it stops like a process that was killed.
#[derive(Debug)]
pub struct Running {
    http_addr: SocketAddr,
    grpc_addr: SocketAddr,
    core: Arc<Core>,
    servers: JoinSet<&'static str>,
    groups: JoinSet<()>,
    ticks: JoinSet<()>,
    stop_work: CancellationToken,
    health: HealthReporter,
    certificates: Option<Certificates>,
    /// Held until the database is closed.
    _lock: File,
}

/// What can be changed of a coordinator that runs.
#[derive(Clone, Debug)]
pub(crate) struct Tuning(Arc<Core>);

/// A part of the coordinator ended by itself, which none should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the coordinator's {part} ended by itself")]
pub struct PartEnded {
    /// Which part.
    pub part: &'static str,
}

impl Coordinator {
    /// Starts a coordinator: checks the configuration, takes the data directory, listens, opens the database, serves.
    ///
    /// # Errors
    /// [`StartError`] says what stood in the way; nothing is left running.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
        Self::start_with(config, clock, DoorLimits::default()).await
    }

    /// As [`Coordinator::start`], with other limits at its doors.
    ///
    /// # Errors
    /// As [`Coordinator::start`].
    pub async fn start_with(
        config: Config,
        clock: Arc<dyn Clock>,
        limits: DoorLimits,
    ) -> Result<Running, StartError> {
        config.check()?;
        let certificates = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(Certificates::load(cert, key)?),
            _ => None,
        };
        let lock = start::take_data_dir(&config.data_dir)?;
        let (http_listener, http_addr) = start::listen("--http-listen", config.http_listen).await?;
        let (grpc_listener, grpc_addr) = start::listen("--grpc-listen", config.grpc_listen).await?;
        let store =
            start::open_store(&config.data_dir, config.database_size_max_mib, &Sql::Awaited);
        let (core, updates) = open(&config.data_dir, &config.limits(), store.await?, clock).await?;
        let seats = files::seats();
        let nodes = Door::new("gRPC", grpc_listener, seats.nodes)
            .encrypted(certificates.as_ref(), Speech::Grpc, &limits)
            .connections()
            .map(move |connection| {
                let peer = connection.peer();
                (Patient::opening(connection, limits.opening), Some(peer))
            });
        let people = people(http_listener, certificates.as_ref(), &limits);
        let (health, health_service) = tonic_health::server::health_reporter();
        let http = http::serve(Arc::clone(&core), people, limits.head);
        let grpc = grpc::serve(Arc::clone(&core), health_service, nodes);
        let doors = (http_addr, http, grpc_addr, grpc);
        Ok(run(lock, (core, updates), health, doors, certificates, Pulse::OfItself).await)
    }
}

/// The connections of people and tools.
fn people(
    listener: TcpListener,
    certificates: Option<&Certificates>,
    limits: &DoorLimits,
) -> impl Stream<Item = (Patient<Seated>, Option<SocketAddr>)> + Send + 'static {
    let (seats, stall) = (limits.people_max.unwrap_or(files::seats().people), limits.stall);
    Door::new("REST", listener, seats)
        .encrypted(certificates, Speech::Rest, limits)
        .connections()
        .map(move |connection| {
            let peer = connection.peer();
            (Patient::taking(connection, stall), Some(peer))
        })
}

/// The core over an open store, with the tokens there are; where they are wanted, there is one of an admin.
async fn open(
    dir: &Path,
    limits: &Limits,
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Core>, mpsc::Receiver<Waiting>), StartError> {
    let (core, updates) = Core::new(store, clock, Arc::new(SystemEntropy), limits);
    if core.access.asks_people() {
        let unwritable = |error| start::unwritable(dir, &error);
        let first = first_token(&core.access, &core.store, dir, &*core.clock).await;
        if let FirstToken::In(file) = first.map_err(unwritable)? {
            tracing::warn!(file = %file.display(), "no admin token holds: a new one is in this file");
        }
        core.access.read_tokens(&core.store).await.map_err(unwritable)?;
    }
    Ok((Arc::new(core), updates))
}

/// Puts the parts of a coordinator to work.
async fn run(
    lock: File,
    (core, updates): (Arc<Core>, mpsc::Receiver<Waiting>),
    health: HealthReporter,
    (http_addr, http, grpc_addr, grpc): (
        SocketAddr,
        impl Future<Output = ()> + Send + 'static,
        SocketAddr,
        impl Future<Output = ()> + Send + 'static,
    ),
    certificates: Option<Certificates>,
    pulse: Pulse,
) -> Running {
    report_health(&health, Readiness::Ready).await;
    let mut servers = JoinSet::new();
    servers.spawn(async move {
        http.await;
        "HTTP server"
    });
    servers.spawn(async move {
        grpc.await;
        "gRPC server"
    });
    let stop_work = CancellationToken::new();
    let mut groups = JoinSet::new();
    groups.spawn(commit::run(Arc::clone(&core), updates, stop_work.clone()));
    let mut ticks = JoinSet::new();
    ticks.spawn(tick(Arc::clone(&core), health.clone(), stop_work.clone(), pulse));
    tracing::info!(http = %http_addr, grpc = %grpc_addr, "the coordinator serves");
    Running {
        http_addr,
        grpc_addr,
        core,
        servers,
        groups,
        ticks,
        stop_work,
        health,
        certificates,
        _lock: lock,
    }
}

impl Running {
    /// Where REST listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where gRPC listens.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// What its addresses begin with: `https` where the doors speak TLS, else `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }

    /// The certificate that the doors show; `None` without TLS. It can be reloaded while this runs.
    #[must_use]
    pub fn certificates(&self) -> Option<Certificates> {
        self.certificates.clone()
    }

    /// What can be changed while it runs.
    pub(crate) fn tuning(&self) -> Tuning {
        Tuning(Arc::clone(&self.core))
    }

    /// Runs until `stop` is over, then shuts down.
    ///
    /// # Errors
    /// [`PartEnded`] when a part ended before that; the rest is shut down.
    pub async fn wait(mut self, stop: impl Future<Output = ()>) -> Result<(), PartEnded> {
        let ended = tokio::select! {
            biased;
            () = stop => None,
            server = self.servers.join_next() => Some(match server {
                Some(Ok(part)) => part,
                Some(Err(_)) | None => "server",
            }),
            _ = self.ticks.join_next() => Some("rounds"),
            _ = self.groups.join_next() => Some("group commit"),
        };
        self.shutdown().await;
        ended.map_or(Ok(()), |part| Err(PartEnded { part }))
    }

    /// Shuts down in order: not ready, no new connections, requests in flight (within the grace), queued
    /// updates, the current tick, the database.
    pub async fn shutdown(mut self) {
        tracing::info!("the coordinator shuts down");
        self.core.stop.cancel();
        report_health(&self.health, Readiness::Draining).await;
        // Ends the streams of those who watch the health, which would otherwise hold up the drain.
        for service in grpc::HEALTH_SERVICES {
            self.health.clear_service_status(service).await;
        }
        let drained = async { while self.servers.join_next().await.is_some() {} };
        let grace = self.core.limits().grace;
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(
                grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
                "requests were still in flight at the end of the grace; the store refuses them from now on"
            );
            self.servers.shutdown().await;
        }
        self.stop_work.cancel();
        while self.groups.join_next().await.is_some() {}
        while self.ticks.join_next().await.is_some() {}
        self.core.store.close().await;
        tracing::info!("the coordinator is down");
    }
}

impl Tuning {
    /// Shows this configuration to people.
    pub(crate) fn show(&self, loaded: &Loaded) {
        self.0.show_settings(loaded.to_json());
    }

    /// Keeps to this configuration from now on, as far as a coordinator that runs can.
    pub(crate) fn apply(&self, config: &Config) {
        self.0.set_limits(config.limits());
    }
}

async fn report_health(health: &HealthReporter, readiness: Readiness) {
    let status = match readiness {
        Readiness::Ready => tonic_health::ServingStatus::Serving,
        Readiness::StorageFull | Readiness::StoreFailing | Readiness::Draining => {
            tonic_health::ServingStatus::NotServing
        }
    };
    for service in grpc::HEALTH_SERVICES {
        health.set_service_status(service, status).await;
    }
}
