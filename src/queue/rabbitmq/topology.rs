//! Exchanges, queues and what ties them (messaging §2): the names and arguments here are shared with esn-sabre and with the
//! side service that convoke may take over from, so every one is as it is written there. Declaring is idempotent.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::RabbitMqError;
use crate::config::{self, QueueType};
use crate::events::Topic;

/// Consumer queues of the reference with their dead-letter queues, which are called like their exchanges (messaging §2.3,
/// §6.1). Mind the three spellings. What is not here is ours: `:dead-letter`.
const DEAD_LETTERS: &[(&str, &str)] = &[
    ("tcalendar:event:created:search", "tcalendar:event:created:search-dead-letter"),
    ("tcalendar:event:updated:search", "tcalendar:event:updated:search-dead-letter"),
    ("tcalendar:event:deleted:search", "tcalendar:event:deleted:search-dead-letter"),
    ("tcalendar:event:alarm:created", "tcalendar:event:alarm:created:dead-letter"),
    ("tcalendar:event:alarm:updated", "tcalendar:event:alarm:updated:dead-letter"),
    ("tcalendar:event:alarm:deleted", "tcalendar:event:alarm:deleted:dead-letter"),
    ("tcalendar:event:alarm:cancel", "tcalendar:event:alarm:cancel:dead-letter"),
    ("tcalendar:event:alarm:request", "tcalendar:event:alarm:request:dead-letter"),
    ("tcalendar:event:notificationEmail:send", "tcalendar:event:notificationEmail:send:dead-letter"),
    ("tcalendar:itip:localDelivery", "tcalendar:itip:localDelivery:dead-letter"),
    ("resource:tcalendar:event:created", "resource:tcalendar:event:created:dead-letter"),
    ("resource:tcalendar:event:accepted", "resource:tcalendar:event:accepted:dead-letter"),
    ("resource:tcalendar:event:declined", "resource:tcalendar:event:declined:dead-letter"),
    ("tcalendar:calendar:created", "tcalendar:calendar:created:dead-letter"),
    ("tcalendar:calendar:delegated:created", "tcalendar:calendar:delegated:created:dead-letter"),
    ("tcalendar:calendar:list:notification", "tcalendar:calendar:list:notification:dead-letter"),
    ("tcalendar:event:created:notification", "tcalendar:event:created:notification-dead-letter"),
    ("tcalendar:event:updated:notification", "tcalendar:event:updated:notification-dead-letter"),
    ("tcalendar:event:deleted:notification", "tcalendar:event:deleted:notification-dead-letter"),
    ("tcalendar:event:cancel:notification", "tcalendar:event:cancel:notification-dead-letter"),
    ("tcalendar:event:request:notification", "tcalendar:event:request:notification-dead-letter"),
    ("tcalendar:event:reply:notification", "tcalendar:event:reply:notification-dead-letter"),
    ("tcalendar:contact:created:notification", "tcalendar:contact:created:notification-dead-letter"),
    ("tcalendar:contact:updated:notification", "tcalendar:contact:updated:notification-dead-letter"),
    ("tcalendar:contact:deleted:notification", "tcalendar:contact:deleted:notification-dead-letter"),
    ("tcalendar:audit", "tcalendar:audit:dead-letter"),
    ("tcalendar:common-contact:created", "tcalendar:common-contact:created-dead-letter"),
    ("tcalendar:common-contact:updated", "tcalendar:common-contact:updated-dead-letter"),
    ("tcalendar:common-contact:deleted", "tcalendar:common-contact:deleted-dead-letter"),
    ("tcalendar-settings", "tcalendar-settings-dead-letter"),
    ("tcalendar-saas-subscription", "tcalendar-saas-subscription-dead-letter"),
    ("tcalendar-saas-domain-subscription", "tcalendar-saas-domain-subscription-dead-letter"),
];

/// Queues that nobody consumes any more but that still grow where they are bound (messaging §2.3).
pub(super) const OBSOLETE: &[&str] = &[
    "tcalendar:event:request:search",
    "tcalendar:event:cancel:search",
    "tcalendar:event:request:search-dead-letter",
    "tcalendar:event:cancel:search-dead-letter",
];

/// The dead-letter queue of a consumer's queue, and its exchange, which has the same name.
pub fn dead_letter_queue(consumer: &str) -> String {
    DEAD_LETTERS
        .iter()
        .find(|(queue, _)| *queue == consumer)
        .map_or_else(|| format!("{consumer}:dead-letter"), |(_, dead)| (*dead).to_owned())
}

/// Where a consumer's messages wait that cannot wait in the process. Ours.
pub fn retry_queue(consumer: &str) -> String {
    format!("{consumer}:retry")
}

/// The arguments that queues are declared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    kind: QueueType,
    group_size: u32,
    delivery_limit: Option<u32>,
}

impl Arguments {
    pub(super) fn new(config: &config::RabbitMq) -> Self {
        Self {
            kind: config.queue_type,
            group_size: config.quorum_group_size,
            delivery_limit: config.quorum_delivery_limit,
        }
    }

    /// Of every queue (messaging §2.1).
    pub(super) fn base(&self) -> FieldTable {
        let mut table = FieldTable::default();
        match self.kind {
            QueueType::ClassicV2 => put(&mut table, "x-queue-version", AMQPValue::LongInt(2)),
            QueueType::ClassicV1 => {}
            QueueType::Quorum => {
                put(&mut table, "x-queue-type", text("quorum"));
                put(&mut table, "x-quorum-initial-group-size", number(self.group_size));
                if let Some(limit) = self.delivery_limit {
                    put(&mut table, "x-delivery-limit", number(limit));
                }
            }
        }
        table
    }

    /// Of a consumer's queue.
    pub(super) fn consumer(&self, name: &str) -> FieldTable {
        let mut table = self.base();
        put(&mut table, "x-dead-letter-exchange", text(&dead_letter_queue(name)));
        table
    }

    /// Of the queue in which a consumer's messages wait: what has waited goes back to the consumer's queue.
    pub(super) fn retry(&self, name: &str) -> FieldTable {
        // Our own queue: what the limit on deliveries is for does not happen here.
        let mut table = Self { delivery_limit: None, ..self.clone() }.base();
        put(&mut table, "x-dead-letter-exchange", text(""));
        put(&mut table, "x-dead-letter-routing-key", text(name));
        if self.kind == QueueType::Quorum {
            put(&mut table, "x-dead-letter-strategy", text("at-least-once"));
            put(&mut table, "x-overflow", text("reject-publish"));
        }
        table
    }
}

fn put(table: &mut FieldTable, key: &str, value: AMQPValue) {
    table.insert(key.into(), value);
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: u32) -> AMQPValue {
    AMQPValue::LongInt(i32::try_from(value).unwrap_or(i32::MAX))
}

/// Declares every exchange that esn-sabre or we publish on (messaging §1.2, §2.2). One that exists with other settings is
/// left as it is.
pub(super) async fn declare_exchanges(connection: &Connection, topics: &[Topic]) -> Result<(), lapin::Error> {
    let mut channel = connection.create_channel().await?;
    for topic in topics {
        channel = declare_exchange(connection, channel, topic.name()).await?;
    }
    Ok(())
}

/// Declares an exchange; gives back the channel, or a new one where the broker closed it over a difference.
async fn declare_exchange(connection: &Connection, channel: Channel, name: &str) -> Result<Channel, lapin::Error> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    match channel.exchange_declare(name.into(), ExchangeKind::Fanout, options, FieldTable::default()).await {
        Ok(()) => Ok(channel),
        Err(error) if is(&error, AMQPSoftError::PRECONDITIONFAILED) => {
            tracing::warn!(exchange = name, %error, "an exchange exists with other settings and is left as it is");
            connection.create_channel().await
        }
        Err(error) => Err(error),
    }
}

/// Declares a consumer's queues and binds them, in the order of messaging §2.1.
///
/// # Errors
/// [`RabbitMqError::Mismatch`] when a queue exists with other arguments; what the broker says otherwise.
pub(super) async fn declare_consumer(
    connection: &Connection,
    arguments: &Arguments,
    name: &str,
    topics: &[Topic],
) -> Result<(), RabbitMqError> {
    declare_exchanges(connection, topics).await?;
    let dead = dead_letter_queue(name);
    let channel = connection.create_channel().await?;
    let channel = declare_exchange(connection, channel, &dead).await?;
    declare_queue(&channel, &dead, arguments.base()).await?;
    channel
        .queue_bind(
            dead.as_str().into(),
            dead.as_str().into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    declare_queue(&channel, name, arguments.consumer(name)).await?;
    for topic in topics {
        let options = QueueBindOptions::default();
        channel.queue_bind(name.into(), topic.name().into(), "".into(), options, FieldTable::default()).await?;
    }
    declare_queue(&channel, &retry_queue(name), arguments.retry(name)).await
}

/// Takes a consumer's queue off the topics that it does not name: what an earlier version bound brings nothing new.
pub(super) async fn unbind_others(connection: &Connection, name: &str, topics: &[Topic]) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    for topic in Topic::ALL.iter().filter(|t| !topics.contains(t)) {
        channel.queue_unbind(name.into(), topic.name().into(), "".into(), FieldTable::default()).await?;
    }
    Ok(())
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), RabbitMqError> {
    match channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, AMQPSoftError::PRECONDITIONFAILED) => {
            Err(RabbitMqError::Mismatch { queue: name.to_owned(), found: error.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the broker answered with this error.
pub(super) fn is(error: &lapin::Error, expected: AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => *error.kind() == AMQPErrorKind::Soft(expected),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_queues_are_spelt_as_the_reference_spells_them() {
        for (queue, dead) in [
            ("tcalendar:event:created:search", "tcalendar:event:created:search-dead-letter"),
            ("tcalendar:itip:localDelivery", "tcalendar:itip:localDelivery:dead-letter"),
            ("resource:tcalendar:event:accepted", "resource:tcalendar:event:accepted:dead-letter"),
            ("convoke:mail:outbox", "convoke:mail:outbox:dead-letter"),
        ] {
            assert_eq!(dead_letter_queue(queue), dead);
        }
    }

    #[test]
    fn arguments_are_those_of_the_reference() {
        let arguments = |queue_type, quorum_delivery_limit| {
            let config = config::RabbitMq {
                queue_type,
                quorum_group_size: 3,
                quorum_delivery_limit,
                ..config::RabbitMq::default()
            };
            Arguments::new(&config)
        };
        let shown = |table: FieldTable| -> Vec<String> {
            let value = |value: &AMQPValue| match value {
                AMQPValue::LongString(text) => text.to_string(),
                AMQPValue::LongInt(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            table.inner().iter().map(|(name, v)| format!("{name}={}", value(v))).collect()
        };
        let (audit, dead) = ("tcalendar:audit", "x-dead-letter-exchange=tcalendar:audit:dead-letter");
        let classic = arguments(QueueType::ClassicV2, Some(9));
        assert_eq!(shown(classic.base()), ["x-queue-version=2"]);
        assert_eq!(shown(classic.consumer(audit)), [dead, "x-queue-version=2"]);
        assert_eq!(shown(arguments(QueueType::ClassicV1, None).consumer(audit)), [dead]);
        let quorum = arguments(QueueType::Quorum, Some(9));
        let base = ["x-delivery-limit=9", "x-queue-type=quorum", "x-quorum-initial-group-size=3"];
        assert_eq!(shown(quorum.base()), base);
        assert_eq!(shown(quorum.consumer(audit)).len(), 4);
        assert_eq!(shown(quorum.retry(audit))[0], "x-dead-letter-exchange=", "to the queue itself, by its name");
    }
}
