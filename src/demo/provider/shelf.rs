//! What the provider remembers for a while, found again by a secret that only the holder has.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

/// Things by the hash of a secret, each until its time is over.
pub(super) struct Shelf<T> {
    most: usize,
    things: Mutex<Things<T>>,
}

/// A thing and when its time is over, by the hash of its secret.
type Things<T> = HashMap<[u8; 32], (T, DateTime<Utc>)>;

impl<T: Clone> Shelf<T> {
    /// A shelf for so many things; when it is full, the one that ends first goes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, things: Mutex::default() }
    }

    pub(super) fn put(&self, secret: &str, thing: T, until: DateTime<Utc>, now: DateTime<Utc>) {
        let mut things = self.lock();
        if things.len() >= self.most {
            things.retain(|_, (_, end)| *end > now);
        }
        if things.len() >= self.most {
            let first = things.iter().min_by_key(|(_, (_, end))| *end).map(|(key, _)| *key);
            first.map(|key| things.remove(&key));
        }
        things.insert(hash(secret), (thing, until));
    }

    pub(super) fn get(&self, secret: &str, now: DateTime<Utc>) -> Option<T> {
        let things = self.lock();
        things.get(&hash(secret)).filter(|(_, end)| *end > now).map(|(thing, _)| thing.clone())
    }

    pub(super) fn take(&self, secret: &str, now: DateTime<Utc>) -> Option<T> {
        self.lock().remove(&hash(secret)).filter(|(_, end)| *end > now).map(|(thing, _)| thing)
    }

    /// Puts another thing in the place of one, and gives the one that was there; in one step, so that of two who come
    /// with the same secret only one gets it.
    pub(super) fn replace(&self, secret: &str, now: DateTime<Utc>, with: impl FnOnce(&T) -> T) -> Option<T> {
        let mut things = self.lock();
        let (thing, _) = things.get_mut(&hash(secret)).filter(|(_, end)| *end > now)?;
        let new = with(thing);
        Some(std::mem::replace(thing, new))
    }

    pub(super) fn drop_where(&self, gone: impl Fn(&T) -> bool) {
        self.lock().retain(|_, (thing, _)| !gone(thing));
    }

    fn lock(&self) -> MutexGuard<'_, Things<T>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn things_end_and_are_taken_once() {
        let shelf = Shelf::new(10);
        shelf.put("s", 1, at(10), at(0));
        assert_eq!((shelf.get("s", at(9)), shelf.get("s", at(10)), shelf.get("t", at(0))), (Some(1), None, None));
        assert_eq!((shelf.take("s", at(9)), shelf.take("s", at(9))), (Some(1), None));
    }

    #[test]
    fn a_full_shelf_gives_up_what_is_over_then_what_ends_first() {
        let shelf = Shelf::new(2);
        shelf.put("over", 1, at(5), at(0));
        shelf.put("b", 2, at(30), at(0));
        shelf.put("c", 3, at(20), at(6));
        assert_eq!((shelf.get("b", at(6)), shelf.get("c", at(6))), (Some(2), Some(3)));
        shelf.put("d", 4, at(40), at(6));
        assert_eq!((shelf.get("b", at(6)), shelf.get("c", at(6)), shelf.get("d", at(6))), (Some(2), None, Some(4)));
    }
}
