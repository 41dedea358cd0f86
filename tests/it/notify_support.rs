//! What the tests of notifications stand on: the embedded store and queue, people, and a DAV server that records.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{self, Durability};
use convoke::dav::{Actor, Body, Upstream, UpstreamError};
use convoke::events::{Message, Topic};
use convoke::ids::{Email, UserId};
use convoke::notify::{ItipDelivery, People, Preferences};
use convoke::queue::{ConsumerSpec, Delivery, SharedQueue};
use convoke::sqlite::Sqlite;
use convoke::store::{Domain, SharedDirectory, StoreError, User};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::util::BoxCloneSyncService;

/// A request that the DAV server got.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub actor: Option<Actor>,
    pub body: Value,
}

/// How the DAV server answers.
pub type Answer = Arc<dyn Fn(&Asked) -> Result<(StatusCode, Value), UpstreamError> + Send + Sync>;

/// alice and bob of example.org live here.
pub struct World {
    pub queue: SharedQueue,
    pub directory: SharedDirectory,
    pub env: Env,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub upstream: Upstream,
    _data: tempfile::TempDir,
}

pub const LISTENER: &str = "test:listener";

pub fn id(number: u8) -> UserId {
    format!("65aa000000000000000000{number:02}").parse().unwrap()
}

impl World {
    pub async fn at(now: DateTime<Utc>) -> Self {
        Self::answering(now, Arc::new(|asked| Ok(delivered(asked)))).await
    }

    pub async fn answering(now: DateTime<Utc>, answer: Answer) -> Self {
        let data = tempfile::tempdir().unwrap();
        let env = Env::new(ManualClock::at(now), CountingEntropy::default());
        let sqlite = Sqlite::open(&data.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap();
        let directory: SharedDirectory = Arc::new(sqlite.clone());
        let domain = "65dd00000000000000000001".parse().unwrap();
        directory.add_domain(&Domain { id: domain, name: "example.org".parse().unwrap() }).await.unwrap();
        for (number, name, lastname) in [(1, "alice", "Liddell"), (2, "bob", "Dupont")] {
            let emails = vec![format!("{name}@example.org").parse().unwrap()];
            let firstname = name[..1].to_uppercase() + &name[1..];
            let user = User { id: id(number), domain, emails, firstname, lastname: lastname.to_owned() };
            directory.add_user(&user).await.unwrap();
        }
        let queue: SharedQueue = Arc::new(sqlite);
        queue.bind(&listener()).await.unwrap();
        let asked = Arc::default();
        let upstream = recording(Arc::clone(&asked), answer);
        Self { queue, directory, env, asked, upstream, _data: data }
    }

    pub fn delivery(&self) -> ItipDelivery {
        ItipDelivery::new(
            Arc::clone(&self.queue),
            self.upstream.clone(),
            Arc::clone(&self.directory),
            Arc::new(Neighbours),
            self.env.clone(),
        )
    }

    /// What was published since it was asked last.
    pub async fn published(&self) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let depths = self.queue.depths().await.unwrap();
            let waiting = depths.iter().find(|d| d.consumer == LISTENER).unwrap().waiting;
            if waiting == 0 {
                return all;
            }
            for delivery in self.queue.receive(&listener(), 100).await.unwrap() {
                self.queue.settle(&listener(), delivery.id, convoke::queue::Settlement::Done).await.unwrap();
                all.push(delivery.message);
            }
        }
    }
}

fn listener() -> ConsumerSpec {
    ConsumerSpec {
        name: LISTENER,
        topics: vec![Topic::ItipLocalDelivery, Topic::NotificationEmail, Topic::MailOutgoing],
        concurrency: 1,
        retry: config::RetryPolicy::default(),
    }
}

/// A first delivery of a payload.
pub fn first(topic: Topic, payload: Value, published: DateTime<Utc>) -> Delivery {
    Delivery { id: 1, message: Message::new(topic, "key", &payload), attempt: 1, published }
}

fn delivered(asked: &Asked) -> (StatusCode, Value) {
    if asked.path == "/itip" { (StatusCode::NO_CONTENT, Value::Null) } else { (StatusCode::NOT_FOUND, Value::Null) }
}

fn recording(asked: Arc<Mutex<Vec<Asked>>>, answer: Answer) -> Upstream {
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Body>| {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        async move {
            let (head, body) = request.into_parts();
            let body: Bytes = body.collect().await.unwrap().to_bytes();
            let one = Asked {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                actor: head.extensions.get::<Actor>().cloned(),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            };
            asked.lock().unwrap().push(one.clone());
            let (status, body) = answer(&one)?;
            let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    }))
}

/// alice reads English in London, bob French in Paris; strangers English in Paris.
pub struct Neighbours;

#[async_trait]
impl People for Neighbours {
    async fn preferences(&self, of: &Email, _: &Email) -> Result<Preferences, StoreError> {
        let (language, zone, name) = match of.as_str() {
            "alice@example.org" => ("en", chrono_tz::Tz::Europe__London, Some("Alice Liddell")),
            "bob@example.org" => ("fr", chrono_tz::Tz::Europe__Paris, Some("Bob Dupont")),
            _ => ("en", chrono_tz::Tz::Europe__Paris, None),
        };
        Ok(Preferences { language: language.to_owned(), zone, display_name: name.map(str::to_owned) })
    }
}
