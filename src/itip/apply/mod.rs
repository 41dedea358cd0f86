//! `(calendar object, message) -> calendar object` (RFC 5546 §3.2, mail-itip-alarms §5.8).

mod add;
mod cancel;
mod fresh;
mod reply;
mod request;

use chrono::{DateTime, Utc};

use super::address::Address;
use super::error::ItipError;
use super::is_schedulable;
use super::message::{ItipMessage, Method};
use crate::ical::{Component, Item, Property, Zones};
use crate::ids::Email;

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The recipient's object from now on; none when the message was ignored, so that there is nothing to store.
    pub result: Option<Component>,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The recipient had no copy and has one now.
    Created,
    /// The copy changed.
    Updated,
    /// The copy says all of it already.
    Unchanged,
    /// Nothing was done, for this reason.
    Ignored(Reason),
}

/// Why a message was not applied. None of these is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Only VEVENT and VTODO are scheduled, and no message turns the one into the other.
    #[error("the message is not about such an event or task")]
    NotScheduled,
    /// REFRESH, PUBLISH, COUNTER and DECLINECOUNTER change no calendar (mail-itip-alarms §5.9).
    #[error("the method changes no calendar object")]
    MethodChangesNothing,
    /// CANCEL, REPLY or ADD about an event the recipient does not have.
    #[error("the recipient has no copy of the event")]
    NoCopy,
    /// The recipient has declined and does not want the event back.
    #[error("the recipient declined the event and has no copy of it")]
    AlreadyDeclined,
    /// An older message than what the copy is made of (RFC 5546 §2.1.5).
    #[error("the message is older than the copy")]
    Stale,
    /// The recipient organizes the event; nobody else's REQUEST or CANCEL changes it.
    #[error("the recipient is the organizer of the event")]
    OwnEvent,
    /// A REQUEST or CANCEL from somebody who is not the organizer of the copy.
    #[error("the sender is not the organizer of the copy")]
    OtherOrganizer,
    /// A REPLY that reached somebody who is just invited.
    #[error("the recipient is not the organizer of the event")]
    NotOrganizer,
    /// A recurrence id that is no occurrence of the event.
    #[error("the event has no such occurrence")]
    UnknownOccurrence,
    /// A REPLY without the sender's ATTENDEE line.
    #[error("the message holds no answer")]
    NoAnswer,
}

impl Applied {
    pub(super) fn ignored(reason: Reason) -> Self {
        Self { result: None, outcome: Outcome::Ignored(reason) }
    }

    fn replaced(before: &Component, after: Component) -> Self {
        let outcome = if *before == after { Outcome::Unchanged } else { Outcome::Updated };
        Self { result: Some(after), outcome }
    }
}

/// Merges a message into the recipient's copy.
///
/// `existing` is the object with that UID in any of the recipient's calendars (none: there is none). `recipient` are the
/// recipient's addresses; where it is empty the recipient that the message names counts. A message is never applied
/// twice with different results: the second time the outcome is [`Outcome::Unchanged`].
///
/// # Errors
/// [`ItipError`] when the message is about another UID than `existing`, or a RECURRENCE-ID is no time.
pub fn apply(
    existing: Option<&Component>,
    message: &ItipMessage,
    recipient: &[Email],
    now: DateTime<Utc>,
) -> Result<Applied, ItipError> {
    let kind = |calendar| events(calendar).next().map(|c| c.name().to_ascii_uppercase());
    let about = kind(&message.calendar);
    if about.is_none() || existing.and_then(kind).is_some_and(|held| Some(held) != about) {
        return Ok(Applied::ignored(Reason::NotScheduled));
    }
    if let Some(existing) = existing {
        check_uid(existing, message)?;
    }
    let named = Address::read(&message.recipient).email();
    let recipient = if recipient.is_empty() { named.as_slice() } else { recipient };
    let zones_of_copy = existing.map(Zones::of).unwrap_or_default();
    let told = told(message, recipient);
    let delivery = Delivery { message, zones: Zones::of(&message.calendar), zones_of_copy, recipient, told, now };
    match (message.method, existing) {
        (Method::Request, None) => request::create(&delivery),
        (Method::Request, Some(copy)) => request::update(copy, &delivery),
        (Method::Cancel, Some(copy)) => cancel::cancel(copy, &delivery),
        (Method::Reply, Some(object)) => reply::reply(object, &delivery),
        (Method::Add, Some(copy)) => add::add(copy, &delivery),
        (Method::Cancel | Method::Reply | Method::Add, None) => Ok(Applied::ignored(Reason::NoCopy)),
        (Method::Counter | Method::Refresh | Method::Publish | Method::DeclineCounter, _) => {
            Ok(Applied::ignored(Reason::MethodChangesNothing))
        }
    }
}

/// A message at its recipient.
struct Delivery<'a> {
    message: &'a ItipMessage,
    zones: Zones,
    zones_of_copy: Zones,
    recipient: &'a [Email],
    /// Which of several addresses of the recipient the message is for, where it names that one.
    told: Option<Address>,
    now: DateTime<Utc>,
}

impl<'a> Delivery<'a> {
    fn events(&self) -> impl Iterator<Item = &'a Component> + use<'a> {
        events(&self.message.calendar)
    }

    /// The recipient's addresses in a component of their copy.
    fn mine(&self, held: &Component) -> Vec<Address> {
        let all = held.properties().filter(|p| p.is("ATTENDEE")).map(|a| Address::read(a.value()));
        all.filter(|who| who.is_one_of(self.recipient)).collect()
    }

    /// Whether the recipient is in this component under another address than the one that the message is for.
    fn stays_in(&self, held: &Component) -> bool {
        self.told.as_ref().is_some_and(|told| self.mine(held).iter().any(|who| who != told))
    }

    /// Whether this component is none of the address that the message is for, but of another one of the recipient's.
    fn is_of_another_address(&self, held: &Component) -> bool {
        let is_other = |told: &Address| {
            let mine = self.mine(held);
            !mine.is_empty() && !mine.contains(told)
        };
        self.told.as_ref().is_some_and(is_other)
    }

    /// Takes the address that the message is for off a component.
    fn take_off(&self, event: &mut Component) {
        let Some(told) = &self.told else { return };
        let is_told = |p: &Property| p.is("ATTENDEE") && Address::read(p.value()) == *told;
        event.items.retain(|item| !matches!(item, Item::Property(p) if is_told(p)));
    }

    /// Why a REQUEST or CANCEL must not touch this copy: only the organizer changes an event. Outlook and Yahoo leave
    /// ORGANIZER out, so a message that names nobody passes (dav §11.1).
    fn refused_by(&self, copy: &Component) -> Option<Reason> {
        let organizer = |c: &'_ Component| events(c).find_map(|e| e.value("ORGANIZER")).map(Address::read);
        let Some(owner) = organizer(copy) else {
            // An appointment of the recipient's own that happens to have the UID is not an invitation.
            let invited = events(copy).any(|e| e.get("ATTENDEE").is_some());
            return organizer(&self.message.calendar).filter(|_| !invited).map(|_| Reason::OtherOrganizer);
        };
        if owner.is_one_of(self.recipient) {
            return Some(Reason::OwnEvent);
        }
        organizer(&self.message.calendar).filter(|o| *o != owner).map(|_| Reason::OtherOrganizer)
    }
}

fn told(message: &ItipMessage, recipient: &[Email]) -> Option<Address> {
    let told = Address::read(&message.recipient);
    if recipient.len() < 2 || !told.is_one_of(recipient) {
        return None;
    }
    let mut lines = events(&message.calendar).flat_map(|e| e.all("ATTENDEE"));
    lines.any(|a| Address::read(a.value()) == told).then_some(told)
}

fn events(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.components().filter(|c| is_schedulable(c))
}

fn check_uid(existing: &Component, message: &ItipMessage) -> Result<(), ItipError> {
    if !existing.is("VCALENDAR") {
        return Err(ItipError::NotACalendar(existing.name().to_owned()));
    }
    let ours = existing.components().find_map(|c| c.value("UID"));
    match ours {
        Some(uid) if uid != message.uid.0 => {
            Err(ItipError::OtherUid { message: message.uid.0.clone(), object: uid.to_owned() })
        }
        _ => Ok(()),
    }
}
