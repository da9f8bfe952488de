//! How a version was made: everything recorded about it, as the audit log tells it and as replay needs it.

use federation::{Digest, ModelName, RoundRef, VersionNumber};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::rounds::{RoundKey, round_ref};
use super::row::{digest, digest_or_none, int, int_or_none};

/// How a version was made.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// The model.
    pub(crate) model: ModelName,
    /// The version.
    pub(crate) number: VersionNumber,
    /// Its digest.
    pub(crate) digest: Digest,
    /// The version it came from.
    pub(crate) parent: Option<VersionNumber>,
    /// That one's digest.
    pub(crate) parent_digest: Option<Digest>,
    /// SHA-256 of the stored sum.
    pub(crate) sum_digest: Option<Digest>,
    /// SHA-256 of the optimiser's state after the round.
    pub(crate) optimizer_digest: Option<Digest>,
    /// The audit log's head before the entry that tells of the version; `None` when it is older than the log.
    pub(crate) audit_head: Option<Digest>,
    /// The round that made it.
    pub(crate) made_by: Option<MadeBy>,
}

/// The round that made a version.
#[derive(Clone, Debug)]
pub(crate) struct MadeBy {
    /// Its row.
    pub(crate) key: RoundKey,
    /// Its name.
    pub(crate) round: RoundRef,
    /// The version it started from.
    pub(crate) base_version: VersionNumber,
    /// The version it says it made.
    pub(crate) version: Option<VersionNumber>,
    /// Updates in its sum.
    pub(crate) updates: u32,
    /// Their weight.
    pub(crate) weight: u64,
    /// The version its run began from.
    pub(crate) run_base: VersionNumber,
    /// The run's plan, as stored.
    pub(crate) plan: String,
}

#[derive(sqlx::FromRow)]
struct LineageRow {
    digest: Vec<u8>,
    parent: Option<i64>,
    parent_digest: Option<Vec<u8>>,
    sum_digest: Option<Vec<u8>>,
    optimizer_digest: Option<Vec<u8>>,
    audit_head: Option<Vec<u8>>,
    round_id: Option<i64>,
    #[sqlx(flatten)]
    made_by: MadeByRow,
}

#[derive(sqlx::FromRow)]
struct MadeByRow {
    run_id: i64,
    round: i64,
    attempt: i64,
    base_version: i64,
    version: Option<i64>,
    updates: i64,
    weight: i64,
    run_base: i64,
    plan: String,
}

/// How a version was made; `None` when there is no such version.
pub(super) async fn lineage(
    tx: &mut SqliteConnection,
    model: &ModelName,
    number: VersionNumber,
) -> Result<Option<Lineage>, Fault> {
    let row: Option<LineageRow> = sqlx::query_as(
        "SELECT v.digest, v.parent, p.digest AS parent_digest, v.sum_digest, v.optimizer_digest, v.audit_head,
             r.id AS round_id, coalesce(r.run_id, 0) AS run_id, coalesce(r.number, 0) AS round,
             coalesce(r.attempt, 0) AS attempt, coalesce(r.base_version, 0) AS base_version, r.version,
             coalesce(r.updates, 0) AS updates, coalesce(r.weight, 0) AS weight,
             coalesce(runs.base_version, 0) AS run_base, coalesce(runs.plan, '') AS plan
         FROM versions v
         LEFT JOIN versions p ON p.model = v.model AND p.number = v.parent
         LEFT JOIN rounds r ON r.id = v.round_id
         LEFT JOIN runs ON runs.id = r.run_id
         WHERE v.model = ? AND v.number = ?",
    )
    .bind(model.as_str())
    .bind(number.0)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Lineage {
        model: model.clone(),
        number,
        digest: digest("versions.digest", &row.digest)?,
        parent: int_or_none("versions.parent", row.parent)?.map(VersionNumber),
        parent_digest: digest_or_none("versions.digest", row.parent_digest.as_deref())?,
        sum_digest: digest_or_none("versions.sum_digest", row.sum_digest.as_deref())?,
        optimizer_digest: digest_or_none(
            "versions.optimizer_digest",
            row.optimizer_digest.as_deref(),
        )?,
        audit_head: digest_or_none("versions.audit_head", row.audit_head.as_deref())?,
        made_by: row.round_id.map(|key| row.made_by.parse(RoundKey(key))).transpose()?,
    }))
}

impl MadeByRow {
    fn parse(self, key: RoundKey) -> Result<MadeBy, Fault> {
        Ok(MadeBy {
            key,
            round: round_ref(self.run_id, self.round, self.attempt)?,
            base_version: VersionNumber(int("rounds.base_version", self.base_version)?),
            version: int_or_none("rounds.version", self.version)?.map(VersionNumber),
            updates: int("rounds.updates", self.updates)?,
            weight: int("rounds.weight", self.weight)?,
            run_base: VersionNumber(int("runs.base_version", self.run_base)?),
            plan: self.plan,
        })
    }
}

impl Lineage {
    /// What the audit log says of the version.
    pub(crate) fn detail(&self) -> Value {
        let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        let by = self.made_by.as_ref();
        json!({
            "digest": self.digest.to_string(),
            "parent": self.parent.map(|parent| parent.0),
            "parent_digest": text(self.parent_digest),
            "run": by.map(|by| by.round.run.0),
            "round": by.map(|by| by.round.number),
            "attempt": by.map(|by| by.round.attempt),
            "updates": by.map(|by| by.updates),
            "weight": by.map(|by| by.weight),
            "plan_digest": text(by.map(|by| Digest::of(by.plan.as_bytes()))),
            "sum_digest": text(self.sum_digest),
            "optimizer_digest": text(self.optimizer_digest),
        })
    }
}
