//! Watches a run over REST, as anybody could: how far it is, which versions it made, how good they are.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::SimulateError;
use crate::demo::evaluate::{Evaluator, Score};
use crate::demo::progress::{Progress, Stand};
use crate::rest::Rest;
use crate::task::Task;

/// How often the run is looked at, by real time.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
/// Most artifacts that are kept for the report.
const ARTIFACTS_MAX: usize = 64;

/// What was seen of a run so far.
#[derive(Debug)]
pub(crate) struct Watcher {
    rest: Rest,
    model: String,
    run_path: String,
    evaluator: Evaluator,
    asked: u64,
    /// Versions for the report, the first and the last among them.
    pub(crate) artifacts: BTreeMap<u64, Bytes>,
    /// The run, as REST last told it.
    pub(crate) run: Value,
    /// How far it is.
    pub(crate) stand: Stand,
    begin: Instant,
}

/// What a watcher leaves.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) run: Value,
    pub(crate) scores: BTreeMap<u64, Score>,
    pub(crate) artifacts: BTreeMap<u64, Bytes>,
    pub(crate) restarts: u32,
    pub(crate) wall_s: f64,
}

impl Watcher {
    /// Watches run `run` of `task`, of so many rounds that want so many updates each.
    pub(crate) fn new(
        rest: Rest,
        task: &Task,
        run: u64,
        rounds: u32,
        goal: u32,
        begin: Instant,
    ) -> Self {
        let stand = Stand { rounds: rounds.into(), goal: goal.into(), ..Stand::default() };
        Self {
            rest,
            model: task.name.clone(),
            run_path: format!("/v1/runs/{run}"),
            evaluator: Evaluator::start(task.test.clone()),
            asked: 0,
            artifacts: BTreeMap::new(),
            run: Value::Null,
            stand,
            begin,
        }
    }

    /// Looks once. Says whether the run has ended.
    ///
    /// # Errors
    /// When the coordinator does not answer, a version cannot be evaluated, or the run failed.
    pub(crate) async fn look(&mut self, progress: &mut Progress) -> Result<bool, SimulateError> {
        let run: Value = self.rest.get(&self.run_path).await?;
        self.stand.published = run["rounds_published"].as_u64().unwrap_or(0);
        self.stand.updates = run["round"]["updates"].as_u64().unwrap_or(0);
        self.stand.elapsed = self.begin.elapsed();
        while self.asked < run["latest_version"].as_u64().unwrap_or(0) {
            let next = self.asked + 1;
            let path = format!("/v1/models/{}/versions/{next}/artifact", self.model);
            let artifact = self.rest.bytes(&path).await?;
            self.asked = next;
            self.evaluator.ask(next, artifact.clone());
            self.artifacts.insert(next, artifact);
            if self.artifacts.len() > ARTIFACTS_MAX {
                let mut odd = true;
                self.artifacts.retain(|&number, _| {
                    odd = !odd;
                    number == 1 || number == next || odd
                });
            }
        }
        self.evaluator.collect()?;
        self.stand.accuracy = self.evaluator.latest();
        progress.show(&self.stand);
        let ended = match run["state"].as_str() {
            Some("completed" | "cancelled") => true,
            Some("failed") => {
                let reason = run["reason"].as_str().unwrap_or("unknown").to_owned();
                self.run = run;
                return Err(SimulateError::Run(reason));
            }
            _ => false,
        };
        self.run = run;
        Ok(ended)
    }

    /// Looks until the run has ended.
    ///
    /// # Errors
    /// As [`Watcher::look`].
    pub(crate) async fn until_ended(
        &mut self,
        progress: &mut Progress,
        mut meanwhile: impl FnMut() -> Result<u32, SimulateError>,
    ) -> Result<(), SimulateError> {
        loop {
            self.stand.restarts += meanwhile()?;
            if self.look(progress).await? {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every version that there is has been evaluated, those among them that came after the last look: while a
    /// fleet that was stopped ended its last turns.
    ///
    /// # Errors
    /// When one cannot be.
    pub(crate) async fn until_evaluated(
        &mut self,
        progress: &mut Progress,
    ) -> Result<(), SimulateError> {
        self.look(progress).await?;
        while !self.evaluator.done() {
            tokio::time::sleep(LOOK).await;
            self.look(progress).await?;
        }
        Ok(())
    }

    /// Takes what there is, whether the run has ended or not.
    pub(crate) fn finish(self) -> Seen {
        let wall_s = self.begin.elapsed().as_secs_f64();
        Seen {
            scores: self.evaluator.end(),
            artifacts: self.artifacts,
            restarts: self.stand.restarts,
            wall_s,
            run: self.run,
        }
    }
}
