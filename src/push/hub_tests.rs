use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::cache::Bus;
use crate::push::place::Place;

/// A bus that counts, whose subscriptions the test feeds.
#[derive(Default)]
struct TestBus {
    subscribed: AtomicUsize,
    refuse: std::sync::atomic::AtomicBool,
    feeds: Mutex<Vec<mpsc::UnboundedSender<Heard>>>,
    hold: Mutex<Option<Arc<Semaphore>>>,
}

#[async_trait]
impl Bus for TestBus {
    async fn publish(&self, _: &str, _: Bytes) -> Result<(), BusError> {
        Ok(())
    }

    async fn subscribe(&self, _: &str) -> Result<Subscription, BusError> {
        self.subscribed.fetch_add(1, Ordering::SeqCst);
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.acquire().await.unwrap().forget();
        }
        if self.refuse.load(Ordering::SeqCst) {
            return Err(BusError("away".to_owned()));
        }
        let (feed, heard) = mpsc::unbounded_channel();
        self.feeds.lock().unwrap().push(feed);
        Ok(stream::unfold(heard, |mut heard| async move { heard.recv().await.map(|h| (h, heard)) }).boxed())
    }
}

fn hub() -> (Arc<TestBus>, Hub) {
    let bus = Arc::new(TestBus::default());
    (bus.clone(), Hub::new(bus))
}

fn key() -> Key {
    Key::Place(Place::of_message("/calendars/a/b").unwrap())
}

fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new(4))
}

const CHANGE: &[u8] = br#"{"type":"CalendarEventSerializer$CalendarChangeDTO","eventId":"x","username":"calendarchange","calendarUrl":"a/b"}"#;

#[tokio::test]
async fn one_subscription_serves_all_who_listen() {
    let (bus, hub) = hub();
    let mailboxes = [mailbox(), mailbox(), mailbox()];
    let mut members = Vec::new();
    for mailbox in &mailboxes {
        members.push(hub.join(key(), mailbox.clone()).await.unwrap());
    }
    assert_eq!((bus.subscribed.load(Ordering::SeqCst), hub.keys()), (1, 1));
    bus.feeds.lock().unwrap()[0].send(Heard::Message(Bytes::from_static(CHANGE))).unwrap();
    for mailbox in &mailboxes {
        assert_eq!(mailbox.empty().await.changed.len(), 1);
    }
    bus.feeds.lock().unwrap()[0].send(Heard::Missed).unwrap();
    for mailbox in &mailboxes {
        assert!(mailbox.empty().await.missed_changes);
    }
    members.pop();
    assert_eq!(hub.keys(), 1);
    members.clear();
    assert_eq!(hub.keys(), 0);
    let feed = bus.feeds.lock().unwrap()[0].clone();
    feed.closed().await;
    let _again = hub.join(key(), mailbox()).await.unwrap();
    assert_eq!(bus.subscribed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn those_who_come_together_share_the_first_subscription() {
    let (bus, hub) = hub();
    let hold = Arc::new(Semaphore::new(0));
    *bus.hold.lock().unwrap() = Some(hold.clone());
    let first = tokio::spawn({
        let hub = hub.clone();
        async move { hub.join(key(), mailbox()).await.map(drop) }
    });
    while bus.subscribed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = Box::pin(hub.join(key(), mailbox()));
    assert!(second.as_mut().now_or_never().is_none(), "it is not open yet");
    first.abort();
    assert!(first.await.is_err_and(|e| e.is_cancelled()));
    hold.add_permits(1);
    assert!(second.await.is_ok(), "who gives up takes nobody along");
    assert_eq!(bus.subscribed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_subscription_is_tried_anew_by_the_next() {
    let (bus, hub) = hub();
    bus.refuse.store(true, Ordering::SeqCst);
    let refused = hub.join(key(), mailbox()).await;
    assert!(refused.is_err_and(|e| e.0 == "away"));
    assert_eq!(hub.keys(), 0);
    bus.refuse.store(false, Ordering::SeqCst);
    let _member = hub.join(key(), mailbox()).await.unwrap();
    assert_eq!(hub.keys(), 1);
}

#[tokio::test]
async fn a_subscription_that_ends_is_made_again_and_the_gap_is_told() {
    let (bus, hub) = hub();
    let mailbox = mailbox();
    let _member = hub.join(key(), mailbox.clone()).await.unwrap();
    bus.feeds.lock().unwrap().clear();
    assert!(mailbox.empty().await.missed_changes);
    assert_eq!(bus.subscribed.load(Ordering::SeqCst), 2);
    bus.feeds.lock().unwrap()[0].send(Heard::Message(Bytes::from_static(CHANGE))).unwrap();
    assert_eq!(mailbox.empty().await.changed.len(), 1);
}

#[tokio::test]
async fn what_is_not_known_is_not_told() {
    let (bus, hub) = hub();
    let mailbox = mailbox();
    let _member = hub.join(key(), mailbox.clone()).await.unwrap();
    for body in ["", "{}", "[]", r#"{"type":"Other"}"#, r#"{"type":"CalendarEventSerializer$CalendarChangeDTO"}"#] {
        bus.feeds.lock().unwrap()[0].send(Heard::Message(Bytes::from(body))).unwrap();
    }
    bus.feeds.lock().unwrap()[0].send(Heard::Message(Bytes::from_static(CHANGE))).unwrap();
    assert_eq!(mailbox.empty().await.changed.len(), 1);
}
