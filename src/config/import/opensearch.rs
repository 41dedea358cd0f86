//! `opensearch.properties` (storage §4, §5, §8.5). Its presence chooses OpenSearch.

use super::draft::{Draft, has_placeholder};
use super::source::{Given, Source, SystemProperties};
use super::values::Unit;

pub const FILE: &str = "opensearch.properties";

/// Names, as they are.
const NAMES: &[(&str, &str)] = &[
    ("opensearch.index.calendar.events.name", "opensearch.events.index"),
    ("opensearch.alias.read.calendar.events.name", "opensearch.events.read_alias"),
    ("opensearch.alias.write.calendar.events.name", "opensearch.events.write_alias"),
    ("opensearch.index.contact.user.name", "opensearch.contacts.user_index"),
    ("opensearch.alias.read.contact.user.name", "opensearch.contacts.user_read_alias"),
    ("opensearch.alias.write.contact.user.name", "opensearch.contacts.user_write_alias"),
    ("opensearch.index.contact.domain.name", "opensearch.contacts.domain_index"),
    ("opensearch.alias.read.contact.domain.name", "opensearch.contacts.domain_read_alias"),
    ("opensearch.alias.write.contact.domain.name", "opensearch.contacts.domain_write_alias"),
];

/// Numbers, with the least that they may be.
const NUMBERS: &[(&str, i64, &str)] = &[
    ("opensearch.nb.shards", 1, "opensearch.shards"),
    ("opensearch.nb.replica", 0, "opensearch.replicas"),
    ("opensearch.index.waitForActiveShards", 0, "opensearch.wait_for_active_shards"),
    ("opensearch.retryConnection.maxRetries", 0, "opensearch.retries"),
    ("opensearch.index.calendar.events.min.ngram", 1, "opensearch.events.min_ngram"),
    ("opensearch.index.calendar.events.max.ngram.diff", 1, "opensearch.events.max_ngram_diff"),
    ("opensearch.index.contact.min.ngram", 1, "opensearch.contacts.min_ngram"),
    ("opensearch.index.contact.max.ngram.diff", 1, "opensearch.contacts.max_ngram_diff"),
];

const FLAGS: &[(&str, &str)] = &[
    ("opensearch.index.calendar.events.summary.searchPrefix", "opensearch.events.summary_prefix"),
    ("opensearch.index.calendar.events.fuzzySearch", "opensearch.events.fuzzy"),
    ("opensearch.index.calendar.events.queryStringQuery", "opensearch.events.query_string"),
];

const DISMISSED: &[(&str, &str)] = &[
    ("opensearch.clusterName", "not needed: Twake Calendar never reads it"),
    ("opensearch.search.overrides", "not needed: Twake Calendar ignores it"),
    ("opensearch.max.connections", "no equivalent: connections are opened as they are needed"),
    ("opensearch.max.connections.per.hosts", "no equivalent: connections are opened as they are needed"),
];

/// Reads the file.
pub fn read(text: &str, system: &SystemProperties, draft: &mut Draft) {
    let mut source = Source::new(FILE, text, system, draft);
    source.draft.imply("opensearch.properties", "engine.search", "opensearch");
    nodes(&mut source);
    login(&mut source);
    certificates(&mut source);
    for (key, target) in NAMES {
        let name = source.text(key);
        source.carry_given(key, target, name);
    }
    for (key, least, target) in NUMBERS {
        match source.integer(key, *least) {
            Given::Known(number) => source.carry(key, target, number),
            Given::Later(text) => source.carry(key, target, text),
            Given::Absent | Given::Wrong => {}
        }
    }
    for (key, target) in FLAGS {
        let flag = source.boolean(key);
        source.carry_given(
            key,
            target,
            match flag {
                Given::Known(on) => Given::Known(toml::Value::Boolean(on)),
                Given::Later(text) => Given::Later(text),
                _ => Given::Absent,
            },
        );
    }
    let pause = source.duration("opensearch.retryConnection.minDelay", Unit::Ms, false);
    source.carry_duration("opensearch.retryConnection.minDelay", "opensearch.retry_wait_ms", pause);
    let answer = source.duration("opensearch.request.timeout", Unit::Ms, false);
    source.carry_duration("opensearch.request.timeout", "opensearch.request_timeout_ms", answer);
    source.dismiss(DISMISSED);
    source.finish();
}

fn nodes(source: &mut Source<'_>) {
    let scheme = source.choice("opensearch.hostScheme", &["http", "https"]);
    if scheme.is_some() {
        source.part_of("opensearch.hostScheme", "opensearch.urls");
    }
    let scheme = scheme.unwrap_or_else(|| "http".to_owned());
    let hosts = source.list("opensearch.hosts");
    let master = source.text("opensearch.masterHost");
    let port = source.port("opensearch.port", 1);
    if !hosts.is_empty() {
        if master.is_there() || port.is_there() {
            source.refuse(
                "opensearch.hosts",
                "there with opensearch.masterHost or opensearch.port: they exclude each other",
            );
            for key in ["opensearch.masterHost", "opensearch.port"] {
                source.remark_if_there(key, "not carried: opensearch.hosts is there, too");
            }
            return;
        }
        carry_urls(source, "opensearch.hosts", &scheme, &hosts);
        return;
    }
    match (master, port) {
        (Given::Absent, Given::Absent) => {
            source.refuse("opensearch.hosts", "missing, and so are opensearch.masterHost and opensearch.port");
        }
        (Given::Absent, _) => source.refuse_without("opensearch.masterHost", "opensearch.port"),
        (_, Given::Absent) => source.refuse_without("opensearch.port", "opensearch.masterHost"),
        (Given::Known(host) | Given::Later(host), Given::Known(port)) => {
            source.part_of("opensearch.port", "opensearch.urls");
            carry_urls(source, "opensearch.masterHost", &scheme, &[format!("{host}:{port}")]);
        }
        (Given::Known(host) | Given::Later(host), Given::Later(port)) => {
            source.part_of("opensearch.port", "opensearch.urls");
            carry_urls(source, "opensearch.masterHost", &scheme, &[format!("{host}:{port}")]);
        }
        _ => {}
    }
}

fn carry_urls(source: &mut Source<'_>, key: &str, scheme: &str, hosts: &[String]) {
    let mut urls = Vec::new();
    for host in hosts {
        let with_port = match has_placeholder(host) || host.rsplit_once(':').is_some() {
            true => host.clone(),
            false => format!("{host}:9200"),
        };
        let url = format!("{scheme}://{with_port}");
        if !has_placeholder(host) && !super::source::is_http_url(&url) {
            source.refuse(key, format!("found {host:?}, expected host or host:port"));
            return;
        }
        urls.push(url);
    }
    source.carry(key, "opensearch.urls", urls);
}

fn login(source: &mut Source<'_>) {
    let (user, password) = (source.text("opensearch.user"), source.text("opensearch.password"));
    match (user.is_there(), password.is_there()) {
        (true, false) => source.refuse_without("opensearch.password", "opensearch.user"),
        (false, true) => source.refuse_without("opensearch.user", "opensearch.password"),
        _ => {
            source.carry_given("opensearch.user", "opensearch.username", user);
            source.carry_given("opensearch.password", "opensearch.password", password);
        }
    }
}

fn certificates(source: &mut Source<'_>) {
    const STRATEGY: &str = "opensearch.hostScheme.https.sslValidationStrategy";
    const STORE: &str = "opensearch.hostScheme.https.trustStorePath";
    const VERIFIER: &str = "opensearch.hostScheme.https.hostNameVerifier";
    let strategy = source.choice(STRATEGY, &["default", "ignore", "override"]);
    let store = source.text(STORE);
    let password = source.text("opensearch.hostScheme.https.trustStorePassword");
    match strategy.as_deref() {
        Some("ignore") => source.remark(
            STRATEGY,
            "no equivalent: certificates are always checked; name the cluster's authority in opensearch.ca_file",
        ),
        Some("override") if !store.is_there() || !password.is_there() => {
            source.refuse(STRATEGY, "override, and trustStorePath and trustStorePassword are not both there");
        }
        Some("override") => source.remark(STRATEGY, "carried by hand: see opensearch.hostScheme.https.trustStorePath"),
        _ => {}
    }
    if store.is_there() {
        source.remark(
            STORE,
            "convoke reads PEM: `keytool -exportcert -rfc -keystore STORE -alias NAME -file FILE`, then set \
             opensearch.ca_file to FILE",
        );
    }
    if password.is_there() {
        source.remark("opensearch.hostScheme.https.trustStorePassword", "not needed: PEM files have none");
    }
    if source.choice(VERIFIER, &["default", "accept_any_hostname"]).as_deref() == Some("accept_any_hostname") {
        source.remark(VERIFIER, "no equivalent: the certificate must have the name in opensearch.urls");
    }
}
