//! `conf/convoke.toml` as data: which keys there are, their defaults and what is said about them. What is written keeps its
//! order and its words, so that the file that comes out reads like the documented one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use toml::{Table, Value};

use super::draft::{Carried, Draft, PROVIDERS, variable};

const TEXT: &str = include_str!("../../../conf/convoke.toml");

/// Every key with its words.
#[derive(Debug)]
pub struct Documented {
    sections: Vec<Section>,
    defaults: Table,
    known: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Section {
    name: String,
    words: Vec<String>,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    words: Vec<String>,
}

impl Documented {
    /// Reads the documented configuration that this program was built with.
    pub fn read() -> Self {
        Self::of(TEXT)
    }

    fn of(text: &str) -> Self {
        let sections = sections(text);
        let known = sections.iter().flat_map(|s| s.keys.iter().map(|k| format!("{}.{}", s.name, k.name))).collect();
        Self { sections, defaults: text.parse().unwrap_or_default(), known }
    }

    /// Whether there is such a key.
    pub fn knows(&self, key: &str) -> bool {
        key == PROVIDERS || self.known.contains(key)
    }

    /// Its default, where it has one.
    pub fn default_of(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.defaults.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The configuration file of a draft.
    pub fn write(draft: &Draft) -> String {
        let mut out = String::from(
            "# Made by `convoke import-config` from a configuration folder of Twake Calendar. What is not named here has \
             its default;\n# conf/convoke.toml documents every key. `convoke check-config` checks this file, `convoke \
             doctor` what it leads to.\n",
        );
        if !draft.variables.is_empty() {
            out.push_str("#\n# Set in the environment:\n");
            for key in &draft.variables {
                let _ = writeln!(out, "#   {}", variable(key));
            }
        }
        for section in &draft.documented.sections {
            let values: Vec<(&Key, &Carried)> = section
                .keys
                .iter()
                .filter_map(|key| Some((key, draft.values.get(&format!("{}.{}", section.name, key.name))?)))
                .collect();
            if section.name == PROVIDERS {
                providers(&mut out, section, draft.values.get(PROVIDERS));
            } else if !values.is_empty() {
                words(&mut out, "\n", &section.words);
                let _ = writeln!(out, "[{}]", section.name);
                for (key, carried) in values {
                    words(&mut out, "", &key.words);
                    let _ = writeln!(out, "# From {}.\n{} = {}", carried.origin, key.name, carried.value);
                }
            }
        }
        out
    }
}

fn providers(out: &mut String, section: &Section, carried: Option<&Carried>) {
    let Some(Carried { value: Value::Array(providers), origin }) = carried else { return };
    for provider in providers {
        let _ = writeln!(out, "\n# An OpenID provider. From {origin}.\n[[{PROVIDERS}]]");
        for key in &section.keys {
            if let Some(value) = provider.get(&key.name) {
                words(out, "", &key.words);
                let _ = writeln!(out, "{} = {value}", key.name);
            }
        }
    }
}

fn words(out: &mut String, before: &str, words: &[String]) {
    out.push_str(before);
    for line in words {
        let _ = writeln!(out, "# {line}");
    }
}

fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        // Examples stand behind one "#", their words behind two; keys without default behind one.
        let bare = line.strip_prefix('#').map_or(line, |l| l.strip_prefix(' ').unwrap_or(l));
        if line.trim().is_empty() {
            words.clear();
        } else if let Some(name) = bare.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let name = name.trim_matches(['[', ']']).to_owned();
            sections.push(Section { name, words: std::mem::take(&mut words), keys: Vec::new() });
        } else if let (Some(name), Some(section)) = (key_of(bare), sections.last_mut()) {
            section.keys.push(Key { name: name.to_owned(), words: std::mem::take(&mut words) });
        } else if line.starts_with('#') {
            words.push(bare.strip_prefix("# ").unwrap_or(bare).to_owned());
        }
    }
    sections
}

/// `attempts` of `attempts = 8`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_').then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_keys_are_found_with_their_defaults() {
        let documented = Documented::read();
        for key in ["server.listen", "mail.smtp.ca_file", "queue.retry.attempts", "auth.oidc", "auth.oidc.issuer"] {
            assert!(documented.knows(key), "{key}");
        }
        assert!(!documented.knows("server.port"));
        assert_eq!(documented.default_of("mail.smtp.port"), Some(&Value::Integer(25)));
        assert_eq!(documented.default_of("mail.smtp.password"), None);
    }

    #[test]
    fn every_documented_key_has_words() {
        for section in Documented::read().sections {
            assert!(!section.words.is_empty() || section.name == PROVIDERS, "[{}]", section.name);
            for key in section.keys {
                assert!(!key.words.is_empty(), "[{}] {}", section.name, key.name);
            }
        }
    }
}
