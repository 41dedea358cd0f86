//! Questions as the cluster understands them, the way the reference asks them (storage §4.6).

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Fault, Method, Question};
use super::{OpenSearch, documents};
use crate::config::EventsIndex;
use crate::ids::CalendarPath;
use crate::search::analysis::{self, clipped};
use crate::search::{EventDocument, EventQuery};

/// Hits that a cluster gives from the beginning, all pages together (`index.max_result_window`). What is behind is not found.
const WINDOW: usize = 10_000;

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
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source")]
    source: Value,
}

impl OpenSearch {
    /// The hits of one page.
    pub(super) async fn find(&self, query: &EventQuery) -> Result<Vec<EventDocument>, Fault> {
        let Some(size) = WINDOW.checked_sub(query.offset).map(|left| left.min(query.limit)).filter(|size| *size > 0)
        else {
            return Ok(Vec::new());
        };
        self.ensure().await?;
        let body = body(&self.names, query, size);
        let question = Question {
            operation: "search",
            method: Method::Post,
            path: format!("/{}/_search", self.names.read_alias),
            query: &[],
            body: Some(Bytes::from(body.to_string())),
            timeout: self.search_timeout(),
        };
        let answer = match self.client.ask::<Answer>(&question).await {
            Err(Fault::NoIndex(_)) => {
                self.ready.store(false, std::sync::atomic::Ordering::Release);
                self.ensure().await?;
                self.client.ask(&question).await?
            }
            answer => answer?,
        };
        let hits = answer.hits.hits.into_iter();
        Ok(hits.filter_map(|hit| documents::document(&hit.id, &hit.source)).collect())
    }
}

fn body(names: &EventsIndex, query: &EventQuery, size: usize) -> Value {
    let mut must = vec![within(query)];
    if !query.text.trim().is_empty() {
        must.push(text(names, clipped(&query.text)));
    }
    for (field, addresses) in [("organizer", &query.organizers), ("attendees", &query.attendees)] {
        if !addresses.is_empty() {
            must.push(json!({"terms": {format!("{field}.email.raw"): addresses}}));
        }
    }
    if let Some(link) = &query.booking_link {
        must.push(json!({"term": {"bookingLinkId": link}}));
    }
    json!({
        "query": {"bool": {"must": must}},
        // What is equal in rank and start is in one order on all pages.
        "sort": [
            {"collapseRank": {"order": "asc", "missing": 0, "unmapped_type": "integer"}},
            {"start": {"order": "desc", "missing": "_last"}},
            {"eventUid": {"order": "asc"}},
            {"calendarURL": {"order": "asc"}},
            {"recurrenceId": {"order": "asc", "unmapped_type": "keyword"}},
        ],
        "collapse": {"field": "eventUid"},
        "from": query.offset,
        "size": size,
        "track_total_hits": false,
    })
}

/// The calendars of the question. Of some only what says that it is public is found, or nothing about that: which word the
/// class is can be asked of `clazz.raw` alone, so that in an index without that field more is kept back, never less.
fn within(query: &EventQuery) -> Value {
    let of = |calendars: &[CalendarPath]| {
        let urls: Vec<String> = calendars.iter().map(documents::calendar_url).collect();
        json!({"terms": {"calendarURL": urls}})
    };
    if query.of_others.is_empty() {
        return of(&query.calendars);
    }
    let is_public = json!({"bool": {"minimum_should_match": "1", "should": [
        {"term": {"clazz.raw": "public"}}, {"bool": {"must_not": [{"exists": {"field": "clazz"}}]}},
    ]}});
    json!({"bool": {"minimum_should_match": "1", "should": [
        of(&query.calendars), {"bool": {"must": [of(&query.of_others), is_public]}},
    ]}})
}

fn text(names: &EventsIndex, text: &str) -> Value {
    let event = if names.query_string && analysis::is_simple_query(text) {
        json!({"simple_query_string": {
            "query": text, "fields": ["summary", "description", "location"], "default_operator": "and", "lenient": true,
        }})
    } else {
        let mut fields = vec!["summary", "description", "location"];
        if names.summary_prefix {
            fields.push("summary.prefix");
        }
        let mut query = json!({"query": text, "fields": fields});
        if names.fuzzy {
            query["fuzziness"] = json!("AUTO");
        }
        json!({ "multi_match": query })
    };
    let person = |field: &str| json!({"match": {field: {"query": text}}});
    json!({"bool": {"minimum_should_match": "1", "should": [
        event,
        person("organizer.email"), person("organizer.cn"),
        person("attendees.email"), person("attendees.cn"),
    ]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_as_the_reference_asks_it() {
        let query = EventQuery {
            text: "sync".to_owned(),
            calendars: vec!["/calendars/6650c0ffee0123456789abcd/work".parse().unwrap()],
            of_others: Vec::new(),
            organizers: vec!["alice@example.org".parse().unwrap()],
            attendees: vec!["bob@example.org".parse().unwrap()],
            booking_link: Some("0b7c7b0e-3f5f-4b3e-9a55-3d7f0f1f7a11".to_owned()),
            offset: 30,
            limit: 10,
        };
        let asked = body(&EventsIndex::default(), &query, 10);
        assert_eq!(
            asked["query"],
            json!({"bool": {"must": [
                {"terms": {"calendarURL": ["6650c0ffee0123456789abcd/work"]}},
                {"bool": {"minimum_should_match": "1", "should": [
                    {"multi_match": {"query": "sync", "fields": ["summary", "description", "location", "summary.prefix"]}},
                    {"match": {"organizer.email": {"query": "sync"}}}, {"match": {"organizer.cn": {"query": "sync"}}},
                    {"match": {"attendees.email": {"query": "sync"}}}, {"match": {"attendees.cn": {"query": "sync"}}},
                ]}},
                {"terms": {"organizer.email.raw": ["alice@example.org"]}},
                {"terms": {"attendees.email.raw": ["bob@example.org"]}},
                {"term": {"bookingLinkId": "0b7c7b0e-3f5f-4b3e-9a55-3d7f0f1f7a11"}},
            ]}})
        );
        assert_eq!((&asked["from"], &asked["size"]), (&json!(30), &json!(10)));
        assert_eq!(asked["collapse"], json!({"field": "eventUid"}));
    }

    #[test]
    fn of_the_calendars_of_others_only_what_is_public_is_asked_for() {
        let query = EventQuery {
            calendars: vec!["/calendars/6650c0ffee0123456789abcd/work".parse().unwrap()],
            of_others: vec!["/calendars/6650c0ffee0123456789abce/work".parse().unwrap()],
            ..EventQuery::default()
        };
        let public = json!({"bool": {"minimum_should_match": "1", "should": [
            {"term": {"clazz.raw": "public"}}, {"bool": {"must_not": [{"exists": {"field": "clazz"}}]}},
        ]}});
        let expected = json!({"bool": {"must": [{"bool": {"minimum_should_match": "1", "should": [
            {"terms": {"calendarURL": ["6650c0ffee0123456789abcd/work"]}},
            {"bool": {"must": [{"terms": {"calendarURL": ["6650c0ffee0123456789abce/work"]}}, public]}},
        ]}}]}});
        assert_eq!(body(&EventsIndex::default(), &query, 10)["query"], expected);
    }

    #[test]
    fn operators_make_it_a_simple_query_string_unless_that_is_switched_off() {
        let names = EventsIndex { fuzzy: true, summary_prefix: false, ..EventsIndex::default() };
        let event = |names: &EventsIndex, question: &str| text(names, question)["bool"]["should"][0].clone();
        assert_eq!(
            event(&names, "plan -draft"),
            json!({"simple_query_string": {"query": "plan -draft", "fields": ["summary", "description", "location"],
                "default_operator": "and", "lenient": true}})
        );
        let plain = EventsIndex { query_string: false, ..names };
        assert_eq!(
            event(&plain, "plan -draft"),
            json!({"multi_match": {"query": "plan -draft", "fields": ["summary", "description", "location"],
                "fuzziness": "AUTO"}})
        );
    }
}
