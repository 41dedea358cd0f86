//! REFRESH reaches the organizer (RFC 5546 §3.2.6): an attendee asks for the latest state.

use chrono::{DateTime, Utc};

use super::address::Address;
use super::message::{ItipMessage, Method};
use super::object::Object;
use super::organizer;
use crate::ical::Component;
use crate::ids::Email;

/// The REQUEST that answers a REFRESH: what its sender is invited to, as it is now. `None` when the sender is not invited,
/// or the object is not organized by the one it was sent to.
pub fn refreshed(
    calendar: &Component,
    message: &ItipMessage,
    organizer: &[Email],
    now: DateTime<Utc>,
) -> Option<ItipMessage> {
    let object = Object::read(calendar).ok()??;
    let is_organizer = object.organizer_address().is_some_and(|o| o.is_one_of(organizer));
    let sender = Address::read(&message.sender);
    if message.method != Method::Refresh || !is_organizer || object.invitee(&sender).is_none() {
        return None;
    }
    organizer::messages(None, Some(&object), organizer, now).into_iter().find(|m| m.recipient == sender.as_str())
}
