//! Calendars cut down to one component.

use chrono_tz::Tz;

use crate::ical::{CalendarObject, Component, Item, Property};

/// The zone in which values without one are compared; any will do when both sides have none.
pub(super) const FLOATING: Tz = Tz::UTC;

/// The calendar with its time zones and this component alone, METHOD set.
pub(super) fn reduced_to(calendar: &CalendarObject, component: Component, method: &str) -> Component {
    let mut root = calendar.root().clone();
    root.items.retain(|item| !matches!(item, Item::Component(c) if !c.is("VTIMEZONE")));
    root.set(Property::new("METHOD", method));
    root.push_component(component);
    root
}
