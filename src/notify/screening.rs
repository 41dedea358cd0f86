//! Which iTIP messages nobody needs to hear of (mail-itip-alarms §0.2, step 3). They are dropped before delivery.

use crate::ical::{CalendarObject, Method};
use crate::ids::Email;
use crate::itip::{Address, repeats_answers};

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// A REQUEST that is not from its one organizer.
    NotFromOrganizer,
    /// A REPLY that says what was said before: an attendee made an override without changing their mind.
    SameAnswer,
}

/// Whether the message is to be dropped. What its sender's client asked to be sent (`forced`) tells somebody something.
pub(super) fn screen(
    method: &Method,
    sender: &Email,
    message: &CalendarObject,
    old: Option<&CalendarObject>,
    forced: bool,
) -> Option<Dropped> {
    let repeats = |old: &CalendarObject| repeats_answers(message.root(), old.root(), &Address::from(sender));
    match method {
        Method::Request if !is_from_its_organizer(sender, message) => Some(Dropped::NotFromOrganizer),
        Method::Reply if !forced && old.is_some_and(repeats) => Some(Dropped::SameAnswer),
        _ => None,
    }
}

fn is_from_its_organizer(sender: &Email, message: &CalendarObject) -> bool {
    let mut organizers = message.events().filter_map(|event| event.organizer()).map(|organizer| organizer.email());
    // An organizer whose address cannot be read is somebody else.
    let first = organizers.next();
    first.is_some_and(|first| first.as_ref() == Ok(sender) && organizers.all(|other| other == first))
}
