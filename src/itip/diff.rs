//! `(old, new, actor) -> messages`.

use chrono::{DateTime, Utc};

use super::address::Address;
use super::booking::{self, Gate};
use super::error::ItipError;
use super::message::ItipMessage;
use super::object::{Object, is_scheduled_by_server};
use super::{attendee, is_schedulable, organizer, reschedule, revision, stored};
use crate::ical::Component;
use crate::ids::Email;

/// What the owner of the calendar is in the event (mail-itip-alarms §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of the owner's addresses is the ORGANIZER.
    Organizer,
    /// One of the owner's addresses is an ATTENDEE.
    Attendee,
    /// Neither: nothing is scheduled.
    None,
}

/// What follows from a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// The messages, one per method and recipient, in the order in which they must reach a recipient.
    pub messages: Vec<ItipMessage>,
    /// What to store instead of the new object: the same without `SCHEDULE-FORCE-SEND`, and of the organizer never with
    /// a lower SEQUENCE than before (RFC 5546 §2.1.4), and without the answers to what was moved (RFC 6638 §3.2.8). None when it is deleted.
    /// Fill in `SCHEDULE-STATUS` with [`super::set_schedule_status`] once delivery is known.
    pub stored: Option<Component>,
    /// What the actor is in this event.
    pub role: Role,
}

impl Diff {
    fn nothing(new: Option<&Component>) -> Self {
        Self { messages: Vec::new(), stored: new.map(stored::to_store), role: Role::None }
    }
}

/// Compares an object before and after a write by `actor` and tells whom to tell what.
///
/// `old` is what was stored (none: created), `new` what is written (none: deleted), `actor` the addresses of the owner of
/// the calendar, whoever writes on their behalf.
///
/// The caller decides whether a write is scheduled at all: `Schedule-Reply: F`, imports, moves and inbox objects are
/// none of this function's business (mail-itip-alarms §5.2).
///
/// # Errors
/// [`ItipError`] when `old` or `new` is no object that can be scheduled: several UIDs, different organizers, a scheduled
/// VEVENT without DTSTART, a RECURRENCE-ID that is no time.
pub fn diff(
    old: Option<&Component>,
    new: Option<&Component>,
    actor: &[Email],
    now: DateTime<Utc>,
) -> Result<Diff, ItipError> {
    diff_after_answers(old, new, actor, &[], now)
}

/// The same where some attendees have answered to the new object already (rooms do, in the write that invites them): nobody
/// asks them anew.
///
/// # Errors
/// As [`diff`].
pub fn diff_after_answers(
    old: Option<&Component>,
    new: Option<&Component>,
    actor: &[Email],
    answered: &[Email],
    now: DateTime<Utc>,
) -> Result<Diff, ItipError> {
    let before = old.map(Object::read).transpose()?.flatten();
    let after = new.map(Object::read).transpose()?.flatten();
    let organizes = |o: &Object| o.organizer_address().is_some_and(|o| o.is_one_of(actor));
    let (rewritten, is_raised) = match (&before, &after) {
        (Some(before), Some(after)) if organizes(before) => rewritten(before, after, &[actor, answered].concat()),
        _ => (None, false),
    };
    let new = rewritten.as_ref().or(new);
    let mut after = match &rewritten {
        Some(rewritten) => Object::read(rewritten)?.map(|o| if is_raised { o.raised() } else { o }),
        None => after,
    };
    if let (Some(before), Some(after)) = (&before, &mut after) {
        // The new object has no organizer any more: it stops being a scheduling object, and those who were invited must
        // hear of it from the organizer they know.
        after.organizer = after.organizer.or(before.organizer);
    }
    let Some(current) = after.as_ref().or(before.as_ref()) else { return Ok(Diff::nothing(new)) };
    let Some(organizer) = current.organizer_address() else { return Ok(Diff::nothing(new)) };
    let is_invited = |o: &Object| o.invitees.iter().any(|i| i.address.is_one_of(actor));

    let (role, messages) = if organizer.is_one_of(actor) {
        let gate = booking::gate(before.as_ref(), after.as_ref(), &organizer);
        let messages = match gate {
            Gate::Open => organizer::messages(before.as_ref(), after.as_ref(), actor, now),
            Gate::Opening => organizer::messages(None, after.as_ref(), actor, now),
            Gate::Refused { booker } => only(&booker, organizer::messages(None, after.as_ref(), actor, now)),
            Gate::Withdrawn { booker } => {
                only(&booker, organizer::messages(before.as_ref(), after.as_ref(), actor, now))
            }
            Gate::Closed => Vec::new(),
        };
        (Role::Organizer, messages)
    } else if is_invited(current) {
        (Role::Attendee, attendee::replies(before.as_ref(), after.as_ref(), actor, now))
    } else {
        (Role::None, Vec::new())
    };
    Ok(Diff { messages, stored: new.map(stored::to_store), role })
}

/// What an organizer's write becomes, where it is another: SEQUENCE grows, and whatever takes place at another time is asked
/// about anew, but of those in `settled`. The second value says whether SEQUENCE is not the client's own.
fn rewritten(before: &Object, after: &Object, settled: &[Email]) -> (Option<Component>, bool) {
    let raised = revision::raised(before, after);
    let is_raised = raised.is_some();
    let moved = reschedule::rescheduled(before, after);
    if moved.is_empty() {
        return (raised, is_raised);
    }
    let mut object = raised.unwrap_or_else(|| after.calendar.clone());
    let asks = reschedule::ask_anew(&mut object, &moved, settled);
    ((asks || is_raised).then_some(object), is_raised)
}

/// What the person with these addresses is in an object: its organizer, an attendee whom the server schedules, or neither
/// (RFC 6638 §3.1).
pub fn role(calendar: &Component, person: &[Email]) -> Role {
    // Most objects have no organizer, and need not be read.
    if !calendar.components().any(|c| c.get("ORGANIZER").is_some()) {
        return Role::None;
    }
    let Ok(Some(object)) = Object::read(calendar) else { return Role::None };
    let Some(organizer) = object.organizer else { return Role::None };
    let is_scheduled = is_scheduled_by_server(organizer);
    if Address::read(organizer.value()).is_one_of(person) {
        return if is_scheduled { Role::Organizer } else { Role::None };
    }
    let is_invited = object.invitees.iter().any(|i| i.address.is_one_of(person));
    if is_scheduled && is_invited { Role::Attendee } else { Role::None }
}

/// Whether a write by the organizer names somebody else as the organizer of an event that people are invited to
/// (RFC 6638 §3.2.4.3). Leaving ORGANIZER out is no such thing: it ends the scheduling.
pub fn hands_over(old: &Component, new: &Component, person: &[Email]) -> bool {
    let organizer = |c: &Component| {
        let mut named = c.components().filter(|c| is_schedulable(c)).filter_map(|e| e.value("ORGANIZER"));
        named.next().map(Address::read)
    };
    role(old, person) == Role::Organizer
        && organizer(new).is_some_and(|o| !o.is_one_of(person))
        && old.components().any(|c| c.get("ATTENDEE").is_some())
}

fn only(recipient: &Address, mut messages: Vec<ItipMessage>) -> Vec<ItipMessage> {
    messages.retain(|m| m.recipient == recipient.as_str());
    messages
}
