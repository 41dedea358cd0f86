//! The indices as existing installations have them: names, settings, analyzers, mappings (storage §4.1–4.3, §5); and making
//! what is missing. An index that exists is never altered.

use serde_json::{Value, json};
use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, Fault, Method, Question};
use crate::config;

/// One index with its aliases.
pub(super) struct Index {
    pub name: String,
    pub read_alias: String,
    pub write_alias: String,
    pub body: Value,
}

/// The index of events.
pub(super) fn events(config: &config::OpenSearch) -> Index {
    let names = &config.events;
    Index {
        name: names.index.clone(),
        read_alias: names.read_alias.clone(),
        write_alias: names.write_alias.clone(),
        body: json!({ "settings": event_settings(config), "mappings": event_mapping(names.summary_prefix) }),
    }
}

/// The indices of contacts, which Twake Mail fills.
pub(super) fn contacts(config: &config::OpenSearch) -> [Index; 2] {
    let names = &config.contacts;
    let index = |name: &str, read: &str, write: &str, mapping: Value| Index {
        name: name.to_owned(),
        read_alias: read.to_owned(),
        write_alias: write.to_owned(),
        body: json!({ "settings": contact_settings(config), "mappings": mapping }),
    };
    [
        index(&names.user_index, &names.user_read_alias, &names.user_write_alias, user_contact_mapping()),
        index(&names.domain_index, &names.domain_read_alias, &names.domain_write_alias, domain_contact_mapping()),
    ]
}

fn event_settings(config: &config::OpenSearch) -> Value {
    let (min, diff) = (config.events.min_ngram, config.events.max_ngram_diff);
    let custom = |tokenizer: &str, filter: &[&str]| json!({"type": "custom", "tokenizer": tokenizer, "filter": filter});
    let folding = ["lowercase", "preserved_ascii_folding_filter"];
    let beginnings = ["edge_ngram_filter", "lowercase", "preserved_ascii_folding_filter"];
    json!({
        "number_of_shards": config.shards,
        "number_of_replicas": config.replicas,
        "index": {"max_ngram_diff": diff},
        "analysis": {
            "normalizer": {"case_insensitive": {"type": "custom", "filter": ["lowercase", "asciifolding"]}},
            "filter": {
                "edge_ngram_filter": {"type": "edge_ngram", "min_gram": min, "max_gram": min + diff},
                "preserved_ascii_folding_filter": {"type": "asciifolding", "preserve_original": true},
            },
            "analyzer": {
                "calendar_event_cn_name_analyzer": custom("standard", &beginnings),
                "calendar_event_cn_name_search_analyzer": custom("standard", &folding),
                "calendar_event_summary_prefix_analyzer": custom("standard", &beginnings),
                "calendar_event_summary_search_prefix_analyzer": custom("keyword", &folding),
                "calendar_event_keep_mail_and_url_analyzer": custom("uax_url_email", &["lowercase", "stop"]),
                "calendar_event_location_analyzer": custom("standard", &["lowercase"]),
            },
        },
    })
}

fn event_mapping(summary_prefix: bool) -> Value {
    let keyword = json!({"type": "keyword"});
    let kept = |kind: &str| json!({"type": kind, "index": false});
    let person = json!({"properties": {
        "email": {"type": "text", "analyzer": "standard",
            "fields": {"raw": {"type": "keyword", "normalizer": "case_insensitive"}}},
        "cn": {"type": "text", "analyzer": "calendar_event_cn_name_analyzer",
            "search_analyzer": "calendar_event_cn_name_search_analyzer"},
    }});
    let mut summary = json!({"type": "text", "analyzer": "calendar_event_keep_mail_and_url_analyzer"});
    if summary_prefix {
        summary["fields"] = json!({"prefix": {"type": "text", "analyzer": "calendar_event_summary_prefix_analyzer",
            "search_analyzer": "calendar_event_summary_search_prefix_analyzer"}});
    }
    // The reference maps it without `raw`: what it and older versions wrote has none until the mapping is put and the calendars
    // are indexed again.
    let mut class = kept("keyword");
    class["fields"] = json!({"raw": {"type": "keyword", "normalizer": "case_insensitive"}});
    json!({"properties": {
        "baseCalendarId": keyword, "eventUid": keyword, "calendarURL": keyword, "bookingLinkId": keyword,
        "summary": summary,
        "location": {"type": "text", "analyzer": "calendar_event_location_analyzer"},
        "description": {"type": "text", "analyzer": "standard"},
        "organizer": person, "attendees": person, "resources": person,
        "start": {"type": "date"}, "end": kept("date"), "dtstamp": kept("date"),
        "userId": kept("keyword"), "clazz": class, "videoconferenceUrl": kept("keyword"),
        "resourceName": kept("keyword"), "recurrenceId": kept("keyword"),
        "allDay": kept("boolean"), "isRecurrentMaster": kept("boolean"),
        "sequence": {"type": "integer"}, "collapseRank": kept("integer"),
    }})
}

fn contact_settings(config: &config::OpenSearch) -> Value {
    let (min, diff) = (config.contacts.min_ngram, config.contacts.max_ngram_diff);
    json!({
        "number_of_shards": config.shards,
        "number_of_replicas": config.replicas,
        "index": {"max_ngram_diff": diff},
        "analysis": {
            "filter": {
                "ngram_filter": {"type": "ngram", "min_gram": min, "max_gram": min + diff},
                "edge_ngram_filter": {"type": "edge_ngram", "min_gram": min, "max_gram": min + diff},
                "preserved_ascii_folding_filter": {"type": "asciifolding", "preserve_original": true},
            },
            "analyzer": {
                "email_ngram_filter_analyzer": {"type": "custom", "tokenizer": "uax_url_email",
                    "filter": ["ngram_filter", "lowercase"]},
                "name_edge_ngram_filter_analyzer": {"type": "custom", "tokenizer": "standard",
                    "filter": ["edge_ngram_filter", "lowercase", "preserved_ascii_folding_filter"]},
                "rebuilt_keyword": {"type": "custom", "tokenizer": "keyword", "filter": ["lowercase"]},
            },
        },
    })
}

fn contact_fields(owner: &str) -> Value {
    let name = json!({"type": "text", "analyzer": "name_edge_ngram_filter_analyzer", "search_analyzer": "standard"});
    let mut fields = json!({
        "contactId": {"type": "keyword"},
        "email": {"type": "text", "analyzer": "email_ngram_filter_analyzer", "search_analyzer": "rebuilt_keyword"},
        "firstname": name, "surname": name,
    });
    fields[owner] = json!({"type": "keyword"});
    fields
}

fn user_contact_mapping() -> Value {
    let mut fields = contact_fields("accountId");
    fields["addressBookId"] = json!({"type": "keyword"});
    json!({ "properties": fields })
}

fn domain_contact_mapping() -> Value {
    json!({ "properties": contact_fields("domain") })
}

impl Index {
    /// Makes the index where there is none, and each alias where nothing has its name.
    pub(super) async fn ensure(&self, client: &Client, active_shards: u32, timeout: Duration) -> Result<(), Fault> {
        let question = |method: Method, path: String, body: Option<Bytes>| Question {
            operation: "create",
            method,
            path,
            query: &[],
            body,
            timeout,
        };
        if !client.exists(&question(Method::Head, format!("/{}", self.name), None)).await? {
            let body = Some(Bytes::from(self.body.to_string()));
            let active = active_shards.to_string();
            let query = [("wait_for_active_shards", active.as_str())];
            let create = Question { query: &query, ..question(Method::Put, format!("/{}", self.name), body) };
            match client.ask::<Value>(&create).await {
                Ok(_) => tracing::info!(index = self.name, "the index was missing and is made"),
                // Another node was first.
                Err(Fault::Refused(text)) if text.contains("resource_already_exists_exception") => {}
                Err(fault) => return Err(fault),
            }
        }
        for alias in [&self.write_alias, &self.read_alias] {
            if !client.exists(&question(Method::Head, format!("/_alias/{alias}"), None)).await? {
                let path = format!("/{}/_alias/{alias}", self.name);
                client.ask::<Value>(&question(Method::Put, path, None)).await?;
            }
        }
        Ok(())
    }
}
