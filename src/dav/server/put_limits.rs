//! Preconditions about how much a calendar object may be (RFC 4791 §5.3.2.1): who is in it, when, and how often; and about
//! the zones it names (RFC 7809).

use chrono::{Datelike as _, TimeDelta};
use chrono_tz::Tz;

use crate::config::Limits;
use crate::dav::error::{Condition, DavError};
use crate::ical::recur::{self, Bounds, RecurError};
use crate::ical::{CalendarObject, When};

/// Properties whose times must lie between the first and the last year.
const TIMES: [&str; 5] = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE"];

/// Checks an object.
///
/// # Errors
/// 403 with `max-attendees-per-instance`, `min-date-time`, `max-date-time` or `max-instances`.
pub(super) fn check(object: &CalendarObject, limits: &Limits) -> Result<(), DavError> {
    let refused = |message: String, tag: &'static str| Err(DavError::forbidden(message).because(Condition::Empty(tag)));
    let most = limits.attendees;
    if object.components().any(|c| c.all("ATTENDEE").nth(most).is_some()) {
        return refused(format!("An event invites at most {most} attendees"), "cal:max-attendees-per-instance");
    }
    for property in object.components().flat_map(|c| c.properties()).filter(|p| TIMES.iter().any(|name| p.is(name))) {
        for when in When::list(property, object.zones()).filter_map(Result::ok) {
            let (name, year) = (property.name(), when.local().year());
            if year < limits.first_year {
                return refused(format!("{name} is before the year {}", limits.first_year), "cal:min-date-time");
            }
            if year > limits.last_year {
                return refused(format!("{name} is after the year {}", limits.last_year), "cal:max-date-time");
            }
        }
    }
    if has_too_many_instances(object, limits.instances) {
        let message = format!("A series that ends has at most {} instances", limits.instances);
        return refused(message, "cal:max-instances");
    }
    Ok(())
}

/// Checks that every time zone the object names is either defined in it or known to us by its name (RFC 7809 §3.1.4).
///
/// # Errors
/// 403 with `valid-timezone`.
pub(super) fn check_zones(object: &CalendarObject) -> Result<(), DavError> {
    let properties = object.components().flat_map(|c| c.properties());
    let mut zones = properties.filter_map(|p| p.get_param("TZID")).filter(|id| !id.is_empty());
    match zones.find(|id| object.zones().get(id).is_none()) {
        None => Ok(()),
        Some(id) => {
            let message = format!("The time zone {id:?} is neither defined nor known");
            Err(DavError::forbidden(message).because(Condition::Empty("cal:valid-timezone")))
        }
    }
}

/// Series that never end are not counted (RFC 4791 §5.2.8).
fn has_too_many_instances(object: &CalendarObject, most: usize) -> bool {
    if most == 0 {
        return false;
    }
    let span = recur::span(object.root(), Tz::UTC);
    let (Some(first), Some(last)) = (span.first, span.last) else { return false };
    let bounds = Bounds { max_occurrences: most, max_span: TimeDelta::days(366 * 10_000), ..Bounds::default() };
    let whole = first..last.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(last);
    matches!(recur::occurrences(object.root(), whole, Tz::UTC, bounds), Err(RecurError::TooMany { .. }))
}
