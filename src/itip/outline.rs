//! What is left to be told of an object that is gone.

use super::edit::copy;
use super::{booking, is_schedulable};
use crate::ical::{Component, Property};

/// When an event takes place, whether it was called off, whose it is, and what it is called.
const KEPT: [&str; 14] = [
    "UID",
    "ORGANIZER",
    "DTSTAMP",
    "SEQUENCE",
    "RECURRENCE-ID",
    "STATUS",
    "SUMMARY",
    "DTSTART",
    "DTEND",
    "DURATION",
    "DUE",
    "RRULE",
    "RDATE",
    "EXDATE",
];

/// The object with nothing in it but when it takes place, in which zones, and what a CANCEL says of it: small, also where the
/// object is large.
pub fn outline(calendar: &Component) -> Component {
    let mut outline = Component::new("VCALENDAR");
    outline.push(Property::new("VERSION", "2.0"));
    outline.push(Property::new("PRODID", super::PRODID));
    for component in calendar.components() {
        if component.is("VTIMEZONE") {
            outline.push_component(component.clone());
        } else if is_schedulable(component) {
            let mut event = Component::new(component.name());
            copy(component, &mut event, &KEPT);
            booking::copy_metadata(component, &mut event);
            outline.push_component(event);
        }
    }
    outline
}
