//! Documents and their ids as the reference writes and reads them (storage §4.4). Pure.
//!
//! Besides the documents of VEVENTs there are two of our own kind, made of fields that the mapping has and found by no
//! search, because they are in no calendar: the *stone* that stands where an object was, so that late messages are known for
//! late, and the *ledger* that names an object's overridden occurrences, so that none is forgotten.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ids::{CalendarPath, HomeId, Uid};
use crate::search::{EventDocument, IndexedPerson, Occurrence};

/// Octets that an id may have.
const ID_OCTETS: usize = 512;
/// Octets that a keyword may have in Lucene.
const KEYWORD_OCTETS: usize = 32_766;

/// Which document of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The event that does not recur; a stone stands here, too.
    Single,
    /// The master of a series; or a mark that the object has occurrences only.
    Master,
    /// An overridden occurrence.
    Override(&'a str),
    /// The ledger.
    Ledger,
}

impl<'a> From<&'a Occurrence> for Part<'a> {
    fn from(occurrence: &'a Occurrence) -> Self {
        match occurrence {
            Occurrence::Single => Self::Single,
            Occurrence::Master => Self::Master,
            Occurrence::Override(at) => Self::Override(at),
        }
    }
}

/// `_id` of a document. Where it would be longer than an id may be, a hash stands for what is long.
pub(super) fn id(calendar: &CalendarPath, uid: &Uid, part: Part<'_>) -> String {
    let text = |calendar_id: &str, uid: &str, part: Part<'_>| {
        let base = format!("{}:{calendar_id}:{uid}", calendar.home);
        match part {
            Part::Single => format!("{base}:single"),
            Part::Master => format!("{base}:master"),
            Part::Override(at) => format!("{base}:recurrence:{at}"),
            Part::Ledger => format!("{base}:ledger"),
        }
    };
    let id = text(&calendar.calendar, &uid.0, part);
    if id.len() <= ID_OCTETS {
        return id;
    }
    let hash = |value: &str| format!("sha256-{}", hex::encode(Sha256::digest(value)));
    let at = match part {
        Part::Override(at) => hash(at),
        _ => String::new(),
    };
    let part = if at.is_empty() { part } else { Part::Override(&at) };
    text(&hash(&calendar.calendar), &hash(&uid.0), part)
}

/// `_routing` of everything of a home.
pub(super) fn routing(home: HomeId) -> String {
    home.to_string()
}

/// `calendarURL` of a calendar.
pub(super) fn calendar_url(calendar: &CalendarPath) -> String {
    keyword(&format!("{}/{}", calendar.home, calendar.calendar)).into_owned()
}

/// `eventUid` of an object.
pub(super) fn event_uid(uid: &Uid) -> Cow<'_, str> {
    keyword(&uid.0)
}

/// SEQUENCE as the mapping takes it (RFC 5545 §3.3.8: 32 bits).
pub(super) fn sequence(document: &EventDocument) -> Option<i32> {
    document.sequence.map(|s| i32::try_from(s).unwrap_or(if s < 0 { i32::MIN } else { i32::MAX }))
}

/// The document of a VEVENT as JSON.
pub(super) fn source(document: &EventDocument) -> serde_json::Result<Vec<u8>> {
    let text = |value: &'_ Option<String>| value.as_deref().map(|v| keyword(v).into_owned());
    serde_json::to_vec(&Source {
        base_calendar_id: document.calendar.home.to_string(),
        event_uid: event_uid(&document.uid),
        summary: document.summary.as_deref(),
        location: document.location.as_deref(),
        description: document.description.as_deref(),
        clazz: text(&document.class),
        start: document.start.map(instant),
        end: document.end.map(instant),
        dtstamp: document.dtstamp.map(instant),
        all_day: document.all_day,
        is_recurrent_master: match document.occurrence {
            Occurrence::Single => None,
            Occurrence::Master => Some(true),
            Occurrence::Override(_) => Some(false),
        },
        organizer: document.organizer.as_ref(),
        attendees: &document.attendees,
        resources: &document.resources,
        videoconference_url: text(&document.videoconference),
        booking_link_id: text(&document.booking_link),
        calendar_url: calendar_url(&document.calendar),
        sequence: sequence(document),
        resource_name: keyword(&document.resource_name),
        recurrence_id: match &document.occurrence {
            Occurrence::Override(at) => Some(keyword(at)),
            _ => None,
        },
        collapse_rank: matches!(document.occurrence, Occurrence::Override(_)).into(),
    })
}

/// What stands where an object was, since when.
pub(super) fn stone(home: HomeId, uid: &Uid, since: DateTime<Utc>) -> Value {
    json!({"baseCalendarId": home.to_string(), "eventUid": event_uid(uid), "start": instant(since)})
}

/// What stands for the master of an object that has overridden occurrences only.
pub(super) fn mark(home: HomeId, uid: &Uid) -> Value {
    json!({"baseCalendarId": home.to_string(), "eventUid": event_uid(uid)})
}

/// The ledger: ids of the overridden occurrences that may be there.
pub(super) fn ledger(home: HomeId, uid: &Uid, ids: &[String]) -> Value {
    json!({"baseCalendarId": home.to_string(), "eventUid": event_uid(uid), "recurrenceId": ids})
}

/// A hit as the document it was made of; `None` when it is no event of a calendar.
pub(super) fn document(id: &str, source: &Value) -> Option<EventDocument> {
    let stored = Stored::deserialize(source).ok()?;
    let (home, calendar) = stored.calendar_url.split_once('/')?;
    let occurrence = match stored.is_recurrent_master {
        None => Occurrence::Single,
        Some(true) => Occurrence::Master,
        // Older documents have it in their id only.
        Some(false) => Occurrence::Override(
            stored
                .recurrence_id
                .or_else(|| id.rsplit_once(":recurrence:").map(|(_, at)| at.to_owned()))
                .unwrap_or_default(),
        ),
    };
    Some(EventDocument {
        calendar: CalendarPath { home: home.parse().ok()?, calendar: calendar.to_owned() },
        resource_name: stored.resource_name.unwrap_or_else(|| format!("{}.ics", stored.event_uid)),
        uid: Uid(stored.event_uid),
        occurrence,
        sequence: stored.sequence,
        summary: stored.summary,
        location: stored.location,
        description: stored.description,
        class: stored.clazz,
        start: stored.start,
        end: stored.end,
        dtstamp: stored.dtstamp,
        all_day: stored.all_day.unwrap_or_default(),
        organizer: stored.organizer.and_then(Person::read),
        attendees: people(stored.attendees),
        resources: people(stored.resources),
        videoconference: stored.videoconference_url,
        booking_link: stored.booking_link_id,
    })
}

fn people(stored: Option<Vec<Person>>) -> Vec<IndexedPerson> {
    stored.unwrap_or_default().into_iter().filter_map(Person::read).collect()
}

/// Nulls are written, so that an update by the reference clears what is gone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    base_calendar_id: String,
    event_uid: Cow<'a, str>,
    summary: Option<&'a str>,
    location: Option<&'a str>,
    description: Option<&'a str>,
    clazz: Option<String>,
    start: Option<String>,
    end: Option<String>,
    dtstamp: Option<String>,
    all_day: bool,
    is_recurrent_master: Option<bool>,
    organizer: Option<&'a IndexedPerson>,
    attendees: &'a [IndexedPerson],
    resources: &'a [IndexedPerson],
    videoconference_url: Option<String>,
    booking_link_id: Option<String>,
    #[serde(rename = "calendarURL")]
    calendar_url: String,
    sequence: Option<i32>,
    resource_name: Cow<'a, str>,
    recurrence_id: Option<Cow<'a, str>>,
    collapse_rank: u8,
}

/// What is read of a document, whoever wrote it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    event_uid: String,
    #[serde(rename = "calendarURL")]
    calendar_url: String,
    summary: Option<String>,
    location: Option<String>,
    description: Option<String>,
    clazz: Option<String>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    dtstamp: Option<DateTime<Utc>>,
    all_day: Option<bool>,
    is_recurrent_master: Option<bool>,
    organizer: Option<Person>,
    attendees: Option<Vec<Person>>,
    resources: Option<Vec<Person>>,
    videoconference_url: Option<String>,
    booking_link_id: Option<String>,
    sequence: Option<i64>,
    resource_name: Option<String>,
    recurrence_id: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    cn: Option<String>,
    email: Option<String>,
}

impl Person {
    fn read(self) -> Option<IndexedPerson> {
        Some(IndexedPerson { cn: self.cn.unwrap_or_default(), email: self.email? })
    }
}

/// ISO 8601 with a year of four digits, which is all that the mapping reads.
fn instant(at: DateTime<Utc>) -> String {
    let at = match at.year() {
        10_000.. => Utc.with_ymd_and_hms(9999, 12, 31, 23, 59, 59).single().unwrap_or(at),
        ..0 => Utc.with_ymd_and_hms(0, 1, 1, 0, 0, 0).single().unwrap_or(at),
        _ => at,
    };
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// As much of a text as a keyword may hold.
fn keyword(text: &str) -> Cow<'_, str> {
    if text.len() <= KEYWORD_OCTETS {
        return Cow::Borrowed(text);
    }
    let end = (0..=KEYWORD_OCTETS).rev().find(|i| text.is_char_boundary(*i)).unwrap_or_default();
    Cow::Owned(text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar() -> CalendarPath {
        "/calendars/6650c0ffee0123456789abcd/work".parse().unwrap()
    }

    #[test]
    fn ids_are_those_of_the_reference() {
        let uid = Uid("a1b2c3".to_owned());
        for (part, expected) in [
            (Part::Single, "6650c0ffee0123456789abcd:work:a1b2c3:single"),
            (Part::Master, "6650c0ffee0123456789abcd:work:a1b2c3:master"),
            (Part::Override("20260601T090000Z"), "6650c0ffee0123456789abcd:work:a1b2c3:recurrence:20260601T090000Z"),
        ] {
            assert_eq!(id(&calendar(), &uid, part), expected);
        }
    }

    #[test]
    fn an_id_is_never_too_long_and_never_that_of_another() {
        let long = |end: &str| Uid("é".repeat(300) + end);
        let ids = [
            id(&calendar(), &long("a"), Part::Single),
            id(&calendar(), &long("b"), Part::Single),
            id(&calendar(), &long("a"), Part::Master),
            id(&calendar(), &long("a"), Part::Override("x")),
            id(&calendar(), &Uid("u".to_owned()), Part::Override(&"y".repeat(600))),
        ];
        assert!(ids.iter().all(|id| id.len() <= ID_OCTETS), "{ids:?}");
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn a_document_has_every_field_and_comes_back() {
        let document = EventDocument {
            calendar: calendar(),
            resource_name: "a1b2c3.ics".to_owned(),
            uid: Uid("a1b2c3".to_owned()),
            occurrence: Occurrence::Master,
            sequence: Some(2),
            summary: Some("Weekly sync".to_owned()),
            location: None,
            description: None,
            class: Some("PUBLIC".to_owned()),
            start: "2026-06-01T09:00:00Z".parse().ok(),
            end: None,
            dtstamp: None,
            all_day: false,
            organizer: Some(IndexedPerson { cn: "Alice".to_owned(), email: "alice@example.org".to_owned() }),
            attendees: Vec::new(),
            resources: Vec::new(),
            videoconference: None,
            booking_link: None,
        };
        let json: Value = serde_json::from_slice(&source(&document).unwrap()).unwrap();
        assert_eq!(
            json,
            json!({
                "baseCalendarId": "6650c0ffee0123456789abcd", "eventUid": "a1b2c3", "summary": "Weekly sync",
                "location": null, "description": null, "clazz": "PUBLIC", "start": "2026-06-01T09:00:00Z", "end": null,
                "dtstamp": null, "allDay": false, "isRecurrentMaster": true,
                "organizer": {"cn": "Alice", "email": "alice@example.org"}, "attendees": [], "resources": [],
                "videoconferenceUrl": null, "bookingLinkId": null, "calendarURL": "6650c0ffee0123456789abcd/work",
                "sequence": 2, "resourceName": "a1b2c3.ics", "recurrenceId": null, "collapseRank": 0,
            })
        );
        assert_eq!(super::document("x", &json), Some(document));
    }

    #[test]
    fn a_document_of_an_older_release_is_read() {
        let json = json!({
            "eventUid": "a1b2c3", "calendarURL": "6650c0ffee0123456789abcd/work", "isRecurrentMaster": false,
            "organizer": {"cn": "Alice", "email": null}, "attendees": null, "start": "2026-06-01T09:00:00.5Z",
        });
        let read = document("6650c0ffee0123456789abcd:work:a1b2c3:recurrence:20260601T090000Z", &json).unwrap();
        assert_eq!(read.occurrence, Occurrence::Override("20260601T090000Z".to_owned()));
        assert_eq!((read.organizer, read.attendees, read.resource_name.as_str()), (None, Vec::new(), "a1b2c3.ics"));
        assert_eq!(document("x", &json!({"eventUid": "u", "start": "2026-06-01T09:00:00Z"})), None, "a stone");
    }
}
