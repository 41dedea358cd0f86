//! The convoke configuration as it grows, key by key, and what is said about each key of the folder.

use std::collections::BTreeMap;

use toml::Value;

use super::documented::Documented;
use crate::config::ENV_PREFIX;

/// Convoke keys that hold a secret and nothing else.
const SECRETS: &[&str] = &[
    "mail.smtp.password",
    "opensearch.password",
    "redis.password",
    "redis.sentinel_password",
    "upstream.admin_password",
    "webadmin.password",
];

/// The providers; the one key whose values are tables.
pub const PROVIDERS: &str = "auth.oidc";

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// File, relative to the folder.
    pub file: String,
    /// Key; empty when it is about the file as a whole.
    pub key: String,
    /// What happened, and what to do.
    pub text: String,
    /// The reference would not start with it (storage §8.10).
    pub refused: bool,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused = if self.refused { "refused: " } else { "" };
        match self.key.as_str() {
            "" => write!(f, "{}: {refused}{}", self.file, self.text),
            key => write!(f, "{}: {key}: {refused}{}", self.file, self.text),
        }
    }
}

/// A value on its way into the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// What is written.
    pub value: Value,
    /// Where it comes from, `file: key`.
    pub origin: String,
}

/// What was understood so far.
#[derive(Debug)]
pub struct Draft {
    pub documented: Documented,
    secrets_as_env: bool,
    /// By convoke key.
    pub values: BTreeMap<String, Carried>,
    /// Convoke keys that are left to the environment.
    pub variables: Vec<String>,
    pub remarks: Vec<Remark>,
}

impl Draft {
    pub fn new(documented: Documented, secrets_as_env: bool) -> Self {
        Self { documented, secrets_as_env, values: BTreeMap::new(), variables: Vec::new(), remarks: Vec::new() }
    }

    /// Says what became of a key.
    pub fn remark(&mut self, file: &str, key: &str, text: impl Into<String>) {
        self.note(file, key, text.into(), false);
    }

    /// The reference would refuse to start (storage §8.10).
    pub fn refuse(&mut self, file: &str, key: &str, text: impl Into<String>) {
        self.note(file, key, text.into(), true);
    }

    fn note(&mut self, file: &str, key: &str, text: String, refused: bool) {
        let text = text.replace(['\r', '\n'], " ");
        self.remarks.push(Remark { file: file.to_owned(), key: key.to_owned(), text, refused });
    }

    /// Carries a value to a convoke key and says so. What needs the environment, now or by `--secrets-as-env`, becomes a
    /// variable.
    pub fn carry(&mut self, file: &str, key: &str, target: &str, value: impl Into<Value>) {
        let value = value.into();
        if !self.documented.knows(target) {
            self.remark(file, key, format!("not built in this version: there is no {target}"));
            return;
        }
        let variable = variable(target);
        if needs_environment(&value) {
            let text = shell(&value);
            self.remark(file, key, format!("comes from the environment: set {variable}={text}"));
            self.leave_to_environment(target);
        } else if self.secrets_as_env && is_secret(target, &value) {
            let shown = match &value {
                Value::String(_) if SECRETS.contains(&target) => String::new(),
                value => format!(", as in {}", hide(value)),
            };
            self.remark(file, key, format!("secret: set {variable}{shown}"));
            self.leave_to_environment(target);
        } else if self.documented.default_of(target) == Some(&value) {
            self.remark(file, key, format!("is the default of {target}"));
            // A later key may still say otherwise; an earlier one must not.
            self.values.remove(target);
        } else {
            self.remark(file, key, format!("carried to {target}"));
            self.values.insert(target.to_owned(), Carried { value, origin: format!("{file}: {key}") });
        }
    }

    /// A value that is not a key's own, but follows from the file being there. Said by the caller.
    pub fn imply(&mut self, file: &str, target: &str, value: impl Into<Value>) {
        let value = value.into();
        if self.documented.knows(target) && self.documented.default_of(target) != Some(&value) {
            self.values.insert(target.to_owned(), Carried { value, origin: file.to_owned() });
        }
    }

    /// Leaves a convoke key to the environment.
    pub fn leave_to_environment(&mut self, target: &str) {
        self.values.remove(target);
        if !self.variables.iter().any(|v| v == target) {
            self.variables.push(target.to_owned());
        }
    }
}

/// `CONVOKE__MAIL__SMTP__HOST` for `mail.smtp.host`.
pub fn variable(target: &str) -> String {
    format!("{ENV_PREFIX}{}", target.replace('.', "__").to_uppercase())
}

/// Whether a text waits for a variable.
pub fn has_placeholder(text: &str) -> bool {
    text.contains("${env:")
}

fn needs_environment(value: &Value) -> bool {
    match value {
        Value::String(text) => has_placeholder(text),
        Value::Array(items) => items.iter().any(needs_environment),
        Value::Table(table) => table.values().any(needs_environment),
        _ => false,
    }
}

fn is_secret(target: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => SECRETS.contains(&target) || has_password(text),
        Value::Array(items) => items.iter().any(|item| is_secret(target, item)),
        Value::Table(table) => table.contains_key("client_secret"),
        _ => false,
    }
}

/// The part of a URL between its user name and its host.
fn password_of(text: &str) -> Option<std::ops::Range<usize>> {
    let start = text.find("://")? + 3;
    // As far as the last "@" where an engine is named: a password that is not encoded as it should be may hold any character.
    let end = match text[start..].find(['/', '?', '#']) {
        Some(end) if text.starts_with("http") => start + end,
        _ => text.len(),
    };
    let at = start + text[start..end].rfind('@')?;
    let colon = start + text[start..at].find(':')?;
    (colon + 1 < at).then_some(colon + 1..at)
}

fn has_password(text: &str) -> bool {
    password_of(text).is_some()
}

/// As TOML, without what is secret.
fn hide(value: &Value) -> Value {
    match value {
        Value::String(text) => match password_of(text) {
            // A placeholder is no secret, and somebody must know where it goes.
            Some(range) if !text[range.clone()].contains("${") => {
                let mut hidden = text.clone();
                hidden.replace_range(range, "***");
                Value::String(hidden)
            }
            _ => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(hide).collect()),
        Value::Table(table) => table
            .iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("client_secret", Value::String(text)) if !text.contains("${") => (key.clone(), Value::from("***")),
                _ => (key.clone(), hide(value)),
            })
            .collect::<toml::Table>()
            .into(),
        other => other.clone(),
    }
}

/// As a word of a POSIX shell in which the variables are replaced.
fn shell(value: &Value) -> String {
    let text = match hide(value) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut out = String::from("\"");
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some(name) = rest.strip_prefix("${env:").and_then(|r| r.split_once('}')).map(|(name, _)| name) {
            out.push_str(&format!("${{{name}}}"));
            rest = &rest["${env:".len() + name.len() + 1..];
            continue;
        }
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_in_a_value_becomes_a_word_of_the_shell() {
        let word = |text: &str| shell(&Value::from(text));
        assert_eq!(word("${env:PW}"), r#""${PW}""#);
        assert_eq!(word("mongodb://u:${env:PW}@h/"), r#""mongodb://u:${PW}@h/""#);
        assert_eq!(word(r#"a"b$c`d\${env:X}"#), r#""a\"b\$c\`d\\${X}""#);
        assert_eq!(word("amqp://u:s3cret@${env:HOST}/"), r#""amqp://u:***@${HOST}/""#);
        assert_eq!(shell(&Value::from(vec!["redis://${env:H}"])), r#""[\"redis://${H}\"]""#);
    }

    #[test]
    fn passwords_in_urls_are_found() {
        assert!(has_password("amqp://guest:guest@h/"));
        assert!(has_password("redis://:s3cret@h"));
        for plain in ["amqp://h:5672/", "redis://user@h", "http://h/a:b@c", "alice@example.org"] {
            assert!(!has_password(plain), "{plain}");
        }
    }

    #[test]
    fn variables_are_named_as_the_loader_reads_them() {
        assert_eq!(variable("mail.smtp.ca_file"), "CONVOKE__MAIL__SMTP__CA_FILE");
    }
}
