//! SEQUENCE of what an organizer writes: it only ever grows (RFC 5546 §2.1.4).

use super::is_schedulable;
use super::object::{Object, sequence_of};
use super::view::{is_rescheduled, is_significant};
use crate::ical::{Component, Property};

/// The object that is written with the SEQUENCE it must have, or none when it has it.
///
/// A client that leaves SEQUENCE out, or writes a lower one than is stored, would make every message look older than
/// what the attendees hold. Such a VEVENT keeps the stored number, or gets the next one when what it says changed. One that
/// takes place at another time under the same number gets the next one, too.
pub(super) fn raised(before: &Object, after: &Object) -> Option<Component> {
    let invites = |o: &Object| o.organizer.is_some() && !o.invitees.is_empty();
    let mut due: Vec<Option<i64>> =
        (0..after.instances.len()).map(|at| due(before, after, at, invites(after))).collect();
    // What is raised is raised as a whole: messages about the series and about its occurrences must compare by one count,
    // whichever of them arrives late.
    if let Some(highest) = due.iter().flatten().copied().max() {
        for (instance, due) in after.instances.iter().zip(&mut due) {
            let own = due.or(sequence_of(instance.component)).unwrap_or(0);
            *due = if own < highest { Some(highest) } else { *due };
        }
    }
    if due.iter().all(Option::is_none) {
        return None;
    }
    let mut object = after.calendar.clone();
    for (event, due) in object.components_mut().filter(|c| is_schedulable(c)).zip(due) {
        if let Some(sequence) = due {
            event.set(Property::new("SEQUENCE", sequence.to_string()));
        }
    }
    Some(object)
}

/// The SEQUENCE that one component must have, where it has another.
fn due(before: &Object, after: &Object, at: usize, invites: bool) -> Option<i64> {
    let instance = &after.instances[at];
    // An override that is new was part of the series until now.
    let was = before.instance(instance.id).map(|i| i.component);
    let held = was.or(before.master().map(|i| i.component))?;
    let (stored, written) = (sequence_of(held), sequence_of(instance.component).unwrap_or(0));
    let state = (instance.component, &after.zones);
    // Without an organizer nobody is sent the new state, only that the event is off.
    let changed = || after.organizer.is_some() && is_significant((held, &before.zones), state);
    if let Some(stored) = stored.filter(|stored| written < *stored) {
        return Some(stored.saturating_add(i64::from(changed())));
    }
    let rescheduled = || match (was, after.recurrence_id(at)) {
        (Some(was), _) => is_rescheduled((was, &before.zones), state),
        (None, Some(id)) => before.occurrence(&id).is_some_and(|made| is_rescheduled((&made, &before.zones), state)),
        (None, None) => false,
    };
    // A client that moves an event without counting up: what it says would not be told from what was there.
    (invites && written == stored.unwrap_or(0) && rescheduled()).then(|| written.saturating_add(1))
}
