//! Removing many: what a home holds, what a home no longer holds, stones that have stood long enough.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::OpenSearch;
use super::bulk::{self, Outcome, Write};
use super::client::{Fault, Method, Question};
use super::documents;
use super::write::{Change, external};
use crate::ids::{CalendarPath, HomeId, Uid};

/// Documents that are looked at in one request.
const PAGE: usize = 1_000;
/// How long the cluster remembers where we are in a list.
const SCROLL: &str = "1m";
/// How often everything of a home is looked for again, when something was written meanwhile.
const ROUNDS: usize = 5;
/// How long a stone stands, for messages that come late.
const STONES_KEPT: TimeDelta = TimeDelta::days(30);
/// Stones are looked for once in this time.
const STONES_EVERY: TimeDelta = TimeDelta::hours(1);

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    scroll: Option<String>,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version", default)]
    version: i64,
    #[serde(rename = "_source", default)]
    source: FoundSource,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundSource {
    #[serde(rename = "calendarURL")]
    calendar_url: Option<String>,
    event_uid: Option<String>,
}

impl OpenSearch {
    /// Ids of the documents of an object that searches can see.
    pub(super) async fn ids_of(&self, calendar: &CalendarPath, uid: &Uid) -> Result<Vec<String>, Fault> {
        let query = json!({"bool": {"filter": [
            {"term": {"calendarURL": documents::calendar_url(calendar)}},
            {"term": {"eventUid": documents::event_uid(uid)}},
        ]}});
        let found = self.list(Some(calendar.home), &query).await?;
        Ok(found.into_iter().map(|found| found.id).collect())
    }

    /// Removes everything of a home.
    pub(super) async fn remove_home(&self, home: HomeId) -> Result<(), Fault> {
        let query = json!({"term": {"baseCalendarId": home.to_string()}});
        for _ in 0..ROUNDS {
            self.refresh_now().await?;
            let found = self.list(Some(home), &query).await?;
            if found.is_empty() {
                break;
            }
            self.remove_found(home, &found, |found| found.version).await?;
        }
        Ok(())
    }

    /// Removes the objects of a home that are older than `version`.
    pub(super) async fn prune_home(&self, home: HomeId, version: i64) -> Result<u64, Fault> {
        self.refresh_now().await?;
        // All but stones.
        let stone = json!({"bool": {
            "filter": {"exists": {"field": "start"}},
            "must_not": {"exists": {"field": "calendarURL"}},
        }});
        let query = json!({"bool": {
            "filter": {"term": {"baseCalendarId": home.to_string()}},
            "must_not": stone,
        }});
        let mut old = self.list(Some(home), &query).await?;
        let before = external(version);
        old.retain(|found| found.version < before);
        let mut objects: BTreeMap<(String, String), CalendarPath> = BTreeMap::new();
        for found in &old {
            let Some((url, uid)) = found.source.calendar_url.clone().zip(found.source.event_uid.clone()) else {
                continue;
            };
            let Some((_, calendar)) = url.split_once('/') else { continue };
            let calendar = CalendarPath { home, calendar: calendar.to_owned() };
            objects.insert((url, uid), calendar);
        }
        if version <= 0 {
            // Documents of others only: no message of ours tells of them, so that nothing need be remembered.
            self.remove_found(home, &old, |found| found.version).await?;
            return Ok(objects.len() as u64);
        }
        let gone: Vec<(CalendarPath, Uid)> =
            objects.into_iter().map(|((_, uid), calendar)| (calendar, Uid(uid))).collect();
        for some in gone.chunks(self.limits().writes) {
            let changes: Vec<Change<'_>> = some
                .iter()
                .map(|(calendar, uid)| Change { calendar, uid, version: version - 1, documents: &[] })
                .collect();
            self.apply(&changes).await.into_iter().collect::<Result<(), Fault>>()?;
        }
        // Of objects that are still there, what earlier states left.
        self.remove_found(home, &old, |_| before - 1).await?;
        Ok(gone.len() as u64)
    }

    /// Removes stones that have stood long enough, at most once in an hour.
    pub(super) async fn forget(&self) -> Result<(), Fault> {
        let now = self.env.now();
        if !self.stones_due(now) {
            return Ok(());
        }
        let until = (now - STONES_KEPT).to_rfc3339_opts(SecondsFormat::Secs, true);
        let query = json!({"bool": {
            "filter": {"range": {"start": {"lt": until}}},
            "must_not": [{"exists": {"field": "calendarURL"}}, {"exists": {"field": "dtstamp"}}],
        }});
        let body = json!({ "query": query });
        let question = Question {
            operation: "forget",
            method: Method::Post,
            path: format!("/{}/_delete_by_query", self.names.write_alias),
            query: &[("conflicts", "proceed"), ("max_docs", "10000")],
            body: Some(Bytes::from(body.to_string())),
            timeout: self.limits().timeout,
        };
        self.client.ask::<Value>(&question).await.map(drop)
    }

    fn stones_due(&self, now: DateTime<Utc>) -> bool {
        let mut last = self.stones_looked_for.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|last| now - last >= STONES_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    /// Makes everything that was written visible to searches.
    pub(super) async fn refresh_now(&self) -> Result<(), Fault> {
        let question = Question {
            operation: "refresh",
            method: Method::Post,
            path: format!("/{}/_refresh", self.names.write_alias),
            query: &[],
            body: None,
            timeout: self.limits().timeout,
        };
        self.client.insist::<Value>(&question).await.map(drop)
    }

    /// All documents that match, of one home or of all.
    async fn list(&self, home: Option<HomeId>, query: &Value) -> Result<Vec<Found>, Fault> {
        let routing = home.map(documents::routing);
        let mut parameters = vec![("scroll", SCROLL), ("_source_includes", "calendarURL,eventUid")];
        parameters.extend(routing.as_deref().map(|routing| ("routing", routing)));
        let body = json!({"query": query, "size": PAGE, "version": true, "sort": ["_doc"]});
        let question = |path: String, query, body: &Value| Question {
            operation: "list",
            method: Method::Post,
            path,
            query,
            body: Some(Bytes::from(body.to_string())),
            timeout: self.limits().timeout,
        };
        let first = question(format!("/{}/_search", self.names.write_alias), &parameters, &body);
        let mut page: Page = self.client.insist(&first).await?;
        let mut found = Vec::new();
        while let Some(scroll) = page.scroll.take() {
            let last = page.hits.hits.len() < PAGE;
            found.append(&mut page.hits.hits);
            if last {
                let done = Question {
                    method: Method::Delete,
                    ..question("/_search/scroll".to_owned(), &[], &json!({ "scroll_id": scroll }))
                };
                // It ends by itself otherwise.
                drop(self.client.ask::<Value>(&done).await);
                break;
            }
            let next = json!({"scroll": SCROLL, "scroll_id": scroll});
            page = self.client.ask(&question("/_search/scroll".to_owned(), &[], &next)).await?;
        }
        Ok(found)
    }

    async fn remove_found(&self, home: HomeId, found: &[Found], version: impl Fn(&Found) -> i64) -> Result<(), Fault> {
        let removals: Vec<Write> = found
            .iter()
            .map(|found| Write {
                id: found.id.clone(),
                routing: documents::routing(home),
                version: version(found),
                source: None,
            })
            .collect();
        let outcomes = bulk::write(&self.client, &self.names.write_alias, self.limits(), &removals).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(|_: Outcome| ()))
    }
}
