//! The steps by which a node comes to hold another version: fetch, try, report, keep.

use std::sync::Arc;

use federation::{Artifact, Evaluation, Hold, Holding};
use tracing::{error, info, warn};

use super::round::is_about_the_node;
use super::{Node, Phase, Progress};
use crate::cache::Found;
use crate::limits::REPORT_TRIES_MAX;
use crate::train::{Evaluated, Trial};
use crate::uplink::Retry;

impl Node {
    /// Whether the node takes up a version that it is told to hold: not again one that it could not.
    pub(super) fn wants(&self, hold: &Hold) -> bool {
        self.hold_given_up != Some(holding(hold))
    }

    pub(super) async fn fetch_hold(&mut self, hold: Box<Hold>) -> Progress {
        let found = match self.cache.find(hold.digest) {
            Ok(Some(found)) => Ok(found),
            Err(error) => Err(error),
            Ok(None) => match self.uplink.fetch(&self.id, hold.digest).await {
                Ok(Ok(bytes)) => self.cache.take_in(hold.digest, &bytes),
                Ok(Err(refused)) if is_about_the_node(&refused) => {
                    return self.turned_away(&refused);
                }
                Ok(Err(refused)) => {
                    return self.give_up_hold(&hold, &refused.code, &refused.message);
                }
                Err(error) if error.retry == Retry::Never => {
                    return self.give_up_hold(&hold, error.code, &error);
                }
                Err(error) => return self.failed(&error),
            },
        };
        self.worked();
        match found {
            Ok(Found { artifact, .. }) => {
                self.phase = Phase::TryHold(hold, artifact);
                Progress::Working
            }
            Err(error) => self.give_up_hold(&hold, "model_malformed", &error),
        }
    }

    pub(super) async fn try_hold(&mut self, hold: Box<Hold>, artifact: Arc<Artifact>) -> Progress {
        if self.compute.held_out(hold.samples) == 0 {
            info!(version = %hold.version, "this node holds out no samples: it takes the version untried");
            return self.keep_hold(&hold);
        }
        match self.compute.evaluate(artifact, &Trial::of_hold(&hold)).await {
            Ok(evaluated) => {
                self.phase = Phase::ReportHold(hold, evaluated, 0);
                Progress::Working
            }
            Err(error) => self.give_up_hold(&hold, error.code(), &error),
        }
    }

    pub(super) async fn report_hold(
        &mut self,
        hold: Box<Hold>,
        evaluated: Evaluated,
        tries: u32,
    ) -> Progress {
        let Evaluated { samples, correct } = evaluated;
        let evaluation = Evaluation {
            node: self.id.clone(),
            model: hold.model.clone(),
            version: hold.digest,
            samples,
            correct,
        };
        match self.uplink.report(&evaluation).await {
            Ok(Ok(())) => {
                self.worked();
                info!(channel = %hold.channel, version = %hold.version, samples, correct, "tried the version of the channel");
                self.keep_hold(&hold)
            }
            Ok(Err(refused)) if is_about_the_node(&refused) => self.turned_away(&refused),
            Ok(Err(refused)) => {
                warn!(code = refused.code, detail = refused.message, "the evaluation is refused");
                self.keep_hold(&hold)
            }
            Err(error) if error.retry == Retry::Never => {
                warn!(%error, code = error.code, "the evaluation is not reported; the node goes on");
                self.keep_hold(&hold)
            }
            Err(error) if tries >= REPORT_TRIES_MAX => {
                // Its guard may wait for this report: the node is told of the version again, and tries again.
                self.failed(&error)
            }
            Err(error) => {
                let pause = self.failed(&error);
                if !matches!(self.phase, Phase::Enrol) {
                    self.phase = Phase::ReportHold(hold, evaluated, tries + 1);
                }
                pause
            }
        }
    }

    fn keep_hold(&mut self, hold: &Hold) -> Progress {
        if let Err(error) = self.held.keep(holding(hold)) {
            error!(%error, code = "held_unwritable", "the version held cannot be noted; the node tries again later");
            return Progress::Waiting(self.backoff.longest());
        }
        self.cache.pin(hold.digest);
        self.hold_given_up = None;
        let Hold { model, channel, version, digest, .. } = hold;
        info!(%model, %channel, %version, %digest, "holds a version");
        Progress::Working
    }

    /// The version cannot be held. The node keeps the one it has.
    fn give_up_hold(&mut self, hold: &Hold, code: &str, error: &dyn std::fmt::Display) -> Progress {
        let Hold { channel, version, .. } = hold;
        error!(%channel, %version, code, %error, "the version of the channel cannot be held");
        self.hold_given_up = Some(holding(hold));
        Progress::Working
    }
}

fn holding(hold: &Hold) -> Holding {
    Holding { digest: hold.digest, promotion: hold.promotion }
}
