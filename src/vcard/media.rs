//! Pictures, sounds and keys: within the card or elsewhere (RFC 2426 §2.4.1, RFC 6350 §6.2.4).
//!
//! Version 3.0 writes octets as base64 beside a TYPE that names their format; version 4.0 as a `data:` address.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::line::Line;

/// Some producers leave out the padding, others end in odd bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Formats whose word in version 3.0 is not simply the second half of their media type.
const WORDS: [(&str, &str); 5] = [
    ("JPG", "image/jpeg"),
    ("PGP", "application/pgp-keys"),
    ("X509", "application/pkix-cert"),
    ("WAV", "audio/x-wav"),
    ("SVG", "image/svg+xml"),
];

/// The properties whose TYPE is a format in version 3.0.
pub(super) const PROPERTIES: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];

/// A picture, a sound or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// It is elsewhere.
    Uri(String),
    /// It is in the card.
    Inline {
        /// Its media type, where the card tells or the octets show it.
        media_type: Option<String>,
        /// The octets.
        octets: Vec<u8>,
    },
}

impl Media {
    /// Reads PHOTO, LOGO, SOUND or KEY of either version; `None` when it is empty, text, or base64 that is none.
    pub fn read(line: Line<'_>) -> Option<Self> {
        let value = line.property().value();
        if line.is_base64() {
            let octets = decode(value)?;
            let media_type = format_of(line).map(|word| media_type_of(line.name(), &word));
            let media_type = media_type.or_else(|| sniff(&octets).map(str::to_owned));
            return Some(Self::Inline { media_type, octets });
        }
        let uri = plain_uri(value);
        if uri.trim().is_empty() || line.is_value_type("text") {
            return None;
        }
        match DataUri::parse(&uri) {
            Some(data) => {
                let media_type = Some(data.media_type.to_owned()).filter(|t| !t.is_empty());
                Some(Self::Inline { media_type, octets: decode(data.base64)? })
            }
            None => Some(Self::Uri(uri.into_owned())),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    BASE64.decode(text).ok().filter(|octets| !octets.is_empty())
}

/// Whether the text is base64 and nothing else, white space apart.
pub(super) fn is_base64(text: &str) -> bool {
    decode(text).is_some()
}

/// A `data:` address that holds nothing but a media type and base64 (RFC 2397).
pub(super) struct DataUri<'a> {
    /// May be empty.
    pub(super) media_type: &'a str,
    pub(super) base64: &'a str,
}

impl<'a> DataUri<'a> {
    pub(super) fn parse(uri: &'a str) -> Option<Self> {
        let (head, base64) = uri.get(5..).filter(|_| uri[..5].eq_ignore_ascii_case("data:"))?.split_once(',')?;
        let at = head.len().checked_sub(";base64".len())?;
        let media_type = head.get(..at).filter(|_| head[at..].eq_ignore_ascii_case(";base64"))?;
        (!media_type.contains(';')).then_some(Self { media_type, base64 })
    }
}

/// An address without the escapes that many producers put into it (`https\://`), though addresses have none.
pub(super) fn plain_uri(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, ':' | ',' | ';') {
            out.truncate(out.trim_end_matches('\\').len());
        }
        out.push(c);
    }
    Cow::Owned(out)
}

/// Whether a value begins as addresses do: with a scheme (RFC 3986 §3.1).
pub(super) fn is_address(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// The word in TYPE that names the format.
pub(super) fn format_of(line: Line<'_>) -> Option<String> {
    let is_format = |t: &&str| !["home", "work", "pref"].iter().any(|word| t.eq_ignore_ascii_case(word));
    line.types().find(is_format).map(str::to_owned)
}

/// The media type that a format of version 3.0 stands for.
pub(super) fn media_type_of(property: &str, word: &str) -> String {
    if word.contains('/') {
        return word.to_ascii_lowercase();
    }
    if let Some((_, media_type)) = WORDS.iter().find(|(w, _)| word.eq_ignore_ascii_case(w)) {
        return (*media_type).to_owned();
    }
    let kind = match property.to_ascii_uppercase().as_str() {
        "SOUND" => "audio",
        "KEY" => "application",
        _ => "image",
    };
    format!("{kind}/{}", word.to_ascii_lowercase())
}

/// The word of version 3.0 for a media type, where it leads back to the same one.
pub(super) fn word_for(property: &str, media_type: &str) -> Option<String> {
    let named =
        WORDS.iter().skip(1).find(|(_, t)| media_type.eq_ignore_ascii_case(t)).map(|(word, _)| (*word).to_owned());
    let word = named.or_else(|| media_type.split_once('/').map(|(_, word)| word.to_ascii_uppercase()))?;
    let is_word = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_word && media_type_of(property, &word).eq_ignore_ascii_case(media_type)).then_some(word)
}

/// The media type of base64 by the first octets.
pub(super) fn sniff_base64(text: &str) -> Option<&'static str> {
    let head: String = text.chars().filter(|c| !c.is_whitespace()).take(24).collect();
    sniff(&BASE64.decode(head).ok()?)
}

fn sniff(octets: &[u8]) -> Option<&'static str> {
    match octets {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}
