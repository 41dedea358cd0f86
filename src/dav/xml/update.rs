//! PROPPATCH, MKCALENDAR and extended MKCOL bodies (RFC 4918 §9.2, RFC 4791 §5.3.1, RFC 5689).

use super::name::{CALDAV, DAV, Name};
use super::read::{Element, ReadError};
use super::write::XML;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropChange {
    /// Set the property to this element.
    Set(Element),
    /// Remove it.
    Remove(Name),
}

impl PropChange {
    /// Which property it is about.
    pub fn name(&self) -> &Name {
        match self {
            Self::Set(element) => &element.name,
            Self::Remove(name) => name,
        }
    }
}

/// Instructions in the order given.
pub type PropUpdate = Vec<PropChange>;

/// Reads the body of a PROPPATCH.
///
/// # Errors
/// [`ReadError::Unexpected`] when it is not a `propertyupdate` or asks for nothing.
pub fn read_update(body: Option<&Element>) -> Result<PropUpdate, ReadError> {
    let root = body.filter(|root| root.name.is(DAV, "propertyupdate"));
    let root = root.ok_or_else(|| ReadError::unexpected("expected {DAV:}propertyupdate"))?;
    let changes = changes(root);
    if changes.is_empty() {
        return Err(ReadError::unexpected("the propertyupdate asks for nothing"));
    }
    Ok(changes)
}

/// Reads the body of a MKCALENDAR or MKCOL; an empty one sets nothing.
///
/// # Errors
/// [`ReadError::Unexpected`] when it is neither a `mkcalendar` nor a `mkcol`.
pub fn read_creation(body: Option<&Element>) -> Result<PropUpdate, ReadError> {
    match body {
        None => Ok(Vec::new()),
        Some(root) if root.name.is(CALDAV, "mkcalendar") || root.name.is(DAV, "mkcol") => Ok(changes(root)),
        Some(root) => Err(ReadError::unexpected(format!("expected mkcalendar or mkcol, found {}", root.name))),
    }
}

fn changes(root: &Element) -> PropUpdate {
    let mut changes = Vec::new();
    for instruction in root.elements() {
        for prop in instruction.children(DAV, "prop") {
            if instruction.name.is(DAV, "set") {
                let language = [prop, instruction, root].into_iter().find_map(language_of);
                changes.extend(prop.elements().map(|e| PropChange::Set(with_language(e, language))));
            } else if instruction.name.is(DAV, "remove") {
                changes.extend(prop.elements().map(|e| PropChange::Remove(e.name.clone())));
            }
        }
    }
    changes
}

fn language_of(element: &Element) -> Option<&str> {
    element.attributes.iter().find(|(name, _)| name.is(XML, "lang")).map(|(_, value)| value.as_str())
}

/// A property with the language that is in scope where it stands: it belongs to the value (RFC 4918 §4.3).
fn with_language(property: &Element, language: Option<&str>) -> Element {
    let mut property = property.clone();
    if let (None, Some(language)) = (language_of(&property), language) {
        property.attributes.push((Name::new(XML, "lang"), language.to_owned()));
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    #[test]
    fn a_property_keeps_the_language_that_is_in_scope() {
        let body = r#"<propertyupdate xmlns="DAV:" xml:lang="en"><set><prop><a/><b xml:lang="de"/></prop></set>
            <set xml:lang="fr"><prop><c/></prop></set><remove><prop><d/></prop></remove></propertyupdate>"#;
        let root = parse(body.as_bytes(), XmlLimits { bytes: 4096, depth: 8 }).unwrap();
        let update = read_update(root.as_ref()).unwrap();
        let languages = update.iter().map(|change| match change {
            PropChange::Set(element) => language_of(element),
            PropChange::Remove(_) => None,
        });
        assert_eq!(languages.collect::<Vec<_>>(), [Some("en"), Some("de"), Some("fr"), None]);
    }
}
