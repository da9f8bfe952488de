//! The lines between virtual nodes and their coordinator: HTTP/2 as over any socket, through memory or over loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use agent::Uplink;
use agent::uplink::Address;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::either::Either;

use super::quarters::{Quarters, quarter_of};

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
    /// A line through memory in each of `quarters`: there live both of its ends.
    ///
    /// # Errors
    /// When HTTP/2 cannot begin on one of them.
    pub(crate) async fn in_memory(
        quarters: &Quarters,
    ) -> io::Result<(Self, Vec<(Handle, Incoming)>)> {
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for quarter in quarters.all() {
            let (here, there) = duplex(LINE_BYTES);
            lines.push(quarter.live(Uplink::on(here)).await?.relaying());
            // Open until the coordinator is: its door closes when no more can come.
            let end = tokio_stream::once(Ok(End::Left(there))).chain(tokio_stream::pending());
            ends.push((quarter.tasks().clone(), Box::pin(end) as Incoming));
        }
        Ok((Self::Memory(lines), ends))
    }

    /// Lines over loopback, each node its own.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub(crate) async fn over_sockets() -> io::Result<(Self, Vec<(Handle, Incoming)>)> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let address = Address::parse(&address).map_err(io::Error::other)?;
        let incoming = TcpListenerStream::new(listener).map(|end| {
            let end = end?;
            end.set_nodelay(true)?;
            Ok(End::Right(end))
        });
        let incoming: Incoming = Box::pin(incoming);
        Ok((Self::Sockets(address), vec![(Handle::current(), incoming)]))
    }

    /// The uplink of node `index`; a line is that of the quarter in which it takes its turns.
    pub(crate) fn uplink(&self, index: usize) -> Uplink {
        match self {
            Self::Memory(lines) => lines[quarter_of(index, lines.len())].clone(),
            Self::Sockets(address) => Uplink::connect(address),
        }
    }
}
