//! Connections, each in a task of its own, until the coordinator stops.

use std::net::SocketAddr;
use std::pin::pin;

use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;

/// Has `serve` serve each of `connections` until `stop`, and waits then until it is done with those that are open. Dropped, it
/// cuts them off. With a connection comes its peer's address, where there is one.
pub(crate) async fn each<IO, S>(
    connections: impl Stream<Item = (IO, Option<SocketAddr>)>,
    stop: &CancellationToken,
    serve: impl Fn(IO, Option<SocketAddr>) -> S,
) where
    S: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    {
        let mut connections = pin!(connections);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = open.join_next() => {}
                Some((io, peer)) = connections.next() => {
                    open.spawn(serve(io, peer));
                }
            }
        }
    }
    // The listener is closed by now.
    while open.join_next().await.is_some() {}
}
