//! The search index follows the calendars: messages as esn-sabre publishes them (`tests/indexing`), the documents they
//! become (`CONVOKE_BLESS=1` writes them), and messages that come late, twice or out of order.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::events::{EventChanged, Topic};
use convoke::ical::jcal;
use convoke::ids::CalendarPath;
use convoke::indexing::{Indexing, documents};
use convoke::queue::Failure;
use convoke::search::fts::Fts;
use convoke::search::{EventIndex, EventQuery};
use serde_json::{Value, json};

use crate::notify_support::first;

fn now() -> DateTime<Utc> {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn message(name: &str) -> (Topic, Value) {
    let text = std::fs::read_to_string(format!("tests/indexing/{name}.json")).unwrap();
    let mut message: Value = serde_json::from_str(&text).unwrap();
    (Topic::from_name(message["exchange"].as_str().unwrap()).unwrap(), message["body"].take())
}

struct Index {
    fts: Arc<Fts>,
    indexing: Indexing,
    _data: tempfile::TempDir,
}

impl Index {
    fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let env = Env::new(ManualClock::at(now()), CountingEntropy::default());
        let fts = Arc::new(Fts::open(&data.path().join("search.db"), env).unwrap());
        Self { indexing: Indexing::new(fts.clone()), fts, _data: data }
    }

    async fn handle(&self, (topic, payload): (Topic, Value), after_ms: i64) -> Result<(), Failure> {
        self.indexing.handle(first(topic, payload, now() + TimeDelta::milliseconds(after_ms))).await
    }

    /// Summaries of the events found in the calendar of a message.
    async fn found(&self, payload: &Value, text: &str) -> Vec<String> {
        let path: String = payload["eventPath"].as_str().unwrap().rsplit_once('/').unwrap().0.to_owned();
        let calendars = vec![path.parse::<CalendarPath>().unwrap()];
        let query = EventQuery { text: text.to_owned(), calendars, limit: 10, ..EventQuery::default() };
        let found = self.fts.search(&query).await.unwrap();
        found.into_iter().map(|document| document.summary.unwrap_or_default()).collect()
    }
}

#[test]
fn every_message_becomes_the_documents_that_were_reviewed() {
    let mut differing = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir("tests/indexing").unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() > 8, "the messages are gone");
    for file in files {
        let (_, payload) = message(file.file_stem().unwrap().to_str().unwrap());
        let changed: EventChanged = serde_json::from_value(payload).unwrap();
        let documents = documents(&changed.event_path, &jcal::from_jcal(&changed.event).unwrap());
        let found = format!("{documents:#?}\n");
        let expected = file.with_extension("txt");
        if std::env::var_os("CONVOKE_BLESS").is_some() {
            std::fs::write(&expected, found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", file.display()));
        }
    }
    assert!(differing.is_empty(), "{} differ\n{}", differing.len(), differing.join("\n"));
}

#[tokio::test]
async fn an_event_is_found_while_it_exists() {
    let index = Index::open();
    let (topic, created) = message("event-moved-to-other-calendar");
    index.handle((topic, created.clone()), 0).await.unwrap();
    let summary = index.found(&created, "").await;
    assert_eq!(summary.len(), 1);
    index.handle((topic, created.clone()), 0).await.unwrap();
    assert_eq!(index.found(&created, "").await, summary, "the same message again changes nothing");
    index.handle((Topic::EventDeleted, created.clone()), 1).await.unwrap();
    assert_eq!(index.found(&created, "").await, [] as [String; 0]);
    index.handle((topic, created.clone()), 0).await.unwrap();
    assert_eq!(index.found(&created, "").await, [] as [String; 0], "a late message does not bring it back");
}

#[tokio::test]
async fn an_event_that_moves_leaves_its_calendar() {
    let index = Index::open();
    let (_, deleted) = message("event-moved-to-other-calendar-deleted");
    let (_, created) = message("event-moved-to-other-calendar");
    index.handle((Topic::EventCreated, deleted.clone()), 0).await.unwrap();
    index.handle((Topic::EventDeleted, deleted.clone()), 5).await.unwrap();
    index.handle((Topic::EventCreated, created.clone()), 5).await.unwrap();
    assert_eq!(index.found(&deleted, "").await.len(), 0);
    assert_eq!(index.found(&created, "").await.len(), 1);
}

#[tokio::test]
async fn an_object_that_is_renamed_stays_in_whatever_order_it_is_told() {
    for order in [[Topic::EventDeleted, Topic::EventCreated], [Topic::EventCreated, Topic::EventDeleted]] {
        let index = Index::open();
        let (_, payload) = message("event-moved-to-other-calendar");
        index.handle((Topic::EventCreated, payload.clone()), 0).await.unwrap();
        for topic in order {
            index.handle((topic, payload.clone()), 7).await.unwrap();
        }
        assert_eq!(index.found(&payload, "").await.len(), 1, "{order:?}");
    }
}

#[tokio::test]
async fn an_object_that_gets_another_uid_is_not_found_by_the_old_one() {
    let index = Index::open();
    let (_, updated) = message("event-uid-changed-on-overwrite");
    let mut before = updated.clone();
    before["event"] = before["old_event"].take();
    index.handle((Topic::EventCreated, before.clone()), 0).await.unwrap();
    assert_eq!(index.found(&before, "").await.len(), 1);
    index.handle((Topic::EventUpdated, updated.clone()), 3).await.unwrap();
    assert_eq!(index.found(&updated, "").await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_copy_is_no_longer_found() {
    let index = Index::open();
    let (topic, cancelled) = message("itip-external-cancel");
    assert_eq!(topic, Topic::EventDeleted);
    index.handle((Topic::EventCreated, cancelled.clone()), 0).await.unwrap();
    assert_eq!(index.found(&cancelled, "").await.len(), 1);
    index.handle((topic, cancelled.clone()), 1).await.unwrap();
    assert_eq!(index.found(&cancelled, "").await.len(), 0);
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_given_up() {
    let index = Index::open();
    let (_, good) = message("all-day-event-created");
    for (key, value) in [
        ("eventPath", json!("/calendars/a/b/c/d.ics")),
        ("eventPath", json!("/elsewhere/x")),
        ("event", json!("BEGIN:VCALENDAR")),
        ("event", json!([])),
    ] {
        let mut bad = good.clone();
        bad[key] = value.clone();
        let failed = index.handle((Topic::EventCreated, bad), 0).await;
        assert!(matches!(failed, Err(Failure::Dead(_))), "{key} {value}: {failed:?}");
    }
}
