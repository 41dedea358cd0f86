//! The token cache on moka.
//!
//! Each session has a set of its tokens beside the cache, so that a logout costs what it forgets. The set is locked while
//! one of its tokens is remembered: a token whose session ends at the same moment is not remembered after all.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;

use crate::cache::{CachedToken, TokenCache, TokenKey};
use crate::clock::Env;

/// Keys of a session above which those that the cache has dropped are cleared out of its set.
const SWEEP_ABOVE: usize = 32;

/// The tokens of one session.
#[derive(Debug, Default)]
struct Session(Mutex<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    keys: HashSet<TokenKey>,
    /// The session is over; nothing may be added.
    ended: bool,
}

impl Session {
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session and forgets its tokens; how many were remembered.
    fn end(&self, cache: &Cache<TokenKey, CachedToken>) -> usize {
        let mut tokens = self.tokens();
        tokens.ended = true;
        let forget = |key: &TokenKey| {
            let remembered = cache.contains_key(key);
            cache.invalidate(key);
            remembered
        };
        tokens.keys.drain().filter(forget).count()
    }
}

/// Remembers tokens in memory. Cheap to clone; all clones share what is remembered.
#[derive(Debug, Clone)]
pub struct MemoryTokenCache {
    tokens: Cache<TokenKey, CachedToken>,
    sessions: Cache<String, Arc<Session>>,
    env: Env,
}

impl MemoryTokenCache {
    /// A cache of at most `size` tokens, each remembered for `time_to_live` and not beyond its own end
    /// (`auth.token_cache_size`, `auth.token_cache_s`).
    pub fn new(time_to_live: Duration, size: u64, env: Env) -> Self {
        let tokens = Cache::builder().max_capacity(size).time_to_live(time_to_live).build();
        let swept = tokens.clone();
        let sessions = Cache::builder()
            .max_capacity(size)
            // A set is touched whenever a token is added, so it outlives all its tokens.
            .time_to_idle(time_to_live.saturating_mul(2))
            // Tokens of a session that is not known any more could not be forgotten on logout.
            .eviction_listener(move |_, session: Arc<Session>, cause| {
                if cause.was_evicted() {
                    session.end(&swept);
                }
            })
            .build();
        Self { tokens, sessions, env }
    }

    /// Forgets everything.
    pub(in crate::cache) fn clear(&self) {
        for (_, session) in &self.sessions {
            session.end(&self.tokens);
        }
        self.sessions.invalidate_all();
        self.tokens.invalidate_all();
    }
}

#[async_trait]
impl TokenCache for MemoryTokenCache {
    async fn get(&self, key: &TokenKey) -> Option<CachedToken> {
        self.tokens.get(key).filter(|token| token.expires > self.env.now())
    }

    async fn put(&self, key: TokenKey, token: CachedToken) {
        if token.expires <= self.env.now() {
            return;
        }
        let Some(sid) = &token.sid else { return self.tokens.insert(key, token) };
        let session = self.sessions.get_with_by_ref(sid, Arc::default);
        let mut tokens = session.tokens();
        if tokens.ended {
            return;
        }
        if tokens.keys.len() >= SWEEP_ABOVE {
            tokens.keys.retain(|key| self.tokens.contains_key(key));
        }
        tokens.keys.insert(key);
        self.tokens.insert(key, token);
    }

    async fn forget_session(&self, sid: &str) -> usize {
        self.sessions.remove(sid).map_or(0, |session| session.end(&self.tokens))
    }
}
