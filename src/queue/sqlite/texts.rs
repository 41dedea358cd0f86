//! Members of a body that are kept apart from the payload, because several messages have them in common.

use rusqlite::Connection;
use serde_json::Value;

use crate::sqlite::{DbError, Tx};

/// Names and texts.
pub(super) type Texts = Vec<(String, String)>;

/// The texts of a message.
pub(super) fn of(conn: &Connection, message: i64) -> Result<Texts, DbError> {
    let texts = conn
        .prepare_cached(
            "SELECT m.member, t.text FROM message_texts m CROSS JOIN texts t ON t.id = m.text WHERE m.message = ?1",
        )?
        .query_map([message], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(texts)
}

/// Puts texts where they belong.
pub(super) fn complete(payload: &mut Value, texts: Texts) {
    if let Some(body) = payload.as_object_mut() {
        body.extend(texts.into_iter().map(|(member, text)| (member, Value::String(text))));
    }
}

/// The whole body of a message as JSON; `None` where that is its payload.
pub(super) fn whole_body(tx: &Tx<'_>, message: i64) -> Result<Option<String>, DbError> {
    let texts = of(tx, message)?;
    if texts.is_empty() {
        return Ok(None);
    }
    let payload: String =
        tx.prepare_cached("SELECT payload FROM messages WHERE id = ?1")?.query_row([message], |row| row.get(0))?;
    let mut body = super::payload(&payload);
    complete(&mut body, texts);
    Ok(Some(body.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::Env;
    use crate::config::{Durability, RetryPolicy};
    use crate::events::{Message, Topic};
    use crate::queue::{ConsumerSpec, Queue as _, Settlement};
    use crate::sqlite::{DbError, Sqlite};

    #[tokio::test]
    async fn a_text_is_kept_once_and_as_long_as_somebody_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, Env::system()).unwrap();
        let spec = ConsumerSpec {
            name: "test:texts",
            topics: vec![Topic::ItipLocalDelivery],
            concurrency: 1,
            retry: RetryPolicy::default(),
        };
        queue.bind(&spec).await.unwrap();
        let count = async || {
            let count = "SELECT count(*), ifnull(sum(length(text)), 0) FROM texts";
            let found = queue.db().read(move |conn| {
                Ok::<(i64, i64), DbError>(conn.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
            });
            found.await.unwrap()
        };
        let (long, other): (Arc<str>, Arc<str>) = ("x".repeat(10_000).into(), "y".repeat(5_000).into());
        let message = |n: usize| {
            let message = Message::new(Topic::ItipLocalDelivery, n.to_string(), &serde_json::json!({ "n": n }));
            message.text("message", &long)
        };
        let mut messages: Vec<Message> = (0..20).map(message).collect();
        messages[0] = messages[0].clone().text("oldMessage", &other);
        queue.publish(&messages).await.unwrap();
        assert_eq!(count().await, (2, 15_000));
        let taken = queue.receive(&spec, 100).await.unwrap();
        assert_eq!(taken.len(), 20);
        for delivery in &taken {
            let n = delivery.message.payload["n"].as_u64().unwrap();
            let mut expected = serde_json::json!({ "n": n, "message": &*long });
            if n == 0 {
                expected["oldMessage"] = (*other).into();
            }
            assert_eq!(delivery.message.payload, expected);
        }
        for (settled, delivery) in taken.iter().enumerate() {
            assert!(count().await.0 > 0, "{settled} are settled");
            queue.settle(&spec, delivery.id, Settlement::Done).await.unwrap();
        }
        assert_eq!(count().await, (0, 0));
    }
}
