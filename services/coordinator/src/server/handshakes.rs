//! TLS handshakes: beside the door, so that none holds up another, and only so many.
//!
//! When as many are under way as may be, the next connection waits at the door until one is done, or until the oldest
//! has had its time and makes room.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::limits::DoorLimits;
use super::wire::{Seated, Wire};

/// The handshakes under way.
#[derive(Debug)]
pub(crate) struct Handshakes {
    limits: DoorLimits,
    under_way: JoinSet<Option<Seated>>,
    begun: VecDeque<(Instant, AbortHandle)>,
    /// How many were told to make room and have not ended yet.
    yielding: usize,
}

impl Handshakes {
    /// None yet.
    pub(crate) fn new(limits: DoorLimits) -> Self {
        Self { limits, under_way: JoinSet::new(), begun: VecDeque::new(), yielding: 0 }
    }

    /// Begins one.
    pub(crate) fn begin(
        &mut self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
        seat: OwnedSemaphorePermit,
    ) {
        let shaken = timeout(self.limits.handshake, acceptor.accept(stream));
        let task = self.under_way.spawn(async move {
            match shaken.await {
                Ok(Ok(stream)) => Some(Seated::new(Wire::Right(Box::new(stream)), peer, seat)),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!(%peer, "a TLS handshake took too long");
                    None
                }
            }
        });
        self.begun.push_back((Instant::now(), task));
        if self.begun.len() > 2 * self.limits.handshakes_max {
            self.begun.retain(|(_, task)| !task.is_finished());
        }
    }

    /// Whether as many are under way as may be.
    pub(crate) fn are_full(&self) -> bool {
        self.under_way.len() - self.yielding >= self.limits.handshakes_max
    }

    /// The next connection that is ready; `None` when one fewer is under way. Never, without any. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<Seated> {
        while self.begun.front().is_some_and(|(_, task)| task.is_finished()) {
            self.begun.pop_front();
        }
        let full = self.are_full();
        let oldest = self.begun.front().map_or_else(Instant::now, |(begun, _)| *begun);
        tokio::select! {
            biased;
            Some(ended) = self.under_way.join_next() => match ended {
                Ok(connection) => connection,
                Err(error) => {
                    self.yielding -= usize::from(error.is_cancelled());
                    None
                }
            },
            () = sleep_until(oldest + self.limits.handshake_yields), if full => {
                if let Some((_, task)) = self.begun.pop_front() {
                    task.abort();
                    self.yielding += 1;
                }
                None
            }
            else => std::future::pending().await,
        }
    }
}
