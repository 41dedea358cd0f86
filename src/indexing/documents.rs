//! Documents of the search index from iCalendar (storage §4.4, messaging §3.1). Pure.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::ical::event::CalendarUser;
use crate::ical::{Component, CuType, Event, Zones};
use crate::ids::{ObjectPath, Uid};
use crate::search::{EventDocument, IndexedObject, IndexedPerson, Occurrence};

/// The object as the index keeps it; `None` when it holds no event or no UID.
pub fn indexed_object(path: &ObjectPath, calendar: &Component, version: i64) -> Option<IndexedObject> {
    let documents = documents(path, calendar);
    let uid = documents.first()?.uid.clone();
    Some(IndexedObject { calendar: path.calendar.clone(), uid, version, documents })
}

/// One document for each VEVENT of a VCALENDAR. Floating times count as UTC.
pub fn documents(path: &ObjectPath, calendar: &Component) -> Vec<EventDocument> {
    let Some(uid) = uid(calendar) else { return Vec::new() };
    let zones = Zones::of(calendar);
    let mut documents: Vec<EventDocument> =
        events(calendar).map(|component| document(path, &uid, &Event::new(component, &zones))).collect();
    // An occurrence of a private series is private, whatever it says itself (dav §12).
    let series = documents.iter().find(|d| !matches!(d.occurrence, Occurrence::Override(_)) && !d.is_public());
    if let Some(class) = series.map(|d| d.class.clone()) {
        documents.iter_mut().filter(|d| d.is_public()).for_each(|d| d.class.clone_from(&class));
    }
    documents
}

/// UID of the first component that has one, of whatever type.
pub(super) fn uid(calendar: &Component) -> Option<Uid> {
    let uids = calendar.components().filter_map(|component| component.value("UID"));
    uids.map(str::trim).find(|uid| !uid.is_empty()).map(|uid| Uid(uid.to_owned()))
}

fn events(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.components().filter(|component| component.is("VEVENT"))
}

fn document(path: &ObjectPath, uid: &Uid, event: &Event<'_>) -> EventDocument {
    let component = event.component();
    let value = |name: &str| component.value(name).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
    let is_resource = |cutype: CuType| cutype == CuType::Resource;
    let people = |resources: bool| {
        event.attendees().filter(move |a| is_resource(a.cutype()) == resources).filter_map(|a| person(&a)).collect()
    };
    EventDocument {
        calendar: path.calendar.clone(),
        resource_name: path.name.clone(),
        uid: uid.clone(),
        occurrence: match value("RECURRENCE-ID") {
            Some(at) => Occurrence::Override(at),
            None if event.is_recurring() => Occurrence::Master,
            None => Occurrence::Single,
        },
        sequence: value("SEQUENCE").and_then(|sequence| sequence.parse().ok()),
        summary: event.summary(),
        location: event.location(),
        description: event.description(),
        class: value("CLASS"),
        start: event.start().map(|start| start.instant(Tz::UTC)),
        end: end(event),
        dtstamp: event.dtstamp(),
        all_day: event.is_all_day(),
        organizer: event.organizer().as_ref().and_then(person),
        attendees: people(false),
        resources: people(true),
        videoconference: value("X-OPENPAAS-VIDEOCONFERENCE"),
        booking_link: value("X-OPENPAAS-BOOKING-LINK"),
    }
}

/// The end, where the event says one.
fn end(event: &Event<'_>) -> Option<DateTime<Utc>> {
    let says = event.component().get("DTEND").is_some() || event.component().get("DURATION").is_some();
    event.end().filter(|_| says).map(|end| end.instant(Tz::UTC))
}

/// Someone whose address can be read.
fn person(user: &CalendarUser<'_>) -> Option<IndexedPerson> {
    let email = user.email().ok()?;
    Some(IndexedPerson { cn: user.cn().unwrap_or_default().to_owned(), email: email.to_string() })
}
