//! What must hold for every input, however hostile: one law book per reader.
//!
//! In come octets; nothing goes out. A law that is broken panics, which both runners take for a finding: libFuzzer
//! (`scripts/fuzz`, `fuzz_targets/laws.rs`), and an ordinary test that plays the saved corpus with random changes
//! (`tests/it/fuzz.rs`, which includes this folder). The laws say more than that nothing panics: what is read is written
//! back alike, what is bounded stays within its bounds, and what two parts of the program say of the same thing is the same.
//!
//! Inputs that need several parts hold them one after the other, with a line of `%%` between them.

mod calendars;
mod cards;
mod filters;
mod headers;
mod notations;
mod requests;
mod scheduling;
mod xml;

/// One reader with its laws.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name; that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Its words, a file in `fuzz/dictionaries`.
    pub dictionary: &'static str,
    /// Checks one input.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target { name: "calendars", dictionary: "icalendar.dict", check: calendars::check },
    Target { name: "cards", dictionary: "vcard.dict", check: cards::check },
    Target { name: "filters", dictionary: "dav.dict", check: filters::check },
    Target { name: "headers", dictionary: "http.dict", check: headers::check },
    Target { name: "notations", dictionary: "notations.dict", check: notations::check },
    Target { name: "requests", dictionary: "http.dict", check: requests::check },
    Target { name: "scheduling", dictionary: "icalendar.dict", check: scheduling::check },
    Target { name: "xml", dictionary: "dav.dict", check: xml::check },
];

/// The parts of an input, which a line of `%%` separates.
fn parts(data: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.split("\n%%\n").collect())
}

/// What texts may cost here: enough for everything that is interesting.
const LIMITS: convoke::ical::Limits = convoke::ical::Limits { bytes: 64 << 10, depth: 8, lines: 2_000 };
