//! How texts are compared (RFC 4790): the three collations that RFC 4791 §7.5 and RFC 6352 §8.3 call for.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use super::read::ReadError;

/// A collation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// `i;octet`: the octets as they are.
    Octet,
    /// `i;ascii-casemap`: `a` to `z` count as `A` to `Z`.
    AsciiCasemap,
    /// `i;unicode-casemap` (RFC 5051): letters of all scripts without regard to case, composed or not.
    UnicodeCasemap,
}

impl Collation {
    /// Reads the attribute; `default` is what its absence, or the word `default`, stands for.
    ///
    /// # Errors
    /// [`ReadError::Collation`] for one that we do not know.
    pub fn read(attribute: Option<&str>, default: Self) -> Result<Self, ReadError> {
        match attribute {
            None | Some("default") => Ok(default),
            Some("i;octet") => Ok(Self::Octet),
            Some("i;ascii-casemap") => Ok(Self::AsciiCasemap),
            Some("i;unicode-casemap") => Ok(Self::UnicodeCasemap),
            Some(other) => Err(ReadError::Collation(other.chars().take(40).collect())),
        }
    }

    /// The text in the form in which equal means equal, and a part of it is a part.
    pub fn folded(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Octet => Cow::Borrowed(text),
            Self::AsciiCasemap if text.bytes().any(|b| b.is_ascii_lowercase()) => Cow::Owned(text.to_ascii_uppercase()),
            Self::AsciiCasemap => Cow::Borrowed(text),
            Self::UnicodeCasemap if text.is_ascii() => Cow::Owned(text.to_ascii_uppercase()),
            Self::UnicodeCasemap => Cow::Owned(text.chars().map(titlecase).nfkd().collect()),
        }
    }
}

/// The simple mapping of RFC 5051 §2: characters whose capital is more than one character stay as they are.
fn titlecase(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_collation_sees_other_things_as_equal() {
        let equal = |collation: Collation, a: &str, b: &str| collation.folded(a) == collation.folded(b);
        for (a, b, octet, ascii, unicode) in [
            ("Lunch", "Lunch", true, true, true),
            ("Lunch", "lUNCH", false, true, true),
            ("Café", "CAFé", false, true, true),
            ("Café", "CAFÉ", false, false, true),
            ("Café", "Cafe\u{301}", false, false, true),
            ("ｆin", "FIN", false, false, true),
            ("Ωmega", "ωMEGA", false, false, true),
            ("a", "b", false, false, false),
        ] {
            let found = [Collation::Octet, Collation::AsciiCasemap, Collation::UnicodeCasemap].map(|c| equal(c, a, b));
            assert_eq!(found, [octet, ascii, unicode], "{a} {b}");
        }
    }
}
