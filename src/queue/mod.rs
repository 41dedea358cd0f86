//! Messages between the parts of the program, at least once, in order per key. A port; its engines are in `sqlite`
//! (embedded, in the same transaction as the change it tells of) and `rabbitmq`. Where the documents and the queue are in
//! different engines, `relay` moves what the store wrote together with its changes into the queue.
//!
//! Every consumer gets every message of its topics. A delivery is settled by acknowledging it after its effect is
//! durable; whatever is not settled comes back. A failure is retried with back-off, then kept as a dead letter that an
//! administrator can see and redeliver.

mod consume;
pub mod mongo;
mod outgoing;
pub mod rabbitmq;
mod relay;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;

pub use consume::{Failure, run};
pub use outgoing::{Outgoing, OutgoingStore};
pub use relay::relay;

pub use crate::config::RetryPolicy;
use crate::events::{Message, Topic};

/// The queue failed; the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("the queue is unavailable: {0}")]
pub struct QueueError(pub String);

/// Who consumes what, and how patiently.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerSpec {
    /// Name of the queue, unique (messaging §2.3), e.g. `tcalendar:itip:localDelivery`.
    pub name: &'static str,
    /// Topics it gets.
    pub topics: Vec<Topic>,
    /// Deliveries under way at once.
    pub concurrency: usize,
    /// How failures are retried.
    pub retry: RetryPolicy,
}

/// A message handed to one consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The engine's name for this delivery.
    pub id: u64,
    /// The message.
    pub message: Message,
    /// 1 the first time.
    pub attempt: u32,
    /// When it was published.
    pub published: DateTime<Utc>,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// Its effect is durable.
    Done,
    /// It failed; deliver it again after the wait.
    Retry {
        /// How long to wait.
        after: Duration,
        /// What went wrong.
        error: String,
    },
    /// It failed for good; keep it where an administrator sees it.
    Dead {
        /// What went wrong.
        error: String,
    },
}

/// A delivery that failed for good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetter {
    /// The engine's name for it.
    pub id: u64,
    /// Consumer that failed.
    pub consumer: String,
    /// Name of its topic.
    pub topic: String,
    /// Attempts made.
    pub attempts: u32,
    /// What went wrong at last.
    pub error: String,
    /// When it was published.
    pub published: DateTime<Utc>,
    /// When it was given up.
    pub died: DateTime<Utc>,
    /// The JSON body.
    pub payload: serde_json::Value,
}

/// How much waits for a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// Consumer.
    pub consumer: String,
    /// Deliveries that wait or are under way.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// Age of the oldest that waits, in seconds.
    pub oldest_seconds: u64,
}

/// A durable queue.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Makes the consumer known, so that messages of its topics published from now on are kept for it; topics it no
    /// longer names bring nothing new. Idempotent. Bind before anything is published.
    async fn bind(&self, consumer: &ConsumerSpec) -> Result<(), QueueError>;

    /// Publishes all messages or none. Durable when it returns. A message whose `once` was published in the last 30 days
    /// is dropped, and so is one that nobody is bound to.
    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError>;

    /// Takes up to `most` deliveries for the consumer, waiting until there is at least one. At most one delivery per
    /// key is under way at a time, the oldest first; one that waits for a retry holds up its own key only. A delivery
    /// that is neither settled nor extended within [`Queue::visibility`] comes back; one that has used up the attempts of
    /// `consumer.retry` in this way becomes a dead letter. Safe to drop: what was taken for a call that is gone comes
    /// back too.
    async fn receive(&self, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Says that a delivery is still worked at: its visibility time begins anew. Does nothing to one that was settled or
    /// handed out again.
    async fn extend(&self, consumer: &ConsumerSpec, delivery: u64) -> Result<(), QueueError>;

    /// Time after which a delivery comes back that was neither settled nor extended.
    fn visibility(&self) -> Duration;

    /// Settles a delivery. Settling twice, or after it was handed out again, does nothing.
    async fn settle(&self, consumer: &ConsumerSpec, delivery: u64, how: Settlement) -> Result<(), QueueError>;

    /// A page of dead letters, newest first, before `before`; of one consumer where given.
    async fn dead_letters(
        &self,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError>;

    /// Puts a dead letter back with a fresh count of attempts, behind what waits of its key; false when there is none
    /// of that id.
    async fn redeliver(&self, dead: u64) -> Result<bool, QueueError>;

    /// Deletes a dead letter; false when there is none of that id.
    async fn discard(&self, dead: u64) -> Result<bool, QueueError>;

    /// How much waits, for each consumer that was ever bound.
    async fn depths(&self) -> Result<Vec<QueueDepth>, QueueError>;
}

/// The queue that the program was started with.
pub type SharedQueue = Arc<dyn Queue>;
