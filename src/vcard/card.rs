//! A card, and what it says in words a program can use.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};

use super::check::Fault;
use super::convert;
use super::date::Moment;
use super::line::Line;
use super::media::Media;
use crate::ical::{Component, Limits, ParseError};

/// Why a text is no card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// No content lines.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The outermost component is another one.
    #[error("expected a VCARD, found {0}")]
    NotACard(String),
}

/// A version of vCard that is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 2426.
    V3,
    /// RFC 6350.
    V4,
}

impl Version {
    /// The value of VERSION.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "3.0",
            Self::V4 => "4.0",
        }
    }

    /// Reads the value of VERSION; `None` for other versions.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::V3, Self::V4].into_iter().find(|v| v.as_str() == text.trim())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a card is of (RFC 6350 §6.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    Individual,
    /// A group, whose members the card names.
    Group,
    /// An organisation.
    Organization,
    /// A place.
    Location,
    /// Something else.
    Other(String),
}

/// The parts of a name, each a list (RFC 6350 §6.2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// Family names.
    pub family: Vec<String>,
    /// Given names.
    pub given: Vec<String>,
    /// Further names.
    pub additional: Vec<String>,
    /// What comes before, e.g. `Dr.`.
    pub prefixes: Vec<String>,
    /// What comes after, e.g. `Jr.`.
    pub suffixes: Vec<String>,
}

/// The parts of a postal address, each a list (RFC 6350 §6.3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Post office box.
    pub post_box: Vec<String>,
    /// Apartment or suite.
    pub extended: Vec<String>,
    /// Street and number.
    pub street: Vec<String>,
    /// Town.
    pub locality: Vec<String>,
    /// State or province.
    pub region: Vec<String>,
    /// Postal code.
    pub code: Vec<String>,
    /// Country.
    pub country: Vec<String>,
    /// `home`, `work` and the like.
    pub types: Vec<String>,
    /// From 1, the most preferred, to 100.
    pub preference: Option<u8>,
}

/// One way to reach somebody: an address of mail, a telephone number, an address of chat, a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The address or number.
    pub value: String,
    /// `home`, `work` and the like, without `pref`.
    pub types: Vec<String>,
    /// From 1, the most preferred, to 100.
    pub preference: Option<u8>,
    /// The word that Apple's clients show for it (`X-ABLabel` in the same group).
    pub label: Option<String>,
}

/// A card: the lossless tree, and readers of what it says. Nothing is checked but that it is a VCARD; see
/// [`Card::faults`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    root: Component,
}

impl Card {
    /// Parses a text that holds exactly one card.
    ///
    /// # Errors
    /// [`CardError`] with the line where reading stopped.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        Self::parse_within(text, Limits::default())
    }

    /// Parses a text within the given limits; see [`Card::parse`].
    ///
    /// # Errors
    /// [`CardError`] with the line where reading stopped.
    pub fn parse_within(text: &str, limits: Limits) -> Result<Self, CardError> {
        Self::from_root(Component::parse_within(text, limits)?)
    }

    /// Takes a tree for a card.
    ///
    /// # Errors
    /// [`CardError::NotACard`] when it is something else.
    pub fn from_root(root: Component) -> Result<Self, CardError> {
        if root.is("VCARD") { Ok(Self { root }) } else { Err(CardError::NotACard(root.name().to_owned())) }
    }

    /// The tree.
    pub const fn root(&self) -> &Component {
        &self.root
    }

    /// The tree, for editing.
    pub const fn root_mut(&mut self) -> &mut Component {
        &mut self.root
    }

    /// The text as it came in, with edits.
    pub fn to_text(&self) -> String {
        self.root.to_text()
    }

    /// The text in canonical form, for others: CRLF, folded at 75 octets.
    pub fn to_wire(&self) -> String {
        self.root.to_wire()
    }

    /// The version; `None` where it is missing or neither 3.0 nor 4.0.
    pub fn version(&self) -> Option<Version> {
        self.root.value("VERSION").and_then(Version::parse)
    }

    /// The same card in this version. What the other version has no word for is written under a name that starts with
    /// `X-`, and found there on the way back.
    #[must_use]
    pub fn to_version(&self, version: Version) -> Self {
        if self.version() == Some(version) {
            self.clone()
        } else {
            Self { root: convert::convert(&self.root, version) }
        }
    }

    /// What is wrong with the card.
    pub fn faults(&self) -> Vec<Fault> {
        super::check::faults(self)
    }

    /// Mends what can be mended: a card without UID gets this one.
    pub fn repair(&mut self, uid: &str) {
        super::check::repair(self, uid);
    }

    /// All lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.root.properties().map(Line::new)
    }

    /// The lines of one name, whatever their group, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Line<'a>> {
        self.lines().filter(move |line| line.is(name))
    }

    /// The most preferred line of that name; the first of several.
    pub fn preferred<'a>(&'a self, name: &'a str) -> Option<Line<'a>> {
        self.all(name).min_by_key(|line| line.preference().unwrap_or(u8::MAX))
    }

    /// The text of the most preferred line of that name, unless it is blank.
    pub fn text(&self, name: &str) -> Option<String> {
        self.preferred(name).map(Line::text).filter(|text| !text.trim().is_empty())
    }

    /// The UID.
    pub fn uid(&self) -> Option<String> {
        self.text("UID").map(|uid| uid.trim().to_owned())
    }

    /// The name as it is shown.
    pub fn formatted_name(&self) -> Option<String> {
        self.text("FN")
    }

    /// The parts of the name.
    pub fn name(&self) -> Option<Name> {
        let mut parts = self.preferred("N")?.parts().into_iter().map(filled);
        let mut next = || parts.next().unwrap_or_default();
        Some(Name { family: next(), given: next(), additional: next(), prefixes: next(), suffixes: next() })
    }

    /// Addresses of mail.
    pub fn emails(&self) -> Vec<Reach> {
        self.reaches("EMAIL")
    }

    /// Telephone numbers.
    pub fn phones(&self) -> Vec<Reach> {
        let mut phones = self.reaches("TEL");
        for phone in &mut phones {
            if let Some(number) = phone.value.strip_prefix("tel:").map(str::to_owned) {
                phone.value = number;
            }
        }
        phones
    }

    /// Addresses of chat and the like (RFC 4770).
    pub fn messengers(&self) -> Vec<Reach> {
        self.reaches("IMPP")
    }

    /// Pages.
    pub fn urls(&self) -> Vec<Reach> {
        self.reaches("URL")
    }

    fn reaches(&self, name: &str) -> Vec<Reach> {
        let labels = Labels::of(&self.root);
        let reach = |line: Line<'_>| Reach {
            value: line.text().trim().to_owned(),
            types: types(line),
            preference: line.preference(),
            label: labels.get(line).map(str::to_owned),
        };
        self.all(name).map(reach).filter(|r| !r.value.is_empty()).collect()
    }

    /// Postal addresses.
    pub fn addresses(&self) -> Vec<Address> {
        let address = |line: Line<'_>| {
            let mut parts = line.parts().into_iter().map(filled);
            let mut next = || parts.next().unwrap_or_default();
            Address {
                post_box: next(),
                extended: next(),
                street: next(),
                locality: next(),
                region: next(),
                code: next(),
                country: next(),
                types: types(line),
                preference: line.preference(),
            }
        };
        self.all("ADR").map(address).collect()
    }

    /// The organisation and its units, the largest first; empty where there is none.
    pub fn organization(&self) -> Vec<String> {
        let parts = self.preferred("ORG").map(|line| line.parts()).unwrap_or_default();
        filled(parts.into_iter().map(|unit| unit.join(",")).collect())
    }

    /// The nicknames.
    pub fn nicknames(&self) -> Vec<String> {
        self.all("NICKNAME").flat_map(|line| filled(line.list())).collect()
    }

    /// The categories.
    pub fn categories(&self) -> Vec<String> {
        self.all("CATEGORIES").flat_map(|line| filled(line.list())).collect()
    }

    /// The birthday, as far as it is known; `None` also where it is told in words.
    pub fn birthday(&self) -> Option<Moment> {
        self.moment("BDAY")
    }

    /// The anniversary: ANNIVERSARY, or what stands for it in version 3.0.
    pub fn anniversary(&self) -> Option<Moment> {
        self.moment("ANNIVERSARY").or_else(|| self.moment("X-ANNIVERSARY")).or_else(|| {
            let labels = Labels::of(&self.root);
            let line = self.all("X-ABDATE").find(|line| labels.get(*line) == Some(convert::ANNIVERSARY_LABEL));
            line.and_then(convert::moment_of)
        })
    }

    fn moment(&self, name: &str) -> Option<Moment> {
        self.preferred(name).and_then(convert::moment_of)
    }

    /// The picture.
    pub fn photo(&self) -> Option<Media> {
        self.preferred("PHOTO").and_then(Media::read)
    }

    /// When the card was changed last (REV); a time without a zone is taken for UTC, a date for its first
    /// moment.
    pub fn revised(&self) -> Option<DateTime<Utc>> {
        Moment::parse(&self.preferred("REV")?.text())?.instant()
    }

    /// What the card is of: KIND, or Apple's property in version 3.0; a person where neither is there.
    pub fn kind(&self) -> Kind {
        let word = self.text("KIND").or_else(|| self.text("X-ADDRESSBOOKSERVER-KIND")).unwrap_or_default();
        match word.trim().to_ascii_lowercase().as_str() {
            "" | "individual" => Kind::Individual,
            "group" => Kind::Group,
            "org" => Kind::Organization,
            "location" => Kind::Location,
            other => Kind::Other(other.to_owned()),
        }
    }

    /// The members of a group, as addresses (`urn:uuid:…`, `mailto:…`).
    pub fn members(&self) -> Vec<String> {
        let lines = self.lines().filter(|l| l.is("MEMBER") || l.is("X-ADDRESSBOOKSERVER-MEMBER"));
        lines.map(|l| l.text().trim().to_owned()).filter(|m| !m.is_empty()).collect()
    }

    /// The note.
    pub fn note(&self) -> Option<String> {
        self.text("NOTE")
    }
}

/// The words that Apple's clients show for lines (`X-ABLabel`), by group.
pub(super) struct Labels(HashMap<String, String>);

impl Labels {
    pub(super) fn of(card: &Component) -> Self {
        let mut labels = HashMap::new();
        for line in card.properties().map(Line::new).filter(|l| l.is("X-ABLABEL")) {
            let text = line.text();
            // Their own words are wrapped: `_$!<Home>!$_`.
            let bare = text.strip_prefix("_$!<").and_then(|l| l.strip_suffix(">!$_")).unwrap_or(&text);
            if let (Some(group), false) = (line.group(), bare.is_empty()) {
                labels.entry(group.to_ascii_lowercase()).or_insert_with(|| bare.to_owned());
            }
        }
        Self(labels)
    }

    /// The word for a line.
    pub(super) fn get(&self, line: Line<'_>) -> Option<&str> {
        self.0.get(&line.group()?.to_ascii_lowercase()).map(String::as_str)
    }
}

fn types(line: Line<'_>) -> Vec<String> {
    line.types().filter(|t| !t.eq_ignore_ascii_case("pref")).map(str::to_ascii_lowercase).collect()
}

/// A list without its blanks.
fn filled(list: Vec<String>) -> Vec<String> {
    list.into_iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}
