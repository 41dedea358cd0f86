//! Contacts to complete: a question to the indices that Twake Mail writes (storage §5). Nothing is written there.

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::OpenSearch;
use super::client::{Fault, Method, Question};
use crate::ids::Email;
use crate::search::analysis::clipped;
use crate::search::{Contact, ContactIndex, SearchError};

#[derive(Deserialize)]
struct Answer {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(default)]
    contact_id: Option<String>,
    email: String,
    #[serde(default)]
    firstname: Option<String>,
    #[serde(default)]
    surname: Option<String>,
}

#[async_trait]
impl ContactIndex for OpenSearch {
    async fn complete(&self, account: &Email, text: &str, limit: usize) -> Result<Vec<Contact>, SearchError> {
        if limit == 0 || text.trim().is_empty() {
            return Ok(Vec::new());
        }
        self.ensure().await?;
        let names = &self.config.contacts;
        let question = Question {
            operation: "contacts",
            method: Method::Post,
            path: format!("/{},{}/_search", names.user_read_alias, names.domain_read_alias),
            query: &[],
            body: Some(Bytes::from(body(account, clipped(text.trim()), limit).to_string())),
            timeout: self.search_timeout(),
        };
        let answer: Answer = match self.client.ask(&question).await {
            Err(fault @ Fault::NoIndex(_)) => {
                self.ready.store(false, std::sync::atomic::Ordering::Release);
                return Err(fault.into());
            }
            answer => answer?,
        };
        Ok(distinct(answer.hits.hits.into_iter().map(|hit| hit.source)))
    }
}

fn body(account: &Email, text: &str, limit: usize) -> Value {
    let part = match text.contains('@') {
        true => json!({"match": {"email": {"query": text}}}),
        false => json!({"multi_match": {"query": text, "fields": ["email", "firstname", "surname"]}}),
    };
    let domain = account.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
    json!({
        "query": {"bool": {
            "must": [part],
            "should": [{"term": {"accountId": account}}, {"term": {"domain": domain}}],
            "minimum_should_match": "1",
        }},
        "size": limit,
    })
}

/// Each address and name once, in order. What is no address is left out.
fn distinct(found: impl Iterator<Item = Source>) -> Vec<Contact> {
    let mut seen = HashSet::new();
    let mut contacts = Vec::new();
    for source in found {
        let Ok(email) = source.email.to_lowercase().parse::<Email>() else { continue };
        let (firstname, surname) = (source.firstname.unwrap_or_default(), source.surname.unwrap_or_default());
        let full = format!("{firstname} {surname}");
        if seen.insert((email.clone(), full.trim().to_lowercase())) {
            contacts.push(Contact { id: source.contact_id.unwrap_or_default(), email, firstname, surname });
        }
    }
    contacts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_looked_for_as_an_address() {
        let alice: Email = "alice@example.org".parse().unwrap();
        let asked = body(&alice, "bob@", 10);
        assert_eq!(asked["query"]["bool"]["must"], json!([{"match": {"email": {"query": "bob@"}}}]));
        assert_eq!(
            asked["query"]["bool"]["should"],
            json!([{"term": {"accountId": "alice@example.org"}}, {"term": {"domain": "example.org"}}])
        );
        let asked = body(&alice, "bob", 10);
        let fields = json!([{"multi_match": {"query": "bob", "fields": ["email", "firstname", "surname"]}}]);
        assert_eq!(asked["query"]["bool"]["must"], fields);
    }
}
