//! The simulated network, as agent, coordinator and people take it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use agent::Uplink;
use agent::uplink::Address;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_stream::Stream;
use tonic::transport::Channel;
use turmoil::net::{TcpListener, TcpStream};

/// The coordinator's host.
pub(crate) const COORDINATOR: &str = "coordinator";
/// Where nodes reach it.
pub(crate) const GRPC_PORT: u16 = 7401;
/// Where people reach it.
pub(crate) const HTTP_PORT: u16 = 7400;

type Accept = Pin<Box<dyn Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send>>;

/// The connections that come to a port.
pub(crate) struct Connections {
    listener: Arc<TcpListener>,
    accept: Option<Accept>,
}

/// Listens on a port of this host.
pub(crate) async fn listen(port: u16) -> io::Result<Connections> {
    let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), port)).await?;
    Ok(Connections { listener: Arc::new(listener), accept: None })
}

impl Stream for Connections {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let listener = Arc::clone(&self.listener);
        let accept =
            self.accept.get_or_insert_with(|| Box::pin(async move { listener.accept().await }));
        let accepted = ready!(accept.as_mut().poll(cx));
        self.accept = None;
        Poll::Ready(Some(accepted.map(|(connection, _)| connection)))
    }
}

/// The uplink of node `index` over this network. Every other one makes its calls on a relay.
pub(crate) fn uplink(index: usize, piece_bytes: usize) -> Uplink {
    let uplink = Uplink::new(channel(piece_bytes));
    if index.is_multiple_of(2) { uplink } else { uplink.relaying() }
}

/// A channel to the coordinator, connected when it is first used.
pub(crate) fn channel(piece_bytes: usize) -> Channel {
    let connector = tower::service_fn(move |_: http::Uri| async move {
        let stream = TcpStream::connect((COORDINATOR, GRPC_PORT)).await?;
        Ok::<_, io::Error>(TokioIo::new(Pieces { stream, piece_bytes }))
    });
    Uplink::endpoint(&coordinator()).connect_with_connector_lazy(connector)
}

/// A connection that sends small pieces, each of which travels as long as it pleases.
struct Pieces {
    stream: TcpStream,
    piece_bytes: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = &buf[..buf.len().min(self.piece_bytes)];
        Pin::new(&mut self.stream).poll_write(cx, piece)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The coordinator's address.
pub(crate) fn coordinator() -> Address {
    Address::parse(&format!("http://{COORDINATOR}:{GRPC_PORT}")).expect("it is an address")
}

/// One REST request on a connection of its own. Status and body of the answer.
pub(crate) async fn rest(path: &str, body: Option<&Value>) -> io::Result<(u16, Value)> {
    let mut connection = TcpStream::connect((COORDINATOR, HTTP_PORT)).await?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "half an answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    Ok((status, serde_json::from_str(body)?))
}
