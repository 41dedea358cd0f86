//! Calendar user addresses, compared the way people mean them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Email;

/// A calendar user address (RFC 5545 §3.3.3), normalised: two spellings of one mail address are equal.
///
/// `MAILTO:Bob@Example.org`, `mailto:bob%40example.org` and a bare `bob@example.org` all read as
/// `mailto:bob@example.org`. Addresses that are not mail addresses keep their text, with a lower-case scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// Reads the value of an ORGANIZER or ATTENDEE property, or a bare mail address.
    pub fn read(text: &str) -> Self {
        #[cfg(test)]
        super::work::count();
        let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
        match bare.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto") => Self::mail(rest),
            Some((scheme, rest)) => Self(format!("{}:{rest}", scheme.to_ascii_lowercase())),
            None if bare.contains('@') => Self::mail(bare),
            None => Self(bare.to_owned()),
        }
    }

    fn mail(address: &str) -> Self {
        let bare = address.trim_start_matches('<').trim_end_matches('>').trim();
        let decoded = match bare.contains('%') {
            true => percent_encoding::percent_decode_str(bare).decode_utf8().ok(),
            false => None,
        };
        // An encoded line break or blank is no spelling of an address; such a text stays as it is.
        let decoded = decoded.filter(|d| d.contains('@') && !d.contains(|c: char| c.is_control() || c.is_whitespace()));
        Self(format!("mailto:{}", decoded.as_deref().unwrap_or(bare).to_lowercase()))
    }

    /// The address as text, with its scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The mail address, where it is one.
    pub fn email(&self) -> Option<Email> {
        self.0.strip_prefix("mailto:")?.parse().ok()
    }

    /// Whether a message can be brought to it at all: calendar users are told apart by mail address, whatever else an
    /// ATTENDEE names is nobody known here (`3.7`, RFC 6638 §3.2.9).
    pub fn is_deliverable(&self) -> bool {
        self.email().is_some()
    }

    /// Whether this is one of the given mail addresses.
    pub fn is_one_of(&self, emails: &[Email]) -> bool {
        self.0.strip_prefix("mailto:").is_some_and(|bare| emails.iter().any(|e| e.as_str() == bare))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self::read(&text)
    }
}

impl From<&Email> for Address {
    fn from(email: &Email) -> Self {
        Self(email.to_calendar_address())
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mail_address_are_equal() {
        for spelling in
            ["mailto:bob@example.org", "MAILTO:Bob@Example.org", " bob@example.org", "mailto:bob%40example.org"]
        {
            assert_eq!(Address::read(spelling).as_str(), "mailto:bob@example.org", "{spelling}");
        }
    }

    #[test]
    fn other_schemes_keep_their_text() {
        assert_eq!(Address::read("URN:uuid:AbC").as_str(), "urn:uuid:AbC");
        assert_eq!(Address::read("/principals/users/1").as_str(), "/principals/users/1");
        assert!(Address::read("urn:uuid:AbC").email().is_none());
    }

    #[test]
    fn an_encoded_line_break_is_not_decoded() {
        assert_eq!(Address::read("mailto:a%0d%0ab@example.org").as_str(), "mailto:a%0d%0ab@example.org");
    }
}
