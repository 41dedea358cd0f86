//! The message itself: who tells whom what about which object.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::address::Address;
use super::error::ItipError;
use super::object::sequence_of;
use crate::ical::Component;
use crate::ids::Uid;

/// iTIP methods (RFC 5546 §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The organizer invites, or tells of a change.
    Request,
    /// The organizer cancels, or takes an attendee off.
    Cancel,
    /// An attendee answers.
    Reply,
    /// An attendee proposes something else.
    Counter,
    /// The organizer adds occurrences.
    Add,
    /// An attendee asks for the latest state.
    Refresh,
    /// Something is made known without asking for an answer.
    Publish,
    /// The organizer turns a proposal down.
    DeclineCounter,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 8] = [
        Self::Request,
        Self::Cancel,
        Self::Reply,
        Self::Counter,
        Self::Add,
        Self::Refresh,
        Self::Publish,
        Self::DeclineCounter,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
            Self::Reply => "REPLY",
            Self::Counter => "COUNTER",
            Self::Add => "ADD",
            Self::Refresh => "REFRESH",
            Self::Publish => "PUBLISH",
            Self::DeclineCounter => "DECLINECOUNTER",
        }
    }

    /// Whether an attendee sends it to the organizer; the other methods go the other way (RFC 5546 §1.4).
    pub const fn is_from_attendee(self) -> bool {
        matches!(self, Self::Reply | Self::Counter | Self::Refresh)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = ItipError;

    fn from_str(s: &str) -> Result<Self, ItipError> {
        let name = s.trim();
        Self::ALL
            .into_iter()
            .find(|m| m.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| ItipError::UnknownMethod(name.chars().take(40).collect()))
    }
}

/// An iTIP message from one sender to one recipient.
///
/// As JSON: `uid component method sequence sender senderName recipient recipientName significantChange ics`.
#[derive(Debug, Clone, PartialEq)]
pub struct ItipMessage {
    /// UID of the event.
    pub uid: Uid,
    /// Component the message is about; `VEVENT` or `VTODO` in messages of [`super::diff`].
    pub component: String,
    /// What the message asks for.
    pub method: Method,
    /// SEQUENCE of the event, 0 where it has none.
    pub sequence: i64,
    /// Calendar user address of the sender, normalised (`mailto:alice@example.org`).
    pub sender: String,
    /// `CN` of the sender.
    pub sender_name: Option<String>,
    /// Calendar user address of the recipient, normalised.
    pub recipient: String,
    /// `CN` of the recipient.
    pub recipient_name: Option<String>,
    /// Something changed that people must be told: time, recurrence, status, title, place, description, or that they are
    /// invited at all (mail-itip-alarms §5.4).
    pub significant_change: bool,
    /// `hasChange` of the delivery: significant, or a new meeting or booking link.
    pub has_change: bool,
    /// The client asked for the message, also where it tells nothing new (`SCHEDULE-FORCE-SEND`, RFC 6638 §7.2).
    pub is_forced: bool,
    /// The message: a VCALENDAR with METHOD. Recipients whose message reads the same share it, so that an event with ten
    /// thousand attendees is not written out ten thousand times.
    pub calendar: Arc<Component>,
}

impl ItipMessage {
    /// Reads a message from its iCalendar alone: METHOD, UID, SEQUENCE, and who sends it follow from its content.
    ///
    /// The recipient of a message from the organizer is the first attendee; a caller that knows better overwrites it.
    /// Missing addresses (Outlook and Yahoo leave out ORGANIZER) read as `""`.
    ///
    /// # Errors
    /// [`ItipError`] when it has no METHOD, or no UID in its first component.
    pub fn read(calendar: Component) -> Result<Self, ItipError> {
        let method = calendar.value("METHOD").ok_or(ItipError::MissingMethod)?.parse()?;
        Self::read_as(calendar, method)
    }

    /// Reads a message whose method is known from elsewhere (`POST /itip`, dav §11.1); see [`ItipMessage::read`].
    ///
    /// # Errors
    /// [`ItipError`] when its first component has no UID.
    pub fn read_as(calendar: Component, method: Method) -> Result<Self, ItipError> {
        if !calendar.is("VCALENDAR") {
            return Err(ItipError::NotACalendar(calendar.name().to_owned()));
        }
        let main = calendar.components().find(|c| !c.is("VTIMEZONE")).ok_or(ItipError::MissingUid)?;
        let uid = main.value("UID").filter(|u| !u.is_empty()).ok_or(ItipError::MissingUid)?.to_owned();
        let party = |name: &str| match main.get(name) {
            Some(p) => (Address::read(p.value()).into(), p.get_param("CN").map(str::to_owned)),
            None => (String::new(), None),
        };
        let (organizer, attendee) = (party("ORGANIZER"), party("ATTENDEE"));
        let sequence = calendar.components().find_map(sequence_of).unwrap_or(0);
        let component = main.name().to_ascii_uppercase();
        let (sender, recipient) = if method.is_from_attendee() { (attendee, organizer) } else { (organizer, attendee) };
        Ok(Self {
            uid: Uid(uid),
            component,
            method,
            sequence,
            sender: sender.0,
            sender_name: sender.1,
            recipient: recipient.0,
            recipient_name: recipient.1,
            significant_change: true,
            has_change: true,
            is_forced: false,
            calendar: Arc::new(calendar),
        })
    }

    /// The message as iCalendar text: CRLF, folded.
    pub fn to_ics(&self) -> String {
        self.calendar.to_wire()
    }
}

/// Whether a message is about this object and from its organizer, or names none.
pub fn concerns(calendar: &Component, message: &ItipMessage) -> bool {
    let organizer = |c: &Component| c.components().find_map(|e| e.value("ORGANIZER")).map(Address::read);
    let uid = calendar.components().find_map(|c| c.value("UID"));
    let sender = organizer(&message.calendar).unwrap_or_else(|| Address::read(&message.sender));
    uid == Some(&message.uid.0) && organizer(calendar).is_some_and(|owner| owner == sender)
}

impl Serialize for ItipMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("ItipMessage", 10)?;
        s.serialize_field("uid", &self.uid)?;
        s.serialize_field("component", &self.component)?;
        s.serialize_field("method", self.method.as_str())?;
        s.serialize_field("sequence", &self.sequence)?;
        s.serialize_field("sender", &self.sender)?;
        s.serialize_field("senderName", &self.sender_name)?;
        s.serialize_field("recipient", &self.recipient)?;
        s.serialize_field("recipientName", &self.recipient_name)?;
        s.serialize_field("significantChange", &self.significant_change)?;
        s.serialize_field("ics", &self.to_ics())?;
        s.end()
    }
}
