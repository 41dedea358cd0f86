//! The components of an installation that are asked how they are.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::{Method, Request};
use tower::ServiceExt as _;

use crate::dav::{Actor, Body, Upstream};
use crate::health::{Health, HealthCheck};
use crate::ids::Email;
use crate::queue::SharedQueue;
use crate::search::{EventQuery, SharedEventIndex};
use crate::store::SharedDirectory;

fn answers<T, E: std::fmt::Display>(outcome: Result<T, E>) -> Health {
    match outcome {
        Ok(_) => Health::Healthy,
        Err(error) => Health::Unhealthy(error.to_string()),
    }
}

/// Whether the program has started and is not stopping.
#[derive(Debug, Default)]
pub struct Started(AtomicBool);

impl Started {
    /// Says that it has started (`true`) or is stopping (`false`).
    pub fn set(&self, started: bool) {
        self.0.store(started, Ordering::Relaxed);
    }
}

#[async_trait]
impl HealthCheck for Started {
    fn component(&self) -> &str {
        // The name that monitoring of the reference asks for.
        "Guice application lifecycle"
    }

    async fn check(&self) -> Health {
        match self.0.load(Ordering::Relaxed) {
            true => Health::Healthy,
            false => Health::Unhealthy("not started".to_owned()),
        }
    }
}

/// Whether the store answers.
pub struct StoreAnswers {
    /// Name of the engine, e.g. `SQLite` or `MongoDB`.
    pub engine: &'static str,
    /// The store.
    pub directory: SharedDirectory,
}

#[async_trait]
impl HealthCheck for StoreAnswers {
    fn component(&self) -> &str {
        self.engine
    }

    async fn check(&self) -> Health {
        answers(self.directory.domains().await)
    }
}

/// Whether the queue answers.
pub struct QueueAnswers {
    /// Name of the component, e.g. `Queue` or `RabbitMQ backend`.
    pub engine: &'static str,
    /// The queue.
    pub queue: SharedQueue,
}

#[async_trait]
impl HealthCheck for QueueAnswers {
    fn component(&self) -> &str {
        self.engine
    }

    async fn check(&self) -> Health {
        answers(self.queue.depths().await)
    }
}

/// Whether nothing was given up. Degraded otherwise: the rest works, but somebody should look.
pub struct DeadLettersAbsent(pub SharedQueue);

#[async_trait]
impl HealthCheck for DeadLettersAbsent {
    fn component(&self) -> &str {
        // One name on every engine, because alerts are written for it.
        "RabbitMQDeadLetterQueueEmptiness"
    }

    async fn check(&self) -> Health {
        let depths = match self.0.depths().await {
            Ok(depths) => depths,
            Err(error) => return Health::Unhealthy(error.to_string()),
        };
        let dead = depths.iter().filter(|d| d.dead > 0);
        let dead: Vec<String> = dead.map(|d| format!("{} of {}", d.dead, d.consumer)).collect();
        match dead.is_empty() {
            true => Health::Healthy,
            false => Health::Degraded(format!("dead letters: {}", dead.join(", "))),
        }
    }
}

/// Whether the search index answers.
pub struct SearchAnswers {
    /// Name of the component, e.g. `Search` or `OpenSearch Backend`.
    pub engine: &'static str,
    /// The index.
    pub index: SharedEventIndex,
}

#[async_trait]
impl HealthCheck for SearchAnswers {
    fn component(&self) -> &str {
        self.engine
    }

    async fn check(&self) -> Health {
        // A calendar that nobody has: the engine is asked and finds nothing.
        let nowhere =
            crate::ids::CalendarPath::default_of(crate::ids::HomeId(crate::ids::ObjectId::from_bytes([0; 12])));
        let query = EventQuery { calendars: vec![nowhere], limit: 1, ..EventQuery::default() };
        answers(self.index.search(&query).await)
    }
}

/// Whether the DAV server answers. Degraded when it does not: mails and administration still work.
pub struct DavAnswers {
    /// The server.
    pub upstream: Upstream,
    /// Who asks; need not exist.
    pub asker: Email,
}

#[async_trait]
impl HealthCheck for DavAnswers {
    fn component(&self) -> &str {
        "DAV"
    }

    async fn check(&self) -> Health {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::OPTIONS;
        request.extensions_mut().insert(Actor::User(self.asker.clone()));
        match self.upstream.clone().oneshot(request).await {
            Ok(response) if response.status().is_server_error() => {
                Health::Degraded(format!("the DAV server answers {}", response.status()))
            }
            Ok(_) => Health::Healthy,
            Err(error) => Health::Degraded(error.to_string()),
        }
    }
}
