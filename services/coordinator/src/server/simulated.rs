//! A coordinator in a simulated world: it is given connections instead of addresses, and either SQL takes no simulated
//! time, or whoever simulates drives its clockwork.
//!
//! Everything behind the doors is what `muster serve` runs, the database's file and its lock included.

use std::fmt;
use std::io;
use std::sync::Arc;

use federation::Clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt};

use super::clockwork::{Driver, Pulse};
use super::limits::DoorLimits;
use super::patience::Patient;
use super::{Coordinator, Running, open, people, run};
use crate::access::Auth;
use crate::config::Config;
use crate::core::Limits;
use crate::store::{PowerFails, Sql};
use crate::{grpc, http, start};

/// What a simulated world gives a coordinator in place of the machine.
pub struct Simulated<G, H> {
    /// Connections of nodes.
    pub grpc: G,
    /// Connections of people and tools.
    pub http: H,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Asked around every transaction: whether the power fails now. When it does, the caller never goes on; the world
    /// is to drop the coordinator, as it would end at that instant.
    pub power_fails: PowerFails,
}

impl<G, H> fmt::Debug for Simulated<G, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Coordinator {
    /// Starts a coordinator in a simulated world. The addresses of `config` are shown and not listened on. Dropping
    /// what this returns, together with the runtime it runs on, frees the database's file and lock at once.
    ///
    /// # Errors
    /// As [`Coordinator::start`].
    pub async fn simulate<IO>(
        config: Config,
        world: Simulated<
            impl Stream<Item = io::Result<IO>> + Send + 'static,
            impl Stream<Item = io::Result<IO>> + Send + 'static,
        >,
    ) -> Result<Running, start::StartError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Simulated { grpc, http, clock, power_fails } = world;
        config.check()?;
        let lock = start::take_data_dir(&config.data_dir)?;
        let sql = Sql::Blocking(power_fails);
        let store = start::open_store(&config.data_dir, config.database_size_max_mib, &sql);
        let (core, updates) = open(&config.data_dir, &config.limits(), store.await?, clock).await?;
        let (health, health_service) = tonic_health::server::health_reporter();
        let limits = DoorLimits::default();
        let people = http
            .filter_map(Result::ok)
            .map(move |connection| (Patient::taking(connection, limits.stall), None));
        let http = http::serve(Arc::clone(&core), people, limits.head);
        let nodes = grpc
            .filter_map(Result::ok)
            .map(move |connection| (Patient::opening(connection, limits.opening), None));
        let grpc = grpc::serve(Arc::clone(&core), health_service, nodes);
        let doors = (config.http_listen, http, config.grpc_listen, grpc);
        Ok(run(lock, (core, updates), health, doors, None, Pulse::OfItself).await)
    }

    /// Starts a coordinator for a simulated fleet: nodes come by `nodes`, and each of its streams is served in the runtime
    /// beside it. Time is `clock`, and rounds are looked at when the returned [`Driver`] says so. People reach it at the HTTP
    /// address of `config` by real time, and need no token: `auth` of `config` is about nodes alone.
    ///
    /// # Errors
    /// As [`Coordinator::start`].
    pub async fn host<IO>(
        config: Config,
        clock: Arc<dyn Clock>,
        nodes: Vec<(Handle, impl Stream<Item = io::Result<IO>> + Send + 'static)>,
    ) -> Result<(Running, Driver), start::StartError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        config.check()?;
        let lock = start::take_data_dir(&config.data_dir)?;
        let (listener, http_addr) = start::listen("--http-listen", config.http_listen).await?;
        let store =
            start::open_store(&config.data_dir, config.database_size_max_mib, &Sql::Awaited);
        let open_to_people = Limits { people: Auth::None, ..config.limits() };
        let (core, updates) = open(&config.data_dir, &open_to_people, store.await?, clock).await?;
        let (health, health_service) = tonic_health::server::health_reporter();
        let limits = DoorLimits::default();
        let http = http::serve(Arc::clone(&core), people(listener, None, &limits), limits.head);
        let mut served = JoinSet::new();
        for (runtime, nodes) in nodes {
            let nodes = nodes.filter_map(Result::ok).map(|connection| (connection, None));
            let (core, health) = (Arc::clone(&core), health_service.clone());
            served.spawn_on(grpc::serve(core, health, nodes), &runtime);
        }
        let grpc = async move { while served.join_next().await.is_some() {} };
        let doors = (http_addr, http, config.grpc_listen, grpc);
        let (driver, pulse) = Driver::new();
        Ok((run(lock, (core, updates), health, doors, None, pulse).await, driver))
    }
}
