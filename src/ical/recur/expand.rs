//! Single instances: what one occurrence looks like as a component of its own.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Bounds, Occurrence, RecurError, Series, occurrences};
use crate::ical::edit::set_when;
use crate::ical::event::Event;
use crate::ical::tree::{Component, Item};
use crate::ical::when::{Duration, When};
use crate::ical::zone::Zones;

/// Properties that say how a component recurs.
const RECURRENCE: [&str; 4] = ["RRULE", "RDATE", "EXDATE", "EXRULE"];

/// The component of one occurrence: its override where there is one, else made from the master (see [`instance_of`]).
/// `None` when the series has no such occurrence.
pub fn instance(object: &Component, recurrence_id: &When) -> Option<Component> {
    // Only floating series asked about by instant need a zone, and then any will do.
    let floating = Tz::UTC;
    for series in Series::all(object, floating) {
        if let Ok(Some(occurrence)) = series.at(recurrence_id, Bounds::default()) {
            return Some(component_of(&occurrence));
        }
    }
    None
}

/// The component of the occurrence of `master` that starts at `start`, whether or not its rules give that time:
/// RECURRENCE-ID is added, DTSTART, DTEND and DUE are moved, RRULE, RDATE, EXDATE are gone, and everything else is as in
/// the master.
pub fn instance_of(master: &Component, start: &When, zones: &Zones, floating: Tz) -> Component {
    let own = Event::new(master, zones);
    let start = own.start().map_or_else(|| start.clone(), |own| start.in_form_of(&own, floating));
    let series = Series::of(&[master], zones, floating);
    match series.made_at(&start) {
        Some(occurrence) => component_of(&occurrence),
        None => {
            let mut component = master.clone();
            set_when(&mut component, "RECURRENCE-ID", &start);
            component
        }
    }
}

/// Writes an occurrence as a component of its own.
fn component_of(occurrence: &Occurrence<'_>) -> Component {
    let mut component = occurrence.component.clone();
    let own = component.get("RECURRENCE-ID").is_some()
        && component.get("DTSTART").is_some_and(|p| p.value() == occurrence.start_when.value());
    if own {
        return component;
    }
    for name in RECURRENCE {
        component.remove(name);
    }
    component.remove("RECURRENCE-ID");
    if component.get("DTSTART").is_some() {
        set_when(&mut component, "DTSTART", &occurrence.start_when);
    }
    if let Some(end) = &occurrence.end_when {
        set_end(&mut component, &occurrence.start_when, end);
    }
    component.push(occurrence.recurrence_id.to_property("RECURRENCE-ID"));
    component
}

/// Moves the end, wherever it is written. Where the length that is written, or understood, no longer gives it (the period
/// of an RDATE), DTEND says it.
fn set_end(component: &mut Component, start: &When, end: &When) {
    let written = ["DTEND", "DUE"].into_iter().find(|n| component.get(n).is_some());
    if let Some(name) = written {
        return set_when(component, name, end);
    }
    let length = match component.value("DURATION").and_then(|d| d.parse::<Duration>().ok()) {
        Some(duration) => duration,
        None if start.is_date() => Duration::days(1),
        None => Duration::default(),
    };
    if component.is("VEVENT") && start.plus(length) != *end && !length.is_negative() {
        component.remove("DURATION");
        set_when(component, "DTEND", end);
    }
}

/// A calendar with the occurrences in a range instead of the series: every time in UTC (dates stay dates), RECURRENCE-ID
/// on each occurrence of a recurring object, no RRULE and no VTIMEZONE (RFC 4791 §9.6.5, dav §8.5). Dates and floating
/// times are read in `floating`.
///
/// # Errors
/// [`RecurError`] when the bounds are exceeded.
pub fn expand(
    object: &Component,
    range: Range<DateTime<Utc>>,
    floating: Tz,
    bounds: Bounds,
) -> Result<Component, RecurError> {
    let zones = Zones::of(object);
    let found = occurrences(object, range, floating, bounds)?;
    check_length(&found, bounds)?;
    let mut calendar = Component::new(object.name());
    let kept = object.items.iter().filter(|i| matches!(i, Item::Property(_)));
    calendar.items.extend(kept.cloned());
    for occurrence in found {
        let series = occurrence.is_override || Event::new(occurrence.component, &zones).is_recurring();
        let mut component = component_of(&occurrence);
        if !series {
            component.remove("RECURRENCE-ID");
        }
        to_utc(&mut component, &zones, floating);
        calendar.push_component(component);
    }
    Ok(calendar)
}

/// Refuses what would be too long, before any of it is made.
fn check_length(found: &[Occurrence<'_>], bounds: Bounds) -> Result<(), RecurError> {
    let mut lengths: HashMap<*const Component, usize> = HashMap::new();
    let mut octets = 0_usize;
    for occurrence in found {
        let component = occurrence.component;
        let length = *lengths.entry(std::ptr::from_ref(component)).or_insert_with(|| component.to_wire().len());
        octets = octets.saturating_add(length);
        if octets > bounds.max_octets {
            return Err(RecurError::TooLong { max: bounds.max_octets });
        }
    }
    Ok(())
}

/// The same calendar with all times in UTC and without VTIMEZONE; what an expansion that found nothing answers with
/// (dav §8.5).
pub fn with_utc_times(object: &Component, floating: Tz) -> Component {
    let zones = Zones::of(object);
    let mut calendar = object.clone();
    calendar.items.retain(|i| !matches!(i, Item::Component(c) if c.is("VTIMEZONE")));
    for component in calendar.components_mut() {
        to_utc(component, &zones, floating);
    }
    calendar
}

/// Writes the end where the nominal days of DURATION are not as long in UTC as in the zone of the start
/// (RFC 5545 §3.3.6).
fn keep_end(component: &mut Component, zones: &Zones, floating: Tz) {
    let duration = component.value("DURATION").and_then(|d| d.parse::<Duration>().ok());
    let start = component.get("DTSTART").and_then(|p| When::read(p, zones).ok());
    let (Some(duration), Some(start)) = (duration, start) else { return };
    let end = start.plus(duration);
    let in_utc = When::Utc(start.instant(floating)).plus(duration);
    if start.is_date() || duration.is_negative() || in_utc.instant(floating) == end.instant(floating) {
        return;
    }
    let name = if component.is("VTODO") { "DUE" } else { "DTEND" };
    component.remove("DURATION");
    set_when(component, name, &end);
}

fn to_utc(component: &mut Component, zones: &Zones, floating: Tz) {
    keep_end(component, zones, floating);
    for property in component.properties_mut() {
        let one = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID"].iter().any(|n| property.is(n));
        if one
            && let Ok(when) = When::read(property, zones)
            && !when.is_date()
        {
            When::Utc(when.instant(floating)).write_to(property);
        } else if property.is("EXDATE") || property.is("RDATE") {
            let Ok(list) = When::read_list(property, zones) else { continue };
            let is_time = |w: &When| !w.is_date();
            if list.iter().all(is_time) && !property.value().contains('/') {
                let values: Vec<String> = list.iter().map(|w| When::Utc(w.instant(floating)).value()).collect();
                property.set_value(values.join(","));
                property.remove_param("TZID");
            }
        }
    }
}
