//! Scheduling rules (RFC 5546 iTIP, RFC 6638 CalDAV scheduling).
//!
//! In come calendar objects: [`diff`] compares an object before and after a write and answers with the messages that
//! tell the others; [`apply`] merges a message that arrived into the recipient's copy. Out go values, nothing else: this
//! room does no I/O, sends nothing, knows no accounts, takes the time as an argument, and never looks at who is allowed
//! to do what beyond the rules that RFC 6638 puts on the calendar data itself ([`forbidden_attendee_changes`]).
//!
//! The rules follow mail-itip-alarms §5 and dav §11; `tests/itip/` holds one folder per rule.
//!
//! Only VEVENT is scheduled; objects of other components produce and take no messages (mail-itip-alarms §5.2).

mod address;
mod alarms;
mod apply;
mod attendee;
mod booking;
mod diff;
mod edit;
mod error;
mod message;
mod moment;
mod object;
mod organizer;
mod request;
mod revision;
mod stored;
mod view;

pub use address::Address;
pub use alarms::name_alarms;
pub use apply::{Applied, Outcome, apply};
pub use attendee::{forbidden_attendee_changes, sync_participation};
pub use diff::{Diff, Role, diff};
pub use error::ItipError;
pub use message::{ItipMessage, Method};
pub use stored::set_schedule_status;

/// The only component that is scheduled (mail-itip-alarms §5.2).
const VEVENT: &str = "VEVENT";

/// `PRODID` of the messages we write.
const PRODID: &str = "-//convoke//convoke//EN";
