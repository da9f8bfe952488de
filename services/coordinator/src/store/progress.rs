//! What goes on: the runs that are not over, as the rounds' clockwork needs to see them.

use federation::round::RoundState;
use federation::{Digest, ModelName, Plan, RoundRef, VersionNumber};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::rounds::{RoundKey, round_ref, state};
use super::row::{digest, int, text};
use super::runs::plan;
use super::{Store, StoreError};

/// A run that is not over.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Its live round, or the next one to open.
    pub(crate) round: RoundRef,
    /// The model it moves.
    pub(crate) model: ModelName,
    /// Who can learn with the model.
    pub(crate) learner: String,
    /// Number of weights of the model.
    pub(crate) weights: u64,
    /// The run's plan.
    pub(crate) plan: Plan,
    /// The round, if it is open or closing.
    pub(crate) live: Option<LiveRound>,
    /// The row of the round it opened last.
    pub(crate) opened: Option<RoundKey>,
    /// Whether it must not open another.
    pub(crate) paused: bool,
}

/// A round that is not over.
#[derive(Clone, Debug)]
pub(crate) struct LiveRound {
    /// Its row.
    pub(crate) key: RoundKey,
    /// Open or closing.
    pub(crate) state: RoundState,
    /// The version it started from.
    pub(crate) base_version: VersionNumber,
    /// That version's digest.
    pub(crate) base: Digest,
    /// Updates counted.
    pub(crate) updates: u32,
    /// Milliseconds of serving, as last written.
    pub(crate) served_ms: u64,
}

#[derive(sqlx::FromRow)]
struct LiveRow {
    id: i64,
    round: i64,
    attempt: i64,
    model: String,
    learner: String,
    weights: i64,
    plan: String,
    opened: Option<i64>,
    paused: bool,
    #[sqlx(flatten)]
    live: LiveRoundRow,
}

#[derive(sqlx::FromRow)]
struct LiveRoundRow {
    round_id: Option<i64>,
    state: Option<String>,
    base_version: Option<i64>,
    base: Option<Vec<u8>>,
    updates: Option<i64>,
    served_ms: Option<i64>,
}

impl Store {
    /// All runs that are not over, the oldest first.
    pub(crate) async fn live(&self) -> Result<Vec<Live>, StoreError> {
        self.read("live", async move |tx: &mut SqliteConnection| {
            let rows: Vec<LiveRow> = sqlx::query_as(
                "SELECT runs.id, runs.round, runs.attempt, runs.model, m.learner, m.weights, runs.plan, runs.paused,
                     (SELECT id FROM rounds WHERE run_id = runs.id ORDER BY number DESC, attempt DESC LIMIT 1) AS opened,
                     r.id AS round_id, r.state, r.base_version, v.digest AS base, r.updates, r.served_ms
                 FROM runs JOIN models m ON m.name = runs.model
                 LEFT JOIN rounds r ON r.run_id = runs.id AND r.closed_ms IS NULL
                 LEFT JOIN versions v ON v.model = runs.model AND v.number = r.base_version
                 WHERE runs.ended_ms IS NULL ORDER BY runs.id",
            )
            .fetch_all(tx)
            .await?;
            rows.into_iter().map(Live::try_from).collect()
        })
        .await
    }
}

impl TryFrom<LiveRow> for Live {
    type Error = Fault;

    fn try_from(row: LiveRow) -> Result<Self, Fault> {
        let LiveRow {
            id,
            round,
            attempt,
            model,
            learner,
            weights,
            plan: text_of_plan,
            opened,
            paused,
            live,
        } = row;
        Ok(Self {
            round: round_ref(id, round, attempt)?,
            model: text("runs.model", &model)?,
            learner,
            weights: int("models.weights", weights)?,
            plan: plan(&text_of_plan)?,
            live: live.parse()?,
            opened: opened.map(RoundKey),
            paused,
        })
    }
}

impl LiveRoundRow {
    fn parse(self) -> Result<Option<LiveRound>, Fault> {
        let Self {
            round_id: Some(key),
            state: Some(word),
            base_version: Some(base_version),
            base: Some(base),
            updates: Some(updates),
            served_ms: Some(served_ms),
        } = self
        else {
            return Ok(None);
        };
        Ok(Some(LiveRound {
            key: RoundKey(key),
            state: state(&word)?,
            base_version: VersionNumber(int("rounds.base_version", base_version)?),
            base: digest("versions.digest", &base)?,
            updates: int("rounds.updates", updates)?,
            served_ms: int("rounds.served_ms", served_ms)?,
        }))
    }
}
