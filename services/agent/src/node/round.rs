//! The steps within one order: fetch, evaluate, report, train.

use federation::{Evaluation, Metrics, RefusalCode, TrainOrder};
use tracing::{debug, info, warn};

use super::{Node, Phase, Progress, Task};
use crate::cache::Found;
use crate::journal::Entry;
use crate::limits::REPORT_TRIES_MAX;
use crate::train::{Evaluated, Trained, Trial};
use crate::uplink::{Refused, Retry};

impl Node {
    pub(super) async fn fetch(&mut self, order: Box<TrainOrder>) -> Progress {
        let found = match self.cache.find(order.base) {
            Ok(Some(found)) => Ok(found),
            Err(error) => Err(error),
            Ok(None) => match self.uplink.fetch(&self.id, order.base).await {
                Ok(Ok(bytes)) => self.cache.take_in(order.base, &bytes),
                Ok(Err(refused)) if is_about_the_node(&refused) => {
                    return self.turned_away(&refused);
                }
                Ok(Err(refused)) => {
                    return self.give_up(order.round, &refused.code, &refused.message);
                }
                Err(error) if error.retry == Retry::Never => {
                    return self.give_up(order.round, error.code, &error);
                }
                Err(error) => return self.failed(&error),
            },
        };
        self.worked();
        match found {
            Ok(Found { artifact, bytes_down }) => {
                self.phase = Phase::Evaluate(Task { order, artifact, bytes_down });
                Progress::Working
            }
            Err(error) => self.give_up(order.round, "model_malformed", &error),
        }
    }

    pub(super) async fn evaluate(&mut self, task: Task) -> Progress {
        let wanted = task.order.work.evaluate_samples;
        if wanted == 0 || self.compute.held_out(wanted) == 0 {
            if wanted > 0 {
                debug!(round = %task.order.round, "this node holds out no samples: it does not evaluate");
            }
            self.phase = Phase::Train(task);
            return Progress::Working;
        }
        match self.compute.evaluate(task.artifact.clone(), &Trial::of_order(&task.order)).await {
            Ok(evaluated) => {
                self.phase = Phase::Report(task, evaluated, 0);
                Progress::Working
            }
            Err(error) => self.give_up(task.order.round, error.code(), &error),
        }
    }

    pub(super) async fn report(
        &mut self,
        task: Task,
        evaluated: Evaluated,
        tries: u32,
    ) -> Progress {
        let Evaluated { samples, correct } = evaluated;
        let evaluation = Evaluation {
            node: self.id.clone(),
            model: task.order.model.clone(),
            version: task.order.base,
            samples,
            correct,
        };
        match self.uplink.report(&evaluation).await {
            Ok(Ok(())) => {
                self.worked();
                info!(round = %task.order.round, samples, correct, "evaluated");
                self.phase = Phase::Train(task);
                Progress::Working
            }
            Ok(Err(refused)) if is_about_the_node(&refused) => self.turned_away(&refused),
            Ok(Err(refused)) => {
                warn!(code = refused.code, detail = refused.message, "the evaluation is refused");
                self.phase = Phase::Train(task);
                Progress::Working
            }
            Err(error) if tries >= REPORT_TRIES_MAX || error.retry == Retry::Never => {
                warn!(%error, code = error.code, "the evaluation is not reported; the node goes on");
                self.phase = Phase::Train(task);
                Progress::Working
            }
            Err(error) => {
                let pause = self.failed(&error);
                if !matches!(self.phase, Phase::Enrol) {
                    self.phase = Phase::Report(task, evaluated, tries + 1);
                }
                pause
            }
        }
    }

    pub(super) async fn train(&mut self, task: Task) -> Progress {
        let Task { order, artifact, bytes_down } = task;
        let residual = self.journal.residual(&order.model);
        let trained = match self.compute.train(&self.id, artifact, &order, residual).await {
            Ok(trained) => trained,
            Err(error) => return self.give_up(order.round, error.code(), &error),
        };
        let Trained { payload, residual, samples, metrics } = trained;
        let entry = Entry {
            round: order.round,
            model: order.model,
            base: order.base,
            payload,
            samples,
            metrics: Metrics { bytes_down, ..metrics },
            residual,
        };
        let correct = entry.metrics.correct;
        let memory = self.compute.memory();
        info!(round = %entry.round, samples, correct, memory.peak_kib = memory, "trained");
        match self.journal.keep(entry) {
            Ok(()) => Progress::Working,
            Err(error) => self.unwritten(&error),
        }
    }
}

/// Whether it is the node that is refused, whatever it asks for.
pub(super) fn is_about_the_node(refused: &Refused) -> bool {
    matches!(refused.known(), Some(RefusalCode::UnknownNode | RefusalCode::NodeRevoked))
}
