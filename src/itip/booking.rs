//! Events that a visitor booked: nobody hears of them before the owner of the booking link accepted
//! (mail-itip-alarms §5.12).

use super::address::Address;
use super::object::{Object, has_param, partstat_of};
use crate::ical::Component;

/// Names the team calendar that holds the event, where answers to it belong (dav §11.1).
pub const TEAM_CALENDAR: &str = "X-OPENPAAS-TEAM-CALENDAR-ID";

/// Properties about a public booking or the calendar of a team, copied into every message VEVENT that lacks them
/// (mail-itip-alarms §5.4).
pub(super) const METADATA: [&str; 6] = [
    "X-PUBLICLY-CREATED",
    "X-PUBLICLY-CREATOR",
    "X-PUBLICLY-DELETED",
    "X-PUBLICLY-CANCELLED-BY",
    "X-OPENPAAS-BOOKING-LINK",
    TEAM_CALENDAR,
];

/// Who may hear of a write by the organizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everybody; the normal case.
    Open,
    /// Everybody, as if the event were new: it was waiting for acceptance until now.
    Opening,
    /// Only the booker, as if the event were new: the organizer declined.
    Refused { booker: Address },
    /// Only the booker: the event is taken back before it was accepted.
    Withdrawn { booker: Address },
    /// Nobody.
    Closed,
}

pub(super) fn gate(before: Option<&Object>, after: Option<&Object>, organizer: &Address) -> Gate {
    let state = |object: Option<&Object>| object.map_or(State::Open, |o| waiting(o, organizer));
    let was = state(before);
    let booker = |o: Option<&Object>| o.and_then(booker);
    match (after, state(after)) {
        (None, _) if was != State::Open => booker(before).map_or(Gate::Closed, |booker| Gate::Withdrawn { booker }),
        (None, _) => Gate::Open,
        (Some(_), State::Open) if was != State::Open => Gate::Opening,
        (Some(_), State::Open) => Gate::Open,
        // Accepted before: everybody holds a copy and follows what becomes of it.
        (Some(_), _) if before.is_some() && was == State::Open => Gate::Open,
        (Some(o), _) if o.is_cancelled() => booker(after).map_or(Gate::Closed, |booker| Gate::Withdrawn { booker }),
        (Some(_), State::Declined) if was != State::Declined => {
            booker(after).map_or(Gate::Closed, |booker| Gate::Refused { booker })
        }
        (Some(_), _) => Gate::Closed,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not a booking, or an accepted one.
    Open,
    Waiting,
    Declined,
}

fn waiting(object: &Object, organizer: &Address) -> State {
    let Some(first) = object.master().or(object.instances.first()) else { return State::Open };
    if !first.component.value("X-PUBLICLY-CREATED").is_some_and(is_true) {
        return State::Open;
    }
    let chair = first
        .component
        .all("ATTENDEE")
        .find(|a| has_param(a, "ROLE", "CHAIR") && Address::read(a.value()) == *organizer);
    match chair.map(partstat_of).as_deref() {
        Some("NEEDS-ACTION" | "NEEDS_ACTION") => State::Waiting,
        Some("DECLINED") => State::Declined,
        _ => State::Open,
    }
}

fn booker(object: &Object) -> Option<Address> {
    let creator = object.instances.iter().find_map(|i| i.component.text("X-PUBLICLY-CREATOR"))?;
    (!creator.trim().is_empty()).then(|| Address::read(&creator))
}

fn is_true(value: &str) -> bool {
    ["TRUE", "YES", "ON", "1"].iter().any(|t| value.trim().eq_ignore_ascii_case(t))
}

/// Copies what the event says about its booking into a message VEVENT that does not say it.
pub(super) fn copy_metadata(from: &Component, into: &mut Component) {
    for name in METADATA {
        if into.get(name).is_none()
            && let Some(property) = from.get(name)
        {
            into.push(property.clone());
        }
    }
}
