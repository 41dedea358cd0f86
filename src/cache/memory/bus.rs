//! The bus within one process: a broadcast channel for each topic that someone listens to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::broadcast;

use crate::cache::{Bus, BusError, Heard, Subscription};

/// Messages that a subscriber may be behind before it misses some.
const BACKLOG: usize = 64;

/// The bus of a single node. Cheap to clone; all clones are one bus.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus(Arc<Mutex<HashMap<String, broadcast::Sender<Heard>>>>);

impl MemoryBus {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Heard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the listeners of a topic.
    pub(in crate::cache) fn tell(&self, topic: &str, what: Heard) {
        if let Some(sender) = self.topics().get(topic) {
            // The last listener may be leaving just now.
            let _ = sender.send(what);
        }
    }

    /// Tells everybody that something was missed.
    pub(in crate::cache) fn tell_all_missed(&self) {
        for sender in self.topics().values() {
            let _ = sender.send(Heard::Missed);
        }
    }

    /// The topics that somebody listens to.
    pub(in crate::cache) fn listened_to(&self) -> Vec<String> {
        self.topics().keys().cloned().collect()
    }

    /// Whether somebody listens to a topic.
    pub(in crate::cache) fn is_listened_to(&self, topic: &str) -> bool {
        self.topics().contains_key(topic)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        self.tell(topic, Heard::Message(body));
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, BusError> {
        let receiver =
            self.topics().entry(topic.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe();
        let listener = Listener { receiver: Some(receiver), bus: self.clone(), topic: topic.to_owned() };
        Ok(stream::unfold(listener, |mut listener| async move {
            let heard = match listener.receiver.as_mut()?.recv().await {
                Ok(heard) => heard,
                Err(broadcast::error::RecvError::Lagged(_)) => Heard::Missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((heard, listener))
        })
        .boxed())
    }
}

/// One subscriber; the last of a topic takes the topic along.
struct Listener {
    receiver: Option<broadcast::Receiver<Heard>>,
    bus: MemoryBus,
    topic: String,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.bus.topics();
        self.receiver = None;
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn topics_that_nobody_listens_to_take_no_room() {
        let bus = MemoryBus::default();
        let one = bus.subscribe("a").await.unwrap();
        let two = bus.subscribe("a").await.unwrap();
        drop(one);
        assert_eq!(bus.topics().len(), 1);
        drop(two);
        bus.publish("b", Bytes::new()).await.unwrap();
        assert!(bus.topics().is_empty());
    }
}
