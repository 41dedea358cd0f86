//! Keeps the search index in step with the calendars.
//!
//! In come the domain events of calendar objects; out go documents to the index, one per VEVENT (storage §4.4). Messages may
//! come late, twice or out of order: each carries the time it was published as its version, and the index leaves newer
//! states alone. `reindex` reads everything anew from the calendars. This room decides nothing about who may find what.

mod calendars;
mod documents;
pub mod reindex;

use documents::uid;
pub use documents::{documents, indexed_object};

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::config;
use crate::events::{EventChanged, Topic};
use crate::ical::{Component, jcal};
use crate::queue::{ConsumerSpec, Delivery, Failure};
use crate::search::{SearchError, SharedEventIndex};

/// Consumer of the event topics.
#[derive(Clone)]
pub struct Indexing {
    index: SharedEventIndex,
}

impl Indexing {
    /// A consumer that writes to `index`.
    pub fn new(index: SharedEventIndex) -> Self {
        Self { index }
    }

    /// The three consumers, by the names that existing installations have (messaging §2.3). One handler serves all.
    pub fn specs(config: &config::Queue) -> [ConsumerSpec; 3] {
        [
            ("tcalendar:event:created:search", Topic::EventCreated),
            ("tcalendar:event:updated:search", Topic::EventUpdated),
            ("tcalendar:event:deleted:search", Topic::EventDeleted),
        ]
        .map(|(name, topic)| ConsumerSpec {
            name,
            topics: vec![topic],
            concurrency: config.concurrency,
            retry: config.retry,
        })
    }

    /// Brings the index up to date with one change.
    ///
    /// # Errors
    /// [`Failure::Dead`] when the message makes no sense or the index does not take it, [`Failure::Retry`] when the index is away.
    pub async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let changed: EventChanged = serde_json::from_value(delivery.message.payload)
            .map_err(|e| Failure::Dead(format!("the payload cannot be read: {e}")))?;
        let calendar = read(&changed.event)?;
        let gone = delivery.message.topic == Topic::EventDeleted;
        let began = Instant::now();
        let written = if gone {
            let uid = uid(&calendar).ok_or_else(|| Failure::Dead("the event has no UID".to_owned()))?;
            self.index.delete(&changed.event_path.calendar, &uid, version(delivery.published, true)).await
        } else {
            self.put(&changed, &calendar, delivery.published).await
        };
        metrics::histogram!("calendar_event_indexing").record(began.elapsed());
        written.map_err(|e| match e {
            SearchError::Unavailable(_) => Failure::Retry(e.to_string()),
            SearchError::Refused(_) => Failure::Dead(e.to_string()),
        })
    }

    async fn put(
        &self,
        changed: &EventChanged,
        calendar: &Component,
        published: DateTime<Utc>,
    ) -> Result<(), SearchError> {
        // Overwriting an object with one of another UID takes the old one away.
        let old = changed.old_event.as_ref().and_then(|old| read(old).ok()).and_then(|old| uid(&old));
        if let Some(old) = old.filter(|old| uid(calendar).as_ref() != Some(old)) {
            self.index.delete(&changed.event_path.calendar, &old, version(published, true)).await?;
        }
        match indexed_object(&changed.event_path, calendar, version(published, false)) {
            Some(object) => self.index.put(&object).await,
            // Tasks and journals are not searched.
            None => Ok(()),
        }
    }
}

/// A rename deletes and creates in one moment, and the two may be handled in either order: what exists wins.
fn version(published: DateTime<Utc>, gone: bool) -> i64 {
    published.timestamp_millis().saturating_mul(2).saturating_add(i64::from(!gone))
}

/// The content as jCal, which is all that the reader of this copy may see: the raw text is not reduced for private events
/// (messaging §1.3).
fn read(event: &Value) -> Result<Component, Failure> {
    jcal::from_jcal(event).map_err(|e| Failure::Dead(format!("the event is no jCal: {e}")))
}
