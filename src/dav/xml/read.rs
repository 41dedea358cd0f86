//! Request bodies to trees.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::name::Name;

/// What a request body may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XmlLimits {
    /// Octets.
    pub bytes: usize,
    /// Nested elements.
    pub depth: usize,
}

/// Attributes of one element, and namespaces in scope at one place: no client needs more, and looking through many of
/// them again for each element would cost time that grows with the square of the body.
const MAX_ATTRIBUTES: usize = 64;
/// Octets of a namespace or of `xml:lang`: each element keeps its own copy.
const MAX_NAME: usize = 256;
/// Elements of a body. A multiget has one for each address.
const MAX_ELEMENTS: usize = 60_000;

/// Why a body was refused. Most are answered with 400 (413 where it is too long), those with a precondition with 403.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// More octets than allowed.
    #[error("the XML body is larger than {0} octets")]
    TooLarge(usize),
    /// Elements nested deeper than allowed.
    #[error("the XML body is nested deeper than {0} elements")]
    TooDeep(usize),
    /// More attributes or namespace declarations than anybody needs.
    #[error("an XML element has more than {MAX_ATTRIBUTES} attributes or namespaces in scope")]
    TooManyAttributes,
    /// More elements than anybody needs.
    #[error("the XML body has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// A document type, which could define entities.
    #[error("document types are not accepted")]
    Doctype,
    /// An entity that XML does not define itself.
    #[error("unknown entity &{0};")]
    Entity(String),
    /// Not well-formed.
    #[error("the XML body is not well-formed: {0}")]
    Malformed(String),
    /// The filter of a calendar-query means nothing (RFC 4791 §7.8 `valid-filter`).
    #[error("the filter is not valid: {0}")]
    Filter(String),
    /// The filter of a calendar-query is about something that we cannot filter by (RFC 4791 §7.8 `supported-filter`).
    #[error("the filter is not supported: {0}")]
    UnsupportedFilter(String),
    /// More conditions than one question may have.
    #[error("a question has at most {max} conditions")]
    TooManyConditions {
        /// The limit.
        max: usize,
        /// It is a calendar-query (RFC 4791 §7.8 `supported-filter`).
        of_calendar: bool,
    },
    /// A text is to be compared in a way that we do not know (RFC 4791 §7.5, RFC 6352 §8.3).
    #[error("unsupported collation {name:?}")]
    Collation {
        /// Its name.
        name: String,
        /// Namespace of the query.
        ns: &'static str,
    },
    /// Well-formed, but not what the method takes.
    #[error("{0}")]
    Unexpected(String),
}

impl ReadError {
    pub(super) fn unexpected(what: impl Into<String>) -> Self {
        Self::Unexpected(what.into())
    }
}

/// Part of an element's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Character data, decoded.
    Text(String),
    /// An element.
    Element(Element),
}

/// An element with its content. Comments and processing instructions are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Name.
    pub name: Name,
    /// Attributes, namespace declarations excluded. An attribute without prefix has no namespace.
    pub attributes: Vec<(Name, String)>,
    /// Content, in order.
    pub content: Vec<Node>,
}

impl Element {
    /// Nested elements, in order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.content.iter().filter_map(|node| match node {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// The first nested element of that name.
    pub fn child(&self, ns: &str, local: &str) -> Option<&Element> {
        self.elements().find(|e| e.name.is(ns, local))
    }

    /// Nested elements of that name.
    pub fn children<'a>(&'a self, ns: &'a str, local: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements().filter(move |e| e.name.is(ns, local))
    }

    /// The value of an attribute without namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name.is("", local)).map(|(_, value)| value.as_str())
    }

    /// Puts an element into the innermost of those that are open.
    pub(super) fn adopt(open: &mut [Self], element: Self) {
        if let Some(parent) = open.last_mut() {
            parent.content.push(Node::Element(element));
        }
    }

    /// All character data directly in it.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|node| match node {
            Node::Text(t) => Some(t.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }
}

/// Namespace declarations in scope: depth of the element that made it, prefix, namespace.
#[derive(Default)]
pub(super) struct Scopes(Vec<(usize, String, String)>);

impl Scopes {
    /// Forgets what was declared at this depth or deeper.
    pub(super) fn leave(&mut self, depth: usize) {
        while self.0.last().is_some_and(|(made_at, _, _)| *made_at >= depth) {
            self.0.pop();
        }
    }

    fn resolve(&self, prefix: &str) -> Result<&str, ReadError> {
        match self.0.iter().rev().find(|(_, p, _)| p == prefix) {
            Some((_, _, ns)) => Ok(ns),
            None if prefix.is_empty() => Ok(""),
            None if prefix == "xml" => Ok("http://www.w3.org/XML/1998/namespace"),
            None => Err(ReadError::Malformed(format!("the prefix {prefix:?} is not declared"))),
        }
    }

    fn name(&self, qualified: &str, default: bool) -> Result<Name, ReadError> {
        check_name(qualified)?;
        match qualified.split_once(':') {
            Some((prefix, local)) => Ok(Name::read(self.resolve(prefix)?, local)),
            None if default => Ok(Name::read(self.resolve("")?, qualified)),
            None => Ok(Name::read("", qualified)),
        }
    }
}

/// What a reference in a text stands for.
pub(super) fn reference(found: BytesRef<'_>) -> Result<String, ReadError> {
    match found.resolve_char_ref().map_err(malformed)? {
        Some(c) => Ok(c.to_string()),
        None => Ok(predefined(&found.into_inner())?.to_owned()),
    }
}

pub(super) fn malformed(error: impl std::fmt::Display) -> ReadError {
    ReadError::Malformed(error.to_string())
}

/// Reads one XML document; `None` for an empty body.
///
/// # Errors
/// [`ReadError`]; document types and entities other than the five of XML are always refused.
pub fn parse(body: &[u8], limits: XmlLimits) -> Result<Option<Element>, ReadError> {
    if body.len() > limits.bytes {
        return Err(ReadError::TooLarge(limits.bytes));
    }
    let text = std::str::from_utf8(body).map_err(|_| ReadError::Malformed("it is not UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut reader = Reader::from_str(text);
    let mut scopes = Scopes::default();
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(malformed)?;
        elements += usize::from(matches!(event, Event::Start(_) | Event::Empty(_)));
        if elements > MAX_ELEMENTS {
            return Err(ReadError::TooManyElements);
        }
        match event {
            Event::Start(start) => {
                open.push(element(&start, open.len(), root.is_some(), &mut scopes, limits)?);
            }
            Event::Empty(start) => {
                let depth = open.len();
                let done = element(&start, depth, root.is_some(), &mut scopes, limits)?;
                close(done, depth, &mut open, &mut root, &mut scopes);
            }
            Event::End(_) => {
                // The reader checks that end tags match.
                if let Some(done) = open.pop() {
                    let depth = open.len();
                    close(done, depth, &mut open, &mut root, &mut scopes);
                }
            }
            Event::Text(text) => characters(&text.xml10_content(), &mut open)?,
            Event::CData(data) => characters(&data.xml10_content(), &mut open)?,
            Event::GeneralRef(found) => characters(&reference(found)?, &mut open)?,
            Event::DocType(_) => return Err(ReadError::Doctype),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match (root, open.last()) {
        (Some(root), None) => Ok(Some(root)),
        (_, Some(unclosed)) => Err(ReadError::Malformed(format!("<{}> is never closed", unclosed.name.local))),
        (None, None) => Err(ReadError::Malformed("there is no element".to_owned())),
    }
}

fn close(done: Element, depth: usize, open: &mut [Element], root: &mut Option<Element>, scopes: &mut Scopes) {
    scopes.leave(depth);
    match open.is_empty() {
        false => Element::adopt(open, done),
        true => *root = Some(done),
    }
}

pub(super) fn element(
    start: &BytesStart<'_>,
    depth: usize,
    after_root: bool,
    scopes: &mut Scopes,
    limits: XmlLimits,
) -> Result<Element, ReadError> {
    if depth >= limits.depth {
        return Err(ReadError::TooDeep(limits.depth));
    }
    if after_root {
        return Err(ReadError::Malformed("there is more than one root element".to_owned()));
    }
    let mut plain = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(malformed)?;
        if plain.len() + scopes.0.len() >= MAX_ATTRIBUTES {
            return Err(ReadError::TooManyAttributes);
        }
        let value = decode(attribute.value.as_ref())?;
        check_characters(&value)?;
        let key = attribute.key.as_ref();
        if value.len() > MAX_NAME && (key.starts_with("xmlns") || key == "xml:lang") {
            return Err(ReadError::Malformed(format!("a namespace or language is longer than {MAX_NAME} octets")));
        }
        match key {
            "xmlns" => scopes.0.push((depth, String::new(), value)),
            // Only the namespace without prefix can be taken back (Namespaces in XML §5).
            key if key.starts_with("xmlns:") && value.is_empty() => {
                return Err(ReadError::Malformed(format!("{key:?} declares no namespace")));
            }
            key => match key.strip_prefix("xmlns:") {
                Some(prefix) => scopes.0.push((depth, prefix.to_owned(), value)),
                None => plain.push((key.to_owned(), value)),
            },
        }
    }
    let name = scopes.name(start.name().as_ref(), true)?;
    let mut attributes: Vec<(Name, String)> = Vec::with_capacity(plain.len());
    for (key, value) in plain {
        let name = scopes.name(&key, false)?;
        // Two prefixes may stand for one namespace (Namespaces in XML §6.3).
        if attributes.iter().any(|(other, _)| *other == name) {
            return Err(ReadError::Malformed(format!("the attribute {name} is there twice")));
        }
        attributes.push((name, value));
    }
    Ok(Element { name, attributes, content: Vec::new() })
}

/// Decodes the references in an attribute's value.
fn decode(value: &str) -> Result<String, ReadError> {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        let reference = &rest[at + 1..];
        let end = reference.find(';').ok_or_else(|| ReadError::Malformed("a reference is not closed".to_owned()))?;
        let name = &reference[..end];
        match name.strip_prefix('#') {
            Some(number) => decoded.push(character(number)?),
            None => decoded.push_str(predefined(name)?),
        }
        rest = &reference[end + 1..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

fn character(number: &str) -> Result<char, ReadError> {
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    let character = code.ok().and_then(char::from_u32).filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'));
    character.ok_or_else(|| ReadError::Malformed(format!("&#{number}; is not a character")))
}

fn predefined(entity: &str) -> Result<&'static str, ReadError> {
    match entity {
        "amp" => Ok("&"),
        "lt" => Ok("<"),
        "gt" => Ok(">"),
        "quot" => Ok("\""),
        "apos" => Ok("'"),
        other => Err(ReadError::Entity(other.chars().take(40).collect())),
    }
}

/// Refuses what is no name (XML 1.0 §2.3): as part of an answer it would end its tag, or begin another one. Letters beyond
/// ASCII are taken without a look at which.
fn check_name(qualified: &str) -> Result<(), ReadError> {
    let is_part =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':') || (!c.is_ascii() && !is_odd(c));
    let starts = |part: &str| part.starts_with(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.' | ':'));
    if qualified.chars().all(is_part) && qualified.split(':').count() <= 2 && qualified.split(':').all(starts) {
        return Ok(());
    }
    Err(ReadError::Malformed(format!("{:?} is not a name", qualified.chars().take(40).collect::<String>())))
}

fn is_odd(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Refuses what XML has no way to write (XML 1.0 §2.2).
fn check_characters(text: &str) -> Result<(), ReadError> {
    let is_none = |c: &char| (*c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    match text.chars().find(is_none) {
        Some(c) => Err(ReadError::Malformed(format!("U+{:04X} is not a character of XML", c as u32))),
        None => Ok(()),
    }
}

pub(super) fn characters(text: &str, open: &mut [Element]) -> Result<(), ReadError> {
    check_characters(text)?;
    if text.is_empty() {
        return Ok(());
    }
    let Some(parent) = open.last_mut() else {
        let blank = text.trim().is_empty();
        return if blank { Ok(()) } else { Err(ReadError::Malformed("text outside the root element".to_owned())) };
    };
    match parent.content.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ => parent.content.push(Node::Text(text.to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits { bytes: 10_000, depth: 8 };

    fn refused(body: &str) -> ReadError {
        parse(body.as_bytes(), LIMITS).unwrap_err()
    }

    #[test]
    fn names_are_resolved_whatever_the_prefix() {
        for body in [
            r#"<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>"#,
            r#"<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:getetag/></D:prop></D:propfind>"#,
            r#"<a:propfind xmlns:a="DAV:"><b:prop xmlns:b="DAV:"><getetag xmlns="DAV:"/></b:prop></a:propfind>"#,
        ] {
            let root = parse(body.as_bytes(), LIMITS).unwrap().unwrap();
            assert!(root.name.is("DAV:", "propfind"), "{body}");
            let prop = root.child("DAV:", "prop").unwrap();
            assert!(prop.child("DAV:", "getetag").is_some(), "{body}");
        }
    }

    #[test]
    fn a_declaration_ends_with_its_element() {
        assert!(matches!(refused(r#"<a><b xmlns:x="urn:x"/><x:c/></a>"#), ReadError::Malformed(_)));
    }

    #[test]
    fn text_is_decoded() {
        let root = parse(b"<a b='1 &lt; &#50;'> x &amp; y<![CDATA[<z>]]>&#x41;</a>", LIMITS).unwrap().unwrap();
        assert_eq!(root.text(), " x & y<z>A");
        assert_eq!(root.attribute("b"), Some("1 < 2"));
    }

    #[test]
    fn an_empty_body_is_no_document() {
        assert_eq!(parse(b"", LIMITS), Ok(None));
        assert_eq!(parse(b" \r\n", LIMITS), Ok(None));
    }

    #[test]
    fn bombs_and_entities_are_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        assert_eq!(refused(bomb), ReadError::Doctype);
        let external = r#"<!DOCTYPE a SYSTEM "http://elsewhere.example/a.dtd"><a/>"#;
        assert_eq!(refused(external), ReadError::Doctype);
        assert_eq!(refused("<a>&file;</a>"), ReadError::Entity("file".to_owned()));
        assert_eq!(refused("<a b='&file;'/>"), ReadError::Entity("file".to_owned()));
        assert_eq!(refused(&"<a>".repeat(9)), ReadError::TooDeep(8));
        assert_eq!(refused(&" ".repeat(10_001)), ReadError::TooLarge(10_000));
        let named = format!("<a xmlns='{}'/>", "x".repeat(300));
        assert!(matches!(refused(&named), ReadError::Malformed(_)));
        let limits = XmlLimits { bytes: 1 << 20, depth: 8 };
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        assert_eq!(parse(many.as_bytes(), limits).unwrap_err(), ReadError::TooManyElements);
        let wide: String = (0..100).map(|i| format!(" a{i}='1'")).collect();
        assert_eq!(refused(&format!("<a{wide}/>")), ReadError::TooManyAttributes);
        let scopes: String = (0..100).map(|i| format!(" xmlns:a{i}='urn:{i}'")).collect();
        assert_eq!(refused(&format!("<a{scopes}/>")), ReadError::TooManyAttributes);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for body in [
            "<a xmlns:x=''/>",
            "<a>",
            "<a></b>",
            "a",
            "<a/><b/>",
            "<a/>x",
            "<a b=c/>",
            "<x:a/>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a b='\u{1}'/>",
            "<a\"b></a\"b>",
            "<1a/>",
            "<a:b:c xmlns:a='urn:x'/>",
            "<x xmlns:a='urn:x' xmlns:b='urn:x' a:c='1' b:c='2'/>",
            "<a>&#0;</a>",
        ] {
            assert!(matches!(refused(body), ReadError::Malformed(_)), "{body}");
        }
        assert!(parse(b"<a>\xff</a>", LIMITS).is_err());
    }
}
