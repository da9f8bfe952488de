//! gRPC for nodes: the fleet service, health, reflection.
//!
//! Handlers decode (`proto::convert`), call the core, encode. A refusal is an answer; an error is a malformed request,
//! overload, or our own failure, and carries a stable code.

mod calls;
mod connection;
mod fleet;
mod relay;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use self::calls::Calls;
use crate::connections;
use crate::core::Core;

/// The names under which health is asked for: the server as a whole, and its one service.
pub(crate) const HEALTH_SERVICES: [&str; 2] = ["", "muster.fleet.v1.FleetService"];

/// Serves connections, each with where it comes from, until shutdown, and then until the calls in flight are answered.
pub(crate) async fn serve<IO>(
    core: Arc<Core>,
    health: HealthServer<impl Health>,
    connections: impl Stream<Item = (IO, Option<SocketAddr>)>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = core.stop.clone();
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = described().build_v1().expect("the committed descriptors are well-formed");
    // The same under its earlier name, by which Python's library and older tools ask.
    let reflection_alpha =
        described().build_v1alpha().expect("the committed descriptors are well-formed");
    let others = Routes::new(health).add_service(reflection).add_service(reflection_alpha);
    let others = others.prepare();
    let serve = |io, peer| {
        let calls = Arc::new(Calls::new(&core, others.clone(), peer));
        connection::serve(io, peer, calls, stop.clone())
    };
    connections::each(connections, &stop, serve).await;
}
