//! JSON as clients of the reference read it (dav §1.3): compact, with `/` written `\/` and nothing beyond ASCII.

use std::io;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::ser::Formatter;

use crate::dav::server::answer;
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;

/// Type of every JSON body.
pub(super) const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The form of texts: what serde_json leaves of one to its formatter has nothing that JSON itself must escape.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut from = 0;
        let odd = |(_, c): &(usize, char)| *c == '/' || !c.is_ascii();
        for (at, c) in fragment.char_indices().filter(odd) {
            writer.write_all(&fragment.as_bytes()[from..at])?;
            from = at + c.len_utf8();
            if c == '/' {
                writer.write_all(b"\\/")?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }
}

/// A value as text.
pub(super) fn to_text(value: &(impl Serialize + ?Sized)) -> String {
    let mut out = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Ascii);
    // A value of ours cannot fail to be written: its keys are texts and memory takes everything.
    if value.serialize(&mut serializer).is_err() {
        return "null".to_owned();
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a value.
pub(super) fn append(out: &mut Writer, value: &(impl Serialize + ?Sized)) {
    out.raw(&to_text(value));
}

/// An answer with a JSON body.
pub(super) fn respond(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Response<Body> {
    let mut response = Response::new(Body::from(to_text(value)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON_TYPE);
    response
}

/// 200 without body: what the reference makes of a result that holds nothing (dav §1.3).
pub(super) fn nothing() -> Response<Body> {
    answer::empty(StatusCode::OK)
}

/// `{"self":{"href":"…"}}`, which everything that is told has as its `_links`.
pub(super) struct Links<'a>(pub(super) &'a str);

impl Serialize for Links<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(1))?;
        out.serialize_entry("self", &Href(self.0))?;
        out.end()
    }
}

/// `{"href":"…"}`.
pub(super) struct Href<'a>(pub(super) &'a str);

impl Serialize for Href<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(1))?;
        out.serialize_entry("href", self.0)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_ascii_with_escaped_slashes() {
        let value = json!(["a/b", "Zoé \u{1F600}", "\"\\\n\u{1}", ""]);
        let text = to_text(&value);
        assert_eq!(text, r#"["a\/b","Zo\u00e9 \ud83d\ude00","\"\\\n\u0001",""]"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn links_look_like_the_reference_s() {
        assert_eq!(to_text(&Links("/calendars/a.json")), r#"{"self":{"href":"\/calendars\/a.json"}}"#);
    }
}
