//! Handing out and settling: what the ledger has to say, and what is acknowledged when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::consumer::Consumer;
use super::line::Taken;
use super::publisher::Publication;
use super::wire::Incoming;
use super::{Inner, RabbitMqError, topology};
use crate::nodes::{Begin, NodeId, NodesError};
use crate::queue::{ConsumerSpec, Delivery, QueueError, Settlement};

/// How long it is remembered that a message was done: longer than any retry, or dead letter that someone still redelivers.
const ONCE_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long an attempt is remembered that may have ended its process.
const ATTEMPTS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Before a message is looked at again that somebody else is at, or of which the ledger said nothing.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What becomes of a message that could be handed out.
enum Verdict {
    HandOut(Incoming),
    /// It was done, here or elsewhere.
    Done,
    /// It has used up its attempts.
    Hopeless(Incoming),
    /// Somebody else is at it.
    Busy,
}

/// Messages that were taken out of the line for a caller; what is still here when the caller goes away goes back.
struct OnTheWay<'a> {
    consumer: &'a Consumer,
    ids: Vec<u64>,
}

impl OnTheWay<'_> {
    fn arrived(&mut self, id: u64) {
        self.ids.retain(|other| *other != id);
    }
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.consumer.line().put_back(*id, None, Instant::now());
        }
        if !self.ids.is_empty() {
            self.consumer.bell.notify_waiters();
        }
    }
}

/// A message whose end is being made durable; it stays under way when that fails.
struct Settling<'a> {
    consumer: &'a Consumer,
    id: u64,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        // Does nothing to one that is settled.
        self.consumer.line().unsettle(self.id);
    }
}

impl Inner {
    pub(super) async fn receive(
        self: &Arc<Self>,
        spec: &ConsumerSpec,
        most: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        let consumer = self.consumer(spec.name)?;
        if most == 0 {
            return Ok(Vec::new());
        }
        loop {
            let mut rung = std::pin::pin!(consumer.bell.notified());
            rung.as_mut().enable();
            if !consumer.is_running() {
                self.start(&consumer).await?;
            }
            let taken = consumer.line().take(most, Instant::now(), self.visibility);
            if !taken.is_empty() {
                let handed_out = self.hand_out(&consumer, spec, taken).await?;
                if !handed_out.is_empty() {
                    return Ok(handed_out);
                }
                continue;
            }
            let next = consumer.line().next();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut rung => {}
                () = due => {}
            }
        }
    }

    /// What may be handed out of what was taken. Fails when the ledger is away and nothing can be had without it.
    async fn hand_out(
        &self,
        consumer: &Consumer,
        spec: &ConsumerSpec,
        taken: Vec<Taken>,
    ) -> Result<Vec<Delivery>, QueueError> {
        let mut handed_out = Vec::with_capacity(taken.len());
        let mut given = Vec::with_capacity(taken.len());
        let mut on_the_way = OnTheWay { consumer, ids: taken.iter().map(|t| t.id).collect() };
        let mut failed = None;
        for Taken { id, incoming, suspect } in taken {
            let later = Instant::now() + ASK_AGAIN;
            match self.judge(spec, id, incoming, suspect, consumer).await {
                Ok(Verdict::HandOut(incoming)) => {
                    let Incoming { message, published, attempts, .. } = incoming;
                    handed_out.push(Delivery { id, message, attempt: attempts + 1, published });
                    given.push(id);
                    continue;
                }
                Ok(Verdict::Done) => {
                    on_the_way.arrived(id);
                    self.finish(consumer, id).await;
                }
                Ok(Verdict::Hopeless(incoming)) => {
                    let error = incoming.error.clone();
                    let error = error.unwrap_or_else(|| "every attempt ended without an answer".to_owned());
                    match self.bury(consumer, &incoming, &error).await {
                        Ok(()) => {
                            on_the_way.arrived(id);
                            self.finish(consumer, id).await;
                        }
                        Err(error) => failed = Some(QueueError::from(error)),
                    }
                }
                Ok(Verdict::Busy) => {
                    on_the_way.arrived(id);
                    consumer.line().put_back(id, Some(later), Instant::now());
                }
                Err(error) => {
                    on_the_way.arrived(id);
                    consumer.line().put_back(id, Some(later), Instant::now());
                    failed = Some(QueueError(error.to_string()));
                    // The ledger is away: the others go back as they are.
                    break;
                }
            }
        }
        for id in given {
            // Their time begins now, however long the ledger took.
            consumer.line().extend(id, Instant::now() + self.visibility);
            on_the_way.arrived(id);
        }
        match failed {
            Some(error) if handed_out.is_empty() => Err(error),
            _ => Ok(handed_out),
        }
    }

    async fn judge(
        &self,
        spec: &ConsumerSpec,
        id: u64,
        mut incoming: Incoming,
        suspect: bool,
        consumer: &Consumer,
    ) -> Result<Verdict, NodesError> {
        if suspect {
            incoming.attempts = self.attempts_that_vanished(spec, &incoming).await?;
            consumer.line().attempted(id, incoming.attempts);
        }
        if incoming.attempts >= spec.retry.attempts {
            return Ok(Verdict::Hopeless(incoming));
        }
        let Some(once) = &incoming.message.once else { return Ok(Verdict::HandOut(incoming)) };
        let begun = self.ledger.begin(&work(spec.name, once), &self.holder(&incoming), self.visibility * 2).await?;
        Ok(match begin(begun) {
            None => Verdict::HandOut(incoming),
            Some(other) => other,
        })
    }

    /// How often a message was attempted that comes back from a process that is gone. The first attempt is not noted, since
    /// nearly all messages need no other; each that follows is noted before it is made.
    async fn attempts_that_vanished(&self, spec: &ConsumerSpec, incoming: &Incoming) -> Result<u32, NodesError> {
        let mut attempts = incoming.attempts + 1;
        while attempts < spec.retry.attempts {
            let attempt = format!("attempt/{}/{}/{}", spec.name, incoming.identity, attempts + 1);
            match self.ledger.begin(&attempt, &self.node, ATTEMPTS_KEPT).await? {
                Begin::Yours => {
                    self.ledger.finish(&attempt, ATTEMPTS_KEPT).await?;
                    break;
                }
                Begin::Busy | Begin::Done => attempts += 1,
            }
        }
        Ok(attempts)
    }

    /// Who is at a message: this copy of it, on this node, so that a second copy waits and the same copy, handed out again
    /// after the connection was lost, does not.
    fn holder(&self, incoming: &Incoming) -> NodeId {
        NodeId(format!("{}/{}", self.node.0, incoming.identity))
    }

    pub(super) async fn extend(&self, spec: &ConsumerSpec, id: u64) -> Result<(), QueueError> {
        let consumer = self.consumer(spec.name)?;
        let expires = Instant::now() + self.visibility;
        let renewed = consumer.line().extend(id, expires).and_then(|incoming| {
            let once = incoming.message.once.as_ref()?;
            Some((work(spec.name, once), self.holder(incoming)))
        });
        if let Some((work, holder)) = renewed {
            let begun = self.ledger.begin(&work, &holder, self.visibility * 2).await;
            begun.map_err(|e| QueueError(e.to_string()))?;
        }
        Ok(())
    }

    pub(super) async fn settle(&self, spec: &ConsumerSpec, id: u64, how: Settlement) -> Result<(), QueueError> {
        let consumer = self.consumer(spec.name)?;
        let Some(incoming) = consumer.line().settle(id) else { return Ok(()) };
        let _settling = Settling { consumer: &consumer, id };
        let work = incoming.message.once.as_ref().map(|once| work(spec.name, once));
        match how {
            Settlement::Done => {
                if let Some(work) = work {
                    let noted = self.ledger.finish(&work, ONCE_KEPT).await;
                    noted.map_err(|e| QueueError(e.to_string()))?;
                }
                self.finish(&consumer, id).await;
            }
            Settlement::Retry { after, error } => {
                self.give_up(work, &incoming).await;
                let now = Instant::now();
                consumer.line().fail(id, error, now + after, now);
                consumer.relief.notify_one();
                consumer.bell.notify_waiters();
            }
            Settlement::Dead { error } => {
                let attempted = Incoming { attempts: incoming.attempts + 1, ..incoming };
                self.bury(&consumer, &attempted, &error).await?;
                self.give_up(work, &attempted).await;
                self.finish(&consumer, id).await;
            }
        }
        Ok(())
    }

    /// The work was not done: free for whoever comes next.
    async fn give_up(&self, work: Option<String>, incoming: &Incoming) {
        let Some(work) = work else { return };
        if let Err(error) = self.ledger.abandon(&work, &self.holder(incoming)).await {
            // Another attempt of ours renews it, and anybody else's waits a while.
            tracing::debug!(%error, "work that was not done stays noted until its time is over");
        }
    }

    /// It is done with: lets the next of its key forward and acknowledges it.
    async fn finish(&self, consumer: &Consumer, id: u64) {
        let finished = consumer.line().finish(id, Instant::now());
        consumer.bell.notify_waiters();
        if let Some((identity, acker)) = finished {
            self.acknowledge(consumer, &acker, identity).await;
        }
    }

    /// Puts a message among the dead letters, before it is acknowledged.
    async fn bury(&self, consumer: &Consumer, incoming: &Incoming, error: &str) -> Result<(), RabbitMqError> {
        let dead = topology::dead_letter_queue(consumer.name);
        let died = self.env.now();
        let publication = Publication {
            exchange: &dead,
            routing_key: "",
            properties: incoming.dead(self.dead_id(died), died, error),
            body: incoming.body(),
            mandatory: true,
        };
        let session = self.publishing_session().await?;
        self.publisher.publish(&session, vec![publication]).await?;
        metrics::counter!("convoke_rabbitmq_dead_total", "consumer" => consumer.name).increment(1);
        Ok(())
    }
}

/// What a consumer does about a message, by the name that the message gave it.
fn work(consumer: &str, once: &str) -> String {
    format!("{consumer}/{once}")
}

/// What the ledger's answer means; `None` when the work is ours.
fn begin(begun: Begin) -> Option<Verdict> {
    match begun {
        Begin::Yours => None,
        Begin::Busy => Some(Verdict::Busy),
        Begin::Done => Some(Verdict::Done),
    }
}
