//! xCal, the XML form of iCalendar (RFC 6321), both ways.
//!
//! xCal and jCal say the same with other brackets: what a property is called, its parameters, the type of its value and the
//! values. So this room only turns the one into the other, and `jcal` knows the types. What jCal cannot say is lost here
//! too: folding, letter case of names, a `VALUE` that is the default; and so are control characters, which XML cannot hold.

mod name;
mod read;
mod write;

pub use read::{XcalError, from_xcal};
pub use write::{to_xcal, write_component};

/// Namespace of every element.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:icalendar-2.0";

/// What a document begins with, up to its first component.
pub const HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<icalendar xmlns=\"urn:ietf:params:xml:ns:icalendar-2.0\">";

/// What a document ends with.
pub const TAIL: &str = "</icalendar>";

/// The parts of properties whose value has a structure of its own (RFC 6321 §3.4.1), with the elements that name them.
fn parts_of(property: &str) -> Option<&'static [&'static str]> {
    match property {
        "geo" => Some(&["latitude", "longitude"]),
        "request-status" => Some(&["code", "description", "data"]),
        _ => None,
    }
}

/// Type of the values of a parameter (RFC 6321 §3.5).
fn type_of_param(name: &str) -> &'static str {
    match name {
        "altrep" | "dir" => "uri",
        "delegated-from" | "delegated-to" | "member" | "sent-by" => "cal-address",
        "rsvp" => "boolean",
        name if name.starts_with("x-") => "unknown",
        _ => "text",
    }
}
