//! Redis that dies, hangs and comes back, each time a real one of the test's own.

use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, Timelike as _};
use convoke::cache::redis::Redis;
use convoke::cache::{Bus as _, CachedToken, Heard, Subscription, TokenCache as _, TokenKey};
use convoke::clock::Env;
use convoke::config::Redis as Config;
use convoke::health::{Health, HealthCheck as _};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha512};

use super::instance::Instance;
use super::redis_support::{self, Kind, PATIENCE, node, until};

const ALICE: &str = "username:alice@example.org";

fn key(token: &str) -> TokenKey {
    TokenKey(Sha512::digest(token).into())
}

fn token(sid: &str) -> CachedToken {
    CachedToken {
        user: "alice@example.org".parse().unwrap(),
        sid: Some(sid.to_owned()),
        expires: (Env::system().now() + TimeDelta::hours(1)).with_nanosecond(0).unwrap(),
        audience: vec!["calendar".to_owned()],
    }
}

/// A Redis of the test's own, and how to reach one of its kinds.
async fn start(kind: Kind) -> Option<(Instance, Config)> {
    let instance = Instance::start("redis").await?;
    let config = Config { response_timeout_ms: 500, ..redis_support::of(&instance, kind) };
    Some((instance, config))
}

async fn until_away(redis: &Redis) {
    until("it is away", async || matches!(redis.check().await, Health::Degraded(why) if why.contains("away since")))
        .await;
}

async fn until_back(redis: &Redis) {
    until("it is back", async || redis.check().await == Health::Healthy).await;
}

/// Waits until one node knows what the other remembers.
async fn until_shared(one: &Redis, other: &Redis, name: &str) {
    until("tokens are shared", async || {
        one.put(key(name), token("t")).await;
        other.get(&key(name)).await.is_some()
    })
    .await;
}

async fn hear(subscription: &mut Subscription) -> Heard {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("something is heard").unwrap()
}

/// Hears until the message comes; what came before it.
async fn hear_until(subscription: &mut Subscription, message: &'static str) -> Vec<Heard> {
    let mut before = Vec::new();
    loop {
        match hear(subscription).await {
            Heard::Message(body) if body == message.as_bytes() => return before,
            other => before.push(other),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_node_remembers_tokens_itself() {
    let Some((instance, config)) = start(Kind::Standalone).await else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    one.put(key("before"), token("s")).await;
    instance.kill().await;
    until_away(&one).await;
    assert_eq!(one.get(&key("before")).await, None, "the provider is asked");
    one.put(key("meanwhile"), token("s")).await;
    assert!(one.get(&key("meanwhile")).await.is_some());
    assert_eq!(other.get(&key("meanwhile")).await, None);

    instance.revive().await;
    until_back(&one).await;
    until_back(&other).await;
    assert!(other.get(&key("before")).await.is_some(), "Redis still knows");
    assert_eq!(one.get(&key("meanwhile")).await, None, "a logout may have been missed");
    one.put(key("after"), token("s")).await;
    assert!(other.get(&key("after")).await.is_some(), "tokens are shared again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_while_redis_is_away_is_not_forgotten() {
    let Some((instance, config)) = start(Kind::Standalone).await else { return };
    let (told, other) = (node(&config).await, node(&config).await);
    told.put(key("shared"), token("ended")).await;
    told.put(key("stays"), token("another")).await;
    assert!(other.get(&key("shared")).await.is_some());

    instance.kill().await;
    until_away(&told).await;
    until_away(&other).await;
    other.put(key("local"), token("ended")).await;
    assert!(other.get(&key("local")).await.is_some());
    assert_eq!(told.forget_session("ended").await, 0, "nothing can be counted now");
    // Not even the provider's answer from a moment ago.
    told.put(key("late"), token("ended")).await;
    assert_eq!(told.get(&key("late")).await, None);
    assert!(matches!(told.check().await, Health::Degraded(why) if why.contains("1 ended sessions")));

    let watching = tokio::spawn({
        let told = told.clone();
        async move {
            loop {
                assert_eq!(told.get(&key("shared")).await, None, "not even for a moment");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    instance.revive().await;
    until_back(&told).await;
    until_back(&other).await;
    until("the other node has forgotten", async || {
        other.get(&key("shared")).await.is_none() && other.get(&key("local")).await.is_none()
    })
    .await;
    assert!(other.get(&key("stays")).await.is_some());
    // A node that starts now knows nothing but what Redis knows.
    assert_eq!(node(&config).await.get(&key("shared")).await, None);
    assert!(!watching.is_finished());
    watching.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_redis_that_hangs() {
    for kind in [Kind::Standalone, Kind::Sentinel, Kind::Cluster] {
        let Some((instance, config)) = start(kind).await else { return };
        let redis = node(&config).await;
        redis.put(key("a"), token("s")).await;
        let mut subscription = redis.subscribe(ALICE).await.unwrap();
        instance.pause().await;
        // One answer that takes too long; a thousand of them would take minutes.
        let asking = async {
            for n in 0..1_000 {
                redis.get(&key("a")).await;
                redis.put(key(&n.to_string()), token("s")).await;
                assert!(redis.get(&key(&n.to_string())).await.is_some());
                redis.publish(ALICE, Bytes::new()).await.unwrap();
            }
            assert!(redis.forget_session("s").await > 0);
            drop(redis.subscribe("t").await.unwrap());
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{kind:?}: somebody waits"));
        until_away(&redis).await;
        instance.resume().await;
        until_back(&redis).await;
        assert_eq!(redis.get(&key("a")).await, None, "{kind:?}: the session ended meanwhile");
        redis.publish(ALICE, Bytes::from_static(b"back")).await.unwrap();
        hear_until(&mut subscription, "back").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_told_that_they_missed_something_and_then_hear_again() {
    let Some((instance, config)) = start(Kind::Standalone).await else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    let mut here = one.subscribe(ALICE).await.unwrap();
    let mut there = other.subscribe(ALICE).await.unwrap();
    instance.kill().await;
    until_away(&one).await;
    until_away(&other).await;
    one.publish(ALICE, Bytes::from_static(b"meanwhile")).await.unwrap();
    assert_eq!(hear(&mut here).await, Heard::Message(Bytes::from_static(b"meanwhile")), "here it is heard at once");
    // A listener that comes while Redis is away is registered when it is back.
    let mut newcomer = other.subscribe("calendar:a:b").await.unwrap();
    let leaver = other.subscribe("calendar:c:d").await.unwrap();
    drop(leaver);

    instance.revive().await;
    assert_eq!(hear(&mut here).await, Heard::Missed);
    assert_eq!(hear(&mut there).await, Heard::Missed);
    assert_eq!(hear(&mut newcomer).await, Heard::Missed);
    until_back(&one).await;
    until_back(&other).await;
    one.publish(ALICE, Bytes::from_static(b"after")).await.unwrap();
    one.publish("calendar:a:b", Bytes::from_static(b"after")).await.unwrap();
    for subscription in [&mut here, &mut there, &mut newcomer] {
        let between = hear_until(subscription, "after").await;
        assert!(between.iter().all(|heard| *heard == Heard::Missed), "{between:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_without_redis_works_and_joins_later() {
    let Some((instance, config)) = start(Kind::Standalone).await else { return };
    instance.kill().await;
    let redis = Redis::open(&config, redis_support::HOUR, 100, Env::system()).unwrap();
    redis.put(key("a"), token("s")).await;
    assert!(redis.get(&key("a")).await.is_some());
    let mut subscription = redis.subscribe(ALICE).await.unwrap();
    redis.publish(ALICE, Bytes::from_static(b"alone")).await.unwrap();
    assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from_static(b"alone")));
    assert_eq!(redis.forget_session("s").await, 1);
    assert!(!redis.ready(Duration::from_millis(1)).await);

    instance.revive().await;
    assert!(redis.ready(PATIENCE).await);
    assert_eq!(hear(&mut subscription).await, Heard::Missed);
    let other = node(&config).await;
    other.publish(ALICE, Bytes::from_static(b"together")).await.unwrap();
    hear_until(&mut subscription, "together").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_master_dies_its_replica_takes_over() {
    let Some((instance, config)) = start(Kind::Sentinel).await else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    let mut subscription = other.subscribe(ALICE).await.unwrap();
    one.put(key("before"), token("s")).await;
    // On a busy machine the replica may have taken over before.
    let mut sentinel = redis_support::plain(&config.urls[0], config.password.as_deref().unwrap()).await;
    let question = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&config.sentinel_master).to_owned();
    let (host, port): (String, u16) = question.query_async(&mut sentinel).await.unwrap();
    let servers = instance.env("CONVOKE_TEST_REDIS_SENTINEL_SERVERS");
    let master = if servers.starts_with(&format!("{host}:{port},")) { "master" } else { "replica" };
    instance.kill_process(master).await;
    one.forget_session("s").await;
    assert_eq!(hear(&mut subscription).await, Heard::Missed);
    until_back(&one).await;
    until_back(&other).await;
    assert_eq!(other.get(&key("before")).await, None, "the new master was told of the logout");
    until_shared(&one, &other, "after").await;
    one.publish(ALICE, Bytes::from_static(b"after")).await.unwrap();
    hear_until(&mut subscription, "after").await;

    // The old master comes back as a replica, and nothing is lost on it.
    instance.revive_process(master).await;
    until_shared(&one, &other, "again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_becomes_a_replica_counts_as_away() {
    let Some((_instance, config)) = start(Kind::Standalone).await else { return };
    let redis = node(&config).await;
    let mut beside = redis_support::plain(&config.urls[0], config.password.as_deref().unwrap()).await;
    let replica_of = async |beside: &mut redis::aio::MultiplexedConnection, whom: [&str; 2]| {
        let () = redis::cmd("REPLICAOF").arg(&whom).query_async(beside).await.unwrap();
    };
    replica_of(&mut beside, ["127.0.0.1", "1"]).await;
    redis.put(key("a"), token("s")).await;
    until_away(&redis).await;
    assert!(redis.get(&key("a")).await.is_some(), "this node remembers it");
    replica_of(&mut beside, ["NO", "ONE"]).await;
    until_back(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sentinel_does_no_harm() {
    let Some((instance, config)) = start(Kind::Sentinel).await else { return };
    instance.kill_process("sentinel-0").await;
    let redis = node(&config).await;
    assert_eq!(redis.check().await, Health::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_lacks_a_node_is_away_until_it_is_whole() {
    let Some((instance, config)) = start(Kind::Cluster).await else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    let tokens: Vec<String> = (0..30).map(|n| format!("token {n}")).collect();
    let mut subscription = other.subscribe(ALICE).await.unwrap();
    instance.kill_process("cluster-1").await;
    until_away(&one).await;
    until_away(&other).await;
    let asking = async {
        for name in &tokens {
            one.put(key(name), token("t")).await;
            assert!(one.get(&key(name)).await.is_some(), "each node remembers itself");
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("nobody waits");
    instance.revive_process("cluster-1").await;
    until_back(&one).await;
    until_back(&other).await;
    for name in &tokens {
        until_shared(&one, &other, name).await;
    }
    assert_eq!(other.forget_session("t").await, tokens.len());
    one.publish(ALICE, Bytes::from_static(b"after")).await.unwrap();
    assert!(hear_until(&mut subscription, "after").await.contains(&Heard::Missed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_everything_is_told_again_who_listens() {
    let Some((instance, config)) = start(Kind::Standalone).await else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    let mut subscription = other.subscribe(ALICE).await.unwrap();
    let mut beside = redis_support::plain(&config.urls[0], config.password.as_deref().unwrap()).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut beside).await.unwrap();
    instance.kill().await;
    until_away(&one).await;
    instance.revive().await;
    until_back(&one).await;
    until_back(&other).await;
    one.publish(ALICE, Bytes::from_static(b"after")).await.unwrap();
    hear_until(&mut subscription, "after").await;
}
