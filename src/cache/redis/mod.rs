//! Redis behind the token cache and the bus (storage §6). [`Redis`] is one node's view of it: it implements both ports,
//! tells its health and can be examined. Keys, values and channels are those of the reference, so that both may share a
//! server; `names` and `entry` have them all.
//!
//! Redis is never waited for. When it is away, tokens are remembered by this node alone, messages reach the listeners of
//! this node, and what others have to know is kept: sessions that ended, which Redis is told of before anything is read
//! from it again, and topics whose listeners elsewhere missed a message. A node that was cut off from the bus forgets the
//! tokens that it remembers itself, since it may have missed that a session ended, and its listeners are told that they
//! missed something. Nothing here is durable, and nothing here needs a backup.

mod bus;
mod entry;
mod examine;
mod health;
mod link;
mod listen;
mod logouts;
mod names;
mod place;
mod registrar;
mod sweep;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::bus::Untold;
use self::link::Link;
use self::logouts::Logouts;
use self::names::Names;
use self::place::Place;
pub use self::place::RedisConfigError;
use self::registrar::Registrar;
use self::sweep::Sweeper;
use super::memory::{MemoryBus, MemoryTokenCache};
use crate::clock::Env;
use crate::config;

/// One node's Redis. Cheap to clone; when the last clone is gone, so are its connections.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

/// What the tasks and the ports share.
struct Shared {
    place: Place,
    names: Names,
    link: Link,
    /// Tokens, while Redis is away.
    fallback: MemoryTokenCache,
    logouts: Logouts,
    time_to_live: Duration,
    /// The listeners of this node.
    local: MemoryBus,
    registrar: Registrar,
    untold: Untold,
    sweeper: Sweeper,
    /// Messages of other nodes are heard.
    hears: watch::Sender<bool>,
    env: Env,
}

/// Ends the tasks when dropped.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Redis {
    /// Begins to connect, and goes on for as long as it takes; until then Redis is away, and everything works as it does
    /// then. Remembers tokens for `time_to_live`, and without Redis at most `size` of them (`auth.token_cache_s`,
    /// `auth.token_cache_size`). To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`RedisConfigError`] when the configuration is wrong; not when Redis is away.
    pub fn open(config: &config::Redis, time_to_live: Duration, size: u64, env: Env) -> Result<Self, RedisConfigError> {
        let place = Place::new(config)?;
        let shared = Arc::new(Shared {
            names: Names::new(&config.key_prefix, &config.bus_name, env.uuid()),
            link: Link::new(place.response(), env.clone()),
            place,
            fallback: MemoryTokenCache::new(time_to_live, size, env.clone()),
            logouts: Logouts::new(time_to_live, size, env.clone()),
            time_to_live,
            local: MemoryBus::default(),
            registrar: Registrar::default(),
            untold: Untold::default(),
            sweeper: Sweeper::default(),
            hears: watch::Sender::new(false),
            env,
        });
        metrics::gauge!("convoke_redis_up").set(0.0);
        let (linking, listening, registering) = (shared.clone(), shared.clone(), shared.clone());
        let tasks = vec![
            tokio::spawn(async move { linking.keep_linked().await }).abort_handle(),
            tokio::spawn(async move { listening.listen().await }).abort_handle(),
            tokio::spawn(async move { registering.register_forever().await }).abort_handle(),
        ];
        Ok(Self { shared, tasks: Arc::new(Tasks(tasks)) })
    }

    /// Waits until Redis answers and messages of other nodes are heard; false when that takes longer than `patience`.
    pub async fn ready(&self, patience: Duration) -> bool {
        let mut hears = self.shared.hears.subscribe();
        matches!(tokio::time::timeout(patience, hears.wait_for(|hears| *hears)).await, Ok(Ok(_)))
    }

    /// Removes what dead nodes left behind on the bus, if nobody was heard of them the last time either; how many nodes. Happens
    /// by itself every minute.
    pub async fn sweep(&self) -> usize {
        self.shared.sweep().await
    }

    /// What the user of Redis needs, as rules of `ACL SETUSER`: keys, channels, commands.
    pub fn access_rules(&self) -> String {
        self.shared.names.access_rules()
    }

    /// Says goodbye to the other nodes. Without it they find out by themselves.
    pub async fn close(&self) {
        self.tasks.0.iter().for_each(AbortHandle::abort);
        self.shared.registrar.close();
        self.shared.hears.send_replace(false);
        self.shared.sign_off().await;
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("node", &self.shared.names.node).finish_non_exhaustive()
    }
}
