//! What the types of the configuration cannot rule out (storage §8.10): numbers that must not be zero, URLs, files that
//! cannot be read, logins that are half there, keys that contradict each other.

use std::path::Path;

use url::Url;

use super::{CacheEngine, Config, Impersonation, MailTransport, Mistake, QueueEngine, SearchEngine, StoreEngine};

/// Numbers that may be zero, and what it means. Every other number must be positive: a key that is added is, unless it
/// stands here.
pub const MAY_BE_ZERO: &[(&str, &str)] = &[
    ("auth.basic_cache_s", "every password is checked"),
    ("auth.oidc.clock_skew_s", "no difference is tolerated"),
    ("auth.programs.token_cache_s", "every token is asked about"),
    ("dav.immediate_deliveries", "everything is delivered by the queue"),
    ("dav.quota_bytes", "any number"),
    ("dav.quota_collections", "any number"),
    ("dav.quota_objects", "any number"),
    ("dav.reply_propagation", "always"),
    ("dav.sync_log_days", "for ever"),
    ("dav.sync_log_names", "any number"),
    ("dav.trash_days", "nothing is kept"),
    ("engine.startup_patience_s", "nothing is waited for"),
    ("limits.instances", "any number"),
    ("opensearch.replicas", "a cluster of one node"),
    ("opensearch.retries", "nothing is tried again"),
    ("opensearch.wait_for_active_shards", "nothing is waited for"),
    ("push.pause_ms", "no pause"),
    ("rabbitmq.held", "every retry waits in the queue for retries"),
    ("rabbitmq.held_ms", "every retry waits in the queue for retries"),
    ("server.shutdown_grace_s", "what is under way is cut"),
];

/// Finds mistakes and names their source.
struct Report<'a> {
    source: &'a str,
    found: Vec<Mistake>,
}

impl Report<'_> {
    fn wrong(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        let key = key.into();
        // The first thing that is said about a key is the most precise one.
        if !self.found.iter().any(|m| m.key == key) {
            self.found.push(Mistake { source: self.source.to_owned(), key, problem: problem.into() });
        }
    }
}

impl Config {
    /// Everything that is wrong with it.
    pub(super) fn mistakes(&self, source: &str) -> Vec<Mistake> {
        let mut report = Report { source, found: Vec::new() };
        self.addresses(&mut report);
        self.defaults_of_people(&mut report);
        self.sign_in(&mut report);
        self.mail_out(&mut report);
        self.engines(&mut report);
        self.live_updates(&mut report);
        self.contradictions(&mut report);
        self.values(&mut report);
        report.found
    }

    fn addresses(&self, report: &mut Report<'_>) {
        for (key, url) in [("server.public_url", &self.server.public_url), ("spa.calendar_url", &self.spa.calendar_url)]
        {
            if !is_http_url(url) || url.ends_with('/') {
                report.wrong(key, format!("found {url:?}, expected an http or https URL without a trailing \"/\""));
            }
        }
        let upstream = &self.upstream;
        if upstream.url == "builtin" {
            return;
        }
        if !is_http_url(&upstream.url) {
            let expected = "expected \"builtin\" or an http or https URL";
            report.wrong("upstream.url", format!("found {:?}, {expected}", without_password(&upstream.url)));
        } else if Url::parse(&upstream.url).is_ok_and(|u| !u.username().is_empty() || u.password().is_some()) {
            report
                .wrong("upstream.url", "found a login, expected it in upstream.admin_user and upstream.admin_password");
        }
        match upstream.impersonation {
            Impersonation::Admin => {
                if upstream.admin_user.is_empty() || upstream.admin_user.contains([':', '&']) {
                    let user = &upstream.admin_user;
                    report.wrong(
                        "upstream.admin_user",
                        format!("found {user:?}, expected a name without \":\" and \"&\""),
                    );
                }
                if upstream.admin_password.is_empty() {
                    report.wrong("upstream.admin_password", "required with upstream.impersonation = \"admin\"");
                }
            }
            Impersonation::Header => {
                if upstream.user_header.parse::<http::HeaderName>().is_err() {
                    let name = &upstream.user_header;
                    report.wrong("upstream.user_header", format!("found {name:?}, expected the name of a header"));
                }
            }
        }
    }

    fn defaults_of_people(&self, report: &mut Report<'_>) {
        if self.i18n.default_timezone.parse::<chrono_tz::Tz>().is_err() {
            let zone = &self.i18n.default_timezone;
            let expected = "expected an IANA time zone, e.g. \"Europe/Paris\"";
            report.wrong("i18n.default_timezone", format!("found {zone:?}, {expected}"));
        }
        if self.i18n.default_language.parse::<unic_langid::LanguageIdentifier>().is_err() {
            let language = &self.i18n.default_language;
            report.wrong("i18n.default_language", format!("found {language:?}, expected a language tag, e.g. \"en\""));
        }
    }

    fn sign_in(&self, report: &mut Report<'_>) {
        let loopback = self.webadmin.listen.ip().is_loopback();
        match self.webadmin.password.as_deref() {
            None if !loopback => {
                report.wrong(
                    "webadmin.password",
                    format!("required because webadmin.listen is {}", self.webadmin.listen),
                );
            }
            Some(password) if password.trim().is_empty() => {
                report.wrong("webadmin.password", "found an empty one, expected a password, or no such key");
            }
            _ => {}
        }
        let programs = &self.auth.programs;
        if programs.user.is_empty() || programs.user.contains([':', '&']) {
            let problem = format!("found {:?}, expected a name without \":\" and \"&\"", programs.user);
            report.wrong("auth.programs.user", problem);
        }
        if programs.password.as_deref().is_some_and(|password| password.trim().is_empty()) {
            report.wrong("auth.programs.password", "found an empty one, expected a password, or no such key");
        }
        if !programs.introspection_url.is_empty() && !is_http_url(&programs.introspection_url) {
            let problem = format!("found {:?}, expected an http or https URL", programs.introspection_url);
            report.wrong("auth.programs.introspection_url", problem);
        }
        for (i, provider) in self.auth.oidc.iter().enumerate() {
            if !is_http_url(&provider.issuer) {
                let issuer = &provider.issuer;
                let problem = format!("found {issuer:?}, expected the provider's issuer URL");
                report.wrong(format!("auth.oidc[{i}].issuer"), problem);
            } else if self.auth.oidc[..i].iter().any(|other| other.issuer == provider.issuer) {
                let problem = format!("found {:?} a second time, expected each provider once", provider.issuer);
                report.wrong(format!("auth.oidc[{i}].issuer"), problem);
            }
            if provider.audience.is_empty() {
                report.wrong(format!("auth.oidc[{i}].audience"), "found no audience, expected at least one");
            }
            match (&provider.client_id, &provider.client_secret) {
                (None, Some(_)) => report.wrong(format!("auth.oidc[{i}].client_id"), "required with client_secret"),
                (Some(_), Some(secret)) if secret.is_empty() => {
                    report.wrong(format!("auth.oidc[{i}].client_secret"), "found an empty one, expected a secret");
                }
                _ => {}
            }
        }
    }

    fn mail_out(&self, report: &mut Report<'_>) {
        if self.mail.transport != MailTransport::Smtp {
            return;
        }
        let smtp = &self.mail.smtp;
        if smtp.host.trim().is_empty() || smtp.host.contains(['/', ' ', ':']) {
            report.wrong("mail.smtp.host", format!("found {:?}, expected a host name", smtp.host));
        }
        login(report, "mail.smtp", smtp.username.as_deref(), smtp.password.as_deref());
    }

    fn engines(&self, report: &mut Report<'_>) {
        if self.engine.store == StoreEngine::MongoDb {
            if !["mongodb://", "mongodb+srv://"].iter().any(|scheme| self.mongodb.url.starts_with(scheme)) {
                report.wrong("mongodb.url", "expected mongodb://… or mongodb+srv://…");
            }
            let url = self.mongodb.url.to_ascii_lowercase();
            if ["tlsinsecure=true", "tlsallowinvalidcertificates=true"].iter().any(|option| url.contains(option)) {
                let problem = "found an option that switches the check of certificates off, expected none: name the authority \
                               in mongodb.ca_file";
                report.wrong("mongodb.url", problem);
            }
            for (key, name) in
                [("mongodb.database", &self.mongodb.database), ("mongodb.dav_database", &self.mongodb.dav_database)]
            {
                if name.is_empty() || name.contains(['/', '\\', '.', ' ', '"', '$']) {
                    report.wrong(key, format!("found {name:?}, expected the name of a database"));
                }
            }
        }
        if self.engine.queue == QueueEngine::RabbitMq {
            let url = Url::parse(&self.rabbitmq.url);
            if !url.is_ok_and(|u| matches!(u.scheme(), "amqp" | "amqps") && u.has_host()) {
                report.wrong("rabbitmq.url", "expected amqp://user:password@host:5672/vhost, or amqps");
            }
            if self.rabbitmq.held >= self.rabbitmq.prefetch {
                let held = self.rabbitmq.held;
                report.wrong("rabbitmq.held", format!("found {held}, expected less than rabbitmq.prefetch"));
            }
        }
        if self.engine.search == SearchEngine::OpenSearch {
            for (key, problem) in self.opensearch.mistakes() {
                report.wrong(key, problem);
            }
        }
        if self.engine.cache == CacheEngine::Redis {
            for (key, problem) in self.redis.mistakes() {
                report.wrong(format!("redis.{key}"), problem);
            }
        }
    }

    /// Live updates. What is too long overflows an instant or keeps dead connections for ever.
    fn live_updates(&self, report: &mut Report<'_>) {
        let push = &self.push;
        if push.silence_s <= push.ping_interval_s {
            let (silence, ping) = (push.silence_s, push.ping_interval_s);
            report.wrong("push.silence_s", format!("found {silence}, expected more than push.ping_interval_s, {ping}"));
        }
        for (key, value, most) in [("push.silence_s", push.silence_s, 86_400), ("push.pause_ms", push.pause_ms, 60_000)]
        {
            if value > most {
                report.wrong(key, format!("found {value}, expected {most} at most"));
            }
        }
    }

    fn contradictions(&self, report: &mut Report<'_>) {
        let (public, admin) = (self.server.listen, self.webadmin.listen);
        let overlap = public.ip() == admin.ip() || public.ip().is_unspecified() || admin.ip().is_unspecified();
        if public.port() != 0 && public.port() == admin.port() && overlap {
            report
                .wrong("webadmin.listen", format!("found {admin}, expected another port than server.listen, {public}"));
        }
        for (section, policy) in [("queue.retry", self.queue.retry), ("queue.mail_retry", self.queue.mail_retry)] {
            if policy.first_ms > policy.most_ms {
                let (first, most) = (policy.first_ms, policy.most_ms);
                report.wrong(format!("{section}.first_ms"), format!("found {first}, expected at most most_ms, {most}"));
            }
        }
    }

    /// Rules that hold for every key of a kind, those that are added later included.
    fn values(&self, report: &mut Report<'_>) {
        // Every value of this configuration has its place in TOML; the limits are below what it can hold.
        let Ok(all) = toml::Value::try_from(self) else { return };
        each("", "", &all, &mut |key, kind, value| match value {
            toml::Value::Integer(0) if !MAY_BE_ZERO.iter().any(|(may, _)| *may == kind) => {
                report.wrong(key, "found 0, expected a positive number");
            }
            toml::Value::String(path) if kind.ends_with("_file") => {
                if let Err(problem) = readable_pem(Path::new(path)) {
                    report.wrong(key, format!("{path}: {problem}"));
                }
            }
            _ => {}
        });
    }
}

/// A user name and a password go together.
fn login(report: &mut Report<'_>, section: &str, user: Option<&str>, password: Option<&str>) {
    match (user, password) {
        (Some(_), None) => report.wrong(format!("{section}.password"), "required with username"),
        (None, Some(_)) => report.wrong(format!("{section}.username"), "required with password"),
        _ => {}
    }
}

/// Walks through all values. `key` has the index of tables in lists, `kind` has not.
fn each(key: &str, kind: &str, value: &toml::Value, found: &mut impl FnMut(&str, &str, &toml::Value)) {
    let below = |parent: &str, name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                each(&below(key, name), &below(kind, name), value, found);
            }
        }
        toml::Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                each(&format!("{key}[{i}]"), kind, value, found);
            }
        }
        leaf => found(key, kind, leaf),
    }
}

fn readable_pem(path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let begins = bytes.windows(11).any(|w| w == b"-----BEGIN ");
    if begins { Ok(()) } else { Err("expected a file in PEM".to_owned()) }
}

fn is_http_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
        && url.parse::<http::Uri>().is_ok_and(|u| u.authority().is_some())
}

fn without_password(url: &str) -> String {
    let mut url = url.to_owned();
    super::hide_in_url(&mut url);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Oidc};

    /// Every number of the configuration, with a table for each list.
    fn numbers() -> Vec<String> {
        let mut config = Config::default();
        config.auth.oidc.push(Oidc::new("https://sso.example.org", vec!["calendar".to_owned()]));
        let mut keys = Vec::new();
        each("", "", &toml::Value::try_from(&config).unwrap(), &mut |_, kind, value| {
            if value.is_integer() {
                keys.push(kind.to_owned());
            }
        });
        assert!(keys.len() > 30, "{keys:?}");
        keys
    }

    fn with_zero(key: &str) -> String {
        let (section, name) = key.rsplit_once('.').unwrap();
        match section {
            "auth.oidc" => {
                format!("[[auth.oidc]]\nissuer = \"https://sso.example.org\"\naudience = [\"calendar\"]\n{name} = 0\n")
            }
            section => format!("[{section}]\n{name} = 0\n"),
        }
    }

    #[test]
    fn every_number_is_refused_at_zero_unless_zero_has_a_documented_meaning() {
        for key in numbers() {
            let outcome = Config::check(&with_zero(&key), "convoke.toml");
            match MAY_BE_ZERO.iter().find(|(may, _)| *may == key) {
                Some((_, meaning)) => {
                    assert!(!meaning.is_empty());
                    assert!(outcome.is_ok(), "{key}: {:?}", outcome.err().map(|e| e.to_string()));
                }
                None => {
                    let refused = outcome.expect_err(&key).to_string();
                    assert!(refused.contains("found 0"), "{key}: {refused}");
                }
            }
        }
    }

    #[test]
    fn where_zero_has_a_meaning_the_documentation_says_which() {
        let documented = include_str!("../../conf/convoke.toml");
        for (key, _) in MAY_BE_ZERO {
            let (section, name) = key.rsplit_once('.').unwrap();
            let at = documented.find(&format!("[{section}]")).unwrap_or_else(|| panic!("[{section}]"));
            let line = documented[at..].find(&format!("{name} = ")).unwrap_or_else(|| panic!("{key}")) + at;
            let words = documented[..line].rsplit(" = ").next().unwrap();
            assert!(words.contains(" 0 "), "conf/convoke.toml says of {key}: {words}");
        }
    }

    #[test]
    fn every_rule_names_its_key() {
        let cases = [
            ("[upstream]\nurl = \"http://sabre\"", "upstream.admin_password", "required"),
            (
                "[upstream]\nurl = \"http://sabre\"\nadmin_user = \"a&b\"\nadmin_password = \"x\"",
                "upstream.admin_user",
                "a&b",
            ),
            ("[upstream]\nurl = \"http://a:b@sabre\"\nadmin_password = \"x\"", "upstream.url", "found a login"),
            (
                "[upstream]\nurl = \"http://r\"\nimpersonation = \"header\"\nuser_header = \"a b\"",
                "upstream.user_header",
                "name of a header",
            ),
            ("[webadmin]\npassword = \"\"", "webadmin.password", "empty"),
            ("[webadmin]\nlisten = \"127.0.0.1:8080\"", "webadmin.listen", "another port"),
            ("[server]\nlisten = \"0.0.0.0:8000\"", "webadmin.listen", "another port"),
            ("[mail]\ntransport = \"smtp\"\n[mail.smtp]\nusername = \"x\"", "mail.smtp.password", "required"),
            ("[mail]\ntransport = \"smtp\"\n[mail.smtp]\npassword = \"x\"", "mail.smtp.username", "required"),
            (
                "[mail.smtp]\nca_file = \"/nonexistent/ca.pem\"",
                "mail.smtp.ca_file",
                "/nonexistent/ca.pem: No such file",
            ),
            ("[mail.smtp]\nca_file = \"Cargo.toml\"", "mail.smtp.ca_file", "PEM"),
            ("[engine]\nstore = \"mongodb\"\n[mongodb]\nurl = \"db\"", "mongodb.url", "mongodb://"),
            ("[engine]\nstore = \"mongodb\"\n[mongodb]\ndatabase = \"\"", "mongodb.database", "name of a database"),
            ("[engine]\nqueue = \"rabbitmq\"\n[rabbitmq]\nurl = \"http://mq\"", "rabbitmq.url", "amqp://"),
            ("[queue.retry]\nfirst_ms = 5\nmost_ms = 4", "queue.retry.first_ms", "at most most_ms, 4"),
            (
                "[[auth.oidc]]\nissuer = \"https://a\"\naudience = [\"x\"]\n[[auth.oidc]]\nissuer = \"https://a\"\naudience = [\"x\"]",
                "auth.oidc[1].issuer",
                "second time",
            ),
        ];
        for (text, key, problem) in cases {
            let ConfigError(found) = Config::check(text, "convoke.toml").expect_err(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].key == key && found[0].problem.contains(problem), "{text}: {found:?}");
        }
    }

    #[test]
    fn every_combination_of_engines_is_a_valid_one() {
        for store in ["sqlite", "mongodb"] {
            for queue in ["sqlite", "rabbitmq"] {
                for search in ["sqlite", "opensearch"] {
                    for cache in ["memory", "redis"] {
                        let text = format!(
                            "[engine]\nstore = \"{store}\"\nqueue = \"{queue}\"\nsearch = \"{search}\"\ncache = \"{cache}\""
                        );
                        assert!(Config::check(&text, "convoke.toml").is_ok(), "{text}");
                    }
                }
            }
        }
    }
}
