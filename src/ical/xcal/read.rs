//! xCal to iCalendar.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;
use serde_json::{Map, Value, json};

use super::name::from_xml;
use super::{NAMESPACE, parts_of};
use crate::ical::jcal::{JcalError, from_jcal};
use crate::ical::tree::Component;

/// Levels of nested elements: three for each component within another, and those of a value.
const MAX_DEPTH: usize = 64;

/// Why a text is not xCal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XcalError {
    /// Not XML, or XML with what is never read: document types and entities.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// XML, but not the elements of RFC 6321.
    #[error("{0}")]
    Structure(&'static str),
    /// The elements are there, but not what they should hold.
    #[error(transparent)]
    Content(#[from] JcalError),
}

/// An element of xCal; what is in other namespaces is left out (RFC 6321 §3.6 lets readers ignore it).
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    elements: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Self> {
        self.elements.iter().find(|e| e.name == name)
    }
}

/// Reads an xCal document with one VCALENDAR.
///
/// # Errors
/// [`XcalError`].
pub fn from_xcal(text: &str) -> Result<Component, XcalError> {
    let root = parse(text)?;
    if root.name != "icalendar" {
        return Err(XcalError::Structure("expected an icalendar element"));
    }
    let [calendar] = root.elements.as_slice() else {
        return Err(XcalError::Structure("expected one vcalendar in the icalendar element"));
    };
    Ok(from_jcal(&component(calendar))?)
}

fn component(element: &Element) -> Value {
    let all = |name: &str| element.child(name).map(|e| e.elements.as_slice()).unwrap_or_default();
    let properties: Vec<Value> = all("properties").iter().map(property).collect();
    let components: Vec<Value> = all("components").iter().map(component).collect();
    json!([from_xml(&element.name), properties, components])
}

fn property(element: &Element) -> Value {
    let name = from_xml(&element.name);
    let mut params = Map::new();
    for param in element.child("parameters").map(|e| e.elements.as_slice()).unwrap_or_default() {
        let mut values: Vec<Value> = param.elements.iter().map(|v| scalar(&v.name, v)).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        params.insert(from_xml(&param.name), value);
    }
    let mut values = element.elements.iter().filter(|e| e.name != "parameters").peekable();
    let is_parted = |names: &[&str]| values.clone().all(|e| names.contains(&e.name.as_str()));
    if let Some(names) = parts_of(&name).filter(|names| is_parted(names)) {
        let kind = if name == "geo" { "float" } else { "text" };
        let parts: Vec<Value> = names.iter().filter_map(|n| element.child(n)).map(|e| scalar(kind, e)).collect();
        return json!([name, params, kind, parts]);
    }
    let kind = values.peek().map_or_else(|| "unknown".to_owned(), |first| from_xml(&first.name));
    let mut property = vec![json!(name), Value::Object(params), json!(kind)];
    property.extend(values.map(|e| value(&kind, e)));
    Value::Array(property)
}

fn value(kind: &str, element: &Element) -> Value {
    match kind {
        "recur" if !element.elements.is_empty() => {
            let mut parts: Map<String, Value> = Map::new();
            for part in &element.elements {
                let new = json!(part.text.trim());
                match parts.entry(from_xml(&part.name)) {
                    serde_json::map::Entry::Vacant(free) => {
                        free.insert(new);
                    }
                    serde_json::map::Entry::Occupied(mut taken) => match taken.get_mut() {
                        Value::Array(values) => values.push(new),
                        one => *one = json!([one.take(), new]),
                    },
                }
            }
            Value::Object(parts)
        }
        "period" if !element.elements.is_empty() => {
            Value::Array(element.elements.iter().map(|e| json!(e.text.trim())).collect())
        }
        _ => scalar(kind, element),
    }
}

fn scalar(kind: &str, element: &Element) -> Value {
    match (kind, element.text.trim()) {
        ("boolean", "true" | "1") => json!(true),
        ("boolean", "false" | "0") => json!(false),
        // White space belongs to a text, and to what nobody knows; other values are often indented.
        ("text" | "unknown" | "uri" | "cal-address", _) => json!(element.text),
        (_, trimmed) => json!(trimmed),
    }
}

fn parse(text: &str) -> Result<Element, XcalError> {
    let malformed = |error: &dyn std::fmt::Display| XcalError::Xml(error.to_string().chars().take(200).collect());
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    // `None` stands for an element of another namespace.
    let mut open: Vec<Option<Element>> = Vec::new();
    let mut root = None;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|e| malformed(&e))?;
        let is_ours = matches!(namespace, ResolveResult::Bound(ns) if ns.as_ref() == NAMESPACE);
        let start = |name: &str| is_ours.then(|| Element { name: name.to_ascii_lowercase(), ..Element::default() });
        match event {
            Event::Start(_) if open.len() == MAX_DEPTH => {
                return Err(XcalError::Xml(format!("more than {MAX_DEPTH} elements inside one another")));
            }
            Event::Start(tag) => open.push(start(tag.local_name().as_ref())),
            Event::Empty(tag) => adopt(&mut open, &mut root, start(tag.local_name().as_ref()))?,
            Event::End(_) => {
                if let Some(done) = open.pop() {
                    adopt(&mut open, &mut root, done)?;
                }
            }
            Event::Text(text) => say(&mut open, &text.xml10_content()),
            Event::CData(data) => say(&mut open, &data.xml10_content()),
            Event::GeneralRef(found) => {
                let character = found.resolve_char_ref().map_err(|e| malformed(&e))?;
                match (character, found.into_inner().as_ref()) {
                    (Some(c), _) => say(&mut open, c.encode_utf8(&mut [0; 4])),
                    (None, "amp") => say(&mut open, "&"),
                    (None, "lt") => say(&mut open, "<"),
                    (None, "gt") => say(&mut open, ">"),
                    (None, "quot") => say(&mut open, "\""),
                    (None, "apos") => say(&mut open, "'"),
                    (None, other) => return Err(malformed(&format!("unknown entity {other:?}"))),
                }
            }
            Event::DocType(_) => return Err(XcalError::Xml("document types are not accepted".to_owned())),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match (root, open.is_empty()) {
        (Some(root), true) => Ok(root),
        (_, false) => Err(XcalError::Xml("it breaks off".to_owned())),
        (None, true) => Err(XcalError::Structure("expected an icalendar element")),
    }
}

fn adopt(open: &mut [Option<Element>], root: &mut Option<Element>, done: Option<Element>) -> Result<(), XcalError> {
    match (open.last_mut(), done) {
        (Some(Some(parent)), Some(done)) => parent.elements.push(done),
        (Some(_), _) => {}
        (None, Some(done)) if root.is_none() => *root = Some(done),
        (None, Some(_)) => return Err(XcalError::Xml("there is more than one root element".to_owned())),
        (None, None) => return Err(XcalError::Structure("expected an icalendar element")),
    }
    Ok(())
}

fn say(open: &mut [Option<Element>], text: &str) {
    if let Some(Some(element)) = open.last_mut() {
        element.text.push_str(text);
    }
}
