//! What gets old and is dropped: one small transaction at a time, each with an entry in the audit log that names what it
//! dropped. Rows stay where others refer to them, and say that what they held is gone.

use std::collections::BTreeSet;

use federation::Timestamp;
use serde_json::json;
use sqlx::SqliteConnection;

use super::error::Fault;
use super::rounds::round_ref;
use super::row::sql;
use super::{Store, StoreError, audit};

/// What there is to drop, as the action of the audit log's entry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dropped {
    /// Artifacts: the entry names their versions.
    Artifacts,
    /// Sums: the entry names their rounds.
    Sums,
    /// Contributions and cohorts: the entry names their rounds.
    Receipts,
}

impl Dropped {
    /// The action of the entry.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Artifacts => "retention.artifacts",
            Self::Sums => "retention.sums",
            Self::Receipts => "retention.receipts",
        }
    }

    /// What an entry of this action tells of.
    pub(crate) fn of(action: &str) -> Option<Self> {
        [Self::Artifacts, Self::Sums, Self::Receipts]
            .into_iter()
            .find(|dropped| dropped.action() == action)
    }
}

/// Most events dropped at a time.
const EVENTS_MAX: u32 = 2_000;
/// Most artifacts dropped at a time.
const VERSIONS_MAX: u32 = 16;
/// Most sums dropped at a time.
const SUMS_MAX: u32 = 16;

/// Which artifacts are spared, besides those in use: of each model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spared {
    /// The newest so many.
    pub(crate) newest: u32,
    /// Each whose number is a multiple of this; 0 for none.
    pub(crate) every: u32,
}

impl Store {
    /// Drops events from before `before`, the oldest first, and says how many.
    pub(crate) async fn drop_events(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write("drop_events", async move |tx: &mut SqliteConnection| {
            // In order of their numbers, up to the first that is kept: there are no holes for whoever follows them.
            let oldest: Vec<(i64, i64)> =
                sqlx::query_as("SELECT seq, at_ms FROM events ORDER BY seq LIMIT ?")
                    .bind(EVENTS_MAX)
                    .fetch_all(&mut *tx)
                    .await?;
            let old = oldest.iter().take_while(|(_, at_ms)| *at_ms < sql(before.0));
            let Some((last, _)) = old.last() else { return Ok(0) };
            let dropped = sqlx::query("DELETE FROM events WHERE seq <= ?")
                .bind(last)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let detail = json!({"events": dropped, "last": last});
            told(tx, "retention.events", &detail, now).await?;
            Ok(dropped)
        })
        .await
    }

    /// Drops artifacts that nobody needs any more, and says how many: never that of a model's newest version, nor one
    /// that a run began from or an open round starts from, nor one that a channel has or would return to, nor one that two
    /// versions share.
    pub(crate) async fn drop_artifacts(
        &self,
        spared: Spared,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let dropped = self.write("drop_artifacts", async move |tx: &mut SqliteConnection| {
            let rows: Vec<(String, i64, Vec<u8>)> = sqlx::query_as(
                "SELECT v.model, v.number, v.digest FROM versions v
                 JOIN artifacts a ON a.digest = v.digest AND a.dropped_ms IS NULL
                 WHERE v.number <= (SELECT max(number) FROM versions WHERE model = v.model) - ?1
                     AND (?2 = 0 OR v.number % ?2 <> 0)
                     AND NOT EXISTS (SELECT 1 FROM runs WHERE model = v.model AND base_version = v.number)
                     AND NOT EXISTS (SELECT 1 FROM rounds r JOIN runs ON runs.id = r.run_id
                         WHERE runs.model = v.model AND r.base_version = v.number AND r.closed_ms IS NULL)
                     AND (SELECT count(*) FROM versions WHERE digest = v.digest) = 1
                     AND NOT EXISTS (SELECT 1 FROM promotions p JOIN promotions n
                         ON n.model = p.model AND n.channel = p.channel AND n.number =
                             (SELECT max(number) FROM promotions WHERE model = p.model AND channel = p.channel)
                         WHERE p.model = v.model AND p.version = v.number AND p.number IN (n.number, n.fallback))
                 ORDER BY v.model, v.number LIMIT ?3",
            )
            .bind(spared.newest.max(1))
            .bind(spared.every)
            .bind(VERSIONS_MAX)
            .fetch_all(&mut *tx)
            .await?;
            let mut names = Vec::with_capacity(rows.len());
            for (model, number, digest) in rows {
                sqlx::query("UPDATE artifacts SET bytes = x'', dropped_ms = ? WHERE digest = ?")
                    .bind(sql(now.0))
                    .bind(digest)
                    .execute(&mut *tx)
                    .await?;
                names.push(format!("{model}/{number}"));
            }
            tell_names(tx, Dropped::Artifacts, names, now).await
        });
        let dropped = dropped.await?;
        if dropped > 0 {
            // What is gone is gone for everybody, also for who asked for it a moment ago.
            self.artifacts.lock().expect("no code panics while it holds the cache").clear();
        }
        Ok(dropped)
    }

    /// Drops the sums of rounds that ended before `before`, and says of how many.
    pub(crate) async fn drop_sums(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write("drop_sums", async move |tx: &mut SqliteConnection| {
            let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
                "SELECT id, run_id, number, attempt FROM rounds
                 WHERE closed_ms < ? AND sum_dropped_ms IS NULL ORDER BY closed_ms LIMIT ?",
            )
            .bind(sql(before.0))
            .bind(SUMS_MAX)
            .fetch_all(&mut *tx)
            .await?;
            let mut names = Vec::with_capacity(rows.len());
            for (id, run, number, attempt) in rows {
                sqlx::query("DELETE FROM sums WHERE round_id = ?")
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("UPDATE rounds SET sum_dropped_ms = ? WHERE id = ?")
                    .bind(sql(now.0))
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
                names.push(round_ref(run, number, attempt)?.to_string());
            }
            tell_names(tx, Dropped::Sums, names, now).await
        })
        .await
    }

    /// Drops contributions and cohort of one round that ended before `before`, and says whether there was one. One of
    /// whose updates is in the sum of an open round is kept.
    pub(crate) async fn drop_receipts(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write("drop_receipts", async move |tx: &mut SqliteConnection| {
            let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
                "SELECT r.id, r.run_id, r.number, r.attempt FROM rounds r
                 WHERE r.closed_ms < ? AND r.receipts_dropped_ms IS NULL
                     AND NOT EXISTS (SELECT 1 FROM contributions c JOIN rounds o ON o.id = c.counted_in
                         WHERE c.round_id = r.id AND o.closed_ms IS NULL)
                 ORDER BY r.closed_ms LIMIT 1",
            )
            .bind(sql(before.0))
            .fetch_optional(&mut *tx)
            .await?;
            let Some((id, run, number, attempt)) = row else { return Ok(0) };
            sqlx::query(
                "UPDATE rounds SET receipts_dropped = receipts_dropped + c.dropped
                 FROM (SELECT coalesce(counted_in, round_id) AS sum_of, count(*) AS dropped
                     FROM contributions WHERE round_id = ? GROUP BY 1) c
                 WHERE rounds.id = c.sum_of",
            )
            .bind(id)
            .execute(&mut *tx)
            .await?;
            for table in ["DELETE FROM contributions WHERE round_id = ?", "DELETE FROM cohorts WHERE round_id = ?"]
            {
                sqlx::query(table).bind(id).execute(&mut *tx).await?;
            }
            sqlx::query("UPDATE rounds SET receipts_dropped_ms = ? WHERE id = ?")
                .bind(sql(now.0))
                .bind(id)
                .execute(&mut *tx)
                .await?;
            let name = round_ref(run, number, attempt)?.to_string();
            tell_names(tx, Dropped::Receipts, vec![name], now).await
        })
        .await
    }

    /// Proves that there is room to write as much as a group of updates, most of the time. Needed after there was none.
    pub(crate) async fn prove_room(&self) -> Result<(), StoreError> {
        const BYTES: i32 = 256 << 10;
        // Twice, because what is written and freed in one transaction never reaches the disk.
        self.write("prove_room", async move |tx: &mut SqliteConnection| {
            sqlx::query("INSERT OR REPLACE INTO room (id, bytes) VALUES (1, zeroblob(?))")
                .bind(BYTES)
                .execute(tx)
                .await?;
            Ok(())
        })
        .await?;
        self.write("free_room", async move |tx: &mut SqliteConnection| {
            sqlx::query("DELETE FROM room").execute(tx).await?;
            Ok(())
        })
        .await
    }
}

/// All that was dropped, by name: of versions `model/number`, of rounds `run/number/attempt`.
pub(super) async fn dropped(
    tx: &mut SqliteConnection,
) -> Result<BTreeSet<(Dropped, String)>, Fault> {
    let mut all = BTreeSet::new();
    let versions: Vec<(String, i64)> = sqlx::query_as(
        "SELECT v.model, v.number FROM artifacts a JOIN versions v ON v.digest = a.digest
         WHERE a.dropped_ms IS NOT NULL",
    )
    .fetch_all(&mut *tx)
    .await?;
    let name = |(model, number)| (Dropped::Artifacts, format!("{model}/{number}"));
    all.extend(versions.into_iter().map(name));
    let rounds: Vec<(i64, i64, i64, bool, bool)> = sqlx::query_as(
        "SELECT run_id, number, attempt, sum_dropped_ms IS NOT NULL, receipts_dropped_ms IS NOT NULL FROM rounds
         WHERE sum_dropped_ms IS NOT NULL OR receipts_dropped_ms IS NOT NULL",
    )
    .fetch_all(tx)
    .await?;
    for (run, number, attempt, sum, receipts) in rounds {
        let name = round_ref(run, number, attempt)?.to_string();
        if sum {
            all.insert((Dropped::Sums, name.clone()));
        }
        if receipts {
            all.insert((Dropped::Receipts, name));
        }
    }
    Ok(all)
}

/// Writes the entry that names what was dropped, if anything was, and says how many.
async fn tell_names(
    tx: &mut SqliteConnection,
    dropped: Dropped,
    names: Vec<String>,
    now: Timestamp,
) -> Result<u64, Fault> {
    let count = u64::try_from(names.len()).expect("a length fits 64 bits");
    if count > 0 {
        told(tx, dropped.action(), &json!({"of": names}), now).await?;
    }
    Ok(count)
}

async fn told(
    tx: &mut SqliteConnection,
    action: &str,
    detail: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Fault> {
    audit::append(tx, audit::COORDINATOR, action, "retention".to_owned(), detail, now).await
}
