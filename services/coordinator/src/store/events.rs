//! Events: what happens, for those who watch, written in the transaction of what it tells.

use federation::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::error::Fault;
use super::row::sql;

/// Appends an event. Whatever appends to the audit log does so by itself.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    actor: &str,
    kind: &str,
    subject: &str,
    detail: &Value,
    at: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO events (at_ms, kind, subject, actor, detail) VALUES (?, ?, ?, ?, ?)")
        .bind(sql(at.0))
        .bind(kind)
        .bind(subject)
        .bind(actor)
        .bind(detail.to_string())
        .execute(tx)
        .await?;
    Ok(())
}
