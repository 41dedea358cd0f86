//! One content line of a card, read as vCard reads it.

use crate::ical::{Property, split_value, unescape_text};

/// Words that vCard 2.1 wrote as parameters without a name and that are no types.
const ENCODINGS: [&str; 5] = ["BASE64", "B", "QUOTED-PRINTABLE", "8BIT", "7BIT"];

/// Whether a parameter without a name tells how the value is written.
pub(super) fn is_encoding(word: &str) -> bool {
    ENCODINGS.iter().any(|encoding| word.eq_ignore_ascii_case(encoding))
}

/// A property of a card: its name may carry a group (`item1.TEL`), and its parameters may lack names (`TEL;HOME:`), as in
/// version 2.1, whose habits live on.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(&'a Property);

impl<'a> Line<'a> {
    /// A property seen as a line of a card.
    pub const fn new(property: &'a Property) -> Self {
        Self(property)
    }

    /// The property itself.
    pub const fn property(self) -> &'a Property {
        self.0
    }

    /// The group, which ties lines of one card together (RFC 6350 §3.3).
    pub fn group(self) -> Option<&'a str> {
        self.0.name().rsplit_once('.').map(|(group, _)| group)
    }

    /// The name without its group.
    pub fn name(self) -> &'a str {
        self.0.name().rsplit_once('.').map_or(self.0.name(), |(_, name)| name)
    }

    /// Whether the line has this name, whatever its group.
    pub fn is(self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// The value as text, unescaped.
    pub fn text(self) -> String {
        self.0.text()
    }

    /// The types, in the order written: values of TYPE, and words without a name.
    pub fn types(self) -> impl Iterator<Item = &'a str> {
        self.0.params().iter().flat_map(|param| {
            let unnamed = param.values.is_empty() && !is_encoding(&param.name);
            // `TYPE="home,work"` means both (RFC 6350 §5.6 shows it so).
            let values = if param.is("TYPE") { param.values.as_slice() } else { &[] };
            let values = values.iter().flat_map(|v| v.split(',')).map(str::trim).filter(|t| !t.is_empty());
            unnamed.then_some(param.name.as_str()).into_iter().chain(values)
        })
    }

    /// Whether it has this type.
    pub fn has_type(self, wanted: &str) -> bool {
        self.types().any(|t| t.eq_ignore_ascii_case(wanted))
    }

    /// How much it is preferred: from 1, the most, to 100 (RFC 6350 §5.3); version 3.0 has only a type `pref`.
    pub fn preference(self) -> Option<u8> {
        let number = self.0.get_param("PREF").and_then(|p| p.trim().parse().ok()).filter(|n| (1..=100).contains(n));
        number.or_else(|| self.has_type("pref").then_some(1))
    }

    /// The type of the value, where it is not the usual one.
    pub fn value_type(self) -> Option<&'a str> {
        self.0.get_param("VALUE")
    }

    /// Whether the value is of this type, and says so.
    pub fn is_value_type(self, wanted: &str) -> bool {
        self.value_type().is_some_and(|t| t.eq_ignore_ascii_case(wanted))
    }

    /// Whether the value is base64 (RFC 2426 §2.4.1, and as version 2.1 wrote it).
    pub fn is_base64(self) -> bool {
        let params = self.0.params();
        params.iter().any(|p| {
            let word = if p.is("ENCODING") { p.value() } else { "" };
            let unnamed = p.values.is_empty() && p.is("BASE64");
            unnamed || word.eq_ignore_ascii_case("b") || word.eq_ignore_ascii_case("base64")
        })
    }

    /// The parts of a structured value, each a list (RFC 6350 §6.2.2), unescaped.
    pub fn parts(self) -> Vec<Vec<String>> {
        split_value(self.0.value(), ';').map(list).collect()
    }

    /// The values of a line that holds several (RFC 6350 §6.2.3), unescaped.
    pub fn list(self) -> Vec<String> {
        list(self.0.value())
    }
}

fn list(value: &str) -> Vec<String> {
    split_value(value, ',').map(unescape_text).collect()
}

/// Whether a property is meant by a name that a client asks for: a name without a group means every group, one with a group
/// only that (RFC 6352 §10.4.2).
pub fn names(wanted: &str, property: &Property) -> bool {
    property.is(wanted) || (!wanted.contains('.') && Line::new(property).is(wanted))
}
