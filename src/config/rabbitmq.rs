//! `[rabbitmq]`.

use serde::{Deserialize, Serialize};

/// The broker that esn-sabre publishes on (messaging §2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitMq {
    /// AMQP URL, `amqp://user:password@host:5672/vhost`; `amqps` for TLS.
    pub url: String,
}

impl Default for RabbitMq {
    fn default() -> Self {
        Self { url: "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned() }
    }
}
