//! Cards of people, organisations and groups: vCard 3.0 (RFC 2426) and 4.0 (RFC 6350), without loss.
//!
//! In comes text or jCard (RFC 7095); out goes the same text, byte for byte, or the same card in another version or
//! notation. Cards stand on the tree of content lines in [`crate::ical`], which keeps what nobody here knows; this room adds
//! what vCard means by it: groups, types, preferences, dates that are only partly known, pictures. A card that was converted
//! and comes back converted says the same as before; what the other version has no word for travels under a name that
//! starts with `X-`.
//!
//! This room does no I/O and knows no clock; a missing UID is given by the caller.

mod card;
mod check;
mod convert;
pub mod date;
pub mod jcard;
mod line;
mod media;

pub use card::{Address, Card, CardError, Kind, Name, Reach, Version};
pub use check::{Fault, Severity};
pub use line::{Line, names};
pub use media::Media;

#[cfg(test)]
mod tests;
