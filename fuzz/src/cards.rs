//! vCard 3.0 and 4.0: read, written, mended, converted there and back.

use convoke::ical::{Component, decode};
use convoke::vcard::{Card, Severity, Version, jcard};

pub fn check(data: &[u8]) {
    let Ok((text, _)) = decode(data.to_vec()) else { return };
    let Ok(card) = Card::parse_within(&text, super::LIMITS) else { return };
    assert_eq!(card.to_text(), text, "not the same octets");
    let _ = (card.emails(), card.phones(), card.addresses(), card.photo(), card.birthday(), card.name(), card.kind());
    let _ = (card.members(), card.revised(), card.anniversary(), card.urls(), card.messengers(), card.uid());
    for version in [Version::V3, Version::V4] {
        let there = card.to_version(version);
        readable(&there);
        let other = if version == Version::V3 { Version::V4 } else { Version::V3 };
        let back = there.to_version(other);
        readable(&back);
        if card.version() == Some(version) {
            assert_eq!(there.to_text(), text, "converted to what it is, it is another");
        }
        let json = jcard::to_jcard(&there);
        if let Ok(read) = jcard::from_jcard(&json) {
            readable(&read);
        }
    }
    let mut mended = card.clone();
    mended.repair("urn:uuid:fuzz");
    let left: Vec<_> = mended.faults().into_iter().filter(|f| f.severity() == Severity::Mended).collect();
    assert!(left.is_empty(), "{left:?} after mending:\n{}", mended.to_wire());
    readable(&mended);
}

/// What is written is a card again, with lines that fit.
fn readable(card: &Card) {
    let wire = card.to_wire();
    let is_edge = |line: &str| ["BEGIN:", "END:"].iter().any(|edge| line.starts_with(edge));
    let fits = |line: &str| line.len() <= 75 || is_edge(line);
    assert!(wire.split("\r\n").all(fits), "a line of more than 75 octets:\n{wire}");
    let read = Component::parse(&wire).unwrap_or_else(|error| panic!("{error} in what we wrote:\n{wire}"));
    assert_eq!(read.to_wire(), wire, "written twice, it differs");
}
