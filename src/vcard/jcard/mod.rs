//! jCard, the JSON form of vCard (RFC 7095), both ways.
//!
//! jCard is vCard 4.0; a card of 3.0 is converted first by whoever wants to keep to the RFC. A card of 3.0 that is not
//! converted is written with the types that esn-sabre gives it (dav §13). What jCard cannot say is lost on the way: folding,
//! letter case of names, a `VALUE` that is the usual one.

mod read;
mod write;

pub use read::{JcardError, from_jcard};
pub use write::to_jcard;

use super::card::Version;

/// Media type of jCard.
pub const MEDIA_TYPE: &str = "application/vcard+json";

/// Parts of N (RFC 6350 §6.2.2), which jCard always has.
const NAME_PARTS: usize = 5;

/// Value type of a property that has no VALUE parameter (RFC 6350 §6, RFC 6474, RFC 6715; for 3.0, RFC 2426 §3). The name is
/// in lower case.
fn default_type(property: &str, version: Version) -> &'static str {
    match (version, property) {
        (Version::V3, "photo" | "logo" | "sound" | "key") => "binary",
        (Version::V3, "geo") => "float",
        (Version::V3, "uid") => "text",
        (Version::V3, "tz") => "utc-offset",
        (_, "photo" | "logo" | "sound" | "key") => "uri",
        (_, "source" | "impp" | "geo" | "member" | "related" | "uid" | "url" | "fburl" | "caladruri" | "caluri") => {
            "uri"
        }
        (_, "org-directory" | "contact-uri") => "uri",
        (_, "bday" | "anniversary" | "deathdate") => "date-and-or-time",
        (_, "rev") => "timestamp",
        (_, "lang") => "language-tag",
        (_, "version" | "prodid" | "kind" | "xml" | "n" | "fn" | "nickname" | "gender" | "adr" | "email" | "tel") => {
            "text"
        }
        (_, "tz" | "title" | "role" | "org" | "categories" | "note" | "clientpidmap" | "birthplace" | "deathplace") => {
            "text"
        }
        (_, "expertise" | "hobby" | "interest") => "text",
        (_, "label" | "sort-string" | "mailer" | "class" | "name" | "profile" | "agent") => "text",
        _ => "unknown",
    }
}

/// Properties whose value has parts separated by `;`.
fn is_structured(property: &str, version: Version) -> bool {
    matches!(property, "n" | "adr" | "org" | "gender" | "clientpidmap") || (property == "geo" && version == Version::V3)
}

/// Properties whose value is a list.
fn is_list(property: &str) -> bool {
    matches!(property, "nickname" | "categories")
}

/// The type of the items of a property: what has parts or is a list is text, whatever is said of it, for only text can hide
/// a separator. The two numbers of GEO in 3.0 are numbers.
fn item_type<'a>(property: &str, kind: &'a str, version: Version) -> &'a str {
    let divided = is_structured(property, version) || is_list(property);
    if divided && !matches!(kind, "float" | "integer") { "text" } else { kind }
}

/// Types that hold dates and times.
fn is_moment(kind: &str) -> bool {
    matches!(kind, "date" | "time" | "date-time" | "date-and-or-time" | "timestamp")
}
