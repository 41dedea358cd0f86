//! Comparing texts as a client asks for it: collations by name (RFC 4790), for queries of calendars and address books.
//!
//! Each text has a key, and two texts match where their keys do: equal, or one within the other.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// A way to compare texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// `i;octet`: every octet counts.
    Octet,
    /// `i;ascii-casemap`: the letters A to Z are compared without regard to case.
    AsciiCasemap,
    /// `i;unicode-casemap` (RFC 5051): all letters are compared without regard to case, and letters with marks as the letter
    /// and its marks, so that `jose` is found in `José` but does not equal it.
    ///
    /// The RFC takes the simple mappings of case; the full ones are taken here, for which `ß` is `SS`. What matches by the
    /// former matches by the latter.
    UnicodeCasemap,
}

impl Collation {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::AsciiCasemap, Self::Octet, Self::UnicodeCasemap];

    /// Its name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Octet => "i;octet",
            Self::AsciiCasemap => "i;ascii-casemap",
            Self::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    /// The collation of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// What is compared in the place of a text.
    pub fn key(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Octet => Cow::Borrowed(text),
            Self::UnicodeCasemap if !text.is_ascii() => {
                Cow::Owned(text.nfkd().flat_map(char::to_uppercase).nfkd().collect())
            }
            Self::AsciiCasemap | Self::UnicodeCasemap => {
                if text.bytes().any(|b| b.is_ascii_lowercase()) {
                    Cow::Owned(text.to_ascii_uppercase())
                } else {
                    Cow::Borrowed(text)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(collation: Collation, a: &str, b: &str) -> bool {
        collation.key(a) == collation.key(b)
    }

    #[test]
    fn every_name_finds_its_collation() {
        for collation in Collation::ALL {
            assert_eq!(Collation::named(collation.name()), Some(collation));
        }
        assert_eq!(Collation::named("i;*"), None);
    }

    #[test]
    fn octets_are_octets() {
        assert!(equal(Collation::Octet, "Café", "Café"));
        assert!(!equal(Collation::Octet, "Café", "café"));
        assert!(!equal(Collation::Octet, "Caf\u{e9}", "Cafe\u{301}"));
    }

    #[test]
    fn ascii_knows_no_letters_beyond_z() {
        assert!(equal(Collation::AsciiCasemap, "Cafés", "CAFéS"));
        assert!(!equal(Collation::AsciiCasemap, "café", "CAFÉ"));
    }

    #[test]
    fn unicode_knows_all_letters_and_ways_to_write_them() {
        for (a, b) in [
            ("café", "CAFÉ"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Straße", "STRASSE"),
            ("ﬁn", "FIN"),
            ("Ǆ", "ǆ"),
            ("ǅ", "ǆ"),
            ("Å", "\u{212b}"),
            ("ДОМ", "дом"),
            ("２", "2"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
        ] {
            assert!(equal(Collation::UnicodeCasemap, a, b), "{a} {b}");
        }
        assert!(!equal(Collation::UnicodeCasemap, "cafe", "café"));
        assert!(Collation::UnicodeCasemap.key("José").contains(&*Collation::UnicodeCasemap.key("jose")));
    }
}
