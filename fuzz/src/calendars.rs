//! iCalendar: read, written, mended, and followed within bounds.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use convoke::ical::object::Repair;
use convoke::ical::recur::{self, Bounds};
use convoke::ical::{CalendarObject, Component, decode, strict};

const BOUNDS: Bounds =
    Bounds { max_occurrences: 200, max_octets: 128 << 10, max_steps: 2_000, max_span: TimeDelta::days(366 * 20) };

pub fn check(data: &[u8]) {
    let Ok((text, _)) = decode(data.to_vec()) else { return };
    let Ok(root) = Component::parse_within(&text, super::LIMITS) else { return };
    assert_eq!(root.to_text(), text, "not the same octets");
    let wire = root.to_wire();
    let is_edge = |line: &str| ["BEGIN:", "END:"].iter().any(|edge| line.starts_with(edge));
    let fits = |line: &str| line.len() <= 75 || is_edge(line);
    assert!(wire.split("\r\n").all(fits), "a line of more than 75 octets:\n{wire}");
    let again = Component::parse(&wire).unwrap_or_else(|error| panic!("{error} in what we wrote:\n{wire}"));
    assert_eq!(without_blanks(again.clone()), without_blanks(root.clone()), "another object:\n{wire}");
    assert_eq!(again.to_wire(), wire, "written twice, it differs");
    if let Ok(object) = CalendarObject::from_root(root) {
        mended(object.clone());
        followed(&object, Tz::UTC);
        followed(&object, Tz::Europe__Paris);
    }
}

/// Blank lines are nothing that others are sent.
fn without_blanks(mut component: Component) -> Component {
    component.items.retain(|item| !matches!(item, convoke::ical::Item::Blank(_)));
    let inner = component.components_mut();
    inner.for_each(|c| *c = without_blanks(std::mem::replace(c, Component::new(""))));
    component
}

fn mended(mut object: CalendarObject) {
    let _ = strict::check(&object);
    object.repair(&Repair { prodid: "-//fuzz//EN", uid: "fuzz", now: DateTime::UNIX_EPOCH });
    let left: Vec<_> = object.faults().into_iter().filter(|fault| fault.is_mendable()).collect();
    assert!(left.is_empty(), "{left:?} after mending:\n{}", object.root().to_wire());
    let text = object.root().to_wire();
    CalendarObject::parse(&text).unwrap_or_else(|error| panic!("{error} after mending:\n{text}"));
}

fn followed(object: &CalendarObject, zone: Tz) {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
    for range in
        [at("2025-01-01T00:00:00Z")..at("2027-01-01T00:00:00Z"), at("1970-01-01T00:00:00Z")..at("2200-01-01T00:00:00Z")]
    {
        let span = recur::span(object.root(), zone);
        let Ok(found) = recur::occurrences(object.root(), range.clone(), zone, BOUNDS) else { continue };
        assert!(found.len() <= BOUNDS.max_occurrences, "{} occurrences", found.len());
        assert!(found.is_sorted_by_key(|o| o.start), "not in order");
        for o in &found {
            assert!(o.start <= o.end, "ends before it starts");
            assert!(span.first.is_none_or(|first| first <= o.start), "{} is before {span:?}", o.start);
            assert!(span.last.is_none_or(|last| o.end <= last), "{} is after {span:?}", o.end);
        }
        for kind in ["VEVENT", "VTODO", "VJOURNAL"] {
            let is_there = found.iter().any(|o| o.component.is(kind));
            if let Ok(overlaps) = recur::overlaps(object.root(), kind, &range, zone, BOUNDS) {
                assert!(overlaps || !is_there, "a {kind} takes place, and does not");
            }
        }
        if let Ok(expanded) = recur::expand(object.root(), range, zone, BOUNDS) {
            assert_eq!(expanded.components().count(), found.len());
            let wire = expanded.to_wire();
            // What moves in time is written anew, and may be longer by a few octets for each property.
            assert!(wire.len() < 4 * BOUNDS.max_octets + 4 * super::LIMITS.bytes, "{} octets", wire.len());
            assert!(Component::parse(&wire).is_ok(), "an expansion that cannot be read:\n{wire}");
        }
    }
}
