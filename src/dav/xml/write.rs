//! The writer of answers.

use super::name::Name;
use super::read::{Element, Node};

/// Namespace of `xml:lang`.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The start of every multistatus answer, up to the first response.
pub const PROLOG: &str = concat!(
    "<?xml version=\"1.0\"?>\n",
    "<d:multistatus xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\" ",
    "xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" xmlns:cs=\"http://calendarserver.org/ns/\" ",
    "xmlns:card=\"urn:ietf:params:xml:ns:carddav\">"
);

/// Appends text with the characters escaped that XML gives a meaning; a CR becomes `&#13;`, for a reader would take it
/// for a line end. Characters that XML 1.0 has no way to write are left out.
pub fn escape_into(out: &mut String, text: &str) {
    escape(out, text, "&#13;");
}

/// Appends text; a CR before a LF is written as `before_lf`.
fn escape(out: &mut String, text: &str, before_lf: &str) {
    let bytes = text.as_bytes();
    let (mut from, mut at) = (0, 0);
    loop {
        at += plain(&bytes[at..]);
        let Some(byte) = bytes.get(at) else { break };
        let mut len = 1;
        let replacement = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => before_lf,
            b'\r' => "&#13;",
            // U+FFFE and U+FFFF.
            0xef if matches!(bytes[at..], [_, 0xbf, 0xbe | 0xbf, ..]) => {
                len = 3;
                ""
            }
            0xef => {
                at += 1;
                continue;
            }
            _ => "",
        };
        out.push_str(&text[from..at]);
        out.push_str(replacement);
        at += len;
        from = at;
    }
    out.push_str(&text[from..]);
}

/// Octets at the beginning that are written as they are. Most of an answer is such text, so it is looked at sixteen octets
/// at a time, in a way that compilers make one instruction of.
fn plain(bytes: &[u8]) -> usize {
    const fn is_special(byte: u8) -> bool {
        (byte < b' ') & (byte != b'\t') & (byte != b'\n')
            | (byte == b'&')
            | (byte == b'<')
            | (byte == b'>')
            | (byte == b'"')
            | (byte == 0xef)
    }
    let (chunks, _) = bytes.as_chunks::<16>();
    let whole = chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | is_special(*byte)));
    let at = 16 * whole.count();
    at + bytes[at..].iter().take_while(|byte| !is_special(**byte)).count()
}

/// Appends elements to a text. Names of elements are written with the prefixes of [`PROLOG`], e.g. `d:href`.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
}

impl Writer {
    /// A writer whose text begins like this.
    pub fn starting(with: &str) -> Self {
        Self { out: with.to_owned() }
    }

    /// The text so far, taken away.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Octets written since the last [`Writer::take`].
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written since the last [`Writer::take`].
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written since there was so much.
    pub fn since(&self, len: usize) -> &str {
        self.out.get(len..).unwrap_or_default()
    }

    /// Goes back to an earlier length.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Appends text that is XML already.
    pub fn raw(&mut self, xml: &str) {
        self.out.push_str(xml);
    }

    /// Appends text, escaped.
    pub fn text(&mut self, text: &str) {
        escape_into(&mut self.out, text);
    }

    /// Appends iCalendar text, escaped, with its lines ended by LF alone: that is what a reader makes of a CRLF anyway,
    /// and what esn-sabre sends (observed §HTTP 10).
    pub fn calendar_text(&mut self, text: &str) {
        escape(&mut self.out, text, "");
    }

    /// `<tag>`.
    pub fn open(&mut self, tag: &str) {
        self.out.push('<');
        self.out.push_str(tag);
        self.out.push('>');
    }

    /// `</tag>`.
    pub fn close(&mut self, tag: &str) {
        self.out.push_str("</");
        self.out.push_str(tag);
        self.out.push('>');
    }

    /// `<tag/>`.
    pub fn empty(&mut self, tag: &str) {
        self.out.push('<');
        self.out.push_str(tag);
        self.out.push_str("/>");
    }

    /// `<tag>text</tag>`.
    pub fn element(&mut self, tag: &str, text: &str) {
        self.open(tag);
        self.text(text);
        self.close(tag);
    }

    /// `<tag>…</tag>` around what the function writes.
    pub fn within(&mut self, tag: &str, inner: impl FnOnce(&mut Self)) {
        self.open(tag);
        inner(self);
        self.close(tag);
    }

    /// Writes the tag of a name without `<`; declares a namespace that [`PROLOG`] does not.
    fn tag(&mut self, name: &Name) {
        match name.prefix() {
            Some(prefix) => {
                self.out.push_str(prefix);
                self.out.push(':');
                self.out.push_str(&name.local);
            }
            None if name.ns.is_empty() => self.out.push_str(&name.local),
            None => {
                self.out.push_str("x1:");
                self.out.push_str(&name.local);
                self.out.push_str(" xmlns:x1=\"");
                escape_into(&mut self.out, &name.ns);
                self.out.push('"');
            }
        }
    }

    /// `<name>`, with a declaration of its namespace where the root has none.
    pub fn open_name(&mut self, name: &Name) {
        self.out.push('<');
        self.tag(name);
        self.out.push('>');
    }

    /// `</name>`.
    pub fn close_name(&mut self, name: &Name) {
        self.out.push_str("</");
        match name.prefix() {
            Some(prefix) => {
                self.out.push_str(prefix);
                self.out.push(':');
            }
            None if name.ns.is_empty() => {}
            None => self.out.push_str("x1:"),
        }
        self.out.push_str(&name.local);
        self.out.push('>');
    }

    /// `<name/>`.
    pub fn empty_name(&mut self, name: &Name) {
        self.out.push('<');
        self.tag(name);
        self.out.push_str("/>");
    }

    /// `<name>text</name>`; also for the empty text, which says "there, and empty".
    pub fn named(&mut self, name: &Name, text: &str) {
        self.open_name(name);
        self.text(text);
        self.close_name(name);
    }

    /// An element as it was read, with every namespace declared that [`PROLOG`] does not.
    pub fn tree(&mut self, element: &Element) {
        self.out.push('<');
        self.tag(&element.name);
        for (index, (name, value)) in element.attributes.iter().enumerate() {
            self.out.push(' ');
            match name.prefix() {
                Some(prefix) => self.out.push_str(&format!("{prefix}:")),
                None if name.ns.is_empty() => {}
                None if name.ns == XML => self.out.push_str("xml:"),
                None => {
                    self.out.push_str(&format!("xmlns:a{index}=\""));
                    escape_into(&mut self.out, &name.ns);
                    self.out.push_str(&format!("\" a{index}:"));
                }
            }
            self.out.push_str(&name.local);
            self.out.push_str("=\"");
            escape_into(&mut self.out, value);
            self.out.push('"');
        }
        if element.content.is_empty() {
            return self.out.push_str("/>");
        }
        self.out.push('>');
        for node in &element.content {
            match node {
                Node::Text(text) => self.text(text),
                Node::Element(inner) => self.tree(inner),
            }
        }
        self.close_name(&element.name);
    }

    /// `<d:href>…</d:href>` with an address that is percent-encoded already.
    pub fn href(&mut self, href: &str) {
        self.element("d:href", href);
    }

    /// `<d:status>HTTP/1.1 …</d:status>`.
    pub fn status(&mut self, status: http::StatusCode) {
        self.out.push_str("<d:status>HTTP/1.1 ");
        self.out.push_str(status.as_str());
        self.out.push(' ');
        self.out.push_str(status.canonical_reason().unwrap_or("Unknown"));
        self.out.push_str("</d:status>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{APPLE, DAV};

    #[test]
    fn text_is_escaped_and_cannot_break_out() {
        let mut w = Writer::default();
        w.element("d:displayname", "</d:displayname><x a=\"&\">\r\n\u{1}\u{ffff}é");
        assert_eq!(
            w.take(),
            "<d:displayname>&lt;/d:displayname&gt;&lt;x a=&quot;&amp;&quot;&gt;&#13;\né</d:displayname>"
        );
    }

    #[test]
    fn names_get_the_agreed_prefix_or_declare_their_own() {
        let mut w = Writer::default();
        w.empty_name(&Name::new(DAV, "getetag"));
        w.named(&Name::new(APPLE, "calendar-color"), "#ff0000");
        w.empty_name(&Name::read("", "bare"));
        assert_eq!(
            w.take(),
            "<d:getetag/><x1:calendar-color xmlns:x1=\"http://apple.com/ns/ical/\">#ff0000</x1:calendar-color><bare/>"
        );
    }

    #[test]
    fn an_element_comes_back_as_it_was_read() {
        let text =
            r#"<x1:a xmlns:x1="urn:x" xml:lang="fr" b="1 &lt; 2">t<d:href>h</d:href><x1:c xmlns:x1="urn:y"/></x1:a>"#;
        let body = format!(r#"<r xmlns:d="DAV:">{text}</r>"#);
        let limits = crate::dav::xml::XmlLimits { bytes: 4096, depth: 8 };
        let root = crate::dav::xml::parse(body.as_bytes(), limits).unwrap().unwrap();
        let mut w = Writer::default();
        w.tree(root.elements().next().unwrap());
        assert_eq!(w.take(), text);
    }

    #[test]
    fn calendar_text_has_bare_line_ends() {
        let mut w = Writer::default();
        w.calendar_text("BEGIN:VCALENDAR\r\nX:a&b\rc\r\n");
        assert_eq!(w.take(), "BEGIN:VCALENDAR\nX:a&amp;b&#13;c\n");
    }

    proptest::proptest! {
        #[test]
        fn each_character_is_escaped_on_its_own(text in "([ -~]|[\\t\\r\\n\u{1}\u{e9}\u{fffe}\u{ffff}\u{ff01}\u{1f600}]){0,80}") {
            let one = |c: char| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\r' => "&#13;".to_owned(),
                '\t' | '\n' => c.to_string(),
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => String::new(),
                c => c.to_string(),
            };
            let expected: String = text.chars().map(one).collect();
            let mut out = String::new();
            escape_into(&mut out, &text);
            proptest::prop_assert_eq!(out, expected);
        }
    }
}
