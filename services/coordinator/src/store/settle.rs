//! The end of a round: the one transaction that decides it, and publishes a version or abandons the updates.

use federation::aggregate::{Master, Sum};
use federation::invariant::Violation;
use federation::round::{Decision, Progress, RoundState, decide};
use federation::{Artifact, Digest, ModelName, Plan, Timestamp, VersionNumber};
use sqlx::SqliteConnection;

use super::audit;
use super::error::{Corrupt, Fault};
use super::groups::read_sum;
use super::models::{get_artifact, model_named, put_artifact};
use super::rounds::{RoundKey, round_ref, set_served, state};
use super::row::{int, sql, text};
use super::runs::{RunState, artifact, plan};
use super::{Store, StoreError, vectors};

/// Why a round with too few updates is abandoned, and why a run fails that has no attempt left.
pub(crate) const QUORUM_NOT_REACHED: &str = "quorum_not_reached";

/// All that the next version is a function of.
#[derive(Debug)]
pub(crate) struct Aggregate {
    /// The run's plan.
    pub(crate) plan: Plan,
    /// The version that the round started from.
    pub(crate) base: Artifact,
    /// Its number.
    pub(crate) base_version: VersionNumber,
    /// The number that the next version gets.
    pub(crate) next_version: VersionNumber,
    /// The run's master copy.
    pub(crate) master: Master,
    /// The round's sum.
    pub(crate) sum: Sum,
    /// How many contributions are recorded.
    pub(crate) contributions: u32,
}

/// The next version, and the master copy it was rounded from.
#[derive(Debug)]
pub(crate) struct Aggregated {
    /// The version's content.
    pub(crate) artifact: Artifact,
    /// The moved master copy.
    pub(crate) master: Master,
}

/// What became of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It goes on, or is over already.
    Waits,
    /// A version was published.
    Published {
        /// Its number.
        version: VersionNumber,
        /// Its digest.
        digest: Digest,
        /// How many updates are in it.
        updates: u32,
        /// The run's state now.
        run: RunState,
    },
    /// It was given up.
    Abandoned {
        /// How many updates were lost with it.
        updates: u32,
        /// The run's state now.
        run: RunState,
    },
}

#[derive(sqlx::FromRow)]
struct EndRow {
    run_id: i64,
    number: i64,
    attempt: i64,
    state: String,
    base_version: i64,
    updates: i64,
    weight: i64,
    model: String,
    plan: String,
}

struct End {
    key: RoundKey,
    run: i64,
    number: u32,
    attempt: u32,
    base_version: VersionNumber,
    updates: u32,
    weight: u64,
    model: ModelName,
    plan: Plan,
    now: Timestamp,
}

impl Store {
    /// Decides a round after `served_ms` of serving and does what was decided, at once or not at all. `aggregate` is
    /// pure, so a crash before the commit repeats the same computation.
    pub(crate) async fn settle_round(
        &self,
        key: RoundKey,
        served_ms: u64,
        now: Timestamp,
        aggregate: fn(Aggregate) -> Result<Aggregated, Violation>,
    ) -> Result<Settled, StoreError> {
        self.write("settle_round", async move |tx: &mut SqliteConnection| {
            let row: Option<EndRow> = sqlx::query_as(
                "SELECT r.run_id, r.number, r.attempt, r.state, r.base_version, r.updates, r.weight,
                     runs.model, runs.plan
                 FROM rounds r JOIN runs ON runs.id = r.run_id WHERE r.id = ? AND r.closed_ms IS NULL",
            )
            .bind(key.0)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else { return Ok(Settled::Waits) };
            set_served(tx, key, served_ms).await?;
            let end = End {
                key,
                run: row.run_id,
                number: int("rounds.number", row.number)?,
                attempt: int("rounds.attempt", row.attempt)?,
                base_version: VersionNumber(int("rounds.base_version", row.base_version)?),
                updates: int("rounds.updates", row.updates)?,
                weight: int("rounds.weight", row.weight)?,
                model: text("runs.model", &row.model)?,
                plan: plan(&row.plan)?,
                now,
            };
            let decision = match state(&row.state)? {
                RoundState::Open => {
                    decide(&end.plan.cohort, Progress { updates: end.updates, served_ms })
                }
                RoundState::Closing => Decision::CloseAtGoal,
                RoundState::Published | RoundState::Abandoned => Decision::Wait,
            };
            match decision {
                Decision::Wait => Ok(Settled::Waits),
                Decision::CloseAtGoal => publish(tx, end, false, aggregate).await,
                Decision::CloseAtDeadline => publish(tx, end, true, aggregate).await,
                Decision::Abandon => abandon(tx, &end).await,
            }
        })
        .await
    }
}

async fn publish(
    tx: &mut SqliteConnection,
    end: End,
    at_deadline: bool,
    aggregate: fn(Aggregate) -> Result<Aggregated, Violation>,
) -> Result<Settled, Fault> {
    let run = if end.number >= end.plan.rounds { RunState::Completed } else { RunState::Running };
    let (inputs, sum_digest) = inputs(tx, &end).await?;
    let version = inputs.next_version;
    let Aggregated { artifact, master } = aggregate(inputs)?;
    let bytes = artifact.encode();
    let digest = Digest::of(&bytes);
    let master = master.encode();
    put_artifact(tx, digest, &bytes).await?;
    sqlx::query(
        "INSERT INTO versions (model, number, digest, parent, round_id, sum_digest, optimizer_digest, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(end.model.as_str())
    .bind(version.0)
    .bind(&digest.0[..])
    .bind(end.base_version.0)
    .bind(end.key.0)
    .bind(&sum_digest.0[..])
    .bind(&Digest::of(&master).0[..])
    .bind(sql(end.now.0))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE rounds SET state = 'published', version = ?, at_deadline = ?, closed_ms = ? WHERE id = ?",
    )
    .bind(version.0)
    .bind(at_deadline)
    .bind(sql(end.now.0))
    .bind(end.key.0)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE masters SET lanes = ? WHERE run_id = ?")
        .bind(master)
        .bind(end.run)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE runs SET state = ?, round = ?, attempt = 1, reproducible = reproducible AND NOT ?, ended_ms = ?
         WHERE id = ?",
    )
    .bind(run.as_str())
    .bind(end.number.saturating_add(1))
    .bind(at_deadline)
    .bind((run == RunState::Completed).then_some(sql(end.now.0)))
    .bind(end.run)
    .execute(&mut *tx)
    .await?;
    audit::version_published(tx, &end.model, version, end.now).await?;
    audit::run_ended(tx, audit::COORDINATOR, end.run, end.now).await?;
    Ok(Settled::Published { version, digest, updates: end.updates, run })
}

async fn abandon(tx: &mut SqliteConnection, end: &End) -> Result<Settled, Fault> {
    vectors::forget(tx, end.key).await?;
    let failed = end.attempt >= end.plan.cohort.attempts_max;
    let run = if failed { RunState::Failed } else { RunState::Running };
    sqlx::query(
        "UPDATE rounds SET state = 'abandoned', reason = ?, at_deadline = 1, closed_ms = ? WHERE id = ?",
    )
    .bind(QUORUM_NOT_REACHED)
    .bind(sql(end.now.0))
    .bind(end.key.0)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE runs SET state = ?, reason = ?, attempt = ?, reproducible = 0, ended_ms = ? WHERE id = ?",
    )
    .bind(run.as_str())
    .bind(failed.then_some(QUORUM_NOT_REACHED))
    .bind(if failed { end.attempt } else { end.attempt.saturating_add(1) })
    .bind(failed.then_some(sql(end.now.0)))
    .bind(end.run)
    .execute(&mut *tx)
    .await?;
    let round = round_ref(end.run, end.number.into(), end.attempt.into())?;
    audit::round_abandoned(tx, round, end.now).await?;
    audit::run_ended(tx, audit::COORDINATOR, end.run, end.now).await?;
    Ok(Settled::Abandoned { updates: end.updates, run })
}

async fn keep_sum(
    tx: &mut SqliteConnection,
    key: RoundKey,
    sum: &Sum,
    stored: &[u8],
) -> Result<(), Fault> {
    sqlx::query("UPDATE sums SET lanes = ? WHERE round_id = ?")
        .bind(stored)
        .bind(key.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE rounds SET weight = ? WHERE id = ?")
        .bind(sql(sum.weight()))
        .bind(key.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Reads what the next version is made of, and the digest of the stored sum.
async fn inputs(tx: &mut SqliteConnection, end: &End) -> Result<(Aggregate, Digest), Fault> {
    let base: Vec<u8> =
        sqlx::query_scalar("SELECT digest FROM versions WHERE model = ? AND number = ?")
            .bind(end.model.as_str())
            .bind(end.base_version.0)
            .fetch_one(&mut *tx)
            .await?;
    let bytes = get_artifact(tx, super::row::digest("versions.digest", &base)?).await?;
    let base = artifact(&bytes.ok_or(sqlx::Error::RowNotFound)?)?;
    let lanes = base.layout().weights();
    let weights = u64::try_from(lanes).expect("a length fits 64 bits");
    let (mut sum, mut stored) = read_sum(tx, end.key, weights, end.weight, end.updates).await?;
    // From here on the robust aggregate is the round's sum, and the vectors are gone.
    if let Some(robust) = vectors::aggregate(tx, end.key, &end.plan, lanes, end.updates).await? {
        stored = robust.encode();
        sum = robust;
        keep_sum(tx, end.key, &sum, &stored).await?;
        vectors::forget(tx, end.key).await?;
    }
    let master: Vec<u8> = sqlx::query_scalar("SELECT lanes FROM masters WHERE run_id = ?")
        .bind(end.run)
        .fetch_one(&mut *tx)
        .await?;
    let master = Master::decode(&master, lanes, end.plan.strategy).ok_or_else(|| Corrupt {
        column: "masters.lanes",
        got: format!("{} bytes for {lanes} lanes", master.len()),
    })?;
    let contributions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM contributions
             WHERE (round_id = ?1 AND counted_in IS NULL) OR counted_in = ?1",
    )
    .bind(end.key.0)
    .fetch_one(&mut *tx)
    .await?;
    let latest = model_named(tx, &end.model).await?.ok_or(sqlx::Error::RowNotFound)?.latest;
    let inputs = Aggregate {
        plan: end.plan.clone(),
        base,
        base_version: end.base_version,
        next_version: VersionNumber(latest.0.saturating_add(1)),
        master,
        sum,
        contributions: int("count", contributions)?,
    };
    Ok((inputs, Digest::of(&stored)))
}
