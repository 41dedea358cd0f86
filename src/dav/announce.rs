//! What the rest of the program is told of a calendar as a whole (messaging §1.8): by the server that makes and changes
//! calendars, and by whoever makes the home of a new person.

use serde_json::{Map, Value, json};

use crate::events::{CalendarChanged, Message, Topic};
use crate::ids::CalendarPath;
use crate::store::Collection;

/// What a sync token is written with before its number (dav §6.2).
pub(super) const SYNC_PREFIX: &str = "http://sabre.io/ns/sync/";
/// Display name of a default calendar that nobody named; clients put their own word there (dav §2).
pub(super) const DEFAULT_NAME: &str = "#default";

/// The name a calendar is shown by: its own, else [`DEFAULT_NAME`] for the default calendar and the segment for others.
pub(super) fn shown_name(calendar: &Collection) -> &str {
    let unnamed = if calendar.uri == calendar.home.to_string() { DEFAULT_NAME } else { &calendar.uri };
    calendar.props.displayname.as_deref().unwrap_or(unnamed)
}

/// The path of a calendar.
pub(super) fn path_of(collection: &Collection) -> CalendarPath {
    CalendarPath { home: collection.home, calendar: collection.uri.clone() }
}

/// A calendar was created: by a principal, or by nobody in particular where it came with its home (observed §1.1).
pub fn calendar_created(collection: &Collection, by: Option<&str>) -> Message {
    calendar_changed(Topic::CalendarCreated, collection, properties(collection), by)
}

/// A calendar's properties are about to change: the message holds those from before (observed §1.14).
pub fn calendar_updated(before: &Collection, by: Option<&str>) -> Message {
    calendar_changed(Topic::CalendarUpdated, before, properties(before), by)
}

pub(super) fn calendar_changed(
    topic: Topic,
    collection: &Collection,
    calendar_props: Value,
    by: Option<&str>,
) -> Message {
    let calendar_path = path_of(collection);
    let key = calendar_path.to_string();
    Message::new(topic, key, &CalendarChanged { calendar_path, calendar_props, connected_user: by.map(str::to_owned) })
}

/// The properties as the reference's serialiser leaves them: two structured ones come out as empty objects.
pub(super) fn properties(collection: &Collection) -> Value {
    let props = &collection.props;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("{http://calendarserver.org/ns/}getctag", json!(format!("{SYNC_PREFIX}{}", collection.sync_token)));
    put("{http://sabredav.org/ns}sync-token", json!(collection.sync_token));
    put("{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set", json!({}));
    put("{urn:ietf:params:xml:ns:caldav}schedule-calendar-transp", json!({}));
    put("{DAV:}displayname", json!(shown_name(collection)));
    if let Some(description) = &props.description {
        put("{urn:ietf:params:xml:ns:caldav}calendar-description", json!(description));
    }
    if let Some(order) = props.order {
        put("{http://apple.com/ns/ical/}calendar-order", json!(order));
    }
    if let Some(color) = &props.color {
        put("{http://apple.com/ns/ical/}calendar-color", json!(color));
    }
    Value::Object(map)
}
