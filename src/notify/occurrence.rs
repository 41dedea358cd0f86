//! One occurrence of a series, and calendars cut down to one component.

use chrono_tz::Tz;

use crate::ical::{CalendarObject, Component, Duration, Event, Item, Property, Status, When, edit};

/// The zone in which values without one are compared; any will do when both sides have none.
pub(super) const FLOATING: Tz = Tz::UTC;

/// The occurrence of a series at a RECURRENCE-ID, made from its master (mail-itip-alarms §4.3). `None` when the master has
/// no start.
pub(super) fn from_master(master: &Event<'_>, recurrence_id: &When) -> Option<Component> {
    let start = master.start()?;
    let occurrence = recurrence_id.in_form_of(&start, FLOATING);
    let end = master.end().map(|end| occurrence.plus(length(&start, &end)));
    let mut component = master.component().clone();
    for name in ["RRULE", "RDATE", "EXDATE", "EXRULE", "DTSTART", "DTEND", "DURATION"] {
        component.remove(name);
    }
    component.set(occurrence.to_property("RECURRENCE-ID"));
    component.set(occurrence.to_property("DTSTART"));
    if let Some(end) = end {
        component.set(end.to_property("DTEND"));
    }
    Some(component)
}

/// A cancelled occurrence.
pub(super) fn cancelled(mut component: Component) -> Component {
    edit::set_status(&mut component, &Status::Cancelled);
    component
}

/// The calendar with its time zones and this component alone, METHOD set.
pub(super) fn reduced_to(calendar: &CalendarObject, component: Component, method: &str) -> Component {
    let mut root = calendar.root().clone();
    let keep = |item: &Item| !matches!(item, Item::Component(c) if !c.is("VTIMEZONE"));
    root.items.retain(keep);
    root.set(Property::new("METHOD", method));
    root.push_component(component);
    root
}

fn length(start: &When, end: &When) -> Duration {
    match (start, end) {
        (When::Date(first), When::Date(last)) => Duration::days((*last - *first).num_days()),
        _ => Duration::from(end.instant(FLOATING) - start.instant(FLOATING)),
    }
}
