//! Transactions: the whole work again when the server says that another attempt may succeed.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::bson::doc;
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria};
use tokio::time::Instant;

use super::{Failure, Mongo, Timed};

/// Attempts at one transaction, as far as the time of an operation allows.
const ATTEMPTS: u32 = 200;
/// Wait before the second attempt; each later one may wait twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(2);
/// Longest wait before an attempt.
const LONGEST: Duration = Duration::from_millis(100);
/// Attempts at one commit whose result is unknown.
const COMMITS: u32 = 5;
/// Time to give a transaction up in.
const GIVING_UP: Duration = Duration::from_secs(1);

/// Why the work in a transaction ends early.
#[derive(Debug)]
pub enum Interrupt<R> {
    /// The database failed; the transaction may be tried again.
    Database(Timed),
    /// The work refuses: nothing of it is kept.
    Refused(R),
}

impl<R> From<Timed> for Interrupt<R> {
    fn from(error: Timed) -> Self {
        Self::Database(error)
    }
}

/// What is done within a transaction. May run more than once: each attempt sees the data anew and leaves no trace of the one
/// before.
#[async_trait]
pub trait Work: Send {
    /// What it yields.
    type Done: Send;
    /// Why it would not.
    type Refusal: From<Failure> + Send;

    /// One attempt; every operation must be given the session.
    async fn attempt(&mut self, session: &mut ClientSession) -> Result<Self::Done, Interrupt<Self::Refusal>>;
}

impl Mongo {
    /// Does the work in a transaction, which a majority of a replica set has made durable when this returns.
    ///
    /// # Errors
    /// The work's own refusal, or a [`Failure`] turned into one. After [`Failure::Unavailable`] it is not known whether the
    /// work was done.
    pub async fn transaction<W: Work>(&self, work: &mut W) -> Result<W::Done, W::Refusal> {
        let until = Instant::now() + self.operation_time();
        let mut attempt = 1;
        loop {
            let error = match self.attempt(work, until).await {
                Ok(done) => return Ok(done),
                Err(Interrupt::Refused(refusal)) => return Err(refusal),
                Err(Interrupt::Database(error)) => error,
            };
            let again = matches!(&error, Timed::Driver(e) if e.contains_label(TRANSIENT_TRANSACTION_ERROR));
            if !again || attempt == ATTEMPTS || Instant::now() >= until {
                return Err(W::Refusal::from(error.into()));
            }
            metrics::counter!("convoke_mongodb_transaction_retries_total").increment(1);
            tokio::time::sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt<W: Work>(&self, work: &mut W, until: Instant) -> Result<W::Done, Interrupt<W::Refusal>> {
        let mut session = self.timed(self.client().start_session()).await?;
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        // On a replica set every transaction reads one state. Asked for by name, it would be one that is a little old, and
        // whatever has been written since would be a conflict.
        let reads = if self.sharded { ReadConcern::snapshot() } else { ReadConcern::local() };
        let begin = session.start_transaction().read_concern(reads).selection_criteria(primary);
        self.timed(begin).await?;
        match work.attempt(&mut session).await {
            Ok(done) => {
                self.commit(&mut session, until).await?;
                Ok(done)
            }
            Err(interrupt) => {
                // Gives its locks back. Where that fails the server ends the transaction by itself.
                let _ = tokio::time::timeout(GIVING_UP, session.abort_transaction()).await;
                Err(interrupt)
            }
        }
    }

    /// Commits; again where nobody knows whether it was done, for a second commit of the same transaction does no harm.
    async fn commit(&self, session: &mut ClientSession, until: Instant) -> Result<(), Timed> {
        let mut attempt = 1;
        loop {
            let error = match self.timed(session.commit_transaction()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let unknown = match &error {
                Timed::Late => true,
                Timed::Driver(e) => e.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT),
            };
            if !unknown || attempt == COMMITS || (attempt > 1 && Instant::now() >= until) {
                self.end_session(session).await;
                return Err(error);
            }
            metrics::counter!("convoke_mongodb_commit_retries_total").increment(1);
            tokio::time::sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Ends a transaction whose commit never arrived: it would keep what it has locked for a minute. One that was committed
    /// stays so.
    async fn end_session(&self, session: &ClientSession) {
        let admin = self.client().database("admin");
        let end = admin.run_command(doc! { "killSessions": [session.id().clone()] });
        let _ = tokio::time::timeout(GIVING_UP, end).await;
    }

    /// Time to wait after a number of failed attempts: a random part, so that those who were in each other's way part.
    pub fn pause(&self, attempts: u32) -> Duration {
        let most = FIRST.saturating_mul(1 << attempts.min(16)).min(LONGEST);
        let mut chance = [0];
        self.env().fill(&mut chance);
        most.mul_f64((f64::from(chance[0]) + 1.0) / 256.0)
    }
}
