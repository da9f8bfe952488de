//! A database file read from outside of a coordinator: without its lock, without writing, as one consistent state.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use federation::audit::Entry;
use federation::{Digest, ModelName, NodeId, Plan, RoundRef, RunId, VersionNumber};
use sqlx::SqliteConnection;

use super::audit::entries_after;
use super::error::{Corrupt, Fault};
use super::lineage::{Lineage, lineage};
use super::retention::{Dropped, dropped};
use super::rounds::{RoundKey, round_ref};
use super::row::{int, sql, text};
use super::schema::{self, OpenError};

/// A database file, open for reading.
#[derive(Debug)]
pub(crate) struct Ledger {
    tx: SqliteConnection,
    /// Without a write-ahead log beside it nobody writes to a file of ours, and none may begin.
    still: Option<Still>,
}

/// A file to which nobody writes, as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Still {
    file: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A run, as far as its versions depend on it.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    /// Its number.
    pub(crate) id: RunId,
    /// The model it moves.
    pub(crate) model: ModelName,
    /// The version it began from.
    pub(crate) base_version: VersionNumber,
}

/// A round whose record disagrees with its contributions.
#[derive(Clone, Debug)]
pub(crate) struct Miscounted {
    /// The round.
    pub(crate) round: RoundRef,
    /// Updates in its sum, as its row says.
    pub(crate) updates: i64,
    /// Its contributions.
    pub(crate) contributions: i64,
}

/// A database file, or what keeps it from being read.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Its tables are those that this program knows.
    Ledger(Ledger),
    /// They are those of an older program.
    Older {
        /// The newest migration in it.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
}

impl Ledger {
    /// Opens a file. What is committed afterwards is not seen.
    pub(crate) async fn open(file: &Path) -> Result<Opened, OpenError> {
        let still = Still::look(file);
        let (mut tx, found, known) = schema::inspect(file, still.is_some()).await?;
        if known.iter().any(|version| !found.contains(version)) {
            let newest = |versions: &[i64]| versions.last().copied().unwrap_or(0);
            return Ok(Opened::Older { found: newest(&found), known: newest(&known) });
        }
        // Never committed: it ends with the connection.
        sqlx::query("BEGIN")
            .execute(&mut tx)
            .await
            .map_err(|error| OpenError::Unusable(error.into()))?;
        Ok(Opened::Ledger(Self { tx, still }))
    }

    /// Whether what was read is one state of the file: not so when somebody began to write to it.
    pub(crate) fn is_one_state(&self) -> bool {
        self.still.as_ref().is_none_or(|still| !still.is_disturbed())
    }

    /// Up to `limit` entries of the audit log after the one at `after`.
    pub(crate) async fn entries_after(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        entries_after(&mut self.tx, after, limit).await
    }

    /// Where in the audit log a hash stands.
    pub(crate) async fn place_of(&mut self, hash: Digest) -> Result<Option<u64>, Fault> {
        let seq: Option<i64> = sqlx::query_scalar("SELECT min(seq) FROM audit WHERE hash = ?")
            .bind(&hash.0[..])
            .fetch_one(&mut self.tx)
            .await?;
        Ok(seq.map(|seq| int("audit.seq", seq)).transpose()?)
    }

    /// The nodes drawn for a round.
    pub(crate) async fn cohort(&mut self, round: RoundRef) -> Result<Vec<NodeId>, Fault> {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT m.node_id FROM rounds r JOIN cohorts m ON m.round_id = r.id
             WHERE r.run_id = ? AND r.number = ? AND r.attempt = ?",
        )
        .bind(sql(round.run.0))
        .bind(round.number)
        .bind(round.attempt)
        .fetch_all(&mut self.tx)
        .await?;
        names.iter().map(|name| Ok(text("cohorts.node_id", name)?)).collect()
    }

    /// What retention dropped, by name.
    pub(crate) async fn dropped(&mut self) -> Result<BTreeSet<(Dropped, String)>, Fault> {
        dropped(&mut self.tx).await
    }

    /// All versions, or those of one model, in order.
    pub(crate) async fn versions(
        &mut self,
        model: Option<&ModelName>,
    ) -> Result<Vec<(ModelName, VersionNumber)>, Fault> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT model, number FROM versions WHERE ?1 IS NULL OR model = ?1 ORDER BY model, number",
        )
        .bind(model.map(ModelName::as_str))
        .fetch_all(&mut self.tx)
        .await?;
        let parse = |(model, number): (String, i64)| {
            Ok((text("versions.model", &model)?, VersionNumber(int("versions.number", number)?)))
        };
        rows.into_iter().map(parse).collect()
    }

    /// How a version was made.
    pub(crate) async fn lineage(
        &mut self,
        model: &ModelName,
        number: VersionNumber,
    ) -> Result<Option<Lineage>, Fault> {
        lineage(&mut self.tx, model, number).await
    }

    /// The bytes stored under a digest, whatever they are.
    pub(crate) async fn artifact(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar("SELECT bytes FROM artifacts WHERE digest = ?")
            .bind(&digest.0[..])
            .fetch_optional(&mut self.tx)
            .await?)
    }

    /// A round's stored sum.
    pub(crate) async fn sum(&mut self, key: RoundKey) -> Result<Option<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar("SELECT lanes FROM sums WHERE round_id = ?")
            .bind(key.0)
            .fetch_optional(&mut self.tx)
            .await?)
    }

    /// The runs over all models or over one, in order.
    pub(crate) async fn runs(
        &mut self,
        model: Option<&ModelName>,
    ) -> Result<Vec<StoredRun>, Fault> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT id, model, base_version FROM runs WHERE ?1 IS NULL OR model = ?1 ORDER BY id",
        )
        .bind(model.map(ModelName::as_str))
        .fetch_all(&mut self.tx)
        .await?;
        let parse = |(id, model, base): (i64, String, i64)| {
            Ok(StoredRun {
                id: RunId(int("runs.id", id)?),
                model: text("runs.model", &model)?,
                base_version: VersionNumber(int("runs.base_version", base)?),
            })
        };
        rows.into_iter().map(parse).collect()
    }

    /// The state of a run's optimiser.
    pub(crate) async fn optimizer(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar("SELECT lanes FROM masters WHERE run_id = ?")
            .bind(sql(run.0))
            .fetch_optional(&mut self.tx)
            .await?)
    }

    /// A run's rounds that had more or fewer contributions than updates in their sums.
    pub(crate) async fn miscounted(&mut self, run: RunId) -> Result<Vec<Miscounted>, Fault> {
        let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT run_id, number, attempt, updates, contributions FROM (
                 SELECT r.run_id, r.number, r.attempt, r.updates, r.id, r.receipts_dropped
                     + (SELECT count(*) FROM contributions c WHERE c.round_id = r.id AND c.counted_in IS NULL)
                     + (SELECT count(*) FROM contributions c WHERE c.counted_in = r.id) AS contributions
                 FROM rounds r WHERE r.run_id = ?)
             WHERE updates <> contributions ORDER BY id",
        )
        .bind(sql(run.0))
        .fetch_all(&mut self.tx)
        .await?;
        let parse = |(run, number, attempt, updates, contributions)| {
            Ok(Miscounted { round: round_ref(run, number, attempt)?, updates, contributions })
        };
        rows.into_iter().map(parse).collect()
    }
}

impl Still {
    /// The file as it stands; `None` when it is written to, or cannot be looked at.
    pub(super) fn look(file: &Path) -> Option<Self> {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        if Path::new(&log).exists() {
            return None;
        }
        let about: Metadata = std::fs::metadata(file).ok()?;
        Some(Self { file: file.to_owned(), bytes: about.len(), modified: about.modified().ok() })
    }

    /// Whether somebody began to write to it since.
    pub(super) fn is_disturbed(&self) -> bool {
        Self::look(&self.file).as_ref() != Some(self)
    }
}

/// A stored plan.
pub(crate) fn stored_plan(text: &str) -> Result<Plan, Corrupt> {
    super::runs::plan(text)
}
