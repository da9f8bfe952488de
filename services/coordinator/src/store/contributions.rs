//! Contributions as they are shown: who was counted where, and what became of it.

use federation::round::RoundState;
use federation::{Digest, NodeId, RoundRef, RunId};
use sqlx::SqliteConnection;

use super::error::Corrupt;
use super::rounds::{round_ref, state};
use super::row::{digest, int, sql, text};
use super::{Store, StoreError};

/// The record that one node's update was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contribution {
    /// Its place among the contributions of a round.
    pub(crate) key: ContributionKey,
    /// The round that the update was ordered in.
    pub(crate) ordered: RoundRef,
    /// The round whose sum holds it: another one where it came late to an asynchronous run.
    pub(crate) counted: RoundRef,
    /// How the round that counted it stands.
    pub(crate) state: RoundState,
    /// Whose it is.
    pub(crate) node: NodeId,
    /// SHA-256 of the update.
    pub(crate) payload: Digest,
    /// Samples learnt from.
    pub(crate) samples: u64,
    /// Of these, classified correctly before learning from them.
    pub(crate) correct: u64,
    /// Synaptic operations.
    pub(crate) synaptic_ops: u64,
    /// Bytes received.
    pub(crate) bytes_up: u64,
    /// Bytes fetched.
    pub(crate) bytes_down: u64,
    /// When it was counted.
    pub(crate) counted_ms: u64,
}

/// A contribution's place: the rows of the rounds that counted and that ordered it, and its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContributionKey {
    counted: i64,
    node: String,
    ordered: i64,
}

impl ContributionKey {
    /// The place as a page's cursor.
    pub(crate) fn cursor(&self) -> String {
        format!("{}.{}.{}", self.counted, self.ordered, self.node)
    }

    /// The row of the round that ordered it; a node has one contribution for each.
    pub(crate) fn ordered(&self) -> u64 {
        self.ordered.unsigned_abs()
    }
}

impl std::str::FromStr for ContributionKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(());
        let counted = next()?.parse().map_err(|_| ())?;
        let ordered = next()?.parse().map_err(|_| ())?;
        Ok(Self { counted, ordered, node: next()?.to_owned() })
    }
}

#[derive(sqlx::FromRow)]
struct ContributionRow {
    counted_id: i64,
    ordered_id: i64,
    node_id: String,
    run_id: i64,
    number: i64,
    attempt: i64,
    counted_number: i64,
    counted_attempt: i64,
    state: String,
    payload_digest: Vec<u8>,
    samples: i64,
    correct: i64,
    synaptic_ops: i64,
    bytes_up: i64,
    bytes_down: i64,
    counted_ms: i64,
}

impl TryFrom<ContributionRow> for Contribution {
    type Error = Corrupt;

    fn try_from(row: ContributionRow) -> Result<Self, Corrupt> {
        Ok(Self {
            ordered: round_ref(row.run_id, row.number, row.attempt)?,
            counted: round_ref(row.run_id, row.counted_number, row.counted_attempt)?,
            state: state(&row.state)?,
            node: text("contributions.node_id", &row.node_id)?,
            payload: digest("contributions.payload_digest", &row.payload_digest)?,
            samples: int("contributions.samples", row.samples)?,
            correct: int("contributions.correct", row.correct)?,
            synaptic_ops: int("contributions.synaptic_ops", row.synaptic_ops)?,
            bytes_up: int("contributions.bytes_up", row.bytes_up)?,
            bytes_down: int("contributions.bytes_down", row.bytes_down)?,
            counted_ms: int("contributions.counted_ms", row.counted_ms)?,
            key: ContributionKey {
                counted: row.counted_id,
                node: row.node_id,
                ordered: row.ordered_id,
            },
        })
    }
}

/// What is shown of a contribution `c` that round `o` ordered and round `r` counted; where it comes from follows.
macro_rules! contributions {
    ($rest:literal) => {
        concat!(
            "SELECT r.id AS counted_id, o.id AS ordered_id, c.node_id, r.run_id, o.number, o.attempt,
                 r.number AS counted_number, r.attempt AS counted_attempt, r.state, c.payload_digest,
                 c.samples, c.correct, c.synaptic_ops, c.bytes_up, c.bytes_down, c.counted_ms ",
            $rest
        )
    };
}

impl Store {
    /// Up to `limit` contributions that are in the sums of a round's attempts, after the place `after`: by attempt,
    /// then by node. `None` for an unknown round.
    pub(crate) async fn round_contributions(
        &self,
        run: RunId,
        number: u32,
        after: ContributionKey,
        limit: u32,
    ) -> Result<Option<Vec<Contribution>>, StoreError> {
        self.read("round_contributions", async move |tx: &mut SqliteConnection| {
            let known: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM rounds WHERE run_id = ? AND number = ?)",
            )
            .bind(sql(run.0))
            .bind(number)
            .fetch_one(&mut *tx)
            .await?;
            if !known {
                return Ok(None);
            }
            // Each holds one contribution or more: no more attempts than the page has room are looked into.
            let attempts: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM rounds WHERE run_id = ? AND number = ? AND id >= ? AND updates > 0
                 ORDER BY id LIMIT ?",
            )
            .bind(sql(run.0))
            .bind(number)
            .bind(after.counted)
            .bind(limit.saturating_add(1))
            .fetch_all(&mut *tx)
            .await?;
            let mut found = Vec::new();
            for attempt in attempts {
                let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
                if left == 0 {
                    break;
                }
                let (node, ordered) = match attempt == after.counted {
                    true => (after.node.as_str(), after.ordered),
                    false => ("", 0),
                };
                // Two walks in the order of the page, merged: those ordered here, and those that came late.
                let rows: Vec<ContributionRow> = sqlx::query_as(contributions!(
                    "FROM (SELECT * FROM (SELECT * FROM contributions
                             WHERE round_id = ?1 AND node_id >= ?2 AND counted_in IS NULL
                             ORDER BY node_id LIMIT ?4 + 1)
                         UNION ALL
                         SELECT * FROM contributions WHERE counted_in = ?1 AND node_id >= ?2) c
                     JOIN rounds o ON o.id = c.round_id
                     JOIN rounds r ON r.id = ?1
                     WHERE (c.node_id, c.round_id) > (?2, ?3) ORDER BY c.node_id, c.round_id LIMIT ?4"
                ))
                .bind(attempt)
                .bind(node)
                .bind(ordered)
                .bind(left)
                .fetch_all(&mut *tx)
                .await?;
                for row in rows {
                    found.push(Contribution::try_from(row)?);
                }
            }
            Ok(Some(found))
        })
        .await
    }

    /// Up to `limit` contributions of a node, those first that were ordered first, after the round's row `after`;
    /// `None` for an unknown node.
    ///
    /// It looks once into every round: an index by node would cost every receipt a page more.
    pub(crate) async fn node_contributions(
        &self,
        node: NodeId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Vec<Contribution>>, StoreError> {
        self.read("node_contributions", async move |tx: &mut SqliteConnection| {
            let known: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM nodes WHERE id = ?)")
                    .bind(node.as_str())
                    .fetch_one(&mut *tx)
                    .await?;
            if !known {
                return Ok(None);
            }
            let rows: Vec<ContributionRow> = sqlx::query_as(contributions!(
                "FROM rounds o CROSS JOIN contributions c ON c.round_id = o.id AND c.node_id = ?1
                 JOIN rounds r ON r.id = coalesce(c.counted_in, c.round_id)
                 WHERE o.id > ?2 ORDER BY o.id LIMIT ?3"
            ))
            .bind(node.as_str())
            .bind(sql(after))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            Ok(Some(rows.into_iter().map(Contribution::try_from).collect::<Result<_, _>>()?))
        })
        .await
    }
}
