//! `rabbitmq.properties` (storage §8.3, messaging §2.1).

use url::Url;

use super::calendar::{self, Facts};
use super::draft::Draft;
use super::source::{Given, Source, SystemProperties, is_http_url};
use super::values::Unit;

pub const FILE: &str = "rabbitmq.properties";

const WORKPLACE: &str = "not built in this version: convoke does not speak to Twake Workplace yet";
const MANAGEMENT: &str = "not needed: convoke asks the broker itself, never its management interface";
const POOL: &str = "not needed: convoke has one connection for what it sends and one for what it receives";
const INHERITED: &str = "not needed: it has no effect in Twake Calendar";

const DISMISSED: &[(&str, &str)] = &[
    ("ssl.management.enabled", MANAGEMENT),
    ("connection.pool.retries", POOL),
    ("connection.pool.min.delay.ms", POOL),
    ("channel.pool.size", POOL),
    ("channel.pool.retries", POOL),
    ("channel.pool.max.delay.ms", POOL),
    ("scheduled.consumer.reconnection.enabled", "not needed: a consumer that ends is started again by itself"),
    ("scheduled.consumer.reconnection.interval", "not needed: a consumer that ends is started again by itself"),
    ("notification.queue.ttl", INHERITED),
    ("notification.queue.autoDelete", INHERITED),
    ("task.queue.consumer.timeout", INHERITED),
    ("twp.rabbitmq.uri", WORKPLACE),
    ("twp.rabbitmq.management.uri", WORKPLACE),
    ("twp.queues.quorum.bypass", WORKPLACE),
    ("twp.settings.exchange", WORKPLACE),
    ("twp.settings.routingKey", WORKPLACE),
    ("common.contacts.exchange", WORKPLACE),
    ("twp.saas.subscription.exchange", WORKPLACE),
    ("twp.saas.subscription.routingKey", WORKPLACE),
    ("twp.saas.domain.subscription.routingKey", WORKPLACE),
    ("twp.saas.configuration.exchange", WORKPLACE),
    ("twp.saas.configuration.routingKey", WORKPLACE),
];

/// Reads the file.
pub fn read(text: &str, facts: Facts, system: &SystemProperties, draft: &mut Draft) {
    let mut source = Source::new(FILE, text, system, draft);
    source.draft.imply("rabbitmq.properties", "engine.queue", "rabbitmq");
    broker(&mut source);
    management(&mut source);
    certificates(&mut source);
    queues(&mut source, facts, system);
    let interval = source.duration("driver.network.recovery.interval", Unit::Ms, true);
    if !matches!(interval, Given::Absent | Given::Wrong) {
        let text = "not needed: convoke reconnects with growing pauses of its own";
        source.remark("driver.network.recovery.interval", text);
    }
    source.dismiss(DISMISSED);
    source.dismiss_below("event.bus.", INHERITED);
    source.finish();
}

/// `rabbitmq.url` of `uri`, `hosts`, `vhost` and `ssl.enabled`.
fn broker(source: &mut Source<'_>) {
    let uri = source.text("uri");
    let vhost = source.text("vhost");
    let hosts = source.list("hosts");
    let tls = source.switch("ssl.enabled", false);
    match &uri {
        Given::Later(text) if tls && !text.starts_with("amqp") => {
            source.remark("ssl.enabled", "comes from the environment: rabbitmq.url must begin with amqps://");
        }
        _ => source.part_of("ssl.enabled", "rabbitmq.url"),
    }
    match uri {
        Given::Absent => source.refuse("uri", "missing"),
        Given::Known(text) => match broker_url(&text, vhost.known(), hosts.first(), tls) {
            Some(url) => {
                source.part_of("vhost", "rabbitmq.url");
                source.carry("uri", "rabbitmq.url", url);
            }
            None => source.refuse("uri", "expected amqp://user:password@host:5672/vhost, or amqps"),
        },
        Given::Later(text) => {
            let text = if tls { text.replacen("amqp://", "amqps://", 1) } else { text };
            source.remark_if_there("vhost", "put it at the end of rabbitmq.url, with \"/\" as %2f");
            source.remark_if_there("hosts", "put the host into rabbitmq.url");
            source.carry("uri", "rabbitmq.url", text);
            return;
        }
        Given::Wrong => {}
    }
    match hosts.as_slice() {
        [] => {}
        [_] => source.part_of("hosts", "rabbitmq.url"),
        [first, ..] => source.remark(
            "hosts",
            format!(
                "{first} is carried to rabbitmq.url, the others have no equivalent: name a host there that leads to \
                     all of them"
            ),
        ),
    }
}

/// None when `uri` is no AMQP URL.
fn broker_url(uri: &str, vhost: Option<String>, host: Option<&String>, tls: bool) -> Option<String> {
    let mut url = Url::parse(uri).ok().filter(|u| matches!(u.scheme(), "amqp" | "amqps") && u.has_host())?;
    if tls && url.scheme() == "amqp" {
        // `Url` refuses to change to a scheme that it does not know.
        url = Url::parse(&uri.replacen("amqp", "amqps", 1)).ok()?;
    }
    if let Some(host) = host {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse::<u16>().ok()?)),
            None => (host.as_str(), None),
        };
        url.set_host(Some(name)).ok()?;
        if port.is_some() {
            url.set_port(port).ok()?;
        }
    }
    if let Some(vhost) = vhost {
        let name: String = url::form_urlencoded::byte_serialize(vhost.as_bytes()).collect();
        url.set_path(&format!("/{}", name.replace('+', "%20")));
    }
    Some(url.to_string())
}

fn management(source: &mut Source<'_>) {
    match source.text("management.uri") {
        Given::Absent => source.refuse("management.uri", "missing"),
        Given::Known(text) if !is_http_url(&text) => {
            source.refuse("management.uri", format!("found {text:?}, expected an http or https URL"));
        }
        _ => source.remark("management.uri", MANAGEMENT),
    }
    for key in ["management.user", "management.password"] {
        match source.text(key) {
            Given::Absent => source.refuse(key, "missing"),
            _ => source.remark(key, MANAGEMENT),
        }
    }
}

fn certificates(source: &mut Source<'_>) {
    let strategy = source.choice("ssl.validation.strategy", &["default", "ignore", "override"]);
    let (truststore, keystore) = (source.text("ssl.truststore"), source.text("ssl.keystore"));
    match strategy.as_deref() {
        Some("ignore") => source.remark(
            "ssl.validation.strategy",
            "no equivalent: certificates are always checked; name the broker's authority in rabbitmq.ca_file",
        ),
        Some("override") if !truststore.is_there() => {
            source.refuse("ssl.truststore", "missing, and ssl.validation.strategy is override");
            source.remark("ssl.validation.strategy", "not carried: ssl.truststore is missing");
        }
        Some("override") => source.remark("ssl.validation.strategy", "carried by hand: see ssl.truststore"),
        _ => {}
    }
    if truststore.is_there() {
        source.remark(
            "ssl.truststore",
            "convoke reads PEM: `keytool -exportcert -rfc -keystore STORE -alias NAME -file FILE`, then set \
             rabbitmq.ca_file to FILE",
        );
    }
    if keystore.is_there() {
        source.remark(
            "ssl.keystore",
            "convoke reads PEM: `openssl pkcs12 -in STORE -nodes -out FILE`, then set rabbitmq.client_certificate_file to \
             FILE",
        );
    }
    for key in ["ssl.truststore.password", "ssl.keystore.password"] {
        if source.text(key).is_there() {
            source.remark(key, "not needed: PEM files have none");
        }
    }
    if source.choice("ssl.hostname.verifier", &["default", "accept_any_hostname"]).as_deref()
        == Some("accept_any_hostname")
    {
        source.remark("ssl.hostname.verifier", "no equivalent: the certificate must have the name in rabbitmq.url");
    }
}

/// What queues are: those that exist must be declared as they were (messaging §2.1).
fn queues(source: &mut Source<'_>, facts: Facts, system: &SystemProperties) {
    const ENABLE: &str = "quorum.queues.enable";
    let wanted = source.switch(ENABLE, false);
    let old = system.get("fallback.classic.queues.v1").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let factor = source.integer("quorum.queues.replication.factor", 1);
    let limit = source.integer("quorum.queues.delivery.limit", 1);
    let kind = match (facts.quorum_bypass, wanted, old) {
        (true, true, _) => "quorum",
        // Declared without an argument.
        (true, false, _) | (false, _, true) => "classic-v1",
        (false, _, false) => "classic-v2",
    };
    if kind == "quorum" {
        source.carry(ENABLE, "rabbitmq.queue_type", kind);
        source.carry_given("quorum.queues.replication.factor", "rabbitmq.quorum_group_size", number(factor));
        source.carry_given("quorum.queues.delivery.limit", "rabbitmq.quorum_delivery_limit", number(limit));
        return;
    }
    source.draft.imply(calendar::FILE, "rabbitmq.queue_type", kind);
    let classic = format!("the queues are classic: rabbitmq.queue_type is {kind:?}");
    if wanted {
        source.remark(ENABLE, format!("{classic}, because dav.queues.quorum.bypass is not true"));
    } else {
        source.remark_if_there(ENABLE, &classic);
    }
    for (key, given) in [("quorum.queues.replication.factor", factor), ("quorum.queues.delivery.limit", limit)] {
        if !matches!(given, Given::Wrong) {
            source.remark_if_there(key, &format!("not needed: {classic}"));
        }
    }
}

fn number(given: Given<i64>) -> Given<toml::Value> {
    match given {
        Given::Known(n) => Given::Known(toml::Value::Integer(n)),
        Given::Later(text) => Given::Later(text),
        Given::Absent => Given::Absent,
        Given::Wrong => Given::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_the_broker_is_put_together() {
        let put = |uri: &str, vhost: Option<&str>, host: Option<&str>, tls| {
            broker_url(uri, vhost.map(str::to_owned), host.map(str::to_owned).as_ref(), tls)
        };
        let same = "amqp://u:p@mq.example.org:5672/calendar";
        assert_eq!(put(same, None, None, false).as_deref(), Some(same));
        assert_eq!(put("amqp://u:p@mq", None, None, true).as_deref(), Some("amqps://u:p@mq"));
        assert_eq!(put(same, Some("/"), None, false).as_deref(), Some("amqp://u:p@mq.example.org:5672/%2F"));
        assert_eq!(put(same, Some("a b"), None, false).as_deref(), Some("amqp://u:p@mq.example.org:5672/a%20b"));
        assert_eq!(put(same, None, Some("x:1"), false).as_deref(), Some("amqp://u:p@x:1/calendar"));
        assert_eq!(put(same, None, Some("x"), false).as_deref(), Some("amqp://u:p@x:5672/calendar"));
        assert_eq!(put("http://mq", None, None, false), None);
        assert_eq!(put("mq.example.org", None, None, false), None);
    }
}
