//! Keeps the registrations of this node in Redis as they should be: its channel is in the set of every topic that somebody
//! here listens to, and in no other (storage §6.2). One task does it, so that coming and going of listeners never overtake
//! each other; it looks who listens at the moment when it acts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::Cmd;
use tokio::sync::{Notify, oneshot};

use super::Shared;
use super::place::Wire;

/// Topics that are settled at once.
const BATCH: usize = 100;

/// What the registrar has to look at.
#[derive(Default)]
pub(super) struct Registrar {
    topics: Mutex<Topics>,
    news: Notify,
    /// Redis did not take a registration; to be tried again.
    behind: AtomicBool,
    /// Nothing is settled any more.
    closed: AtomicBool,
}

#[derive(Default)]
struct Topics {
    /// Topics to look at, and who waits for it.
    unsettled: HashMap<String, Vec<oneshot::Sender<()>>>,
    /// Topics that this node is registered for, as far as is known.
    registered: HashSet<String>,
}

impl Registrar {
    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the registration for a topic looked at.
    pub fn settle_later(&self, topic: &str) {
        self.topics().unsettled.entry(topic.to_owned()).or_default();
        self.news.notify_one();
    }

    /// The same, and waits until it was. When Redis is away by then, it will be done when it is back.
    pub async fn settle(&self, topic: &str) {
        let (done, settled) = oneshot::channel();
        {
            let mut topics = self.topics();
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            topics.unsettled.entry(topic.to_owned()).or_default().push(done);
        }
        self.news.notify_one();
        // An error says that it was closed meanwhile.
        let _ = settled.await;
    }

    /// Settles nothing any more, and lets nobody wait.
    pub fn close(&self) {
        let mut topics = self.topics();
        self.closed.store(true, Ordering::Relaxed);
        topics.unsettled.clear();
    }

    /// Whether a registration is to be tried again.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Settles what there is to settle, for ever.
    pub(super) async fn register_forever(&self) {
        loop {
            self.registrar.news.notified().await;
            loop {
                let batch = self.next_batch();
                if batch.is_empty() {
                    break;
                }
                self.settle_batch(batch).await;
            }
        }
    }

    fn next_batch(&self) -> Vec<(String, Vec<oneshot::Sender<()>>)> {
        let mut topics = self.registrar.topics();
        let names: Vec<String> = topics.unsettled.keys().take(BATCH).cloned().collect();
        names.into_iter().filter_map(|name| topics.unsettled.remove_entry(&name)).collect()
    }

    async fn settle_batch(&self, batch: Vec<(String, Vec<oneshot::Sender<()>>)>) {
        let (joins, leaves): (Vec<_>, Vec<_>) =
            batch.iter().map(|(topic, _)| topic.as_str()).partition(|topic| self.local.is_listened_to(topic));
        for (adds, timer, topics) in [(true, "redis_register", joins), (false, "redis_unregister", leaves)] {
            if topics.is_empty() {
                continue;
            }
            let began = Instant::now();
            let commands = topics.iter().flat_map(|topic| self.registration(topic, adds)).collect();
            let question = async |mut wire: Wire| wire.each::<u64>(commands).await;
            let done = self.link.ask("bus_register", question).await.is_ok();
            metrics::histogram!(timer).record(began.elapsed());
            self.note(&topics, adds, done);
        }
        for waiting in batch.into_iter().flat_map(|(_, waiting)| waiting) {
            // Whoever waited may have gone.
            let _ = waiting.send(());
        }
    }

    fn note(&self, topics: &[&str], adds: bool, done: bool) {
        if !done {
            self.registrar.behind.store(true, Ordering::Relaxed);
        }
        let registered = &mut self.registrar.topics().registered;
        for topic in topics {
            match (adds, done) {
                // Redis may have got it although it gave no answer.
                (true, _) => drop(registered.insert((*topic).to_owned())),
                (false, true) => drop(registered.remove(*topic)),
                (false, false) => {}
            }
        }
    }

    /// Registers this node for a topic, or takes that back. The set of what is registered is filled first and emptied last,
    /// so that nothing is left behind that nobody finds.
    fn registration(&self, topic: &str, adds: bool) -> [Cmd; 2] {
        let (channel, key) = (self.names.own_channel(), self.names.registrations(topic));
        let index = self.names.registered_by(&channel);
        let command = if adds { "SADD" } else { "SREM" };
        let own = redis::cmd(command).arg(&index).arg(&key).to_owned();
        let set = redis::cmd(command).arg(&key).arg(&channel).to_owned();
        if adds { [own, set] } else { [set, own] }
    }

    /// Looks at every registration anew. False when Redis did not take all of them.
    pub(super) async fn register_all(&self) -> bool {
        self.registrar.behind.store(false, Ordering::Relaxed);
        let (nodes, channel) = (self.names.nodes(), self.names.own_channel());
        let question = async |mut wire: Wire| redis::cmd("SADD").arg(nodes).arg(channel).exec_async(&mut wire).await;
        if self.link.ask("bus_register", question).await.is_err() {
            self.registrar.behind.store(true, Ordering::Relaxed);
        }
        let mut topics: HashSet<String> = self.local.listened_to().into_iter().collect();
        topics.extend(self.registrar.topics().registered.iter().cloned());
        futures_util::future::join_all(topics.iter().map(|topic| self.registrar.settle(topic))).await;
        !self.registrar.is_behind()
    }

    /// Takes back every registration, as far as Redis answers.
    pub(super) async fn sign_off(&self) {
        let topics: Vec<String> = self.registrar.topics().registered.drain().collect();
        for topics in topics.chunks(BATCH) {
            let commands = topics.iter().flat_map(|topic| self.registration(topic, false)).collect();
            let question = async |mut wire: Wire| wire.each::<u64>(commands).await;
            if self.link.ask("bus_register", question).await.is_err() {
                return;
            }
        }
        let (nodes, channel) = (self.names.nodes(), self.names.own_channel());
        let question = async |mut wire: Wire| redis::cmd("SREM").arg(nodes).arg(channel).exec_async(&mut wire).await;
        let _ = self.link.ask("bus_register", question).await;
    }
}
