//! Reading the configuration, and saying what is wrong with it: file, key, what was expected.

use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Config;

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
        for (i, mistake) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.source, self.problem),
            key => write!(f, "{}: {key}: {}", self.source, self.problem),
        }
    }
}

impl Config {
    /// Reads the file, where one is given, then the environment over it, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake there is: one does not hide the others, unless the file is no TOML.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let source = file.map_or_else(|| "configuration".to_owned(), |f| f.display().to_string());
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|e| whole_file(&source, e.to_string()))?,
            None => String::new(),
        };
        read(&text, &source, Some(Env::prefixed(ENV_PREFIX).split("__")))
    }

    /// Reads a text and checks it; the environment plays no part. `source` is what mistakes name.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn check(text: &str, source: &str) -> Result<Self, ConfigError> {
        read(text, source, None)
    }
}

fn read(text: &str, source: &str, env: Option<Env>) -> Result<Config, ConfigError> {
    // Checked apart first: figment reports a syntax error without its place.
    toml::from_str::<toml::Table>(text).map_err(|e| whole_file(source, syntax(text, &e)))?;
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut file = Without::new(Toml::string(text));
    let mut env = env.map(Without::new);
    let config = loop {
        let mut sources = Figment::from(Serialized::defaults(Config::default())).merge(&file);
        if let Some(env) = &env {
            sources = sources.merge(env);
        }
        // Extraction ends at the first mistake. It is noted and taken out, until nothing is wrong any more.
        let error = match sources.extract::<Config>() {
            Ok(config) => break config,
            Err(error) => error,
        };
        let from_env = error.metadata.as_ref().is_some_and(|m| m.name.contains("environment"));
        let at = place(&error);
        let layer: &mut dyn Prune = match &mut env {
            Some(env) if from_env => env,
            _ => &mut file,
        };
        // In the environment everything is text: a password of digits is one, too.
        if from_env && wants_text(&error) && layer.as_text(&at) {
            continue;
        }
        let source = if from_env { format!("environment ({ENV_PREFIX}…)") } else { source.to_owned() };
        mistakes.push(explain(&error, &at, source));
        if !layer.prune(at) {
            return Err(ConfigError(mistakes));
        }
    };
    for mistake in config.mistakes(source) {
        if !mistakes.iter().any(|m| m.key == mistake.key) {
            mistakes.push(mistake);
        }
    }
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigError(mistakes)) }
}

/// A source of values without those at some places.
struct Without<P> {
    inner: P,
    removed: Vec<Vec<String>>,
    text: Vec<Vec<String>>,
}

impl<P> Without<P> {
    fn new(inner: P) -> Self {
        Self { inner, removed: Vec::new(), text: Vec::new() }
    }
}

/// Takes values out of a source.
trait Prune {
    /// Takes the value there out; `false` when it is out already.
    fn prune(&mut self, place: Vec<String>) -> bool;

    /// Takes the value there as text; `false` when it is text already.
    fn as_text(&mut self, place: &[String]) -> bool;
}

impl<P> Prune for Without<P> {
    fn prune(&mut self, place: Vec<String>) -> bool {
        let new = !place.is_empty() && !self.removed.contains(&place);
        self.removed.push(place);
        new
    }

    fn as_text(&mut self, place: &[String]) -> bool {
        let new = !self.text.iter().any(|t| t == place);
        self.text.push(place.to_vec());
        new
    }
}

impl<P: Provider> Provider for Without<P> {
    fn metadata(&self) -> Metadata {
        self.inner.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut data = self.inner.data()?;
        for dict in data.values_mut() {
            for place in &self.text {
                let variable = format!("{ENV_PREFIX}{}", place.join("__").to_uppercase());
                if let (Some(value), Ok(text)) = (find(dict, place), std::env::var(variable)) {
                    *value = Value::from(text);
                }
            }
            for place in &self.removed {
                remove(dict, place);
            }
        }
        Ok(data)
    }
}

fn find<'a>(dict: &'a mut Dict, place: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(dict.get_mut(first)?, |value, part| match value {
        Value::Dict(_, dict) => dict.get_mut(part),
        Value::Array(_, items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn remove(dict: &mut Dict, place: &[String]) {
    let Some((last, parents)) = place.split_last() else { return };
    if parents.is_empty() {
        dict.remove(last);
        return;
    }
    match find(dict, parents) {
        Some(Value::Dict(_, dict)) => {
            dict.remove(last);
        }
        // One item is wrong: the whole list goes, so that the others keep their numbers.
        Some(Value::Array(..)) => remove(dict, parents),
        _ => {}
    }
}

fn whole_file(source: &str, problem: String) -> ConfigError {
    ConfigError(vec![Mistake { source: source.to_owned(), key: String::new(), problem }])
}

fn wants_text(error: &figment::Error) -> bool {
    matches!(&error.kind, Kind::InvalidType(Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) | Actual::Bool(_), expected)
        if expected.contains("string"))
}

/// Where the value is that is wrong.
fn place(error: &figment::Error) -> Vec<String> {
    let mut place = error.path.clone();
    // A key that is unknown is not part of figment's path.
    if let Kind::UnknownField(name, _) = &error.kind
        && place.last().is_none_or(|l| l != name)
    {
        place.push(name.clone());
    }
    place
}

fn explain(error: &figment::Error, place: &[String], source: String) -> Mistake {
    let mut key = String::new();
    for part in place {
        match part.parse::<usize>() {
            Ok(index) if !key.is_empty() => key.push_str(&format!("[{index}]")),
            _ if key.is_empty() => key.push_str(part),
            _ => {
                key.push('.');
                key.push_str(part);
            }
        }
    }
    let problem = match &error.kind {
        Kind::UnknownField(_, known) => format!("no such key, expected one of {}", known.join(", ")),
        Kind::UnknownVariant(found, known) => format!("found {found:?}, expected one of {}", known.join(", ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_secret(&key) => {
            format!("found something else, expected {expected}")
        }
        kind => with_expectation(&key, kind.to_string()),
    };
    Mistake { source, key, problem }
}

/// Where the file is no TOML, and why. Without the line itself: there may be a secret in it.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|at| text.get(..at.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: {}", error.message())
}

/// Whether a value of this key must not be shown.
fn is_secret(key: &str) -> bool {
    ["password", "secret", "url", "urls"].iter().any(|end| key.ends_with(end))
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
            ("[push]\nping_interval_s = 0", "convoke.toml: push.ping_interval_s: ", "positive"),
            ("[push]\npause_ms = 60_001", "convoke.toml: push.pause_ms: ", "60000 at most"),
            ("[push]\nsilence_s = 5", "convoke.toml: push.silence_s: ", "more than push.ping_interval_s"),
            ("[engine]\ncache = \"redis\"\n[redis]\nurls = []", "convoke.toml: redis.urls: ", "at least one"),
            (
                "[engine]\ncache = \"redis\"\n[redis]\ntopology = \"sentinel\"",
                "convoke.toml: redis.sentinel_master: ",
                "required",
            ),
            (
                "[engine]\ncache = \"redis\"\n[redis]\nurls = [\"rediss://h/#insecure\"]",
                "convoke.toml: redis.urls: ",
                "always checked",
            ),
            ("[limits]\noccurrences = 0", "convoke.toml: limits.occurrences: ", "positive"),
            ("[limits", "convoke.toml: ", "line 1"),
        ];
        for (text, place, expected) in cases {
            let error = load(text).expect_err(text);
            assert!(error.starts_with(place) && error.contains(expected), "{text}\n  gave {error}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = "[server]\nlisten = \"nowhere\"\nport = 80\npublic_url = \"x\"\n[serve]\n[mail]\nsender = \"nobody\"\n\
                    recipients = [\"alice@example.org\", \"bob\"]\n[limits]\noccurrences = 0\nobject_depth = -1\n\
                    [queue.retry]\nattempts = \"many\"\n\
                    [[auth.oidc]]\nissuer = \"https://a.example.org\"\naudience = [\"x\"]\ncolour = \"red\"\n\
                    [[auth.oidc]]\nclock_skew_s = \"none\"\n";
        let error = load(text).unwrap_err();
        for key in [
            "server.listen",
            "server.port",
            "server.public_url",
            "serve",
            "mail.sender",
            "mail.recipients[1]",
            "limits.occurrences",
            "limits.object_depth",
            "queue.retry.attempts",
            "auth.oidc[0].colour",
            "auth.oidc[1].clock_skew_s",
            "auth.oidc[1].issuer",
            "auth.oidc[1].audience",
        ] {
            let line = format!("convoke.toml: {key}: ");
            assert_eq!(error.matches(&line).count(), 1, "{key} in\n{error}");
        }
        assert_eq!(error.lines().count(), 13, "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/nonexistent/convoke.toml"))).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/convoke.toml: "), "{error}");
    }
}
