//! Updates: what they are judged against, and the transaction that counts them.

use federation::admission::{RoundView, Verdict, judge};
use federation::aggregate::Sum;
use federation::round::RoundState;
use federation::{
    Answer, Candidate, NodeId, Plan, Receipt, RoundRef, Settled, Timestamp, VersionNumber,
};
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::rounds::{RoundKey, state};
use super::row::{digest, int, sql};
use super::runs::plan;
use super::{Store, StoreError};

/// An update that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The node's receipt, now or from before.
    pub(crate) receipt: Receipt,
    /// Whether this update reached its round's goal.
    pub(crate) closes: bool,
}

#[derive(sqlx::FromRow)]
struct ViewRow {
    id: i64,
    state: String,
    base_version: i64,
    base: Vec<u8>,
    weights: i64,
    plan: String,
    updates: i64,
    weight: i64,
    selected: bool,
    payload_digest: Option<Vec<u8>>,
    counted_ms: Option<i64>,
}

/// A round as one node's update meets it.
struct Met {
    key: RoundKey,
    view: RoundView,
    plan: Plan,
    updates: u32,
    weight: u64,
}

impl Store {
    /// What an announced update is judged against; `None` for a round nobody knows.
    pub(crate) async fn round_view(
        &self,
        round: RoundRef,
        node: NodeId,
    ) -> Result<Option<RoundView>, StoreError> {
        self.read("round_view", async move |tx: &mut SqliteConnection| {
            Ok(meet(tx, round, &node).await?.map(|met| met.view))
        })
        .await
    }

    /// Counts an update, once: judges it again, inserts its contribution, and folds `lanes` into the round's sum if
    /// and only if the contribution was inserted. With the round's goal it closes the round to further updates.
    pub(crate) async fn count_update(
        &self,
        candidate: Candidate,
        lanes: Vec<i8>,
        now: Timestamp,
    ) -> Result<Answer<Counted>, StoreError> {
        self.write("count_update", async move |tx: &mut SqliteConnection| {
            let met = meet(tx, candidate.round, &candidate.node).await?;
            match judge(met.as_ref().map(|met| &met.view), &candidate) {
                Verdict::Refuse(refusal) => return Ok(Err(refusal)),
                Verdict::Again(receipt) => return Ok(Ok(Counted { receipt, closes: false })),
                Verdict::Proceed => {}
            }
            let met = met.expect("an update of an unknown round was refused");
            insert_contribution(tx, met.key, &candidate, now).await?;
            let closes = fold(tx, &met, &candidate, &lanes).await?;
            let Candidate { round, payload, .. } = candidate;
            Ok(Ok(Counted { receipt: Receipt { round, payload, counted_at_ms: now.0 }, closes }))
        })
        .await
    }

    /// Whether a node's update is counted in a round.
    pub(crate) async fn is_counted(&self, key: RoundKey, node: NodeId) -> Result<bool, StoreError> {
        self.read("is_counted", async move |tx: &mut SqliteConnection| {
            Ok(sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM contributions WHERE round_id = ? AND node_id = ?)",
            )
            .bind(key.0)
            .bind(node.as_str())
            .fetch_one(tx)
            .await?)
        })
        .await
    }

    /// What became of the update that a node had counted in a round.
    pub(crate) async fn settled(
        &self,
        round: RoundRef,
        node: NodeId,
    ) -> Result<Settled, StoreError> {
        self.read("settled", async move |tx: &mut SqliteConnection| {
            let word: Option<String> = sqlx::query_scalar(
                "SELECT r.state FROM rounds r JOIN contributions c ON c.round_id = r.id
                 WHERE r.run_id = ? AND r.number = ? AND r.attempt = ? AND c.node_id = ?",
            )
            .bind(sql(round.run.0))
            .bind(round.number)
            .bind(round.attempt)
            .bind(node.as_str())
            .fetch_optional(tx)
            .await?;
            Ok(match word.as_deref().map(state).transpose()? {
                None => Settled::Unknown,
                Some(RoundState::Open | RoundState::Closing) => Settled::Open,
                Some(RoundState::Published) => Settled::Published,
                Some(RoundState::Abandoned) => Settled::Abandoned,
            })
        })
        .await
    }
}

async fn meet(
    tx: &mut SqliteConnection,
    round: RoundRef,
    node: &NodeId,
) -> Result<Option<Met>, Fault> {
    let row: Option<ViewRow> = sqlx::query_as(
        "SELECT r.id, r.state, r.base_version, v.digest AS base, m.weights, runs.plan, r.updates, r.weight,
             EXISTS (SELECT 1 FROM cohorts WHERE round_id = r.id AND node_id = ?1) AS selected,
             c.payload_digest, c.counted_ms
         FROM rounds r
         JOIN runs ON runs.id = r.run_id
         JOIN models m ON m.name = runs.model
         JOIN versions v ON v.model = runs.model AND v.number = r.base_version
         LEFT JOIN contributions c ON c.round_id = r.id AND c.node_id = ?1
         WHERE r.run_id = ?2 AND r.number = ?3 AND r.attempt = ?4",
    )
    .bind(node.as_str())
    .bind(sql(round.run.0))
    .bind(round.number)
    .bind(round.attempt)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let plan = plan(&row.plan)?;
    let receipt = match row.payload_digest.zip(row.counted_ms) {
        None => None,
        Some((payload, counted_ms)) => Some(Receipt {
            round,
            payload: digest("contributions.payload_digest", &payload)?,
            counted_at_ms: int("contributions.counted_ms", counted_ms)?,
        }),
    };
    let view = RoundView {
        round,
        state: state(&row.state)?,
        base_version: VersionNumber(int("rounds.base_version", row.base_version)?),
        base: digest("versions.digest", &row.base)?,
        weights: int("models.weights", row.weights)?,
        samples_max: plan.samples_max,
        selected: row.selected,
        receipt,
    };
    let updates = int("rounds.updates", row.updates)?;
    let weight = int("rounds.weight", row.weight)?;
    Ok(Some(Met { key: RoundKey(row.id), view, plan, updates, weight }))
}

/// The unique key is the guarantee: were the judgement wrong, this would fail instead of counting twice.
async fn insert_contribution(
    tx: &mut SqliteConnection,
    key: RoundKey,
    candidate: &Candidate,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO contributions (round_id, node_id, payload_digest, samples, correct, synaptic_ops,
             bytes_up, bytes_down, counted_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(key.0)
    .bind(candidate.node.as_str())
    .bind(&candidate.payload.0[..])
    .bind(candidate.samples)
    .bind(sql(candidate.metrics.correct))
    .bind(sql(candidate.metrics.synaptic_ops))
    .bind(sql(candidate.payload_bytes))
    .bind(sql(candidate.metrics.bytes_down))
    .bind(sql(now.0))
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds an update to its round's sum and totals; tells whether the round has its goal now.
async fn fold(
    tx: &mut SqliteConnection,
    met: &Met,
    candidate: &Candidate,
    lanes: &[i8],
) -> Result<bool, Fault> {
    let stored: Vec<u8> = sqlx::query_scalar("SELECT lanes FROM sums WHERE round_id = ?")
        .bind(met.key.0)
        .fetch_one(&mut *tx)
        .await?;
    let mut sum = sum(&stored, met.view.weights, met.weight, met.updates)?;
    let weight =
        met.plan.strategy.weight(candidate.samples, 0).expect("nothing is late at 0 versions");
    sum.fold_all(&[(lanes, weight)]);
    sqlx::query("UPDATE sums SET lanes = ? WHERE round_id = ?")
        .bind(sum.encode())
        .bind(met.key.0)
        .execute(&mut *tx)
        .await?;
    let closes = sum.updates() >= met.plan.cohort.goal;
    sqlx::query(
        "UPDATE rounds SET state = ?, updates = ?, weight = ?, samples = samples + ?, correct = correct + ?,
             synaptic_ops = synaptic_ops + ?, bytes_up = bytes_up + ?, bytes_down = bytes_down + ? WHERE id = ?",
    )
    .bind(if closes { RoundState::Closing } else { RoundState::Open }.as_str())
    .bind(sum.updates())
    .bind(sql(sum.weight()))
    .bind(candidate.samples)
    .bind(sql(candidate.metrics.correct))
    .bind(sql(candidate.metrics.synaptic_ops))
    .bind(sql(candidate.payload_bytes))
    .bind(sql(candidate.metrics.bytes_down))
    .bind(met.key.0)
    .execute(tx)
    .await?;
    Ok(closes)
}

/// A stored sum.
pub(super) fn sum(lanes: &[u8], weights: u64, weight: u64, updates: u32) -> Result<Sum, Corrupt> {
    let bad = |got: String| Corrupt { column: "sums.lanes", got };
    let width = usize::try_from(weights).map_err(|error| bad(error.to_string()))?;
    Sum::decode(lanes, width, weight, updates).map_err(|error| bad(error.to_string()))
}
