//! Doors: listeners that let in as many connections as fit, and outlast the system's refusals.
//!
//! Where accepting fails for want of open files or memory, it would fail again at once: tonic would spin, axum would log
//! each time. A door pauses, says it once, and goes on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Pause after a refusal of the system: short beside what a node's connection takes to give up.
const PAUSE: Duration = Duration::from_millis(250);
/// A door that stays crowded says so again after this long.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// A listener with a number of seats.
#[derive(Debug)]
pub(crate) struct Door {
    name: &'static str,
    listener: TcpListener,
    seats: Arc<Semaphore>,
    said: Option<Instant>,
}

/// A connection. Its seat is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seated {
    stream: TcpStream,
    _seat: OwnedSemaphorePermit,
}

impl Door {
    /// The door `name` with `seats` seats.
    pub(crate) fn new(name: &'static str, listener: TcpListener, seats: usize) -> Self {
        Self { name, listener, seats: Arc::new(Semaphore::new(seats)), said: None }
    }

    /// The door as a stream of connections, as tonic wants it. It does not end.
    pub(crate) fn connections(self) -> impl Stream<Item = io::Result<Seated>> + Send {
        stream::unfold(self, async |mut door| {
            let (connection, _) = door.next().await;
            Some((Ok(connection), door))
        })
    }

    async fn next(&mut self) -> (Seated, SocketAddr) {
        loop {
            let seat = match Arc::clone(&self.seats).try_acquire_owned() {
                Ok(seat) => seat,
                Err(_) => {
                    self.say("as many are connected as fit");
                    let free = Arc::clone(&self.seats).acquire_owned();
                    free.await.expect("nobody closes the seats")
                }
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection without delay");
                    }
                    return (Seated { stream, _seat: seat }, address);
                }
                Err(error) if of_one_connection(&error) => {
                    tracing::debug!(%error, "accept a connection");
                }
                Err(error) => {
                    self.say(&error.to_string());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn say(&mut self, why: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            tracing::warn!(door = self.name, why, "new connections wait");
            self.said = Some(Instant::now());
        }
    }
}

/// Whether accepting failed because of the connection, whose other end went away, and not for want of anything.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

impl Listener for Door {
    type Io = Seated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Seated, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected for Seated {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
