//! The audit log: an entry for each deed, appended in the transaction of the deed.
//!
//! One function a deed; each is one line where the deed is done. Updates have no entries of their own: they would cost as
//! much as counting them does, and the digest of their round's sum stands in the entry of its version.

use federation::audit::{Deed, Entry, Head, PRUNED};
use federation::{Digest, ModelName, NodeId, RoundRef, Timestamp, VersionNumber};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::deed::By;
use super::enrolment::NewEnrolmentToken;
use super::error::Fault;
use super::lineage::lineage;
use super::nodes::{Node, to_json};
use super::row::{digest, int, sql};
use super::tokens::NewToken;
use super::{Store, StoreError, events};

/// Who opens and ends rounds, and what follows from it.
pub(crate) const COORDINATOR: &str = "coordinator";
/// Whoever works on the file.
pub(super) const OPERATOR: &str = "operator";
/// How actions about API tokens begin.
pub(super) const TOKEN: &str = "token";
/// How actions about enrolment tokens begin.
pub(super) const ENROLMENT_TOKEN: &str = "enrolment_token";

/// A round was opened.
pub(crate) const ROUND_OPENED: &str = "round.opened";
/// A model was made, with its first version. See [`version_published`].
pub(crate) const MODEL_CREATED: &str = "model.created";
/// A version was brought by somebody. See [`version_published`].
pub(crate) const VERSION_IMPORTED: &str = "version.imported";
/// A version was published.
pub(crate) const VERSION_PUBLISHED: &str = "version.published";

#[derive(sqlx::FromRow)]
struct EntryRow {
    seq: i64,
    at_ms: i64,
    actor: String,
    action: String,
    subject: String,
    detail: Option<String>,
    detail_digest: Vec<u8>,
    previous: Vec<u8>,
    hash: Vec<u8>,
}

/// A model was made, and its first version is in the table.
pub(super) async fn model_created(
    tx: &mut SqliteConnection,
    model: &ModelName,
    by: &By,
) -> Result<(), Fault> {
    version(tx, &by.actor, MODEL_CREATED, model, VersionNumber(1), by.at).await
}

/// A version was published: it and its round's end are in their tables.
pub(super) async fn version_published(
    tx: &mut SqliteConnection,
    model: &ModelName,
    number: VersionNumber,
    now: Timestamp,
) -> Result<(), Fault> {
    version(tx, COORDINATOR, VERSION_PUBLISHED, model, number, now).await
}

/// A version was brought by somebody: it is in its table.
pub(super) async fn version_imported(
    tx: &mut SqliteConnection,
    model: &ModelName,
    number: VersionNumber,
    by: &By,
) -> Result<(), Fault> {
    version(tx, &by.actor, VERSION_IMPORTED, model, number, by.at).await
}

/// A round was opened with this cohort.
pub(super) async fn round_opened(
    tx: &mut SqliteConnection,
    round: RoundRef,
    cohort: &[NodeId],
    now: Timestamp,
) -> Result<(), Fault> {
    let detail = json!({"cohort": cohort.len(), "cohort_digest": of_cohort(cohort).to_string()});
    append(tx, COORDINATOR, ROUND_OPENED, round.to_string(), &detail, now).await
}

/// A round was abandoned: its row says why.
pub(super) async fn round_abandoned(
    tx: &mut SqliteConnection,
    round: RoundRef,
    now: Timestamp,
) -> Result<(), Fault> {
    let (reason, updates): (Option<String>, i64) = sqlx::query_as(
        "SELECT reason, updates FROM rounds WHERE run_id = ? AND number = ? AND attempt = ?",
    )
    .bind(sql(round.run.0))
    .bind(round.number)
    .bind(round.attempt)
    .fetch_one(&mut *tx)
    .await?;
    let detail = json!({"reason": reason, "updates": updates});
    append(tx, COORDINATOR, "round.abandoned", round.to_string(), &detail, now).await
}

/// A run was made: it is in the table.
pub(super) async fn run_created(tx: &mut SqliteConnection, run: i64, by: &By) -> Result<(), Fault> {
    let (model, base, plan): (String, i64, String) =
        sqlx::query_as("SELECT model, base_version, plan FROM runs WHERE id = ?")
            .bind(run)
            .fetch_one(&mut *tx)
            .await?;
    let plan_digest = Digest::of(plan.as_bytes()).to_string();
    let detail = json!({"model": model, "base_version": base, "plan_digest": plan_digest});
    append(tx, &by.actor, "run.created", run.to_string(), &detail, by.at).await
}

/// A run may just have ended: if its row says so, it has.
pub(super) async fn run_ended(
    tx: &mut SqliteConnection,
    actor: &str,
    run: i64,
    now: Timestamp,
) -> Result<(), Fault> {
    let ended: Option<(String, Option<String>)> =
        sqlx::query_as("SELECT state, reason FROM runs WHERE id = ? AND ended_ms IS NOT NULL")
            .bind(run)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((state, reason)) = ended else { return Ok(()) };
    let detail = json!({"state": state, "reason": reason});
    append(tx, actor, "run.ended", run.to_string(), &detail, now).await
}

/// A node was enrolled for the first time, by an enrolment token where one was wanted: to be appended with others.
pub(super) fn node_enrolled(node: &Node, at: Timestamp) -> Deed {
    let Node { id, public_key, labels, enrolment_token, .. } = node;
    let key = Digest::of(public_key).to_string();
    let mut detail = json!({"public_key_digest": key, "labels": labels});
    if let Some(token) = enrolment_token {
        detail["enrolment_token"] = (*token).into();
    }
    of_node(id, "node.enrolled", &detail, at)
}

/// A known node has another credential from now on, by an enrolment token: to be appended with others.
pub(super) fn credential_replaced(node: &NodeId, token: Option<u64>, at: Timestamp) -> Deed {
    of_node(node, "node.credential_replaced", &json!({"enrolment_token": token}), at)
}

fn of_node(node: &NodeId, action: &str, detail: &Value, at: Timestamp) -> Deed {
    let (actor, subject) = (format!("node:{node}"), node.to_string());
    Deed { at, actor, action: action.to_owned(), subject, detail: detail.to_string() }
}

/// A node was revoked.
pub(super) async fn node_revoked(
    tx: &mut SqliteConnection,
    node: &NodeId,
    by: &By,
) -> Result<(), Fault> {
    append(tx, &by.actor, "node.revoked", node.to_string(), &json!({}), by.at).await
}

/// An API token was made.
pub(super) async fn token_created(
    tx: &mut SqliteConnection,
    id: u64,
    token: &NewToken,
    by: &By,
) -> Result<(), Fault> {
    let NewToken { name, scope, expires_ms, hash: _ } = token;
    let detail =
        json!({"name": name.as_str(), "scope": scope.as_str(), "expires_at_ms": expires_ms});
    append(tx, &by.actor, "token.created", id.to_string(), &detail, by.at).await
}

/// An enrolment token was made.
pub(super) async fn enrolment_token_created(
    tx: &mut SqliteConnection,
    id: u64,
    token: &NewEnrolmentToken,
    by: &By,
) -> Result<(), Fault> {
    let NewEnrolmentToken { name, labels, uses_max, expires_ms, hash: _ } = token;
    let detail = json!({
        "name": name.as_str(), "labels": labels, "uses_max": uses_max, "expires_at_ms": expires_ms,
    });
    append(tx, &by.actor, "enrolment_token.created", id.to_string(), &detail, by.at).await
}

/// A token of this kind was revoked.
pub(super) async fn token_revoked(
    tx: &mut SqliteConnection,
    kind: &str,
    id: u64,
    by: &By,
) -> Result<(), Fault> {
    append(tx, &by.actor, &format!("{kind}.revoked"), id.to_string(), &json!({}), by.at).await
}

/// Up to `limit` entries after the one at `after`, in order.
pub(super) async fn entries_after(
    tx: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    let rows: Vec<EntryRow> =
        sqlx::query_as("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(sql(after))
            .bind(limit)
            .fetch_all(tx)
            .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

impl Store {
    /// Up to `limit` entries after the one at `after`, in order, and the log's head. Of these actions and this subject
    /// alone, where they are not empty; `round` stands for `round.opened` and all other actions that begin so.
    pub(crate) async fn audit_entries(
        &self,
        action: String,
        subject: String,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<Entry>, Head), StoreError> {
        self.read("audit_entries", async move |tx: &mut SqliteConnection| {
            let rows: Vec<EntryRow> = sqlx::query_as(
                "SELECT * FROM audit WHERE seq > ?1
                     AND (?2 = '' OR action = ?2 OR substr(action, 1, length(?2) + 1) = ?2 || '.')
                     AND (?3 = '' OR subject = ?3)
                 ORDER BY seq LIMIT ?4",
            )
            .bind(sql(after))
            .bind(action)
            .bind(subject)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            let entries = rows.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?;
            Ok((entries, head(tx).await?))
        })
        .await
    }

    /// Drops the details of the entries before the first one that was written at `before` or later, and says how many. The
    /// events of that time go too.
    pub(crate) async fn prune_audit(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write("prune_audit", async move |tx: &mut SqliteConnection| {
            // A clock may have been set back: what stands after a young entry is kept with it.
            let last: Option<i64> = sqlx::query_scalar(
                "SELECT max(seq) FROM audit
                 WHERE seq < coalesce((SELECT min(seq) FROM audit WHERE at_ms >= ?), 9223372036854775807)",
            )
            .bind(sql(before.0))
            .fetch_one(&mut *tx)
            .await?;
            let Some(last) = last else { return Ok(0) };
            // Dropped means gone: not left in the file's free space.
            sqlx::query("PRAGMA secure_delete = ON").execute(&mut *tx).await?;
            let dropped =
                sqlx::query("UPDATE audit SET detail = NULL WHERE seq <= ? AND detail IS NOT NULL")
                    .bind(last)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
            // An event says what its entry says.
            sqlx::query("DELETE FROM events WHERE at_ms < ?")
                .bind(sql(before.0))
                .execute(&mut *tx)
                .await?;
            if dropped > 0 {
                let detail = json!({"before_ms": before.0, "entries": dropped});
                append(tx, OPERATOR, PRUNED, last.to_string(), &detail, now).await?;
            }
            Ok(dropped)
        })
        .await
    }
}

/// Notes the log's head in a version's row, and appends the entry that tells of the version.
async fn version(
    tx: &mut SqliteConnection,
    actor: &str,
    action: &str,
    model: &ModelName,
    number: VersionNumber,
    now: Timestamp,
) -> Result<(), Fault> {
    let head = head(tx).await?;
    sqlx::query("UPDATE versions SET audit_head = ? WHERE model = ? AND number = ?")
        .bind(&head.hash.0[..])
        .bind(model.as_str())
        .bind(number.0)
        .execute(&mut *tx)
        .await?;
    let made = lineage(tx, model, number).await?.ok_or(sqlx::Error::RowNotFound)?;
    append(tx, actor, action, subject(model, number), &made.detail(), now).await
}

/// How an entry names a version.
pub(crate) fn subject(model: &ModelName, number: VersionNumber) -> String {
    format!("{model}/{number}")
}

/// SHA-256 of a cohort: its names in order, each with a line feed.
pub(crate) fn of_cohort(cohort: &[NodeId]) -> Digest {
    let mut names: Vec<&str> = cohort.iter().map(NodeId::as_str).collect();
    names.sort_unstable();
    let list: String = names.iter().flat_map(|name| [*name, "\n"]).collect();
    Digest::of(list.as_bytes())
}

async fn head(tx: &mut SqliteConnection) -> Result<Head, Fault> {
    let last: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(tx)
            .await?;
    let Some((seq, hash)) = last else { return Ok(Head::EMPTY) };
    Ok(Head { seq: int("audit.seq", seq)?, hash: digest("audit.hash", &hash)? })
}

/// Appends the entry of one deed, and the event that tells of it.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    actor: &str,
    action: &str,
    subject: String,
    detail: &Value,
    at: Timestamp,
) -> Result<(), Fault> {
    let (actor, action, detail) = (actor.to_owned(), action.to_owned(), detail.to_string());
    append_all(tx, vec![Deed { at, actor, action, subject, detail }]).await
}

/// Appends the entries of deeds, in this order, and the events that tell of them.
pub(super) async fn append_all(tx: &mut SqliteConnection, deeds: Vec<Deed>) -> Result<(), Fault> {
    if deeds.is_empty() {
        return Ok(());
    }
    let before = head(tx).await?;
    let mut end = before;
    let mut rows = Vec::with_capacity(deeds.len());
    for deed in deeds {
        let entry = Entry::after(end, deed);
        end = entry.head();
        let Entry { seq, at, actor, action, subject, detail, detail_digest, previous, hash } =
            entry;
        let [said, previous, hash] =
            [detail_digest, previous, hash].map(|digest| digest.to_string());
        rows.push((sql(seq), sql(at.0), actor, action, subject, detail, said, previous, hash));
    }
    sqlx::query(
        "INSERT INTO audit (seq, at_ms, actor, action, subject, detail, detail_digest, previous, hash)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
             unhex(value ->> 6), unhex(value ->> 7), unhex(value ->> 8)
         FROM json_each(?)",
    )
    .bind(to_json(&rows))
    .execute(&mut *tx)
    .await?;
    events::tell(tx, before.seq).await
}

impl TryFrom<EntryRow> for Entry {
    type Error = Fault;

    fn try_from(row: EntryRow) -> Result<Self, Fault> {
        Ok(Self {
            seq: int("audit.seq", row.seq)?,
            at: Timestamp(int("audit.at_ms", row.at_ms)?),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail,
            detail_digest: digest("audit.detail_digest", &row.detail_digest)?,
            previous: digest("audit.previous", &row.previous)?,
            hash: digest("audit.hash", &row.hash)?,
        })
    }
}
