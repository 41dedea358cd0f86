//! A card in another version. What both versions have is kept byte for byte; what has another form is rewritten; what only
//! one of them has goes under a name that starts with `X-`, so that `up` finds what `down` wrote and the other way round.
//!
//! | 4.0 | 3.0 |
//! |---|---|
//! | `PREF=1` | `TYPE=pref` |
//! | `PHOTO:data:image/png;base64,…`, `MEDIATYPE=image/png` | `PHOTO;ENCODING=b;TYPE=PNG:…`, `TYPE=PNG` |
//! | `BDAY:19850412`, `BDAY:--0412`, `BDAY:1985` | `BDAY:1985-04-12`, `BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12`, `BDAY;VALUE=text:1985` |
//! | `KIND`, `MEMBER` | `X-ADDRESSBOOKSERVER-KIND`, `X-ADDRESSBOOKSERVER-MEMBER` |
//! | `GENDER`, `ANNIVERSARY`, `LANG`, `RELATED`, … | `X-GENDER`, `X-ANNIVERSARY`, `X-LANG`, `X-RELATED`, … |
//! | `ANNIVERSARY` and `RELATED` in a group with one of Apple's labels | `X-ABDATE`, `X-ABRELATEDNAMES` |
//! | `RELATED;TYPE=agent` | `AGENT;VALUE=uri` |
//! | `ADR;LABEL=…` | `LABEL` beside the ADR of the same types |
//! | `N;SORT-AS=…` | `SORT-STRING` |
//! | `GEO:geo:48.85,2.35`, `TZ;VALUE=utc-offset:+0100` | `GEO:48.85;2.35`, `TZ:+01:00` |
//! | no `N` | `N:;;;;` |
//!
//! Parameters and properties that one version does not define are left where they are: readers pass over them.

mod down;
mod draft;
mod surroundings;
mod up;

use self::surroundings::Surroundings;

use super::card::Version;
use super::date::Moment;
use super::line::Line;
use crate::ical::{Component, Item, Property, escape_text, unescape_text};

/// Apple's word for an anniversary (`_$!<Anniversary>!$_`).
pub(super) const ANNIVERSARY_LABEL: &str = "Anniversary";
/// The year that Apple writes where none is known; it is a leap year.
const NO_YEAR: u16 = 1604;
/// An N that names nobody.
const NO_NAME: &str = ";;;;";
const OMIT_YEAR: &str = "X-APPLE-OMIT-YEAR";

/// Properties that only 4.0 has, and where they are kept in 3.0.
const RENAMED: [(&str, &str); 16] = [
    ("KIND", "X-ADDRESSBOOKSERVER-KIND"),
    ("MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"),
    ("GENDER", "X-GENDER"),
    ("ANNIVERSARY", "X-ANNIVERSARY"),
    ("LANG", "X-LANG"),
    ("RELATED", "X-RELATED"),
    ("XML", "X-XML"),
    ("CLIENTPIDMAP", "X-CLIENTPIDMAP"),
    ("BIRTHPLACE", "X-BIRTHPLACE"),
    ("DEATHPLACE", "X-DEATHPLACE"),
    ("DEATHDATE", "X-DEATHDATE"),
    ("EXPERTISE", "X-EXPERTISE"),
    ("HOBBY", "X-HOBBY"),
    ("INTEREST", "X-INTEREST"),
    ("ORG-DIRECTORY", "X-ORG-DIRECTORY"),
    ("CONTACT-URI", "X-CONTACT-URI"),
];

/// Properties of 4.0 that a card has at most once.
const SINGLE: [&str; 3] = ["KIND", "GENDER", "ANNIVERSARY"];

/// Types of RELATED (RFC 6350 §6.6.6) for Apple's words.
const RELATIONS: [(&str, &str); 11] = [
    ("Spouse", "spouse"),
    ("Partner", "sweetheart"),
    ("Child", "child"),
    ("Son", "child"),
    ("Daughter", "child"),
    ("Parent", "parent"),
    ("Mother", "parent"),
    ("Father", "parent"),
    ("Brother", "sibling"),
    ("Sister", "sibling"),
    ("Friend", "friend"),
];

/// The card in this version, whatever it is in now.
pub(super) fn convert(card: &Component, version: Version) -> Component {
    let around = Surroundings::of(card);
    let mut place = 0;
    let mut out = Component::new(card.name());
    // RFC 6350 §6.7.9 wants it first; RFC 2426 does not mind.
    out.items.push(Item::Property(Property::new("VERSION", version.as_str())));
    for item in &card.items {
        match item {
            Item::Property(p) => {
                match version {
                    _ if p.is("VERSION") => {}
                    Version::V4 => out.items.extend(up::line(&around, place, p).map(Item::Property)),
                    Version::V3 => out.items.extend(down::lines(&around, place, p).map(Item::Property)),
                }
                place += 1;
            }
            other => out.items.push(other.clone()),
        }
    }
    if version == Version::V3 {
        down::add_name(&mut out);
    }
    out
}

/// The moment that a line tells, in either version; `None` for words.
pub(super) fn moment_of(line: Line<'_>) -> Option<Moment> {
    if line.is_value_type("text") {
        return None;
    }
    let moment = Moment::parse(line.property().value())?;
    Some(without_omitted_year(moment, line.property()))
}

/// A date whose year is only there because Apple's clients need one is one without a year.
fn without_omitted_year(moment: Moment, property: &Property) -> Moment {
    use super::date::Date;
    let omitted = property.get_param(OMIT_YEAR).and_then(|y| y.trim().parse::<u16>().ok());
    match moment.date {
        Some(Date::Full(year, month, day)) if Some(year) == omitted => {
            Moment { date: Some(Date::MonthDay(month, day)), ..moment }
        }
        _ => moment,
    }
}

/// Whether a value of N names nobody.
fn is_nothing(name: &str) -> bool {
    name.chars().all(|c| c == ';' || c.is_whitespace())
}

/// The type of RELATED that Apple's label stands for.
fn relation_of(label: &str) -> Option<&'static str> {
    RELATIONS.iter().find(|(l, _)| *l == label).map(|(_, relation)| *relation)
}

/// Two numbers, with either separator; some producers escape it.
fn coordinates(value: &str) -> Option<(String, String)> {
    let value = value.replace('\\', "");
    let (latitude, longitude) = value.split_once([';', ','])?;
    let number = |text: &str| Some(text.trim().to_owned()).filter(|t| t.parse::<f64>().is_ok());
    Some((number(latitude)?, number(longitude)?))
}

/// A value of GENDER: a letter and words, either of which may be missing (RFC 6350 §6.2.7). In the wild it is also a word
/// alone.
fn gender(value: &str) -> String {
    let trimmed = value.trim();
    let letter = trimmed.split(';').next().unwrap_or_default();
    if ["", "M", "F", "O", "N", "U"].iter().any(|l| letter.eq_ignore_ascii_case(l)) {
        return value.to_owned();
    }
    match trimmed.to_ascii_lowercase().as_str() {
        "male" => "M".to_owned(),
        "female" => "F".to_owned(),
        _ => format!(";{}", escape_text(&unescape_text(trimmed))),
    }
}
