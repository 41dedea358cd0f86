//! Edits that touch only what they change. Everything else comes back byte for byte.

use chrono_tz::Tz;

use super::event::{CalendarUser, Event};
use super::tree::{Component, Property};
use super::when::{Duration, When};
use super::words::PartStat;
use super::zone::Zones;
use crate::ids::Email;

/// Sets PARTSTAT of one attendee in one component; false when the attendee is not there.
pub fn set_partstat(component: &mut Component, attendee: &Email, partstat: &PartStat) -> bool {
    match attendee_mut(component, attendee) {
        Some(property) => {
            property.set_param("PARTSTAT", partstat.as_str());
            true
        }
        None => false,
    }
}

/// The ATTENDEE with that address, for editing.
pub fn attendee_mut<'a>(component: &'a mut Component, attendee: &Email) -> Option<&'a mut Property> {
    component.properties_mut().find(|p| p.is("ATTENDEE") && CalendarUser::new(p).is(attendee))
}

/// Removes the ATTENDEE with that address; true when there was one.
pub fn remove_attendee(component: &mut Component, attendee: &Email) -> bool {
    let before = component.items.len();
    component.items.retain(|item| match item {
        super::tree::Item::Property(p) => !(p.is("ATTENDEE") && CalendarUser::new(p).is(attendee)),
        _ => true,
    });
    component.items.len() != before
}

/// Sets SEQUENCE.
pub fn set_sequence(component: &mut Component, sequence: i64) {
    set_value(component, "SEQUENCE", sequence.to_string());
}

/// Sets DTSTAMP.
pub fn set_dtstamp(component: &mut Component, now: chrono::DateTime<chrono::Utc>) {
    set_when(component, "DTSTAMP", &When::Utc(now));
}

/// Sets STATUS.
pub fn set_status(component: &mut Component, status: &super::words::Status) {
    set_value(component, "STATUS", status.as_str().to_owned());
}

/// Sets the value of a property that is there once, and leaves its parameters.
fn set_value(component: &mut Component, name: &str, value: String) {
    match component.get_mut(name) {
        Some(property) => property.set_value(value),
        None => component.push(Property::new(name, value)),
    }
}

/// Sets a property that holds one time, and leaves its other parameters.
pub fn set_when(component: &mut Component, name: &str, when: &When) {
    match component.get_mut(name) {
        Some(property) => when.write_to(property),
        None => component.push(when.to_property(name)),
    }
}

/// Moves DTSTART, DTEND and DUE by a duration, each in the form it is written in. Alarms, which are relative, move along.
pub fn shift(component: &mut Component, by: Duration, zones: &Zones) {
    for name in ["DTSTART", "DTEND", "DUE"] {
        if let Some(property) = component.get_mut(name)
            && let Ok(when) = When::read(property, zones)
        {
            when.plus(by).write_to(property);
        }
    }
}

/// Takes one occurrence out of the series: adds its time to EXDATE in the form of DTSTART, unless it is there. True when
/// it was added.
pub fn add_exdate(master: &mut Component, occurrence: &When, zones: &Zones, floating: Tz) -> bool {
    let has = exdates(master, zones).any(|when| when.same_instant(occurrence, floating));
    if has {
        return false;
    }
    let when = match Event::new(master, zones).start() {
        Some(start) => occurrence.in_form_of(&start, floating),
        None => occurrence.clone(),
    };
    master.push(when.to_property("EXDATE"));
    true
}

/// The EXDATE values of a component, as far as they can be read.
pub fn exdates<'a>(component: &'a Component, zones: &'a Zones) -> impl Iterator<Item = When> + use<'a> {
    let properties = component.properties().filter(|p| p.is("EXDATE"));
    properties.flat_map(|p| When::list(p, zones)).filter_map(Result::ok)
}
