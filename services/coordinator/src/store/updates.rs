//! Updates: what they are judged against, and what became of them. `groups` counts them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use federation::admission::{Late, RoundView};
use federation::round::RoundState;
use federation::{Digest, NodeId, Plan, Receipt, RoundRef, Settled, VersionNumber};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::rounds::{RoundKey, state};
use super::row::{digest, int, int_or_none, sql};
use super::runs::plan;
use super::{Store, StoreError};

/// Plans held in memory: one for each run that is not over, in all fleets we know of.
const PLANS_CACHED: usize = 64;

/// The plans of runs, which never change, parsed.
#[derive(Clone, Debug, Default)]
pub(super) struct Plans(Arc<Mutex<BTreeMap<i64, Arc<Plan>>>>);

/// A round as the updates ordered in it meet it.
pub(super) struct Ordered {
    pub(super) key: RoundKey,
    pub(super) round: RoundRef,
    pub(super) state: RoundState,
    pub(super) base_version: VersionNumber,
    pub(super) base: Digest,
    pub(super) weights: u64,
    pub(super) plan: Arc<Plan>,
    /// The run's live round, which may be this one.
    pub(super) live: Option<LiveSum>,
    /// Whether the run has ended.
    over: bool,
}

/// A live round and the totals of its sum.
pub(super) struct LiveSum {
    pub(super) key: RoundKey,
    pub(super) state: RoundState,
    base_version: VersionNumber,
    pub(super) updates: u32,
    pub(super) weight: u64,
}

#[derive(sqlx::FromRow)]
struct OrderedRow {
    id: i64,
    run_id: i64,
    state: String,
    base_version: i64,
    base: Vec<u8>,
    weights: i64,
    live_id: Option<i64>,
    live_state: Option<String>,
    live_base: Option<i64>,
    over: bool,
    updates: Option<i64>,
    weight: Option<i64>,
}

impl Store {
    /// What an announced update is judged against; `None` for a round nobody knows.
    pub(crate) async fn round_view(
        &self,
        round: RoundRef,
        node: NodeId,
    ) -> Result<Option<RoundView>, StoreError> {
        let plans = self.plans.clone();
        self.read("round_view", async move |tx: &mut SqliteConnection| {
            let Some(met) = ordered(tx, &plans, round).await? else { return Ok(None) };
            let known = members(tx, &met, &[node.as_str()]).await?;
            Ok(Some(met.view(known.get(node.as_str()))))
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

    /// What became of the update that a node says was counted in a round. One that is not there, in a round whose receipts
    /// are, is in no version: a database that is gone counted it, and a backup took its place.
    pub(crate) async fn settled(
        &self,
        round: RoundRef,
        node: NodeId,
    ) -> Result<Settled, StoreError> {
        self.read("settled", async move |tx: &mut SqliteConnection| {
            let row: Option<(Option<String>, bool)> = sqlx::query_as(
                "SELECT s.state, r.receipts_dropped_ms IS NOT NULL FROM rounds r
                 LEFT JOIN contributions c ON c.round_id = r.id AND c.node_id = ?4
                 LEFT JOIN rounds s ON s.id = coalesce(c.counted_in, c.round_id)
                 WHERE r.run_id = ?1 AND r.number = ?2 AND r.attempt = ?3",
            )
            .bind(sql(round.run.0))
            .bind(round.number)
            .bind(round.attempt)
            .bind(node.as_str())
            .fetch_optional(tx)
            .await?;
            let (word, dropped) = row.unwrap_or_default();
            Ok(match word.as_deref().map(state).transpose()? {
                None if dropped => Settled::Unknown,
                None => Settled::Abandoned,
                Some(RoundState::Open | RoundState::Closing) => Settled::Open,
                Some(RoundState::Published) => Settled::Published,
                Some(RoundState::Abandoned) => Settled::Abandoned,
            })
        })
        .await
    }
}

impl Plans {
    async fn of(&self, tx: &mut SqliteConnection, run: i64) -> Result<Arc<Plan>, Fault> {
        let cache = || self.0.lock().expect("no code panics while it holds the plans");
        if let Some(known) = cache().get(&run) {
            return Ok(Arc::clone(known));
        }
        let text: String = sqlx::query_scalar("SELECT plan FROM runs WHERE id = ?")
            .bind(run)
            .fetch_one(tx)
            .await?;
        let parsed = Arc::new(plan(&text)?);
        let mut cache = cache();
        while cache.len() >= PLANS_CACHED {
            cache.pop_first();
        }
        cache.insert(run, Arc::clone(&parsed));
        Ok(parsed)
    }
}

/// A round by its name.
pub(super) async fn ordered(
    tx: &mut SqliteConnection,
    plans: &Plans,
    round: RoundRef,
) -> Result<Option<Ordered>, Fault> {
    let row: Option<OrderedRow> = sqlx::query_as(
        "SELECT r.id, r.run_id, r.state, r.base_version, v.digest AS base, m.weights,
             l.id AS live_id, l.state AS live_state, l.base_version AS live_base, l.updates, l.weight,
             runs.ended_ms IS NOT NULL AS over
         FROM rounds r
         JOIN runs ON runs.id = r.run_id
         JOIN models m ON m.name = runs.model
         JOIN versions v ON v.model = runs.model AND v.number = r.base_version
         LEFT JOIN rounds l ON l.run_id = r.run_id AND l.closed_ms IS NULL
         WHERE r.run_id = ? AND r.number = ? AND r.attempt = ?",
    )
    .bind(sql(round.run.0))
    .bind(round.number)
    .bind(round.attempt)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let live = match (row.live_id, row.live_state.as_deref()) {
        (Some(key), Some(word)) => Some(LiveSum {
            key: RoundKey(key),
            state: state(word)?,
            base_version: VersionNumber(
                int_or_none("rounds.base_version", row.live_base)?.unwrap_or_default(),
            ),
            updates: int_or_none("rounds.updates", row.updates)?.unwrap_or_default(),
            weight: int_or_none("rounds.weight", row.weight)?.unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(Some(Ordered {
        key: RoundKey(row.id),
        round,
        state: state(&row.state)?,
        base_version: VersionNumber(int("rounds.base_version", row.base_version)?),
        base: digest("versions.digest", &row.base)?,
        weights: int("models.weights", row.weights)?,
        plan: plans.of(tx, row.run_id).await?,
        live,
        over: row.over,
    }))
}

/// Of the nodes named in ?2 those in the cohort of round ?1, with their contributions; what is asked of them goes before.
macro_rules! asked_members {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM json_each(?2) j
             -- CROSS: the few names asked for first, not the whole cohort.
             CROSS JOIN cohorts m ON m.round_id = ?1 AND m.node_id = j.value
             LEFT JOIN contributions c ON c.round_id = ?1 AND c.node_id = m.node_id"
        )
    };
}

/// Which of `nodes` are in the round's cohort, each with the receipt it holds.
pub(super) async fn members(
    tx: &mut SqliteConnection,
    met: &Ordered,
    nodes: &[&str],
) -> Result<BTreeMap<String, Option<Receipt>>, Fault> {
    let asked = serde_json::to_string(nodes).expect("texts are always JSON");
    // As a rule all of them are, and none has a receipt: one row says so.
    let (found, counted): (i64, i64) = sqlx::query_as(asked_members!("count(*), count(c.node_id)"))
        .bind(met.key.0)
        .bind(&asked)
        .fetch_one(&mut *tx)
        .await?;
    if counted == 0 && usize::try_from(found) == Ok(nodes.len()) {
        return Ok(nodes.iter().map(|&node| (node.to_owned(), None)).collect());
    }
    let rows: Vec<(String, Option<Vec<u8>>, Option<i64>)> =
        sqlx::query_as(asked_members!("m.node_id, c.payload_digest, c.counted_ms"))
            .bind(met.key.0)
            .bind(asked)
            .fetch_all(tx)
            .await?;
    let mut members = BTreeMap::new();
    for (node, payload, counted_ms) in rows {
        let receipt = match payload.zip(counted_ms) {
            None => None,
            Some((payload, counted_ms)) => Some(Receipt {
                round: met.round,
                payload: digest("contributions.payload_digest", &payload)?,
                counted_at_ms: int("contributions.counted_ms", counted_ms)?,
            }),
        };
        members.insert(node, receipt);
    }
    Ok(members)
}

impl Ordered {
    /// The round as one node's update meets it: `member` is what [`members`] says of the node.
    pub(super) fn view(&self, member: Option<&Option<Receipt>>) -> RoundView {
        RoundView {
            round: self.round,
            state: self.state,
            base_version: self.base_version,
            base: self.base,
            weights: self.weights,
            samples_max: self.plan.samples_max,
            selected: member.is_some(),
            receipt: member.copied().flatten(),
            late: self.late(),
        }
    }

    /// Whether an update may count in a later round than the one it was ordered in.
    pub(super) fn asynchronous(&self) -> bool {
        self.plan.strategy.asynchronous()
    }

    /// Versions that the run has published since the one that this round started from, as far as its live round knows.
    pub(super) fn staleness(&self) -> u32 {
        let newest = self.live.as_ref().map_or(self.base_version, |live| live.base_version);
        newest.0.saturating_sub(self.base_version.0)
    }

    fn late(&self) -> Option<Late> {
        let staleness_max = self.plan.strategy.staleness_max();
        (self.asynchronous() && !self.over)
            .then(|| Late { staleness: self.staleness(), staleness_max })
    }

    /// The round whose sum takes an update ordered in this one, if any does now.
    pub(super) fn target(&self) -> Option<RoundKey> {
        let live = self.live.as_ref().filter(|live| live.state == RoundState::Open)?;
        (live.key == self.key || self.asynchronous()).then_some(live.key)
    }
}
