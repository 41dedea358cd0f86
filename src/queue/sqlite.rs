//! The embedded engine of the queue: tables beside the documents, in the same file, so that a change and its messages are
//! one transaction.
//!
//! Each consumer has a line of deliveries. Only the oldest of a key is in the index of what may be handed out; the next
//! takes its place when it is done. Handing one out moves its time forward by the visibility time, so what is never
//! settled comes back by itself. Waiting costs nothing: a commit rings the consumer's bell, and otherwise the next due
//! time is known.

pub mod outgoing;
mod texts;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{ConsumerSpec, DeadLetter, Delivery, Queue, QueueDepth, QueueError, Settlement};
use crate::events::{Message, Topic};
use crate::sqlite::{Db, DbError, Sqlite, Tx, outgoing as written};

/// A receiver that heard nothing looks again after this time: another process, e.g. a command beside the server, may have
/// published.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A receiver that is rung waits this long before it takes: what is published close together is then taken in one
/// transaction, and the writers have the database for themselves meanwhile.
const GATHER: Duration = Duration::from_millis(5);

impl From<DbError> for QueueError {
    fn from(error: DbError) -> Self {
        Self(error.to_string())
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}

#[async_trait]
impl Queue for Sqlite {
    async fn bind(&self, consumer: &ConsumerSpec) -> Result<(), QueueError> {
        let (name, topics) = (consumer.name, consumer.topics.clone());
        self.db()
            .write(move |tx| {
                tx.prepare_cached("INSERT OR IGNORE INTO consumers (name) VALUES (?1)")?.execute([name])?;
                let consumer = consumer_id(tx, name)?;
                tx.prepare_cached("DELETE FROM bindings WHERE consumer = ?1")?.execute([consumer])?;
                for topic in topics {
                    tx.prepare_cached("INSERT OR IGNORE INTO bindings (topic, consumer) VALUES (?1, ?2)")?
                        .execute(params![topic.name(), consumer])?;
                }
                Ok(())
            })
            .await
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError> {
        let (messages, now) = (messages.to_vec(), self.env().now());
        self.db().write(move |tx| Ok(written::publish(tx, &messages, now)?)).await
    }

    async fn receive(&self, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, QueueError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let name = consumer.name;
        let id = self.db().read(move |conn| consumer_id(conn, name)).await?;
        let bell = self.db().bells().bell(id);
        loop {
            let mut rung = std::pin::pin!(bell.notified());
            rung.as_mut().enable();
            let due = self.db().read(move |conn| next_due(conn, id)).await?;
            let now = self.env().now();
            let wait = match due {
                Some(due) if due <= now.timestamp_millis() => {
                    let taken = self.take(id, consumer, most).await?;
                    if !taken.is_empty() {
                        return Ok(taken);
                    }
                    // What was due were lost causes, or another receiver was quicker.
                    Duration::ZERO
                }
                Some(due) => Duration::from_millis(due.abs_diff(now.timestamp_millis())),
                None => LOOK_AGAIN,
            };
            tokio::select! {
                () = &mut rung => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            }
        }
    }

    async fn extend(&self, consumer: &ConsumerSpec, delivery: u64) -> Result<(), QueueError> {
        let (name, claim) = (consumer.name, Claim::of(delivery));
        let ready = later(self.env().now(), self.visibility());
        self.db()
            .write_lazily(move |tx| {
                let consumer = consumer_id(tx, name)?;
                tx.prepare_cached(
                    "UPDATE deliveries SET ready = ?4
                     WHERE consumer = ?1 AND message = ?2 AND claimed = 1 AND attempts & 65535 = ?3",
                )?
                .execute(params![consumer, claim.message, claim.attempt, ready])?;
                Ok(())
            })
            .await
    }

    fn visibility(&self) -> Duration {
        Self::visibility(self)
    }

    async fn settle(&self, consumer: &ConsumerSpec, delivery: u64, how: Settlement) -> Result<(), QueueError> {
        let (name, now) = (consumer.name, self.env().now());
        let claim = Claim::of(delivery);
        // A settlement lost in a power cut is a delivery that comes back.
        self.db()
            .write_lazily(move |tx| {
                let consumer = consumer_id(tx, name)?;
                Ok(settle(tx, consumer, claim, how, now)?)
            })
            .await
    }

    async fn dead_letters(
        &self,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let consumer = consumer.map(str::to_owned);
        let before = before.map_or(i64::MAX, |id| i64::try_from(id).unwrap_or(i64::MAX));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.db().read(move |conn| dead_letters(conn, consumer.as_deref(), before, limit)).await
    }

    async fn redeliver(&self, dead: u64) -> Result<bool, QueueError> {
        self.db().write(move |tx| Ok(redeliver(tx, dead as i64)?)).await
    }

    async fn discard(&self, dead: u64) -> Result<bool, QueueError> {
        self.db()
            .write(move |tx| {
                Ok(tx.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([dead as i64])? == 1)
            })
            .await
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, QueueError> {
        let now = self.env().now();
        self.db().read(move |conn| depths(conn, now)).await
    }
}

impl Sqlite {
    /// Takes what is due. What was taken for a receiver that is gone is put back at once.
    async fn take(&self, id: i64, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, QueueError> {
        let attempts = consumer.retry.attempts;
        let (now, visibility, db) = (self.env().now(), self.visibility(), self.db().clone());
        let taken = self
            .db()
            .write_lazily(move |tx| {
                let deliveries = take(tx, id, most, attempts, now, visibility)?;
                Ok::<_, QueueError>(Taken { db, consumer: id, deliveries })
            })
            .await?;
        Ok(taken.keep())
    }
}

/// Deliveries on their way to a receiver; dropped before they arrive, they go back.
struct Taken {
    db: Db,
    consumer: i64,
    deliveries: Vec<Delivery>,
}

impl Taken {
    fn keep(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let claims: Vec<Claim> = self.deliveries.iter().map(|d| Claim::of(d.id)).collect();
        if claims.is_empty() {
            return;
        }
        let consumer = self.consumer;
        self.db.write_behind(move |tx| {
            for claim in claims {
                tx.prepare_cached(
                    "UPDATE deliveries SET ready = 0, claimed = 0, attempts = attempts - 1
                     WHERE consumer = ?1 AND message = ?2 AND claimed = 1 AND attempts & 65535 = ?3",
                )?
                .execute(params![consumer, claim.message, claim.attempt])?;
            }
            tx.ring(consumer);
            Ok(())
        });
    }
}

/// What a delivery's id says: the message and the attempt, so that a late settlement of an earlier attempt is known.
#[derive(Debug, Clone, Copy)]
struct Claim {
    message: i64,
    /// The lower sixteen bits of the count.
    attempt: i64,
}

impl Claim {
    fn of(id: u64) -> Self {
        Self { message: (id >> 16) as i64, attempt: (id & 0xffff) as i64 }
    }

    fn id(message: i64, attempt: u32) -> u64 {
        ((message as u64) << 16) | u64::from(attempt & 0xffff)
    }
}

fn consumer_id(conn: &Connection, name: &str) -> Result<i64, QueueError> {
    conn.prepare_cached("SELECT id FROM consumers WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .ok_or_else(|| QueueError(format!("the consumer {name} is not bound")))
}

fn next_due(conn: &Connection, consumer: i64) -> Result<Option<i64>, QueueError> {
    let due = conn
        .prepare_cached(
            "SELECT ready FROM deliveries WHERE consumer = ?1 AND ready IS NOT NULL ORDER BY ready, message LIMIT 1",
        )?
        .query_row([consumer], |row| row.get(0))
        .optional()?;
    Ok(due)
}

/// A row of `deliveries` with its message.
struct Waiting {
    message: i64,
    attempts: u32,
    error: Option<String>,
    topic: String,
    key: String,
    once: Option<String>,
    payload: String,
    published: i64,
}

impl Waiting {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            message: row.get(0)?,
            attempts: row.get(1)?,
            error: row.get(2)?,
            topic: row.get(3)?,
            key: row.get(4)?,
            once: row.get(5)?,
            payload: row.get(6)?,
            published: row.get(7)?,
        })
    }

    /// The delivery for the next attempt, or why there can be none. `texts` are what is not in the payload.
    fn delivery(self, attempts: u32, texts: texts::Texts) -> Result<Delivery, String> {
        if self.attempts >= attempts {
            return Err(self.error.unwrap_or_else(|| "every attempt ended without an answer".to_owned()));
        }
        let topic = Topic::from_name(&self.topic).ok_or_else(|| format!("the topic {} is unknown", self.topic))?;
        let mut payload = serde_json::from_str(&self.payload).map_err(|e| format!("the payload is not JSON: {e}"))?;
        texts::complete(&mut payload, texts);
        let attempt = self.attempts.saturating_add(1);
        Ok(Delivery {
            id: Claim::id(self.message, attempt),
            message: Message { topic, key: self.key, once: self.once, payload, texts: Vec::new() },
            attempt,
            published: instant(self.published),
        })
    }
}

fn take(
    tx: &mut Tx<'_>,
    consumer: i64,
    most: usize,
    attempts: u32,
    now: DateTime<Utc>,
    visibility: Duration,
) -> Result<Vec<Delivery>, DbError> {
    let due = tx
        .prepare_cached(
            "SELECT d.message, d.attempts, d.error, m.topic, m.key, m.once, m.payload, m.published
             FROM deliveries d CROSS JOIN messages m ON m.id = d.message
             WHERE d.consumer = ?1 AND d.ready <= ?2 ORDER BY d.ready, d.message LIMIT ?3",
        )?
        .query_map(params![consumer, now.timestamp_millis(), i64::try_from(most).unwrap_or(i64::MAX)], Waiting::read)?
        .collect::<Result<Vec<_>, _>>()?;
    let mut taken = Vec::with_capacity(due.len());
    for waiting in due {
        let message = waiting.message;
        let texts = texts::of(tx, message)?;
        match waiting.delivery(attempts, texts) {
            Ok(delivery) => {
                tx.prepare_cached(
                    "UPDATE deliveries SET ready = ?3, claimed = 1, attempts = ?4 WHERE consumer = ?1 AND message = ?2",
                )?
                .execute(params![consumer, message, later(now, visibility), delivery.attempt])?;
                taken.push(delivery);
            }
            Err(error) => bury(tx, consumer, message, &error, now)?,
        }
    }
    Ok(taken)
}

fn settle(tx: &mut Tx<'_>, consumer: i64, claim: Claim, how: Settlement, now: DateTime<Utc>) -> Result<(), DbError> {
    let under_way = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries
             WHERE consumer = ?1 AND message = ?2 AND claimed = 1 AND attempts & 65535 = ?3)",
        )?
        .query_row(params![consumer, claim.message, claim.attempt], |row| row.get::<_, bool>(0))?;
    if !under_way {
        return Ok(());
    }
    match how {
        Settlement::Done => leave_line(tx, consumer, claim.message),
        Settlement::Retry { after, error } => {
            tx.prepare_cached(
                "UPDATE deliveries SET ready = ?3, claimed = 0, error = ?4 WHERE consumer = ?1 AND message = ?2",
            )?
            .execute(params![consumer, claim.message, later(now, after), error])?;
            tx.ring(consumer);
            Ok(())
        }
        Settlement::Dead { error } => bury(tx, consumer, claim.message, &error, now),
    }
}

/// Makes a delivery a dead letter, which has its whole body.
fn bury(tx: &mut Tx<'_>, consumer: i64, message: i64, error: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let whole = texts::whole_body(tx, message)?;
    tx.prepare_cached(
        "INSERT INTO dead_letters (consumer, topic, key, once, payload, attempts, error, published, died)
         SELECT d.consumer, m.topic, m.key, m.once, ifnull(?5, m.payload), d.attempts, ?3, m.published, ?4
         FROM deliveries d JOIN messages m ON m.id = d.message WHERE d.consumer = ?1 AND d.message = ?2",
    )?
    .execute(params![consumer, message, error, now.timestamp_millis(), whole])?;
    leave_line(tx, consumer, message)
}

/// Takes a delivery out of the line, lets the next of its key forward, and drops the message when nobody needs it.
fn leave_line(tx: &mut Tx<'_>, consumer: i64, message: i64) -> Result<(), DbError> {
    let key = tx
        .prepare_cached("DELETE FROM deliveries WHERE consumer = ?1 AND message = ?2 RETURNING key")?
        .query_row(params![consumer, message], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(key) = key else { return Ok(()) };
    let forward = tx
        .prepare_cached(
            "UPDATE deliveries SET ready = 0 WHERE consumer = ?1 AND ready IS NULL AND message =
                (SELECT min(message) FROM deliveries WHERE consumer = ?1 AND key = ?2)",
        )?
        .execute(params![consumer, key])?;
    if forward > 0 {
        tx.ring(consumer);
    }
    tx.prepare_cached(
        "DELETE FROM messages WHERE id = ?1 AND NOT EXISTS
            (SELECT 1 FROM consumers c CROSS JOIN deliveries d ON d.consumer = c.id AND d.message = ?1)",
    )?
    .execute([message])?;
    Ok(())
}

fn redeliver(tx: &mut Tx<'_>, dead: i64) -> Result<bool, DbError> {
    let letter = tx
        .prepare_cached("SELECT consumer, key FROM dead_letters WHERE id = ?1")?
        .query_row([dead], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((consumer, key)) = letter else { return Ok(false) };
    tx.prepare_cached(
        "INSERT INTO messages (topic, key, once, payload, published)
         SELECT topic, key, once, payload, published FROM dead_letters WHERE id = ?1",
    )?
    .execute([dead])?;
    let message = tx.last_insert_rowid();
    written::deliver(tx, consumer, message, &key)?;
    tx.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([dead])?;
    Ok(true)
}

fn dead_letters(
    conn: &Connection,
    consumer: Option<&str>,
    before: i64,
    limit: i64,
) -> Result<Vec<DeadLetter>, QueueError> {
    const COLUMNS: &str = "d.id, c.name, d.topic, d.attempts, d.error, d.published, d.died, d.payload";
    let sql = match consumer {
        Some(_) => format!(
            "SELECT {COLUMNS} FROM consumers c CROSS JOIN dead_letters d ON d.consumer = c.id
             WHERE c.name = ?3 AND d.id < ?1 ORDER BY d.id DESC LIMIT ?2"
        ),
        None => format!(
            "SELECT {COLUMNS} FROM dead_letters d CROSS JOIN consumers c ON c.id = d.consumer
             WHERE d.id < ?1 AND ?3 IS NULL ORDER BY d.id DESC LIMIT ?2"
        ),
    };
    let letters = conn
        .prepare_cached(&sql)?
        .query_map(params![before, limit, consumer], |row| {
            Ok(DeadLetter {
                id: row.get::<_, i64>(0)? as u64,
                consumer: row.get(1)?,
                topic: row.get(2)?,
                attempts: row.get(3)?,
                error: row.get(4)?,
                published: instant(row.get(5)?),
                died: instant(row.get(6)?),
                payload: payload(row.get_ref(7)?.as_str()?),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(letters)
}

/// The payload of a dead letter: shown as text where it is not JSON, for that may be why it died.
fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn depths(conn: &Connection, now: DateTime<Utc>) -> Result<Vec<QueueDepth>, QueueError> {
    let count = |sql: &str| -> Result<BTreeMap<i64, u64>, QueueError> {
        let counts = conn
            .prepare_cached(sql)?
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
            .collect::<Result<_, _>>()?;
        Ok(counts)
    };
    let waiting = count("SELECT consumer, count(*) FROM deliveries GROUP BY consumer")?;
    let dead = count("SELECT consumer, count(*) FROM dead_letters GROUP BY consumer")?;
    let mut oldest = conn.prepare_cached(
        "SELECT published FROM messages WHERE id = (SELECT min(message) FROM deliveries WHERE consumer = ?1)",
    )?;
    let consumers = conn
        .prepare_cached("SELECT id, name FROM consumers ORDER BY name")?
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    consumers
        .into_iter()
        .map(|(id, consumer)| {
            let published = oldest.query_row([id], |row| row.get::<_, i64>(0)).optional()?;
            let age = published.map_or(0, |p| now.timestamp_millis().saturating_sub(p).max(0) / 1000);
            Ok(QueueDepth {
                consumer,
                waiting: waiting.get(&id).copied().unwrap_or(0),
                dead: dead.get(&id).copied().unwrap_or(0),
                oldest_seconds: age.unsigned_abs(),
            })
        })
        .collect()
}

fn later(now: DateTime<Utc>, wait: Duration) -> i64 {
    now.timestamp_millis().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

fn instant(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, CountingEntropy, Env, ManualClock};
    use crate::config::{Durability, RetryPolicy};

    struct Shared(Arc<ManualClock>);

    impl Clock for Shared {
        fn now(&self) -> DateTime<Utc> {
            self.0.now()
        }
    }

    #[tokio::test]
    async fn a_once_is_remembered_for_thirty_days_and_then_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at("2026-05-01T10:00:00Z".parse().unwrap()));
        let env = Env::new(Shared(Arc::clone(&clock)), CountingEntropy::default());
        let queue = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env).unwrap();
        let spec = ConsumerSpec {
            name: "test:once",
            topics: vec![Topic::EventCreated],
            concurrency: 1,
            retry: RetryPolicy::default(),
        };
        queue.bind(&spec).await.unwrap();
        let message = |once: &str| Message::new(Topic::EventCreated, "k", &1).once(once);
        let waiting = async || queue.depths().await.unwrap()[0].waiting;
        queue.publish(&[message("a"), message("b")]).await.unwrap();
        clock.advance(chrono::TimeDelta::days(29));
        queue.publish(&[message("a")]).await.unwrap();
        assert_eq!(waiting().await, 2);
        clock.advance(chrono::TimeDelta::days(2));
        queue.publish(&[message("a")]).await.unwrap();
        assert_eq!(waiting().await, 3);
        let kept: i64 = queue
            .db()
            .read(|conn| Ok::<_, DbError>(conn.query_row("SELECT count(*) FROM published_once", [], |r| r.get(0))?))
            .await
            .unwrap();
        assert_eq!(kept, 1, "b is cleared away too");
    }
}
