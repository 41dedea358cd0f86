//! The thread that writes. Changes that wait at the same time are committed together, each under a savepoint of its own,
//! so that one wait for the disk serves them all and a change that fails takes only itself back.

use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::DbError;
use super::bells::Bells;
use super::db::{panicked, spawn};
use crate::config::Durability;

/// Changes that share a transaction at most.
const GROUP: usize = 128;
/// How long a transaction waits for changes like those that came together before, when several waited for the disk: they
/// come back about when they were answered.
const COMPANY: Duration = Duration::from_micros(300);
/// After this time without a change the write-ahead log is moved into the main file.
const IDLE: Duration = Duration::from_millis(750);

/// A transaction, and the bells to ring once it is committed.
pub struct Tx<'a> {
    conn: &'a Connection,
    bells: Vec<i64>,
}

impl Tx<'_> {
    /// Rings a bell of [`super::Db::bells`] after the commit; not when the change is taken back.
    pub fn ring(&mut self, bell: i64) {
        if !self.bells.contains(&bell) {
            self.bells.push(bell);
        }
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// A change in the line, its types erased.
trait Change: Send {
    /// Whether its commit waits for the disk.
    fn durable(&self) -> bool;
    /// Does it and keeps the outcome; whether it is to stay.
    fn apply(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Gives the outcome to who waits, or the reason why it could not be committed.
    fn finish(self: Box<Self>, failure: Option<DbError>);
}

struct Pending<F, T, E> {
    durable: bool,
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Change for Pending<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn durable(&self) -> bool {
        self.durable
    }

    fn apply(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|_| Err(panicked().into()));
        let stays = outcome.is_ok();
        self.outcome = Some(outcome);
        stays
    }

    fn finish(self: Box<Self>, failure: Option<DbError>) {
        let outcome = match (self.outcome, failure) {
            (Some(Err(own)), _) => Err(own),
            (_, Some(failure)) => Err(failure.into()),
            (Some(outcome), None) => outcome,
            (None, None) => Err(panicked().into()),
        };
        // Nobody waits any more: fine, and what the outcome holds is dropped.
        let _ = self.reply.send(outcome);
    }
}

/// Whoever waits for the thread to end.
type Closing = Option<oneshot::Sender<()>>;

enum Order {
    Apply(Box<dyn Change>),
    Close(oneshot::Sender<()>),
}

/// The line of changes.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    orders: Sender<Order>,
}

impl Writer {
    pub(super) fn start(conn: Connection, durability: Durability, bells: Bells) -> std::io::Result<Self> {
        let (orders, line) = channel();
        let thread = Thread { conn, bells, durability, waits_for_disk: None, dirty: true, together: 1 };
        spawn("sqlite-write", move || thread.serve(&line))?;
        Ok(Self { orders })
    }

    /// Puts a change in the line; the future gives its outcome. The change happens even when the future is dropped.
    pub(super) fn run<T, E, F>(
        &self,
        durable: bool,
        work: F,
    ) -> impl Future<Output = Result<Result<T, E>, oneshot::error::RecvError>> + use<T, E, F>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // When the thread has ended, the reply is dropped with the order and the answer says so.
        let _ = self.orders.send(Order::Apply(Box::new(Pending { durable, work: Some(work), outcome: None, reply })));
        answer
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).is_ok() {
            // An error says that the thread has ended already.
            let _ = closed.await;
        }
    }
}

struct Thread {
    conn: Connection,
    bells: Bells,
    durability: Durability,
    /// What `synchronous` stands at.
    waits_for_disk: Option<bool>,
    /// Something was committed since the last checkpoint.
    dirty: bool,
    /// How many durable changes the last transaction had, of those that had any.
    together: usize,
}

impl Thread {
    fn serve(mut self, line: &Receiver<Order>) {
        loop {
            let next = if self.dirty {
                line.recv_timeout(IDLE)
            } else {
                line.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let first = match next {
                Ok(Order::Apply(change)) => change,
                Ok(Order::Close(done)) => return self.close(Some(done)),
                Err(RecvTimeoutError::Timeout) => {
                    self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
                    self.dirty = false;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            };
            let (group, closing) = self.gather(first, line);
            self.commit(group);
            if closing.is_some() {
                return self.close(closing);
            }
        }
    }

    /// The changes that are to share a transaction with `first`, and whoever wants the thread to end after it.
    fn gather(&mut self, first: Box<dyn Change>, line: &Receiver<Order>) -> (Vec<Box<dyn Change>>, Closing) {
        let began = Instant::now();
        let mut durable = usize::from(first.durable());
        let mut group = vec![first];
        while group.len() < GROUP {
            let next = line.try_recv().or_else(|_| {
                let hopeful = durable > 0 && durable < self.together;
                let patience = if hopeful { COMPANY.saturating_sub(began.elapsed()) } else { Duration::ZERO };
                if patience.is_zero() { Err(RecvTimeoutError::Timeout) } else { line.recv_timeout(patience) }
            });
            match next {
                Ok(Order::Apply(change)) => {
                    durable += usize::from(change.durable());
                    group.push(change);
                }
                Ok(Order::Close(done)) => return (group, Some(done)),
                Err(_) => break,
            }
        }
        if durable > 0 {
            self.together = durable;
        }
        (group, None)
    }

    /// Applies the changes in one transaction and tells everyone.
    fn commit(&mut self, mut group: Vec<Box<dyn Change>>) {
        let mut rung = Vec::new();
        let failure = self.transact(&mut group, &mut rung).err();
        if failure.is_some() && !self.conn.is_autocommit() {
            // Nothing more can be done about a failing rollback: the next BEGIN will say so.
            let _ = self.execute("ROLLBACK");
        }
        if failure.is_none() {
            self.dirty = true;
            self.bells.ring(&rung);
        }
        for change in group {
            change.finish(failure.clone());
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn Change>], rung: &mut Vec<i64>) -> Result<(), DbError> {
        self.wait_for_disk(group.iter().any(|c| c.durable()))?;
        self.execute("BEGIN IMMEDIATE")?;
        for change in group.iter_mut() {
            self.execute("SAVEPOINT change")?;
            let mut tx = Tx { conn: &self.conn, bells: Vec::new() };
            let stays = change.apply(&mut tx);
            let bells = tx.bells;
            if self.conn.is_autocommit() {
                // Some errors (disk full, I/O) make the engine take the whole transaction back.
                return Err(DbError::Unavailable("the transaction was taken back".to_owned()));
            }
            if stays {
                rung.extend(bells);
            } else {
                self.execute("ROLLBACK TO change")?;
            }
            self.execute("RELEASE change")?;
        }
        self.execute("COMMIT")
    }

    fn wait_for_disk(&mut self, durable: bool) -> Result<(), DbError> {
        let wait = durable && self.durability == Durability::Full;
        if self.waits_for_disk != Some(wait) {
            // Takes effect when it is compiled, so it must not come from the statement cache.
            self.conn.execute_batch(if wait { "PRAGMA synchronous = full" } else { "PRAGMA synchronous = normal" })?;
            self.waits_for_disk = Some(wait);
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> Result<(), DbError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn checkpoint(&self, sql: &str) {
        if let Err(error) = self.conn.query_row(sql, [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log could not be moved into the database");
        }
    }

    fn close(self, done: Option<oneshot::Sender<()>>) {
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(self.conn);
        if let Some(done) = done {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
    }
}
