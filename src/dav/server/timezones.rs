//! Time zones by reference (RFC 7809): definitions of zones that everybody knows by their IANA name are left out of what
//! is sent, or put in, as the client wants it.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use crate::ical::{Component, Item, Property, Zones, recur, zone};

/// How far the definition of a zone reaches at least, so that clients can move an event.
const AROUND: TimeDelta = TimeDelta::days(366);

/// The zone with exactly this IANA name.
pub(super) fn named(id: &str) -> Option<Tz> {
    id.parse::<Tz>().ok().filter(|tz| tz.name() == id)
}

/// Years that the definition of a zone in `calendar-timezone` is made from; what holds in the last goes on for ever.
const YEARS: (i32, i32) = (2000, 2040);

/// A VCALENDAR with the VTIMEZONE of a zone, as `calendar-timezone` holds it (RFC 4791 §5.2.2).
pub(super) fn calendar_of(tz: Tz) -> String {
    let year = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc();
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("VERSION", "2.0"));
    calendar.push(Property::new("PRODID", super::put::PRODID));
    calendar.push_component(zone::vtimezone(tz, year(YEARS.0), year(YEARS.1)));
    calendar.to_wire()
}

/// Takes out the definitions of zones whose name says it all. A definition that differs from the IANA zone of its name
/// stays: without it the times would mean something else.
pub(super) fn strip(calendar: &mut Component) {
    let zones = Zones::of(calendar);
    let is_known = |component: &Component| {
        let id = component.value("TZID").unwrap_or_default();
        component.is("VTIMEZONE") && named(id).is_some() && zones.get(id).and_then(|z| z.tz()) == named(id)
    };
    calendar.items.retain(|item| !matches!(item, Item::Component(c) if is_known(c)));
}

/// Adds the definitions that are missing of zones that are used.
pub(super) fn define(calendar: &mut Component) {
    let mut used = BTreeSet::new();
    collect(calendar, &mut used);
    let defined: BTreeSet<String> = calendar
        .components()
        .filter(|c| c.is("VTIMEZONE"))
        .filter_map(|c| c.value("TZID").map(str::to_owned))
        .collect();
    let missing: Vec<Tz> = used.difference(&defined).filter_map(|id| named(id)).collect();
    if missing.is_empty() {
        return;
    }
    let span = recur::span(calendar, Tz::UTC);
    let from = span.first.unwrap_or_default();
    let to = span.last.unwrap_or(from).max(from);
    let place = calendar.items.iter().position(|i| matches!(i, Item::Component(_))).unwrap_or(calendar.items.len());
    for (index, tz) in missing.into_iter().enumerate() {
        let earlier = from.checked_sub_signed(AROUND).unwrap_or(from);
        let later = to.min(from + TimeDelta::days(366 * 20)).checked_add_signed(AROUND).unwrap_or(to);
        calendar.items.insert(place + index, Item::Component(zone::vtimezone(tz, earlier, later)));
    }
}

fn collect(component: &Component, used: &mut BTreeSet<String>) {
    used.extend(component.properties().filter_map(|p| p.get_param("TZID").map(str::to_owned)));
    component.components().filter(|c| !c.is("VTIMEZONE")).for_each(|c| collect(c, used));
}
