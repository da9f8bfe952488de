//! The lines between virtual nodes and their coordinator: HTTP/2 as over any socket, through memory or over loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use agent::Uplink;
use agent::uplink::Address;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
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
    ///
    /// # Errors
    /// When HTTP/2 cannot begin on one of them.
    pub(crate) async fn in_memory(count: usize) -> io::Result<(Self, Incoming)> {
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..count.max(1) {
            let (here, there) = duplex(LINE_BYTES);
            lines.push(Uplink::on(here).await?);
            ends.push(Ok(End::Left(there)));
        }
        // Open until the coordinator is: its door closes when no more can come.
        let incoming = tokio_stream::iter(ends).chain(tokio_stream::pending());
        Ok((Self::Memory(lines), Box::pin(incoming)))
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
