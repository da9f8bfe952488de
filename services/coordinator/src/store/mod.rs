//! The database: the only place with SQL.
//!
//! One connection writes, a few read. Every transaction has a name, under which it is logged and timed; a write begins
//! `IMMEDIATE` and is synced before it returns. Rows are parsed into domain values here, and refused when they are not.
//! This file is the door; one file per group of tables stands behind it.

mod applicants;
mod audit;
mod channels;
mod contributions;
mod copy;
mod deed;
mod enrolment;
mod error;
mod evaluations;
mod events;
mod figures;
mod groups;
mod imports;
mod intake;
mod ledger;
mod lifecycle;
mod lineage;
mod models;
mod moves;
mod nodes;
mod progress;
mod promotions;
mod register;
mod retention;
mod rounds;
mod row;
mod runs;
mod schema;
mod settle;
mod sql;
#[cfg(test)]
mod tests;
mod tokens;
mod updates;
mod vectors;
mod worker;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use federation::Digest;
use sqlx::SqliteConnection;
use tokio::sync::watch;
use tokio::time::Instant;

use self::worker::{NoAnswer, Worker};
use crate::metrics::Timings;

pub(crate) use self::audit::{
    MODEL_CREATED, ROUND_OPENED, VERSION_IMPORTED, VERSION_PUBLISHED, of_cohort, subject,
};
pub(crate) use self::channels::{Channel, Promotion, Setup, Standing};
pub(crate) use self::contributions::Contribution;
#[cfg(test)]
pub(crate) use self::contributions::ContributionKey;
pub use self::copy::Contents;
pub(crate) use self::copy::{Looked, NotCopied, copy, look, take_in_log};
pub(crate) use self::deed::{By, Claim, Deed, Key, NotDone, Reply};
pub(crate) use self::enrolment::{EnrolmentToken, NewEnrolmentToken};
pub(crate) use self::error::{Fault, StoreError};
pub(crate) use self::evaluations::{Accuracy, NodeEvaluation};
pub(crate) use self::events::{Event, Kept};
pub(crate) use self::figures::Figures;
pub(crate) use self::groups::{Counting, Offer, Tally};
pub(crate) use self::imports::{Imported, NotImported};
pub(crate) use self::ledger::{Ledger, Opened, StoredRun, stored_plan};
pub(crate) use self::lifecycle::{Directive, NotDirected};
pub(crate) use self::lineage::{Lineage, MadeBy};
pub(crate) use self::models::{Created, Model, ModelExists, Version, Which};
pub(crate) use self::nodes::{Node, Turns, UnknownNode};
pub(crate) use self::progress::{Live, LiveRound};
pub(crate) use self::promotions::{Move, NewChannel, NotMoved};
pub(crate) use self::register::Entry;
pub(crate) use self::retention::{Dropped, Spared};
pub(crate) use self::rounds::{Opening, Round, RoundKey, Totals, WhichRounds};
pub(crate) use self::runs::{NewRun, NotStarted, Run, RunState, WhichRuns};
pub(crate) use self::schema::OpenError;
pub(crate) use self::settle::{Aggregate, Aggregated, Settled};
pub(crate) use self::sql::Sql;
pub use self::sql::{Moment, PowerFails};
pub(crate) use self::tokens::{ApiToken, NewToken, TooManyTokens, UnknownToken};

/// Connections that read.
const READERS: usize = 3;

/// Artifacts held in memory: all nodes of a round fetch the same one, and few models learn at a time.
const ARTIFACTS_CACHED: usize = 4;

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    /// Dropped before the writer: the last connection takes the log with it, which one that reads cannot.
    readers: Vec<Worker>,
    writer: Worker,
    next_reader: AtomicUsize,
    artifacts: Mutex<VecDeque<(Digest, Bytes)>>,
    sums: groups::Sums,
    enrolments: Arc<applicants::Enrolments>,
    plans: updates::Plans,
    claims: deed::Claims,
    /// Whether a write found no room since the last look.
    cramped: AtomicBool,
    /// Runs that people paused, resumed or cancelled since the start.
    directed: AtomicU64,
    /// Changes when events were committed.
    news: watch::Sender<()>,
    timings: Timings,
}

impl Store {
    /// Opens the database, or makes a new one. `size_max_mib` of 0 sets no limit on its size.
    pub(crate) async fn open(file: &Path, size_max_mib: u32, sql: &Sql) -> Result<Self, OpenError> {
        let prepared = file.to_owned();
        sql.aside(async move || schema::prepare(&prepared, size_max_mib).await).await?;
        let writer = Worker::open("writer", schema::writer_options(file, size_max_mib), sql)
            .await
            .map_err(OpenError::Unusable)?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let reader = Worker::open("reader", schema::reader_options(file), sql).await;
            readers.push(reader.map_err(OpenError::Unusable)?);
        }
        let artifacts = Mutex::new(VecDeque::with_capacity(ARTIFACTS_CACHED));
        Ok(Self {
            writer,
            readers,
            next_reader: AtomicUsize::new(0),
            artifacts,
            sums: groups::Sums::default(),
            enrolments: Arc::default(),
            plans: updates::Plans::default(),
            claims: deed::Claims::default(),
            cramped: AtomicBool::new(false),
            directed: AtomicU64::new(0),
            news: watch::Sender::new(()),
            timings: Timings::default(),
        })
    }

    /// Finishes what is queued, moves the write-ahead log into the file, and closes it. Later calls are
    /// [`StoreError::Closed`].
    pub(crate) async fn close(&self) {
        for reader in &self.readers {
            reader.close().await;
        }
        let checkpoint = self.writer.run(async |lane: &mut worker::Lane| lane.checkpoint().await);
        if let Ok(Err(fault)) = checkpoint.await {
            tracing::warn!(error = %fault, "checkpoint the database");
        }
        self.writer.close().await;
    }

    /// Keeps the writer busy until told.
    #[cfg(test)]
    pub(crate) async fn hold(&self, released: tokio::sync::oneshot::Receiver<()>) {
        let held = self.write("hold", async move |_: &mut SqliteConnection| {
            released.await.expect("whoever holds lets go");
            Ok(())
        });
        held.await.expect("nothing is written");
    }

    /// How many enrolments wait for the writer.
    #[cfg(test)]
    pub(crate) fn enrolments_waiting(&self) -> usize {
        self.enrolments.waiting()
    }

    /// How many rows a table has.
    #[cfg(test)]
    pub(crate) async fn count_rows(&self, table: &'static str) -> i64 {
        let rows = self.read("count_rows", async move |tx: &mut SqliteConnection| {
            let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            Ok(sqlx::query_scalar(query).fetch_one(tx).await?)
        });
        rows.await.expect("the table is there")
    }

    /// How long transactions take.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Changes whenever events were committed.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Runs a transaction that writes. It is on disk when this returns.
    async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    {
        self.write_and(name, work, |written| written).await
    }

    /// [`Store::write`], and does something with what was written once it is on disk: on the writer's thread, whether
    /// anybody still waits or not.
    async fn write_and<T, U, F>(
        &self,
        name: &'static str,
        work: F,
        then: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<U, StoreError>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    {
        let news = self.news.clone();
        // Told from the writer's thread: whoever asked for the write may be gone by then.
        let ended = move |result: Result<T, Fault>| {
            if events::appended() {
                news.send_replace(());
            }
            result.map(then)
        };
        let done =
            transact(&self.writer, &self.timings, name, "BEGIN IMMEDIATE", work, ended).await;
        if matches!(done, Err(StoreError::Full { .. })) {
            self.cramped.store(true, Ordering::Relaxed);
        }
        done
    }

    /// How often people directed a run since the start: what was read before the last time may be old.
    pub(crate) fn directed(&self) -> u64 {
        self.directed.load(Ordering::Acquire)
    }

    /// Whether a write found no room since [`Store::forget_cramped`].
    pub(crate) fn is_cramped(&self) -> bool {
        self.cramped.load(Ordering::Relaxed)
    }

    /// What was found was looked into.
    pub(crate) fn forget_cramped(&self) {
        self.cramped.store(false, Ordering::Relaxed);
    }

    /// Runs a transaction that only reads, on one consistent state.
    async fn read<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    {
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let reader = &self.readers[turn % self.readers.len()];
        transact(reader, &self.timings, name, "BEGIN", work, |result| result).await
    }
}

async fn transact<T, U, F>(
    worker: &Worker,
    timings: &Timings,
    tx: &'static str,
    begin: &'static str,
    work: F,
    ended: impl FnOnce(Result<T, Fault>) -> Result<U, Fault> + Send + 'static,
) -> Result<U, StoreError>
where
    T: Send + 'static,
    U: Send + 'static,
    F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
{
    let asked = Instant::now();
    let answer = worker
        .run(async move |lane: &mut worker::Lane| {
            let begun = Instant::now();
            let result = lane.transact(begin, work).await;
            let took = begun.elapsed();
            (ended(result), took)
        })
        .await;
    let failed = |error: &StoreError| timings.failed(tx, error.why());
    let answer = answer.map_err(|no| match no {
        NoAnswer::Busy => StoreError::Busy { tx },
        NoAnswer::Closed => StoreError::Closed { tx },
        NoAnswer::Panicked => StoreError::of(tx, Fault::Panicked),
    });
    let (result, took) = answer.inspect_err(failed)?;
    let waited = asked.elapsed().saturating_sub(took);
    tracing::trace!(
        tx,
        tx.took_us = took.as_micros(),
        tx.waited_us = waited.as_micros(),
        tx.ok = result.is_ok(),
        "transaction"
    );
    timings.ran(tx, took, waited);
    result.map_err(|fault| StoreError::of(tx, fault)).inspect_err(failed)
}
