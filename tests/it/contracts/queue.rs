//! The contract of `Queue`. The consumer loop over it is in `consume`.
//!
//! What it does not ask for, since nodes that share a broker cannot give it: the order of a key across nodes, and that all
//! messages of a batch are there as soon as one of them is. A message whose `once` was published before may wait until
//! somebody asks for messages, and is dropped then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke::events::{Message, Topic};
use convoke::queue::{ConsumerSpec, DeadLetter, Delivery, RetryPolicy, Settlement, SharedQueue};
use tokio::sync::mpsc;

use super::engines::{IMPATIENT, PATIENT, SqliteHarness};
use super::samples::message;
use super::{optional_suite, suite};
use crate::rabbitmq_support::Vhost;

pub const ONE: &str = "test:one";
const TWO: &str = "test:two";
/// A wait that a test never sits out unless something is broken.
pub const LONG: Duration = Duration::from_secs(20);

/// Opens an engine of the queue on its data, which is fresh the first time and kept until the harness is dropped.
#[async_trait::async_trait]
pub trait QueueHarness: Send + Sync {
    async fn open(&self) -> SharedQueue {
        self.open_with_visibility(PATIENT).await
    }
    /// The same with a time after which unsettled deliveries come back.
    async fn open_with_visibility(&self, visibility: Duration) -> SharedQueue;
    /// Stops the engine that was opened last, so that it can be opened again.
    async fn close(&self);
}

#[async_trait::async_trait]
impl QueueHarness for SqliteHarness {
    async fn open_with_visibility(&self, visibility: Duration) -> SharedQueue {
        super::engines::Harness::open_with_visibility(self, visibility).await.queue
    }
    async fn close(&self) {
        super::engines::Harness::close(self).await;
    }
}

pub fn consumer(name: &'static str, topics: &[Topic]) -> ConsumerSpec {
    let retry = RetryPolicy { attempts: 3, first_ms: 1, most_ms: 2 };
    ConsumerSpec { name, topics: topics.to_vec(), concurrency: 4, retry }
}

pub async fn bound(queue: &SharedQueue, name: &'static str, topics: &[Topic]) -> ConsumerSpec {
    let spec = consumer(name, topics);
    queue.bind(&spec).await.unwrap();
    spec
}

/// What is handed out now, nothing when nothing is due.
async fn due(queue: &SharedQueue, spec: &ConsumerSpec, most: usize) -> Vec<Delivery> {
    match tokio::time::timeout(Duration::from_millis(60), queue.receive(spec, most)).await {
        Ok(received) => received.unwrap(),
        Err(_) => Vec::new(),
    }
}

/// Waits for at least one delivery.
pub async fn receive(queue: &SharedQueue, spec: &ConsumerSpec, most: usize) -> Vec<Delivery> {
    tokio::time::timeout(LONG, queue.receive(spec, most)).await.expect("a delivery").unwrap()
}

/// Waits for this many deliveries, which need not come at once.
pub async fn gather(queue: &SharedQueue, spec: &ConsumerSpec, count: usize) -> Vec<Delivery> {
    let mut gathered = Vec::new();
    while gathered.len() < count {
        gathered.extend(receive(queue, spec, count - gathered.len()).await);
    }
    gathered
}

async fn settle(queue: &SharedQueue, spec: &ConsumerSpec, delivery: &Delivery, how: Settlement) {
    queue.settle(spec, delivery.id, how).await.unwrap();
}

pub fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|d| d.message.payload["n"].as_u64().unwrap()).collect()
}

pub async fn publish(queue: &SharedQueue, messages: &[Message]) {
    queue.publish(messages).await.unwrap();
}

pub fn created(key: &str, n: u32) -> Message {
    message(Topic::EventCreated, key, n)
}

pub async fn depth(queue: &SharedQueue, name: &str) -> (u64, u64) {
    let depth = queue.depths().await.unwrap().into_iter().find(|d| d.consumer == name).unwrap();
    (depth.waiting, depth.dead)
}

async fn every_consumer_gets_every_message_of_its_topics(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated, Topic::EventDeleted]).await;
    let two = bound(&queue, TWO, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), message(Topic::EventDeleted, "b", 2), message(Topic::EventReply, "c", 3)]).await;
    let first = gather(&queue, &one, 2).await;
    assert_eq!(numbers(&first), [1, 2]);
    assert_eq!(first[0].message, created("a", 1));
    assert_eq!(first[0].attempt, 1);
    let second = receive(&queue, &two, 10).await;
    assert_eq!(numbers(&second), [1]);
    settle(&queue, &one, &first[0], Settlement::Done).await;
    settle(&queue, &one, &first[1], Settlement::Done).await;
    assert_eq!(depth(&queue, ONE).await, (0, 0));
    assert_eq!(depth(&queue, TWO).await, (1, 0), "the other's delivery is its own");
}

async fn a_message_comes_back_as_it_went(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &Topic::ALL).await;
    let payload =
        serde_json::json!({"text": "é🎉\u{0}\"\\", "nested": [null, 1.5, {"": []}], "big": "x".repeat(300_000)});
    let sent = Message::new(Topic::ItipLocalDelivery, "kéy /🗝\n", &payload).once("once ' --");
    publish(&queue, std::slice::from_ref(&sent)).await;
    let received = receive(&queue, &one, 1).await;
    assert_eq!(received[0].message, sent);
}

async fn texts_in_common_come_with_each_message_and_with_its_dead_letter(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let (long, short): (Arc<str>, Arc<str>) = ("é\"\n".repeat(4_000).into(), "short".into());
    let sent: Vec<Message> =
        (0..3).map(|n| created(&n.to_string(), n).text("long", &long).text("short", &short)).collect();
    publish(&queue, &sent).await;
    let body = |n: u32| serde_json::json!({ "n": n, "long": &*long, "short": "short" });
    let received = gather(&queue, &one, 3).await;
    for delivery in &received {
        let n = delivery.message.payload["n"].as_u64().unwrap();
        assert_eq!(delivery.message.payload, body(u32::try_from(n).unwrap()));
    }
    settle(&queue, &one, &received[0], Settlement::Dead { error: "broken".to_owned() }).await;
    settle(&queue, &one, &received[1], Settlement::Done).await;
    settle(&queue, &one, &received[2], Settlement::Done).await;
    let dead = queue.dead_letters(None, None, 9).await.unwrap().remove(0);
    assert_eq!(dead.payload, received[0].message.payload);
    assert!(queue.redeliver(dead.id).await.unwrap());
    let again = receive(&queue, &one, 9).await;
    assert_eq!(again[0].message.payload, received[0].message.payload);
}

async fn binding_again_changes_the_topics_and_keeps_what_waits(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1)]).await;
    bound(&queue, ONE, &[Topic::EventCreated]).await;
    bound(&queue, ONE, &[Topic::EventReply]).await;
    publish(&queue, &[created("b", 2), message(Topic::EventReply, "c", 3)]).await;
    assert_eq!(numbers(&gather(&queue, &one, 2).await), [1, 3]);
    assert!(queue.receive(&consumer("test:stranger", &[]), 1).await.is_err(), "never bound");
}

async fn a_message_published_once_before_is_dropped(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1).once("x"), created("a", 2).once("x"), created("a", 3).once("y")]).await;
    publish(&queue, &[created("b", 4).once("x"), created("b", 5)]).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        for delivery in receive(&queue, &one, 10).await {
            seen.extend(numbers(std::slice::from_ref(&delivery)));
            settle(&queue, &one, &delivery, Settlement::Done).await;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 3, 5]);
    publish(&queue, &[created("c", 6).once("x")]).await;
    assert!(due(&queue, &one, 10).await.is_empty(), "remembered after it was handled, too");
    while depth(&queue, ONE).await.0 > 0 {
        assert!(due(&queue, &one, 10).await.is_empty());
    }
}

async fn messages_of_a_key_come_one_at_a_time_in_order(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), created("a", 2), created("b", 3), created("a", 4)]).await;
    let first = gather(&queue, &one, 2).await;
    assert_eq!(numbers(&first), [1, 3]);
    assert!(due(&queue, &one, 10).await.is_empty());
    settle(&queue, &one, &first[0], Settlement::Done).await;
    let second = receive(&queue, &one, 10).await;
    assert_eq!(numbers(&second), [2]);
    publish(&queue, &[created("b", 5)]).await;
    settle(&queue, &one, &second[0], Settlement::Done).await;
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [4]);
    settle(&queue, &one, &first[1], Settlement::Done).await;
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [5]);
}

async fn no_more_is_handed_out_than_was_asked_for(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &(0..10).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await;
    assert!(queue.receive(&one, 0).await.unwrap().is_empty());
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let some = receive(&queue, &one, 4).await;
        assert!(some.len() <= 4);
        seen.extend(numbers(&some));
    }
    assert!(seen.into_iter().eq(0..10));
}

async fn a_failure_holds_up_its_own_key_only(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), created("a", 2), created("b", 3)]).await;
    let first = receive(&queue, &one, 1).await;
    let after = Duration::from_millis(150);
    let failed = Instant::now();
    settle(&queue, &one, &first[0], Settlement::Retry { after, error: "not yet".into() }).await;
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [3], "the other key goes on");
    let again = receive(&queue, &one, 10).await;
    assert!(failed.elapsed() >= after - Duration::from_millis(5), "it waits as long as it was told");
    assert_eq!((numbers(&again), again[0].attempt), (vec![1], 2), "before the younger of its key");
    settle(&queue, &one, &again[0], Settlement::Done).await;
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [2]);
}

async fn what_is_not_settled_comes_back(engine: &dyn QueueHarness) {
    let queue = engine.open_with_visibility(IMPATIENT).await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), created("a", 2)]).await;
    let started = Instant::now();
    let first = receive(&queue, &one, 10).await;
    let second = receive(&queue, &one, 10).await;
    assert!(started.elapsed() >= IMPATIENT - Duration::from_millis(5));
    assert_eq!((numbers(&second), second[0].attempt), (vec![1], 2));
    // The first attempt is over: what it says counts no more.
    settle(&queue, &one, &first[0], Settlement::Done).await;
    assert_eq!(depth(&queue, ONE).await.0, 2);
    settle(&queue, &one, &second[0], Settlement::Done).await;
    settle(&queue, &one, &second[0], Settlement::Dead { error: "twice".into() }).await;
    assert_eq!(depth(&queue, ONE).await, (1, 0));
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [2]);
}

async fn settling_twice_does_nothing(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1)]).await;
    let first = receive(&queue, &one, 1).await.remove(0);
    settle(&queue, &one, &first, Settlement::Retry { after: Duration::ZERO, error: "x".into() }).await;
    settle(&queue, &one, &first, Settlement::Done).await;
    let second = receive(&queue, &one, 1).await.remove(0);
    assert_eq!(second.attempt, 2);
    settle(&queue, &one, &second, Settlement::Done).await;
    // A new message must not be mistaken for the one that was settled.
    publish(&queue, &[created("a", 2)]).await;
    let third = receive(&queue, &one, 1).await.remove(0);
    settle(&queue, &one, &second, Settlement::Done).await;
    settle(&queue, &one, &first, Settlement::Dead { error: "x".into() }).await;
    assert_eq!(depth(&queue, ONE).await, (1, 0));
    assert_ne!(third.id, second.id);
}

async fn attempts_that_all_vanish_end_as_a_dead_letter(engine: &dyn QueueHarness) {
    let queue = engine.open_with_visibility(IMPATIENT).await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), created("a", 2)]).await;
    for attempt in 1..=one.retry.attempts {
        let delivery = receive(&queue, &one, 1).await.remove(0);
        assert_eq!((numbers(std::slice::from_ref(&delivery)), delivery.attempt), (vec![1], attempt));
    }
    assert_eq!(numbers(&receive(&queue, &one, 1).await), [2], "the next of the key goes on");
    assert_eq!(depth(&queue, ONE).await, (1, 1));
}

async fn dead_letters_are_listed_redelivered_and_discarded(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let two = bound(&queue, TWO, &[Topic::EventCreated]).await;
    publish(&queue, &(0..5).map(|n| created(&n.to_string(), n).once(n.to_string())).collect::<Vec<_>>()).await;
    for spec in [&one, &two] {
        for delivery in gather(&queue, spec, 5).await {
            settle(&queue, spec, &delivery, Settlement::Dead { error: format!("broken {}", delivery.id) }).await;
        }
    }
    assert_eq!(depth(&queue, ONE).await, (0, 5));
    let all: Vec<DeadLetter> = queue.dead_letters(None, None, 100).await.unwrap();
    assert_eq!(all.len(), 10);
    assert!(all.is_sorted_by(|a, b| a.id > b.id), "newest first");
    let mut mine: Vec<DeadLetter> = Vec::new();
    loop {
        let page = queue.dead_letters(Some(ONE), mine.last().map(|d| d.id), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        mine.extend(page);
    }
    assert_eq!(mine.len(), 5);
    let newest = &mine[0];
    assert_eq!((newest.consumer.as_str(), newest.topic.as_str(), newest.attempts), (ONE, "calendar:event:created", 1));
    assert_eq!(newest.payload["n"], 4);
    assert!(newest.error.starts_with("broken") && newest.published <= newest.died);

    assert!(queue.redeliver(newest.id).await.unwrap());
    assert!(!queue.redeliver(newest.id).await.unwrap());
    let again = receive(&queue, &one, 10).await;
    assert_eq!((numbers(&again), again[0].attempt), (vec![4], 1), "its own once does not hold it back");
    settle(&queue, &one, &again[0], Settlement::Done).await;
    assert!(due(&queue, &two, 10).await.is_empty(), "only the consumer that failed gets it");

    assert!(queue.discard(mine[1].id).await.unwrap());
    assert!(!queue.discard(mine[1].id).await.unwrap());
    assert_eq!(depth(&queue, ONE).await, (0, 3));
    assert_eq!(depth(&queue, TWO).await, (0, 5));
}

async fn a_redelivered_letter_keeps_the_rule_of_its_key(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1), created("a", 2)]).await;
    let first = receive(&queue, &one, 1).await.remove(0);
    settle(&queue, &one, &first, Settlement::Dead { error: "x".into() }).await;
    let second = receive(&queue, &one, 1).await.remove(0);
    let dead = queue.dead_letters(None, None, 1).await.unwrap().remove(0);
    assert!(queue.redeliver(dead.id).await.unwrap());
    assert!(due(&queue, &one, 10).await.is_empty(), "one of the key is under way");
    settle(&queue, &one, &second, Settlement::Done).await;
    assert_eq!(numbers(&receive(&queue, &one, 10).await), [1]);
}

async fn a_waiting_receiver_hears_of_a_message_at_once(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    for n in 0..20 {
        let waiting = tokio::spawn({
            let (queue, one) = (queue.clone(), one.clone());
            async move { queue.receive(&one, 1).await.unwrap().remove(0) }
        });
        if n % 2 == 0 {
            tokio::task::yield_now().await;
        }
        publish(&queue, &[created("a", n)]).await;
        // Far less than the ten seconds after which a receiver looks by itself.
        let delivery = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("heard").unwrap();
        settle(&queue, &one, &delivery, Settlement::Done).await;
    }
}

async fn several_receivers_share_the_work_without_overlap(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, one, seen) = (queue.clone(), one.clone(), seen.clone());
            tokio::spawn(async move {
                loop {
                    for delivery in queue.receive(&one, 3).await.unwrap() {
                        // Noted before it is settled: afterwards the next of its key may be noted first.
                        let _ = seen.send(delivery.clone());
                        settle(&queue, &one, &delivery, Settlement::Done).await;
                    }
                }
            })
        })
        .collect();
    for chunk in 0..10 {
        let messages: Vec<_> = (0..20).map(|n| created(&(n % 7).to_string(), chunk * 20 + n)).collect();
        publish(&queue, &messages).await;
    }
    let mut got = Vec::new();
    while got.len() < 200 {
        got.push(tokio::time::timeout(LONG, arrivals.recv()).await.expect("all arrive").unwrap());
    }
    receivers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(numbers(&got).into_iter().collect::<BTreeSet<_>>().len(), 200, "each once");
    for key in 0..7 {
        let of_key: Vec<u64> = got
            .iter()
            .filter(|d| d.message.key == key.to_string())
            .flat_map(|d| numbers(std::slice::from_ref(d)))
            .collect();
        assert!(of_key.is_sorted(), "{key}: {of_key:?}");
    }
}

async fn a_receiver_that_is_dropped_loses_nothing(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &(0..50).map(|n| created(&n.to_string(), n)).collect::<Vec<_>>()).await;
    // Dropped after every number of steps that a call may take.
    for steps in 0..60 {
        let mut call = std::pin::pin!(queue.receive(&one, 50));
        for _ in 0..steps {
            match futures_util::poll!(call.as_mut()) {
                std::task::Poll::Pending => tokio::task::yield_now().await,
                std::task::Poll::Ready(received) => {
                    for delivery in received.unwrap() {
                        let how = Settlement::Retry { after: Duration::ZERO, error: String::new() };
                        settle(&queue, &one, &delivery, how).await;
                    }
                    break;
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    let spec = ConsumerSpec { retry: RetryPolicy { attempts: 1000, ..one.retry }, ..one.clone() };
    while seen.len() < 50 {
        for delivery in receive(&queue, &spec, 50).await {
            seen.extend(numbers(std::slice::from_ref(&delivery)));
            settle(&queue, &spec, &delivery, Settlement::Done).await;
        }
    }
}

async fn messages_wait_through_a_restart(engine: &dyn QueueHarness) {
    let queue = engine.open_with_visibility(IMPATIENT).await;
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("a", 1).once("x"), created("b", 2), created("c", 3)]).await;
    let taken = gather(&queue, &one, 2).await;
    settle(&queue, &one, &taken[0], Settlement::Done).await;
    engine.close().await;
    drop(queue);

    let queue = engine.open().await;
    bound(&queue, ONE, &[Topic::EventCreated]).await;
    publish(&queue, &[created("d", 4).once("x")]).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        for delivery in receive(&queue, &one, 10).await {
            seen.extend(numbers(std::slice::from_ref(&delivery)));
            settle(&queue, &one, &delivery, Settlement::Done).await;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [2, 3], "the one under way came back, the settled one and the repeated one did not");
}

async fn depths_count_what_waits_and_what_died(engine: &dyn QueueHarness) {
    let queue = engine.open().await;
    assert!(queue.depths().await.unwrap().is_empty());
    let one = bound(&queue, ONE, &[Topic::EventCreated]).await;
    bound(&queue, TWO, &[Topic::EventReply]).await;
    publish(&queue, &[created("a", 1), created("a", 2), created("b", 3)]).await;
    let taken = receive(&queue, &one, 1).await;
    settle(&queue, &one, &taken[0], Settlement::Dead { error: "x".into() }).await;
    let depths = queue.depths().await.unwrap();
    let counts: Vec<_> = depths.iter().map(|d| (d.consumer.as_str(), d.waiting, d.dead)).collect();
    assert_eq!(counts, [(ONE, 2, 1), (TWO, 0, 0)]);
    assert!(depths[0].oldest_seconds < 60);
}

suite!(
    sqlite,
    super::SqliteHarness::new(),
    [
        every_consumer_gets_every_message_of_its_topics,
        a_message_comes_back_as_it_went,
        texts_in_common_come_with_each_message_and_with_its_dead_letter,
        binding_again_changes_the_topics_and_keeps_what_waits,
        a_message_published_once_before_is_dropped,
        messages_of_a_key_come_one_at_a_time_in_order,
        no_more_is_handed_out_than_was_asked_for,
        a_failure_holds_up_its_own_key_only,
        what_is_not_settled_comes_back,
        settling_twice_does_nothing,
        attempts_that_all_vanish_end_as_a_dead_letter,
        dead_letters_are_listed_redelivered_and_discarded,
        a_redelivered_letter_keeps_the_rule_of_its_key,
        a_waiting_receiver_hears_of_a_message_at_once,
        several_receivers_share_the_work_without_overlap,
        a_receiver_that_is_dropped_loses_nothing,
        messages_wait_through_a_restart,
        depths_count_what_waits_and_what_died,
    ]
);

optional_suite!(
    rabbitmq,
    super::Vhost::of_a_test().await,
    [
        every_consumer_gets_every_message_of_its_topics,
        a_message_comes_back_as_it_went,
        texts_in_common_come_with_each_message_and_with_its_dead_letter,
        binding_again_changes_the_topics_and_keeps_what_waits,
        a_message_published_once_before_is_dropped,
        messages_of_a_key_come_one_at_a_time_in_order,
        no_more_is_handed_out_than_was_asked_for,
        a_failure_holds_up_its_own_key_only,
        what_is_not_settled_comes_back,
        settling_twice_does_nothing,
        attempts_that_all_vanish_end_as_a_dead_letter,
        dead_letters_are_listed_redelivered_and_discarded,
        a_redelivered_letter_keeps_the_rule_of_its_key,
        a_waiting_receiver_hears_of_a_message_at_once,
        several_receivers_share_the_work_without_overlap,
        a_receiver_that_is_dropped_loses_nothing,
        messages_wait_through_a_restart,
        depths_count_what_waits_and_what_died,
    ]
);
