//! One properties file of the folder: each key is taken once, checked, and said something about. What nobody took is
//! unknown.

use std::time::Duration;

use super::draft::{Draft, has_placeholder};
use super::properties::{Entry, Properties};
use super::values::{self, Unit};

/// The `-D` properties of `jvm.properties`, for `${sys:…}`.
pub type SystemProperties = std::collections::BTreeMap<String, String>;

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// The key is not there, or empty.
    Absent,
    /// It is there and can be read.
    Known(T),
    /// It is there, and known when the environment is.
    Later(String),
    /// It is there and wrong, which was said.
    Wrong,
}

impl<T> Given<T> {
    /// The value, where it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Whether something stands there.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// One file.
pub struct Source<'a> {
    pub name: &'static str,
    properties: Properties,
    system: &'a SystemProperties,
    taken: Vec<String>,
    pub draft: &'a mut Draft,
}

impl<'a> Source<'a> {
    pub fn new(name: &'static str, text: &str, system: &'a SystemProperties, draft: &'a mut Draft) -> Self {
        Self { name, properties: Properties::parse(text), system, taken: Vec::new(), draft }
    }

    /// Says what became of a key.
    pub fn remark(&mut self, key: &str, text: impl Into<String>) {
        self.draft.remark(self.name, key, text);
    }

    /// The reference would refuse to start.
    pub fn refuse(&mut self, key: &str, text: impl Into<String>) {
        self.draft.refuse(self.name, key, text);
    }

    /// Carries a value.
    pub fn carry(&mut self, key: &str, target: &str, value: impl Into<toml::Value>) {
        self.draft.carry(self.name, key, target, value);
    }

    /// Takes a key as a list.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        let Some(Entry { values, .. }) = self.properties.take(key) else { return Vec::new() };
        self.taken.push(key.to_owned());
        let items: Vec<String> = values.iter().map(|v| self.interpolate(key, v)).filter(|v| !v.is_empty()).collect();
        if items.is_empty() {
            self.remark(key, "empty, as if it were not there");
        }
        items
    }

    /// Takes a key as one text: what was split at commas is joined again.
    pub fn text(&mut self, key: &str) -> Given<String> {
        let items = self.list(key);
        let text = items.join(",");
        match text.as_str() {
            "" => Given::Absent,
            text if has_placeholder(text) => Given::Later(text.to_owned()),
            _ => Given::Known(text),
        }
    }

    /// Takes a key and reads it; what cannot be read is refused.
    fn read<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Given<T> {
        match self.text(key) {
            Given::Known(text) => match read(&text) {
                Some(value) => Given::Known(value),
                None => {
                    self.refuse(key, format!("found {text:?}, expected {expected}"));
                    Given::Wrong
                }
            },
            Given::Later(text) => Given::Later(text),
            Given::Absent | Given::Wrong => Given::Absent,
        }
    }

    /// An integer of at least `least`.
    pub fn integer(&mut self, key: &str, least: i64) -> Given<i64> {
        let expected = match least {
            i64::MIN..=0 => format!("an integer of at least {least}"),
            _ => "a positive integer".to_owned(),
        };
        self.read(key, &expected, |text| text.trim().parse().ok().filter(|n| *n >= least && *n <= i64::from(i32::MAX)))
    }

    /// A port.
    pub fn port(&mut self, key: &str, least: u16) -> Given<u16> {
        self.read(key, &format!("a port, {least} to 65535"), |text| text.trim().parse().ok().filter(|p| *p >= least))
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &str) -> Given<bool> {
        self.read(key, "true or false", values::boolean)
    }

    /// A boolean that decides how other keys are read; one that the environment holds is taken for its default.
    pub fn switch(&mut self, key: &str, default: bool) -> bool {
        match self.boolean(key) {
            Given::Known(value) => value,
            Given::Later(text) => {
                self.remark(key, format!("depends on the environment, {text}: taken for {default}"));
                default
            }
            Given::Absent | Given::Wrong => default,
        }
    }

    /// A duration; `zero` says whether it may be none.
    pub fn duration(&mut self, key: &str, bare: Unit, zero: bool) -> Given<Duration> {
        let expected = if zero { "a duration, e.g. \"30s\"" } else { "a positive duration, e.g. \"30s\"" };
        self.read(key, expected, |text| values::duration(text, bare).filter(|d| zero || !d.is_zero()))
    }

    /// An http or https URL.
    pub fn url(&mut self, key: &str) -> Given<String> {
        self.read(key, "an http or https URL", |text| is_http_url(text).then(|| text.to_owned()))
    }

    /// One of these words, whatever their case. None when it is not there, not one of them, or not known yet.
    pub fn choice(&mut self, key: &str, words: &[&str]) -> Option<String> {
        let expected = format!("one of {}", words.join(", "));
        let given = self.read(key, &expected, |text| {
            words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| (*word).to_owned())
        });
        if let Given::Later(text) = &given {
            self.remark(key, format!("depends on the environment, {text}: not looked at"));
        }
        given.known()
    }

    /// A size in octets.
    pub fn size(&mut self, key: &str) -> Given<u64> {
        self.read(key, "a size, e.g. \"50MiB\"", values::size)
    }

    /// Whether the key was there.
    pub fn has_taken(&self, key: &str) -> bool {
        self.taken.iter().any(|taken| taken == key)
    }

    /// One key is missing and another one needs it.
    pub fn refuse_without(&mut self, missing: &str, there: &str) {
        self.refuse(missing, format!("missing, and {there} is there"));
        self.remark(there, format!("not carried: {missing} is missing"));
    }

    /// Says that a key took part in a value that others make.
    pub fn part_of(&mut self, key: &str, target: &str) {
        if self.has_taken(key) {
            self.remark(key, format!("carried to {target}"));
        }
    }

    /// Says something about a key if it is there.
    pub fn remark_if_there(&mut self, key: &str, text: &str) {
        if self.has_taken(key) {
            self.remark(key, text);
        }
    }

    /// Carries a duration in the unit of the target's name, rounded up.
    pub fn carry_duration(&mut self, key: &str, target: &str, given: Given<Duration>) {
        match given {
            Given::Known(duration) => {
                let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                let value = if target.ends_with("_ms") { ms } else { ms / 1_000 + i64::from(ms % 1_000 != 0) };
                self.carry(key, target, value);
                if !target.ends_with("_ms") && ms % 1_000 != 0 {
                    self.remark(key, format!("rounded up to {value} s"));
                }
            }
            Given::Later(text) => {
                let unit = if target.ends_with("_ms") { "milliseconds" } else { "seconds" };
                let variable = super::draft::variable(target);
                self.remark(key, format!("comes from the environment, {text}: set {variable} to it, in {unit}"));
                self.draft.leave_to_environment(target);
            }
            Given::Absent | Given::Wrong => {}
        }
    }

    /// Carries what was read as it is.
    pub fn carry_given<T: Into<toml::Value>>(&mut self, key: &str, target: &str, given: Given<T>) {
        match given {
            Given::Known(value) => self.carry(key, target, value),
            Given::Later(text) => self.carry(key, target, text),
            Given::Absent | Given::Wrong => {}
        }
    }

    /// Takes keys that need no look, each with what there is to say.
    pub fn dismiss(&mut self, keys: &[(&str, &str)]) {
        for (key, text) in keys {
            if self.properties.take(key).is_some() {
                self.remark(key, *text);
            }
        }
    }

    /// Takes every key that begins so.
    pub fn dismiss_below(&mut self, prefix: &str, text: &str) {
        let keys: Vec<String> =
            self.properties.entries().iter().map(|e| e.key.clone()).filter(|k| k.starts_with(prefix)).collect();
        for key in keys {
            self.properties.take(&key);
            self.remark(&key, text);
        }
    }

    /// Takes every key that is left, and finishes.
    pub fn dismiss_rest(mut self, text: &str) {
        self.dismiss_below("", text);
        self.finish();
    }

    /// Says that what is left is unknown, and that what was taken without a word changes nothing.
    pub fn finish(mut self) {
        for key in std::mem::take(&mut self.taken) {
            if !self.draft.remarks.iter().any(|r| r.file == self.name && r.key == key) {
                self.remark(&key, "as it is in convoke");
            }
        }
        for entry in std::mem::take(&mut self.properties).entries() {
            let text = match entry.key.as_str() {
                "include" | "includeoptional" => "other files are not read: put its keys here and import again",
                _ => "unknown: neither Twake Calendar nor convoke has such a key",
            };
            self.remark(&entry.key, text);
        }
    }

    /// Replaces `${sys:…}` where `jvm.properties` says by what. Anything else that looks alike stays as it is, which is
    /// said unless it is a variable of the environment.
    fn interpolate(&mut self, key: &str, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            match name.strip_prefix("sys:").map(|n| self.system.get(n)) {
                Some(Some(value)) => out.push_str(value),
                found => {
                    if found.is_some() {
                        self.remark(key, format!("${{{name}}} stays as it is: jvm.properties does not name it"));
                    } else if !name.starts_with("env:") {
                        self.remark(key, format!("${{{name}}} stays as it is: only env: and sys: are known"));
                    }
                    out.push_str(&format!("${{{name}}}"));
                }
            }
            rest = behind;
        }
        out.push_str(rest);
        out.trim().to_owned()
    }
}

/// Whether it is an absolute http or https URL.
pub fn is_http_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}
