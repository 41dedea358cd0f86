//! The bus: tells every node of an installation that something happened, e.g. that a calendar changed, so that each can
//! tell the clients connected to it. Fire and forget: no persistence, no replay, no order between topics (messaging §4.1).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The bus failed; the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("the bus is unavailable: {0}")]
pub struct BusError(pub String);

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message, as it was published.
    Message(Bytes),
    /// Messages were lost, because the subscriber was slow or the connection broke: look at the state itself.
    Missed,
}

/// Messages of one topic from the moment of subscribing on. Ends with the bus.
pub type Subscription = BoxStream<'static, Heard>;

/// Passes messages to everyone who listens to a topic at that moment, on this node and on others.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Passes a message on; nobody need be listening. Topics are registration keys (messaging §4.1), e.g.
    /// `username:alice@example.org`.
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError>;

    /// Listens to a topic. What is published after this returns is heard.
    async fn subscribe(&self, topic: &str) -> Result<Subscription, BusError>;
}

/// The bus that the program was started with.
pub type SharedBus = Arc<dyn Bus>;
