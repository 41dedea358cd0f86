//! One consumer's queue: what the broker hands out is put into the line, and what cannot stay there leaves it again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio::sync::{Notify, mpsc, oneshot};

use super::connection::within;
use super::line::{Arrival, Entry, Line};
use super::publisher::Publication;
use super::wire::{self, Incoming, Unreadable};
use super::{Inner, RabbitMqError, topology};
use crate::events::Topic;

/// How often a full line is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A consumer that was bound.
pub(super) struct Consumer {
    pub(super) name: &'static str,
    topics: Mutex<Vec<Topic>>,
    line: Mutex<Line>,
    /// Something may be handed out, or the channel is gone.
    pub(super) bell: Notify,
    /// Something may have to leave the line.
    pub(super) relief: Notify,
    running: Mutex<Option<Running>>,
    starting: tokio::sync::Mutex<()>,
}

/// A channel on which the broker hands out.
#[derive(Clone)]
struct Running {
    channel: Channel,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

impl Consumer {
    pub(super) fn new(name: &'static str, topics: Vec<Topic>) -> Self {
        Self {
            name,
            topics: Mutex::new(topics),
            line: Mutex::default(),
            bell: Notify::new(),
            relief: Notify::new(),
            running: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn topics(&self) -> Vec<Topic> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_topics(&self, topics: Vec<Topic>) {
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running().is_some()
    }

    /// The channel on which the broker hands out.
    pub(super) fn channel(&self) -> Option<Channel> {
        self.running().as_ref().map(|r| r.channel.clone())
    }

    /// Waits until everything that the broker has sent so far stands in line.
    pub(super) async fn flushed(&self) {
        let Some(running) = self.running().clone() else { return };
        let (done, flushed) = oneshot::channel();
        if running.flushes.send(done).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Lets go of the channel, and ends the task that reads from it: nobody asks for messages any more.
    pub(super) fn let_go(&self) {
        *self.running() = None;
    }

    fn lost(&self) {
        self.let_go();
        self.line().lose(Instant::now());
        self.bell.notify_waiters();
    }
}

/// Notes that the channel is gone, however its task ends.
struct Lost(Arc<Consumer>);

impl Drop for Lost {
    fn drop(&mut self) {
        self.0.lost();
    }
}

impl Inner {
    /// Has the broker hand out messages for the consumer, unless it does already.
    pub(super) async fn start(self: &Arc<Self>, consumer: &Arc<Consumer>) -> Result<(), RabbitMqError> {
        let _one_at_a_time = consumer.starting.lock().await;
        if consumer.is_running() {
            return Ok(());
        }
        let session = self.consuming_session().await?;
        self.declare(&session, consumer.name, &consumer.topics()).await?;
        let starting = async {
            let channel = session.connection.create_channel().await?;
            channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let stream = channel.basic_consume(consumer.name.into(), "".into(), options, FieldTable::default()).await?;
            Ok((channel, stream))
        };
        let (channel, stream) = within(self.limit(), "consuming", starting).await?;
        let (flushes, flush_requests) = mpsc::channel(1);
        *consumer.running() = Some(Running { channel, flushes });
        tokio::spawn(pump(Arc::downgrade(self), Arc::clone(consumer), stream, flush_requests));
        Ok(())
    }

    async fn arrived(&self, consumer: &Consumer, delivery: Delivery) {
        metrics::counter!("convoke_rabbitmq_received_total", "consumer" => consumer.name).increment(1);
        let Delivery { exchange, redelivered, properties, data, acker, .. } = delivery;
        let now = self.env.now();
        match Incoming::read(exchange.as_str(), &properties, &data, &consumer.topics(), now) {
            Ok(incoming) => {
                let clock = Instant::now();
                let wait = incoming.due.map(|due| (due - now).to_std().unwrap_or_default());
                let due = wait.filter(|w| !w.is_zero()).map(|w| clock + w);
                let arrival = consumer.line().arrive(incoming, acker, redelivered, due, clock);
                match arrival {
                    Arrival::Queued => consumer.bell.notify_waiters(),
                    Arrival::Settled(acker) => drop(acknowledge(&acker).await),
                    Arrival::Follows(entry) => {
                        consumer.line().followed(&entry, clock);
                        self.park(consumer, vec![*entry]).await;
                    }
                }
            }
            Err(Unreadable(why)) => {
                tracing::error!(consumer = consumer.name, error = why, "a message cannot be read and is a dead letter");
                self.bury_unreadable(consumer, exchange.as_str(), &data, &why, &acker).await;
            }
        }
    }

    /// Sends away what must make room.
    async fn relieve(&self, consumer: &Consumer) {
        let (limit, full) = (usize::from(self.held), usize::from(self.prefetch));
        let leaving = consumer.line().excess(limit, self.held_longest, full, Instant::now());
        if !leaving.is_empty() {
            self.park(consumer, leaving).await;
            consumer.bell.notify_waiters();
        }
    }

    /// Puts messages into the retry queue, and what cannot be put there back into the line.
    async fn park(&self, consumer: &Consumer, entries: Vec<Entry>) {
        let retry = topology::retry_queue(consumer.name);
        let (clock, now) = (Instant::now(), self.env.now());
        let round_ms = self.round.as_millis() as u64;
        let publications = entries.iter().map(|entry| {
            let wait = entry.due.map(|due| TimeDelta::from_std(due.duration_since(clock)).unwrap_or(TimeDelta::zero()));
            Publication {
                exchange: "",
                routing_key: &retry,
                properties: entry.incoming.parked(wait.map(|w| now + w), round_ms),
                body: entry.incoming.body(),
                mandatory: true,
            }
        });
        let publications = publications.collect();
        let published = match self.publishing_session().await {
            Ok(session) => self.publisher.publish(&session, publications).await,
            Err(error) => Err(error),
        };
        match published {
            Ok(()) => {
                metrics::counter!("convoke_rabbitmq_parked_total", "consumer" => consumer.name)
                    .increment(entries.len() as u64);
                for entry in entries {
                    consumer.line().acknowledging(entry.incoming.identity.clone(), Instant::now());
                    self.acknowledge(consumer, entry.acker(), entry.incoming.identity.clone()).await;
                }
            }
            Err(error) => {
                tracing::debug!(consumer = consumer.name, %error, "messages could not be put into the retry queue");
                entries.into_iter().for_each(|entry| consumer.line().stay(entry, clock));
            }
        }
    }

    async fn bury_unreadable(&self, consumer: &Consumer, exchange: &str, body: &[u8], why: &str, acker: &Acker) {
        let dead = topology::dead_letter_queue(consumer.name);
        let died = self.env.now();
        let publication = Publication {
            exchange: &dead,
            routing_key: "",
            properties: wire::unreadable(exchange, self.dead_id(died), died, why),
            body: body.to_owned(),
            mandatory: true,
        };
        let buried = match self.publishing_session().await {
            Ok(session) => self.publisher.publish(&session, vec![publication]).await,
            Err(error) => Err(error),
        };
        // Where it cannot be told why, the broker at least makes it a dead letter.
        let settled = match buried {
            Ok(()) => acker.ack(BasicAckOptions::default()).await,
            Err(_) => acker.reject(BasicRejectOptions { requeue: false }).await,
        };
        if let Err(error) = settled {
            tracing::debug!(consumer = consumer.name, %error, "an unreadable message comes back");
        }
    }

    /// Acknowledges, and remembers it where the broker cannot have heard.
    pub(super) async fn acknowledge(&self, consumer: &Consumer, acker: &Acker, identity: String) {
        if !acknowledge(acker).await {
            consumer.line().unacknowledged(identity, Instant::now());
        }
    }

    /// An id for a dead letter, greater than those before.
    pub(super) fn dead_id(&self, died: chrono::DateTime<chrono::Utc>) -> u64 {
        let least = wire::dead_id(died);
        let next = |last: u64| Some(least.max(last + 1));
        let last = self.last_dead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let (Ok(last) | Err(last)) = last;
        least.max(last + 1)
    }
}

/// Whether the acknowledgement was sent.
async fn acknowledge(acker: &Acker) -> bool {
    matches!(acker.ack(BasicAckOptions::default()).await, Ok(true))
}

/// Puts what the broker hands out into the line, until the channel is gone.
async fn pump(
    inner: Weak<Inner>,
    consumer: Arc<Consumer>,
    mut stream: lapin::Consumer,
    mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let _lost = Lost(Arc::clone(&consumer));
    let Some(full) = inner.upgrade().map(|inner| usize::from(inner.prefetch)) else { return };
    loop {
        // A full line may get stuck later, when what is ready now has been handed out.
        let is_full = consumer.line().len() >= full;
        tokio::select! {
            biased;
            next = stream.next() => match next {
                Some(Ok(delivery)) => {
                    let Some(inner) = inner.upgrade() else { return };
                    inner.arrived(&consumer, delivery).await;
                }
                Some(Err(error)) => {
                    tracing::debug!(consumer = consumer.name, %error, "the broker hands out nothing more");
                    return;
                }
                None => return,
            },
            flushed = flushes.recv() => match flushed {
                Some(flushed) => drop(flushed.send(())),
                None => return,
            },
            () = consumer.relief.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN), if is_full => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.relieve(&consumer).await;
    }
}
