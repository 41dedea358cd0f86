//! jCal, the JSON form of iCalendar (RFC 7265), both ways.
//!
//! Written as esn-sabre writes it (dav §6.3): values of unknown type stay as they are, and of a rule's parts only `count`
//! is a number. What jCal cannot say is lost on the way: folding, letter case of names, a `VALUE` that is the default.

mod read;
mod write;

pub use read::{JcalError, from_jcal};
pub use write::{Jcal, to_jcal};

/// Value type of a property that has no VALUE parameter (RFC 5545 §3.8, RFC 7986, RFC 9073, RFC 9074, RFC 9253; the
/// vendor properties as esn-sabre types them).
fn default_type(property: &str) -> &'static str {
    #[rustfmt::skip]
    const TYPES: &[(&str, &[&str])] = &[
        ("text", &[
            "action", "busytype", "calscale", "categories", "class", "color", "comment", "contact", "description",
            "location", "location-type", "method", "name", "participant-type", "prodid", "proximity", "related-to",
            "request-status", "resource-type", "resources", "status", "summary", "transp", "tzid", "tzname", "uid",
            "version", "x-publicly-creator",
        ]),
        ("date-time", &[
            "acknowledged", "completed", "created", "dtend", "dtstamp", "dtstart", "due", "exdate", "last-modified",
            "rdate", "recurrence-id", "tzuntil",
        ]),
        ("uri", &[
            "attach", "concept", "conference", "image", "link", "source", "tzurl", "url", "x-openpaas-videoconference",
        ]),
        ("cal-address", &["attendee", "calendar-address", "organizer"]),
        ("integer", &["percent-complete", "priority", "repeat", "sequence"]),
        ("duration", &["duration", "refresh-interval", "trigger"]),
        ("utc-offset", &["tzoffsetfrom", "tzoffsetto"]),
        ("boolean", &["x-publicly-created"]),
        ("period", &["freebusy"]),
        ("float", &["geo"]),
        ("recur", &["exrule", "rrule"]),
    ];
    TYPES.iter().find(|(_, names)| names.contains(&property)).map_or("unknown", |(t, _)| t)
}

/// Properties whose value is a list.
fn is_list(property: &str) -> bool {
    matches!(property, "categories" | "exdate" | "freebusy" | "rdate" | "resources")
}

/// Properties whose value has parts separated by `;` (RFC 7265 §3.4.1.3).
fn is_structured(property: &str) -> bool {
    matches!(property, "geo" | "request-status")
}
