//! The tables of the embedded queue as the store of outgoing messages, for an installation whose documents are in SQLite and
//! whose queue is elsewhere: one consumer, to which everything goes, and which the relay empties.

use async_trait::async_trait;
use rusqlite::params;

use super::{consumer_id, leave_line};
use crate::config::RetryPolicy;
use crate::events::Topic;
use crate::queue::{ConsumerSpec, Outgoing, OutgoingStore, Queue as _, QueueError, Settlement};
use crate::sqlite::{Sqlite, Tx, outgoing};

/// Name of the consumer that the relay is.
const RELAY: &str = "convoke:outgoing";

/// What waits in SQLite for a queue of another engine.
#[derive(Debug, Clone)]
pub struct SqliteOutgoing {
    sqlite: Sqlite,
    spec: ConsumerSpec,
}

impl SqliteOutgoing {
    /// From now on everything that is written goes to the relay, and to nobody else. What still waited for the consumers of
    /// the embedded queue goes there as well: those that had it already get it a second time, and none goes without.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub async fn enter(sqlite: Sqlite) -> Result<Self, QueueError> {
        let spec = ConsumerSpec {
            name: RELAY,
            topics: Topic::ALL.to_vec(),
            concurrency: 1,
            // What cannot be sent waits: nothing here ever becomes a dead letter.
            retry: RetryPolicy { attempts: u32::MAX, ..RetryPolicy::default() },
        };
        sqlite.bind(&spec).await?;
        sqlite
            .db()
            .write(|tx| {
                let relay = consumer_id(tx, RELAY)?;
                tx.prepare_cached("DELETE FROM bindings WHERE consumer <> ?1")?.execute([relay])?;
                let left = waiting(tx, "SELECT DISTINCT message, key FROM deliveries WHERE consumer <> ?1", relay)?;
                for (message, key) in left {
                    outgoing::deliver(tx, relay, message, &key)?;
                }
                tx.prepare_cached("DELETE FROM deliveries WHERE consumer <> ?1")?.execute([relay])?;
                Ok::<_, QueueError>(())
            })
            .await?;
        Ok(Self { sqlite, spec })
    }

    /// The queue is the embedded one again: what still waits for the relay goes to the consumers that are bound, and nothing
    /// new comes to it. Does nothing where there never was a relay. Bind the consumers before.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub async fn leave(sqlite: &Sqlite) -> Result<(), QueueError> {
        sqlite
            .db()
            .write(|tx| {
                let Ok(relay) = consumer_id(tx, RELAY) else { return Ok(()) };
                tx.prepare_cached("DELETE FROM bindings WHERE consumer = ?1")?.execute([relay])?;
                for (message, key) in waiting(tx, "SELECT message, key FROM deliveries WHERE consumer = ?1", relay)? {
                    let bound = tx
                        .prepare_cached(
                            "SELECT b.consumer FROM messages m JOIN bindings b ON b.topic = m.topic WHERE m.id = ?1",
                        )?
                        .query_map([message], |row| row.get(0))?
                        .collect::<Result<Vec<i64>, _>>()?;
                    for consumer in bound {
                        outgoing::deliver(tx, consumer, message, &key)?;
                    }
                    leave_line(tx, relay, message)?;
                }
                tx.prepare_cached("DELETE FROM consumers WHERE id = ?1")?.execute([relay])?;
                Ok::<_, QueueError>(())
            })
            .await
    }
}

/// Messages of a query over deliveries, in the order they were written.
fn waiting(tx: &Tx<'_>, query: &str, consumer: i64) -> Result<Vec<(i64, String)>, QueueError> {
    let found = tx
        .prepare_cached(&format!("{query} ORDER BY message"))?
        .query_map(params![consumer], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

#[async_trait]
impl OutgoingStore for SqliteOutgoing {
    async fn take(&self, most: usize) -> Result<Vec<Outgoing>, QueueError> {
        let taken = self.sqlite.receive(&self.spec, most).await?;
        Ok(taken.into_iter().map(|d| Outgoing { id: d.id.to_string(), message: d.message }).collect())
    }

    async fn sent(&self, ids: &[String]) -> Result<(), QueueError> {
        for id in ids {
            let delivery = id.parse().map_err(|_| QueueError(format!("no outgoing message is called {id:?}")))?;
            self.sqlite.settle(&self.spec, delivery, Settlement::Done).await?;
        }
        Ok(())
    }

    async fn waiting(&self) -> Result<(u64, u64), QueueError> {
        let depths = self.sqlite.depths().await?;
        let relay = depths.into_iter().find(|d| d.consumer == RELAY);
        Ok(relay.map_or((0, 0), |d| (d.waiting, d.oldest_seconds)))
    }
}
