//! Full-text search of events. A port; its engines are in `fts` (SQLite FTS5, embedded) and `opensearch`.
//!
//! What is found is decided by the caller's two lists of calendars, those seen whole and those in which only what is public is
//! there; the engine never knows who asks. What a question means is
//! the same on both engines (storage §4.6): texts are taken apart in `analysis` as OpenSearch does it.

pub mod fts;
pub mod opensearch;

pub mod analysis;
mod contacts;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use contacts::{Contact, ContactIndex, SharedContactIndex};

use crate::ids::{CalendarPath, Email, HomeId, Uid};

/// The index failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It is away or too busy; the same call may succeed later.
    #[error("the search index is unavailable: {0}")]
    Unavailable(String),
    /// It does not take this; the same call fails again.
    #[error("the search index refuses: {0}")]
    Refused(String),
}

/// A person in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedPerson {
    /// Common name; `""` when the event gives none.
    pub cn: String,
    /// Bare address.
    pub email: String,
}

/// Which VEVENT of a calendar object it is (storage §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occurrence {
    /// An event that does not recur.
    Single,
    /// The master of a series.
    Master,
    /// An overridden occurrence with its RECURRENCE-ID as written.
    Override(String),
}

/// One VEVENT as it is indexed (storage §4.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventDocument {
    /// Calendar the object is in.
    pub calendar: CalendarPath,
    /// Last segment of the object's path.
    pub resource_name: String,
    /// UID of the object.
    pub uid: Uid,
    /// Which VEVENT of the object.
    pub occurrence: Occurrence,
    /// SEQUENCE, where the event has one.
    pub sequence: Option<i64>,
    /// SUMMARY.
    pub summary: Option<String>,
    /// LOCATION.
    pub location: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// CLASS.
    pub class: Option<String>,
    /// DTSTART; midnight UTC of an all-day event.
    pub start: Option<DateTime<Utc>>,
    /// DTEND, or DTSTART and DURATION.
    pub end: Option<DateTime<Utc>>,
    /// DTSTAMP.
    pub dtstamp: Option<DateTime<Utc>>,
    /// DTSTART is a DATE.
    pub all_day: bool,
    /// ORGANIZER.
    pub organizer: Option<IndexedPerson>,
    /// ATTENDEEs, resources excluded.
    pub attendees: Vec<IndexedPerson>,
    /// ATTENDEEs with CUTYPE=RESOURCE.
    pub resources: Vec<IndexedPerson>,
    /// `X-OPENPAAS-VIDEOCONFERENCE`.
    pub videoconference: Option<String>,
    /// `X-OPENPAAS-BOOKING-LINK`.
    pub booking_link: Option<String>,
}

impl EventDocument {
    /// Whether those may find it who do not see the whole calendar (dav §12): it says that it is public, or nothing about
    /// that.
    pub fn is_public(&self) -> bool {
        self.class.as_deref().is_none_or(|class| class.trim().eq_ignore_ascii_case("PUBLIC"))
    }
}

/// What to look for (rest-api §8).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventQuery {
    /// Words; blank matches everything.
    pub text: String,
    /// Calendars to look in, of which everything is found.
    pub calendars: Vec<CalendarPath>,
    /// Calendars to look in, of which only what is public is found: nothing tells that there is more, neither a page nor the
    /// hit that stands for a UID. One that is also in `calendars` is there.
    pub of_others: Vec<CalendarPath>,
    /// Any of these organizes.
    pub organizers: Vec<Email>,
    /// Any of these attends.
    pub attendees: Vec<Email>,
    /// Made through this booking link.
    pub booking_link: Option<String>,
    /// Hits to leave out.
    pub offset: usize,
    /// Hits to give.
    pub limit: usize,
}

/// Full-text search of events.
#[async_trait]
pub trait EventIndex: Send + Sync + 'static {
    /// Replaces all documents of each object named by its calendar and UID by the given ones. An object whose stored
    /// state is newer (a higher `version`) is left alone, so that late messages do no harm. Visible to searches when it
    /// returns, on engines that can.
    async fn put(&self, object: &IndexedObject) -> Result<(), SearchError>;

    /// [`EventIndex::put`] of many objects at once, in the order given; the outcome of each. What the engine does not take
    /// at once is waited for, so that a caller who feeds it without end goes at the engine's pace.
    async fn put_many(&self, objects: &[IndexedObject]) -> Vec<Result<(), SearchError>>;

    /// Removes an object's documents unless the stored state is newer.
    async fn delete(&self, calendar: &CalendarPath, uid: &Uid, version: i64) -> Result<(), SearchError>;

    /// Removes everything of a home.
    async fn delete_home(&self, home: HomeId) -> Result<(), SearchError>;

    /// Removes the objects of a home whose state is older than `version`, and gives how many these were. What has no
    /// version, because another program wrote it, is older than every version. For use after everything that the home
    /// holds was put with `version`.
    async fn prune(&self, home: HomeId, version: i64) -> Result<u64, SearchError>;

    /// One hit per UID, masters and single events first, then by start, latest first (rest-api §8.3).
    async fn search(&self, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError>;
}

/// A calendar object to index: all its VEVENTs.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedObject {
    /// Calendar the object is in.
    pub calendar: CalendarPath,
    /// UID of the object.
    pub uid: Uid,
    /// Order of states of one object, e.g. milliseconds when the message was published.
    pub version: i64,
    /// Its VEVENTs; the same calendar and UID in each.
    pub documents: Vec<EventDocument>,
}

/// The index that the program was started with.
pub type SharedEventIndex = Arc<dyn EventIndex>;
