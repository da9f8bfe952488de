//! Signals: the first asks for an orderly shutdown, the second for an immediate one. SIGHUP asks for a reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::{PartEnded, Running};

/// SIGTERM, as service managers send it, and SIGINT, as Ctrl-C does.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// How a coordinator ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In order.
    InOrder,
    /// At once, by a second signal: what was in flight is cut off, as by a power failure.
    AtOnce,
}

/// Takes over SIGTERM and SIGINT. From here on they no longer kill the process.
///
/// # Errors
/// When the system does not let signals be handled.
pub fn signals() -> io::Result<Signals> {
    Ok(Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

/// SIGHUP, by which service managers ask for a reload.
#[derive(Debug)]
pub struct Hangups(Signal);

/// Takes over SIGHUP. From here on it no longer kills the process.
///
/// # Errors
/// When the system does not let signals be handled.
pub fn hangups() -> io::Result<Hangups> {
    signal(SignalKind::hangup()).map(Hangups)
}

impl Hangups {
    /// Waits for the next one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Signals {
    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs a coordinator until the first signal and shuts it down; a second signal ends it at once.
///
/// # Errors
/// [`PartEnded`] when a part of the coordinator ended by itself.
pub async fn until_signalled(running: Running, mut signals: Signals) -> Result<Ended, PartEnded> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let run = running.wait(async {
        // The sender lives below until it tells.
        let _ = told.await;
    });
    let watch = async {
        signals.next().await;
        let _ = tell.send(());
        signals.next().await;
    };
    tokio::select! {
        biased;
        () = watch => Ok(Ended::AtOnce),
        ended = run => ended.map(|()| Ended::InOrder),
    }
}
