//! What can be wrong with a calendar object or a message.

use crate::ical::ParseError;

/// Why a calendar object or a message cannot be scheduled. None of these gets better by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItipError {
    /// The text is not iCalendar.
    #[error("the text is not iCalendar: {0}")]
    InvalidIcs(#[from] ParseError),
    /// The outermost component is not a VCALENDAR.
    #[error("expected a VCALENDAR, found {0}")]
    NotACalendar(String),
    /// VEVENTs of one object have different UIDs (RFC 4791 §4.1).
    #[error("all components of a calendar object must have the same UID, found {0:?} and {1:?}")]
    SeveralUids(String, String),
    /// A scheduled component without UID (RFC 5545 §3.8.4.7).
    #[error("the component has no UID")]
    MissingUid,
    /// VEVENTs of one object have different organizers (RFC 6638 §3.2.4.2).
    #[error("all VEVENT components must have the same ORGANIZER, found {0} and {1}")]
    DifferentOrganizers(String, String),
    /// A scheduled VEVENT without DTSTART (RFC 5545 §3.6.1).
    #[error("a VEVENT with an ORGANIZER must have a DTSTART (UID {0:?})")]
    MissingDtstart(String),
    /// A date or time that cannot be read.
    #[error("{property} is not a date or date-time: {value:?}")]
    BadTime {
        /// The property.
        property: String,
        /// Its value, as written.
        value: String,
    },
    /// The message says nothing about its method.
    #[error("the message has no METHOD")]
    MissingMethod,
    /// A method outside RFC 5546.
    #[error("{0:?} is not an iTIP method")]
    UnknownMethod(String),
    /// The message is about another object than the one it is applied to.
    #[error("the message is about UID {message:?}, the calendar object has UID {object:?}")]
    OtherUid {
        /// UID of the message.
        message: String,
        /// UID of the object.
        object: String,
    },
}

impl ItipError {
    /// A short name that stays the same when the wording changes; for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidIcs(_) => "invalid-ics",
            Self::NotACalendar(_) => "not-a-calendar",
            Self::SeveralUids(..) => "several-uids",
            Self::MissingUid => "missing-uid",
            Self::DifferentOrganizers(..) => "different-organizers",
            Self::MissingDtstart(_) => "missing-dtstart",
            Self::BadTime { .. } => "bad-time",
            Self::MissingMethod => "missing-method",
            Self::UnknownMethod(_) => "unknown-method",
            Self::OtherUid { .. } => "other-uid",
        }
    }
}
