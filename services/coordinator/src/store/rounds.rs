//! Rounds: their record, their cohorts, their opening.

use federation::aggregate::Sum;
use federation::round::RoundState;
use federation::{NodeId, RoundRef, RunId, Timestamp, VersionNumber};
use futures_util::TryStreamExt as _;
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::nodes::to_json;
use super::row::{int, int_or_none, sql, text};
use super::{Store, StoreError};

/// Names in one statement: a large cohort is written piece by piece, so that its text is never in memory as a whole.
const NAMES_AT_ONCE: usize = 4_096;

/// A round's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoundKey(pub(super) i64);

impl RoundKey {
    /// The key as a page's cursor; keys only grow.
    pub(crate) fn cursor(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// What the contributions of a round add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Updates counted.
    pub(crate) updates: u32,
    /// Samples learned from.
    pub(crate) samples: u64,
    /// Of these, classified correctly before learning from them.
    pub(crate) correct: u64,
    /// Synaptic operations.
    pub(crate) synaptic_ops: u64,
    /// Bytes of updates received.
    pub(crate) bytes_up: u64,
    /// Bytes of versions fetched.
    pub(crate) bytes_down: u64,
}

/// A round's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Its row.
    pub(crate) key: RoundKey,
    /// Its name.
    pub(crate) round: RoundRef,
    /// Its state.
    pub(crate) state: RoundState,
    /// Why it was abandoned.
    pub(crate) reason: Option<String>,
    /// The version it started from.
    pub(crate) base_version: VersionNumber,
    /// The version it made.
    pub(crate) version: Option<VersionNumber>,
    /// Whether its deadline ended it.
    pub(crate) at_deadline: bool,
    /// Milliseconds of serving so far; written about once a second.
    pub(crate) served_ms: u64,
    /// Nodes drawn.
    pub(crate) cohort: u32,
    /// What its contributions add up to.
    pub(crate) totals: Totals,
    /// Of the updates in its sum, those whose contributions are not kept any more.
    pub(crate) dropped: u32,
    /// When it opened.
    pub(crate) opened_ms: u64,
    /// When it was published or abandoned.
    pub(crate) closed_ms: Option<u64>,
}

/// Which rounds of a run; the default is all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WhichRounds {
    /// The attempts at this one.
    pub(crate) number: Option<u32>,
    /// Those that stand like this.
    pub(crate) state: Option<RoundState>,
}

/// A round to open.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Its name: the run's next round and attempt.
    pub(crate) round: RoundRef,
    /// Number of weights of the model.
    pub(crate) weights: usize,
    /// The nodes drawn.
    pub(crate) cohort: Vec<NodeId>,
}

#[derive(sqlx::FromRow)]
pub(super) struct TotalsRow {
    updates: i64,
    samples: i64,
    correct: i64,
    synaptic_ops: i64,
    bytes_up: i64,
    bytes_down: i64,
}

impl TryFrom<TotalsRow> for Totals {
    type Error = Corrupt;

    fn try_from(row: TotalsRow) -> Result<Self, Corrupt> {
        let TotalsRow { updates, samples, correct, synaptic_ops, bytes_up, bytes_down } = row;
        Ok(Self {
            updates: int("rounds.updates", updates)?,
            samples: int("rounds.samples", samples)?,
            correct: int("rounds.correct", correct)?,
            synaptic_ops: int("rounds.synaptic_ops", synaptic_ops)?,
            bytes_up: int("rounds.bytes_up", bytes_up)?,
            bytes_down: int("rounds.bytes_down", bytes_down)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RoundRow {
    id: i64,
    run_id: i64,
    number: i64,
    attempt: i64,
    state: String,
    reason: Option<String>,
    base_version: i64,
    version: Option<i64>,
    at_deadline: bool,
    served_ms: i64,
    cohort: i64,
    #[sqlx(flatten)]
    totals: TotalsRow,
    receipts_dropped: i64,
    opened_ms: i64,
    closed_ms: Option<i64>,
}

impl TryFrom<RoundRow> for Round {
    type Error = Corrupt;

    fn try_from(row: RoundRow) -> Result<Self, Corrupt> {
        Ok(Self {
            key: RoundKey(row.id),
            round: round_ref(row.run_id, row.number, row.attempt)?,
            state: state(&row.state)?,
            reason: row.reason,
            base_version: VersionNumber(int("rounds.base_version", row.base_version)?),
            version: int_or_none("rounds.version", row.version)?.map(VersionNumber),
            at_deadline: row.at_deadline,
            served_ms: int("rounds.served_ms", row.served_ms)?,
            cohort: int("rounds.cohort", row.cohort)?,
            totals: row.totals.try_into()?,
            dropped: int("rounds.receipts_dropped", row.receipts_dropped)?,
            opened_ms: int("rounds.opened_ms", row.opened_ms)?,
            closed_ms: int_or_none("rounds.closed_ms", row.closed_ms)?,
        })
    }
}

impl Store {
    /// Opens a round from the model's newest version; `None` when it is not the run's next one any more, or the run is
    /// paused or over. Its nodes have their turn with it.
    pub(crate) async fn open_round(
        &self,
        opening: Opening,
        now: Timestamp,
    ) -> Result<Option<RoundKey>, StoreError> {
        self.write("open_round", async move |tx: &mut SqliteConnection| {
            let Opening { round, weights, mut cohort } = opening;
            // As they stand in the tables: neighbours are written together.
            cohort.sort_unstable();
            let key: Option<i64> = sqlx::query_scalar(
                "INSERT INTO rounds (run_id, number, attempt, state, base_version, cohort, opened_ms)
                 SELECT id, round, attempt, 'open', (SELECT max(number) FROM versions WHERE model = runs.model), ?, ?
                 FROM runs WHERE id = ? AND round = ? AND attempt = ? AND ended_ms IS NULL AND NOT paused
                     AND NOT EXISTS (SELECT 1 FROM rounds WHERE run_id = runs.id AND closed_ms IS NULL)
                 RETURNING id",
            )
            .bind(i64::try_from(cohort.len()).map_err(|_| sqlx::Error::RowNotFound)?)
            .bind(sql(now.0))
            .bind(sql(round.run.0))
            .bind(round.number)
            .bind(round.attempt)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(key) = key else { return Ok(None) };
            for part in cohort.chunks(NAMES_AT_ONCE) {
                insert_members(tx, key, part).await?;
            }
            sqlx::query("INSERT INTO sums (round_id, lanes) VALUES (?, ?)")
                .bind(key)
                .bind(Sum::new(weights).encode())
                .execute(&mut *tx)
                .await?;
            sqlx::query("UPDATE runs SET state = 'running' WHERE id = ?")
                .bind(sql(round.run.0))
                .execute(&mut *tx)
                .await?;
            super::audit::round_opened(tx, round, &cohort, now).await?;
            Ok(Some(RoundKey(key)))
        })
        .await
    }

    /// The nodes drawn for a round, by name, each with whether its update is counted.
    pub(crate) async fn cohort(&self, key: RoundKey) -> Result<Vec<(NodeId, bool)>, StoreError> {
        self.read("cohort", async move |tx: &mut SqliteConnection| {
            let mut rows = sqlx::query_as::<_, (String, bool)>(
                "SELECT node_id, EXISTS (
                     SELECT 1 FROM contributions c WHERE c.round_id = m.round_id AND c.node_id = m.node_id)
                 FROM cohorts m WHERE round_id = ? ORDER BY node_id",
            )
            .bind(key.0)
            .fetch(tx);
            // Row by row: a cohort may be large, and its names are shared elsewhere.
            let mut members = Vec::new();
            while let Some(row) = rows.try_next().await? {
                members.push((text("cohorts.node_id", &row.0)?, row.1));
            }
            Ok(members)
        })
        .await
    }

    /// Up to `limit` of these rounds of a run after the cursor `after`, as they were opened; `None` for an unknown run.
    pub(crate) async fn rounds(
        &self,
        run: RunId,
        which: WhichRounds,
        after: u64,
        limit: u32,
    ) -> Result<Option<Vec<Round>>, StoreError> {
        self.read("rounds", async move |tx: &mut SqliteConnection| {
            let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE id = ?)")
                .bind(sql(run.0))
                .fetch_one(&mut *tx)
                .await?;
            if !known {
                return Ok(None);
            }
            let rows: Vec<RoundRow> = sqlx::query_as(
                "SELECT * FROM rounds WHERE run_id = ? AND id > ?
                     AND number = coalesce(?, number) AND state = coalesce(?, state)
                 ORDER BY id LIMIT ?",
            )
            .bind(sql(run.0))
            .bind(sql(after))
            .bind(which.number)
            .bind(which.state.map(RoundState::as_str))
            .bind(limit)
            .fetch_all(tx)
            .await?;
            Ok(Some(rows.into_iter().map(Round::try_from).collect::<Result<_, _>>()?))
        })
        .await
    }
}

/// Writes some of a cohort, by name, and that it is their turn.
async fn insert_members(
    tx: &mut SqliteConnection,
    key: i64,
    members: &[NodeId],
) -> Result<(), Fault> {
    let names: Vec<&str> = members.iter().map(NodeId::as_str).collect();
    let names = to_json(&names);
    sqlx::query("INSERT INTO cohorts (round_id, node_id) SELECT ?, value FROM json_each(?)")
        .bind(key)
        .bind(&names)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO turns (node_id, round_id, turns) SELECT value, ?, 1 FROM json_each(?) WHERE true
         ON CONFLICT (node_id) DO UPDATE SET round_id = excluded.round_id, turns = turns + 1",
    )
    .bind(key)
    .bind(names)
    .execute(tx)
    .await?;
    Ok(())
}

/// The round of a run that is not over.
pub(super) async fn live_round(
    tx: &mut SqliteConnection,
    run: i64,
) -> Result<Option<Round>, Fault> {
    let row: Option<RoundRow> =
        sqlx::query_as("SELECT * FROM rounds WHERE run_id = ? AND closed_ms IS NULL")
            .bind(run)
            .fetch_optional(tx)
            .await?;
    Ok(row.map(Round::try_from).transpose()?)
}

/// Writes how long a live round was served.
pub(super) async fn set_served(
    tx: &mut SqliteConnection,
    key: RoundKey,
    served_ms: u64,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE rounds SET served_ms = max(served_ms, ?) WHERE id = ? AND closed_ms IS NULL",
    )
    .bind(sql(served_ms))
    .bind(key.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// A round's name.
pub(super) fn round_ref(run: i64, number: i64, attempt: i64) -> Result<RoundRef, Corrupt> {
    Ok(RoundRef {
        run: RunId(int("rounds.run_id", run)?),
        number: int("rounds.number", number)?,
        attempt: int("rounds.attempt", attempt)?,
    })
}

/// A stored round's state.
pub(super) fn state(text: &str) -> Result<RoundState, Corrupt> {
    RoundState::from_text(text)
        .ok_or_else(|| Corrupt { column: "rounds.state", got: text.to_owned() })
}
