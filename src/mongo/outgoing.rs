//! Messages on their way out of a write: rows of `convoke_outgoing`, written together with the change they tell of. The
//! queue's engine takes them from there.
//!
//! ```text
//! { _id, node, order, ready, topic, key, once?, payload: "<JSON>", written: Date }
//! ```
//!
//! `node` is the process that has to send it, `order` what comes first there.

use std::sync::atomic::Ordering;

use mongodb::bson::{Document, doc};
use mongodb::{Collection, bson};

use super::Mongo;
use crate::events::{Message, Topic};

/// The collection.
pub const COLLECTION: &str = "convoke_outgoing";

impl Mongo {
    /// The messages that wait.
    pub fn outgoing(&self) -> Collection<Document> {
        self.dav().collection(COLLECTION)
    }

    /// Rows for messages, in order behind those made before by this process. `ready` rows may be taken as soon as they are
    /// there.
    pub fn outgoing_rows(&self, messages: &[Message], ready: bool) -> Vec<Document> {
        messages.iter().map(|message| self.outgoing_row(message, ready)).collect()
    }

    fn outgoing_row(&self, message: &Message, ready: bool) -> Document {
        let mut row = doc! {
            "_id": self.new_id(),
            "node": self.node(),
            "order": self.next_order(),
            "ready": ready,
            "topic": message.topic.name(),
            "key": &message.key,
            "payload": message.body(),
            "written": bson::DateTime::from_millis(self.env().now().timestamp_millis()),
        };
        if let Some(once) = &message.once {
            row.insert("once", once);
        }
        row
    }

    /// Microseconds since 1970, or one more than the last: goes up, also across nodes as far as their clocks agree.
    fn next_order(&self) -> i64 {
        let now = u64::try_from(self.env().now().timestamp_micros()).unwrap_or(0);
        let order = &self.shared.order;
        let last = order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        let (Ok(last) | Err(last)) = last;
        i64::try_from(now.max(last + 1)).unwrap_or(i64::MAX)
    }

    /// Says that messages were written.
    pub fn ring(&self) {
        self.shared.bell.notify_waiters();
    }

    /// Waits for [`Mongo::ring`]. Enable the wait before looking for messages.
    pub fn rung(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.bell.notified()
    }
}

/// The message in a row; `None` when this program cannot have written it.
pub fn message(row: &Document) -> Option<Message> {
    Some(Message {
        topic: Topic::from_name(row.get_str("topic").ok()?)?,
        key: row.get_str("key").ok()?.to_owned(),
        once: row.get_str("once").ok().map(str::to_owned),
        payload: serde_json::from_str(row.get_str("payload").ok()?).ok()?,
        texts: Vec::new(),
    })
}
