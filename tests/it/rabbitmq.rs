//! RabbitMQ beyond the contract of the queue: the topology that esn-sabre and the reference know, their messages, and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use convoke::config::{self, QueueType, RetryPolicy};
use convoke::events::{Message, Topic};
use convoke::health::{Examine as _, Health, HealthCheck, Verdict};
use convoke::queue::rabbitmq::{RabbitMq, dead_letter_queue, retry_queue};
use convoke::queue::{self, ConsumerSpec, Delivery, Failure, Queue as _, QueueDepth, Settlement, SharedQueue};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::instance::Instance;
use crate::rabbitmq_support::{Management, Vhost};

const PATIENT: Duration = Duration::from_secs(60);
/// A wait that a test never sits out unless something is broken.
const LONG: Duration = Duration::from_secs(60);
const SEARCH: &str = "tcalendar:event:created:search";

fn spec(name: &'static str, topics: &[Topic]) -> ConsumerSpec {
    let retry = RetryPolicy { attempts: 3, first_ms: 1, most_ms: 2 };
    ConsumerSpec { name, topics: topics.to_vec(), concurrency: 4, retry }
}

fn created(key: &str, n: u64) -> Message {
    Message::new(Topic::EventCreated, key, &json!({ "n": n }))
}

fn number(delivery: &Delivery) -> u64 {
    delivery.message.payload["n"].as_u64().unwrap()
}

/// Tries again while the broker is away.
async fn publish(queue: &dyn queue::Queue, messages: &[Message]) {
    let end = Instant::now() + LONG;
    while let Err(error) = queue.publish(messages).await {
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, reached).await.is_ok(), "{what}");
}

async fn depth(queue: &dyn queue::Queue, name: &str) -> Option<QueueDepth> {
    queue.depths().await.ok()?.into_iter().find(|d| d.consumer == name)
}

async fn until_empty(queue: &dyn queue::Queue, name: &str) {
    until("the queue is emptied", async || depth(queue, name).await.is_some_and(|d| d.waiting == 0)).await;
}

/// What was handled, in order: number and attempt.
type Log = Arc<Mutex<Vec<(u64, u32)>>>;

/// The consumer loop with a handler that notes what it is given, stopped by dropping the sender.
fn consume<F>(
    queue: &RabbitMq,
    spec: &ConsumerSpec,
    log: &Log,
    answer: impl Fn(u64, u32) -> F + Send + Sync + 'static,
) -> (oneshot::Sender<()>, JoinHandle<()>)
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let shared: SharedQueue = Arc::new(queue.clone());
    let log = Arc::clone(log);
    let handler = move |delivery: Delivery| {
        log.lock().unwrap().push((number(&delivery), delivery.attempt));
        answer(number(&delivery), delivery.attempt)
    };
    (stop, tokio::spawn(queue::run(shared, spec.clone(), handler, async move { drop(stopped.await) })))
}

async fn slow(_: u64, _: u32) -> Result<(), Failure> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}

fn numbers(log: &Log) -> Vec<u64> {
    log.lock().unwrap().iter().map(|(n, _)| *n).collect()
}

async fn receive(queue: &RabbitMq, spec: &ConsumerSpec) -> Delivery {
    tokio::time::timeout(LONG, queue.receive(spec, 1)).await.expect("a delivery").unwrap().remove(0)
}

// --- topology ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn exchanges_queues_and_bindings_are_those_of_the_reference() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    for topic in Topic::ALL {
        let exchange = vhost.see("exchanges", topic.name());
        assert_eq!((&exchange["type"], &exchange["durable"]), (&json!("fanout"), &json!(true)), "{topic}");
        assert_eq!(exchange["auto_delete"], json!(false));
    }
    let created = [Topic::EventCreated];
    for name in [SEARCH, "tcalendar:itip:localDelivery", "resource:tcalendar:event:created"] {
        queue.bind(&spec(name, &created)).await.unwrap();
        let dead = dead_letter_queue(name);
        let main = vhost.see("queues", name);
        assert_eq!(main["arguments"], json!({"x-queue-version": 2, "x-dead-letter-exchange": dead}));
        assert_eq!((&main["durable"], &main["exclusive"]), (&json!(true), &json!(false)));
        assert_eq!(vhost.see("queues", &dead)["arguments"], json!({"x-queue-version": 2}));
        assert_eq!(vhost.see("exchanges", &dead)["type"], json!("fanout"));
        let bindings = |queue: &str| {
            let listed = vhost.see("queues", &format!("{queue}/bindings"));
            let of = |b: &serde_json::Value| {
                (b["source"].as_str()?.to_owned(), b["routing_key"].as_str()?.to_owned()).into()
            };
            let listed: BTreeSet<(String, String)> = listed.as_array().unwrap().iter().filter_map(of).collect();
            listed.into_iter().filter(|(source, _)| !source.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(bindings(name), [("calendar:event:created".to_owned(), String::new())]);
        assert_eq!(bindings(&dead), [(dead.clone(), String::new())]);
    }
    // Once more changes nothing, and a second node finds it all there.
    queue.bind(&spec(SEARCH, &created)).await.unwrap();
    let second = vhost.connect(&vhost.config(), PATIENT).await;
    second.bind(&spec(SEARCH, &created)).await.unwrap();
}

#[tokio::test]
async fn other_kinds_of_queue_are_declared_when_asked_for() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    for (name, kind, expected) in [
        ("test:old", QueueType::ClassicV1, json!({"x-dead-letter-exchange": "test:old:dead-letter"})),
        (
            "test:quorum",
            QueueType::Quorum,
            json!({"x-dead-letter-exchange": "test:quorum:dead-letter", "x-queue-type": "quorum",
                   "x-quorum-initial-group-size": 1, "x-delivery-limit": 12}),
        ),
    ] {
        let config = config::RabbitMq { queue_type: kind, quorum_delivery_limit: Some(12), held: 0, ..vhost.config() };
        let queue = vhost.connect(&config, PATIENT).await;
        let one = spec(name, &[Topic::EventCreated]);
        queue.bind(&one).await.unwrap();
        assert_eq!(vhost.see("queues", name)["arguments"], expected);
        // It works: done, retried by way of the retry queue, given up, redelivered.
        let config = config::RabbitMq { retry_round_ms: 100, ..config };
        let queue = vhost.connect(&config, PATIENT).await;
        queue.bind(&one).await.unwrap();
        queue.publish(&[created("a", 1), created("b", 2), created("c", 3)]).await.unwrap();
        let log = Log::default();
        let (stop, running) = consume(&queue, &one, &log, |n, attempt| async move {
            match (n, attempt) {
                (1, 1) => Err(Failure::Retry("later".into())),
                (2, _) => Err(Failure::Dead("never".into())),
                _ => Ok(()),
            }
        });
        until_empty(&queue, name).await;
        let dead = queue.dead_letters(None, None, 10).await.unwrap();
        assert_eq!((dead.len(), dead[0].error.as_str(), dead[0].attempts), (1, "never", 1));
        // To look does not wear them out, not even where the broker counts deliveries.
        for _ in 0..15 {
            assert_eq!(queue.dead_letters(Some(name), None, 10).await.unwrap(), dead);
        }
        assert!(queue.redeliver(dead[0].id).await.unwrap());
        until("it is back", async || log.lock().unwrap().iter().filter(|(n, _)| *n == 2).count() == 2).await;
        drop(stop);
        running.await.unwrap();
        let mut handled = log.lock().unwrap().clone();
        handled.sort_unstable();
        assert_eq!(handled, [(1, 1), (1, 2), (2, 1), (2, 1), (3, 1)]);
    }
}

#[tokio::test]
async fn a_queue_that_is_declared_otherwise_is_named_with_the_key_to_change() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let body = r#"{"durable":true,"arguments":{}}"#;
    vhost.management.must("PUT", &format!("/api/queues/{}/{}", vhost.name, SEARCH.replace(':', "%3A")), body);
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let error = queue.bind(&spec(SEARCH, &[Topic::EventCreated])).await.unwrap_err().to_string();
    for expected in [SEARCH, "rabbitmq.queue_type", "x-queue-version"] {
        assert!(error.contains(expected), "{error}");
    }
    // Nobody else is held up by it.
    let other = spec("test:other", &[Topic::EventCreated]);
    queue.bind(&other).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &other).await), 1);
}

#[tokio::test]
async fn an_exchange_that_is_declared_otherwise_is_left_and_used() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let path = format!("/api/exchanges/{}/calendar%3Aevent%3Acreated", vhost.name);
    vhost.management.must("PUT", &path, r#"{"type":"fanout","durable":false}"#);
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    assert_eq!(vhost.see("exchanges", "calendar:event:updated")["durable"], json!(true), "the others are declared");
    let one = spec(SEARCH, &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    assert_eq!(vhost.see("exchanges", "calendar:event:created")["durable"], json!(false));
}

#[tokio::test]
async fn a_queue_that_vanishes_fails_what_is_published_and_is_made_again() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec(SEARCH, &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    vhost.management.must("DELETE", &format!("/api/queues/{}/{}", vhost.name, SEARCH.replace(':', "%3A")), "");
    let error = queue.publish(&[created("b", 2)]).await.unwrap_err().to_string();
    assert!(error.contains("no queue takes"), "{error}");
    queue.publish(&[created("b", 2)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 2);
    // A topic that nobody wants is no error.
    queue.publish(&[Message::new(Topic::ContactCreated, "k", &json!({}))]).await.unwrap();
}

// --- messages of others -----------------------------------------------------------------------------------------------

/// As esn-sabre publishes: no properties at all.
fn publish_as_esn_sabre(vhost: &Vhost, topic: Topic, body: &serde_json::Value) {
    let path = format!("/api/exchanges/{}/{}/publish", vhost.name, topic.name().replace(':', "%3A"));
    let publication =
        json!({"properties": {}, "routing_key": "", "payload": body.to_string(), "payload_encoding": "string"});
    let routed = vhost.management.must("POST", &path, &publication.to_string());
    assert_eq!(routed["routed"], json!(true));
}

#[tokio::test]
async fn messages_without_properties_get_key_topic_and_time() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let topics = [Topic::ResourceAccepted, Topic::ItipLocalDelivery];
    let one = spec("test:one", &topics);
    queue.bind(&one).await.unwrap();
    let resource = json!({"resourceId": "65bb00000000000000000001", "eventId": "u-1", "ics": "x", "connectedUser": null,
        "eventPath": "//calendars/65bb00000000000000000001/65bb00000000000000000001/u-1.ics"});
    publish_as_esn_sabre(&vhost, Topic::ResourceAccepted, &resource);
    let taken = receive(&queue, &one).await;
    assert_eq!(taken.message.key, "/calendars/65bb00000000000000000001/65bb00000000000000000001/u-1.ics");
    assert_eq!((taken.message.topic, taken.message.once, taken.attempt), (Topic::ResourceAccepted, None, 1));
    assert_eq!(taken.message.payload, resource);

    // Given up and redelivered, it is still of that topic, although it comes straight to the queue.
    queue.settle(&one, taken.id, Settlement::Dead { error: "no".into() }).await.unwrap();
    let dead = queue.dead_letters(None, None, 5).await.unwrap().remove(0);
    assert_eq!((dead.topic.as_str(), dead.error.as_str()), ("resource:calendar:event:accepted", "no"));
    assert!(queue.redeliver(dead.id).await.unwrap());
    assert_eq!(receive(&queue, &one).await.message.topic, Topic::ResourceAccepted);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    let path = format!("/api/exchanges/{}/calendar%3Aevent%3Acreated/publish", vhost.name);
    let broken =
        json!({"properties": {}, "routing_key": "", "payload": "{\"eventPath\":", "payload_encoding": "string"});
    vhost.management.must("POST", &path, &broken.to_string());
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    let dead = queue.dead_letters(Some("test:one"), None, 5).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].error.contains("not JSON"), "{dead:?}");
    assert_eq!(dead[0].payload, json!("{\"eventPath\":"), "shown as it came");
    assert!(queue.discard(dead[0].id).await.unwrap());
    assert!(queue.dead_letters(None, None, 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn dead_letters_that_others_made_are_listed_and_redelivered() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated, Topic::EventUpdated]);
    queue.bind(&one).await.unwrap();
    let path = "/calendars/65aa00000000000000000001/65aa00000000000000000001/a.ics";
    // Two of the same content, as the reference rejects them.
    for _ in 0..2 {
        publish_as_esn_sabre(&vhost, Topic::EventUpdated, &json!({"eventPath": path}));
    }
    let get = json!({"count": 2, "ackmode": "reject_requeue_false", "encoding": "auto"}).to_string();
    vhost.management.must("POST", &format!("/api/queues/{}/test%3Aone/get", vhost.name), &get);
    until("both are dead", async || depth(&queue, "test:one").await.is_some_and(|d| d.dead == 2)).await;
    let dead = queue.dead_letters(None, None, 5).await.unwrap();
    assert_eq!(dead.len(), 2);
    assert_ne!(dead[0].id, dead[1].id);
    for letter in &dead {
        assert_eq!((letter.topic.as_str(), letter.consumer.as_str()), ("calendar:event:updated", "test:one"));
        assert!(letter.error.contains("rejected"), "{}", letter.error);
    }
    assert_eq!(queue.dead_letters(None, None, 5).await.unwrap(), dead, "looked at again, they are the same");
    assert_eq!(queue.dead_letters(None, Some(dead[0].id), 5).await.unwrap(), dead[1..]);
    assert!(queue.redeliver(dead[0].id).await.unwrap());
    let again = receive(&queue, &one).await;
    assert_eq!((again.message.topic, again.message.key.as_str()), (Topic::EventUpdated, path));
    assert_eq!(depth(&queue, "test:one").await.unwrap().dead, 1);
}

// --- retries and poison -----------------------------------------------------------------------------------------------

/// Little room, and short rounds.
fn cramped(vhost: &Vhost) -> config::RabbitMq {
    config::RabbitMq { prefetch: 8, held: 2, retry_round_ms: 200, ..vhost.config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_poison_than_there_is_room_holds_up_nobody() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&cramped(&vhost), PATIENT).await;
    // Waits longer than the test takes the good ones for, so that in the process alone the poison would fill all places.
    let retry = RetryPolicy { attempts: 3, first_ms: 3_000, most_ms: 3_000 };
    let one = ConsumerSpec { retry, ..spec("test:one", &[Topic::EventCreated]) };
    queue.bind(&one).await.unwrap();
    let poison: Vec<_> = (0..40).map(|n| created(&format!("p{n}"), n)).collect();
    let good: Vec<_> = (100..120).map(|n| created(&format!("g{n}"), n)).collect();
    queue.publish(&poison).await.unwrap();
    queue.publish(&good).await.unwrap();
    let log = Log::default();
    let (stop, running) = consume(&queue, &one, &log, |n, _| async move {
        if n < 100 { Err(Failure::Retry("poison".into())) } else { Ok(()) }
    });
    until("the good ones are handled", async || numbers(&log).iter().filter(|n| **n >= 100).count() == 20).await;
    let second_attempts = log.lock().unwrap().iter().filter(|(_, attempt)| *attempt > 1).count();
    assert_eq!(second_attempts, 0, "before any of the poison was tried a second time");
    until("the poison is given up", async || depth(&queue, "test:one").await.is_some_and(|d| d.dead == 40)).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(depth(&queue, "test:one").await.unwrap().waiting, 0);
    let dead = queue.dead_letters(None, None, 100).await.unwrap();
    assert!(dead.iter().all(|d| d.attempts == 3 && d.error == "poison"), "{dead:?}");
    assert_eq!(dead.iter().map(|d| d.payload["n"].as_u64().unwrap()).collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(log.lock().unwrap().len(), 140, "three attempts each, and one of the good ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_per_key_holds_through_the_retry_queue() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&cramped(&vhost), PATIENT).await;
    let retry = RetryPolicy { attempts: 5, first_ms: 300, most_ms: 300 };
    let one = ConsumerSpec { retry, ..spec("test:one", &[Topic::EventCreated]) };
    queue.bind(&one).await.unwrap();
    // The first of every key fails twice; there are more than have room.
    let messages: Vec<_> = (0..60).map(|n| created(&(n % 6).to_string(), n)).collect();
    let log = Log::default();
    let (stop, running) = consume(&queue, &one, &log, |n, attempt| async move {
        if n < 6 && attempt < 3 { Err(Failure::Retry("not yet".into())) } else { Ok(()) }
    });
    for chunk in messages.chunks(10) {
        queue.publish(chunk).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    until("all are handled", async || numbers(&log).iter().collect::<BTreeSet<_>>().len() == 60).await;
    until_empty(&queue, "test:one").await;
    drop(stop);
    running.await.unwrap();
    for key in 0..6 {
        let of_key: Vec<u64> = numbers(&log).into_iter().filter(|n| n % 6 == key).collect();
        let expected: Vec<u64> = [key, key].into_iter().chain((0..10).map(|i| key + 6 * i)).collect();
        assert_eq!(of_key, expected, "key {key}");
    }
    assert_eq!(depth(&queue, "test:one").await.unwrap().dead, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_message_with_many_behind_it_holds_up_its_own_key_only() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&cramped(&vhost), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    let crowd: Vec<_> = (0..30).map(|n| created("crowd", n)).collect();
    queue.publish(&crowd).await.unwrap();
    queue.publish(&[created("other", 100)]).await.unwrap();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let log = Log::default();
    let (stop, running) = consume(&queue, &one, &log, {
        let gate = gate.clone();
        move |n, _| {
            let gate = gate.clone();
            async move {
                if n == 0 {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(())
            }
        }
    });
    until("the other is handled", async || numbers(&log) == [0, 100]).await;
    gate.add_permits(1);
    until("the crowd is handled", async || numbers(&log).len() == 31).await;
    drop(stop);
    running.await.unwrap();
    assert!(numbers(&log).into_iter().filter(|n| *n < 100).is_sorted());
}

#[tokio::test]
async fn a_message_that_ends_the_process_each_time_becomes_a_dead_letter() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let one = spec("test:one", &[Topic::EventCreated]);
    for attempt in 1..=one.retry.attempts {
        let queue = vhost.connect(&vhost.config(), PATIENT).await;
        queue.bind(&one).await.unwrap();
        if attempt == 1 {
            queue.publish(&[created("a", 1), created("a", 2)]).await.unwrap();
        }
        let taken = receive(&queue, &one).await;
        assert_eq!((number(&taken), taken.attempt), (1, attempt));
        // The process is gone, with everything it knew.
        queue.close().await;
    }
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    queue.bind(&one).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 2, "the next of its key goes on");
    let dead = queue.dead_letters(None, None, 5).await.unwrap();
    assert_eq!((dead.len(), dead[0].payload["n"].clone(), dead[0].attempts), (1, json!(1), 3));
}

// --- several nodes and copies -----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_a_queue_and_each_message_is_handled_once() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let one = spec("test:one", &[Topic::EventCreated]);
    let (first, second) =
        (vhost.connect(&vhost.config(), PATIENT).await, vhost.connect(&vhost.config(), PATIENT).await);
    first.bind(&one).await.unwrap();
    second.bind(&one).await.unwrap();
    let log = Log::default();
    let by = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let running: Vec<_> = [&first, &second]
        .into_iter()
        .zip(&by)
        .map(|(node, count)| {
            let count = Arc::clone(count);
            consume(node, &one, &log, move |n, attempt| {
                count.fetch_add(1, Ordering::Relaxed);
                slow(n, attempt)
            })
        })
        .collect();
    // Each of them twice, as a relay sends them that died in between; half by each node.
    for n in 0..150 {
        let message = created(&n.to_string(), n).once(format!("m{n}"));
        let node = if n % 2 == 0 { &first } else { &second };
        node.publish(&[message.clone(), message]).await.unwrap();
    }
    until_empty(&first, "test:one").await;
    until_empty(&second, "test:one").await;
    for (stop, running) in running {
        drop(stop);
        running.await.unwrap();
    }
    let mut handled = numbers(&log);
    handled.sort_unstable();
    assert!(handled.into_iter().eq(0..150), "each once");
    assert!(by.iter().all(|count| count.load(Ordering::Relaxed) > 0), "both nodes worked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_waits_while_another_node_is_at_the_first() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let one = spec("test:one", &[Topic::EventCreated]);
    let config = config::RabbitMq { prefetch: 2, held: 1, ..vhost.config() };
    let (first, second) = (vhost.connect(&config, PATIENT).await, vhost.connect(&config, PATIENT).await);
    first.bind(&one).await.unwrap();
    second.bind(&one).await.unwrap();
    first.publish(&[created("a", 1).once("x")]).await.unwrap();
    let taken = receive(&first, &one).await;
    // The copy is under another key, and comes to whoever asks.
    second.publish(&[created("b", 1).once("x")]).await.unwrap();
    for node in [&first, &second] {
        let nothing = tokio::time::timeout(Duration::from_millis(300), node.receive(&one, 1)).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    // It fails for good here: now the copy's turn has come.
    first.settle(&one, taken.id, Settlement::Dead { error: "no".into() }).await.unwrap();
    let copy = tokio::select! {
        copy = receive(&first, &one) => copy,
        copy = receive(&second, &one) => copy,
    };
    assert_eq!(copy.message.key, "b");
}

// --- faults -----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_in_the_middle_lose_nothing_and_repeat_nothing() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    let log = Log::default();
    let (stop, running) = consume(&queue, &one, &log, slow);
    let publishing = async {
        for n in 0..300u64 {
            // What was sent may have arrived although it was not confirmed: sent again, `once` makes it one.
            publish(&queue, &[created(&(n % 20).to_string(), n).once(n.to_string())]).await;
        }
    };
    let breaking = async {
        let mut broken = 0;
        while broken < 6 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            broken += vhost.break_connections();
        }
    };
    tokio::join!(publishing, breaking);
    until("all are handled", async || numbers(&log).iter().collect::<BTreeSet<_>>().len() == 300).await;
    until_empty(&queue, "test:one").await;
    drop(stop);
    running.await.unwrap();
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    numbers(&log).into_iter().for_each(|n| *times.entry(n).or_default() += 1);
    let repeated: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "handled more than once: {repeated:?}");
    for key in 0..20 {
        assert!(numbers(&log).into_iter().filter(|n| n % 20 == key).is_sorted(), "key {key}");
    }
    assert_eq!(depth(&queue, "test:one").await.unwrap().dead, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_while_the_connection_is_gone_is_not_handed_out_again() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1), created("b", 2), created("c", 3), created("d", 4)]).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 4 {
        taken.extend(queue.receive(&one, 4).await.unwrap());
    }
    until("the connections are known to the broker", async || vhost.break_connections() > 0).await;
    queue.settle(&one, taken[0].id, Settlement::Done).await.unwrap();
    let retry = Settlement::Retry { after: Duration::ZERO, error: "not yet".into() };
    queue.settle(&one, taken[1].id, retry).await.unwrap();
    let dead = Settlement::Dead { error: "never".into() };
    let end = Instant::now() + LONG;
    while let Err(error) = queue.settle(&one, taken[2].id, dead.clone()).await {
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The fourth is still worked at: it is not handed out a second time, and its end counts.
    let mut again = None;
    while again.is_none() {
        again = queue.receive(&one, 4).await.ok().and_then(|mut some| some.pop());
    }
    let again = again.unwrap();
    assert_eq!((number(&again), again.attempt), (2, 2));
    queue.settle(&one, again.id, Settlement::Done).await.unwrap();
    queue.settle(&one, taken[3].id, Settlement::Done).await.unwrap();
    let receiving = tokio::time::timeout(Duration::from_millis(300), queue.receive(&one, 4)).await;
    assert!(receiving.is_err(), "{receiving:?}");
    let depth = depth(&queue, "test:one").await.unwrap();
    assert_eq!((depth.waiting, depth.dead), (0, 1));
}

/// A broker of a test's own, and a vhost on it.
async fn own_broker() -> Option<(Instance, Vhost)> {
    let broker = Instance::start("rabbitmq").await?;
    let env = |key: &str| broker.env(&format!("CONVOKE_TEST_RABBITMQ_{key}")).to_owned();
    let management = Management::new(&env("MANAGEMENT_URL"), env("USER"), env("PASSWORD"));
    let vhost = Vhost::on(env("URL"), management);
    Some((broker, vhost))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_writes_and_comes_back_has_everything() {
    let Some((broker, vhost)) = own_broker().await else { return };
    let config = config::RabbitMq { operation_timeout_ms: 2_000, ..vhost.config() };
    let queue = vhost.connect(&config, PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    let log = Log::default();
    let (stop, running) = consume(&queue, &one, &log, slow);
    let publishing = tokio::spawn({
        let queue = queue.clone();
        async move {
            for n in 0..400u64 {
                publish(&queue, &[created(&n.to_string(), n).once(n.to_string())]).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    until("some are handled", async || numbers(&log).len() > 30).await;
    broker.kill().await;
    let check = &queue.health_checks()[0];
    until("it is known to be away", async || matches!(check.check().await, Health::Unhealthy(_))).await;
    assert!(queue.publish(&[created("x", 1_000)]).await.is_err());
    assert!(queue.depths().await.is_err());
    broker.revive().await;
    publishing.await.unwrap();
    until("all are handled", async || numbers(&log).iter().filter(|n| **n < 400).collect::<BTreeSet<_>>().len() == 400)
        .await;
    until_empty(&queue, "test:one").await;
    until("it is well", async || check.check().await == Health::Healthy).await;
    drop(stop);
    running.await.unwrap();
    let handled = numbers(&log);
    assert_eq!(handled.len(), handled.iter().collect::<BTreeSet<_>>().len(), "each once: {handled:?}");
    drop(vhost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_short_of_memory_fails_what_is_published_in_time() {
    let Some((broker, vhost)) = own_broker().await else { return };
    let config = config::RabbitMq { operation_timeout_ms: 1_500, ..vhost.config() };
    let queue = vhost.connect(&config, PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1), created("b", 2)]).await.unwrap();
    let control = |watermark: &'static str| {
        let program = broker.env("CONVOKE_TEST_RABBITMQ_CTL").to_owned();
        tokio::task::spawn_blocking(move || {
            let done = std::process::Command::new(program).args(["set_vm_memory_high_watermark", watermark]).output();
            let done = done.unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        })
    };
    control("0.0000001").await.unwrap();
    until("it says why", async || {
        let started = Instant::now();
        let error = queue.publish(&[created("c", 3)]).await.expect_err("nothing is taken").to_string();
        assert!(started.elapsed() < Duration::from_secs(10), "{error}");
        error.contains("short of memory or disk")
    })
    .await;
    assert!(matches!(queue.health_checks()[0].check().await, Health::Degraded(_)));
    // What is there is still handed out.
    let taken = receive(&queue, &one).await;
    queue.settle(&one, taken.id, Settlement::Done).await.unwrap();
    control("0.4").await.unwrap();
    publish(&queue, &[created("d", 4)]).await;
    drop(vhost);
}

// --- health, doctor, TLS ----------------------------------------------------------------------------------------------

fn check(queue: &RabbitMq, component: &str) -> Arc<dyn HealthCheck> {
    queue.health_checks().into_iter().find(|c| c.component() == component).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_of_idle_queues_and_dead_letters() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    assert_eq!(check(&queue, "RabbitMQ backend").check().await, Health::Healthy);
    let consumers = check(&queue, "CalendarQueueConsumers");
    assert_eq!(consumers.check().await, Health::Degraded("nobody consumes test:one".into()));
    let (stop, running) = consume(&queue, &one, &Log::default(), |_, _| async { Err(Failure::Dead("no".into())) });
    until("it is consumed", async || consumers.check().await == Health::Healthy).await;
    let empty = check(&queue, "RabbitMQDeadLetterQueueEmptiness");
    assert_eq!(empty.check().await, Health::Healthy);
    queue.publish(&[created("a", 1)]).await.unwrap();
    let expected = Health::Degraded("dead letters in test:one:dead-letter (1)".into());
    until("the dead letter is seen", async || empty.check().await == expected).await;
    drop(stop);
    running.await.unwrap();
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    queue.bind(&spec(SEARCH, &[Topic::EventCreated])).await.unwrap();
    let verdicts = async || {
        let found = queue.examine().await;
        found.into_iter().map(|f| (f.subject, f.verdict)).collect::<BTreeMap<_, _>>()
    };
    let found = verdicts().await;
    assert!(found.values().all(|v| matches!(v, Verdict::Good(_))), "{found:#?}");
    assert!(matches!(&found["version"], Verdict::Good(v) if v.starts_with("RabbitMQ 3.")), "{found:#?}");
    assert!(
        found.contains_key("exchange sabre:contact:update") && found.contains_key(&format!("queue {SEARCH}:retry"))
    );
    assert!(!format!("{found:?} {}", queue.engine()).contains("guest"), "no secrets");

    let path = |kind: &str, name: &str| format!("/api/{kind}/{}/{}", vhost.name, name.replace(':', "%3A"));
    let management = &vhost.management;
    management.must("DELETE", &path("exchanges", "sabre:contact:update"), "");
    management.must("PUT", &path("queues", "tcalendar:event:cancel:search"), r#"{"durable":true}"#);
    management.must("DELETE", &path("queues", &retry_queue(SEARCH)), "");
    management.must("PUT", &path("queues", &retry_queue(SEARCH)), r#"{"durable":true}"#);
    let found = verdicts().await;
    assert!(matches!(found["exchange sabre:contact:update"], Verdict::Doubtful { .. }), "{found:#?}");
    assert!(matches!(found["queue tcalendar:event:cancel:search"], Verdict::Doubtful { .. }));
    assert!(matches!(found[&format!("queue {SEARCH}:retry")], Verdict::Bad { .. }));

    let none = r#"{"configure":"","write":".*","read":".*"}"#;
    management.must("PUT", &format!("/api/permissions/{}/guest", vhost.name), none);
    until("the permissions are missed", async || {
        matches!(&verdicts().await[&format!("queue {SEARCH}")], Verdict::Bad { advice, .. } if advice.contains("permissions"))
    })
    .await;
}

#[tokio::test]
async fn tls_needs_the_authority_and_the_certificate() {
    use crate::services::need;
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let Some(url) = need("CONVOKE_TEST_RABBITMQ_TLS_URL") else { return };
    let (Some(ca), Some(client)) = (need("CONVOKE_TEST_RABBITMQ_CA"), need("CONVOKE_TEST_RABBITMQ_CLIENT")) else {
        return;
    };
    let plain = config::RabbitMq { url: format!("{url}/{}", vhost.name), ..config::RabbitMq::default() };
    let trusting = config::RabbitMq { ca_file: Some(ca.into()), ..plain.clone() };
    let whole = config::RabbitMq { client_certificate_file: Some(client.into()), ..trusting.clone() };
    let node = || convoke::nodes::NodeId("n".into());
    let connect = async |config: &config::RabbitMq| {
        RabbitMq::connect(config, node(), vhost.ledger.clone(), PATIENT, convoke::clock::Env::system()).await
    };
    for wrong in [&plain, &trusting] {
        assert!(connect(wrong).await.is_err());
    }
    let queue = connect(&whole).await.unwrap();
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    let findings = queue.examine().await;
    let certificate = findings.iter().find(|f| f.subject == "certificate").expect("its end is told");
    assert!(matches!(&certificate.verdict, Verdict::Good(v) if v.starts_with("valid until 20")), "{certificate:?}");
}

#[tokio::test]
async fn a_wrong_password_or_a_missing_file_is_told_by_its_key() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let connect = async |config: &config::RabbitMq| {
        let node = convoke::nodes::NodeId("n".into());
        let connected =
            RabbitMq::connect(config, node, vhost.ledger.clone(), PATIENT, convoke::clock::Env::system()).await;
        connected.unwrap_err().to_string()
    };
    let wrong = config::RabbitMq { url: vhost.config().url.replace("guest:guest", "guest:wrong"), ..vhost.config() };
    let error = connect(&wrong).await;
    assert!(error.contains("ACCESS_REFUSED") && !error.contains("wrong"), "{error}");
    let missing = config::RabbitMq { ca_file: Some("/nonexistent/ca.pem".into()), ..vhost.config() };
    let error = connect(&missing).await;
    assert!(error.starts_with("rabbitmq.ca_file: ") && error.contains("/nonexistent/ca.pem"), "{error}");
    let nowhere = config::RabbitMq { url: "http://127.0.0.1".into(), ..vhost.config() };
    assert!(connect(&nowhere).await.starts_with("rabbitmq.url: "));
}
