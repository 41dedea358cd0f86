//! The loop that every consumer runs: take, handle, settle.
//!
//! A handler only says how its delivery ended; waiting, retrying, giving up, surviving its own panics and outages of the
//! engine, draining at shutdown and counting are done here, once.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::{ConsumerSpec, Delivery, QueueError, Settlement, SharedQueue};

/// Why a delivery failed, and whether another attempt can help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something it needs is away; try again later.
    #[error("{0}")]
    Retry(String),
    /// It can never succeed; an administrator should see it.
    #[error("{0}")]
    Dead(String),
}

/// Waits between attempts to reach an engine that is away.
const OUTAGE_FIRST: Duration = Duration::from_millis(100);
const OUTAGE_MOST: Duration = Duration::from_secs(10);
/// A handler that is still at work after this long hangs, since all that it waits for has a time limit of its own; its
/// delivery is no longer kept from coming back.
const HANGS: Duration = Duration::from_secs(3_600);
/// A delivery is extended this often within the visibility time, so that a call or two may fail.
const EXTENSIONS: u32 = 3;
/// Attempts to settle; after that the delivery comes back by itself.
const SETTLE_ATTEMPTS: u32 = 12;

/// Binds the consumer and hands its deliveries to `handler`, up to `spec.concurrency` at once, until `shutdown` is ready;
/// then finishes what is under way and returns.
///
/// A failure is retried as `spec.retry` says; a panic counts as [`Failure::Retry`]. Deliveries come at least once, so the
/// handler must be idempotent. A delivery does not come back while its handler works, for up to an hour.
///
/// Metrics, each with the label `consumer`: `convoke_consumer_handled_total`, `convoke_consumer_failed_total`,
/// `convoke_consumer_dead_total`, `convoke_consumer_seconds` (histogram, of every attempt).
pub async fn run<H, F>(queue: SharedQueue, spec: ConsumerSpec, handler: H, shutdown: impl Future<Output = ()> + Send)
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (spec, handler) = (Arc::new(spec), Arc::new(handler));
    let mut under_way = JoinSet::new();
    tokio::pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => return,
        () = bind(&queue, &spec) => {}
    }
    let mut outage = Outage::default();
    loop {
        let free = spec.concurrency.max(1).saturating_sub(under_way.len());
        if free == 0 {
            tokio::select! {
                () = &mut shutdown => break,
                _ = under_way.join_next() => continue,
            }
        }
        let received = tokio::select! {
            () = &mut shutdown => break,
            received = queue.receive(&spec, free) => received,
        };
        match received {
            Ok(deliveries) => {
                outage.over(&spec);
                for delivery in deliveries {
                    under_way.spawn(attend(Arc::clone(&queue), Arc::clone(&spec), Arc::clone(&handler), delivery));
                }
            }
            Err(error) => {
                tokio::select! {
                    () = &mut shutdown => break,
                    () = outage.wait(&spec, &error) => {}
                }
            }
        }
        while under_way.try_join_next().is_some() {}
    }
    tracing::debug!(consumer = spec.name, under_way = under_way.len(), "draining");
    while under_way.join_next().await.is_some() {}
}

/// How long the engine has been away. Told once, and so is its end.
struct Outage {
    next: Duration,
    since: Option<Instant>,
}

impl Default for Outage {
    fn default() -> Self {
        Self { next: OUTAGE_FIRST, since: None }
    }
}

impl Outage {
    async fn wait(&mut self, spec: &ConsumerSpec, error: &QueueError) {
        let wait_ms = self.next.as_millis() as u64;
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!(consumer = spec.name, %error, "the queue is away");
        } else {
            tracing::debug!(consumer = spec.name, %error, wait_ms, "the queue is still away");
        }
        let wait = self.next;
        self.next = (wait * 2).min(OUTAGE_MOST);
        tokio::time::sleep(wait).await;
    }

    fn over(&mut self, spec: &ConsumerSpec) {
        if let Some(since) = self.since.take() {
            tracing::info!(consumer = spec.name, away_s = since.elapsed().as_secs(), "the queue is back");
        }
        self.next = OUTAGE_FIRST;
    }
}

async fn bind(queue: &SharedQueue, spec: &ConsumerSpec) {
    let mut outage = Outage::default();
    while let Err(error) = queue.bind(spec).await {
        outage.wait(spec, &error).await;
    }
}

/// Sees one delivery through: handles it and settles it.
async fn attend<H, F>(queue: SharedQueue, spec: Arc<ConsumerSpec>, handler: Arc<H>, delivery: Delivery)
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (id, attempt, topic) = (delivery.id, delivery.attempt, delivery.message.topic);
    let started = Instant::now();
    let work = AssertUnwindSafe(async { handler(delivery).await }).catch_unwind();
    let outcome = kept(&queue, &spec, id, work)
        .await
        .unwrap_or_else(|panic| Err(Failure::Retry(format!("the handler panicked: {}", panic_text(&*panic)))));
    metrics::histogram!("convoke_consumer_seconds", "consumer" => spec.name).record(started.elapsed().as_secs_f64());

    let settlement = settlement(&spec, attempt, outcome);
    match &settlement {
        Settlement::Done => metrics::counter!("convoke_consumer_handled_total", "consumer" => spec.name).increment(1),
        Settlement::Retry { after, error } => {
            metrics::counter!("convoke_consumer_failed_total", "consumer" => spec.name).increment(1);
            let wait_ms = after.as_millis() as u64;
            tracing::warn!(consumer = spec.name, %topic, attempt, wait_ms, %error, "a delivery failed and is retried");
        }
        Settlement::Dead { error } => {
            metrics::counter!("convoke_consumer_dead_total", "consumer" => spec.name).increment(1);
            tracing::error!(consumer = spec.name, %topic, attempt, %error, "a delivery failed for good");
        }
    }
    settle(&queue, &spec, id, settlement).await;
}

/// Waits for a handler and keeps its delivery from coming back meanwhile: whatever is slow, a mail server for one, must not
/// be asked a second time for the same.
async fn kept<T>(queue: &SharedQueue, spec: &ConsumerSpec, id: u64, work: impl Future<Output = T>) -> T {
    let pause = queue.visibility() / EXTENSIONS;
    let extend = async {
        let started = Instant::now();
        while started.elapsed() < HANGS {
            tokio::time::sleep(pause).await;
            if let Err(error) = queue.extend(spec, id).await {
                tracing::warn!(consumer = spec.name, %error, "a delivery under way could not be extended");
            }
        }
        tracing::error!(consumer = spec.name, "a handler hangs; its delivery will come back");
    };
    tokio::pin!(work);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        () = extend => {}
    }
    work.await
}

/// What an outcome means for the delivery.
fn settlement(spec: &ConsumerSpec, attempt: u32, outcome: Result<(), Failure>) -> Settlement {
    match outcome {
        Ok(()) => Settlement::Done,
        Err(Failure::Dead(error)) => Settlement::Dead { error },
        Err(Failure::Retry(error)) => match spec.retry.wait_after(attempt) {
            Some(after) => Settlement::Retry { after, error },
            None => Settlement::Dead { error },
        },
    }
}

async fn settle(queue: &SharedQueue, spec: &ConsumerSpec, id: u64, how: Settlement) {
    let mut outage = Outage::default();
    for _ in 0..SETTLE_ATTEMPTS {
        match queue.settle(spec, id, how.clone()).await {
            Ok(()) => return,
            Err(error) => {
                outage.wait(spec, &error).await;
                // So that it does not come back while its end is being told. Fails like the rest when all is away.
                let _ = queue.extend(spec, id).await;
            }
        }
    }
    tracing::warn!(consumer = spec.name, "a delivery could not be settled and will come back");
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
