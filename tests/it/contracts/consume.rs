//! The consumer loop, `queue::run`, over every engine of the queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke::events::{Message, Topic};
use convoke::queue::{self, ConsumerSpec, DeadLetter, Delivery, Failure, Queue, Settlement, SharedQueue};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::engines::SqliteHarness;
use super::queue::{LONG, ONE, QueueHarness, bound, created, depth, gather, numbers, publish};
use super::{optional_suite, suite};
use crate::rabbitmq_support::Vhost;

/// The consumer loop, stopped by the sender that is returned.
fn start<F>(
    queue: &SharedQueue,
    spec: &ConsumerSpec,
    handler: impl Fn(Delivery) -> F + Send + Sync + 'static,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>)
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    (stop, tokio::spawn(queue::run(queue.clone(), spec.clone(), handler, shutdown)))
}

/// Waits until the queue has this many waiting and dead.
async fn until_depth(queue: &SharedQueue, name: &str, expected: (u64, u64)) {
    let reached = async {
        while depth(queue, name).await != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, reached).await.expect("the depth is reached");
}

async fn the_loop_retries_gives_up_and_survives_panics(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let handled = Arc::new(Mutex::new(Vec::new()));
    let log = handled.clone();
    let (stop, running) = start(&queue, &one, move |delivery| {
        let log = log.clone();
        async move {
            let n = delivery.message.payload["n"].as_u64().unwrap();
            log.lock().unwrap().push((n, delivery.attempt));
            match (n, delivery.attempt) {
                (1, 1) => Err(Failure::Retry("later".into())),
                (2, _) => Err(Failure::Dead("never".into())),
                (3, 1) => panic!("a bug in the handler"),
                (4, _) => Err(Failure::Retry("always later".into())),
                _ => Ok(()),
            }
        }
    });
    publish(&queue, &(0..6).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await;
    until_depth(&queue, ONE, (0, 2)).await;
    drop(stop);
    running.await.unwrap();
    let mut handled = handled.lock().unwrap().clone();
    handled.sort_unstable();
    assert_eq!(handled, [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3), (5, 1)]);
    let dead = queue.dead_letters(Some(ONE), None, 9).await.unwrap();
    let mut errors: Vec<_> =
        dead.iter().map(|d| (d.payload["n"].as_u64().unwrap(), d.error.as_str(), d.attempts)).collect();
    errors.sort_unstable();
    assert_eq!(errors, [(2, "never", 1), (4, "always later", 3)]);
}

async fn the_loop_handles_as_many_at_once_as_it_may_and_no_more(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let (gate, most, under_way) =
        (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (gate, most, under_way) = (gate.clone(), most.clone(), under_way.clone());
        move |_| {
            let (gate, most, under_way) = (gate.clone(), most.clone(), under_way.clone());
            async move {
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                under_way.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }
    };
    publish(&queue, &(0..12).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await;
    let (stop, running) = start(&queue, &one, handler);
    let full = async {
        while under_way.load(Ordering::SeqCst) < one.concurrency {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, full).await.expect("all places are taken");
    gate.add_permits(12);
    until_depth(&queue, ONE, (0, 0)).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), one.concurrency);
}

async fn the_loop_finishes_what_is_under_way_when_it_stops(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let (begun, mut begins) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move |_| {
            let (gate, begun) = (gate.clone(), begun.clone());
            async move {
                let _ = begun.send(());
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    };
    publish(&queue, &(0..6).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await;
    let (stop, running) = start(&queue, &one, handler);
    for _ in 0..one.concurrency {
        tokio::time::timeout(LONG, begins.recv()).await.expect("it begins").unwrap();
    }
    drop(stop);
    tokio::task::yield_now().await;
    assert!(!running.is_finished());
    gate.add_permits(100);
    running.await.unwrap();
    assert_eq!(depth(&queue, ONE).await, (2, 0), "what was under way is done, what was not begun is kept");
    assert_eq!(numbers(&gather(&queue, &one, 2).await), [4, 5], "and can be had at once");
}

async fn a_handler_that_takes_its_time_keeps_its_delivery(engine: &dyn QueueHarness) {
    let visibility = Duration::from_secs(1);
    let queue = engine.open_with_visibility(visibility).await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    publish(&queue, &[created("a", 1)]).await;
    let (stop, running) = start(&queue, &one, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        // Slower than the queue is patient, like a mail server that lets us wait.
        async move {
            tokio::time::sleep(visibility * 5 / 2).await;
            Ok(())
        }
    });
    until_depth(&queue, ONE, (0, 0)).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1, "it is not handed out to a second one meanwhile");
}

/// An engine that is away for its first calls of each kind.
struct Flaky {
    queue: SharedQueue,
    bind: AtomicUsize,
    receive: AtomicUsize,
    settle: AtomicUsize,
}

impl Flaky {
    fn away(count: &AtomicUsize) -> Result<(), queue::QueueError> {
        let left = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() { Err(queue::QueueError("away".into())) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Queue for Flaky {
    async fn bind(&self, consumer: &ConsumerSpec) -> Result<(), queue::QueueError> {
        Self::away(&self.bind)?;
        self.queue.bind(consumer).await
    }
    async fn publish(&self, messages: &[Message]) -> Result<(), queue::QueueError> {
        self.queue.publish(messages).await
    }
    async fn receive(&self, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, queue::QueueError> {
        Self::away(&self.receive)?;
        self.queue.receive(consumer, most).await
    }
    async fn extend(&self, consumer: &ConsumerSpec, id: u64) -> Result<(), queue::QueueError> {
        self.queue.extend(consumer, id).await
    }
    fn visibility(&self) -> Duration {
        self.queue.visibility()
    }
    async fn settle(&self, consumer: &ConsumerSpec, id: u64, how: Settlement) -> Result<(), queue::QueueError> {
        Self::away(&self.settle)?;
        self.queue.settle(consumer, id, how).await
    }
    async fn dead_letters(
        &self,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, queue::QueueError> {
        self.queue.dead_letters(consumer, before, limit).await
    }
    async fn redeliver(&self, dead: u64) -> Result<bool, queue::QueueError> {
        self.queue.redeliver(dead).await
    }
    async fn discard(&self, dead: u64) -> Result<bool, queue::QueueError> {
        self.queue.discard(dead).await
    }
    async fn depths(&self) -> Result<Vec<queue::QueueDepth>, queue::QueueError> {
        self.queue.depths().await
    }
}

async fn the_loop_outlives_an_outage_of_the_engine(engine: &dyn QueueHarness) {
    let inner = engine.open().await;
    let one = bound(&inner, ONE, &[Topic::EventCreated]).await;
    publish(&inner, &[created("a", 1)]).await;
    let once = || AtomicUsize::new(1);
    let flaky: SharedQueue = Arc::new(Flaky { queue: inner.clone(), bind: once(), receive: once(), settle: once() });
    let (stop, running) = start(&flaky, &one, |_| async { Ok(()) });
    until_depth(&inner, ONE, (0, 0)).await;
    drop(stop);
    running.await.unwrap();
}

suite!(
    sqlite,
    super::SqliteHarness::new(),
    [
        the_loop_retries_gives_up_and_survives_panics,
        the_loop_handles_as_many_at_once_as_it_may_and_no_more,
        the_loop_finishes_what_is_under_way_when_it_stops,
        a_handler_that_takes_its_time_keeps_its_delivery,
        the_loop_outlives_an_outage_of_the_engine,
    ]
);

optional_suite!(
    rabbitmq,
    super::Vhost::of_a_test().await,
    [
        the_loop_retries_gives_up_and_survives_panics,
        the_loop_handles_as_many_at_once_as_it_may_and_no_more,
        the_loop_finishes_what_is_under_way_when_it_stops,
        a_handler_that_takes_its_time_keeps_its_delivery,
        the_loop_outlives_an_outage_of_the_engine,
    ]
);
