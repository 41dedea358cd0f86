//! Messages that a store wrote together with its change and that a queue of another engine has still to be given. A port:
//! the store's engine implements it, and [`super::relay`] moves what it holds.

use async_trait::async_trait;

use super::QueueError;
use crate::events::Message;

/// A message that waits in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The engine's name for it.
    pub id: String,
    /// The message.
    pub message: Message,
}

/// The messages that wait in a store for the queue, durable like the changes they tell of.
#[async_trait]
pub trait OutgoingStore: Send + Sync + 'static {
    /// Takes up to `most`, in the order they were written, waiting until there is at least one. What this node wrote comes to
    /// this node first; what a node that died left behind comes to any other after a while. What is taken and not
    /// [`OutgoingStore::sent`] comes back after a while.
    async fn take(&self, most: usize) -> Result<Vec<Outgoing>, QueueError>;

    /// They are in the queue: forgets them.
    async fn sent(&self, ids: &[String]) -> Result<(), QueueError>;

    /// How many wait, and the age of the oldest in seconds.
    async fn waiting(&self) -> Result<(u64, u64), QueueError>;
}
