//! A multistatus answer as it comes, one response after the other: an answer with a million of them takes no more memory
//! than its largest one.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::read::{Element, ReadError, Scopes, XmlLimits, characters, element, malformed, reference};

/// The elements right below the root, as they are read. Ends after the root's end, or after an error.
pub struct Members<R> {
    reader: Reader<R>,
    limits: XmlLimits,
    scopes: Scopes,
    open: Vec<Element>,
    has_root: bool,
    is_done: bool,
    /// Where the last member ended.
    last_end: u64,
}

impl<R: BufRead> Members<R> {
    /// Reads from here; the limits are for each member.
    pub fn new(input: R, limits: XmlLimits) -> Self {
        let reader = Reader::from_reader(input);
        Self {
            reader,
            limits,
            scopes: Scopes::default(),
            open: Vec::new(),
            has_root: false,
            is_done: false,
            last_end: 0,
        }
    }

    /// The next member; `None` at the end of the document.
    fn read(&mut self) -> Result<Option<Element>, ReadError> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            if self.reader.buffer_position() - self.last_end > self.limits.bytes as u64 {
                return Err(ReadError::TooLarge(self.limits.bytes));
            }
            let depth = self.open.len();
            let after_root = self.has_root && depth == 0;
            let closed = match self.reader.read_event_into(&mut buffer).map_err(malformed)? {
                Event::Start(start) => {
                    self.open.push(element(&start, depth, after_root, &mut self.scopes, self.limits)?);
                    self.has_root = true;
                    None
                }
                Event::Empty(start) => {
                    self.has_root = true;
                    Some(element(&start, depth, after_root, &mut self.scopes, self.limits)?)
                }
                Event::End(_) => self.open.pop(),
                Event::Text(text) => {
                    // Between members there is nothing to keep.
                    if depth > 1 {
                        characters(&text.xml10_content(), &mut self.open)?;
                    }
                    None
                }
                Event::CData(data) => {
                    if depth > 1 {
                        characters(&data.xml10_content(), &mut self.open)?;
                    }
                    None
                }
                Event::GeneralRef(found) => {
                    characters(&reference(found)?, &mut self.open)?;
                    None
                }
                Event::DocType(_) => return Err(ReadError::Doctype),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
                Event::Eof if self.has_root && self.open.is_empty() => return Ok(None),
                Event::Eof => return Err(ReadError::Malformed("it breaks off".to_owned())),
            };
            let Some(done) = closed else { continue };
            self.scopes.leave(self.open.len());
            match self.open.len() {
                0 => {}
                1 => {
                    self.last_end = self.reader.buffer_position();
                    return Ok(Some(done));
                }
                _ => Element::adopt(&mut self.open, done),
            }
        }
    }
}

impl<R: BufRead> Iterator for Members<R> {
    type Item = Result<Element, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.read().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits { bytes: 200, depth: 8 };

    fn members(text: &str) -> Vec<Result<Element, ReadError>> {
        // A byte at a time, as slow connections have it.
        Members::new(std::io::BufReader::with_capacity(1, text.as_bytes()), LIMITS).collect()
    }

    #[test]
    fn members_come_one_by_one_with_the_names_of_the_root() {
        let text = r#"<?xml version="1.0"?>
            <d:multistatus xmlns:d="DAV:"> <d:response><d:href>/a&amp;b</d:href></d:response>
            <d:response xmlns:x="urn:x"><x:y/><d:href><![CDATA[/c]]></d:href></d:response><d:sync-token/></d:multistatus>"#;
        let found: Vec<Element> = members(text).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.iter().take(2).all(|member| member.name.is("DAV:", "response")));
        let href = |n: usize| found[n].child("DAV:", "href").unwrap().text();
        assert_eq!((href(0).as_str(), href(1).as_str()), ("/a&b", "/c"));
        assert!(found[1].child("urn:x", "y").is_some());
    }

    #[test]
    fn what_breaks_off_or_is_too_large_ends_with_an_error() {
        let whole = "<m><r>1</r><r>2</r></m>";
        for end in 1..whole.len() {
            let found = members(&whole[..end]);
            assert!(found.last().unwrap().is_err(), "{}", &whole[..end]);
        }
        let large = format!("<m><r>1</r><r>{}</r></m>", "x".repeat(300));
        assert_eq!(members(&large).last().unwrap(), &Err(ReadError::TooLarge(200)));
        let many = format!("<m>{}</m>", "<r>12345</r>".repeat(100));
        assert_eq!(members(&many).len(), 100, "the limit is for each");
        assert_eq!(members("<!DOCTYPE m><m/>"), [Err(ReadError::Doctype)]);
        assert_eq!(members("<m/>"), []);
    }
}
