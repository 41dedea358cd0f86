//! The small files (storage §8.7 to §8.9): health, system properties, logs, keys, and what is nobody's.

use super::draft::Draft;
use super::properties::Properties;
use super::source::{Given, Source, SystemProperties};
use super::values::Unit;

pub const HEALTH: &str = "healthcheck.properties";
pub const SYSTEM: &str = "jvm.properties";
pub const LOGS: &str = "logback.xml";
pub const EXTENSIONS: &str = "extensions.properties";

const JVM: &[(&str, &str)] = &[
    ("working.directory", "no equivalent: --config names the file, data.dir the folder for data"),
    ("james.exit.on.startup.error", "not needed: convoke always ends with an error when it cannot start"),
    ("james.fail.on.missing.configuration", "no equivalent: there is one file, and every key has a default"),
    ("fallback.classic.queues.v1", "carried to rabbitmq.queue_type"),
    (
        "MIN_CALENDAR_OBJECT_UPDATE_RETRY_BACKOFF_IN_MILLS",
        "no equivalent: queue.retry says how every failure is tried again",
    ),
    ("james.jmap.reactor.netty.metrics.enabled", "not needed: the public port always has its metrics"),
    ("james.oidc.client.pending.acquire.max", "not needed: requests for one token are made once"),
    ("james.jwt.zip.allow", "no equivalent: compressed tokens are never taken"),
];

/// `healthcheck.properties`.
pub fn health(text: &str, system: &SystemProperties, draft: &mut Draft) {
    let mut source = Source::new(HEALTH, text, system, draft);
    match source.duration("healthcheck.period", Unit::Ms, true) {
        Given::Known(period) if period.as_secs() < 10 => {
            source.refuse("healthcheck.period", "shorter than 10 s");
        }
        Given::Known(_) | Given::Later(_) => {
            source.remark("healthcheck.period", "no equivalent: health is looked at when somebody asks");
        }
        Given::Absent | Given::Wrong => {}
    }
    source.dismiss(&[("additional.healthchecks", "no equivalent: checks of Java classes")]);
    source.finish();
}

/// `jvm.properties`; what it says is there for `${sys:…}` in other files.
pub fn system(text: &str, draft: &mut Draft) -> SystemProperties {
    let system: SystemProperties =
        Properties::parse(text).entries().iter().map(|e| (e.key.clone(), e.values.join(","))).collect();
    let mut source = Source::new(SYSTEM, text, &system, draft);
    let lease = source.duration("alarm.event.scheduler.lease.ttl", Unit::Ms, false);
    if !matches!(lease, Given::Absent | Given::Wrong) {
        source.remark("alarm.event.scheduler.lease.ttl", "not built in this version: convoke sends no alarms yet");
    }
    let delay = source.duration("scheduled.consumer.reconnection.delayStartUp", Unit::Ms, true);
    if !matches!(delay, Given::Absent | Given::Wrong) {
        source.remark(
            "scheduled.consumer.reconnection.delayStartUp",
            "not needed: a consumer that ends is started again by itself",
        );
    }
    source.dismiss(JVM);
    source.dismiss_rest("no equivalent: a property of the Java machine; ${sys:…} in other files is replaced by it");
    system
}

/// A file of which only its being there counts.
pub fn other(name: &str, text: &str, draft: &mut Draft) {
    let said = match name {
        LOGS => logs(text),
        EXTENSIONS => "not needed: Java classes".to_owned(),
        "jwt_privatekey" | "jwt_publickey" => {
            "not built in this version: convoke signs no tokens of its own".to_owned()
        }
        _ => "not read: not part of the configuration that convoke knows".to_owned(),
    };
    draft.remark(name, "", said);
}

/// The lowest level that the root logger lets pass, as a word of advice.
fn logs(text: &str) -> String {
    let root = text.split("<root").nth(1).and_then(|r| r.split("level=").nth(1));
    let level = root.and_then(|r| r.split(['"', '\'']).nth(1)).and_then(level_of);
    let json = ["JsonLayout", "JsonEncoder", "LogstashEncoder"].iter().any(|encoder| text.contains(encoder));
    let mut said = "no equivalent: convoke has its own logs, see [log]".to_owned();
    if let Some(level) = level {
        said.push_str(&format!("; log.filter = {level:?} is nearest to its root logger"));
    }
    if json {
        said.push_str("; log.format = \"json\" writes JSON");
    }
    said
}

fn level_of(word: &str) -> Option<&'static str> {
    ["error", "warn", "info", "debug", "trace", "off"].into_iter().find(|level| level.eq_ignore_ascii_case(word))
}
