//! What has the rounds looked at: the coordinator itself, by the machine's time; or, in a simulation, whoever drives it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use super::report_health;
use crate::care::retention::Housekeeping;
use crate::core::{Core, Readiness};
use crate::rounds::Rounds;

/// When rounds are looked at.
#[derive(Debug)]
pub(super) enum Pulse {
    /// At every interval and whenever something calls for it.
    OfItself,
    /// When it is asked for, and only then: what happens at which simulated instant does not depend on the machine.
    Driven(mpsc::Receiver<oneshot::Sender<()>>),
}

/// Has the rounds of a coordinator looked at that does not do so by itself.
#[derive(Clone, Debug)]
pub struct Driver(mpsc::Sender<oneshot::Sender<()>>);

impl Driver {
    /// A driver, and its other end.
    pub(super) fn new() -> (Self, Pulse) {
        let (ask, asked) = mpsc::channel(1);
        (Self(ask), Pulse::Driven(asked))
    }

    /// Opens, settles and posts what is due at this instant of the coordinator's clock; returns when that is done, at once
    /// after the coordinator has stopped. A step of the clock between two calls counts as at most two seconds of serving.
    pub async fn tick(&self) {
        let (done, told) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            // Dropped unsent at the end: there is nothing more to wait for.
            let _ = told.await;
        }
    }
}

/// Ticks until stopped between two ticks.
pub(super) async fn tick(
    core: Arc<Core>,
    health: HealthReporter,
    stop: CancellationToken,
    mut pulse: Pulse,
) {
    let mut rounds = Rounds::new(Arc::clone(&core));
    let mut housekeeping = Housekeeping::new(Arc::clone(&core));
    let mut interval = every(core.limits().tick);
    let mut reported = Readiness::Ready;
    loop {
        let asked = match &mut pulse {
            Pulse::OfItself => tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = core.wake.notified() => None,
                _ = interval.tick() => None,
            },
            Pulse::Driven(asked) => tokio::select! {
                biased;
                () = stop.cancelled() => break,
                asked = asked.recv() => match asked {
                    Some(asked) => Some(asked),
                    // Nobody drives it any more: only the end is left.
                    None => {
                        stop.cancelled().await;
                        break;
                    }
                },
            },
        };
        if interval.period() != core.limits().tick {
            interval = every(core.limits().tick);
        }
        // A failure is logged by then, and worth another try at the next tick.
        while rounds.tick().await.unwrap_or(false) && !stop.is_cancelled() {}
        // One small step a tick. Its failure is logged, too, and worth another try in a minute.
        let _ = housekeeping.tick().await;
        let readiness = core.readiness();
        if reported != readiness && readiness != Readiness::Draining {
            report_health(&health, readiness).await;
            reported = readiness;
        }
        if let Some(asked) = asked {
            // Whoever asked may have gone.
            let _ = asked.send(());
        }
    }
    if let Err(error) = rounds.finish().await {
        tracing::warn!(%error, "write the last served times");
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
