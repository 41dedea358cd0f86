//! One subscription on the bus for each key that anybody on this node listens to, shared by all of them: made with the
//! first, dropped with the last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::event::LiveEvent;
use super::mailbox::Mailbox;
use super::place::Key;
use crate::cache::{BusError, Heard, SharedBus, Subscription};

/// Waits between attempts to subscribe again after a subscription ended.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MOST: Duration = Duration::from_secs(10);

/// Who on this node listens to what. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hub(Arc<Shared>);

struct Shared {
    bus: SharedBus,
    channels: Mutex<HashMap<Key, Channel>>,
    /// Tells channels and listeners apart.
    next: AtomicU64,
}

/// The listeners of one key.
struct Channel {
    id: u64,
    listeners: HashMap<u64, Arc<Mailbox>>,
    opened: watch::Receiver<Opened>,
    task: AbortHandle,
}

/// Whether the bus listens for us.
#[derive(Debug, Clone)]
enum Opened {
    NotYet,
    Yes,
    Refused(String),
}

impl Hub {
    /// A hub on this bus.
    pub(super) fn new(bus: SharedBus) -> Self {
        Self(Arc::new(Shared { bus, channels: Mutex::default(), next: AtomicU64::new(0) }))
    }

    /// Has what is heard of the key put into the mailbox, from when this returns until the membership is dropped.
    ///
    /// # Errors
    /// When the bus does not take the subscription.
    pub(super) async fn join(&self, key: Key, mailbox: Arc<Mailbox>) -> Result<Membership, BusError> {
        let (membership, mut opened) = self.enter(key, mailbox);
        let outcome = match opened.wait_for(|opened| !matches!(opened, Opened::NotYet)).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => Opened::Refused("the subscription was given up".to_owned()),
        };
        match outcome {
            Opened::Refused(reason) => Err(BusError(reason)),
            Opened::NotYet | Opened::Yes => Ok(membership),
        }
    }

    fn enter(&self, key: Key, mailbox: Arc<Mailbox>) -> (Membership, watch::Receiver<Opened>) {
        let listener = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut channels = self.0.channels();
        let channel = channels.entry(key.clone()).or_insert_with(|| {
            let id = self.0.next.fetch_add(1, Ordering::Relaxed);
            let (tell, opened) = watch::channel(Opened::NotYet);
            let task = tokio::spawn(attend(self.0.clone(), key.clone(), id, tell)).abort_handle();
            Channel { id, listeners: HashMap::new(), opened, task }
        });
        channel.listeners.insert(listener, mailbox);
        let membership = Membership { shared: self.0.clone(), key, channel: channel.id, listener };
        (membership, channel.opened.clone())
    }

    /// Keys that the bus is asked for.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.0.channels().len()
    }
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, HashMap<Key, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailboxes of a channel.
    fn listeners(&self, key: &Key, channel: u64) -> Vec<Arc<Mailbox>> {
        let channels = self.channels();
        let channel = channels.get(key).filter(|c| c.id == channel);
        channel.map(|c| c.listeners.values().cloned().collect()).unwrap_or_default()
    }

    fn hear(&self, key: &Key, channel: u64, heard: &Heard) {
        let listeners = self.listeners(key, channel);
        match heard {
            Heard::Missed => listeners.iter().for_each(|mailbox| mailbox.miss(key)),
            Heard::Message(body) => match serde_json::from_slice::<LiveEvent>(body) {
                Ok(event) => match event.news() {
                    Some(news) => listeners.iter().for_each(|mailbox| mailbox.post(key, &news)),
                    None => tracing::warn!(%key, "an event of the bus leads nowhere"),
                },
                // Another version of the program may tell of more than we know.
                Err(error) => tracing::debug!(%key, %error, "an event of the bus is not known"),
            },
        }
    }
}

/// Listens to a key until the task is ended: by the last listener, or by the bus that does not take the first
/// subscription.
async fn attend(shared: Arc<Shared>, key: Key, channel: u64, opened: watch::Sender<Opened>) {
    let topic = key.to_string();
    let mut subscription = match shared.bus.subscribe(&topic).await {
        Ok(subscription) => subscription,
        Err(BusError(reason)) => {
            let mut channels = shared.channels();
            if channels.get(&key).is_some_and(|c| c.id == channel) {
                channels.remove(&key);
            }
            drop(channels);
            opened.send_replace(Opened::Refused(reason));
            return;
        }
    };
    opened.send_replace(Opened::Yes);
    loop {
        while let Some(heard) = subscription.next().await {
            shared.hear(&key, channel, &heard);
        }
        subscription = subscribe_again(&shared.bus, &topic).await;
        shared.hear(&key, channel, &Heard::Missed);
    }
}

async fn subscribe_again(bus: &SharedBus, topic: &str) -> Subscription {
    let mut wait = AGAIN_FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_MOST);
        match bus.subscribe(topic).await {
            Ok(subscription) => return subscription,
            Err(error) => tracing::debug!(topic, %error, "cannot subscribe again"),
        }
    }
}

/// A place in a channel, given up when dropped.
pub(super) struct Membership {
    shared: Arc<Shared>,
    key: Key,
    channel: u64,
    listener: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut channels = self.shared.channels();
        // A channel that failed is gone, and another may have taken its key since.
        let Some(channel) = channels.get_mut(&self.key).filter(|c| c.id == self.channel) else { return };
        channel.listeners.remove(&self.listener);
        if channel.listeners.is_empty() {
            channel.task.abort();
            channels.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
