//! Messages on their way out of a transaction: written to the queue's tables together with the change they tell of.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::params;

use super::{DbError, Tx};
use crate::events::Message;

/// How long the `once` of a message is remembered: longer than any retry, or dead letter that someone still redelivers.
pub const ONCE_KEPT: TimeDelta = TimeDelta::days(30);

/// Expired `once` that each new one clears away, so that the table keeps its size without a timer.
const PRUNED_EACH: u32 = 4;

/// A text of fewer octets is written into each message that has it: that takes less than to keep it apart.
const SHORT: usize = 4096;

/// Texts that were written for messages published together, by where they are in memory.
type Written = HashMap<*const u8, i64>;

/// Hands the messages, in order, to each consumer bound to their topics. A message whose `once` was published within
/// [`ONCE_KEPT`], or that nobody is bound to, is dropped.
///
/// # Errors
/// [`DbError`] of the engine.
pub fn publish(tx: &mut Tx<'_>, messages: &[Message], now: DateTime<Utc>) -> Result<(), DbError> {
    let mut texts = Written::new();
    for message in messages {
        if let Some(once) = &message.once
            && !first_time(tx, once, now)?
        {
            continue;
        }
        let bound = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM bindings WHERE topic = ?1)")?
            .query_row([message.topic.name()], |row| row.get::<_, bool>(0))?;
        if bound {
            enqueue(tx, message, &mut texts, now)?;
        }
    }
    Ok(())
}

/// Remembers the `once`; false when it is remembered already.
fn first_time(tx: &Tx<'_>, once: &str, now: DateTime<Utc>) -> Result<bool, DbError> {
    let expired = (now - ONCE_KEPT).timestamp_millis();
    tx.prepare_cached(
        "DELETE FROM published_once WHERE once IN
            (SELECT once FROM published_once WHERE published < ?1 ORDER BY published LIMIT ?2)",
    )?
    .execute(params![expired, PRUNED_EACH])?;
    let changed = tx
        .prepare_cached(
            "INSERT INTO published_once (once, published) VALUES (?1, ?2)
             ON CONFLICT (once) DO UPDATE SET published = ?2 WHERE published < ?3",
        )?
        .execute(params![once, now.timestamp_millis(), expired])?;
    Ok(changed == 1)
}

fn enqueue(tx: &mut Tx<'_>, message: &Message, texts: &mut Written, now: DateTime<Utc>) -> Result<(), DbError> {
    let is_kept_apart = message.texts.iter().map(|(_, text)| text.len()).sum::<usize>() >= SHORT;
    let payload = if is_kept_apart { message.payload.to_string() } else { message.body() };
    tx.prepare_cached("INSERT INTO messages (topic, key, once, payload, published) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![message.topic.name(), message.key, message.once, payload, now.timestamp_millis()])?;
    let id = tx.last_insert_rowid();
    for (member, text) in message.texts.iter().filter(|_| is_kept_apart) {
        let text = keep(tx, text, texts)?;
        tx.prepare_cached("INSERT INTO message_texts (message, member, text) VALUES (?1, ?2, ?3)")?
            .execute(params![id, member, text])?;
    }
    let consumers = tx
        .prepare_cached("SELECT consumer FROM bindings WHERE topic = ?1")?
        .query_map([message.topic.name()], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for consumer in consumers {
        deliver(tx, consumer, id, &message.key)?;
    }
    Ok(())
}

/// Writes a text, once; gives its id.
fn keep(tx: &Tx<'_>, text: &Arc<str>, texts: &mut Written) -> Result<i64, DbError> {
    let place = text.as_ptr();
    if let Some(known) = texts.get(&place) {
        return Ok(*known);
    }
    tx.prepare_cached("INSERT INTO texts (text) VALUES (?1)")?.execute([&**text])?;
    let id = tx.last_insert_rowid();
    texts.insert(place, id);
    Ok(id)
}

/// Puts a message in a consumer's line: ready at once, or behind the older ones of its key.
///
/// # Errors
/// [`DbError`] of the engine.
pub fn deliver(tx: &mut Tx<'_>, consumer: i64, message: i64, key: &str) -> Result<(), DbError> {
    tx.prepare_cached(
        "INSERT INTO deliveries (consumer, message, key, ready, attempts, claimed)
         VALUES (?1, ?2, ?3,
            CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE consumer = ?1 AND key = ?3) THEN NULL ELSE 0 END, 0, 0)",
    )?
    .execute(params![consumer, message, key])?;
    tx.ring(consumer);
    Ok(())
}
