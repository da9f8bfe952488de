//! A run's life as people direct it: pause, resume, cancel. Each is one transaction, and idempotent.

use std::sync::atomic::Ordering;

use federation::RunId;
use federation::round::RoundState;
use serde_json::json;
use sqlx::SqliteConnection;

use super::deed::{By, Deed, NotDone, Reply};
use super::error::Fault;
use super::rounds::live_round;
use super::row::{sql, text};
use super::runs::{Run, RunState, runs_after};
use super::{Store, StoreError, audit, vectors};

/// Why the round of a cancelled run is abandoned.
pub(crate) const CANCELLED: &str = "cancelled";

/// What somebody wants of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    /// Open no further round. The round that is open goes on, and what it counted is not lost.
    Pause,
    /// Go on.
    Resume,
    /// End now. The round that is open is abandoned.
    Cancel,
}

impl Directive {
    /// The directive as text, for logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

/// Why a run does not follow a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDirected {
    /// No run has the number.
    UnknownRun,
    /// It ended in this state.
    RunOver(RunState),
}

impl Store {
    /// Directs a run. What it does already is done; a run that is over does nothing more, but cancelling a cancelled
    /// one is no mistake.
    pub(crate) async fn direct_run(
        &self,
        id: RunId,
        directive: Directive,
        deed: Deed<Run>,
    ) -> Result<Result<Reply, NotDone<NotDirected>>, StoreError> {
        let done =
            self.deed("direct_run", deed, async move |tx: &mut SqliteConnection, by: &By| {
                let row: Option<(String, Option<i64>)> =
                    sqlx::query_as("SELECT state, ended_ms FROM runs WHERE id = ?")
                        .bind(sql(id.0))
                        .fetch_optional(&mut *tx)
                        .await?;
                let Some((state, ended_ms)) = row else { return Ok(Err(NotDirected::UnknownRun)) };
                let state: RunState = text("runs.state", &state)?;
                if ended_ms.is_none() {
                    match directive {
                        Directive::Pause => set_paused(tx, id, true, by).await?,
                        Directive::Resume => set_paused(tx, id, false, by).await?,
                        Directive::Cancel => cancel(tx, id, None, by).await?,
                    }
                } else if (directive, state) != (Directive::Cancel, RunState::Cancelled) {
                    return Ok(Err(NotDirected::RunOver(state)));
                }
                let run = runs_after(tx, id.0.saturating_sub(1), 1).await?.into_iter().next();
                Ok(Ok(run.ok_or(sqlx::Error::RowNotFound)?))
            });
        let done = done.await;
        // Before anybody is told: what memory has of the run's round is not to be relied on any more.
        self.directed.fetch_add(1, Ordering::Release);
        done
    }
}

async fn set_paused(
    tx: &mut SqliteConnection,
    id: RunId,
    paused: bool,
    by: &By,
) -> Result<(), Fault> {
    let changed = sqlx::query("UPDATE runs SET paused = ?1 WHERE id = ?2 AND paused <> ?1")
        .bind(paused)
        .bind(sql(id.0))
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if changed > 0 {
        let action = if paused { "run.paused" } else { "run.resumed" };
        audit::append(tx, &by.actor, action, id.to_string(), &json!({}), by.at).await?;
    }
    Ok(())
}

/// Ends a run and its open round, for `reason` if there is more to say than that somebody wanted it. The round's
/// contributions stay; that it was abandoned is what became of them.
pub(super) async fn cancel(
    tx: &mut SqliteConnection,
    id: RunId,
    reason: Option<&str>,
    by: &By,
) -> Result<(), Fault> {
    let live = live_round(tx, sql(id.0)).await?;
    sqlx::query(
        "UPDATE rounds SET state = ?, reason = ?, closed_ms = ? WHERE run_id = ? AND closed_ms IS NULL",
    )
    .bind(RoundState::Abandoned.as_str())
    .bind(reason.unwrap_or(CANCELLED))
    .bind(sql(by.at.0))
    .bind(sql(id.0))
    .execute(&mut *tx)
    .await?;
    if let Some(round) = live {
        vectors::forget(tx, round.key).await?;
        audit::round_abandoned(tx, round.round, by.at).await?;
    }
    sqlx::query("UPDATE runs SET state = ?, reason = ?, ended_ms = ? WHERE id = ?")
        .bind(RunState::Cancelled.as_str())
        .bind(reason)
        .bind(sql(by.at.0))
        .bind(sql(id.0))
        .execute(&mut *tx)
        .await?;
    audit::run_ended(tx, &by.actor, sql(id.0), by.at).await
}
