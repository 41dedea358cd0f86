//! What waits to be told to one connection. Bounded: a place that changed is remembered once however often it changes, and
//! of everything else so many frames are kept.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::event::News;
use super::place::{Key, Place};

/// The mailbox of a connection: filled by the [`Hub`](super::hub::Hub), emptied by the connection.
#[derive(Debug)]
pub(super) struct Mailbox {
    limit: usize,
    mail: Mutex<Mail>,
    arrived: Notify,
    overflowed: Notify,
}

/// What came since the mailbox was emptied last.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// Places that changed.
    pub(super) changed: HashSet<Place>,
    /// Something about places was lost: any of them may have changed.
    pub(super) missed_changes: bool,
    /// Something about the person was lost: their calendars and booking links may have changed.
    pub(super) missed_news: bool,
    /// Frames, oldest first.
    pub(super) news: VecDeque<News>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.news.is_empty() && !self.missed_changes && !self.missed_news
    }
}

impl Mailbox {
    /// A mailbox that keeps so many frames.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, mail: Mutex::default(), arrived: Notify::new(), overflowed: Notify::new() }
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what was heard of a key.
    pub(super) fn post(&self, key: &Key, news: &News) {
        let mut mail = self.mail();
        match (news, key) {
            (News::Changed, Key::Place(place)) => {
                mail.changed.insert(place.clone());
            }
            // Nobody's list of calendars has a sync token.
            (News::Changed, Key::User(_)) => return,
            (news, _) => {
                // The same twice is told once, at the place of the later: the last word holds.
                mail.news.retain(|waiting| waiting != news);
                if mail.news.len() >= self.limit {
                    drop(mail);
                    return self.overflowed.notify_one();
                }
                mail.news.push_back(news.clone());
            }
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Puts in that something of a key was not heard.
    pub(super) fn miss(&self, key: &Key) {
        let mut mail = self.mail();
        // What broke for one key most likely broke for all.
        mail.missed_changes = true;
        mail.missed_news |= matches!(key, Key::User(_));
        drop(mail);
        self.arrived.notify_one();
    }

    /// Empties the mailbox, waiting until there is something in it. Safe to drop.
    pub(super) async fn empty(&self) -> Mail {
        loop {
            let mail = std::mem::take(&mut *self.mail());
            if !mail.is_empty() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }

    /// Waits until a frame had no room.
    pub(super) async fn overflowed(&self) {
        self.overflowed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn place(id: &str) -> Key {
        Key::Place(Place::of_message(&format!("/calendars/a/{id}")).unwrap())
    }

    #[tokio::test]
    async fn changes_of_a_place_are_kept_once() {
        let mailbox = Mailbox::new(2);
        assert!(mailbox.empty().now_or_never().is_none());
        for _ in 0..1_000 {
            mailbox.post(&place("b"), &News::Changed);
        }
        mailbox.post(&place("c"), &News::Changed);
        let mail = mailbox.empty().await;
        assert_eq!((mail.changed.len(), mail.news.len(), mail.missed_changes), (2, 0, false));
        assert!(mailbox.empty().now_or_never().is_none());
        assert!(mailbox.overflowed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn frames_are_kept_in_order_and_the_limit_is_told() {
        let mailbox = Mailbox::new(2);
        let bob = Key::User("bob@example.org".parse().unwrap());
        let frame = |text: &str| News::Frame(text.to_owned());
        for text in ["2", "1", "2"] {
            mailbox.post(&bob, &frame(text));
        }
        assert!(mailbox.overflowed().now_or_never().is_none(), "the same frame again needs no room");
        mailbox.post(&bob, &frame("3"));
        assert!(mailbox.overflowed().now_or_never().is_some());
        assert_eq!(mailbox.empty().await.news, [frame("1"), frame("2")]);
    }

    #[tokio::test]
    async fn what_was_missed_is_told() {
        let mailbox = Mailbox::new(2);
        mailbox.miss(&place("b"));
        let mail = mailbox.empty().await;
        assert!(mail.missed_changes && !mail.missed_news);
        mailbox.miss(&Key::User("bob@example.org".parse().unwrap()));
        let mail = mailbox.empty().await;
        assert!(mail.missed_changes && mail.missed_news);
    }
}
