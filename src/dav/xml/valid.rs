//! Whether the filter of a calendar-query means something (RFC 4791 §7.8, `valid-filter`), and something that we can find
//! (`supported-filter`).

use super::filter::{CompFilter, CompTest, PropTest};
use super::read::ReadError;

/// Components in a component of the name; none for a component that holds none, or that nobody knows.
const NESTED: [(&str, &[&str]); 5] = [
    ("VCALENDAR", &["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY", "VPOLL"]),
    ("VEVENT", &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"]),
    ("VTODO", &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"]),
    ("VTIMEZONE", &["STANDARD", "DAYLIGHT"]),
    ("VAVAILABILITY", &["AVAILABLE"]),
];

/// Components that have a place in time. That of a whole calendar is that of what is in it: some clients put the range
/// there when they do not care for the type.
const TIMED: [&str; 7] = ["VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VALARM", "VAVAILABILITY"];

/// Properties that are times.
const TIMES: [&str; 14] = [
    "DTSTART",
    "DTEND",
    "DUE",
    "COMPLETED",
    "CREATED",
    "DTSTAMP",
    "LAST-MODIFIED",
    "RECURRENCE-ID",
    "RDATE",
    "EXDATE",
    "TRIGGER",
    "ACKNOWLEDGED",
    "FREEBUSY",
    "TZUNTIL",
];

/// Checks the filter of a query.
///
/// # Errors
/// [`ReadError::Filter`] or [`ReadError::UnsupportedFilter`].
pub(super) fn check(filter: &CompFilter) -> Result<(), ReadError> {
    if !filter.name.eq_ignore_ascii_case("VCALENDAR") {
        return Err(ReadError::Filter(format!(
            "its outermost component is VCALENDAR, not {}",
            shortened(&filter.name)
        )));
    }
    check_component(filter)
}

fn check_component(filter: &CompFilter) -> Result<(), ReadError> {
    let CompTest::Defined { range, props, comps } = &filter.test else { return Ok(()) };
    if range.is_some() && !is_one_of(&filter.name, &TIMED) {
        let name = shortened(&filter.name);
        return Err(ReadError::UnsupportedFilter(format!("{name} has no place in time to look for")));
    }
    for prop in props {
        let PropTest::Defined { range: Some(_), .. } = &prop.test else { continue };
        let is_extension = prop.name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
        if !is_extension && !is_one_of(&prop.name, &TIMES) {
            return Err(ReadError::Filter(format!("{} is no time", shortened(&prop.name))));
        }
    }
    for inner in comps {
        let parents = || NESTED.iter().filter(|(_, nested)| is_one_of(&inner.name, nested));
        let is_in_place = parents().any(|(parent, _)| parent.eq_ignore_ascii_case(&filter.name));
        if (parents().next().is_some() && !is_in_place) || inner.name.eq_ignore_ascii_case("VCALENDAR") {
            let (inner, outer) = (shortened(&inner.name), shortened(&filter.name));
            return Err(ReadError::Filter(format!("a {inner} is never part of a {outer}")));
        }
        check_component(inner)?;
    }
    Ok(())
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(name))
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}
