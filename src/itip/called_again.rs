//! A meeting that was deleted comes back to its organizer.

use super::diff::{Role, role};
use super::is_schedulable;
use super::object::sequence_of;
use super::reschedule::ask_anew;
use crate::ical::{Component, Property};
use crate::ids::Email;

/// How far what comes back is above what was deleted: the CANCEL took the next SEQUENCE.
const ABOVE: i64 = 2;

/// The event as the person with these addresses has it again who organizes it, and called it off by deleting it: a later
/// revision than the CANCEL, so that whoever is told of it next does not take that for the older word (RFC 5546 §2.1.5),
/// and not answered by anybody. `None` where it is not theirs, or nobody else is in it.
pub fn called_again(calendar: &Component, person: &[Email]) -> Option<Component> {
    if role(calendar, person) != Role::Organizer {
        return None;
    }
    let events = || calendar.components().filter(|c| is_schedulable(c));
    events().find(|event| event.get("ATTENDEE").is_some())?;
    let sequence = events().filter_map(sequence_of).max().unwrap_or(0).max(0).saturating_add(ABOVE);
    let mut again = calendar.clone();
    for event in again.components_mut().filter(|c| is_schedulable(c)) {
        event.set(Property::new("SEQUENCE", sequence.to_string()));
    }
    ask_anew(&mut again, &(0..events().count()).collect::<Vec<_>>(), person);
    Some(again)
}
