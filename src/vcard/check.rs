//! What is wrong with a card, and what is done about it when a client stores it (RFC 6352 §5.1, dav §6.4).

use super::card::{Card, Version};
use super::line::Line;
use crate::ical::{Property, split_value};

/// What RFC 2426 or RFC 6350 demands and a card lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// VERSION is missing.
    #[error("The VERSION property must appear in a VCARD exactly once")]
    NoVersion,
    /// A version that is neither 3.0 nor 4.0, such as 2.1, which CardDAV does not take.
    #[error("Only vCard 3.0 (RFC 2426) and 4.0 (RFC 6350) are supported, found {0:?}")]
    OtherVersion(String),
    /// UID is missing or empty.
    #[error("Adding a UID to a vCard property is required")]
    NoUid,
    /// More than one UID.
    #[error("The UID property must appear in a VCARD exactly once")]
    SeveralUids,
    /// FN is missing.
    #[error("The FN property must appear in a VCARD")]
    NoFormattedName {
        /// Whether the card says a name elsewhere.
        mendable: bool,
    },
    /// N is missing in version 3.0.
    #[error("The N property must appear in a vCard 3.0")]
    NoName,
    /// N has fewer than its five parts.
    #[error("The N property must have at least 5 values. It only has {0}")]
    ShortName(usize),
    /// Something is written as base64 that is none.
    #[error("The {0} property is not valid base64")]
    Base64(String),
}

/// What becomes of a card with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is kept as it is: every reader copes with it.
    Tolerated,
    /// [`Card::repair`] mends it.
    Mended,
    /// It is refused.
    Refused,
}

impl Fault {
    /// What becomes of the card.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NoVersion | Self::NoUid | Self::NoFormattedName { mendable: true } => Severity::Mended,
            Self::OtherVersion(_) | Self::SeveralUids | Self::NoFormattedName { mendable: false } => Severity::Refused,
            Self::NoName | Self::ShortName(_) | Self::Base64(_) => Severity::Tolerated,
        }
    }
}

pub(super) fn faults(card: &Card) -> Vec<Fault> {
    let mut faults = Vec::new();
    match card.root().value("VERSION") {
        None => faults.push(Fault::NoVersion),
        Some(text) if Version::parse(text).is_none() => {
            faults.push(Fault::OtherVersion(text.chars().take(20).collect()))
        }
        Some(_) => {}
    }
    match card.all("UID").count() {
        0 | 1 if card.uid().is_none() => faults.push(Fault::NoUid),
        0 | 1 => {}
        _ => faults.push(Fault::SeveralUids),
    }
    // An empty FN is one: clients that know only an address write it so.
    if card.all("FN").next().is_none() {
        faults.push(Fault::NoFormattedName { mendable: name_for(card).is_some() });
    }
    match card.all("N").next() {
        None if card.version() == Some(Version::V3) => faults.push(Fault::NoName),
        None => {}
        Some(line) => {
            let parts = split_value(line.property().value(), ';').count();
            faults.extend((parts < 5).then_some(Fault::ShortName(parts)));
        }
    }
    let broken = card.lines().filter(|l| l.is_base64() && !super::media::is_base64(l.property().value()));
    faults.extend(broken.map(|l| Fault::Base64(l.name().to_ascii_uppercase())));
    faults
}

pub(super) fn repair(card: &mut Card, uid: &str) {
    let name = name_for(card);
    for fault in faults(card) {
        match fault {
            // Every server of cards takes 3.0 (RFC 6352 §3), so a client that does not say means that.
            Fault::NoVersion => {
                card.root_mut()
                    .items
                    .insert(0, crate::ical::Item::Property(Property::new("VERSION", Version::V3.as_str())));
            }
            Fault::NoUid => card.root_mut().set(Property::new("UID", uid)),
            Fault::NoFormattedName { .. } => {
                if let Some(name) = &name {
                    card.root_mut().push(Property::with_text("FN", name));
                }
            }
            _ => {}
        }
    }
}

/// What a card without FN can be called.
fn name_for(card: &Card) -> Option<String> {
    let name = card.name().map(|n| [n.prefixes, n.given, n.additional, n.family, n.suffixes].concat().join(" "));
    let first = |line: Option<Line<'_>>| line.map(Line::text).map(|t| t.trim().to_owned());
    let more = || {
        let org = Some(card.organization().join(", "));
        let nickname = card.nicknames().into_iter().next();
        [org, nickname, first(card.preferred("EMAIL")), first(card.preferred("TEL"))]
    };
    let usable = |name: &String| !name.is_empty();
    name.filter(usable).or_else(|| more().into_iter().flatten().find(usable))
}
