//! `[rabbitmq]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The broker that esn-sabre publishes on (messaging §2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitMq {
    /// AMQP URL, `amqp://user:password@host:5672/vhost`; `amqps` for TLS. Without a path the vhost is `/`.
    pub url: String,
    /// PEM file with certificates of authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate and its key, for brokers that ask for one.
    pub client_certificate_file: Option<PathBuf>,
    /// What our connections are called in the broker's management.
    pub connection_name: String,
    /// Silence after which a connection counts as dead is twice this, in seconds.
    pub heartbeat_s: u16,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time for the broker to answer or to confirm a batch of messages, in milliseconds.
    pub operation_timeout_ms: u64,
    /// What queues are declared as. Queues that exist must have been declared alike.
    pub queue_type: QueueType,
    /// Members of a new quorum queue (`x-quorum-initial-group-size`).
    pub quorum_group_size: u32,
    /// Deliveries after which a quorum queue gives a message up by itself (`x-delivery-limit`).
    pub quorum_delivery_limit: Option<u32>,
    /// Messages that one consumer holds unacknowledged, at most: under way, waiting for their turn or for a retry.
    pub prefetch: u16,
    /// How many of those may wait for a retry, or behind one of the same key that does; what goes beyond waits in the
    /// queue `<name>:retry`, so that others get through.
    pub held: u16,
    /// Retries further away than this wait there, too, in milliseconds.
    pub held_ms: u64,
    /// Time that a message spends in `<name>:retry` before its turn is looked at again, in milliseconds.
    pub retry_round_ms: u64,
}

/// What a queue is on the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueType {
    /// Classic, version 2: what the reference declares (messaging §2.1).
    #[serde(rename = "classic-v2")]
    ClassicV2,
    /// Classic, without an argument: what the reference declares with `fallback.classic.queues.v1`.
    #[serde(rename = "classic-v1")]
    ClassicV1,
    /// Replicated.
    #[serde(rename = "quorum")]
    Quorum,
}

impl Default for RabbitMq {
    fn default() -> Self {
        Self {
            url: "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned(),
            ca_file: None,
            client_certificate_file: None,
            connection_name: "convoke".to_owned(),
            heartbeat_s: 30,
            connect_timeout_ms: 5_000,
            operation_timeout_ms: 10_000,
            queue_type: QueueType::ClassicV2,
            quorum_group_size: 1,
            quorum_delivery_limit: None,
            prefetch: 64,
            held: 32,
            held_ms: 60_000,
            retry_round_ms: 30_000,
        }
    }
}
