//! RabbitMQ as the queue: the broker that esn-sabre publishes on (messaging §1 and §2), shared by all nodes.
//!
//! Messages go to one exchange for each topic, and every consumer has a durable queue there; what is acknowledged is gone,
//! everything else comes back. What the port asks for beyond that is done here:
//!
//! - **Order per key** holds within a node. Nodes share the queues, so two messages of a key may be under way on two nodes,
//!   and what comes back after a connection was lost may come to another node after a younger one.
//! - **Retries** wait in the process; when many wait, or for long, they do so in the queue `<name>:retry`, whose messages
//!   return after a fixed time, with everything of their keys, so that failures hold up nobody else.
//! - **Attempts** are counted in the process and in headers. Of a message that comes back from a process that died, they are
//!   counted in the ledger: one that ends the process each time becomes a dead letter, too.
//! - **Time to work**: RabbitMQ gives back what a connection held when the connection ends, not before. What nobody in this
//!   process settles or extends in time returns to the line here.
//! - **`once`** cannot be asked of the broker when publishing. A message that carries one is noted in the ledger, for each
//!   consumer, when it is received and when it is done; a copy that comes later, on whichever node, is acknowledged silently.
//! - **`publish`** returns when the broker has confirmed every message. When it fails, some may have arrived: publishing
//!   again is harmless for what carries a `once`, and otherwise a second delivery.
//! - **Dead letters** are ours, with error and time, and those that others made (`x-death`), from the same queues.
//!
//! It must never hand out what the broker did not, nor acknowledge what is neither done nor safe elsewhere.

mod connection;
mod consumer;
mod dead;
mod examine;
mod health;
mod line;
mod probe;
mod publisher;
mod receive;
mod topology;
mod wire;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
pub use topology::{dead_letter_queue, retry_queue};

use self::connection::{Endpoint, Link, Session};
use self::consumer::Consumer;
use self::publisher::{Publication, Publisher};
use self::topology::Arguments;
use super::{ConsumerSpec, DeadLetter, Delivery, Queue, QueueDepth, QueueError, Settlement};
use crate::clock::Env;
use crate::config;
use crate::events::{Message, Topic};
use crate::nodes::{NodeId, SharedLedger};

/// Time after which a delivery that was not settled comes back, unless configured otherwise.
const VISIBILITY: Duration = Duration::from_secs(60);

/// RabbitMQ cannot be used, or did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RabbitMqError {
    /// A key of the configuration is wrong. Trying again does not help.
    #[error("{0}")]
    Configuration(String),
    /// A queue is declared otherwise. Trying again does not help.
    #[error(
        "the queue {queue} exists with other arguments than rabbitmq.queue_type asks for: set that key to what the queue \
         is, or delete the queue once it is empty ({found})"
    )]
    Mismatch {
        /// The queue.
        queue: String,
        /// What the broker said.
        found: String,
    },
    /// The broker did not take a message.
    #[error("{0}")]
    Refused(String),
    /// No queue is bound to an exchange to which one should be: somebody deleted it. Trying again helps.
    #[error("no queue takes what is published to {0}")]
    Unrouted(String),
    /// It does not answer, or ended the connection. The same call may succeed later.
    #[error("RabbitMQ: {0}")]
    Away(String),
}

impl From<lapin::Error> for RabbitMqError {
    fn from(error: lapin::Error) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<RabbitMqError> for QueueError {
    fn from(error: RabbitMqError) -> Self {
        Self(error.to_string())
    }
}

/// The queue on RabbitMQ. Cheap to clone; all clones share two connections, one to publish and one to consume, since a broker
/// that is short of memory or disk stops reading from those who publish.
#[derive(Clone)]
pub struct RabbitMq {
    inner: Arc<Inner>,
}

struct Inner {
    publishing: Link,
    consuming: Link,
    publisher: Publisher,
    arguments: Arguments,
    ledger: SharedLedger,
    node: NodeId,
    env: Env,
    visibility: Duration,
    prefetch: u16,
    held: u16,
    held_longest: Duration,
    round: Duration,
    consumers: Mutex<BTreeMap<&'static str, Arc<Consumer>>>,
    last_dead: AtomicU64,
    /// One walk through dead letters at a time: while it lasts, they are not in their queue.
    browsing: tokio::sync::Mutex<()>,
    probed: Mutex<Option<probe::Probe>>,
}

impl std::fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RabbitMq").field(&self.inner.publishing.endpoint().shown()).finish()
    }
}

impl RabbitMq {
    /// Connects and declares the exchanges. `ledger` keeps what was done, shared by all nodes; `node` is this process in it.
    /// Afterwards it comes back by itself whenever the broker was away.
    ///
    /// # Errors
    /// [`RabbitMqError`] with the key that is wrong, or what the broker said.
    pub async fn connect(
        config: &config::RabbitMq,
        node: NodeId,
        ledger: SharedLedger,
        visibility: Duration,
        env: Env,
    ) -> Result<Self, RabbitMqError> {
        let this = Self::unconnected(config, node, ledger, visibility, env)?;
        this.inner.publishing_session().await?;
        this.inner.consuming_session().await?;
        Ok(this)
    }

    /// The same, before it connects: it does so when it is first used.
    ///
    /// # Errors
    /// [`RabbitMqError`] with the key that is wrong.
    pub fn unconnected(
        config: &config::RabbitMq,
        node: NodeId,
        ledger: SharedLedger,
        visibility: Duration,
        env: Env,
    ) -> Result<Self, RabbitMqError> {
        let endpoint = Endpoint::new(config)?;
        let link =
            |purpose: &str| Link::new(endpoint.clone(), format!("{} {purpose}", config.connection_name), env.clone());
        let inner = Inner {
            publishing: link("publishes"),
            consuming: link("consumes"),
            publisher: Publisher::new(endpoint.operation),
            arguments: Arguments::new(config),
            ledger,
            node,
            visibility: if visibility.is_zero() { VISIBILITY } else { visibility },
            prefetch: config.prefetch,
            held: config.held,
            held_longest: Duration::from_millis(config.held_ms),
            round: Duration::from_millis(config.retry_round_ms),
            consumers: Mutex::default(),
            last_dead: AtomicU64::new(0),
            browsing: tokio::sync::Mutex::default(),
            probed: Mutex::default(),
            env,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends the connections; what was not settled goes back to the broker. Calls that come later fail.
    pub async fn close(&self) {
        self.inner.consuming.close().await;
        self.inner.publishing.close().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // As long as the tasks that read from channels go on, the connection stays open.
        self.all_consumers().iter().for_each(|consumer| consumer.let_go());
    }
}

impl Inner {
    fn limit(&self) -> Duration {
        self.publishing.endpoint().operation
    }

    fn consumers(&self) -> MutexGuard<'_, BTreeMap<&'static str, Arc<Consumer>>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_consumers(&self) -> Vec<Arc<Consumer>> {
        self.consumers().values().cloned().collect()
    }

    fn consumer(&self, name: &str) -> Result<Arc<Consumer>, QueueError> {
        let bound = self.consumers().get(name).cloned();
        bound.ok_or_else(|| QueueError(format!("the consumer {name} is not bound")))
    }

    /// The connection that publishes. A new one declares everything again: the broker may have come back empty.
    async fn publishing_session(&self) -> Result<Arc<Session>, RabbitMqError> {
        self.publishing.session(|session| async move { self.declare_all(&session).await }).await
    }

    /// The connection that consumes. What a consumer needs is declared when it starts.
    async fn consuming_session(&self) -> Result<Arc<Session>, RabbitMqError> {
        self.consuming.session(|_| async { Ok(()) }).await
    }

    async fn declare_all(&self, session: &Session) -> Result<(), RabbitMqError> {
        topology::declare_exchanges(&session.connection, &Topic::ALL).await?;
        for consumer in self.all_consumers() {
            match self.declare(session, consumer.name, &consumer.topics()).await {
                // Told where the consumer starts; the others are not held up by it.
                Ok(()) | Err(RabbitMqError::Mismatch { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn declare(&self, session: &Session, name: &str, topics: &[Topic]) -> Result<(), RabbitMqError> {
        let limit = self.limit();
        let declaring = topology::declare_consumer(&session.connection, &self.arguments, name, topics);
        match tokio::time::timeout(limit, declaring).await {
            Ok(declared) => declared,
            Err(_) => Err(RabbitMqError::Away(format!("no answer to declaring {name} within {limit:?}"))),
        }
    }

    async fn bind(&self, spec: &ConsumerSpec) -> Result<(), RabbitMqError> {
        let session = self.consuming_session().await?;
        self.declare(&session, spec.name, &spec.topics).await?;
        let unbinding = topology::unbind_others(&session.connection, spec.name, &spec.topics);
        connection::within(self.limit(), "unbinding", unbinding).await?;
        let mut consumers = self.consumers();
        match consumers.get(spec.name) {
            Some(consumer) => consumer.set_topics(spec.topics.clone()),
            None => {
                consumers.insert(spec.name, Arc::new(Consumer::new(spec.name, spec.topics.clone())));
            }
        }
        Ok(())
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), RabbitMqError> {
        if messages.is_empty() {
            return Ok(());
        }
        let bound: Vec<Topic> = self.all_consumers().iter().flat_map(|c| c.topics()).collect();
        let now = self.env.now();
        let publications = messages.iter().map(|message| Publication {
            exchange: message.topic.name(),
            routing_key: "",
            properties: wire::first(message, self.env.uuid().to_string(), now),
            body: wire::body(message),
            // What nobody is bound to is dropped, as the port says.
            mandatory: bound.contains(&message.topic),
        });
        let publications = publications.collect();
        let session = self.publishing_session().await?;
        let published = self.publisher.publish(&session, publications).await;
        if let Err(RabbitMqError::Unrouted(_)) = &published {
            // The next attempt finds the queue again.
            if !matches!(tokio::time::timeout(self.limit(), self.declare_all(&session)).await, Ok(Ok(()))) {
                tracing::debug!("the queue that is missing could not be declared again");
            }
        }
        published
    }
}

#[async_trait]
impl Queue for RabbitMq {
    async fn bind(&self, consumer: &ConsumerSpec) -> Result<(), QueueError> {
        Ok(self.inner.bind(consumer).await?)
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError> {
        Ok(self.inner.publish(messages).await?)
    }

    async fn receive(&self, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, QueueError> {
        self.inner.receive(consumer, most).await
    }

    async fn extend(&self, consumer: &ConsumerSpec, delivery: u64) -> Result<(), QueueError> {
        self.inner.extend(consumer, delivery).await
    }

    fn visibility(&self) -> Duration {
        self.inner.visibility
    }

    async fn settle(&self, consumer: &ConsumerSpec, delivery: u64, how: Settlement) -> Result<(), QueueError> {
        self.inner.settle(consumer, delivery, how).await
    }

    async fn dead_letters(
        &self,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.inner.dead_letters(consumer, before, limit).await?)
    }

    async fn redeliver(&self, dead: u64) -> Result<bool, QueueError> {
        Ok(self.inner.redeliver(dead).await?)
    }

    async fn discard(&self, dead: u64) -> Result<bool, QueueError> {
        Ok(self.inner.discard(dead).await?)
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, QueueError> {
        Ok(self.inner.depths().await?)
    }
}
