//! The bus (storage §6.2, messaging §4.3): the listeners of this node are told directly, and the channel of every other node
//! that has registered for the topic is sent the message.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use super::link::NoAnswer;
use super::place::Wire;
use super::{Redis, Shared};
use crate::cache::{Bus, BusError, Heard, Subscription};

/// Topics to remember whose listeners elsewhere missed something; beyond that, everybody is told.
const UNTOLD: usize = 1_000;
/// What a message on the common channel is about when messages of a topic could not be passed on; its body is the topic,
/// or nothing for all topics.
pub(super) const MISSED: &str = "missed";

#[async_trait]
impl Bus for Redis {
    /// Never fails: what other nodes cannot be told now, their listeners will know to have missed.
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        let shared = &self.shared;
        shared.local.tell(topic, Heard::Message(body.clone()));
        let began = Instant::now();
        if let Err(e) = shared.dispatch(topic, &body).await {
            tracing::debug!(topic, error = ?e, "other nodes cannot be told now");
            shared.untold.add(topic);
        }
        metrics::histogram!("redis_dispatch").record(began.elapsed());
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, BusError> {
        let inner = self.shared.local.subscribe(topic).await?;
        let listener = Listener { inner, _leaves: Leaves { shared: self.shared.clone(), topic: topic.to_owned() } };
        self.shared.registrar.settle(topic).await;
        Ok(Box::pin(listener))
    }
}

/// A subscription that is registered.
struct Listener {
    // Gone before the registrar is asked to look whether anybody still listens.
    inner: Subscription,
    _leaves: Leaves,
}

impl Stream for Listener {
    type Item = Heard;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        self.inner.as_mut().poll_next(cx)
    }
}

struct Leaves {
    shared: Arc<Shared>,
    topic: String,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        if !self.shared.local.is_listened_to(&self.topic) {
            self.shared.registrar.settle_later(&self.topic);
        }
    }
}

impl Shared {
    /// Sends a message to every other node that has registered for the topic.
    async fn dispatch(&self, topic: &str, body: &[u8]) -> Result<(), NoAnswer> {
        let key = self.names.registrations(topic);
        let question = async |mut wire: Wire| redis::cmd("SMEMBERS").arg(&key).query_async(&mut wire).await;
        let mut channels: Vec<String> = self.link.ask("bus_find", question).await?;
        let (channels_begin, own) = (self.names.channels(), self.names.own_channel());
        channels.retain(|channel| channel.starts_with(&channels_begin) && *channel != own);
        if channels.is_empty() {
            return Ok(());
        }
        let message = self.names.message(&key, body);
        let send = |channel: &String| redis::cmd("PUBLISH").arg(channel).arg(&message).to_owned();
        let commands = channels.iter().map(send).collect();
        let question = async |mut wire: Wire| wire.each::<u64>(commands).await;
        let heard = self.link.ask("bus_publish", question).await?;
        // In a cluster each node counts its own listeners only; whoever is suspected is looked for everywhere.
        for (channel, _) in channels.into_iter().zip(heard).filter(|(_, heard)| *heard == 0) {
            self.sweeper.suspect(channel, key.clone());
        }
        Ok(())
    }

    /// Tells other nodes that listeners there missed what this node could not pass on.
    pub(super) async fn tell_what_was_missed(&self) {
        let topics = self.untold.take();
        let channel = self.names.common_channel();
        for (i, topic) in topics.iter().enumerate() {
            let message = self.names.message(MISSED, topic.as_bytes());
            let question =
                async |mut wire: Wire| redis::cmd("PUBLISH").arg(&channel).arg(message).exec_async(&mut wire).await;
            if self.link.ask("bus_publish", question).await.is_err() {
                topics[i..].iter().for_each(|topic| self.untold.add(topic));
                return;
            }
        }
    }
}

/// Topics whose listeners on other nodes missed a message.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<HashSet<String>>);

impl Untold {
    fn topics(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, topic: &str) {
        let mut topics = self.topics();
        if topics.len() >= UNTOLD {
            topics.clear();
            // Stands for all.
            topics.insert(String::new());
        } else if !topics.contains("") {
            topics.insert(topic.to_owned());
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.topics()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_takes_little_room() {
        let untold = Untold::default();
        for n in 0..UNTOLD {
            untold.add(&format!("t{n}"));
        }
        assert_eq!(untold.topics().len(), UNTOLD);
        untold.add("one more");
        untold.add("another");
        assert_eq!(untold.take(), [""]);
        assert!(untold.take().is_empty());
    }
}
