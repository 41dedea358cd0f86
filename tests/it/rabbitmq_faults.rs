//! RabbitMQ when things go wrong: poison, copies, several nodes, connections that break and brokers that die.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convoke::config::{self, RetryPolicy};
use convoke::events::Topic;
use convoke::health::Health;
use convoke::queue::{ConsumerSpec, Failure, Queue as _, Settlement};
use serde_json::json;

use crate::instance::Instance;
use crate::rabbitmq_support::{
    LONG, Log, Management, PATIENT, Vhost, consume, created, depth, number, numbers, publish, receive, slow, spec,
    until, until_empty,
};

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

#[tokio::test]
async fn an_engine_that_nobody_holds_any_more_gives_everything_back() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let one = spec("test:one", &[Topic::EventCreated]);
    let first = vhost.connect(&vhost.config(), PATIENT).await;
    first.bind(&one).await.unwrap();
    first.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&first, &one).await), 1);
    // Without a word.
    drop(first);
    let second = vhost.connect(&vhost.config(), PATIENT).await;
    second.bind(&one).await.unwrap();
    assert_eq!(number(&receive(&second, &one).await), 1);
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
