//! A close look at Redis, for `convoke doctor`. It does with keys of its own what the ports do with theirs, and removes them
//! again.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use redis::{Cmd, ConnectionAddr, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, cmd};

use super::names::Names;
use super::place::{Place, Wire};
use super::{Redis, Shared};
use crate::cache::TokenKey;
use crate::health::{Examine, Finding};
use crate::net::certificate_end;

/// Oldest version that has every command: HSET with several fields came with 4.0.
const OLDEST: u32 = 4;
/// How long what the examination writes stays when it cannot be removed.
const STAYS_MS: u32 = 10_000;
/// Clocks may differ by this much.
const SKEW: TimeDelta = TimeDelta::seconds(5);
/// A certificate that ends sooner is to be replaced.
const RENEW: TimeDelta = TimeDelta::days(14);

#[async_trait]
impl Examine for Redis {
    fn engine(&self) -> String {
        let addresses: Vec<_> = self.shared.place.addresses().map(ToString::to_string).collect();
        format!("Redis {}", addresses.join(", "))
    }

    async fn examine(&self) -> Vec<Finding> {
        let shared = &self.shared;
        let mut findings = shared.nodes_found().await;
        findings.extend(shared.certificates_found().await);
        let mut wire = match shared.place.connect().await {
            Ok(wire) => wire,
            Err(why) => {
                let advice = advice_for(&why);
                findings.push(Finding::bad("connection", why, advice));
                return findings;
            }
        };
        findings.push(Finding::good("connection", shared.place.kind()));
        findings.extend(server_found(&shared.place, &mut wire).await);
        findings.extend(shared.clock_found(&mut wire).await);
        findings.extend(shared.rights_found(&wire).await);
        findings.push(shared.listening_found().await);
        findings
    }
}

impl Shared {
    /// Every configured address by itself: one that is down is not noticed as long as another answers.
    async fn nodes_found(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (node, address) in self.place.addresses().enumerate() {
            let subject = format!("address {address}");
            findings.push(match self.place.answers(node).await {
                Ok(()) => Finding::good(subject, "answers"),
                Err(why) => {
                    let advice = advice_for(&why);
                    Finding::bad(subject, why, advice)
                }
            });
        }
        findings
    }

    async fn certificates_found(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for address in self.place.addresses() {
            let ConnectionAddr::TcpTls { host, port, .. } = address else { continue };
            let subject = format!("certificate of {address}");
            let end = certificate_end(host, *port, self.place.authority(), self.place.patience()).await;
            findings.push(match end {
                Err(e) => Finding::bad(subject, e.to_string(), advice_for(&e.to_string())),
                Ok(end) if end - self.env.now() < RENEW => {
                    Finding::doubtful(subject, format!("ends {}", end.format("%Y-%m-%d")), "renew it")
                }
                Ok(end) => Finding::good(subject, format!("good until {}", end.format("%Y-%m-%d"))),
            });
        }
        findings
    }

    async fn clock_found(&self, wire: &mut Wire) -> Option<Finding> {
        let asked = self.env.now();
        let (seconds, micros): (i64, u32) = self.look(wire, &cmd("TIME")).await.ok()?;
        let there = chrono::DateTime::from_timestamp(seconds, micros.checked_mul(1_000)?)?;
        // It was read at some time between the question and now.
        let skew = if there < asked { asked - there } else { (there - self.env.now()).max(TimeDelta::zero()) };
        let found = format!("differs by {} s", skew.num_seconds());
        Some(if skew > SKEW {
            Finding::doubtful("clock", found, "let both machines take their time from the same NTP servers")
        } else {
            Finding::good("clock", found)
        })
    }

    async fn rights_found(&self, wire: &Wire) -> Vec<Finding> {
        let advice = format!("give the user these rights: ACL SETUSER … {}", self.names.access_rules());
        let mut findings = Vec::new();
        for (subject, commands) in trials(&self.names, &self.env.token(128)) {
            let mut refused = Vec::new();
            for command in commands {
                let mut wire = wire.clone();
                if let Err(e) = self.look::<redis::Value>(&mut wire, &command).await {
                    refused.push(e.to_string());
                }
            }
            findings.push(match refused.first() {
                None => Finding::good(subject, "granted"),
                Some(first) => Finding::bad(subject, first, &advice),
            });
        }
        findings.push(match self.transaction(wire.clone()).await {
            Ok(()) => Finding::good("transactions", "granted"),
            Err(e) => Finding::bad("transactions", e.to_string(), &advice),
        });
        findings
    }

    async fn transaction(&self, mut wire: Wire) -> Result<(), RedisError> {
        let mut both = redis::pipe();
        both.atomic().set(self.names.probe(), "").ignore().pexpire(self.names.probe(), STAYS_MS.into()).ignore();
        match tokio::time::timeout(self.place.patience(), both.exec_async(&mut wire)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    async fn listening_found(&self) -> Finding {
        const SUBJECT: &str = "listening on the bus";
        let channel = format!("{}doctor", self.names.channels());
        let attempt = async {
            let mut connection = self.place.listen().await?;
            connection.subscribe(&channel).await.map_err(|e| e.to_string())
        };
        match tokio::time::timeout(self.place.patience(), attempt).await {
            Ok(Ok(())) => Finding::good(SUBJECT, "granted"),
            Ok(Err(why)) => {
                let advice = format!("give the user these rights: ACL SETUSER … {}", self.names.access_rules());
                Finding::bad(SUBJECT, why, advice)
            }
            Err(_) => Finding::bad(SUBJECT, "no answer in time", "see whether the server is overloaded"),
        }
    }

    async fn look<T: FromRedisValue>(&self, wire: &mut Wire, command: &Cmd) -> Result<T, RedisError> {
        look(self.place.patience(), wire, command).await
    }
}

async fn look<T: FromRedisValue>(patience: Duration, wire: &mut Wire, command: &Cmd) -> Result<T, RedisError> {
    match tokio::time::timeout(patience, command.query_async(wire)).await {
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Version, role and memory.
async fn server_found(place: &Place, wire: &mut Wire) -> Vec<Finding> {
    let info = match tokio::time::timeout(place.patience(), wire.info()).await {
        Ok(Ok(info)) => info,
        Ok(Err(e)) if e.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
            let found = "the user may not ask for it (INFO)";
            return vec![Finding::doubtful("version and memory", found, "grant +info for a closer look")];
        }
        Ok(Err(e)) => return vec![Finding::bad("version and memory", e.to_string(), advice_for(&e.to_string()))],
        Err(_) => return vec![Finding::bad("version and memory", "no answer in time", "see whether it is overloaded")],
    };
    let value = |key: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map_or("", str::trim)
    };
    let version = value("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let mut findings = vec![match major {
        Some(major) if major < OLDEST => Finding::bad("version", version, "install 4.0 or newer"),
        _ => Finding::good("version", version),
    }];
    findings.push(Finding::good("role", format!("{}, {} replicas", value("role"), value("connected_slaves"))));
    let (limit, policy) = (value("maxmemory"), value("maxmemory_policy"));
    let found = format!("maxmemory {limit}, {policy}");
    findings.push(match (limit, policy) {
        ("" | "0", _) => Finding::good("memory", found),
        (_, "noeviction") => Finding::doubtful(
            "memory",
            found,
            "when it is full, tokens are not shared between nodes; maxmemory-policy volatile-ttl makes room",
        ),
        (_, policy) if policy.starts_with("allkeys") => Finding::doubtful(
            "memory",
            found,
            "registrations of listeners may be evicted, and live updates lost; use maxmemory-policy volatile-ttl",
        ),
        _ => Finding::good("memory", found),
    });
    findings
}

/// What the ports do, on keys named after `mark`, which are gone afterwards.
fn trials(names: &Names, mark: &str) -> Vec<(&'static str, Vec<Cmd>)> {
    let mut key = [0; 64];
    key.iter_mut().zip(mark.bytes()).for_each(|(k, m)| *k = m);
    let (token, session) = (names.token(&TokenKey(key)), names.session(&format!("doctor-{mark}")));
    let channel = format!("{}doctor-{mark}", names.channels());
    let command = |name: &str, args: &[&str]| cmd(name).arg(args).to_owned();
    let stays = STAYS_MS.to_string();
    let tokens = vec![
        command("HSET", &[&token, "email", ""]),
        command("PEXPIRE", &[&token, &stays]),
        command("HGETALL", &[&token]),
        command("RPUSH", &[&session, &token]),
        command("PEXPIRE", &[&session, &stays]),
        command("LRANGE", &[&session, "0", "-1"]),
        command("DEL", &[&token]),
        command("DEL", &[&session]),
    ];
    let topics = ["calendar", "addressbook", "username", "other"].map(|kind| format!("{kind}:doctor-{mark}"));
    let sets = topics.iter().map(|topic| names.registrations(topic));
    let sets = sets.chain([names.nodes(), names.registered_by(&channel)]);
    let registrations = sets.flat_map(|set| {
        [command("SADD", &[&set, &channel]), command("SMEMBERS", &[&set]), command("SREM", &[&set, &channel])]
    });
    let common = names.common_channel();
    vec![
        ("remembering tokens", tokens),
        ("registering on the bus", registrations.collect()),
        ("publishing on the bus", vec![command("PUBLISH", &[&channel, ""]), command("PUBLISH", &[&common, ""])]),
        ("finding dead nodes", vec![cmd("PUBSUB").arg("NUMSUB").arg(&channel).to_owned()]),
        (
            "telling its health",
            vec![
                command("SET", &[&names.probe(), mark, "PX", &stays]),
                command("GET", &[&names.probe()]),
                cmd("PING").to_owned(),
            ],
        ),
    ]
}

fn advice_for(why: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&["WRONGPASS", "NOAUTH", "uthentication", "invalid password"]) {
        "check redis.username and redis.password, and redis.sentinel_password for sentinels"
    } else if says(&["certificate", "UnknownIssuer", "tls", "TLS"]) {
        "check redis.ca_file, that redis.urls name the host that is in the certificate, and rediss:// for TLS"
    } else if says(&["no master"]) {
        "check redis.sentinel_master"
    } else if says(&["not a master"]) {
        "name the master in redis.urls, or use topology = \"master-replica\" or \"sentinel\""
    } else if says(&["cluster"]) {
        "check redis.topology, and CLUSTER INFO on the nodes"
    } else {
        "check redis.urls, and that the server runs and can be reached from here"
    }
}
