//! The token cache (storage §6.1).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use redis::Pipeline;

use super::link::Failure;
use super::place::{Why, Wire};
use super::{Redis, Shared, entry};
use crate::cache::{CachedToken, TokenCache, TokenKey};

/// Keys that one command deletes.
const DELETE_AT_ONCE: usize = 500;
/// Sessions that Redis is told of at once.
const TELL_AT_ONCE: usize = 16;
/// What a message on the common channel is about when a session ended; its body is the session.
pub(super) const LOGOUT: &str = "logout";

#[async_trait]
impl TokenCache for Redis {
    async fn get(&self, key: &TokenKey) -> Option<CachedToken> {
        let shared = &self.shared;
        let known = match shared.recall(key).await {
            Some(known) => Some(known),
            None if shared.may_use_fallback() => shared.fallback.get(key).await,
            None => None,
        };
        let ended = |token: &CachedToken| token.sid.as_ref().is_some_and(|sid| shared.logouts.has_ended(sid));
        known.filter(|token| token.expires > shared.env.now() && !ended(token))
    }

    async fn put(&self, key: TokenKey, token: CachedToken) {
        let shared = &self.shared;
        let left = (token.expires - shared.env.now()).to_std().unwrap_or_default();
        if left.is_zero() || token.sid.as_ref().is_some_and(|sid| shared.logouts.has_ended(sid)) {
            return;
        }
        if !shared.remember(&key, &token, left).await {
            shared.fallback.put(key, token).await;
        }
    }

    async fn forget_session(&self, sid: &str) -> usize {
        if sid.is_empty() {
            return 0;
        }
        let shared = &self.shared;
        shared.logouts.end(sid);
        let here = shared.fallback.forget_session(sid).await;
        let there = shared.tell_of_logout(sid).await.unwrap_or(0);
        here + there
    }
}

impl Shared {
    /// What Redis knows of a token.
    async fn recall(&self, key: &TokenKey) -> Option<CachedToken> {
        if !self.logouts.trusts_redis() {
            return None;
        }
        let name = self.names.token(key);
        let question = async |mut wire: Wire| {
            redis::cmd("HGETALL").arg(&name).query_async::<HashMap<String, String>>(&mut wire).await
        };
        let fields = self.link.ask("token_get", question).await.ok()?;
        entry::token(&fields).unwrap_or_else(|field| {
            tracing::warn!(field, "Redis has a token that cannot be read; it counts as unknown");
            None
        })
    }

    /// Whether what this node remembers itself may be used: without Redis there is nothing else; with it, only while this
    /// node hears when sessions end elsewhere.
    fn may_use_fallback(&self) -> bool {
        self.link.number().is_none() || *self.hears.borrow()
    }

    /// Whether Redis remembers a token now.
    async fn remember(&self, key: &TokenKey, token: &CachedToken, left: Duration) -> bool {
        let Some(fields) = entry::fields(token) else { return false };
        let name = self.names.token(key);
        let mut steps = Vec::new();
        // The session first: a token that is not in the list of its session would outlive it.
        if let Some(sid) = &token.sid {
            let session = self.names.session(sid);
            let mut step = redis::pipe();
            step.rpush(&session, &name).ignore().pexpire(&session, millis(self.time_to_live)).ignore();
            steps.push(step);
        }
        let mut step = redis::pipe();
        step.cmd("HSET").arg(&name).arg(&fields).ignore().pexpire(&name, millis(self.time_to_live.min(left))).ignore();
        steps.push(step);
        if !self.place.is_cluster() {
            steps = vec![joined(&steps)];
        }
        let question = async |mut wire: Wire| {
            for step in &mut steps {
                step.atomic().exec_async(&mut wire).await?;
            }
            Ok(())
        };
        if self.link.ask("token_put", question).await.is_err() {
            return false;
        }
        // The session may have ended since.
        if token.sid.as_ref().is_some_and(|sid| self.logouts.has_ended(sid)) {
            let question = async |mut wire: Wire| redis::cmd("DEL").arg(&name).exec_async(&mut wire).await;
            let _ = self.link.ask("token_forget", question).await;
        }
        true
    }

    /// A connection on which Redis was told of every session that ended while it was away, so that nothing is read of them.
    pub(super) async fn connect(&self) -> Result<Wire, Why> {
        let wire = self.place.connect().await?;
        loop {
            let untold = self.logouts.untold();
            if untold.is_empty() {
                return Ok(wire);
            }
            let sessions = untold.len();
            let telling = stream::iter(untold).map(|sid| {
                let wire = wire.clone();
                async move {
                    self.carry_out_logout(wire, &sid).await?;
                    self.logouts.told(&sid);
                    Ok::<_, Failure>(())
                }
            });
            telling.buffer_unordered(TELL_AT_ONCE).try_collect::<()>().await.map_err(Failure::why)?;
            tracing::info!(sessions, "Redis was told of sessions that ended while it was away");
        }
    }

    /// Tells Redis of the sessions that it could not be told of when they ended.
    pub(super) async fn tell_of_logouts(&self) {
        for sid in self.logouts.untold() {
            if self.tell_of_logout(&sid).await.is_none() {
                return;
            }
        }
    }

    /// Tokens that were forgotten; `None` when it has to be tried again.
    async fn tell_of_logout(&self, sid: &str) -> Option<usize> {
        let super::link::State::Up { wire, number } = self.link.state() else { return None };
        match self.carry_out_logout(wire, sid).await {
            Ok(forgotten) => {
                self.logouts.told(sid);
                Some(forgotten)
            }
            Err(Failure::Broken(why)) => {
                self.link.broke(number, &why);
                None
            }
            Err(Failure::Refused(_)) => None,
        }
    }

    /// Deletes the tokens of a session and tells the other nodes; how many there were. Doing it twice does no harm.
    async fn carry_out_logout(&self, wire: Wire, sid: &str) -> Result<usize, Failure> {
        let session = self.names.session(sid);
        let list =
            async |mut wire: Wire| redis::cmd("LRANGE").arg(&session).arg(0).arg(-1).query_async(&mut wire).await;
        let keys: BTreeSet<String> = self.link.ask_on(wire.clone(), "token_forget", list).await?;
        // Whoever may write to the list could name any key.
        let ours = self.names.tokens();
        let keys: Vec<_> = keys.into_iter().filter(|key| key.starts_with(&ours)).collect();
        let mut forgotten = 0;
        for keys in keys.chunks(DELETE_AT_ONCE) {
            let delete = async |mut wire: Wire| redis::cmd("DEL").arg(keys).query_async::<usize>(&mut wire).await;
            forgotten += self.link.ask_on(wire.clone(), "token_forget", delete).await?;
        }
        let message = self.names.message(LOGOUT, sid.as_bytes());
        let last = async |mut wire: Wire| {
            redis::cmd("DEL").arg(&session).exec_async(&mut wire).await?;
            redis::cmd("PUBLISH").arg(self.names.common_channel()).arg(message).exec_async(&mut wire).await
        };
        self.link.ask_on(wire, "token_forget", last).await?;
        Ok(forgotten)
    }
}

fn joined(steps: &[Pipeline]) -> Pipeline {
    let mut all = redis::pipe();
    for command in steps.iter().flat_map(Pipeline::cmd_iter) {
        all.add_command(command.clone()).ignore();
    }
    all
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).max(1)
}
