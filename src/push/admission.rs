//! How many may come in: connections of a node and of one user, and tickets of one user in a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::Email;

/// The connections that are open.
#[derive(Clone)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    all: u32,
    per_user: usize,
    taken: Arc<Mutex<HashMap<Email, usize>>>,
}

impl Seats {
    /// So many seats in all, and for one user.
    pub(super) fn new(all: usize, per_user: usize) -> Self {
        let all = u32::try_from(all.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(all as usize)), all, per_user, taken: Arc::default() }
    }

    /// A seat, where one is free.
    pub(super) fn take(&self) -> Option<FreeSeat> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(FreeSeat { permit, seats: self.clone() })
    }

    /// Waits until nobody sits any more.
    pub(super) async fn empty(&self) {
        // Never closed, so it cannot fail.
        let _ = self.free.acquire_many(self.all).await;
    }

    /// How many sit.
    pub(super) fn taken(&self) -> usize {
        (self.all as usize).saturating_sub(self.free.available_permits())
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Email, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that nobody has yet.
pub(super) struct FreeSeat {
    permit: OwnedSemaphorePermit,
    seats: Seats,
}

impl FreeSeat {
    /// The seat for a user, unless they have as many as they may.
    pub(super) fn of(self, user: &Email) -> Option<Seat> {
        let mut taken = self.seats.users();
        let count = taken.entry(user.clone()).or_default();
        if *count >= self.seats.per_user {
            return None;
        }
        *count += 1;
        drop(taken);
        metrics::gauge!("convoke_push_connections").increment(1.0);
        Some(Seat { user: user.clone(), seats: self.seats, _permit: self.permit })
    }
}

/// A user's seat; free again when dropped.
pub(super) struct Seat {
    user: Email,
    seats: Seats,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!("convoke_push_connections").decrement(1.0);
        let mut taken = self.seats.users();
        if let Some(count) = taken.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

/// Users that are remembered before those of earlier minutes are cleared out.
const SWEEP_ABOVE: usize = 1_000;

/// How many tickets each user got in this minute.
#[derive(Debug)]
pub(super) struct Issued {
    per_minute: u32,
    users: Mutex<HashMap<Email, (i64, u32)>>,
}

impl Issued {
    /// So many for one user.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, users: Mutex::default() }
    }

    /// Counts one more; false when that would be too many.
    pub(super) fn one_more(&self, user: &Email, now: DateTime<Utc>) -> bool {
        let minute = now.timestamp().div_euclid(60);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() > SWEEP_ABOVE {
            users.retain(|_, (counted, _)| *counted == minute);
        }
        let (counted, count) = users.entry(user.clone()).or_insert((minute, 0));
        if *counted != minute {
            (*counted, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use futures_util::FutureExt as _;

    use super::*;

    fn user(name: &str) -> Email {
        format!("{name}@example.org").parse().unwrap()
    }

    #[test]
    fn seats_are_counted_in_all_and_for_each_user() {
        let seats = Seats::new(3, 2);
        let (alice, bob) = (user("alice"), user("bob"));
        let one = seats.take().unwrap().of(&alice).unwrap();
        let _two = seats.take().unwrap().of(&alice).unwrap();
        assert!(seats.take().unwrap().of(&alice).is_none(), "as many as she may");
        let three = seats.take().unwrap().of(&bob).unwrap();
        assert!(seats.take().is_none(), "all are taken");
        assert!(seats.empty().now_or_never().is_none());
        drop((one, three));
        assert_eq!(seats.users().len(), 1, "nothing is kept of who left");
        assert!(seats.take().unwrap().of(&alice).is_some());
    }

    #[test]
    fn tickets_are_counted_by_the_minute() {
        let issued = Issued::new(2);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let alice = user("alice");
        assert!(issued.one_more(&alice, now) && issued.one_more(&alice, now));
        assert!(!issued.one_more(&alice, now));
        assert!(issued.one_more(&user("bob"), now));
        assert!(issued.one_more(&alice, now + TimeDelta::minutes(1)));
        for n in 0..5_000 {
            issued.one_more(&user(&format!("user{n}")), now + TimeDelta::minutes(n));
        }
        assert!(issued.users.lock().unwrap().len() <= SWEEP_ABOVE + 1);
    }
}
