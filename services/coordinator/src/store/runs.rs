//! Runs: their plans and states.

use std::fmt;
use std::str::FromStr;

use federation::aggregate::Master;
use federation::{Artifact, ModelName, Plan, RunId, VersionNumber};
use sqlx::SqliteConnection;

use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::models::{get_artifact, model_named};
use super::rounds::{Round, live_round};
use super::row::{int, int_or_none, json, sql, text};
use super::{Store, StoreError};
use crate::plan::PlanBody;

/// `waiting -> running -> completed | failed | cancelled`, and `paused` instead of the first two until resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// For enough nodes to begin its first round.
    Waiting,
    /// Its rounds go on.
    Running,
    /// It opens no further round until it is resumed.
    Paused,
    /// All its versions are published.
    Completed,
    /// It gave up; the reason says why.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl RunState {
    /// The state as text, the same in the database, in REST and in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Waiting, Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| text.to_owned())
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// Its number.
    pub(crate) id: RunId,
    /// The model it moves.
    pub(crate) model: ModelName,
    /// Its plan.
    pub(crate) plan: Plan,
    /// Its state.
    pub(crate) state: RunState,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// Whether its seed still decides its result.
    pub(crate) reproducible: bool,
    /// The version it began from.
    pub(crate) base_version: VersionNumber,
    /// The version it published last, or began from.
    pub(crate) latest_version: VersionNumber,
    /// How many versions it published.
    pub(crate) rounds_published: u32,
    /// The round that is not over.
    pub(crate) live: Option<Round>,
    /// When it was made.
    pub(crate) created_ms: u64,
    /// When it completed, failed or was cancelled.
    pub(crate) ended_ms: Option<u64>,
}

/// Which runs; the default is all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct WhichRuns {
    /// Those that move this model.
    pub(crate) model: Option<ModelName>,
    /// Those that stand like this.
    pub(crate) state: Option<RunState>,
}

/// A run to make.
#[derive(Clone, Debug)]
pub(crate) struct NewRun {
    /// The model to move.
    pub(crate) model: ModelName,
    /// The plan, checked.
    pub(crate) plan: Plan,
}

/// Why a run was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// No model has the name.
    UnknownModel,
    /// This run moves the model already.
    ModelBusy(RunId),
}

#[derive(sqlx::FromRow)]
struct RunRow {
    id: i64,
    model: String,
    plan: String,
    state: String,
    paused: bool,
    reason: Option<String>,
    reproducible: bool,
    base_version: i64,
    latest_version: i64,
    rounds_published: i64,
    created_ms: i64,
    ended_ms: Option<i64>,
}

impl Store {
    /// Makes a run that waits for nodes, from the model's newest version.
    pub(crate) async fn create_run(
        &self,
        new: NewRun,
        deed: Deed<Run>,
    ) -> Result<Result<Reply, NotDone<NotStarted>>, StoreError> {
        self.deed("create_run", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let NewRun { model: name, plan } = new;
            let Some(model) = model_named(tx, &name).await? else {
                return Ok(Err(NotStarted::UnknownModel));
            };
            if let Some(run) = live_run(tx, &name).await? {
                return Ok(Err(NotStarted::ModelBusy(run)));
            }
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO runs (model, plan, state, reproducible, base_version, round, attempt, created_ms)
                 VALUES (?, ?, 'waiting', ?, ?, 1, 1, ?) RETURNING id",
            )
            .bind(name.as_str())
            .bind(serde_json::to_string(&PlanBody::from(&plan)).expect("a checked plan's numbers are finite"))
            .bind(plan.reproducible)
            .bind(model.latest.0)
            .bind(sql(by.at.0))
            .fetch_one(&mut *tx)
            .await?;
            let bytes = get_artifact(tx, model.latest_digest).await?;
            let artifact = artifact(&bytes.ok_or(sqlx::Error::RowNotFound)?)?;
            sqlx::query("INSERT INTO masters (run_id, lanes) VALUES (?, ?)")
                .bind(id)
                .bind(Master::of(artifact.weights()).encode())
                .execute(&mut *tx)
                .await?;
            super::audit::run_created(tx, id, by).await?;
            let id: u64 = int("runs.id", id)?;
            let made = runs_after(tx, id - 1, 1).await?.into_iter().next();
            Ok(Ok(made.ok_or(sqlx::Error::RowNotFound)?))
        })
        .await
    }

    /// One run.
    pub(crate) async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let Some(before) = id.0.checked_sub(1) else { return Ok(None) };
        let found = self.runs(WhichRuns::default(), before, 1).await?;
        Ok(found.into_iter().find(|run| run.id == id))
    }

    /// Up to `limit` of these runs after number `after`, ascending.
    pub(crate) async fn runs(
        &self,
        which: WhichRuns,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        self.read("runs", async move |tx: &mut SqliteConnection| {
            these_runs(tx, &which, (after, u64::MAX), Order::Ascending, limit).await
        })
        .await
    }

    /// Up to `limit` of these runs before number `before`, the newest first.
    pub(crate) async fn newest_runs(
        &self,
        which: WhichRuns,
        before: u64,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        self.read("newest_runs", async move |tx: &mut SqliteConnection| {
            these_runs(tx, &which, (0, before), Order::Descending, limit).await
        })
        .await
    }
}

/// By number.
#[derive(Clone, Copy, Debug)]
enum Order {
    Ascending = 1,
    Descending = -1,
}

/// The run that moves this model.
pub(super) async fn live_run(
    tx: &mut SqliteConnection,
    model: &ModelName,
) -> Result<Option<RunId>, Fault> {
    let id: Option<i64> =
        sqlx::query_scalar("SELECT id FROM runs WHERE model = ? AND ended_ms IS NULL")
            .bind(model.as_str())
            .fetch_optional(tx)
            .await?;
    Ok(int_or_none("runs.id", id)?.map(RunId))
}

/// A stored plan.
pub(super) fn plan(text: &str) -> Result<Plan, Corrupt> {
    let body: PlanBody = json("runs.plan", text)?;
    Plan::try_from(body)
        .map_err(|problems| Corrupt { column: "runs.plan", got: format!("{problems:?}") })
}

/// A stored artifact.
pub(super) fn artifact(bytes: &[u8]) -> Result<Artifact, Corrupt> {
    Artifact::parse(bytes)
        .map_err(|error| Corrupt { column: "artifacts.bytes", got: error.to_string() })
}

pub(super) async fn runs_after(
    tx: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<Run>, Fault> {
    these_runs(tx, &WhichRuns::default(), (after, u64::MAX), Order::Ascending, limit).await
}

async fn these_runs(
    tx: &mut SqliteConnection,
    which: &WhichRuns,
    (after, before): (u64, u64),
    order: Order,
    limit: u32,
) -> Result<Vec<Run>, Fault> {
    let rows: Vec<RunRow> = sqlx::query_as(
        "SELECT id, model, plan, state, paused, reason, reproducible, base_version,
             coalesce((SELECT max(version) FROM rounds WHERE run_id = runs.id), base_version) AS latest_version,
             (SELECT count(*) FROM rounds WHERE run_id = runs.id AND version IS NOT NULL) AS rounds_published,
             created_ms, ended_ms
         FROM runs WHERE id > ?1 AND (?2 IS NULL OR model = ?2)
             AND (?3 IS NULL OR ?3 = iif(paused AND ended_ms IS NULL, 'paused', state))
             AND id < ?5
         ORDER BY id * ?6 LIMIT ?4",
    )
    .bind(sql(after))
    .bind(which.model.as_ref().map(ModelName::as_str))
    .bind(which.state.map(RunState::as_str))
    .bind(limit)
    .bind(sql(before))
    .bind(order as i64)
    .fetch_all(&mut *tx)
    .await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let live = live_round(tx, row.id).await?;
        let state = text("runs.state", &row.state)?;
        let paused = row.paused && row.ended_ms.is_none();
        runs.push(Run {
            id: RunId(int("runs.id", row.id)?),
            model: text("runs.model", &row.model)?,
            plan: plan(&row.plan)?,
            state: if paused { RunState::Paused } else { state },
            reason: row.reason,
            reproducible: row.reproducible,
            base_version: VersionNumber(int("runs.base_version", row.base_version)?),
            latest_version: VersionNumber(int("rounds.version", row.latest_version)?),
            rounds_published: int("count", row.rounds_published)?,
            live,
            created_ms: int("runs.created_ms", row.created_ms)?,
            ended_ms: int_or_none("runs.ended_ms", row.ended_ms)?,
        });
    }
    Ok(runs)
}
