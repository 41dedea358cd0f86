//! The configuration itself: what is valid, and still not what somebody wants.

use async_trait::async_trait;

use crate::config::{CacheEngine, Config, MailTransport, QueueEngine, SearchEngine, SmtpSecurity, StoreEngine};
use crate::health::{Examine, Finding};
use crate::net::is_loopback;

/// A password that guesses find sooner or later has fewer bits.
const PASSWORD_BITS: f64 = 70.0;

/// The choices of a configuration that is valid.
pub struct Choices {
    /// The configuration.
    pub config: Config,
    /// What it was read from, e.g. `convoke.toml`.
    pub source: String,
}

#[async_trait]
impl Examine for Choices {
    fn engine(&self) -> String {
        format!("Configuration {}", self.source)
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut found = vec![Finding::good("keys", "valid")];
        found.extend(sign_in(&self.config));
        found.extend(administration(&self.config));
        found.extend(engines(&self.config));
        found.extend(mail(&self.config));
        found
    }
}

fn sign_in(config: &Config) -> Option<Finding> {
    if config.auth.oidc.is_empty() && !config.auth.basic {
        return Some(Finding::bad(
            "sign-in",
            "nobody can: auth.basic is false and there is no [[auth.oidc]]",
            "name an OpenID provider in [[auth.oidc]], or set auth.basic = true",
        ));
    }
    let anybody = config.auth.oidc.iter().filter(|p| p.domains.is_empty()).count();
    (config.auth.oidc.len() > 1 && anybody > 0).then(|| {
        Finding::doubtful(
            "sign-in",
            format!("of {} providers, {anybody} may vouch for people of every domain", config.auth.oidc.len()),
            "give each provider in [[auth.oidc]] its domains",
        )
    })
}

fn administration(config: &Config) -> Option<Finding> {
    let listen = config.webadmin.listen;
    if listen.ip().is_loopback() {
        return None;
    }
    // Checked to be there when the configuration was read.
    let password = config.webadmin.password.as_deref()?;
    Some(match bits(password) {
        bits if bits < PASSWORD_BITS => Finding::doubtful(
            "webadmin.password",
            format!("can be guessed, and webadmin.listen is {listen}"),
            "make one with `openssl rand -base64 24`, and keep the port away from the public",
        ),
        _ => Finding::good("webadmin.password", "long enough"),
    })
}

/// What a guesser has to try at least, as the logarithm: distinct characters count, and the kinds they are of.
fn bits(password: &str) -> f64 {
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let kinds = [
        (has(|c| c.is_ascii_lowercase()), 26.0),
        (has(|c| c.is_ascii_uppercase()), 26.0),
        (has(|c| c.is_ascii_digit()), 10.0),
        (has(|c| !c.is_ascii_alphanumeric()), 30.0),
    ];
    let alphabet: f64 = kinds.iter().filter(|(has, _)| *has).map(|(_, size)| size).sum();
    let distinct = password.chars().collect::<std::collections::BTreeSet<_>>().len();
    let length = password.chars().count().min(distinct * 2);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let length = length as f64;
    length * alphabet.max(1.0).log2()
}

fn engines(config: &Config) -> Vec<Finding> {
    let engine = &config.engine;
    let mut found = Vec::new();
    let shared = [
        ("store", engine.store == StoreEngine::MongoDb),
        ("queue", engine.queue == QueueEngine::RabbitMq),
        ("search", engine.search == SearchEngine::OpenSearch),
        ("cache", engine.cache == CacheEngine::Redis),
    ];
    let names = |is: bool| {
        let names = shared.iter().filter(|(_, shared)| *shared == is).map(|(name, _)| format!("engine.{name}"));
        names.collect::<Vec<_>>().join(", ")
    };
    found.push(match shared.iter().filter(|(_, shared)| *shared).count() {
        0 => Finding::good("engines", "all embedded: one process of convoke"),
        4 => Finding::good("engines", "all shared: as many processes of convoke as you like"),
        _ => Finding::good("engines", format!("one process of convoke, because of {}", names(false))),
    });
    let remote = config.upstream.url != "builtin";
    if remote && engine.queue == QueueEngine::Sqlite {
        found.push(Finding::doubtful(
            "events",
            "upstream.url is another server, and convoke hears of its events from RabbitMQ only",
            "with esn-sabre set engine.queue = \"rabbitmq\"; with a server that sends no events there are no mails and no \
             search",
        ));
    }
    found
}

fn mail(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if config.mail.transport == MailTransport::Folder {
        let advice = "set mail.transport = \"smtp\" when people are to get mails";
        found.push(Finding::doubtful("mail", "goes into a folder, to nobody", advice));
    }
    if !config.mail.recipients.is_empty() {
        let count = config.mail.recipients.len();
        let advice = "empty mail.recipients when everybody is to get mails";
        found.push(Finding::doubtful("mail.recipients", format!("only {count} get mails"), advice));
    }
    let smtp = &config.mail.smtp;
    if config.mail.transport == MailTransport::Smtp
        && !is_loopback(&smtp.host)
        && matches!(smtp.security, SmtpSecurity::None | SmtpSecurity::Opportunistic)
    {
        found.push(Finding::doubtful(
            "mail.smtp.security",
            format!("mails may go to {} in plain text", smtp.host),
            "set mail.smtp.security = \"starttls\", or \"tls\" for port 465",
        ));
    }
    if config.mail.sender.domain().as_str() == "localhost" && config.mail.transport == MailTransport::Smtp {
        let advice = "set mail.sender to an address of a domain that your mail server sends for";
        found.push(Finding::bad("mail.sender", config.mail.sender.to_string(), advice));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    /// What is found that is not good, as `subject: verdict`.
    async fn doubts(text: &str) -> Vec<String> {
        let config = Config::check(text, "convoke.toml").unwrap();
        let found = Choices { config, source: "convoke.toml".to_owned() }.examine().await;
        let word = |finding: &Finding| match finding.verdict {
            Verdict::Good(_) => None,
            Verdict::Doubtful { .. } => Some(format!("{}: warning", finding.subject)),
            Verdict::Bad { .. } => Some(format!("{}: error", finding.subject)),
        };
        found.iter().filter_map(word).collect()
    }

    #[tokio::test]
    async fn a_sound_configuration_has_nothing_to_say() {
        let text = "[webadmin]\nlisten = \"0.0.0.0:8000\"\npassword = \"mH2k0xUe9cX1w8Hk4Lr7pT5vYb3n\"\n[mail]\n\
                    transport = \"smtp\"\nsender = \"calendar@example.org\"\n[mail.smtp]\nhost = \"mail.example.org\"";
        assert_eq!(doubts(text).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn valid_choices_that_few_can_want_are_told() {
        let smtp = "[mail]\ntransport = \"smtp\"\nsender = \"calendar@example.org\"";
        let oidc = |issuer: &str| format!("[[auth.oidc]]\nissuer = \"{issuer}\"\naudience = [\"x\"]\n");
        let cases = [
            (String::new(), vec!["mail: warning"]),
            (format!("{smtp}\n[auth]\nbasic = false"), vec!["sign-in: error"]),
            (format!("{smtp}\n{}{}", oidc("https://a"), oidc("https://b")), vec!["sign-in: warning"]),
            (
                format!("{smtp}\n[webadmin]\nlisten = \"0.0.0.0:8000\"\npassword = \"calendar2026\""),
                vec!["webadmin.password: warning"],
            ),
            (format!("{smtp}\n[upstream]\nurl = \"http://sabre\"\nadmin_password = \"x\""), vec!["events: warning"]),
            (format!("{smtp}\nrecipients = [\"alice@example.org\"]"), vec!["mail.recipients: warning"]),
            (
                format!("{smtp}\n[mail.smtp]\nhost = \"mail.example.org\"\nsecurity = \"none\""),
                vec!["mail.smtp.security: warning"],
            ),
            ("[mail]\ntransport = \"smtp\"".to_owned(), vec!["mail.sender: error"]),
        ];
        for (text, expected) in cases {
            assert_eq!(doubts(&text).await, expected, "{text}");
        }
    }

    #[test]
    fn passwords_of_few_characters_are_weak() {
        for weak in ["", "secret", "calendar2026", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "0123456789"] {
            assert!(bits(weak) < PASSWORD_BITS, "{weak}: {}", bits(weak));
        }
        for strong in ["mH2k0xUe9cX1w8Hk4Lr7", "correct horse battery staple"] {
            assert!(bits(strong) > PASSWORD_BITS, "{strong}: {}", bits(strong));
        }
    }
}
