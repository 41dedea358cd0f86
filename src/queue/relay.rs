//! Moves what a store wrote together with its changes into a queue of another engine.
//!
//! A message is forgotten by the store only when the queue has it, so none is lost; one whose forgetting failed is sent
//! again, and its `once`, or the idempotence of whoever handles it, makes that harmless.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Outgoing, OutgoingStore, QueueError, SharedQueue};
use crate::events::Message;

/// Messages taken at once.
const BATCH: usize = 200;
/// Pauses while the store or the queue is away.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// How often it is counted what waits.
const COUNT_EACH: Duration = Duration::from_secs(15);
/// At shutdown, time to send what still waits; and when nothing came for so long, nothing waits.
const DRAIN: Duration = Duration::from_secs(5);
const DRAIN_LAST: Duration = Duration::from_millis(300);

/// Moves messages from `store` to `queue`, in the order the store gives them, until `shutdown` is ready; then what still waits,
/// for a few seconds at most. What is left is sent after the next start.
///
/// Metrics: `convoke_relay_sent_total`, `convoke_relay_errors_total`, and the gauges `convoke_relay_waiting` and
/// `convoke_relay_oldest_seconds`.
pub async fn relay(store: Arc<dyn OutgoingStore>, queue: SharedQueue, shutdown: impl Future<Output = ()> + Send) {
    tokio::pin!(shutdown);
    let mut counted = tokio::time::interval(COUNT_EACH);
    counted.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut outage = Outage::default();
    loop {
        let taken = tokio::select! {
            () = &mut shutdown => break,
            _ = counted.tick() => {
                count(&*store).await;
                continue;
            }
            taken = store.take(BATCH) => taken,
        };
        match taken {
            Ok(taken) => {
                outage.over();
                // Once begun, a batch is seen through, since those that follow must not overtake it.
                let sending = send(&*store, &queue, taken);
                tokio::pin!(sending);
                loop {
                    tokio::select! {
                        () = &mut shutdown => {
                            // What follows must not overtake a batch that is not through.
                            if tokio::time::timeout(DRAIN, &mut sending).await.is_err() {
                                tracing::warn!("outgoing messages still wait; they are sent after the next start");
                                return;
                            }
                            return drain(&*store, &queue).await;
                        }
                        // Also tells the other nodes that this one lives, however long the queue is away.
                        _ = counted.tick() => count(&*store).await,
                        () = &mut sending => break,
                    }
                }
            }
            Err(error) => {
                tokio::select! {
                    () = &mut shutdown => break,
                    () = outage.wait("the store of outgoing messages is away", &error) => {}
                }
            }
        }
    }
    drain(&*store, &queue).await;
}

/// Sends what still waits, as far as there is time.
async fn drain(store: &dyn OutgoingStore, queue: &SharedQueue) {
    let draining = async {
        while let Ok(Ok(taken)) = tokio::time::timeout(DRAIN_LAST, store.take(BATCH)).await {
            send(store, queue, taken).await;
        }
    };
    if tokio::time::timeout(DRAIN, draining).await.is_err() {
        tracing::warn!("outgoing messages still wait; they are sent after the next start");
    }
}

/// Sends a batch and forgets it, however long that takes.
async fn send(store: &dyn OutgoingStore, queue: &SharedQueue, taken: Vec<Outgoing>) {
    if taken.is_empty() {
        return;
    }
    let (ids, messages): (Vec<String>, Vec<Message>) = taken.into_iter().map(|o| (o.id, o.message)).unzip();
    let mut outage = Outage::default();
    match queue.publish(&messages).await {
        Ok(()) => sent(store, &ids).await,
        // Part of it may have arrived. One at a time from here, so that none goes out again and again for the sake of
        // another that is refused.
        Err(error) => {
            outage.wait("outgoing messages wait for the queue", &error).await;
            for (id, message) in ids.iter().zip(&messages) {
                while let Err(error) = queue.publish(std::slice::from_ref(message)).await {
                    outage.wait("outgoing messages wait for the queue", &error).await;
                }
                outage.over();
                sent(store, std::slice::from_ref(id)).await;
            }
        }
    }
}

/// Forgets what was sent.
async fn sent(store: &dyn OutgoingStore, ids: &[String]) {
    metrics::counter!("convoke_relay_sent_total").increment(ids.len() as u64);
    let mut outage = Outage::default();
    while let Err(error) = store.sent(ids).await {
        outage.wait("messages that were sent are not forgotten yet", &error).await;
    }
    outage.over();
}

async fn count(store: &dyn OutgoingStore) {
    match store.waiting().await {
        Ok((waiting, oldest_seconds)) => {
            metrics::gauge!("convoke_relay_waiting").set(waiting as f64);
            metrics::gauge!("convoke_relay_oldest_seconds").set(oldest_seconds as f64);
        }
        Err(error) => tracing::debug!(%error, "what waits to be sent cannot be counted"),
    }
}

/// A time in which something was away; told once, and so is its end.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    async fn wait(&mut self, what: &str, error: &QueueError) {
        metrics::counter!("convoke_relay_errors_total").increment(1);
        if self.since.is_none() {
            tracing::warn!(%error, "{what}");
            self.since = Some(Instant::now());
        }
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MOST);
        tokio::time::sleep(self.pause).await;
    }

    fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(away_s = since.elapsed().as_secs(), "outgoing messages go out again");
        }
        self.pause = Duration::ZERO;
    }
}
