//! What is told over the bus (messaging §4.2), and the frames that it becomes (§5.4).
//!
//! The JSON is that of other programs on the same bus; one event is one message.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::place::Place;
use crate::ids::Email;

/// Something that clients are told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub(super) enum LiveEvent {
    /// Objects of a calendar changed.
    #[serde(rename = "CalendarEventSerializer$CalendarChangeDTO")]
    CalendarChange {
        /// UUID.
        event_id: String,
        /// A fixed word.
        username: String,
        /// `{base}/{calendar}`.
        calendar_url: String,
    },
    /// Cards of an address book changed.
    #[serde(rename = "CalendarEventSerializer$AddressBookChangeDTO")]
    AddressBookChange {
        /// UUID.
        event_id: String,
        /// A fixed word.
        username: String,
        /// `/addressbooks/{base}/{id}`.
        address_book_url: String,
    },
    /// Somebody's list of calendars changed.
    #[serde(rename = "CalendarEventSerializer$CalendarListChangedDTO")]
    CalendarListChanged {
        /// UUID.
        event_id: String,
        /// Whose list.
        username: String,
        /// `{base}/{calendar}`.
        calendar_url: String,
        /// How.
        change_type: ListChange,
    },
    /// An import ended.
    #[serde(rename = "CalendarEventSerializer$ImportEventDTO")]
    Import {
        /// UUID.
        event_id: String,
        /// What the client named the import.
        import_id: String,
        /// Path of the collection.
        #[serde(rename = "importURI")]
        import_uri: String,
        /// `ICS` or `VCARD`.
        import_type: String,
        /// Whether it ran.
        status: ImportStatus,
        /// Objects that were taken.
        #[serde(default)]
        succeed_count: Option<u64>,
        /// Objects that were not.
        #[serde(default)]
        failed_count: Option<u64>,
    },
    /// An alarm with ACTION:DISPLAY is due.
    #[serde(rename = "CalendarEventSerializer$AlarmEventDTO")]
    Alarm {
        /// UUID.
        event_id: String,
        /// Who is to see it.
        username: String,
        /// Title of the event.
        event_summary: String,
        /// Path of the event.
        #[serde(rename = "eventURL")]
        event_url: String,
        /// Its begin, RFC 3339.
        event_start_time: String,
    },
    /// Somebody's booking links changed.
    #[serde(rename = "CalendarEventSerializer$BookingLinkStateChangedDTO")]
    BookingLinkStateChanged {
        /// UUID.
        event_id: String,
        /// Whose links.
        username: String,
    },
}

/// How a list of calendars changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ListChange {
    /// A calendar was made.
    Created,
    /// Name, colour or rights changed.
    Updated,
    /// A calendar is gone, or gone for this person.
    Deleted,
    /// Somebody lets this person see or write their calendar.
    Delegated,
    /// This person subscribed to a calendar.
    Subscribed,
}

impl ListChange {
    /// Its key in frames.
    const fn key(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Delegated => "delegated",
            Self::Subscribed => "subscribed",
        }
    }
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ImportStatus {
    /// It ran.
    Success,
    /// It did not.
    Failed,
}

/// What an event means to a connection that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// The place changed: look at its sync token.
    Changed,
    /// A frame for everybody.
    Frame(String),
    /// A frame for those who want alarms.
    Alarm(String),
}

impl LiveEvent {
    /// Objects of the place changed.
    pub(super) fn changed(event_id: String, place: &Place) -> Self {
        if place.is_calendar() {
            Self::CalendarChange { event_id, username: "calendarchange".to_owned(), calendar_url: place.url() }
        } else {
            let address_book_url = format!("/addressbooks/{}", place.url());
            Self::AddressBookChange { event_id, username: "addressbookchange".to_owned(), address_book_url }
        }
    }

    /// A calendar in a person's list changed.
    pub(super) fn list_changed(event_id: String, user: &Email, place: &Place, change_type: ListChange) -> Self {
        let (username, calendar_url) = (user.to_string(), place.url());
        Self::CalendarListChanged { event_id, username, calendar_url, change_type }
    }

    /// What it means to a connection; `None` where a path in it leads nowhere.
    pub(super) fn news(&self) -> Option<News> {
        Some(match self {
            Self::CalendarChange { .. } | Self::AddressBookChange { .. } => News::Changed,
            Self::CalendarListChanged { calendar_url, change_type, .. } => {
                News::Frame(list_frame(*change_type, &Place::of_calendar_url(calendar_url)?))
            }
            Self::Import { import_id, import_uri, status, succeed_count, failed_count, .. } => {
                let ended = match status {
                    ImportStatus::Failed => json!({ "status": "failed" }),
                    ImportStatus::Success => {
                        let (succeeded, failed) = (succeed_count.unwrap_or(0), failed_count.unwrap_or(0));
                        json!({ "status": "completed", "succeedCount": succeeded, "failedCount": failed })
                    }
                };
                News::Frame(one(import_uri, json!({ "imports": { (import_id): ended } })))
            }
            Self::Alarm { event_summary, event_url, event_start_time, .. } => {
                let alarm = json!({
                    "eventSummary": event_summary,
                    "eventURL": event_url,
                    "eventStartTime": event_start_time,
                });
                News::Alarm(json!({ "alarms": [alarm] }).to_string())
            }
            Self::BookingLinkStateChanged { .. } => News::Frame(booking_links_frame()),
        })
    }
}

/// `{"calendarList":{"updated":["/calendars/a/b"]}}`.
pub(super) fn list_frame(change: ListChange, calendar: &Place) -> String {
    one("calendarList", json!({ (change.key()): [calendar.to_string()] }))
}

/// `{"bookingLinkStateChanged":true}`.
pub(super) fn booking_links_frame() -> String {
    one("bookingLinkStateChanged", json!(true))
}

/// `{"/calendars/a/b":{"syncToken":"…"}}`.
pub(super) fn token_frame(place: &Place, token: &str) -> String {
    one(&place.to_string(), json!({ "syncToken": token }))
}

fn one(key: &str, value: Value) -> String {
    json!({ (key): value }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LiveEvent {
        serde_json::from_str(text).unwrap()
    }

    fn frame(text: &str) -> News {
        read(text).news().unwrap()
    }

    #[test]
    fn events_are_written_as_other_nodes_read_them() {
        let calendar = Place::of_message("/calendars/64a1/7c0e").unwrap();
        let book = Place::of_message("addressbooks/64a1/contacts/x.vcf").unwrap();
        let bob = "bob@example.org".parse().unwrap();
        let id = || "0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e".to_owned();
        let cases = [
            (
                LiveEvent::changed(id(), &calendar),
                r#"{"type":"CalendarEventSerializer$CalendarChangeDTO","eventId":"0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e","username":"calendarchange","calendarUrl":"64a1/7c0e"}"#,
            ),
            (
                LiveEvent::changed(id(), &book),
                r#"{"type":"CalendarEventSerializer$AddressBookChangeDTO","eventId":"0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e","username":"addressbookchange","addressBookUrl":"/addressbooks/64a1/contacts"}"#,
            ),
            (
                LiveEvent::list_changed(id(), &bob, &calendar, ListChange::Delegated),
                r#"{"type":"CalendarEventSerializer$CalendarListChangedDTO","eventId":"0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e","username":"bob@example.org","calendarUrl":"64a1/7c0e","changeType":"DELEGATED"}"#,
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_string(&event).unwrap(), expected);
            assert_eq!(read(expected), event);
        }
    }

    #[test]
    fn each_event_becomes_its_frame() {
        let changed = r#"{"type":"CalendarEventSerializer$CalendarChangeDTO","eventId":"x","username":"calendarchange","calendarUrl":"a/b","more":1}"#;
        assert_eq!(frame(changed), News::Changed);
        let list = r#"{"type":"CalendarEventSerializer$CalendarListChangedDTO","eventId":"x","username":"bob@example.org","calendarUrl":"a/b","changeType":"SUBSCRIBED"}"#;
        assert_eq!(frame(list), News::Frame(r#"{"calendarList":{"subscribed":["/calendars/a/b"]}}"#.to_owned()));
        let import = r#"{"type":"CalendarEventSerializer$ImportEventDTO","eventId":"x","importId":"imp-1","importURI":"/calendars/a/b","importType":"ICS","status":"success","succeedCount":10,"failedCount":2}"#;
        assert_eq!(
            frame(import),
            News::Frame(
                r#"{"/calendars/a/b":{"imports":{"imp-1":{"failedCount":2,"status":"completed","succeedCount":10}}}}"#
                    .to_owned()
            )
        );
        let failed = r#"{"type":"CalendarEventSerializer$ImportEventDTO","eventId":"x","importId":"imp-1","importURI":"/addressbooks/a/b","importType":"VCARD","status":"failed","succeedCount":null,"failedCount":null}"#;
        assert_eq!(
            frame(failed),
            News::Frame(r#"{"/addressbooks/a/b":{"imports":{"imp-1":{"status":"failed"}}}}"#.to_owned())
        );
        let alarm = r#"{"type":"CalendarEventSerializer$AlarmEventDTO","eventId":"x","username":"bob@example.org","eventSummary":"Lunch","eventURL":"/calendars/a/b/x.ics","eventStartTime":"2030-01-02T11:00:00Z"}"#;
        assert_eq!(
            frame(alarm),
            News::Alarm(
                r#"{"alarms":[{"eventStartTime":"2030-01-02T11:00:00Z","eventSummary":"Lunch","eventURL":"/calendars/a/b/x.ics"}]}"#
                    .to_owned()
            )
        );
        let booking = r#"{"type":"CalendarEventSerializer$BookingLinkStateChangedDTO","eventId":"x","username":"bob@example.org"}"#;
        assert_eq!(frame(booking), News::Frame(r#"{"bookingLinkStateChanged":true}"#.to_owned()));
    }
}
