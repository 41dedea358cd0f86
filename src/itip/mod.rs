//! Scheduling rules (RFC 5546 iTIP, RFC 6638 CalDAV scheduling).
//!
//! In come calendar objects: [`diff`] compares an object before and after a write and answers with the messages that
//! tell the others; [`apply`] merges a message that arrived into the recipient's copy. Out go values, nothing else: this
//! room does no I/O, sends nothing, knows no accounts, takes the time as an argument, and never looks at who is allowed
//! to do what beyond the rules that RFC 6638 puts on the calendar data itself ([`forbidden_attendee_changes`]).
//!
//! The rules follow mail-itip-alarms §5 and dav §11; `tests/itip/` holds one folder per rule.
//!
//! VEVENT and VTODO are scheduled (RFC 5546 §3.2, §3.4); objects of other components produce and take no messages.

mod address;
mod alarms;
mod apply;
mod attendee;
mod booking;
mod called_again;
mod conference;
mod diff;
mod edit;
mod error;
mod guard;
mod keep;
mod message;
mod moment;
mod object;
mod organizer;
mod outline;
mod range;
mod refresh;
mod request;
mod reschedule;
mod reservation;
mod revision;
mod said;
mod stored;
mod view;
#[cfg(test)]
mod work;

pub use address::Address;
pub use alarms::name_alarms;
pub use apply::{Applied, Outcome, Reason, apply};
pub use attendee::sync_participation;
pub use booking::TEAM_CALENDAR;
pub use called_again::called_again;
pub use conference::pair_conferences;
pub use diff::{Diff, Role, diff, diff_after_answers, hands_over, role};
pub use error::ItipError;
pub use guard::{forbidden_attendee_changes, keep_organizers};
pub use keep::{Knowledge, is_inconsequential, is_mere_answer, keep_answers};
pub use message::{ItipMessage, Method, concerns};
pub use object::guests;
pub use outline::outline;
pub use refresh::refreshed;
pub use reservation::{Decides, Timetable, answer_for_resource};
pub use said::repeats_answers;
pub use stored::set_schedule_status;

use crate::ical::Component;

/// Whether a component of this kind is scheduled.
pub fn is_schedulable(component: &Component) -> bool {
    component.is("VEVENT") || component.is("VTODO")
}

/// The kind of component that an object or a message is about, in upper case; `VEVENT` where it holds none.
pub fn component_of(calendar: &Component) -> String {
    let main = calendar.components().find(|c| !c.is("VTIMEZONE"));
    main.map_or_else(|| "VEVENT".to_owned(), |c| c.name().to_ascii_uppercase())
}

/// `PRODID` of the messages we write.
const PRODID: &str = "-//convoke//convoke//EN";
