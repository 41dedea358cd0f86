//! iCalendar without loss: parse, read, edit and write RFC 5545 text, and what hangs on it (jCal, time zones,
//! recurrence).
//!
//! In comes text; out goes the same text, byte for byte, except where an edit was asked for. This room does no I/O, knows
//! no clock and no network; whatever depends on "now" takes it as an argument.

mod parse;
mod tree;
mod write;

pub use parse::{Limits, ParseError, ParseErrorKind};
pub use tree::{Component, Item, Param, Property};
pub use write::fold_into;
