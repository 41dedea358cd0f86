//! How the broker is, for monitoring (storage §9).

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use super::probe::{self, OLDEST, Probe};
use super::{Inner, RabbitMq, RabbitMqError, topology};
use crate::health::{Health, HealthCheck};

impl RabbitMq {
    /// `RabbitMQ backend`, `CalendarQueueConsumers` and `RabbitMQDeadLetterQueueEmptiness`.
    pub fn health_checks(&self) -> Vec<Arc<dyn HealthCheck>> {
        vec![
            Arc::new(Backend(self.clone())),
            Arc::new(QueueConsumers(self.clone())),
            Arc::new(DeadLettersEmpty(self.clone())),
        ]
    }
}

impl Inner {
    /// What the broker says of itself; asked once.
    pub(super) async fn probed(&self) -> Result<Probe, RabbitMqError> {
        let known = self.probed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(probe) = known {
            return Ok(probe);
        }
        let probe = probe::probe(self.publishing.endpoint()).await?;
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe.clone());
        Ok(probe)
    }
}

/// The connections are open, a channel can be had, and the broker is new enough.
struct Backend(RabbitMq);

#[async_trait]
impl HealthCheck for Backend {
    fn component(&self) -> &str {
        "RabbitMQ backend"
    }

    async fn check(&self) -> Health {
        let inner = &self.0.inner;
        let checking = async {
            for session in [inner.publishing_session().await?, inner.consuming_session().await?] {
                // It reads nothing then, so it would not answer either.
                if session.connection.status().blocked() {
                    let short = "it takes no messages: it is short of memory or disk";
                    return Ok(Health::Degraded(short.to_owned()));
                }
                let opening = session.connection.create_channel();
                super::connection::within(inner.limit(), "opening a channel", opening).await?;
            }
            let probe = inner.probed().await?;
            if probe.is_new_enough() {
                return Ok(Health::Healthy);
            }
            let [major, minor, patch] = OLDEST;
            let version = &probe.version;
            Ok(Health::Unhealthy(format!("version {version} is older than {major}.{minor}.{patch}")))
        };
        checking.await.unwrap_or_else(|error: RabbitMqError| Health::Unhealthy(error.to_string()))
    }
}

/// Every queue of ours has somebody who consumes it. One that has none is consumed again when its consumer next asks for
/// messages, which it does all the time.
struct QueueConsumers(RabbitMq);

#[async_trait]
impl HealthCheck for QueueConsumers {
    fn component(&self) -> &str {
        "CalendarQueueConsumers"
    }

    async fn check(&self) -> Health {
        let inner = &self.0.inner;
        let checking = async {
            let session = inner.consuming_session().await?;
            let mut idle = Vec::new();
            for consumer in inner.all_consumers() {
                let queue = inner.look(&session.connection, consumer.name).await?;
                if queue.is_none_or(|q| q.consumer_count() == 0) {
                    idle.push(consumer.name);
                }
            }
            Ok(idle)
        };
        match checking.await {
            Ok(idle) if idle.is_empty() => Health::Healthy,
            Ok(idle) => Health::Degraded(format!("nobody consumes {}", idle.join(", "))),
            Err(error) => {
                let error: RabbitMqError = error;
                Health::Unhealthy(error.to_string())
            }
        }
    }
}

/// No dead letters.
struct DeadLettersEmpty(RabbitMq);

#[async_trait]
impl HealthCheck for DeadLettersEmpty {
    fn component(&self) -> &str {
        "RabbitMQDeadLetterQueueEmptiness"
    }

    async fn check(&self) -> Health {
        let inner = &self.0.inner;
        let checking = async {
            let session = inner.consuming_session().await?;
            let mut full = Vec::new();
            for consumer in inner.all_consumers() {
                let queue = topology::dead_letter_queue(consumer.name);
                let messages = inner.look(&session.connection, &queue).await?.map_or(0, |q| q.message_count());
                if messages > 0 {
                    full.push(format!("{queue} ({messages})"));
                }
            }
            Ok(full)
        };
        match checking.await {
            Ok(full) if full.is_empty() => Health::Healthy,
            Ok(full) => Health::Degraded(format!("dead letters in {}", full.join(", "))),
            Err(error) => {
                let error: RabbitMqError = error;
                Health::Unhealthy(error.to_string())
            }
        }
    }
}
