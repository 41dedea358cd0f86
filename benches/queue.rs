//! Messages a second through the queue, published, handed out, handled by a handler that does nothing, and settled: on
//! SQLite, and on RabbitMQ where `scripts/services` has started one. `cargo bench --bench queue`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::config::{self, Durability, RetryPolicy};
use convoke::events::{Message, Topic};
use convoke::nodes::{Begin, Ledger, NodeId, NodesError};
use convoke::queue::rabbitmq::RabbitMq;
use convoke::queue::{self, ConsumerSpec, SharedQueue};
use convoke::store::sqlite::Sqlite;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// Messages of one round, published in batches as a busy server does.
const MESSAGES: u64 = 2_000;
const BATCH: usize = 50;

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "bench:consumer",
    topics: Vec::new(),
    concurrency: 16,
    retry: RetryPolicy { attempts: 3, first_ms: 500, most_ms: 1_000 },
};

/// A message of the size of an ordinary event, of one of a thousand objects.
fn messages(once: Option<u64>) -> Vec<Message> {
    let text = "DESCRIPTION:Bring the figures of last week.\r\n".repeat(40);
    (0..MESSAGES)
        .map(|n| {
            let payload = serde_json::json!({ "eventPath": format!("/calendars/a/b/{n}.ics"), "rawEvent": text });
            let message = Message::new(Topic::EventCreated, (n % 1_000).to_string(), &payload);
            match once {
                Some(round) => message.once(format!("{round}/{n}")),
                None => message,
            }
        })
        .collect()
}

/// The ledger of one process.
#[derive(Default)]
struct MemoryLedger(Mutex<HashSet<String>>);

#[async_trait]
impl Ledger for MemoryLedger {
    async fn begin(&self, work: &str, _: &NodeId, _: Duration) -> Result<Begin, NodesError> {
        let done = self.0.lock().is_ok_and(|done| done.contains(work));
        Ok(if done { Begin::Done } else { Begin::Yours })
    }
    async fn finish(&self, work: &str, _: Duration) -> Result<(), NodesError> {
        self.0.lock().map(|mut done| done.insert(work.to_owned())).map_err(|e| NodesError(e.to_string())).map(drop)
    }
    async fn abandon(&self, _: &str, _: &NodeId) -> Result<(), NodesError> {
        Ok(())
    }
}

/// Publishes all and waits until each was handled.
async fn round(queue: &SharedQueue, handled: &mut mpsc::UnboundedReceiver<()>, once: Option<u64>) -> Duration {
    let messages = messages(once);
    let begun = Instant::now();
    for batch in messages.chunks(BATCH) {
        queue.publish(batch).await.unwrap();
    }
    for _ in 0..MESSAGES {
        handled.recv().await.unwrap();
    }
    begun.elapsed()
}

fn measure(c: &mut Criterion, name: &str, runtime: &Runtime, queue: SharedQueue) {
    let mut group = c.benchmark_group("publish and consume");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(10).measurement_time(Duration::from_secs(10));
    let (tell, mut handled) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let spec = ConsumerSpec { topics: vec![Topic::EventCreated], ..SPEC };
    runtime.block_on(queue.bind(&spec)).unwrap();
    let handler = move |_| {
        let _ = tell.send(());
        async { Ok(()) }
    };
    let running = runtime.spawn(queue::run(queue.clone(), spec, handler, async move { drop(stopped.await) }));
    let mut rounds = 0;
    for (case, once) in [("", false), (", each once", true)] {
        group.bench_function(format!("{name}{case}"), |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        rounds += 1;
                        runtime.block_on(round(&queue, &mut handled, once.then_some(rounds)))
                    })
                    .sum()
            });
        });
    }
    drop(stop);
    runtime.block_on(running).unwrap();
}

fn queues(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&folder.path().join("convoke.db"), Durability::Normal, Env::system()).unwrap();
    measure(c, "SQLite", &runtime, Arc::new(sqlite));
    match std::env::var("CONVOKE_TEST_RABBITMQ_URL") {
        Ok(url) => {
            let config = config::RabbitMq { url, ..config::RabbitMq::default() };
            let ledger = Arc::new(MemoryLedger::default());
            let node = NodeId("bench".to_owned());
            let connecting = RabbitMq::connect(&config, node, ledger, Duration::from_secs(60), Env::system());
            measure(c, "RabbitMQ", &runtime, Arc::new(runtime.block_on(connecting).unwrap()));
        }
        Err(_) => eprintln!("SKIPPED: RabbitMQ; CONVOKE_TEST_RABBITMQ_URL is not set, scripts/services starts one"),
    }
}

criterion_group!(benches, queues);
criterion_main!(benches);
