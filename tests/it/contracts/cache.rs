//! The contracts of `TokenCache` and `Bus`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use convoke::cache::memory::{MemoryBus, MemoryTokenCache};
use convoke::cache::{CachedToken, Heard, SharedBus, SharedTokenCache, Subscription, TokenKey};
use convoke::clock::Env;
use futures_util::StreamExt as _;

use super::suite;

/// Makes caches with a time to live and a size.
trait Harness: Sync {
    fn cache(&self, time_to_live: Duration, size: u64) -> SharedTokenCache;
}

struct Memory;

impl Harness for Memory {
    fn cache(&self, time_to_live: Duration, size: u64) -> SharedTokenCache {
        Arc::new(MemoryTokenCache::new(time_to_live, size, Env::system()))
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
        expires: Env::system().now() + TimeDelta::hours(1),
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
    let cache = harness.cache(HOUR, 100);
    assert_eq!(cache.get(&key(1)).await, None);
    let (one, two) = (token(Some("s")), token(None));
    cache.put(key(1), one.clone()).await;
    cache.put(key(2), two.clone()).await;
    assert_eq!(cache.get(&key(1)).await, Some(one));
    assert_eq!(cache.get(&key(2)).await, Some(two));
    let newer = CachedToken { audience: vec![], ..token(Some("s")) };
    cache.put(key(1), newer.clone()).await;
    assert_eq!(cache.get(&key(1)).await, Some(newer));
}

async fn a_token_is_forgotten_after_its_time(harness: &dyn Harness) {
    let cache = harness.cache(Duration::from_millis(100), 100);
    cache.put(key(1), token(Some("s"))).await;
    until_forgotten(&cache, &key(1)).await;
    assert_eq!(cache.forget_session("s").await, 0);
}

async fn a_token_that_ended_is_not_given(harness: &dyn Harness) {
    let cache = harness.cache(HOUR, 100);
    let ended = CachedToken { expires: Env::system().now() - TimeDelta::seconds(1), ..token(None) };
    cache.put(key(1), ended).await;
    assert_eq!(cache.get(&key(1)).await, None);
    let ending = CachedToken { expires: Env::system().now() + TimeDelta::milliseconds(50), ..token(None) };
    cache.put(key(2), ending).await;
    until_forgotten(&cache, &key(2)).await;
}

async fn the_end_of_a_session_forgets_its_tokens_only(harness: &dyn Harness) {
    let cache = harness.cache(HOUR, 1000);
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
    let cache = harness.cache(HOUR, 100);
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
        let cache = harness.cache(HOUR, 1000);
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

/// Makes the bus as two nodes see it; of an engine within one process, twice the same.
trait BusHarness: Sync {
    fn nodes(&self) -> (SharedBus, SharedBus);
}

impl BusHarness for Memory {
    fn nodes(&self) -> (SharedBus, SharedBus) {
        let bus = MemoryBus::default();
        (Arc::new(bus.clone()), Arc::new(bus))
    }
}

async fn hear(subscription: &mut Subscription) -> Heard {
    tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.expect("something is heard").unwrap()
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn every_subscriber_of_a_topic_hears_a_message(harness: &dyn BusHarness) {
    let (here, there) = harness.nodes();
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
    let (here, there) = harness.nodes();
    let mut subscription = there.subscribe("t").await.unwrap();
    for n in 0..50_u8 {
        here.publish("t", Bytes::from(vec![n])).await.unwrap();
    }
    for n in 0..50_u8 {
        assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from(vec![n])));
    }
}

async fn a_slow_subscriber_is_told_that_it_missed_something(harness: &dyn BusHarness) {
    let (here, _) = harness.nodes();
    let mut slow = here.subscribe("t").await.unwrap();
    for n in 0..100_000_u32 {
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
        a_slow_subscriber_is_told_that_it_missed_something,
    ]
);
