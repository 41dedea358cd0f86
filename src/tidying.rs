//! Forgetting what need not be kept any more: what lies in the trash past its time, attachments that nothing refers to, and
//! old entries of the logs by which clients synchronise.
//!
//! In come the limits of the configuration and the time; what goes out of the store is gone. One node at a time does it (a
//! lease), in small steps, so that nobody waits for it; it may break off anywhere and is done again. It must never touch what
//! a client can still ask for: whoever has a token that is kept misses nothing, and the others are told to begin anew.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Env;
use crate::config::Dav;
use crate::nodes::Stop;
use crate::store::attachments;
use crate::store::files::{FileWriteError, SharedFileStore};
use crate::store::{LogKept, Purge, SharedDavStore, StoreError};

/// Name of the lease.
pub const LEASE: &str = "tidying";
/// Time after which another node takes over.
pub const LEASE_TTL: Duration = Duration::from_secs(60);
/// Time between two rounds.
const PAUSE: Duration = Duration::from_secs(3600);
/// Time until the first round, in which a start has better things to do.
const FIRST: Duration = Duration::from_secs(30);
/// Things that are forgotten in one write.
const AT_ONCE: usize = 100;
/// Collections whose logs are looked at in one go.
const COLLECTIONS: usize = 100;
/// Homes with files that are read at once.
const HOMES: usize = 100;
/// Time between two writes, for others to write.
const BREATH: Duration = Duration::from_millis(5);

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Things that left the trash.
    pub trash: u64,
    /// Attachments that nothing refers to any more.
    pub attachments: u64,
    /// Rows that left logs.
    pub log: u64,
}

/// The work.
#[derive(Clone)]
pub struct Tidying {
    store: SharedDavStore,
    files: SharedFileStore,
    env: Env,
    log_days: u32,
    log_names: u64,
    log_shared: bool,
}

impl Tidying {
    /// Tidies up these stores, by the limits of `[dav]`.
    pub fn new(store: SharedDavStore, files: SharedFileStore, config: &Dav, env: Env) -> Self {
        let (log_days, log_names, log_shared) = (config.sync_log_days, config.sync_log_names, config.sync_log_shared);
        Self { store, files, env, log_days, log_names, log_shared }
    }

    /// Tidies up every hour, until it is told to stop.
    pub fn from_time_to_time(&self, stop: Stop) -> impl Future<Output = ()> + Send + use<> {
        let tidying = self.clone();
        async move {
            let mut pause = FIRST;
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let done = tokio::select! {
                    () = stop.requested() => return,
                    done = tidying.once() => done,
                };
                match done {
                    Ok(tidied) if tidied == Tidied::default() => {}
                    Ok(Tidied { trash, attachments, log }) => {
                        tracing::info!(trash, attachments, log, "tidied up");
                    }
                    Err(error) => tracing::warn!(%error, "tidying up broke off; the next round goes on"),
                }
                pause = PAUSE;
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    /// [`StoreError`]; what was forgotten before it is.
    pub async fn once(&self) -> Result<Tidied, StoreError> {
        let now = self.env.now();
        let mut tidied = Tidied::default();
        loop {
            let gone = self.store.purge(&Purge::Expired(now), AT_ONCE).await?;
            tidied.trash += gone;
            if gone == 0 {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        // After the trash: what was in it may be the last that referred to something.
        tidied.attachments = self.collect_attachments(now).await?;
        let Some(kept) = self.kept(now) else { return Ok(tidied) };
        let mut after = None;
        loop {
            let trimmed = self.store.trim_log(after, &kept, COLLECTIONS).await?;
            tidied.log += trimmed.rows;
            after = trimmed.last;
            if after.is_none() {
                return Ok(tidied);
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn collect_attachments(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (mut gone, mut after) = (0, None);
        loop {
            let homes = self.files.homes(after, HOMES).await?;
            let Some(last) = homes.last() else { return Ok(gone) };
            after = Some(*last);
            for home in homes {
                match attachments::collect(&self.files, &*self.store, home, now).await {
                    Ok(removed) => gone += removed,
                    Err(FileWriteError::Store(error)) => return Err(error),
                    Err(error) => tracing::debug!(%error, "the attachments of a home are tidied up in the next round"),
                }
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// How much of the logs is kept; `None` for all of it.
    fn kept(&self, now: DateTime<Utc>) -> Option<LogKept> {
        if self.log_days == 0 && self.log_names == 0 {
            return None;
        }
        let since = now.checked_sub_signed(TimeDelta::days(i64::from(self.log_days)));
        Some(LogKept {
            since: since.filter(|_| self.log_days > 0).unwrap_or(DateTime::UNIX_EPOCH),
            names: if self.log_names > 0 { self.log_names } else { u64::MAX },
            shared: self.log_shared,
        })
    }
}
