//! PROPPATCH, MKCALENDAR and extended MKCOL bodies (RFC 4918 §9.2, RFC 4791 §5.3.1, RFC 5689).

use super::name::{CALDAV, DAV, Name};
use super::read::{Element, ReadError};

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
        let props = instruction.children(DAV, "prop").flat_map(Element::elements);
        if instruction.name.is(DAV, "set") {
            changes.extend(props.cloned().map(PropChange::Set));
        } else if instruction.name.is(DAV, "remove") {
            changes.extend(props.map(|e| PropChange::Remove(e.name.clone())));
        }
    }
    changes
}
