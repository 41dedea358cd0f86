//! The commands of the program.

pub mod ical;
pub mod itip;
