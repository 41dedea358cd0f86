//! The relay: from the store that wrote messages together with its changes to a queue of another engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::config::{Durability, RetryPolicy};
use convoke::events::{Message, Topic};
use convoke::queue::sqlite::outgoing::SqliteOutgoing;
use convoke::queue::{
    self, ConsumerSpec, DeadLetter, Delivery, Outgoing, OutgoingStore, Queue, QueueDepth, QueueError, Settlement,
    SharedQueue,
};
use convoke::store::sqlite::Sqlite;
use serde_json::json;
use tokio::sync::oneshot;

use crate::rabbitmq_support::Vhost;

const LONG: Duration = Duration::from_secs(30);

struct Database {
    sqlite: Sqlite,
    _folder: tempfile::TempDir,
}

fn database() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("convoke.db");
    let sqlite = Sqlite::open(&path, Durability::Normal, Env::system()).unwrap();
    Database { sqlite: sqlite.with_visibility(Duration::from_millis(300)), _folder: folder }
}

fn spec(name: &'static str) -> ConsumerSpec {
    let retry = RetryPolicy { attempts: 3, first_ms: 1, most_ms: 2 };
    ConsumerSpec { name, topics: vec![Topic::EventCreated], concurrency: 4, retry }
}

fn created(key: &str, n: u64) -> Message {
    Message::new(Topic::EventCreated, key, &json!({ "n": n })).once(format!("m{n}"))
}

fn start(store: Arc<dyn OutgoingStore>, queue: SharedQueue) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    (stop, tokio::spawn(queue::relay(store, queue, async move { drop(stopped.await) })))
}

/// Receives and settles until so many have come.
async fn drain(queue: &SharedQueue, spec: &ConsumerSpec, count: usize) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let received = tokio::time::timeout(LONG, queue.receive(spec, 20)).await.expect("a delivery").unwrap();
        for delivery in received {
            seen.push((delivery.message.key.clone(), delivery.message.payload["n"].as_u64().unwrap()));
            queue.settle(spec, delivery.id, Settlement::Done).await.unwrap();
        }
    }
    seen
}

async fn until_nothing_waits(store: &dyn OutgoingStore) {
    let emptied = async {
        while store.waiting().await.unwrap().0 > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, emptied).await.expect("everything is sent and forgotten");
}

/// How a queue publishes that is another one else.
#[async_trait]
trait Publish: Send + Sync + 'static {
    fn queue(&self) -> &SharedQueue;
    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError>;
}

/// A queue that is away for the first calls.
struct Away {
    queue: SharedQueue,
    left: AtomicUsize,
}

#[async_trait]
impl Publish for Away {
    fn queue(&self) -> &SharedQueue {
        &self.queue
    }
    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Err(QueueError("away".into()));
        }
        self.queue.publish(messages).await
    }
}

struct Through<P>(P);

#[async_trait]
impl<P: Publish> Queue for Through<P> {
    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError> {
        Publish::publish(&self.0, messages).await
    }
    async fn bind(&self, consumer: &ConsumerSpec) -> Result<(), QueueError> {
        self.0.queue().bind(consumer).await
    }
    async fn receive(&self, consumer: &ConsumerSpec, most: usize) -> Result<Vec<Delivery>, QueueError> {
        self.0.queue().receive(consumer, most).await
    }
    async fn extend(&self, consumer: &ConsumerSpec, id: u64) -> Result<(), QueueError> {
        self.0.queue().extend(consumer, id).await
    }
    fn visibility(&self) -> Duration {
        self.0.queue().visibility()
    }
    async fn settle(&self, consumer: &ConsumerSpec, id: u64, how: Settlement) -> Result<(), QueueError> {
        self.0.queue().settle(consumer, id, how).await
    }
    async fn dead_letters(
        &self,
        consumer: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.0.queue().dead_letters(consumer, before, limit).await
    }
    async fn redeliver(&self, dead: u64) -> Result<bool, QueueError> {
        self.0.queue().redeliver(dead).await
    }
    async fn discard(&self, dead: u64) -> Result<bool, QueueError> {
        self.0.queue().discard(dead).await
    }
    async fn depths(&self) -> Result<Vec<QueueDepth>, QueueError> {
        self.0.queue().depths().await
    }
}

/// A store whose process dies each time between sending and forgetting, for the first times.
struct Forgetful {
    store: SqliteOutgoing,
    left: AtomicUsize,
}

#[async_trait]
impl OutgoingStore for Forgetful {
    async fn take(&self, most: usize) -> Result<Vec<Outgoing>, QueueError> {
        self.store.take(most).await
    }
    async fn sent(&self, ids: &[String]) -> Result<(), QueueError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Ok(());
        }
        self.store.sent(ids).await
    }
    async fn waiting(&self) -> Result<(u64, u64), QueueError> {
        self.store.waiting().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_arrives_in_order_and_is_forgotten() {
    let (from, to) = (database(), database());
    let store = Arc::new(SqliteOutgoing::enter(from.sqlite.clone()).await.unwrap());
    let target: SharedQueue = Arc::new(to.sqlite.clone());
    let one = spec("test:one");
    target.bind(&one).await.unwrap();
    let messages: Vec<_> = (0..100).map(|n| created(&(n % 7).to_string(), n)).collect();
    from.sqlite.publish(&messages[..50]).await.unwrap();
    assert_eq!(store.waiting().await.unwrap().0, 50);
    // Away at first.
    let away: SharedQueue = Arc::new(Through(Away { queue: target.clone(), left: AtomicUsize::new(3) }));
    let (stop, running) = start(store.clone(), away);
    from.sqlite.publish(&messages[50..]).await.unwrap();
    let seen = drain(&target, &one, 100).await;
    for key in 0..7 {
        let of_key: Vec<u64> = seen.iter().filter(|(k, _)| *k == key.to_string()).map(|(_, n)| *n).collect();
        assert!(of_key.is_sorted() && of_key.len() >= 14, "{key}: {of_key:?}");
    }
    until_nothing_waits(&*store).await;
    drop(stop);
    running.await.unwrap();
}

/// A queue that takes what comes before a message, and refuses that one for the first times.
struct Picky {
    queue: SharedQueue,
    refused: u64,
    left: AtomicUsize,
    published: AtomicUsize,
}

#[async_trait]
impl Publish for Picky {
    fn queue(&self) -> &SharedQueue {
        &self.queue
    }
    async fn publish(&self, messages: &[Message]) -> Result<(), QueueError> {
        let at = messages.iter().position(|m| m.payload["n"] == self.refused).unwrap_or(messages.len());
        self.published.fetch_add(at, Ordering::SeqCst);
        self.queue.publish(&messages[..at]).await?;
        if at == messages.len() {
            return Ok(());
        }
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Err(QueueError("refused".into()));
        }
        self.published.fetch_add(messages.len() - at, Ordering::SeqCst);
        self.queue.publish(&messages[at..]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_that_is_refused_does_not_repeat_the_others() {
    let (from, to) = (database(), database());
    let store = Arc::new(SqliteOutgoing::enter(from.sqlite.clone()).await.unwrap());
    let target: SharedQueue = Arc::new(to.sqlite.clone());
    target.bind(&spec("test:one")).await.unwrap();
    from.sqlite.publish(&(0..20).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await.unwrap();
    let picky = Picky { queue: target.clone(), refused: 10, left: AtomicUsize::new(5), published: AtomicUsize::new(0) };
    let picky = Arc::new(Through(picky));
    let (stop, running) = start(store.clone(), picky.clone());
    until_nothing_waits(&*store).await;
    let seen: BTreeSet<u64> = drain(&target, &spec("test:one"), 20).await.into_iter().map(|(_, n)| n).collect();
    assert!(seen.into_iter().eq(0..20));
    assert_eq!(picky.0.published.load(Ordering::SeqCst), 30, "the ten before it twice, and each other one once");
    drop(stop);
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_waits_at_the_end_is_sent() {
    let (from, to) = (database(), database());
    let store = Arc::new(SqliteOutgoing::enter(from.sqlite.clone()).await.unwrap());
    let target: SharedQueue = Arc::new(to.sqlite.clone());
    let one = spec("test:one");
    target.bind(&one).await.unwrap();
    // One key: they are taken one after the other.
    from.sqlite.publish(&(0..20).map(|n| created("a", n)).collect::<Vec<_>>()).await.unwrap();
    let (stop, running) = start(store.clone(), target.clone());
    drop(stop);
    running.await.unwrap();
    assert_eq!(store.waiting().await.unwrap(), (0, 0));
    let seen: Vec<u64> = drain(&target, &one, 20).await.into_iter().map(|(_, n)| n).collect();
    assert!(seen.into_iter().eq(0..20));
}

#[tokio::test]
async fn an_engine_can_be_changed_and_changed_back_with_messages_waiting() {
    let Database { sqlite, _folder } = database();
    let queue: SharedQueue = Arc::new(sqlite.clone());
    let (one, two) = (spec("test:one"), spec("test:two"));
    for consumer in [&one, &two] {
        queue.bind(consumer).await.unwrap();
    }
    queue.publish(&[created("a", 1), created("a", 2)]).await.unwrap();
    let first = queue.receive(&one, 1).await.unwrap().remove(0);
    queue.settle(&one, first.id, Settlement::Done).await.unwrap();

    let store = SqliteOutgoing::enter(sqlite.clone()).await.unwrap();
    queue.publish(&[created("a", 3)]).await.unwrap();
    assert_eq!(store.waiting().await.unwrap().0, 3, "what waited for somebody, and what came since");
    let waiting = async |name: &str| queue.depths().await.unwrap().iter().find(|d| d.consumer == name).unwrap().waiting;
    assert_eq!((waiting("test:one").await, waiting("test:two").await), (0, 0));
    let taken = store.take(10).await.unwrap().remove(0);
    assert_eq!(taken.message, created("a", 1));
    store.sent(&[taken.id]).await.unwrap();
    drop(SqliteOutgoing::enter(sqlite.clone()).await.unwrap());
    assert_eq!(store.waiting().await.unwrap().0, 2, "entering again changes nothing");

    for consumer in [&one, &two] {
        queue.bind(consumer).await.unwrap();
    }
    SqliteOutgoing::leave(&sqlite).await.unwrap();
    SqliteOutgoing::leave(&sqlite).await.unwrap();
    queue.publish(&[created("b", 4)]).await.unwrap();
    assert_eq!(store.waiting().await.unwrap().0, 0);
    for consumer in [&one, &two] {
        let seen: BTreeSet<u64> = drain(&queue, consumer, 3).await.into_iter().map(|(_, n)| n).collect();
        assert!(seen.into_iter().eq([2, 3, 4]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_twice_is_handled_once_on_rabbitmq() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let target: SharedQueue = Arc::new(vhost.connect(&vhost.config(), Duration::from_secs(60)).await);
    let one = spec("test:one");
    target.bind(&one).await.unwrap();
    let from = database();
    let store = SqliteOutgoing::enter(from.sqlite.clone()).await.unwrap();
    from.sqlite.publish(&(0..30).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await.unwrap();
    let store = Arc::new(Forgetful { store, left: AtomicUsize::new(1) });
    let (stop, running) = start(store.clone(), target.clone());
    let mut seen: Vec<u64> = drain(&target, &one, 30).await.into_iter().map(|(_, n)| n).collect();
    until_nothing_waits(&*store).await;
    let more = tokio::time::timeout(Duration::from_millis(300), target.receive(&one, 10)).await;
    assert!(more.is_err(), "{more:?}");
    assert_eq!(target.depths().await.unwrap()[0].waiting, 0, "the copies are gone, too");
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..30));
    drop(stop);
    running.await.unwrap();
}
