//! `redis.properties` (storage §8.4). Its presence chooses Redis.

use url::Url;

use super::draft::{Draft, has_placeholder};
use super::source::{Given, Source, SystemProperties};
use super::values::Unit;

pub const FILE: &str = "redis.properties";

const DISMISSED: &[(&str, &str)] = &[
    ("redis.ioThreads", "not needed: convoke has no threads of its own for it"),
    ("redis.workerThreads", "not needed: convoke has no threads of its own for it"),
    ("eventBus.redis.failure.ignore", "not needed: convoke goes on without Redis and says so in its health"),
];

/// Reads the file.
pub fn read(text: &str, system: &SystemProperties, draft: &mut Draft) {
    let mut source = Source::new(FILE, text, system, draft);
    source.draft.imply("redis.properties", "engine.cache", "redis");
    let tls = source.switch("redis.ssl.enabled", false);
    servers(&mut source, tls);
    let password = source.text("redis.sentinelPassword");
    source.carry_given("redis.sentinelPassword", "redis.sentinel_password", password);
    if source.choice("redis.readFrom", READ_FROM).is_some_and(|from| from != "master") {
        source.remark("redis.readFrom", "no equivalent: convoke reads from the master, which is never behind");
    }
    certificates(&mut source, tls);
    if !matches!(source.duration("eventBus.redis.timeout", Unit::Ms, false), Given::Absent | Given::Wrong) {
        source.remark(
            "eventBus.redis.timeout",
            "not carried: redis.response_timeout_ms is for every answer, tokens included, so keep it short",
        );
    }
    source.dismiss(DISMISSED);
    source.finish();
}

const READ_FROM: &[&str] = &[
    "master",
    "masterPreferred",
    "upstream",
    "upstreamPreferred",
    "replica",
    "replicaPreferred",
    "slave",
    "slavePreferred",
    "lowestLatency",
    "nearest",
    "any",
    "anyReplica",
];

fn servers(source: &mut Source<'_>, tls: bool) {
    let mut topology = source.choice("redis.topology", &["standalone", "cluster", "master-replica", "sentinel"]);
    let addresses = source.list("redisURL");
    if tls && addresses.iter().any(|a| !a.starts_with("redis")) {
        source.remark("redis.ssl.enabled", "comes from the environment: redis.urls must begin with rediss://");
    } else {
        source.part_of("redis.ssl.enabled", "redis.urls");
    }
    if addresses.is_empty() {
        source.refuse("redisURL", "missing");
        return;
    }
    if addresses.iter().any(|a| has_placeholder(a)) {
        if let Some(topology) = topology {
            source.carry("redis.topology", "redis.topology", topology);
        }
        let scheme = |a: &String| if tls { a.replacen("redis://", "rediss://", 1) } else { a.clone() };
        source.carry("redisURL", "redis.urls", addresses.iter().map(scheme).collect::<Vec<_>>());
        return;
    }
    // Several sentinels stand in one URL, which the reader of lists has taken apart.
    let joined = addresses.join(",");
    let servers = match sentinels(&joined) {
        Some(sentinels) => {
            topology = Some("sentinel".to_owned());
            source.carry("redisURL", "redis.sentinel_master", sentinels.master.clone());
            if let Some(password) = &sentinels.password {
                source.carry("redisURL", "redis.password", password.clone());
            }
            let scheme = if joined.starts_with("rediss-") { "rediss" } else { "redis" };
            sentinels.hosts.iter().map(|h| format!("{scheme}://{h}")).collect()
        }
        None => addresses,
    };
    match servers.iter().map(|server| server_url(server, tls)).collect::<Option<Vec<String>>>() {
        Some(urls) => source.carry("redisURL", "redis.urls", urls),
        None => source.refuse(
            "redisURL",
            "expected redis://[:password@]host:port[/db], or redis-sentinel://…?sentinelMasterId=name",
        ),
    }
    if let Some(topology) = topology {
        source.carry("redis.topology", "redis.topology", topology);
    }
}

fn server_url(text: &str, tls: bool) -> Option<String> {
    let text = if tls { text.replacen("redis://", "rediss://", 1) } else { text.to_owned() };
    let url = Url::parse(&text).ok().filter(|u| matches!(u.scheme(), "redis" | "rediss") && u.has_host())?;
    Some(url.to_string())
}

/// `redis-sentinel://[password@]host:26379,host:26379[/db]?sentinelMasterId=name`.
struct Sentinels {
    hosts: Vec<String>,
    password: Option<String>,
    master: String,
}

fn sentinels(text: &str) -> Option<Sentinels> {
    let rest = text.strip_prefix("redis-sentinel://").or_else(|| text.strip_prefix("rediss-sentinel://"))?;
    let (place, query) = rest.split_once('?').or_else(|| rest.split_once('#').map(|(p, _)| (p, "")))?;
    let master = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "sentinelMasterId");
    let master = master.map(|(_, name)| name.into_owned()).filter(|name| !name.is_empty())?;
    let hosts = place.split('/').next().unwrap_or_default();
    let (password, hosts) = match hosts.rsplit_once('@') {
        Some((login, hosts)) => (Some(login.split_once(':').map_or(login, |(_, password)| password).to_owned()), hosts),
        None => (None, hosts),
    };
    let hosts = hosts.split(',').map(str::trim).filter(|h| !h.is_empty());
    let hosts = hosts.map(|h| if h.contains(':') { h.to_owned() } else { format!("{h}:26379") }).collect();
    Some(Sentinels { hosts, password, master })
}

fn certificates(source: &mut Source<'_>, tls: bool) {
    let ignore = source.boolean("redis.ignoreCertificateCheck");
    if tls && matches!(ignore, Given::Known(true) | Given::Absent) {
        source.remark(
            "redis.ignoreCertificateCheck",
            "no equivalent: certificates are always checked; name the server's authority in redis.ca_file",
        );
    } else if !tls {
        source.remark_if_there("redis.ignoreCertificateCheck", "not needed: redis.ssl.enabled is not true");
    }
    if source.text("redis.keystore.file.path").is_there() {
        source.remark(
            "redis.keystore.file.path",
            "convoke reads PEM: `keytool -exportcert -rfc -keystore STORE -alias NAME -file FILE`, then set redis.ca_file to \
             FILE",
        );
    }
    if source.text("redis.keystore.password").is_there() {
        source.remark("redis.keystore.password", "not needed: PEM files have none");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_taken_from_their_url() {
        let found = sentinels("redis-sentinel://s3cret@a:26379,b?sentinelMasterId=mymaster").unwrap();
        assert_eq!(found.hosts, ["a:26379", "b:26379"]);
        assert_eq!(found.password.as_deref(), Some("s3cret"));
        assert_eq!(found.master, "mymaster");
        assert!(sentinels("redis-sentinel://a:26379").is_none(), "a master without a name");
        assert!(sentinels("redis://a:6379").is_none());
    }

    #[test]
    fn tls_is_in_the_scheme() {
        assert_eq!(server_url("redis://:pw@h:6379/1", true).as_deref(), Some("rediss://:pw@h:6379/1"));
        assert_eq!(server_url("rediss://h", false).as_deref(), Some("rediss://h"));
        assert_eq!(server_url("h:6379", false), None);
    }
}
