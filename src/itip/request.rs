//! REQUEST and CANCEL as text: what an invitation and its withdrawal hold (RFC 5546 §3.2.2, §3.2.5).

use chrono::{DateTime, Utc};

use super::address::Address;
use super::message::Method;
use super::object::{Object, sequence_of};
use super::view::project;
use super::{alarms, booking, edit};
use crate::ical::{Component, Property};

/// The invitation to the occurrences of `seats`. `personal` is the recipient where e-mail alarms make the message theirs
/// alone.
pub(super) fn request(object: &Object, seats: &[usize], personal: Option<&Address>, now: DateTime<Utc>) -> Component {
    let mut message = envelope(object, Method::Request);
    for (&seat, (_, mut event)) in seats.iter().zip(project(object, seats)) {
        event.set(edit::dtstamp(now));
        alarms::for_recipient(&mut event, &object.instances[seat].email_alarms, personal);
        metadata(object, object.instances[seat].component, &mut event);
        message.push_component(event);
    }
    message
}

/// One VEVENT of a CANCEL.
pub(super) struct Cancelled<'a> {
    /// The VEVENT that is cancelled, or that its attendee is no longer invited to.
    pub event: &'a Component,
    /// The object it is from.
    pub object: &'a Object<'a>,
    /// Only this occurrence.
    pub occurrence: bool,
    /// Nobody attends any more. Not so when one attendee is taken off, which leaves STATUS out (RFC 5546 §3.2.5).
    pub for_everybody: bool,
    pub sequence: i64,
}

pub(super) fn cancel(
    cancelled: &[Cancelled],
    organizer: &Property,
    attendee: &Property,
    now: DateTime<Utc>,
) -> Option<Component> {
    let mut message = envelope(cancelled.first()?.object, Method::Cancel);
    for c in cancelled {
        let mut event = Component::new(c.event.name());
        event.push(Property::new("UID", c.object.uid));
        event.push(edit::dtstamp(now));
        event.push(Property::new("SEQUENCE", c.sequence.to_string()));
        if c.occurrence {
            edit::copy(c.event, &mut event, &["RECURRENCE-ID"]);
        }
        edit::copy(c.event, &mut event, &["SUMMARY", "DTSTART", "DTEND", "DURATION", "DUE"]);
        for (name, line) in [("ORGANIZER", organizer), ("ATTENDEE", attendee)] {
            event.push(edit::party(name, line, Address::read(line.value()).as_str()));
        }
        if c.for_everybody {
            event.push(Property::new("STATUS", "CANCELLED"));
        }
        metadata(c.object, c.event, &mut event);
        message.push_component(event);
    }
    Some(message)
}

/// SEQUENCE of one occurrence, which may have its own.
pub(super) fn occurrence_sequence(object: &Object, event: &Component) -> i64 {
    sequence_of(event).or(object.sequence).unwrap_or(0)
}

/// VCALENDAR with METHOD and the time zones of the object.
pub(super) fn envelope(object: &Object, method: Method) -> Component {
    let mut message = edit::envelope(method);
    for timezone in object.timezones() {
        message.push_component(timezone.clone());
    }
    message
}

/// Copies what the VEVENT, or else another one of the object, says about a public booking.
pub(super) fn metadata(object: &Object, event: &Component, into: &mut Component) {
    booking::copy_metadata(event, into);
    for other in &object.instances {
        booking::copy_metadata(other.component, into);
    }
}
