//! Where SQL runs: one thread with a runtime of its own per connection, fed by a bounded queue.
//!
//! A caller sends its work here and waits for the answer. Work that was taken from the queue runs to its end whether
//! anybody still waits or not, so that a client hanging up cannot cancel a transaction half-way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::thread;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::error::Fault;
use super::sql::{Joined, Moment, Sql};

/// Most pieces of work that wait for one connection. More would only wait longer than anyone waits for an answer.
const QUEUE_LEN_MAX: usize = 1024;

/// One connection's thread.
#[derive(Debug)]
pub(super) struct Worker {
    sql: Sql,
    // Dropped before the thread is waited for, which ends for want of a queue.
    queue: mpsc::Sender<Message>,
    _thread: Joined,
}

/// Why work got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The queue is full; nothing was done.
    Busy,
    /// The worker is closed; nothing was done.
    Closed,
    /// The work panicked; its transaction was rolled back.
    Panicked,
}

type Job = Box<dyn for<'l> FnOnce(&'l mut Lane) -> Pin<Box<dyn Future<Output = ()> + 'l>> + Send>;

enum Message {
    Run(Job),
    Close(oneshot::Sender<()>),
}

impl Worker {
    /// Connects, on a new thread.
    pub(super) async fn open(
        name: &str,
        options: SqliteConnectOptions,
        sql: &Sql,
    ) -> Result<Self, Fault> {
        let (queue, inbox) = mpsc::channel(QUEUE_LEN_MAX);
        let (opened, outcome) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("store-{name}"))
            .spawn(move || serve(options, inbox, opened))
            .map_err(sqlx::Error::Io)?;
        sql.answer(outcome).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?;
        Ok(Self { sql: sql.clone(), queue, _thread: sql.keep(thread) })
    }

    /// Runs `work` on the connection, after all work queued before it.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut Lane) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |lane| {
            Box::pin(async move {
                // Nobody may be waiting any more; the work is done all the same.
                let _ = reply.send(work(lane).await);
            })
        });
        self.sql.pass(Moment::BeforeTransaction).await;
        self.queue.try_send(Message::Run(job)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Busy,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Closed,
        })?;
        let answer = self.sql.answer(answer).await;
        self.sql.pass(Moment::AfterTransaction).await;
        // Work that stood behind the closing in the queue was dropped unseen.
        let closed = || self.queue.is_closed();
        answer.map_err(|_| if closed() { NoAnswer::Closed } else { NoAnswer::Panicked })
    }

    /// Finishes what is queued and closes the connection. Later work is [`NoAnswer::Closed`].
    pub(super) async fn close(&self) {
        let (closed, done) = oneshot::channel();
        if self.queue.send(Message::Close(closed)).await.is_ok() {
            // An error means that the thread has ended: closed all the same.
            let _ = self.sql.answer(done).await;
        }
    }
}

/// One connection, opened again when its state is in doubt.
pub(super) struct Lane {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl Lane {
    /// Runs `work` in one transaction: all of it is committed, or nothing.
    pub(super) async fn transact<T, F>(&mut self, begin: &'static str, work: F) -> Result<T, Fault>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault>,
    {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        // Only a transaction that ended cleanly gives its connection back. SQLite rolls back by itself when the disk
        // is full, which sqlx does not notice; and after a failed commit nobody knows. A new connection does.
        let mut tx = connection.begin_with(begin).await?;
        match work(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                self.connection = Some(connection);
                Ok(value)
            }
            Err(fault) => {
                if tx.rollback().await.is_ok() {
                    self.connection = Some(connection);
                }
                Err(fault)
            }
        }
    }

    /// Moves the write-ahead log into the database file.
    pub(super) async fn checkpoint(&mut self) -> Result<(), Fault> {
        if let Some(connection) = &mut self.connection {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
        }
        Ok(())
    }
}

fn serve(
    options: SqliteConnectOptions,
    mut inbox: mpsc::Receiver<Message>,
    opened: oneshot::Sender<Result<(), sqlx::Error>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send(Err(sqlx::Error::Io(error)))),
    };
    let mut lane = match runtime.block_on(options.connect()) {
        Ok(connection) => Lane { options, connection: Some(connection) },
        Err(error) => return drop(opened.send(Err(error))),
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let mut asked = None;
    while let Some(message) = inbox.blocking_recv() {
        match message {
            // A panic drops the connection it happened on, and with it the transaction; the thread goes on.
            Message::Run(job) => {
                let run = AssertUnwindSafe(|| runtime.block_on(job(&mut lane)));
                if catch_unwind(run).is_err() {
                    tracing::error!("a transaction panicked and was rolled back");
                }
            }
            Message::Close(closed) => {
                asked = Some(closed);
                break;
            }
        }
    }
    if let Some(connection) = lane.connection.take()
        && let Err(error) = runtime.block_on(connection.close())
    {
        tracing::warn!(%error, "close a database connection");
    }
    drop(inbox);
    if let Some(closed) = asked {
        // Whoever asked may have stopped waiting.
        let _ = closed.send(());
    }
}
