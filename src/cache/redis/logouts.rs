//! Sessions that ended. Their tokens are refused here from that moment on, whatever Redis says, for as long as a token may
//! be remembered anywhere; and Redis is told of each, also when it is away at that moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Env;

/// The sessions that ended lately.
#[derive(Debug)]
pub(super) struct Logouts {
    ended: Cache<String, ()>,
    pending: Mutex<Pending>,
    size: usize,
    time_to_live: TimeDelta,
    env: Env,
}

#[derive(Debug, Default)]
struct Pending {
    /// What Redis has not been told, and when there is nothing left in it to forget.
    sessions: HashMap<String, DateTime<Utc>>,
    /// There were more than can be kept: what Redis remembers may be of a session that ended, until then.
    distrust_until: Option<DateTime<Utc>>,
}

impl Logouts {
    /// Keeps `size` sessions, each for the time that tokens are remembered.
    pub fn new(time_to_live: Duration, size: u64, env: Env) -> Self {
        Self {
            ended: Cache::builder()
                .max_capacity(size)
                .time_to_live(time_to_live)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            pending: Mutex::default(),
            size: usize::try_from(size).unwrap_or(usize::MAX),
            time_to_live: TimeDelta::from_std(time_to_live).unwrap_or(TimeDelta::MAX),
            env,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session ended; Redis is to be told.
    pub fn end(&self, sid: &str) {
        self.ended.insert(sid.to_owned(), ());
        let now = self.env.now();
        let until = now.checked_add_signed(self.time_to_live).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut pending = self.pending();
        if pending.sessions.len() >= self.size {
            pending.sessions.retain(|_, until| *until > now);
        }
        if pending.sessions.len() >= self.size {
            pending.distrust_until = Some(until);
        } else {
            pending.sessions.insert(sid.to_owned(), until);
        }
    }

    /// A session ended, as another node says, which tells Redis itself.
    pub fn hear(&self, sid: &str) {
        self.ended.insert(sid.to_owned(), ());
    }

    /// Redis was told of a session.
    pub fn told(&self, sid: &str) {
        self.pending().sessions.remove(sid);
    }

    /// Whether a session ended.
    pub fn has_ended(&self, sid: &str) -> bool {
        self.ended.contains_key(sid) || self.pending().sessions.contains_key(sid)
    }

    /// The sessions that Redis has not been told of.
    pub fn untold(&self) -> Vec<String> {
        let now = self.env.now();
        let mut pending = self.pending();
        pending.sessions.retain(|_, until| *until > now);
        pending.sessions.keys().cloned().collect()
    }

    /// Whether Redis remembers nothing of sessions that ended, but those that it has yet to be told of.
    pub fn trusts_redis(&self) -> bool {
        let mut pending = self.pending();
        if pending.distrust_until.is_some_and(|until| until <= self.env.now()) {
            pending.distrust_until = None;
        }
        pending.distrust_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock, System};

    struct Shared(Arc<ManualClock>);

    impl Clock for Shared {
        fn now(&self) -> DateTime<Utc> {
            self.0.now()
        }
    }

    fn logouts(size: u64) -> (Logouts, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at("2026-05-01T10:00:00Z".parse().unwrap()));
        let env = Env::new(Shared(clock.clone()), System);
        (Logouts::new(Duration::from_secs(300), size, env), clock)
    }

    #[test]
    fn redis_is_told_of_a_session_once() {
        let (logouts, _) = logouts(10);
        logouts.end("a");
        logouts.hear("b");
        assert!(logouts.has_ended("a") && logouts.has_ended("b") && !logouts.has_ended("c"));
        assert_eq!(logouts.untold(), ["a"]);
        logouts.told("a");
        assert_eq!(logouts.untold(), [""; 0]);
        assert!(logouts.has_ended("a"));
    }

    #[test]
    fn nothing_is_left_to_tell_after_the_time_to_live() {
        let (logouts, clock) = logouts(10);
        logouts.end("a");
        clock.advance(TimeDelta::seconds(299));
        assert_eq!(logouts.untold(), ["a"]);
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(logouts.untold(), [""; 0]);
    }

    #[test]
    fn when_too_many_sessions_end_redis_is_not_trusted_until_it_has_forgotten_their_tokens() {
        let (logouts, clock) = logouts(2);
        for sid in ["a", "b", "c"] {
            assert!(logouts.trusts_redis());
            logouts.end(sid);
        }
        assert!(!logouts.trusts_redis());
        assert_eq!(logouts.untold().len(), 2);
        clock.advance(TimeDelta::seconds(300));
        assert!(logouts.trusts_redis());
        logouts.end("d");
        assert!(logouts.trusts_redis());
    }
}
