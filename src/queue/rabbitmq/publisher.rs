//! Publishing: persistent, and over only when the broker has confirmed every message.
//!
//! A batch has a channel to itself, so that what the broker says is about that batch and nothing else. A channel on which
//! anything went wrong is not used again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::Semaphore;

use super::RabbitMqError;
use super::connection::{Session, within};

/// Batches under way at once.
const CHANNELS: usize = 8;
/// Messages that wait for their confirmation at once.
const PIPELINE: usize = 256;

/// A message on its way out.
pub(super) struct Publication<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
    /// Somebody must get it: the broker gives it back, and publishing fails, when no queue takes it.
    pub(super) mandatory: bool,
}

/// Channels in confirm mode, kept for the next batch.
pub(super) struct Publisher {
    idle: Mutex<Vec<(u64, Channel)>>,
    permits: Semaphore,
    limit: Duration,
}

impl Publisher {
    pub(super) fn new(limit: Duration) -> Self {
        Self { idle: Mutex::default(), permits: Semaphore::new(CHANNELS), limit }
    }

    /// Publishes in order; returns when the broker has all of them.
    pub(super) async fn publish(
        &self,
        session: &Arc<Session>,
        messages: Vec<Publication<'_>>,
    ) -> Result<(), RabbitMqError> {
        let _permit = self.permits.acquire().await.map_err(|e| RabbitMqError::Away(e.to_string()))?;
        let channel = self.channel(session).await?;
        let started = std::time::Instant::now();
        let count = messages.len();
        let result = self.send(session, &channel, messages).await;
        metrics::histogram!("convoke_rabbitmq_publish_seconds").record(started.elapsed().as_secs_f64());
        match &result {
            Ok(()) => {
                metrics::counter!("convoke_rabbitmq_published_total").increment(count as u64);
                self.idle().push((session.number, channel));
            }
            Err(_) => metrics::counter!("convoke_rabbitmq_publish_errors_total").increment(1),
        }
        result
    }

    async fn send(
        &self,
        session: &Session,
        channel: &Channel,
        messages: Vec<Publication<'_>>,
    ) -> Result<(), RabbitMqError> {
        let mut unconfirmed = VecDeque::new();
        for message in messages {
            let options = BasicPublishOptions { mandatory: message.mandatory, ..BasicPublishOptions::default() };
            let (exchange, routing_key) = (message.exchange.into(), message.routing_key.into());
            let sending = channel.basic_publish(exchange, routing_key, options, &message.body, message.properties);
            unconfirmed.push_back(self.in_time(session, within(self.limit, "a message", sending)).await?);
            if unconfirmed.len() >= PIPELINE {
                self.confirm(session, unconfirmed.pop_front()).await?;
            }
        }
        while !unconfirmed.is_empty() {
            self.confirm(session, unconfirmed.pop_front()).await?;
        }
        Ok(())
    }

    async fn confirm(&self, session: &Session, confirm: Option<PublisherConfirm>) -> Result<(), RabbitMqError> {
        let Some(confirm) = confirm else { return Ok(()) };
        match self.in_time(session, within(self.limit, "a message", confirm)).await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                Err(RabbitMqError::Unrouted(returned.delivery.exchange.to_string()))
            }
            Confirmation::Nack(None) => Err(RabbitMqError::Refused("the broker could not keep a message".to_owned())),
            Confirmation::NotRequested => Err(RabbitMqError::Refused("the broker confirms nothing".to_owned())),
        }
    }

    /// An answer that does not come is explained where the broker said why.
    async fn in_time<T>(
        &self,
        session: &Session,
        work: impl Future<Output = Result<T, RabbitMqError>>,
    ) -> Result<T, RabbitMqError> {
        work.await.map_err(|error| match error {
            RabbitMqError::Away(_) if session.connection.status().blocked() => RabbitMqError::Away(
                "the broker takes no messages: it is short of memory or disk (connection.blocked)".to_owned(),
            ),
            error => error,
        })
    }

    async fn channel(&self, session: &Arc<Session>) -> Result<Channel, RabbitMqError> {
        let idle = {
            let mut idle = self.idle();
            idle.retain(|(of, channel)| *of == session.number && channel.status().connected());
            idle.pop()
        };
        if let Some((_, channel)) = idle {
            return Ok(channel);
        }
        let opening = async {
            let channel = session.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        within(self.limit, "opening a channel", opening).await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Channel)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
