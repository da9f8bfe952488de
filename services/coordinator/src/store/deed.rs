//! Deeds: changes that somebody asks for over REST. Each knows who asks, and is done once for each idempotency key.
//!
//! The answer to a request with a key is written in the transaction of its effect: there is no instant at which one is
//! there without the other. It is kept for a day. What was refused had no effect and is judged again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use federation::{Digest, Timestamp};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::row::{digest, int, sql};
use super::{Store, StoreError};

/// How long an answer is kept.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// Who does something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    /// Who, as the audit log names them.
    pub(crate) actor: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// What a request is told: JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Where what was made is.
    pub(crate) location: Option<String>,
    /// The body.
    pub(crate) body: String,
}

/// Something to do, and how to answer when it is done.
pub(crate) struct Deed<T> {
    /// Whose it is.
    pub(crate) by: By,
    /// The request's key, if it has one.
    pub(crate) claim: Option<Claim>,
    /// The answer, of what was done.
    pub(crate) answer: Box<dyn FnOnce(&T) -> Reply + Send>,
    /// What is kept of the answer for the same request again: without what must not be written down.
    pub(crate) keep: fn(&Reply) -> Reply,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotDone<E> {
    /// The key was used for another request.
    KeyReused,
    /// It cannot be done.
    Refused(E),
}

/// A key in use, until it is dropped: the same request cannot run twice at once.
#[derive(Debug)]
pub(crate) struct Claim {
    key: Key,
    body: Digest,
    running: Claims,
}

/// Which request a key is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Who asks.
    pub(crate) caller: String,
    /// The method.
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// The key.
    pub(crate) key: String,
}

/// The keys of requests that run.
pub(super) type Claims = Arc<Mutex<BTreeSet<Key>>>;

impl<T> fmt::Debug for Deed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deed")
            .field("by", &self.by)
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.lock().expect("no code panics while it holds the keys").remove(&self.key);
    }
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    body_digest: Vec<u8>,
    status: i64,
    location: Option<String>,
    body: String,
}

impl Store {
    /// Takes a key for a request whose body has this digest; `None` while another one with it runs.
    pub(crate) fn claim(&self, key: Key, body: Digest) -> Option<Claim> {
        let mut running = self.claims.lock().expect("no code panics while it holds the keys");
        let free = running.insert(key.clone());
        free.then(|| Claim { key, body, running: Arc::clone(&self.claims) })
    }

    /// Does `work` in one transaction and answers for it, or gives the answer there was.
    pub(super) async fn deed<T, E, W>(
        &self,
        name: &'static str,
        deed: Deed<T>,
        work: W,
    ) -> Result<Result<Reply, NotDone<E>>, StoreError>
    where
        T: 'static,
        E: Send + 'static,
        W: AsyncFnOnce(&mut SqliteConnection, &By) -> Result<Result<T, E>, Fault> + Send + 'static,
    {
        self.write(name, async move |tx: &mut SqliteConnection| {
            let Deed { by, claim, answer, keep } = deed;
            if let Some(claim) = &claim {
                match answered(tx, claim, by.at).await? {
                    Some((body, before)) if body == claim.body => return Ok(Ok(before)),
                    Some(_) => return Ok(Err(NotDone::KeyReused)),
                    None => {}
                }
            }
            let done = match work(tx, &by).await? {
                Ok(done) => done,
                Err(reason) => return Ok(Err(NotDone::Refused(reason))),
            };
            let answer = answer(&done);
            if let Some(claim) = &claim {
                write_answer(tx, claim, &keep(&answer), by.at).await?;
            }
            Ok(Ok(answer))
        })
        .await
    }
}

/// The digest of the body that a key came with, and the answer it got.
async fn answered(
    tx: &mut SqliteConnection,
    claim: &Claim,
    now: Timestamp,
) -> Result<Option<(Digest, Reply)>, Fault> {
    let Key { caller, method, path, key } = &claim.key;
    let row: Option<AnswerRow> = sqlx::query_as(
        "SELECT body_digest, status, location, body FROM answers
         WHERE caller = ? AND method = ? AND path = ? AND key = ? AND at_ms > ?",
    )
    .bind(caller)
    .bind(method)
    .bind(path)
    .bind(key)
    .bind(sql(now.0.saturating_sub(KEPT_MS)))
    .fetch_optional(tx)
    .await?;
    let Some(AnswerRow { body_digest, status, location, body }) = row else { return Ok(None) };
    let answer = Reply { status: int("answers.status", status)?, location, body };
    Ok(Some((digest("answers.body_digest", &body_digest)?, answer)))
}

async fn write_answer(
    tx: &mut SqliteConnection,
    claim: &Claim,
    answer: &Reply,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM answers WHERE at_ms <= ?")
        .bind(sql(now.0.saturating_sub(KEPT_MS)))
        .execute(&mut *tx)
        .await?;
    let Key { caller, method, path, key } = &claim.key;
    sqlx::query(
        "INSERT INTO answers (caller, method, path, key, body_digest, status, location, body, at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(caller)
    .bind(method)
    .bind(path)
    .bind(key)
    .bind(&claim.body.0[..])
    .bind(answer.status)
    .bind(&answer.location)
    .bind(&answer.body)
    .bind(sql(now.0))
    .execute(tx)
    .await?;
    Ok(())
}
