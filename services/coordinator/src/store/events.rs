//! Events: what happens, for those who watch, written in the transaction of what it tells.

use std::cell::Cell;

use federation::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::error::Fault;
use super::row::{int, json, sql};
use super::{Store, StoreError};

thread_local! {
    /// Whether the transaction that runs on this thread, the writer's, appended an event.
    static APPENDED: Cell<bool> = const { Cell::new(false) };
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Its number: ascending, never used again.
    pub(crate) seq: u64,
    /// When.
    pub(crate) at: Timestamp,
    /// What: as an audit entry's action.
    pub(crate) kind: String,
    /// To what.
    pub(crate) subject: String,
    /// Who did it.
    pub(crate) actor: String,
    /// A JSON object.
    pub(crate) detail: Value,
}

/// Which events there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The number of the oldest one that is kept; of the next one, where none is.
    pub(crate) oldest: u64,
    /// The number of the newest there ever was; 0 before the first.
    pub(crate) newest: u64,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    at_ms: i64,
    kind: String,
    subject: String,
    actor: String,
    detail: String,
}

impl TryFrom<EventRow> for Event {
    type Error = Fault;

    fn try_from(row: EventRow) -> Result<Self, Fault> {
        let EventRow { seq, at_ms, kind, subject, actor, detail } = row;
        Ok(Self {
            seq: int("events.seq", seq)?,
            at: Timestamp(int("events.at_ms", at_ms)?),
            kind,
            subject,
            actor,
            detail: json("events.detail", &detail)?,
        })
    }
}

/// Appends the events that tell of the audit log's entries after this one: an event says what its entry says. Whatever
/// appends to the log does so by itself.
pub(super) async fn tell(tx: &mut SqliteConnection, after: u64) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO events (at_ms, kind, subject, actor, detail)
         SELECT at_ms, action, subject, actor, detail FROM audit WHERE seq > ? ORDER BY seq",
    )
    .bind(sql(after))
    .execute(tx)
    .await?;
    APPENDED.set(true);
    Ok(())
}

/// Whether an event was appended on this thread since the last question.
pub(super) fn appended() -> bool {
    APPENDED.take()
}

impl Store {
    /// Up to `limit` events after number `after` of this kind, or of the kinds that begin with `kind` and a point; of
    /// all kinds where it is empty. Ascending.
    pub(crate) async fn events(
        &self,
        after: u64,
        kind: String,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        self.read("events", async move |tx: &mut SqliteConnection| {
            let rows: Vec<EventRow> = sqlx::query_as(
                "SELECT * FROM events WHERE seq > ?1
                     AND (?2 = '' OR kind = ?2 OR substr(kind, 1, length(?2) + 1) = ?2 || '.')
                 ORDER BY seq LIMIT ?3",
            )
            .bind(sql(after))
            .bind(kind)
            .bind(limit)
            .fetch_all(tx)
            .await?;
            rows.into_iter().map(Event::try_from).collect()
        })
        .await
    }

    /// Which events there are.
    pub(crate) async fn events_kept(&self) -> Result<Kept, StoreError> {
        self.read("events_kept", async move |tx: &mut SqliteConnection| {
            let newest: Option<i64> =
                sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
                    .fetch_optional(&mut *tx)
                    .await?;
            let oldest: Option<i64> =
                sqlx::query_scalar("SELECT min(seq) FROM events").fetch_one(tx).await?;
            let newest: u64 = int("events.seq", newest.unwrap_or(0))?;
            let oldest = match oldest {
                Some(oldest) => int("events.seq", oldest)?,
                None => newest + 1,
            };
            Ok(Kept { oldest, newest })
        })
        .await
    }
}
