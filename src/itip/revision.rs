//! SEQUENCE of what an organizer writes: it only ever grows (RFC 5546 §2.1.4).

use super::VEVENT;
use super::object::{Object, sequence_of};
use super::view::is_significant;
use crate::ical::{Component, Property};

/// The object that is written with the SEQUENCE it must have, or none when it has it.
///
/// A client that leaves SEQUENCE out, or writes a lower one than is stored, would make every message look older than
/// what the attendees hold. Such a VEVENT keeps the stored number, or gets the next one when what it says changed.
pub(super) fn raised(before: &Object, after: &Object) -> Option<Component> {
    let due: Vec<Option<i64>> = after
        .instances
        .iter()
        .map(|instance| {
            // An override that is new was part of the series until now.
            let held = before.instance(instance.id).or(before.master())?.component;
            let stored = sequence_of(held)?;
            let is_lower = sequence_of(instance.component).unwrap_or(0) < stored;
            // Without an organizer nobody is sent the new state, only that the event is off.
            let changed = || {
                after.organizer.is_some() && is_significant((held, &before.zones), (instance.component, &after.zones))
            };
            is_lower.then(|| stored.saturating_add(i64::from(changed())))
        })
        .collect();
    if due.iter().all(Option::is_none) {
        return None;
    }
    let mut object = after.calendar.clone();
    for (event, due) in object.components_mut().filter(|c| c.is(VEVENT)).zip(due) {
        if let Some(sequence) = due {
            event.set(Property::new("SEQUENCE", sequence.to_string()));
        }
    }
    Some(object)
}
