//! iCalendar without loss: parse, read, edit and write RFC 5545 text, and what hangs on it (jCal, xCal, time zones,
//! recurrence).
//!
//! In comes text; out goes the same text, byte for byte, except where an edit was asked for. This room does no I/O, knows
//! no clock and no network; whatever depends on "now" takes it as an argument.

pub mod edit;
pub mod event;
pub mod jcal;
mod mention;
pub mod object;
mod parse;
pub mod recur;
pub mod strict;
mod tree;
pub mod when;
pub mod words;
mod write;
pub mod xcal;
pub mod zone;

pub use event::{Attendee, CalendarUser, Event};
pub use mention::mentions;
pub use object::{CalendarObject, ObjectError};
pub use parse::{Limits, ParseError, ParseErrorKind, decode, is_name, is_property_name};
pub use recur::{Bounds, Occurrence, RecurError};
pub use tree::{Component, Item, Param, Property};
pub use when::{Duration, Period, TimeError, When, parse_duration};
pub use words::{Class, CuType, Method, PartStat, Role, ScheduleAgent, ScheduleForceSend, Status, Transp};
pub use write::{escape_text, fold_into, split_value, unescape_text};
pub use zone::{Zone, Zones};

#[cfg(test)]
mod tests;
