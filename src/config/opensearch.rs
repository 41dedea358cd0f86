//! `[opensearch]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Full-text search of events, and the contacts of Twake Mail (storage §4, §5, §8.5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenSearch {
    /// Root URLs of the nodes; another one is asked when one does not answer.
    pub urls: Vec<String>,
    /// User name, where the server asks for one.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// PEM file of a further certificate authority to trust.
    pub ca_file: Option<PathBuf>,
    /// Time for one write or administrative request, in milliseconds.
    pub request_timeout_ms: u64,
    /// Time for one search, in milliseconds.
    pub search_timeout_ms: u64,
    /// Further attempts at what the cluster is too busy for or does not answer.
    pub retries: u32,
    /// Wait before the first of them, in milliseconds; doubled each time, ten seconds at most.
    pub retry_wait_ms: u64,
    /// Shards of an index that is made.
    pub shards: u32,
    /// Replicas of an index that is made.
    pub replicas: u32,
    /// Shard copies to wait for when an index is made.
    pub wait_for_active_shards: u32,
    /// Events in one bulk request at most.
    pub bulk_documents: usize,
    /// Octets of one bulk request at most; a larger object goes alone.
    pub bulk_bytes: usize,
    /// The index of events.
    pub events: EventsIndex,
    /// The indices of contacts.
    pub contacts: ContactsIndex,
}

impl Default for OpenSearch {
    fn default() -> Self {
        Self {
            urls: vec!["http://127.0.0.1:9200".to_owned()],
            username: None,
            password: None,
            ca_file: None,
            request_timeout_ms: 30_000,
            search_timeout_ms: 10_000,
            retries: 7,
            retry_wait_ms: 200,
            shards: 5,
            replicas: 1,
            wait_for_active_shards: 1,
            bulk_documents: 1_000,
            bulk_bytes: 5 << 20,
            events: EventsIndex::default(),
            contacts: ContactsIndex::default(),
        }
    }
}

/// `[opensearch.events]`: the index of events (storage §4.1, §4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsIndex {
    /// Name of the index that is made where there is none.
    pub index: String,
    /// Alias that is searched.
    pub read_alias: String,
    /// Alias that is written to.
    pub write_alias: String,
    /// Letters of a word's beginning that find it, at least.
    pub min_ngram: u32,
    /// So many more at most.
    pub max_ngram_diff: u32,
    /// Find titles by the beginnings of their words.
    pub summary_prefix: bool,
    /// Forgive typing errors.
    pub fuzzy: bool,
    /// Understand quotes, `-`, `|`, `*` and `~` in what is searched for.
    pub query_string: bool,
}

impl Default for EventsIndex {
    fn default() -> Self {
        Self {
            index: "calendar-events".to_owned(),
            read_alias: "calendar-events-read".to_owned(),
            write_alias: "calendar-events-write".to_owned(),
            min_ngram: 3,
            max_ngram_diff: 4,
            summary_prefix: true,
            fuzzy: false,
            query_string: true,
        }
    }
}

/// `[opensearch.contacts]`: the indices that Twake Mail writes and convoke reads (storage §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactsIndex {
    /// Index of the contacts of users.
    pub user_index: String,
    /// Alias of it that is searched.
    pub user_read_alias: String,
    /// Alias of it that Twake Mail writes to.
    pub user_write_alias: String,
    /// Index of the contacts of domains.
    pub domain_index: String,
    /// Alias of it that is searched.
    pub domain_read_alias: String,
    /// Alias of it that Twake Mail writes to.
    pub domain_write_alias: String,
    /// Letters that find a contact, at least.
    pub min_ngram: u32,
    /// So many more at most.
    pub max_ngram_diff: u32,
}

impl Default for ContactsIndex {
    fn default() -> Self {
        Self {
            user_index: "user_contact".to_owned(),
            user_read_alias: "user_contact_read_alias".to_owned(),
            user_write_alias: "user_contact_write_alias".to_owned(),
            domain_index: "domain_contact".to_owned(),
            domain_read_alias: "domain_contact_read_alias".to_owned(),
            domain_write_alias: "domain_contact_write_alias".to_owned(),
            min_ngram: 2,
            max_ngram_diff: 27,
        }
    }
}

impl OpenSearch {
    /// What types alone cannot rule out (storage §8.10): the key below `[opensearch]` and what is wrong with it.
    pub fn mistakes(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut wrong = |key: &str, problem: String| found.push((format!("opensearch.{key}"), problem));
        if self.urls.is_empty() {
            wrong("urls", "found none, expected the root URL of at least one node".to_owned());
        }
        for (i, url) in self.urls.iter().enumerate() {
            match url.parse::<http::Uri>() {
                Ok(uri) if uri.authority().is_some_and(|a| a.as_str().contains('@')) => {
                    wrong(&format!("urls[{i}]"), "found a login, expected it in username and password".to_owned());
                }
                Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() => {}
                // Not shown: there may be a password in it.
                _ => wrong(&format!("urls[{i}]"), "expected an http or https URL".to_owned()),
            }
        }
        match (&self.username, &self.password) {
            (Some(_), None) => wrong("password", "required with username".to_owned()),
            (None, Some(_)) => wrong("username", "required with password".to_owned()),
            _ => {}
        }
        let positive = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("search_timeout_ms", self.search_timeout_ms),
            ("shards", self.shards.into()),
            ("bulk_documents", self.bulk_documents as u64),
            ("bulk_bytes", self.bulk_bytes as u64),
            ("events.min_ngram", self.events.min_ngram.into()),
            ("events.max_ngram_diff", self.events.max_ngram_diff.into()),
            ("contacts.min_ngram", self.contacts.min_ngram.into()),
            ("contacts.max_ngram_diff", self.contacts.max_ngram_diff.into()),
        ];
        for (key, value) in positive {
            if value == 0 {
                wrong(key, "found 0, expected a positive number".to_owned());
            }
        }
        let (events, contacts) = (&self.events, &self.contacts);
        let names = [
            ("events.index", &events.index),
            ("events.read_alias", &events.read_alias),
            ("events.write_alias", &events.write_alias),
            ("contacts.user_index", &contacts.user_index),
            ("contacts.user_read_alias", &contacts.user_read_alias),
            ("contacts.user_write_alias", &contacts.user_write_alias),
            ("contacts.domain_index", &contacts.domain_index),
            ("contacts.domain_read_alias", &contacts.domain_read_alias),
            ("contacts.domain_write_alias", &contacts.domain_write_alias),
        ];
        for (key, name) in names {
            if !is_index_name(name) {
                wrong(key, format!("found {name:?}, expected lower-case letters, digits, \"-\", \"_\" and \".\""));
            }
        }
        found
    }
}

/// A name that can stand in a path as it is and that OpenSearch takes.
fn is_index_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['-', '_', '.'])
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right_and_mistakes_name_their_key() {
        assert_eq!(OpenSearch::default().mistakes(), []);
        let wrong = OpenSearch {
            urls: vec!["ftp://x".to_owned(), "http://a:b@x".to_owned()],
            username: Some("convoke".to_owned()),
            shards: 0,
            events: EventsIndex { index: "Calendar Events".to_owned(), ..EventsIndex::default() },
            ..OpenSearch::default()
        };
        let keys: Vec<String> = wrong.mistakes().into_iter().map(|(key, _)| key).collect();
        let expected = ["urls[0]", "urls[1]", "password", "shards", "events.index"].map(|k| format!("opensearch.{k}"));
        assert_eq!(keys, expected);
        let none = OpenSearch { urls: Vec::new(), ..OpenSearch::default() };
        assert_eq!(none.mistakes()[0].0, "opensearch.urls");
    }
}
