//! Small edits that several rules share: scheduling parameters, the frame of a message.

use chrono::{DateTime, Utc};

use super::PRODID;
use super::message::Method;
use crate::ical::{Component, Item, Property};

/// Parameters between client and server that never go into a message (RFC 6638 §7).
const SCHEDULING: [&str; 3] = ["SCHEDULE-AGENT", "SCHEDULE-STATUS", "SCHEDULE-FORCE-SEND"];

/// On an ATTENDEE of the organizer's object: DTSTAMP of the reply that its PARTSTAT comes from, which RFC 5546 §2.1.5
/// asks to keep so that replies that arrive out of order can be told. The name is the one CalendarServer uses.
pub(super) const REPLY_DTSTAMP: &str = "X-CALENDARSERVER-DTSTAMP";

/// The team calendar that an event belongs to, by which answers find it (mail-itip-alarms §5.8).
pub(super) const TEAM_CALENDAR: &str = "X-OPENPAAS-TEAM-CALENDAR-ID";

/// Leaves of the properties of each of these names the first, which is the one that counts.
pub(super) fn leave_the_first(component: &mut Component, names: &[&str]) {
    let mut seen = vec![false; names.len()];
    component.items.retain(|item| match item {
        Item::Property(property) => match names.iter().position(|name| property.is(name)) {
            Some(at) => !std::mem::replace(&mut seen[at], true),
            None => true,
        },
        _ => true,
    });
}

/// An empty message: VCALENDAR with METHOD.
pub(super) fn envelope(method: Method) -> Component {
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("VERSION", "2.0"));
    calendar.push(Property::new("PRODID", PRODID));
    calendar.push(Property::new("CALSCALE", "GREGORIAN"));
    calendar.push(Property::new("METHOD", method.as_str()));
    calendar
}

/// DTSTAMP of a message: when it was made (RFC 5546 §2.1.5).
pub(super) fn dtstamp(now: DateTime<Utc>) -> Property {
    Property::new("DTSTAMP", now.format("%Y%m%dT%H%M%SZ").to_string())
}

/// Takes what concerns only client and server off the ORGANIZER and ATTENDEE lines.
pub(super) fn strip_scheduling(component: &mut Component) {
    for property in component.properties_mut().filter(|p| p.is("ATTENDEE") || p.is("ORGANIZER")) {
        strip_line(property);
    }
}

/// Takes what concerns only client and server off one line.
pub(super) fn strip_line(line: &mut Property) {
    for param in SCHEDULING {
        line.remove_param(param);
    }
    line.remove_param(REPLY_DTSTAMP);
}

/// An ORGANIZER or ATTENDEE line with nothing but address and name.
pub(super) fn party(name: &str, line: &Property, address: &str) -> Property {
    let property = Property::new(name, address);
    match line.get_param("CN").map(str::trim).filter(|cn| !cn.is_empty()) {
        Some(cn) => property.param("CN", cn),
        None => property,
    }
}

/// Copies the properties of these names.
pub(super) fn copy(from: &Component, into: &mut Component, names: &[&str]) {
    for name in names {
        for property in from.all(name) {
            into.push(property.clone());
        }
    }
}

/// The name a calendar user goes by, unless it is empty.
pub(super) fn common_name(name: Option<&str>) -> Option<String> {
    name.map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned)
}
