//! Which components a time range holds (RFC 4791 §9.9).

use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Bounds, Occurrence, RecurError, Series, Span};
use crate::ical::event::Event;
use crate::ical::tree::Component;
use crate::ical::when::{Period, When};
use crate::ical::zone::Zones;

/// Which row of the tables of RFC 4791 §9.9 a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Event,
    /// VTODO with DTSTART and DUE.
    StartAndDue,
    /// VTODO with DTSTART and DURATION.
    StartAndDuration,
    /// VTODO with DTSTART alone.
    Start,
    /// VTODO with DUE alone.
    Due,
}

impl Shape {
    pub(super) fn of(component: &Component, start: Option<&When>, due: Option<&When>) -> Self {
        if !component.is("VTODO") {
            return Self::Event;
        }
        match (start, due) {
            (Some(_), Some(_)) => Self::StartAndDue,
            (None, Some(_)) => Self::Due,
            _ if component.get("DURATION").is_some() => Self::StartAndDuration,
            _ => Self::Start,
        }
    }

    /// Whether an occurrence of a component of this shape lies in the range.
    pub(super) fn overlaps(self, o: &Occurrence<'_>, range: &Range<DateTime<Utc>>) -> bool {
        let (from, to) = (range.start, range.end);
        match self {
            Self::Event if o.start == o.end => from <= o.start && to > o.start,
            Self::Event => from < o.end && to > o.start,
            Self::StartAndDue => (from < o.end || from <= o.start) && (to > o.start || to >= o.end),
            Self::StartAndDuration => from <= o.end && (to > o.start || to >= o.end),
            Self::Start => from <= o.start && to > o.start,
            Self::Due => from < o.end && to >= o.end,
        }
    }
}

/// Whether a component of the given type matches a time range, as `CALDAV:time-range` in a comp-filter asks.
///
/// Unlike [`occurrences`](super::occurrences) it also knows the components that have no occurrences: a VTODO without
/// DTSTART and DUE, VFREEBUSY, and VAVAILABILITY. It stops at the first match.
///
/// # Errors
/// [`RecurError`] when finding out exceeds the bounds.
pub fn overlaps(
    object: &Component,
    component_type: &str,
    range: &Range<DateTime<Utc>>,
    floating: Tz,
    bounds: Bounds,
) -> Result<bool, RecurError> {
    let zones = Zones::of(object);
    for component in object.components().filter(|c| c.is(component_type)) {
        let event = Event::new(component, &zones);
        let found = if component.is("VFREEBUSY") {
            free_busy(&event, component, &zones, range, floating)
        } else if component.is("VAVAILABILITY") {
            availability(&event, range, floating)
        } else {
            component.is("VTODO")
                && event.start().is_none()
                && event.due().is_none()
                && timeless(&event, range, floating)
        };
        if found {
            return Ok(true);
        }
    }
    for series in Series::all_of(object, component_type, floating) {
        if let Some(found) = series.occurrences(range.clone(), bounds).next() {
            return found.map(|_| true);
        }
    }
    Ok(false)
}

/// The time that a VFREEBUSY or VAVAILABILITY covers; `None` where it is no such object, or does not say so on both sides.
pub(super) fn span_of_statements(object: &Component, floating: Tz) -> Option<Span> {
    let zones = Zones::of(object);
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for component in object.components() {
        let event = Event::new(component, &zones);
        let mut times = Vec::new();
        if component.is("VAVAILABILITY") {
            let start = event.start()?;
            let end = event.when("DTEND").or_else(|| Some(start.plus(event.duration()?)))?;
            times.extend([start, end]);
        } else if component.is("VFREEBUSY") {
            times.extend(event.start().into_iter().chain(event.when("DTEND")));
            for period in component.all("FREEBUSY").flat_map(|p| Period::list(p, &zones)).filter_map(Result::ok) {
                times.extend(period.end());
                times.push(period.start);
            }
        }
        for at in times.iter().map(|when| when.instant(floating)) {
            span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
    }
    span.map(|(first, last)| Span { first: Some(first), last: Some(last) })
}

fn timeless(todo: &Event<'_>, range: &Range<DateTime<Utc>>, floating: Tz) -> bool {
    let (from, to) = (range.start, range.end);
    let at = |name: &str| todo.when(name).map(|w| w.instant(floating));
    match (at("COMPLETED"), at("CREATED")) {
        (Some(done), Some(made)) => (from <= made || from <= done) && (to >= made || to >= done),
        (Some(done), None) => from <= done && to >= done,
        (None, Some(made)) => to > made,
        (None, None) => true,
    }
}

/// RFC 7953 §7.2.3: a side that is not given reaches as far as time does.
fn availability(event: &Event<'_>, range: &Range<DateTime<Utc>>, floating: Tz) -> bool {
    let start = event.start();
    let end = event.when("DTEND").or_else(|| Some(start.as_ref()?.plus(event.duration()?)));
    start.is_none_or(|start| range.end > start.instant(floating))
        && end.is_none_or(|end| range.start < end.instant(floating))
}

fn free_busy(
    event: &Event<'_>,
    component: &Component,
    zones: &Zones,
    range: &Range<DateTime<Utc>>,
    floating: Tz,
) -> bool {
    if let (Some(start), Some(end)) = (event.start(), event.when("DTEND")) {
        return range.start <= end.instant(floating) && range.end > start.instant(floating);
    }
    component.all("FREEBUSY").flat_map(|p| Period::list(p, zones)).filter_map(Result::ok).any(|p| {
        let end = p.end().unwrap_or_else(|| p.start.clone());
        range.start < end.instant(floating) && range.end > p.start.instant(floating)
    })
}
