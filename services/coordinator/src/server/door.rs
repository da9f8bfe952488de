//! Doors: listeners that let in as many connections as fit, and outlast the system's refusals.
//!
//! Where accepting fails for want of open files or memory, it would fail again at once, and tonic would spin. A door
//! pauses, says it once, and goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_stream::Stream;

use super::handshakes::Handshakes;
use super::limits::DoorLimits;
use super::tls::{Certificates, Speech};
use super::wire::{Seated, Wire};

/// Pause after a refusal of the system: short beside what a node's connection takes to give up.
const PAUSE: Duration = Duration::from_millis(250);
/// A door that stays crowded says so again after this long.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// A listener with a number of seats, and how connections are encrypted, if they are.
#[derive(Debug)]
pub(crate) struct Door {
    listening: Listening,
    tls: Option<Encryption>,
}

#[derive(Debug)]
struct Listening {
    name: &'static str,
    listener: TcpListener,
    seats: Arc<Semaphore>,
    said: Option<Instant>,
}

#[derive(Debug)]
struct Encryption {
    certificates: Certificates,
    speech: Speech,
    handshakes: Handshakes,
}

impl Door {
    /// The door `name` with `seats` seats.
    pub(crate) fn new(name: &'static str, listener: TcpListener, seats: usize) -> Self {
        let seats = Arc::new(Semaphore::new(seats));
        Self { listening: Listening { name, listener, seats, said: None }, tls: None }
    }

    /// The same door with TLS, if there are certificates.
    pub(crate) fn encrypted(
        mut self,
        certificates: Option<&Certificates>,
        speech: Speech,
        limits: &DoorLimits,
    ) -> Self {
        self.tls = certificates.map(|certificates| Encryption {
            certificates: certificates.clone(),
            speech,
            handshakes: Handshakes::new(limits.clone()),
        });
        self
    }

    /// The door as a stream of connections. It does not end.
    pub(crate) fn connections(self) -> impl Stream<Item = Seated> + Send {
        stream::unfold(self, async |mut door| {
            let connection = door.next().await;
            Some((connection, door))
        })
    }

    async fn next(&mut self) -> Seated {
        let Some(Encryption { certificates, speech, handshakes }) = &mut self.tls else {
            let (stream, peer, seat) = self.listening.accept().await;
            return Seated::new(Wire::Left(stream), peer, seat);
        };
        loop {
            let full = handshakes.are_full();
            tokio::select! {
                biased;
                ready = handshakes.next() => if let Some(connection) = ready {
                    return connection;
                },
                (stream, peer, seat) = self.listening.accept(), if !full => {
                    handshakes.begin(&certificates.acceptor(*speech), stream, peer, seat);
                }
            }
        }
    }
}

impl Listening {
    /// The next connection and its seat. May be cancelled.
    async fn accept(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
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
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection without delay");
                    }
                    return (stream, peer, seat);
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
