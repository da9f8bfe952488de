//! The lines between virtual nodes and their coordinator: HTTP/2 as over any socket, through memory or over loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use agent::Uplink;
use agent::uplink::Address;
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::either::Either;

/// Bytes under way in one direction of a line in memory: several of the largest frames.
const LINE_BYTES: usize = 256 << 10;

/// One end of a line: through memory, or over a loopback socket.
pub(crate) type End = Either<DuplexStream, TcpStream>;

/// Where virtual nodes get their uplinks.
#[derive(Debug)]
pub(crate) enum Lines {
    /// These few lines, shared by all.
    Memory(Vec<Uplink>),
    /// A connection for each, to this address.
    Sockets(Address),
}

/// The coordinator's ends.
pub(crate) type Incoming = Pin<Box<dyn Stream<Item = io::Result<End>> + Send>>;

impl Lines {
    /// `count` lines through memory.
    pub(crate) fn in_memory(count: usize) -> (Self, Incoming) {
        let (ends, incoming) = mpsc::channel(count.max(1));
        let address = Address::parse("http://127.0.0.1:1").expect("it is an address");
        let uplink = || {
            let ends = ends.clone();
            let connector = tower::service_fn(move |_: http::Uri| {
                let ends = ends.clone();
                async move {
                    let (here, there) = duplex(LINE_BYTES);
                    let sent = ends.send(Ok(End::Left(there))).await;
                    sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                    Ok::<_, io::Error>(TokioIo::new(here))
                }
            });
            Uplink::new(Uplink::endpoint(&address).connect_with_connector_lazy(connector))
        };
        let lines = (0..count.max(1)).map(|_| uplink()).collect();
        (Self::Memory(lines), Box::pin(ReceiverStream::new(incoming)))
    }

    /// Lines over loopback, each node its own.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub(crate) async fn over_sockets() -> io::Result<(Self, Incoming)> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let address = Address::parse(&address).map_err(io::Error::other)?;
        let incoming = TcpListenerStream::new(listener).map(|end| {
            let end = end?;
            end.set_nodelay(true)?;
            Ok(End::Right(end))
        });
        Ok((Self::Sockets(address), Box::pin(incoming)))
    }

    /// The uplink of node `index`.
    pub(crate) fn uplink(&self, index: usize) -> Uplink {
        match self {
            Self::Memory(lines) => lines[index % lines.len()].clone(),
            Self::Sockets(address) => Uplink::connect(address),
        }
    }
}
