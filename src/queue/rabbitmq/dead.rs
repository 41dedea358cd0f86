//! Dead letters, and how much waits.
//!
//! To look at a dead letter it is fetched without being acknowledged; when the walk is over, all of them go back to their
//! places. Whatever ends a walk early, the broker puts them back.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};

use super::connection::{Session, within};
use super::consumer::Consumer;
use super::publisher::Publication;
use super::wire::{self, Incoming, Letter};
use super::{Inner, RabbitMqError, topology};
use crate::queue::{DeadLetter, QueueDepth};

/// Dead letters of one consumer that are looked at, at most: the oldest. More than these have one cause, and the way is to
/// redeliver or discard.
const WALK_MOST: usize = 20_000;
/// A quorum queue gives up a message after so many deliveries unless told otherwise, and to look counts as one; before
/// that a copy takes its place.
const QUORUM_LOOKS: u64 = 10;

/// What a walk does after a letter.
enum Step {
    Next,
    /// This is the one: take it out of the queue and stop.
    Take,
}

impl Inner {
    pub(super) async fn dead_letters(
        self: &Arc<Self>,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, RabbitMqError> {
        let before = before.unwrap_or(u64::MAX);
        let mut page: BTreeMap<Reverse<(u64, &'static str)>, DeadLetter> = BTreeMap::new();
        for of in self.all_consumers().iter().filter(|c| consumer.is_none_or(|name| name == c.name)) {
            self.walk(of, |id, letter, _| {
                if id < before && limit > 0 {
                    page.insert(Reverse((id, of.name)), dead_letter(of.name, id, letter));
                    if page.len() > limit {
                        page.pop_last();
                    }
                }
                Ok(Step::Next)
            })
            .await?;
        }
        Ok(page.into_values().collect())
    }

    pub(super) async fn redeliver(self: &Arc<Self>, dead: u64) -> Result<bool, RabbitMqError> {
        for consumer in self.all_consumers() {
            let mut found = None;
            let topics = consumer.topics();
            let now = self.env.now();
            let taken = self.walk(&consumer, |id, _, got| {
                if id != dead {
                    return Ok(Step::Next);
                }
                let delivery = &got.delivery;
                let exchange = delivery.exchange.as_str();
                let read = Incoming::read(exchange, &delivery.properties, &delivery.data, &topics, now);
                found = Some(read.map_err(|e| RabbitMqError::Refused(e.0))?);
                Ok(Step::Take)
            });
            if let Some(walk) = taken.await? {
                let Some(incoming) = found else { return Ok(false) };
                // Safe in the consumer's queue before it leaves this one.
                let publication = Publication {
                    exchange: "",
                    routing_key: consumer.name,
                    properties: incoming.fresh(self.env.uuid().to_string()),
                    body: incoming.body(),
                    mandatory: true,
                };
                let session = self.publishing_session().await?;
                self.publisher.publish(&session, vec![publication]).await?;
                walk.take(self.limit()).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn discard(self: &Arc<Self>, dead: u64) -> Result<bool, RabbitMqError> {
        for consumer in self.all_consumers() {
            let step = |id, _: Letter, _: &BasicGetMessage| Ok(if id == dead { Step::Take } else { Step::Next });
            if let Some(walk) = self.walk(&consumer, step).await? {
                walk.take(self.limit()).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shows each dead letter of a consumer, oldest first. When one is to be taken, gives the walk, which holds it.
    async fn walk(
        self: &Arc<Self>,
        consumer: &Consumer,
        mut show: impl FnMut(u64, Letter, &BasicGetMessage) -> Result<Step, RabbitMqError>,
    ) -> Result<Option<Walk<'_>>, RabbitMqError> {
        let browsing = self.browsing.lock().await;
        let session = self.consuming_session().await?;
        let channel = within(self.limit(), "opening a channel", session.connection.create_channel()).await?;
        let queue = topology::dead_letter_queue(consumer.name);
        let topics = consumer.topics();
        let mut ids = std::collections::HashSet::new();
        let mut worn = Vec::new();
        for _ in 0..WALK_MOST {
            let getting = channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
            let Some(got) = within(self.limit(), "fetching a dead letter", getting).await? else { break };
            let delivery = &got.delivery;
            let letter = Letter::read(delivery.exchange.as_str(), &delivery.properties, &delivery.data, &topics);
            // Two of other programs that are the same in every respect.
            let mut id = letter.id;
            while !ids.insert(id) {
                id += 1;
            }
            if wire::deliveries(&delivery.properties) >= QUORUM_LOOKS {
                worn.push((delivery.properties.clone(), delivery.data.clone(), delivery.acker.clone()));
            }
            if let Step::Take = show(id, letter, &got)? {
                return Ok(Some(Walk { channel, taken: got, _browsing: browsing }));
            }
        }
        for (properties, body, acker) in worn {
            self.renew(&queue, properties, body).await?;
            acker.ack(BasicAckOptions::default()).await?;
        }
        put_back(&channel, self.limit()).await?;
        Ok(None)
    }

    /// A copy, which has not been looked at so often.
    async fn renew(&self, queue: &str, properties: lapin::BasicProperties, body: Vec<u8>) -> Result<(), RabbitMqError> {
        let publication = Publication { exchange: "", routing_key: queue, properties, body, mandatory: true };
        let session: Arc<Session> = self.publishing_session().await?;
        self.publisher.publish(&session, vec![publication]).await
    }

    pub(super) async fn depths(self: &Arc<Self>) -> Result<Vec<QueueDepth>, RabbitMqError> {
        let consumers = self.all_consumers();
        if consumers.is_empty() {
            return Ok(Vec::new());
        }
        let browsing = self.browsing.lock().await;
        let session = self.consuming_session().await?;
        let now = self.env.now();
        let mut depths = Vec::with_capacity(consumers.len());
        for consumer in consumers {
            // Asked on the channel on which the broker hands out, so that nothing is on its way between the two counts.
            let asked = match consumer.channel().filter(|c| c.status().connected()) {
                Some(channel) => channel,
                None => within(self.limit(), "opening a channel", session.connection.create_channel()).await?,
            };
            let on_broker = self.ready(&asked, consumer.name).await?;
            consumer.flushed().await;
            let (here, oldest) = {
                let line = consumer.line();
                (line.held_from_broker() as u64, line.oldest())
            };
            let channel = within(self.limit(), "opening a channel", session.connection.create_channel()).await?;
            let parked = self.ready(&channel, &topology::retry_queue(consumer.name)).await?;
            let dead = self.ready(&channel, &topology::dead_letter_queue(consumer.name)).await?;
            depths.push(QueueDepth {
                consumer: consumer.name.to_owned(),
                waiting: on_broker + here + parked,
                dead,
                oldest_seconds: oldest.and_then(|at| (now - at).to_std().ok()).map_or(0, |age| age.as_secs()),
            });
        }
        drop(browsing);
        Ok(depths)
    }

    async fn ready(&self, channel: &Channel, queue: &str) -> Result<u64, RabbitMqError> {
        Ok(self.passive(channel, queue).await?.message_count().into())
    }

    async fn passive(&self, channel: &Channel, queue: &str) -> Result<lapin::Queue, RabbitMqError> {
        let options = QueueDeclareOptions { durable: true, passive: true, ..QueueDeclareOptions::default() };
        let asking = channel.queue_declare(queue.into(), options, FieldTable::default());
        within(self.limit(), "looking at a queue", asking).await
    }

    /// A queue as it is: messages and consumers; `None` when there is none.
    pub(super) async fn look(
        &self,
        connection: &Connection,
        queue: &str,
    ) -> Result<Option<lapin::Queue>, RabbitMqError> {
        let options = QueueDeclareOptions { durable: true, passive: true, ..QueueDeclareOptions::default() };
        let asking = async {
            let channel = connection.create_channel().await?;
            match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
                Ok(queue) => Ok(Some(queue)),
                Err(error) if topology::is(&error, AMQPSoftError::NOTFOUND) => Ok(None),
                Err(error) => Err(error),
            }
        };
        within(self.limit(), "looking at a queue", asking).await
    }
}

/// A walk that found what it was looking for.
struct Walk<'a> {
    channel: Channel,
    taken: BasicGetMessage,
    _browsing: tokio::sync::MutexGuard<'a, ()>,
}

impl Walk<'_> {
    /// Takes the letter out of the queue, and puts the others back.
    async fn take(self, limit: std::time::Duration) -> Result<(), RabbitMqError> {
        within(limit, "taking a dead letter", self.taken.delivery.ack(BasicAckOptions::default())).await?;
        put_back(&self.channel, limit).await
    }
}

/// Everything that was fetched goes back to its place; over when the broker has said so.
async fn put_back(channel: &Channel, limit: std::time::Duration) -> Result<(), RabbitMqError> {
    let putting_back = async {
        channel.basic_nack(0, BasicNackOptions { multiple: true, requeue: true }).await?;
        channel.close(200, "seen".into()).await
    };
    within(limit, "putting dead letters back", putting_back).await
}

fn dead_letter(consumer: &str, id: u64, letter: Letter) -> DeadLetter {
    let Letter { topic, attempts, error, published, died, payload, .. } = letter;
    DeadLetter { id, consumer: consumer.to_owned(), topic, attempts, error, published, died, payload }
}
