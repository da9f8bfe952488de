//! A database file as a whole: copied, checked page by page, and told apart from the one it is a copy of.

use std::path::Path;
use std::time::Duration;

use federation::Timestamp;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::{Fault, code, is_damaged};
use super::ledger::Still;
use super::row::int;
use super::schema::{self, OpenError};
use super::{Store, StoreError, audit};

/// Most things that a check of a damaged file names.
const DAMAGES_MAX: u32 = 10;

/// How far the numbers of runs, events and tokens jump when a copy takes the place of a database: beyond all that may
/// have been given since the copy was made.
const NUMBERS_SKIPPED: i64 = 1_000_000;

/// Why there is no copy.
#[derive(Debug)]
pub(crate) enum NotCopied {
    /// The file cannot be opened.
    Source(OpenError),
    /// The file cannot be read.
    Read(Fault),
    /// The copy cannot be written.
    Written(Fault),
    /// Somebody began to write to the file meanwhile.
    Disturbed,
}

/// What is in a database file, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Contents {
    /// Models.
    pub models: i64,
    /// Versions of them.
    pub versions: i64,
    /// Runs.
    pub runs: i64,
    /// Nodes.
    pub nodes: i64,
    /// Updates that have a receipt.
    pub receipts: i64,
}

/// A file that can be looked at whatever wrote it.
#[derive(Debug)]
pub(crate) struct Looked {
    connection: SqliteConnection,
    /// The newest migration it had.
    pub(crate) schema: i64,
    /// The newest migration that this program knows.
    pub(crate) known: i64,
}

/// Writes all of `file`, as it is at this moment, into the empty file `to`, and says which schema it has. Reading holds
/// up no writer. The copy is not synced.
pub(crate) async fn copy(file: &Path, to: &Path) -> Result<i64, NotCopied> {
    let still = Still::look(file);
    let mut looked = look(file, still.is_some()).await.map_err(NotCopied::Source)?;
    let to = to.to_str().ok_or_else(|| {
        let name = format!("its name is not text: {}", to.display());
        NotCopied::Written(sqlx::Error::Configuration(name.into()).into())
    })?;
    let copied = sqlx::query("VACUUM INTO ?").bind(to).execute(&mut looked.connection).await;
    if still.is_some_and(|still| still.is_disturbed()) {
        return Err(NotCopied::Disturbed);
    }
    let schema = looked.schema;
    looked.close().await;
    match copied {
        Ok(_) => Ok(schema),
        Err(error) if is_of_the_source(&error) => Err(NotCopied::Read(error.into())),
        Err(error) => Err(NotCopied::Written(error.into())),
    }
}

/// Opens a file for reading, of whatever schema this program knows. `still` says that nobody writes to it.
pub(crate) async fn look(file: &Path, still: bool) -> Result<Looked, OpenError> {
    let (connection, found, known) = schema::inspect(file, still).await?;
    let newest = |versions: &[i64]| versions.last().copied().unwrap_or(0);
    Ok(Looked { connection, schema: newest(&found), known: newest(&known) })
}

/// Moves what a write-ahead log holds into its database, whatever schema that has.
pub(crate) async fn take_in_log(file: &Path) -> Result<(), Fault> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::ZERO);
    let mut connection = options.connect().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

impl Looked {
    /// What is wrong with the file's pages, indices and references; empty when nothing is.
    pub(crate) async fn damages(&mut self) -> Result<Vec<String>, Fault> {
        let check = sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({DAMAGES_MAX})"));
        let said: Vec<String> = sqlx::query_scalar(check).fetch_all(&mut self.connection).await?;
        let mut damages: Vec<String> = said.into_iter().filter(|line| line != "ok").collect();
        if damages.is_empty() {
            let stray: Vec<(String, Option<i64>, String)> = sqlx::query_as(
                "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT ?",
            )
            .bind(DAMAGES_MAX)
            .fetch_all(&mut self.connection)
            .await?;
            damages.extend(stray.into_iter().map(|(table, row, parent)| {
                let row = row.map(|row| format!(" {row}")).unwrap_or_default();
                format!("row{row} of {table} refers to no row of {parent}")
            }));
        }
        Ok(damages)
    }

    /// What is in it.
    pub(crate) async fn contents(&mut self) -> Result<Contents, Fault> {
        Ok(sqlx::query_as(
            "SELECT (SELECT count(*) FROM models) AS models, (SELECT count(*) FROM versions) AS versions,
                 (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM nodes) AS nodes,
                 (SELECT count(*) FROM contributions) AS receipts",
        )
        .fetch_one(&mut self.connection)
        .await?)
    }

    /// When anything was written last, by the wall clock of then.
    pub(crate) async fn newest(&mut self) -> Result<Timestamp, Fault> {
        let newest: i64 = sqlx::query_scalar(
            "SELECT max(coalesce((SELECT max(seen_ms) FROM nodes), 0), coalesce((SELECT max(created_ms) FROM runs), 0),
                 coalesce((SELECT max(created_ms) FROM versions), 0), coalesce((SELECT max(opened_ms) FROM rounds), 0))",
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(Timestamp(int("nodes.seen_ms", newest)?))
    }

    /// The stored artifact whose digest comes after `after`, as both are stored.
    pub(crate) async fn artifact_after(
        &mut self,
        after: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, Fault> {
        Ok(sqlx::query_as(
            "SELECT digest, bytes FROM artifacts WHERE digest > ? ORDER BY digest LIMIT 1",
        )
        .bind(after)
        .fetch_optional(&mut self.connection)
        .await?)
    }

    /// Closes it. It was only read: there is nothing to lose.
    pub(crate) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "close a database that was read");
        }
    }
}

impl Store {
    /// Sets a copy apart from the database that it was made of, which may have gone on since: new runs, events and
    /// tokens get numbers that none had there, and the audit log says that this is a copy.
    pub(crate) async fn set_apart(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("set_apart", async move |tx: &mut SqliteConnection| {
            // All but rounds, which have names within their run.
            let tables: Vec<String> = sqlx::query_scalar(
                "SELECT name FROM sqlite_master
                 WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%' AND name <> 'rounds'",
            )
            .fetch_all(&mut *tx)
            .await?;
            for table in tables {
                let last: Option<i64> =
                    sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
                        .bind(&table)
                        .fetch_optional(&mut *tx)
                        .await?;
                sqlx::query("DELETE FROM sqlite_sequence WHERE name = ?")
                    .bind(&table)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)")
                    .bind(&table)
                    .bind(last.unwrap_or(0).saturating_add(NUMBERS_SKIPPED))
                    .execute(&mut *tx)
                    .await?;
            }
            let runs: i64 =
                sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'runs'")
                    .fetch_one(&mut *tx)
                    .await?;
            let detail = json!({"runs_after": runs});
            audit::append(tx, audit::OPERATOR, "database.restored", String::new(), &detail, now)
                .await
        })
        .await
    }
}

/// Whether it is the file that cannot be read, rather than the copy that cannot be written.
fn is_of_the_source(error: &sqlx::Error) -> bool {
    const SQLITE_IOERR_READ: u32 = 266;
    const SQLITE_IOERR_SHORT_READ: u32 = 522;
    is_damaged(error) || matches!(code(error), Some(SQLITE_IOERR_READ | SQLITE_IOERR_SHORT_READ))
}
