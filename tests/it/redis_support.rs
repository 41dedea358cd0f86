//! Redis for tests: each with a key prefix and a bus of its own, so that tests do not meet on the shared servers.

use std::collections::HashMap;
use std::time::Duration;

use convoke::cache::redis::Redis;
use convoke::clock::Env;
use convoke::config::{Redis as Config, RedisTopology};

use super::instance::Instance;
use super::services;

/// Longer than anything takes that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time to live of tokens, longer than any test takes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Which of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Standalone,
    Tls,
    Sentinel,
    Cluster,
}

pub const KINDS: [Kind; 4] = [Kind::Standalone, Kind::Tls, Kind::Sentinel, Kind::Cluster];

/// The configuration for one of the shared servers; `None`, with a loud word, where they were not started.
pub fn shared(kind: Kind) -> Option<Config> {
    services::need("CONVOKE_TEST_REDIS_URL")?;
    Some(configured(kind, &|key| std::env::var(key).unwrap_or_else(|_| panic!("{key} is not set"))))
}

/// The configuration for one of the servers of an instance.
pub fn of(instance: &Instance, kind: Kind) -> Config {
    configured(kind, &|key| instance.env(key).to_owned())
}

fn configured(kind: Kind, env: &dyn Fn(&str) -> String) -> Config {
    let password = env("CONVOKE_TEST_REDIS_PASSWORD");
    let list = |key: &str| env(key).split(',').map(str::to_owned).collect();
    let name = Env::system().uuid();
    let config = Config {
        password: Some(password.clone()),
        bus_name: format!("bus-{name}"),
        key_prefix: format!("{name}:"),
        // A busy machine is no outage.
        response_timeout_ms: 2_000,
        connect_timeout_ms: 5_000,
        ..Config::default()
    };
    match kind {
        Kind::Standalone => Config { urls: list("CONVOKE_TEST_REDIS_URL"), ..config },
        Kind::Tls => Config {
            urls: list("CONVOKE_TEST_REDIS_TLS_URL"),
            ca_file: Some(env("CONVOKE_TEST_REDIS_CA").into()),
            ..config
        },
        Kind::Sentinel => Config {
            urls: list("CONVOKE_TEST_REDIS_SENTINEL_URLS"),
            topology: RedisTopology::Sentinel,
            sentinel_master: Some(env("CONVOKE_TEST_REDIS_SENTINEL_MASTER")),
            sentinel_password: Some(password),
            ..config
        },
        Kind::Cluster => {
            Config { urls: list("CONVOKE_TEST_REDIS_CLUSTER_URLS"), topology: RedisTopology::Cluster, ..config }
        }
    }
}

/// A node that is connected.
pub async fn node(config: &Config) -> Redis {
    node_for(config, HOUR).await
}

/// A node that is connected and remembers tokens for some time.
pub async fn node_for(config: &Config, time_to_live: Duration) -> Redis {
    let node = Redis::open(config, time_to_live, 1_000, Env::system()).unwrap();
    assert!(node.ready(PATIENCE).await, "Redis answers");
    node
}

/// A connection that knows nothing of convoke, to one server.
pub async fn plain(url: &str, password: &str) -> redis::aio::MultiplexedConnection {
    let info = redis::IntoConnectionInfo::into_connection_info(url).unwrap();
    let login = info.redis_settings().clone().set_password(password);
    redis::Client::open(info.set_redis_settings(login)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Waits until the condition holds.
pub async fn until<C: Future<Output = bool>>(what: &str, condition: impl Fn() -> C) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The fields of a hash.
pub type Fields = HashMap<String, String>;
