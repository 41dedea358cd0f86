//! Which iTIP messages nobody needs to hear of (mail-itip-alarms §0.2, step 3). They are dropped before delivery.

use crate::ical::{CalendarObject, Event, Method, PartStat};
use crate::ids::Email;

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// A REQUEST that is not from its one organizer.
    NotFromOrganizer,
    /// A REPLY with the answer that was there before: an attendee made an override without changing their mind.
    SameAnswer,
}

/// Whether the message is to be dropped.
pub(super) fn screen(
    method: &Method,
    sender: &Email,
    message: &CalendarObject,
    old: Option<&CalendarObject>,
) -> Option<Dropped> {
    match method {
        Method::Request if !is_from_its_organizer(sender, message) => Some(Dropped::NotFromOrganizer),
        Method::Reply if repeats_the_answer(sender, message, old) => Some(Dropped::SameAnswer),
        _ => None,
    }
}

fn is_from_its_organizer(sender: &Email, message: &CalendarObject) -> bool {
    let mut organizers = message.events().filter_map(|event| event.organizer()).map(|organizer| organizer.email());
    // An organizer whose address cannot be read is somebody else.
    let first = organizers.next();
    first.is_some_and(|first| first.as_ref() == Ok(sender) && organizers.all(|other| other == first))
}

fn repeats_the_answer(sender: &Email, message: &CalendarObject, old: Option<&CalendarObject>) -> bool {
    let (Some(reply), Some(old)) = (message.events().next(), old) else { return false };
    let Some(new_answer) = answer(&reply, sender) else { return false };
    let before = match reply.component().value("RECURRENCE-ID") {
        Some(recurrence_id) => {
            let same = |e: &Event<'_>| e.component().value("RECURRENCE-ID") == Some(recurrence_id);
            old.events().find(same).or_else(|| old.events().find(|e| !e.is_override()))
        }
        None => old.events().next(),
    };
    before.and_then(|event| answer(&event, sender)) == Some(new_answer)
}

/// The answer of an attendee, where the line says one.
fn answer(event: &Event<'_>, attendee: &Email) -> Option<PartStat> {
    let attendee = event.attendee(attendee)?;
    attendee.property().get_param("PARTSTAT").map(PartStat::read)
}
