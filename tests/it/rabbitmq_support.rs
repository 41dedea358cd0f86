//! RabbitMQ for tests: a vhost for each, made through the management API and deleted afterwards; a ledger in memory; and what
//! can be done to a broker from outside.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::config::{self, RetryPolicy};
use convoke::events::{Message, Topic};
use convoke::nodes::{Begin, Ledger, NodeId, NodesError, SharedLedger};
use convoke::queue::rabbitmq::RabbitMq;
use convoke::queue::{self, ConsumerSpec, Delivery, Failure, Queue as _, QueueDepth, SharedQueue};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::contracts::queue::QueueHarness;
use crate::services;

/// The management API of a broker.
#[derive(Clone)]
pub struct Management {
    address: String,
    user: String,
    password: String,
}

impl Management {
    pub fn new(url: &str, user: String, password: String) -> Self {
        Self { address: url.trim_start_matches("http://").trim_end_matches('/').to_owned(), user, password }
    }

    /// Status and JSON body. Blocks: also called while a test is being dropped.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, serde_json::Value)> {
        use base64::Engine as _;
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.user, self.password));
        let mut stream = std::net::TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Basic {secret}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let json = answer.split_once("\r\n\r\n").and_then(|(_, json)| serde_json::from_str(json).ok());
        Ok((status, json.unwrap_or_default()))
    }

    pub fn must(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let (status, json) = self.ask(method, path, body).unwrap();
        assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
        json
    }
}

/// A vhost of a test's own.
pub struct Vhost {
    pub name: String,
    pub management: Management,
    server: String,
    pub ledger: SharedLedger,
    opened: Mutex<Option<RabbitMq>>,
}

impl Vhost {
    /// `None`, with a loud word, when no broker was started.
    pub async fn of_a_test() -> Option<Self> {
        let server = services::need("CONVOKE_TEST_RABBITMQ_URL")?;
        let management = services::need("CONVOKE_TEST_RABBITMQ_MANAGEMENT_URL")?;
        let user = services::need("CONVOKE_TEST_RABBITMQ_USER")?;
        let password = services::need("CONVOKE_TEST_RABBITMQ_PASSWORD")?;
        Some(Self::on(server, Management::new(&management, user, password)))
    }

    /// On a broker.
    pub fn on(server: String, management: Management) -> Self {
        let name = format!("test-{}", Env::system().object_id());
        management.must("PUT", &format!("/api/vhosts/{name}"), "{}");
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        management.must("PUT", &format!("/api/permissions/{name}/{}", management.user), all);
        Self { name, management, server, ledger: Arc::new(MemoryLedger::default()), opened: Mutex::default() }
    }

    /// The configuration of an engine here.
    pub fn config(&self) -> config::RabbitMq {
        config::RabbitMq { url: format!("{}/{}", self.server, self.name), ..config::RabbitMq::default() }
    }

    /// An engine of a node.
    pub async fn connect(&self, config: &config::RabbitMq, visibility: Duration) -> RabbitMq {
        let node = NodeId(Env::system().object_id().to_string());
        RabbitMq::connect(config, node, Arc::clone(&self.ledger), visibility, Env::system()).await.unwrap()
    }

    /// The management API's view of something here, e.g. `queues`.
    pub fn see(&self, what: &str, name: &str) -> serde_json::Value {
        let name = name.replace('%', "%25").replace(':', "%3A");
        self.management.must("GET", &format!("/api/{what}/{}/{name}", self.name), "")
    }

    /// Breaks every connection to the vhost; gives how many there were.
    pub fn break_connections(&self) -> usize {
        let listed = self.management.must("GET", &format!("/api/vhosts/{}/connections", self.name), "");
        let listed = listed.as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = listed.iter().filter_map(|c| c["name"].as_str()).collect();
        for name in &names {
            let name = name.replace(' ', "%20").replace(':', "%3A").replace('>', "%3E");
            let _ = self.management.ask("DELETE", &format!("/api/connections/{name}"), "");
        }
        names.len()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let _ = self.management.ask("DELETE", &format!("/api/vhosts/{}", self.name), "");
    }
}

#[async_trait]
impl QueueHarness for Vhost {
    async fn open_with_visibility(&self, visibility: Duration) -> SharedQueue {
        let queue = self.connect(&self.config(), visibility).await;
        *self.opened.lock().unwrap() = Some(queue.clone());
        Arc::new(queue)
    }

    async fn close(&self) {
        let opened = self.opened.lock().unwrap().take();
        if let Some(queue) = opened {
            queue.close().await;
        }
    }
}

/// A ledger for the nodes of one test.
#[derive(Default)]
pub struct MemoryLedger(Mutex<HashMap<String, Entry>>);

enum Entry {
    Begun(NodeId, Instant),
    Done,
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn begin(&self, work: &str, holder: &NodeId, ttl: Duration) -> Result<Begin, NodesError> {
        let mut entries = self.0.lock().unwrap();
        let now = Instant::now();
        match entries.get(work) {
            Some(Entry::Done) => return Ok(Begin::Done),
            Some(Entry::Begun(other, until)) if other != holder && *until > now => return Ok(Begin::Busy),
            _ => {}
        }
        entries.insert(work.to_owned(), Entry::Begun(holder.clone(), now + ttl));
        Ok(Begin::Yours)
    }

    async fn finish(&self, work: &str, _keep: Duration) -> Result<(), NodesError> {
        self.0.lock().unwrap().insert(work.to_owned(), Entry::Done);
        Ok(())
    }

    async fn abandon(&self, work: &str, holder: &NodeId) -> Result<(), NodesError> {
        let mut entries = self.0.lock().unwrap();
        if matches!(entries.get(work), Some(Entry::Begun(other, _)) if other == holder) {
            entries.remove(work);
        }
        Ok(())
    }
}

pub const PATIENT: Duration = Duration::from_secs(60);
/// A wait that a test never sits out unless something is broken.
pub const LONG: Duration = Duration::from_secs(60);

pub fn spec(name: &'static str, topics: &[Topic]) -> ConsumerSpec {
    let retry = RetryPolicy { attempts: 3, first_ms: 1, most_ms: 2 };
    ConsumerSpec { name, topics: topics.to_vec(), concurrency: 4, retry }
}

pub fn created(key: &str, n: u64) -> Message {
    Message::new(Topic::EventCreated, key, &json!({ "n": n }))
}

pub fn number(delivery: &Delivery) -> u64 {
    delivery.message.payload["n"].as_u64().unwrap()
}

/// Tries again while the broker is away.
pub async fn publish(queue: &dyn queue::Queue, messages: &[Message]) {
    let end = Instant::now() + LONG;
    while let Err(error) = queue.publish(messages).await {
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, reached).await.is_ok(), "{what}");
}

pub async fn depth(queue: &dyn queue::Queue, name: &str) -> Option<QueueDepth> {
    queue.depths().await.ok()?.into_iter().find(|d| d.consumer == name)
}

pub async fn until_empty(queue: &dyn queue::Queue, name: &str) {
    until("the queue is emptied", async || depth(queue, name).await.is_some_and(|d| d.waiting == 0)).await;
}

/// What was handled, in order: number and attempt.
pub type Log = Arc<Mutex<Vec<(u64, u32)>>>;

/// The consumer loop with a handler that notes what it is given, stopped by dropping the sender.
pub fn consume<F>(
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

pub async fn slow(_: u64, _: u32) -> Result<(), Failure> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}

pub fn numbers(log: &Log) -> Vec<u64> {
    log.lock().unwrap().iter().map(|(n, _)| *n).collect()
}

pub async fn receive(queue: &RabbitMq, spec: &ConsumerSpec) -> Delivery {
    tokio::time::timeout(LONG, queue.receive(spec, 1)).await.expect("a delivery").unwrap().remove(0)
}
