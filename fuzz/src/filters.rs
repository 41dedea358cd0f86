//! Queries: the filter of a report, and an object that it is asked about.

use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;
use convoke::dav::server::filter::Matcher;
use convoke::dav::xml::{Filter, XmlLimits, parse};
use convoke::ical::recur::{self, Bounds};
use convoke::ical::{CalendarObject, Component};
use convoke::ids::Uid;
use convoke::store::{ObjectFilter, ObjectMeta};

const BOUNDS: Bounds =
    Bounds { max_occurrences: 200, max_octets: 128 << 10, max_steps: 2_000, max_span: TimeDelta::days(366 * 20) };

pub fn check(data: &[u8]) {
    let Some(parts) = super::parts(data) else { return };
    let [query, object] = parts.as_slice() else { return };
    let Ok(Some(root)) = parse(query.as_bytes(), XmlLimits { bytes: 64 << 10, depth: 16 }) else { return };
    for zone in [Tz::UTC, Tz::Pacific__Kiritimati] {
        let matcher = |filter| {
            Matcher::alone(filter, zone, BOUNDS, DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default())
        };
        if let Ok(filter) = Filter::read_calendar(&root) {
            let Ok(parsed) = CalendarObject::parse_within(object, super::LIMITS) else { return };
            let (matcher, meta) = (matcher(filter), meta(&parsed));
            // A rule that cannot be followed to its end passes every range, in spite of the index.
            if matcher.passes(&meta, object) && !object.to_ascii_uppercase().contains("RULE") {
                assert!(may_pass(&matcher.prefilter(), &meta), "the index leaves out what passes: {meta:?}");
            }
        }
        if let Ok(filter) = Filter::read_card(&root)
            && Component::parse_within(object, super::LIMITS).is_ok()
        {
            let meta = ObjectMeta { component: "VCARD".to_owned(), ..blank() };
            let _ = matcher(filter).passes(&meta, object);
        }
    }
}

/// What the index knows, as a write has it put down.
fn meta(object: &CalendarObject) -> ObjectMeta {
    let span = recur::span(object.root(), Tz::UTC);
    ObjectMeta {
        component: object.component_type().to_owned(),
        first_occurrence: span.first.map(|t| t.timestamp()),
        last_occurrence: span.last.map(|t| t.timestamp()),
        ..blank()
    }
}

fn blank() -> ObjectMeta {
    ObjectMeta {
        name: String::new(),
        etag: String::new(),
        size: 0,
        modified: DateTime::UNIX_EPOCH,
        component: String::new(),
        uid: Uid(String::new()),
        first_occurrence: None,
        last_occurrence: None,
        schedule_tag: None,
    }
}

/// What the store does with a filter.
fn may_pass(filter: &ObjectFilter, meta: &ObjectMeta) -> bool {
    let of_type = filter.component.as_ref().is_none_or(|component| *component == meta.component);
    let after = filter.start.zip(meta.last_occurrence).is_none_or(|(start, last)| last >= start);
    let before = filter.end.zip(meta.first_occurrence).is_none_or(|(end, first)| first <= end);
    of_type && after && before
}
