//! The data of an object as a client asked for it: expanded, limited, in part, or in another notation (RFC 4791 §9.6).

use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::media::Format;
use super::properties::Scene;
use super::{Inner, timezones};
use crate::dav::xml::{CompSelection, DataRequest, Occurrences, TimeRange, Writer};
use crate::ical::recur::{self, Bounds};
use crate::ical::{CalendarObject, Component, Event, Item, Period, Zones};
use crate::store::Collection;

impl Inner {
    /// How far recurrences are followed.
    pub(super) fn bounds(&self) -> Bounds {
        let limits = &self.settings.limits;
        Bounds {
            max_occurrences: limits.occurrences,
            max_octets: limits.expansion_bytes,
            max_steps: limits.recurrence_steps,
            ..Bounds::default()
        }
    }
}

/// The zone of dates and floating times in a calendar (RFC 4791 §5.2.2); UTC, as in the reference, in calendars that name
/// none: then one day of all-day events is one day of a query.
pub(super) fn zone_of(collection: &Collection) -> Tz {
    collection.props.timezone.as_deref().and_then(zone_named_in).unwrap_or(Tz::UTC)
}

/// The zone that a VCALENDAR with one VTIMEZONE stands for, where it has an IANA equivalent. The name decides: definitions
/// that clients send often begin with the law of some year, and differ from the zone before.
pub(super) fn zone_named_in(text: &str) -> Option<Tz> {
    let calendar = Component::parse(text).ok()?;
    let id = calendar.components().find(|c| c.is("VTIMEZONE"))?.value("TZID")?.to_owned();
    let by_name = || Zones::default().get(&id)?.tz();
    by_name().or_else(|| Zones::of(&calendar).get(&id)?.tz())
}

/// An instant of unix seconds, as far away as chrono goes where it is out of reach.
pub(super) fn instant(seconds: i64) -> DateTime<Utc> {
    let far = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(far)
}

/// A range of unix seconds as one of instants.
pub(super) fn instants(range: TimeRange) -> Range<DateTime<Utc>> {
    let (start, end) = range.bounds();
    instant(start)..instant(end)
}

/// Writes `calendar-data` in the form asked for. What cannot be parsed or expanded is written as it is stored: one
/// object that we cannot read must not make a whole calendar unreadable (dav §6.4).
pub(super) fn write_data(
    scene: &Scene<'_>,
    collection: &Collection,
    data: &str,
    request: &DataRequest,
    w: &mut Writer,
) {
    let format = request.content_type.as_deref().and_then(Format::named).unwrap_or(Format::ICalendar);
    if request.is_plain() && format == Format::ICalendar {
        return w.calendar_text(data);
    }
    let Ok(object) = CalendarObject::parse(data) else { return w.calendar_text(data) };
    let zone = request.zone.unwrap_or_else(|| zone_of(collection));
    let mut root = match request.occurrences {
        Occurrences::AsStored => object.into_root(),
        Occurrences::Expand(range) => {
            match recur::expand(object.root(), instants(range), zone, scene.server.bounds()) {
                Ok(expanded) if expanded.components().next().is_some() => expanded,
                _ => recur::with_utc_times(object.root(), zone),
            }
        }
        Occurrences::Limit(range) => limited(&object, instants(range), zone, scene.server.bounds()),
    };
    if let Some(range) = request.freebusy {
        limit_busy_times(&mut root, &instants(range), zone);
    }
    match request.with_zones {
        Some(true) => timezones::define(&mut root),
        Some(false) => timezones::strip(&mut root),
        None => {}
    }
    if let Some(selection) = &request.comp {
        select(&mut root, selection);
    }
    w.text(&format.write(&root));
}

/// The master, and the overrides that lie in the range or replace an occurrence in it (RFC 4791 §9.6.6).
fn limited(object: &CalendarObject, range: Range<DateTime<Utc>>, zone: Tz, bounds: Bounds) -> Component {
    let Ok(within) = recur::occurrences(object.root(), range.clone(), zone, bounds) else {
        return object.root().clone();
    };
    let master = object.master().map(|c| Event::new(c, object.zones()));
    let length = master.and_then(|m| Some(m.end()?.instant(zone) - m.start()?.instant(zone))).unwrap_or_default();
    let matters = |component: &Component| {
        let event = Event::new(component, object.zones());
        let replaced = event.recurrence_id().map(|id| id.instant(zone));
        // Where the occurrence would be that it replaces; one that changes all later ones always matters.
        replaced.is_none_or(|id| {
            let until = id.checked_add_signed(length).unwrap_or(id);
            range.contains(&id) || (id < range.end && until > range.start)
        }) || event.is_this_and_future()
            || within.iter().any(|o| std::ptr::eq(o.component, component))
    };
    let keep: Vec<bool> = object.root().components().map(matters).collect();
    let mut root = object.root().clone();
    let mut keep = keep.into_iter();
    root.items.retain(|item| !matches!(item, Item::Component(_)) || keep.next().unwrap_or(true));
    root
}

/// Leaves of FREEBUSY properties only the periods in the range (RFC 4791 §9.6.7). What cannot be read stays.
fn limit_busy_times(calendar: &mut Component, range: &Range<DateTime<Utc>>, zone: Tz) {
    let zones = Zones::of(calendar);
    for component in calendar.components_mut().filter(|c| c.is("VFREEBUSY")) {
        component.items.retain_mut(|item| {
            let Item::Property(property) = item else { return true };
            if !property.is("FREEBUSY") {
                return true;
            }
            let written: Vec<&str> = property.value().split(',').collect();
            let Ok(periods) = Period::read_list(property, &zones) else { return true };
            if written.len() != periods.len() {
                return true;
            }
            let is_in = |period: &Period| {
                let end = period.end().unwrap_or_else(|| period.start.clone()).instant(zone);
                period.start.instant(zone) < range.end && end > range.start
            };
            let kept: Vec<&str> =
                written.iter().zip(&periods).filter(|(_, p)| is_in(p)).map(|(text, _)| text.trim()).collect();
            let value = kept.join(",");
            property.set_value(value);
            !property.value().is_empty()
        });
    }
}

/// Leaves of a component only what was asked for.
fn select(component: &mut Component, selection: &CompSelection) {
    component.items.retain_mut(|item| match item {
        Item::Property(p) => {
            let chosen = selection.props.as_ref().map(|props| props.iter().find(|s| p.is(&s.name)));
            if chosen.flatten().is_some_and(|s| s.without_value) {
                p.set_value("");
            }
            chosen.is_none_or(|s| s.is_some())
        }
        Item::Component(c) => selection.comps.as_ref().is_none_or(|comps| comps.iter().any(|s| c.is(&s.name))),
        Item::Blank(_) => false,
    });
    for inner in component.components_mut() {
        if let Some(selection) = selection.comps.iter().flatten().find(|s| inner.is(&s.name)) {
            select(inner, selection);
        }
    }
}
