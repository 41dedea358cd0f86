//! Reading the configuration, and saying what is wrong with it: file, key, what was expected.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};

use super::{Config, MailTransport};

/// Prefix of the environment variables that override the file, e.g. `CONVOKE__SERVER__LISTEN`.
pub const ENV_PREFIX: &str = "CONVOKE__";

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, or the environment.
    pub source: String,
    /// The key, e.g. `server.listen`; empty when it is about the file as a whole.
    pub key: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, m) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            match m.key.as_str() {
                "" => write!(f, "{newline}{}: {}", m.source, m.problem)?,
                key => write!(f, "{newline}{}: {key}: {}", m.source, m.problem)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file, where one is given, then the environment over it, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake that can be told apart.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut sources = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|e| whole_file(path, e.to_string()))?;
            // Checked apart first: figment reports a syntax error without its place.
            toml::from_str::<toml::Table>(&text).map_err(|e| whole_file(path, e.to_string().trim_end().to_owned()))?;
            sources = sources.merge(Toml::file_exact(path));
        }
        sources = sources.merge(Env::prefixed(ENV_PREFIX).split("__"));
        let config: Self = sources.extract().map_err(|e| from_figment(&e, file))?;
        let mistakes = config.mistakes(file);
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigError(mistakes)) }
    }

    /// What types alone cannot rule out.
    fn mistakes(&self, file: Option<&Path>) -> Vec<Mistake> {
        let source = file.map_or_else(|| "configuration".to_owned(), |f| f.display().to_string());
        let mut found = Vec::new();
        let mut wrong = |key: &str, problem: String| {
            found.push(Mistake { source: source.clone(), key: key.to_owned(), problem });
        };
        for (key, url) in [("server.public_url", &self.server.public_url), ("spa.calendar_url", &self.spa.calendar_url)]
        {
            if !is_http_url(url) || url.ends_with('/') {
                wrong(key, format!("found {url:?}, expected an http or https URL without a trailing \"/\""));
            }
        }
        if self.upstream.url != "builtin" && !is_http_url(&self.upstream.url) {
            let url = &self.upstream.url;
            wrong("upstream.url", format!("found {url:?}, expected \"builtin\" or an http or https URL"));
        }
        if self.i18n.default_timezone.parse::<chrono_tz::Tz>().is_err() {
            let zone = &self.i18n.default_timezone;
            wrong(
                "i18n.default_timezone",
                format!("found {zone:?}, expected an IANA time zone, e.g. \"Europe/Paris\""),
            );
        }
        if self.i18n.default_language.parse::<unic_langid::LanguageIdentifier>().is_err() {
            let language = &self.i18n.default_language;
            wrong("i18n.default_language", format!("found {language:?}, expected a language tag, e.g. \"en\""));
        }
        if self.webadmin.password.is_none() && !self.webadmin.listen.ip().is_loopback() {
            wrong("webadmin.password", format!("required because webadmin.listen is {}", self.webadmin.listen));
        }
        if self.mail.transport == MailTransport::Smtp && self.mail.smtp.host.trim().is_empty() {
            wrong("mail.smtp.host", "found \"\", expected a host name".to_owned());
        }
        for (i, provider) in self.auth.oidc.iter().enumerate() {
            if !is_http_url(&provider.issuer) {
                let issuer = &provider.issuer;
                wrong(
                    &format!("auth.oidc[{i}].issuer"),
                    format!("found {issuer:?}, expected the provider's issuer URL"),
                );
            }
            if provider.audience.is_empty() {
                wrong(&format!("auth.oidc[{i}].audience"), "found no audience, expected at least one".to_owned());
            }
            if provider.client_secret.is_some() && provider.client_id.is_none() {
                wrong(&format!("auth.oidc[{i}].client_id"), "required with client_secret".to_owned());
            }
        }
        if !["mongodb://", "mongodb+srv://"].iter().any(|scheme| self.mongodb.url.starts_with(scheme)) {
            // Not shown: it may hold a password.
            wrong("mongodb.url", "expected a URL that begins with mongodb:// or mongodb+srv://".to_owned());
        }
        for (key, name) in
            [("mongodb.database", &self.mongodb.database), ("mongodb.dav_database", &self.mongodb.dav_database)]
        {
            if name.is_empty() || name.contains(['/', '\\', '.', ' ', '"', '$']) {
                wrong(key, format!("found {name:?}, expected the name of a database"));
            }
        }
        let positive = [
            ("limits.object_bytes", self.limits.object_bytes as u64),
            ("limits.object_depth", self.limits.object_depth as u64),
            ("limits.object_lines", self.limits.object_lines as u64),
            ("limits.occurrences", self.limits.occurrences as u64),
            ("limits.expansion_bytes", self.limits.expansion_bytes as u64),
            ("limits.xml_bytes", self.limits.xml_bytes as u64),
            ("limits.xml_depth", self.limits.xml_depth as u64),
            ("mongodb.connect_ms", self.mongodb.connect_ms),
            ("mongodb.operation_ms", self.mongodb.operation_ms),
            ("mongodb.pool", u64::from(self.mongodb.pool)),
            ("mongodb.server_selection_ms", self.mongodb.server_selection_ms),
            ("proxy.body_bytes", self.proxy.body_bytes),
            ("proxy.idle_timeout_s", self.proxy.idle_timeout_s),
            ("queue.concurrency", self.queue.concurrency as u64),
            ("queue.visibility_s", self.queue.visibility_s),
            ("queue.retry.attempts", u64::from(self.queue.retry.attempts)),
            ("queue.mail_retry.attempts", u64::from(self.queue.mail_retry.attempts)),
            ("server.head_timeout_s", self.server.head_timeout_s),
            ("upstream.connect_timeout_ms", self.upstream.connect_timeout_ms),
            ("upstream.timeout_ms", self.upstream.timeout_ms),
        ];
        for (key, value) in positive {
            if value == 0 {
                wrong(key, "found 0, expected a positive number".to_owned());
            }
        }
        found
    }
}

fn is_http_url(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.authority().is_some())
}

fn whole_file(path: &Path, problem: String) -> ConfigError {
    ConfigError(vec![Mistake { source: path.display().to_string(), key: String::new(), problem }])
}

fn from_figment(error: &figment::Error, file: Option<&Path>) -> ConfigError {
    let mistakes = error.clone().into_iter().map(|e| {
        let source = match e.metadata.as_ref().and_then(|m| m.source.as_ref()) {
            Some(figment::Source::File(path)) => shorten(path, file),
            _ => match e.metadata.as_ref() {
                Some(m) if m.name.contains("environment") => format!("environment ({ENV_PREFIX}…)"),
                _ => file.map_or_else(|| "configuration".to_owned(), |f| f.display().to_string()),
            },
        };
        let mut key = e.path.join(".");
        // The key that is unknown is not part of figment's path.
        if let figment::error::Kind::UnknownField(name, _) = &e.kind
            && e.path.last().is_none_or(|l| l != name)
        {
            key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        }
        let problem = match &e.kind {
            figment::error::Kind::UnknownField(_, known) => {
                format!("no such key, expected one of {}", known.join(", "))
            }
            figment::error::Kind::UnknownVariant(found, known) => {
                format!("found {found:?}, expected one of {}", known.join(", "))
            }
            kind => with_expectation(&key, kind.to_string()),
        };
        Mistake { source, key, problem }
    });
    ConfigError(mistakes.collect())
}

/// figment knows files by their absolute path; people know them by what they typed.
fn shorten(found: &Path, given: Option<&Path>) -> String {
    match given {
        Some(given) if found.ends_with(given) => given.display().to_string(),
        _ => found.display().to_string(),
    }
}

/// Standard types say that a value is bad, not what would be good.
fn with_expectation(key: &str, problem: String) -> String {
    let expected = if key.ends_with("listen") {
        "an address and a port, e.g. \"127.0.0.1:8080\""
    } else {
        return problem;
    };
    if problem.contains("expected") { problem } else { format!("{problem}, expected {expected}") }
}

/// The file to read: the one given, else `$CONVOKE_CONFIG`, else `convoke.toml` here where there is one.
pub fn choose_file(given: Option<PathBuf>) -> Option<PathBuf> {
    let here = PathBuf::from("convoke.toml");
    given.or_else(|| std::env::var_os("CONVOKE_CONFIG").map(PathBuf::from)).or_else(|| here.exists().then_some(here))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convoke.toml");
        std::fs::write(&path, text).unwrap();
        let shown = format!("{}/", dir.path().display());
        Config::load(Some(&path)).map_err(|e| e.to_string().replace(&shown, ""))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(load("").unwrap(), Config::default());
    }

    #[test]
    fn a_mistake_is_told_with_file_key_and_expectation() {
        let cases = [
            ("[server]\nlisten = \"nowhere\"", "convoke.toml: server.listen: ", "expected an address and a port"),
            ("[server]\nlisten = 8080", "convoke.toml: server.listen: ", "expected socket address"),
            ("[server]\nport = 8080", "convoke.toml: server.port: ", "no such key, expected one of listen"),
            ("[serve]\nport = 8080", "convoke.toml: serve: ", "no such key, expected one of server"),
            ("[mail]\nsender = \"nobody\"", "convoke.toml: mail.sender: ", "not an e-mail address"),
            (
                "[mail]\ntransport = \"pigeon\"",
                "convoke.toml: mail.transport: ",
                "found \"pigeon\", expected one of folder, smtp",
            ),
            ("[i18n]\ndefault_timezone = \"Mars/Base\"", "convoke.toml: i18n.default_timezone: ", "IANA"),
            ("[upstream]\nurl = \"ftp://x\"", "convoke.toml: upstream.url: ", "\"builtin\" or an http"),
            ("[webadmin]\nlisten = \"0.0.0.0:8000\"", "convoke.toml: webadmin.password: ", "required"),
            ("[[auth.oidc]]\nissuer = \"https://sso.example.org\"", "convoke.toml: auth.oidc", "audience"),
            ("[mongodb]\nurl = \"localhost\"", "convoke.toml: mongodb.url: ", "mongodb://"),
            ("[mongodb]\ndatabase = \"\"", "convoke.toml: mongodb.database: ", "name of a database"),
            ("[mongodb]\noperation_ms = 0", "convoke.toml: mongodb.operation_ms: ", "positive"),
            ("[limits]\noccurrences = 0", "convoke.toml: limits.occurrences: ", "positive"),
            ("[limits", "convoke.toml: ", "line 1"),
        ];
        for (text, place, expected) in cases {
            let error = load(text).expect_err(text);
            assert!(error.starts_with(place) && error.contains(expected), "{text}\n  gave {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/nonexistent/convoke.toml"))).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/convoke.toml: "), "{error}");
    }
}
