//! What convoke writes to Redis and reads from it, compared with what the reference does (storage §6), and a close look.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, Timelike as _};
use convoke::cache::redis::Redis;
use convoke::cache::{Bus as _, CachedToken, Heard, Subscription, TokenCache as _, TokenKey};
use convoke::clock::Env;
use convoke::config::{Redis as Config, RedisTopology};
use convoke::health::{Examine as _, Health, HealthCheck as _, Verdict};
use futures_util::StreamExt as _;
use redis::AsyncCommands as _;
use sha2::{Digest as _, Sha512};

use super::redis_support::{Fields, HOUR, KINDS, Kind, PATIENCE, node, node_for, plain, shared, until};

/// The shared server without a prefix, so that names are those of the reference. Tokens and people are random instead.
fn as_the_reference() -> Option<Config> {
    Some(Config { key_prefix: String::new(), bus_name: "tcalendarEvents".to_owned(), ..shared(Kind::Standalone)? })
}

async fn beside(config: &Config) -> redis::aio::MultiplexedConnection {
    plain(&config.urls[0], config.password.as_deref().unwrap()).await
}

fn random(what: &str) -> String {
    format!("{what}{}", Env::system().uuid().simple())
}

fn key_of(token: &str) -> TokenKey {
    TokenKey(Sha512::digest(token).into())
}

fn alice(sid: Option<&str>) -> CachedToken {
    CachedToken {
        user: "alice@example.org".parse().unwrap(),
        sid: sid.map(str::to_owned),
        expires: (Env::system().now() + TimeDelta::hours(2)).with_nanosecond(0).unwrap(),
        audience: vec!["calendar".to_owned(), "mail".to_owned()],
    }
}

async fn hear(subscription: &mut Subscription) -> Heard {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("something is heard").unwrap()
}

#[tokio::test]
async fn a_token_is_kept_as_the_reference_keeps_it() {
    let Some(config) = as_the_reference() else { return };
    let (redis, mut beside) = (node_for(&config, Duration::from_secs(300)).await, beside(&config).await);
    let (token, sid) = (random("token"), random("S-"));
    let name = format!("tcal_oidc_hash_{}", hex::encode(Sha512::digest(&token)));
    let alice = alice(Some(&sid));
    redis.put(key_of(&token), alice.clone()).await;
    redis.put(key_of(&token), alice.clone()).await;

    let fields: Fields = beside.hgetall(&name).await.unwrap();
    let expected = [
        ("email", "alice@example.org".to_owned()),
        ("exp", alice.expires.timestamp().to_string()),
        ("aud", "calendar;mail".to_owned()),
        ("sid", sid.clone()),
    ];
    assert_eq!(fields, expected.map(|(k, v)| (k.to_owned(), v)).into());
    let session = format!("tcal_oidc_sid_{sid}");
    let list: Vec<String> = beside.lrange(&session, 0, -1).await.unwrap();
    assert_eq!(list, [name.clone(), name.clone()]);
    for key in [&name, &session] {
        let left: i64 = beside.ttl(key).await.unwrap();
        assert!((200..=300).contains(&left), "{key} stays for {left} s");
    }

    assert_eq!(redis.forget_session(&sid).await, 1);
    let left: u64 = beside.exists(&[&name, &session]).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_token_without_a_session_has_an_empty_one() {
    let Some(config) = as_the_reference() else { return };
    let (redis, mut beside) = (node(&config).await, beside(&config).await);
    let token = random("token");
    let name = format!("tcal_oidc_hash_{}", hex::encode(Sha512::digest(&token)));
    redis.put(key_of(&token), alice(None)).await;
    let sid: String = beside.hget(&name, "sid").await.unwrap();
    assert_eq!(sid, "");
    // Not beyond the end of the token itself.
    let ending = CachedToken { expires: Env::system().now() + TimeDelta::seconds(60), ..alice(None) };
    redis.put(key_of(&token), ending).await;
    let left: i64 = beside.ttl(&name).await.unwrap();
    assert!((1..=60).contains(&left), "{left}");
}

#[tokio::test]
async fn what_the_reference_wrote_is_read_and_forgotten() {
    let Some(config) = as_the_reference() else { return };
    let (redis, mut beside) = (node(&config).await, beside(&config).await);
    let sid = random("S-");
    let in_an_hour = (Env::system().now() + TimeDelta::hours(1)).timestamp().to_string();
    let whole = [("email", "bob@example.org"), ("exp", &in_an_hour), ("aud", "calendar"), ("sid", &sid), ("new", "x")];
    let without = |field: &str| whole.into_iter().filter(|(name, _)| *name != field).collect::<Vec<_>>();
    let cases = [(whole.to_vec(), true), (without("sid"), true), (without("email"), false), (without("aud"), false)];
    let mut tokens = Vec::new();
    for (fields, readable) in cases {
        let token = random("token");
        let name = format!("tcal_oidc_hash_{}", hex::encode(Sha512::digest(&token)));
        let () = beside.hset_multiple(&name, &fields).await.unwrap();
        let () = beside.expire(&name, 300).await.unwrap();
        // Duplicates are possible.
        let () = beside.rpush(format!("tcal_oidc_sid_{sid}"), &[&name, &name]).await.unwrap();
        let known = redis.get(&key_of(&token)).await;
        assert_eq!(known.is_some(), readable, "{fields:?}");
        if let Some(known) = known {
            assert_eq!((known.user.as_str(), &known.audience[..]), ("bob@example.org", &["calendar".to_owned()][..]));
            assert_eq!(known.expires.timestamp().to_string(), in_an_hour);
        }
        tokens.push(token);
    }
    // Whoever writes to the list cannot have other keys deleted.
    let bystander = random("bystander");
    let () = beside.set_ex(&bystander, "", 300).await.unwrap();
    let () = beside.rpush(format!("tcal_oidc_sid_{sid}"), &bystander).await.unwrap();
    assert_eq!(redis.forget_session(&sid).await, 4);
    for token in tokens {
        assert_eq!(redis.get(&key_of(&token)).await, None);
    }
    let stays: bool = beside.exists(&bystander).await.unwrap();
    assert!(stays);
}

#[tokio::test]
async fn a_key_of_another_type_is_a_miss_and_no_outage() {
    let Some(config) = as_the_reference() else { return };
    let (redis, mut beside) = (node(&config).await, beside(&config).await);
    let token = random("token");
    let name = format!("tcal_oidc_hash_{}", hex::encode(Sha512::digest(&token)));
    let () = beside.set_ex(&name, "text", 300).await.unwrap();
    assert_eq!(redis.get(&key_of(&token)).await, None);
    assert_eq!(redis.check().await, Health::Healthy);
}

#[tokio::test]
async fn a_session_that_ended_stays_ended() {
    for kind in KINDS {
        let Some(config) = shared(kind) else { return };
        let (one, other) = (node(&config).await, node(&config).await);
        one.put(key_of("a"), alice(Some("s"))).await;
        assert!(other.get(&key_of("a")).await.is_some(), "{kind:?}: tokens are shared");
        assert_eq!(other.forget_session("s").await, 1);
        assert_eq!(one.get(&key_of("a")).await, None);
        // The provider was asked before the session ended, and answers after it.
        other.put(key_of("b"), alice(Some("s"))).await;
        assert_eq!(other.get(&key_of("b")).await, None);
        until("the other node has heard of it", async || {
            one.put(key_of("c"), alice(Some("s"))).await;
            one.get(&key_of("c")).await.is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_that_redis_cannot_tell_is_remembered_here_and_forgotten_everywhere() {
    let Some(config) = shared(Kind::Standalone) else { return };
    let (one, other) = (node(&config).await, node(&config).await);
    let odd = CachedToken { audience: vec!["other;calendar".to_owned()], ..alice(Some("s")) };
    one.put(key_of("a"), odd.clone()).await;
    assert_eq!(one.get(&key_of("a")).await, Some(odd));
    assert_eq!(other.get(&key_of("a")).await, None);
    other.forget_session("s").await;
    until("it is forgotten", async || one.get(&key_of("a")).await.is_none()).await;
}

#[tokio::test]
async fn nodes_register_and_speak_as_the_reference_does() {
    let Some(config) = as_the_reference() else { return };
    let (redis, mut beside) = (node(&config).await, beside(&config).await);
    let person = random("alice");
    let topic = format!("username:{person}@example.org");
    let set = format!("UsernameRegistrationKey:{topic}");
    let members = async |beside: &mut redis::aio::MultiplexedConnection| -> BTreeSet<String> {
        beside.smembers(&set).await.unwrap()
    };
    let mut subscription = redis.subscribe(&topic).await.unwrap();
    let second = redis.subscribe(&topic).await.unwrap();
    let channels = members(&mut beside).await;
    let [channel] = channels.iter().collect::<Vec<_>>()[..] else { panic!("{channels:?}") };
    let node_id = channel.strip_prefix("tcalendarEvents-eventbus-").expect("the name of the bus");
    assert_eq!(uuid::Uuid::parse_str(node_id).unwrap().to_string(), node_id);

    // A node of the reference, as far as can be seen.
    let other = Env::system().uuid();
    let other_channel = format!("tcalendarEvents-eventbus-{other}");
    let login = redis::IntoConnectionInfo::into_connection_info(config.urls[0].as_str()).unwrap();
    let settings = login.redis_settings().clone().set_password(config.password.as_deref().unwrap());
    let client = redis::Client::open(login.set_redis_settings(settings)).unwrap();
    let mut reference = client.get_async_pubsub().await.unwrap();
    reference.subscribe(&other_channel).await.unwrap();
    // What is no channel of a node is left alone.
    let () = beside.sadd(&set, &[other_channel.as_str(), "something-else"]).await.unwrap();

    let json = r#"{"type":"CalendarEventSerializer$BookingLinkStateChangedDTO","eventId":"0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e"}"#;
    redis.publish(&topic, Bytes::from_static(json.as_bytes())).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, reference.on_message().next()).await.unwrap().unwrap();
    let text: String = message.get_payload().unwrap();
    assert_eq!(text, format!("{node_id}|||{set}|||{json}"));
    assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from_static(json.as_bytes())), "heard once");

    let () = beside.publish(channel, format!("{other}|||{set}|||{{\"a\":\"|||\"}}")).await.unwrap();
    assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from_static(b"{\"a\":\"|||\"}")));

    drop(subscription);
    drop(redis.subscribe("username:somebody@example.org").await.unwrap());
    assert!(members(&mut beside).await.contains(channel), "somebody still listens");
    drop(second);
    until("the last listener is gone", async || !members(&mut beside.clone()).await.contains(channel)).await;
}

#[tokio::test]
async fn each_kind_of_topic_has_its_own_key() {
    for kind in KINDS {
        let Some(config) = shared(kind) else { return };
        let redis = node(&config).await;
        let topics = ["calendar:64a1:7c0e", "addressbook:64a1:contacts", "username:bob@example.org"];
        let mut subscriptions = Vec::new();
        for topic in topics {
            subscriptions.push(redis.subscribe(topic).await.unwrap());
        }
        let other = node(&config).await;
        for (topic, subscription) in topics.iter().zip(&mut subscriptions) {
            other.publish(topic, Bytes::from((*topic).to_owned())).await.unwrap();
            assert_eq!(hear(subscription).await, Heard::Message(Bytes::from((*topic).to_owned())), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn what_dead_nodes_leave_behind_is_swept() {
    for kind in KINDS {
        let Some(config) = shared(kind) else { return };
        let (lives, dies) = (node(&config).await, node(&config).await);
        let here = lives.subscribe("username:alice@example.org").await.unwrap();
        let there = dies.subscribe("username:alice@example.org").await.unwrap();
        assert_eq!((lives.sweep().await, lives.sweep().await), (0, 0), "{kind:?}: both live");
        // Its connections break; it does not sign off.
        drop(dies);
        drop(there);
        until("nobody hears the dead node's channel any more, and it is swept", async || lives.sweep().await == 1)
            .await;
        if kind == Kind::Standalone {
            let set = format!("{}UsernameRegistrationKey:username:alice@example.org", config.key_prefix);
            let left: Vec<String> = beside(&config).await.smembers(&set).await.unwrap();
            assert_eq!(left.len(), 1, "{left:?}");
            let keys: Vec<String> = beside(&config).await.keys(format!("{}*-keys", config.key_prefix)).await.unwrap();
            assert_eq!(keys.len(), 1, "{keys:?}");
        }
        drop(here);
    }
}

#[tokio::test]
async fn a_dead_node_that_others_made_is_swept_where_it_is_met() {
    for kind in [Kind::Standalone, Kind::Cluster] {
        let Some(config) = shared(kind) else { return };
        let redis = node(&config).await;
        let dead = format!("{}-eventbus-{}", config.bus_name, Env::system().uuid());
        let set = format!("{}UsernameRegistrationKey:username:alice@example.org", config.key_prefix);
        let urls =
            config.urls.iter().map(|url| url.replace("://", &format!("://:{}@", config.password.as_ref().unwrap())));
        let one = plain(&config.urls[0], config.password.as_deref().unwrap()).await;
        let add = redis::cmd("SADD").arg(&set).arg(&dead).to_owned();
        let count = redis::cmd("SCARD").arg(&set).to_owned();
        let cluster = match kind {
            Kind::Cluster => {
                let client = redis::cluster::ClusterClient::new(urls).unwrap();
                Some(client.get_async_connection().await.unwrap())
            }
            _ => None,
        };
        let ask = async |command: &redis::Cmd| -> u64 {
            match cluster.clone() {
                Some(mut cluster) => command.query_async(&mut cluster).await.unwrap(),
                None => command.query_async(&mut one.clone()).await.unwrap(),
            }
        };
        assert_eq!(ask(&add).await, 1);
        redis.publish("username:alice@example.org", Bytes::new()).await.unwrap();
        assert_eq!((redis.sweep().await, ask(&count).await), (0, 1), "it is suspected");
        assert_eq!((redis.sweep().await, ask(&count).await), (1, 0), "{kind:?}: it is swept");
    }
}

#[tokio::test]
async fn a_node_that_ends_signs_off() {
    for kind in KINDS {
        let Some(config) = shared(kind) else { return };
        let (lives, ends) = (node(&config).await, node(&config).await);
        let subscription = ends.subscribe("username:alice@example.org").await.unwrap();
        ends.close().await;
        drop(ends.subscribe("t").await.unwrap());
        assert_eq!((lives.sweep().await, lives.sweep().await), (0, 0), "{kind:?}: nothing is left behind");
        if kind == Kind::Standalone {
            let left: Vec<String> = beside(&config).await.keys(format!("{}*", config.key_prefix)).await.unwrap();
            let nodes = format!("{}{}-convoke-nodes", config.key_prefix, config.bus_name);
            assert_eq!(left, [nodes], "the other node");
        }
        drop(subscription);
    }
}

#[tokio::test]
async fn a_close_look_finds_nothing_wrong() {
    for kind in KINDS {
        let Some(config) = shared(kind) else { return };
        let redis = node(&config).await;
        assert_eq!(redis.check().await, Health::Healthy, "{kind:?}");
        let findings = redis.examine().await;
        let subjects: BTreeSet<_> = findings.iter().map(|f| f.subject.split(' ').next().unwrap()).collect();
        for subject in ["address", "connection", "version", "role", "memory", "clock", "remembering", "listening"] {
            assert!(subjects.contains(subject), "{kind:?} lacks {subject}: {findings:#?}");
        }
        assert_eq!(subjects.contains("certificate"), kind == Kind::Tls);
        assert!(findings.iter().all(|f| matches!(f.verdict, Verdict::Good(_))), "{kind:?}: {findings:#?}");
        assert!(!format!("{findings:?} {}", redis.engine()).contains("secret"));
    }
}

/// Opens Redis with a configuration that leads nowhere.
async fn that_is_away(config: &Config) -> Redis {
    let redis = Redis::open(config, HOUR, 10, Env::system()).unwrap();
    until(
        "it is known to be away",
        async || matches!(redis.check().await, Health::Degraded(why) if why.contains("since")),
    )
    .await;
    redis
}

#[tokio::test]
async fn a_close_look_says_what_to_do() {
    let Some(good) = shared(Kind::Standalone) else { return };
    let tls = shared(Kind::Tls).unwrap();
    let sentinel = shared(Kind::Sentinel).unwrap();
    let cases = [
        (Config { password: Some("wrong".to_owned()), ..good.clone() }, "redis.password"),
        (Config { password: None, ..good.clone() }, "redis.password"),
        (Config { ca_file: None, ..tls.clone() }, "redis.ca_file"),
        (Config { urls: vec![tls.urls[0].replace("127.0.0.1", "127.0.0.2")], ..tls.clone() }, "redis."),
        (Config { sentinel_master: Some("other".to_owned()), ..sentinel.clone() }, "redis.sentinel_master"),
        (Config { sentinel_password: None, ..sentinel }, "redis.sentinel_password"),
        (Config { urls: vec!["redis://127.0.0.1:9".to_owned()], ..good }, "redis.urls"),
    ];
    for (config, key) in cases {
        let redis = that_is_away(&config).await;
        let findings = redis.examine().await;
        let advice = |verdict: &Verdict| match verdict {
            Verdict::Bad { advice, .. } => advice.contains(key),
            _ => false,
        };
        assert!(findings.iter().any(|f| advice(&f.verdict)), "{key}: {findings:#?}");
        // Everything goes on.
        redis.put(key_of("a"), alice(None)).await;
        assert!(redis.get(&key_of("a")).await.is_some());
    }
}

#[tokio::test]
async fn the_master_is_found_among_its_replicas_and_a_replica_is_not_written_to() {
    let Some(sentinels) = shared(Kind::Sentinel) else { return };
    let mut sentinel = plain(&sentinels.urls[0], sentinels.password.as_deref().unwrap()).await;
    let ask = |what: &str| redis::cmd("SENTINEL").arg(what).arg("convoke").to_owned();
    let (host, port): (String, u16) = ask("GET-MASTER-ADDR-BY-NAME").query_async(&mut sentinel).await.unwrap();
    let replicas: Vec<Fields> = ask("REPLICAS").query_async(&mut sentinel).await.unwrap();
    let replica = format!("redis://{}:{}", replicas[0]["ip"], replicas[0]["port"]);

    let urls = vec![replica.clone(), format!("redis://{host}:{port}")];
    let all = Config { urls, topology: RedisTopology::MasterReplica, ..sentinels.clone() };
    node(&all).await.put(key_of("a"), alice(None)).await;
    assert!(node(&sentinels).await.get(&key_of("a")).await.is_some(), "it is the master that the sentinels know");

    let one = Config { urls: vec![replica], topology: RedisTopology::Standalone, ..sentinels };
    let redis = that_is_away(&one).await;
    assert!(matches!(redis.check().await, Health::Degraded(why) if why.contains("not a master")));
}

#[tokio::test]
async fn a_user_with_the_advised_rights_is_enough_and_one_with_less_is_told() {
    for kind in [Kind::Standalone, Kind::Cluster] {
        let Some(config) = shared(kind) else { return };
        let user = random("user");
        let set_user = async |rules: &str| {
            for url in &config.urls {
                let mut admin = plain(url, config.password.as_deref().unwrap()).await;
                let rules = rules.split(' ').filter(|rule| !rule.is_empty());
                let command = redis::cmd("ACL").arg("SETUSER").arg(&user).arg(rules.collect::<Vec<_>>()).to_owned();
                let () = command.query_async(&mut admin).await.unwrap();
            }
        };
        let limited = Config { username: Some(user.clone()), password: Some("other".to_owned()), ..config.clone() };
        set_user("on >other").await;
        let advised = {
            let redis = Redis::open(&limited, HOUR, 10, Env::system()).unwrap();
            redis.access_rules()
        };
        set_user(&format!("reset on >other {advised}")).await;
        let redis = node(&limited).await;
        let findings = redis.examine().await;
        assert!(findings.iter().all(|f| matches!(f.verdict, Verdict::Good(_))), "{kind:?} {findings:#?}");
        redis.put(key_of("a"), alice(Some("s"))).await;
        assert!(
            node(&config).await.get(&key_of("a")).await.is_some(),
            "{kind:?}: it is in Redis, {:?}",
            redis.check().await
        );
        let mut subscription = redis.subscribe("username:alice@example.org").await.unwrap();
        node(&config).await.publish("username:alice@example.org", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(hear(&mut subscription).await, Heard::Message(Bytes::from_static(b"x")));

        set_user("-hset -publish").await;
        let findings = redis.examine().await;
        let bad =
            findings.iter().filter(|f| matches!(&f.verdict, Verdict::Bad { advice, .. } if advice.contains("+hset")));
        let bad: Vec<_> = bad.map(|f| f.subject.as_str()).collect();
        assert_eq!(bad, ["remembering tokens", "publishing on the bus"], "{kind:?}");
        // Tokens are remembered all the same.
        let redis = Arc::new(redis);
        redis.put(key_of("b"), alice(None)).await;
        assert!(redis.get(&key_of("b")).await.is_some());
    }
}
