//! Many callers who ask the same question at the same time share one answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

type Flight<V> = Shared<BoxFuture<'static, V>>;

/// The questions under way. Nothing is remembered once a question is answered, and a question that everybody stopped
/// waiting for is given up.
pub(super) struct SingleFlight<K, V: Clone> {
    flights: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    pub(super) fn new() -> Self {
        Self { flights: Mutex::new(HashMap::new()) }
    }

    /// Waits for the answer that is under way for the key, or starts to look for one.
    pub(super) async fn run(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> V {
        // Dropped after `flight`, so that the last waiter to leave, answered or not, takes the entry with it.
        let _sweep = Sweep { flights: self, key: key.clone() };
        let flight = self.join(key, start);
        flight.await
    }

    fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> Flight<V> {
        let mut flights = self.lock();
        if let Some(under_way) = flights.get(&key).and_then(WeakShared::upgrade) {
            return under_way;
        }
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, V>>>> {
        self.flights.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

struct Sweep<'a, K: Eq + Hash + Clone, V: Clone> {
    flights: &'a SingleFlight<K, V>,
    key: K,
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Sweep<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Answered flights go at once: the next question is a new one.
        let over = |weak: &WeakShared<BoxFuture<'static, V>>| weak.upgrade().is_none_or(|f| f.peek().is_some());
        if flights.get(&self.key).is_some_and(over) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_answer_and_later_ones_ask_again() {
        let flights = Arc::new(SingleFlight::<&str, usize>::new());
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let question = |asked: &Arc<AtomicUsize>, answer: &Arc<Notify>| {
            let (asked, answer) = (asked.clone(), answer.clone());
            move || {
                async move {
                    answer.notified().await;
                    asked.fetch_add(1, Ordering::SeqCst) + 1
                }
                .boxed()
            }
        };
        let (first, second, ()) = tokio::join!(
            flights.run("k", question(&asked, &answer)),
            flights.run("k", question(&asked, &answer)),
            async { answer.notify_one() },
        );
        assert_eq!((first, second), (1, 1));
        answer.notify_one();
        assert_eq!(flights.run("k", question(&asked, &answer)).await, 2);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_question_nobody_waits_for_is_given_up() {
        let flights = SingleFlight::<&str, ()>::new();
        let waiter = flights.run("k", || std::future::pending().boxed());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), waiter).await.is_err());
        assert!(flights.lock().is_empty());
    }
}
