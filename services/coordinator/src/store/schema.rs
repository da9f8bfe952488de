//! Opening the database file: the schema gate, the migrations, and proof of the settings that durability rests on.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use thiserror::Error;

use super::error::{Fault, is_damaged};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Bytes of a database page: SQLite's default, stated because the size limit counts pages.
const PAGE_BYTES: u32 = 4096;

/// Page cache of a reading connection, in KiB, negative as SQLite wants it: they look up single rows, and the system
/// caches the file.
const READER_CACHE_KIB: i32 = -256;

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// A newer Muster wrote it.
    #[error("its schema is version {found}; this program knows up to {known}")]
    Newer {
        /// The version found.
        found: i64,
        /// The newest one this program knows.
        known: i64,
    },
    /// It is not a database of ours, or a damaged one.
    #[error("it is not a Muster database, or it is damaged: {0}")]
    Invalid(String),
    /// A setting that durability rests on did not take.
    #[error("PRAGMA {pragma} is `{got}`, and receipts need `{wanted}`")]
    Setting {
        /// The setting.
        pragma: &'static str,
        /// What it is.
        got: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The file cannot be opened or written.
    #[error("open it: {0}")]
    Unusable(Fault),
}

/// How to connect for writing. `size_max_mib` of 0 sets no limit.
pub(super) fn writer_options(file: &Path, size_max_mib: u32) -> SqliteConnectOptions {
    let options = base_options(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES);
    match size_max_mib {
        0 => options,
        mib => options.pragma(
            "max_page_count",
            (u64::from(mib) * (1 << 20) / u64::from(PAGE_BYTES)).to_string(),
        ),
    }
}

/// How to connect for reading.
pub(super) fn reader_options(file: &Path) -> SqliteConnectOptions {
    base_options(file).read_only(true).pragma("cache_size", READER_CACHE_KIB.to_string())
}

/// Makes the file a database of this program's schema, or says why it cannot be one.
pub(super) async fn prepare(file: &Path, size_max_mib: u32) -> Result<(), OpenError> {
    // The gate looks before anything that writes is set: a foreign or newer file stays as it was.
    let mut connection =
        base_options(file).create_if_missing(true).connect().await.map_err(unusable)?;
    let gated = gate(&mut connection).await;
    // Closed in either case: a process that ends while SQLite's thread still has the file leaves a log beside it.
    let closed = connection.close().await;
    gated?;
    closed.map_err(unusable)?;

    let mut connection = writer_options(file, size_max_mib).connect().await.map_err(unusable)?;
    check_settings(&mut connection).await?;
    MIGRATOR.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            unusable(source)
        }
        other => OpenError::Invalid(other.to_string()),
    })?;
    connection.close().await.map_err(unusable)
}

/// Connects for reading, and says which migrations the file has had and which this program knows, in order. `still`
/// says that nobody writes: SQLite then leaves nothing beside the file, and needs no right to.
pub(super) async fn inspect(
    file: &Path,
    still: bool,
) -> Result<(SqliteConnection, Vec<i64>, Vec<i64>), OpenError> {
    let options = reader_options(file).immutable(still);
    let mut connection = options.connect().await.map_err(unusable)?;
    if let Err(refused) = gate(&mut connection).await {
        // Why it cannot be used is the error; that it then did not close well adds nothing.
        let _ = connection.close().await;
        return Err(refused);
    }
    let known = MIGRATOR.iter().map(|migration| migration.version).collect();
    let found = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut connection)
        .await
        .map_err(|error| OpenError::Invalid(error.to_string()))?;
    Ok((connection, found, known))
}

async fn gate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut *connection)
            .await
            .map_err(unusable)?;
    if tables.is_empty() {
        return Ok(());
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Err(OpenError::Invalid(format!("it holds other tables: {}", tables.join(", "))));
    }
    let found: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(unusable)?;
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}

async fn check_settings(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .map_err(unusable)?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&mut *connection)
        .await
        .map_err(unusable)?;
    let wanted = |pragma, got: String, wanted| {
        if got == wanted { Ok(()) } else { Err(OpenError::Setting { pragma, got, wanted }) }
    };
    wanted("journal_mode", journal, "wal")?;
    wanted("synchronous", synchronous.to_string(), "2")
}

fn base_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
}

fn unusable(error: sqlx::Error) -> OpenError {
    if is_damaged(&error) {
        OpenError::Invalid(error.to_string())
    } else {
        OpenError::Unusable(error.into())
    }
}
