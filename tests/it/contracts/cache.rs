//! The contracts of `TokenCache` and `Bus`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{TimeDelta, Timelike as _};
use convoke::cache::memory::{MemoryBus, MemoryTokenCache};
use convoke::cache::{CachedToken, Heard, SharedBus, SharedTokenCache, Subscription, TokenCache, TokenKey, redis};
use convoke::clock::Env;
use futures_util::StreamExt as _;

use super::suite;
use crate::redis_support::{self, Kind};

/// Makes caches with a time to live and a size; none where the engine's server was not started.
#[async_trait]
trait Harness: Sync {
    async fn cache(&self, time_to_live: Duration, size: u64) -> Option<SharedTokenCache>;
}

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn cache(&self, time_to_live: Duration, size: u64) -> Option<SharedTokenCache> {
        Some(Arc::new(MemoryTokenCache::new(time_to_live, size, Env::system())))
    }
}

/// Redis, which keeps no size.
struct Redis(Kind);

/// What one node remembers, as the other knows it.
struct TwoNodes(redis::Redis, redis::Redis);

#[async_trait]
impl TokenCache for TwoNodes {
    async fn get(&self, key: &TokenKey) -> Option<CachedToken> {
        self.1.get(key).await
    }

    async fn put(&self, key: TokenKey, token: CachedToken) {
        self.0.put(key, token).await;
    }

    async fn forget_session(&self, sid: &str) -> usize {
        self.0.forget_session(sid).await
    }
}

#[async_trait]
impl Harness for Redis {
    async fn cache(&self, time_to_live: Duration, _: u64) -> Option<SharedTokenCache> {
        let config = redis_support::shared(self.0)?;
        let node = || redis_support::node_for(&config, time_to_live);
        Some(Arc::new(TwoNodes(node().await, node().await)))
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn key(n: u32) -> TokenKey {
    let mut bytes = [7; 64];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    TokenKey(bytes)
}

fn token(sid: Option<&str>) -> CachedToken {
    CachedToken {
        user: "alice@example.org".parse().unwrap(),
        sid: sid.map(str::to_owned),
        // Tokens end at whole seconds (RFC 7519 §2).
        expires: (Env::system().now() + TimeDelta::hours(1)).with_nanosecond(0).unwrap(),
        audience: vec!["convoke".to_owned()],
    }
}

/// Waits until nothing is remembered of the token.
async fn until_forgotten(cache: &SharedTokenCache, key: &TokenKey) {
    let forgotten = async {
        while cache.get(key).await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("it is forgotten");
}

async fn a_token_is_remembered_as_it_was(harness: &dyn Harness) {
    let Some(cache) = harness.cache(HOUR, 100).await else { return };
    assert_eq!(cache.get(&key(1)).await, None);
    let (one, two) = (token(Some("s")), token(None));
    cache.put(key(1), one.clone()).await;
    cache.put(key(2), two.clone()).await;
    assert_eq!(cache.get(&key(1)).await, Some(one));
    assert_eq!(cache.get(&key(2)).await, Some(two));
    let newer = CachedToken { audience: vec!["calendar".to_owned(), "mail".to_owned()], ..token(Some("s")) };
    cache.put(key(1), newer.clone()).await;
    assert_eq!(cache.get(&key(1)).await, Some(newer));
}

async fn a_token_is_forgotten_after_its_time(harness: &dyn Harness) {
    let Some(cache) = harness.cache(Duration::from_millis(100), 100).await else { return };
    cache.put(key(1), token(Some("s"))).await;
    until_forgotten(&cache, &key(1)).await;
    assert_eq!(cache.forget_session("s").await, 0);
}

async fn a_token_that_ended_is_not_given(harness: &dyn Harness) {
    let Some(cache) = harness.cache(HOUR, 100).await else { return };
    let ended = CachedToken { expires: Env::system().now() - TimeDelta::seconds(1), ..token(None) };
    cache.put(key(1), ended).await;
    assert_eq!(cache.get(&key(1)).await, None);
    let ending = CachedToken { expires: Env::system().now() + TimeDelta::milliseconds(50), ..token(None) };
    cache.put(key(2), ending).await;
    until_forgotten(&cache, &key(2)).await;
}

async fn the_end_of_a_session_forgets_its_tokens_only(harness: &dyn Harness) {
    let Some(cache) = harness.cache(HOUR, 1000).await else { return };
    for n in 0..50 {
        cache.put(key(n), token(Some("one"))).await;
    }
    cache.put(key(50), token(Some("two"))).await;
    cache.put(key(51), token(None)).await;
    assert_eq!(cache.forget_session("one").await, 50);
    assert_eq!(cache.forget_session("one").await, 0);
    assert_eq!(cache.forget_session("").await, 0);
    for n in 0..50 {
        assert_eq!(cache.get(&key(n)).await, None);
    }
    assert!(cache.get(&key(50)).await.is_some());
    assert!(cache.get(&key(51)).await.is_some());
}

async fn the_size_is_kept_and_what_stays_can_be_forgotten(harness: &dyn Harness) {
    let Some(cache) = harness.cache(HOUR, 100).await else { return };
    for n in 0..2_000 {
        cache.put(key(n), token(Some(&format!("s{n}")))).await;
    }
    let remembered = async || {
        let mut count = 0;
        for n in 0..2_000 {
            count += usize::from(cache.get(&key(n)).await.is_some());
        }
        count
    };
    let kept = async {
        while remembered().await > 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), kept).await.expect("the size is kept");
    for n in 0..2_000 {
        let known = cache.get(&key(n)).await.is_some();
        let forgotten = cache.forget_session(&format!("s{n}")).await;
        assert!(forgotten >= usize::from(known), "a token that is remembered can be forgotten");
        assert_eq!(cache.get(&key(n)).await, None);
    }
}

async fn a_token_that_comes_while_its_session_ends_is_not_left_behind(harness: &dyn Harness) {
    for round in 0..50 {
        let Some(cache) = harness.cache(HOUR, 1000).await else { return };
        let putting = tokio::spawn({
            let cache = cache.clone();
            async move {
                for n in 0..20 {
                    cache.put(key(n), token(Some("s"))).await;
                }
            }
        });
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        let mut forgotten = cache.forget_session("s").await;
        putting.await.unwrap();
        // Those that came after the end belong to a session that is known again.
        forgotten += cache.forget_session("s").await;
        assert!(forgotten <= 20);
        for n in 0..20 {
            assert_eq!(cache.get(&key(n)).await, None, "round {round}");
        }
    }
}

/// Makes the bus as two nodes see it; of an engine within one process, twice the same. None where the engine's server was
/// not started.
#[async_trait]
trait BusHarness: Sync {
    async fn nodes(&self) -> Option<(SharedBus, SharedBus)>;
}

#[async_trait]
impl BusHarness for Memory {
    async fn nodes(&self) -> Option<(SharedBus, SharedBus)> {
        let bus = MemoryBus::default();
        Some((Arc::new(bus.clone()), Arc::new(bus)))
    }
}

#[async_trait]
impl BusHarness for Redis {
    async fn nodes(&self) -> Option<(SharedBus, SharedBus)> {
        let config = redis_support::shared(self.0)?;
        Some((Arc::new(redis_support::node(&config).await), Arc::new(redis_support::node(&config).await)))
    }
}

async fn hear(subscription: &mut Subscription) -> Heard {
    tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.expect("something is heard").unwrap()
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn every_subscriber_of_a_topic_hears_a_message(harness: &dyn BusHarness) {
    let Some((here, there)) = harness.nodes().await else { return };
    let alice = "username:alice@example.org";
    here.publish(alice, body("before anyone listens")).await.unwrap();
    let mut one = here.subscribe(alice).await.unwrap();
    let mut two = there.subscribe(alice).await.unwrap();
    let mut other = there.subscribe("username:bob@example.org").await.unwrap();
    here.publish(alice, body("first")).await.unwrap();
    there.publish(alice, body("second \u{0}é")).await.unwrap();
    there.publish("username:bob@example.org", body("for bob")).await.unwrap();
    for subscription in [&mut one, &mut two] {
        let mut heard = [hear(subscription).await, hear(subscription).await];
        heard.sort_by_key(|h| format!("{h:?}"));
        assert_eq!(heard, [Heard::Message(body("first")), Heard::Message(body("second \u{0}é"))]);
    }
    assert_eq!(hear(&mut other).await, Heard::Message(body("for bob")));
}

async fn messages_of_one_node_are_heard_in_order(harness: &dyn BusHarness) {
    let Some((here, there)) = harness.nodes().await else { return };
    let mut subscription = there.subscribe("t").await.unwrap();
    for n in 0..50_u8 {
        here.publish("t", Bytes::from(vec![n])).await.unwrap();
    }
    for n in 0..50_u8 {
        assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from(vec![n])));
    }
}

async fn nothing_is_heard_after_leaving_and_a_newcomer_hears(harness: &dyn BusHarness) {
    let Some((here, there)) = harness.nodes().await else { return };
    for round in 0..20_u8 {
        let subscription = there.subscribe("t").await.unwrap();
        // Leaving and coming must not overtake each other.
        drop(subscription);
        let mut subscription = there.subscribe("t").await.unwrap();
        here.publish("t", Bytes::from(vec![round])).await.unwrap();
        assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from(vec![round])));
    }
}

async fn a_slow_subscriber_is_told_that_it_missed_something(harness: &dyn BusHarness) {
    let Some((here, _)) = harness.nodes().await else { return };
    let mut slow = here.subscribe("t").await.unwrap();
    for n in 0..2_000_u32 {
        here.publish("t", Bytes::copy_from_slice(&n.to_le_bytes())).await.unwrap();
    }
    assert_eq!(hear(&mut slow).await, Heard::Missed);
    assert!(matches!(hear(&mut slow).await, Heard::Message(_)), "and goes on hearing");
}

suite!(
    memory_tokens,
    super::Memory,
    [
        a_token_is_remembered_as_it_was,
        a_token_is_forgotten_after_its_time,
        a_token_that_ended_is_not_given,
        the_end_of_a_session_forgets_its_tokens_only,
        the_size_is_kept_and_what_stays_can_be_forgotten,
        a_token_that_comes_while_its_session_ends_is_not_left_behind,
    ]
);

suite!(
    memory_bus,
    super::Memory,
    [
        every_subscriber_of_a_topic_hears_a_message,
        messages_of_one_node_are_heard_in_order,
        nothing_is_heard_after_leaving_and_a_newcomer_hears,
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);

suite!(
    redis_standalone_tokens,
    super::Redis(crate::redis_support::Kind::Standalone),
    [
        a_token_is_remembered_as_it_was,
        a_token_is_forgotten_after_its_time,
        a_token_that_ended_is_not_given,
        the_end_of_a_session_forgets_its_tokens_only,
        a_token_that_comes_while_its_session_ends_is_not_left_behind,
    ]
);

suite!(
    redis_standalone_bus,
    super::Redis(crate::redis_support::Kind::Standalone),
    [
        every_subscriber_of_a_topic_hears_a_message,
        messages_of_one_node_are_heard_in_order,
        nothing_is_heard_after_leaving_and_a_newcomer_hears,
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);

suite!(
    redis_tls_tokens,
    super::Redis(crate::redis_support::Kind::Tls),
    [
        a_token_is_remembered_as_it_was,
        a_token_is_forgotten_after_its_time,
        a_token_that_ended_is_not_given,
        the_end_of_a_session_forgets_its_tokens_only,
        a_token_that_comes_while_its_session_ends_is_not_left_behind,
    ]
);

suite!(
    redis_tls_bus,
    super::Redis(crate::redis_support::Kind::Tls),
    [
        every_subscriber_of_a_topic_hears_a_message,
        messages_of_one_node_are_heard_in_order,
        nothing_is_heard_after_leaving_and_a_newcomer_hears,
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);

suite!(
    redis_sentinel_tokens,
    super::Redis(crate::redis_support::Kind::Sentinel),
    [
        a_token_is_remembered_as_it_was,
        a_token_is_forgotten_after_its_time,
        a_token_that_ended_is_not_given,
        the_end_of_a_session_forgets_its_tokens_only,
        a_token_that_comes_while_its_session_ends_is_not_left_behind,
    ]
);

suite!(
    redis_sentinel_bus,
    super::Redis(crate::redis_support::Kind::Sentinel),
    [
        every_subscriber_of_a_topic_hears_a_message,
        messages_of_one_node_are_heard_in_order,
        nothing_is_heard_after_leaving_and_a_newcomer_hears,
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);

suite!(
    redis_cluster_tokens,
    super::Redis(crate::redis_support::Kind::Cluster),
    [
        a_token_is_remembered_as_it_was,
        a_token_is_forgotten_after_its_time,
        a_token_that_ended_is_not_given,
        the_end_of_a_session_forgets_its_tokens_only,
        a_token_that_comes_while_its_session_ends_is_not_left_behind,
    ]
);

suite!(
    redis_cluster_bus,
    super::Redis(crate::redis_support::Kind::Cluster),
    [
        every_subscriber_of_a_topic_hears_a_message,
        messages_of_one_node_are_heard_in_order,
        nothing_is_heard_after_leaving_and_a_newcomer_hears,
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);
