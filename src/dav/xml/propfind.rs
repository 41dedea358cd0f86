//! Which properties an answer shall hold (RFC 4918 §9.1, and the same elements in reports).

use std::collections::HashSet;

use super::data::DataRequest;
use super::name::{CALDAV, CARDDAV, DAV, Name};
use super::read::{Element, ReadError};

/// What a client wants to know of each resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All properties that RFC 4918 calls for, and these.
    All(Vec<Name>),
    /// The names of all properties.
    Names,
    /// These properties, each once, in the order asked.
    These(Vec<Name>),
}

/// What a client wants to know of each resource, and how its data shall look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropRequest {
    /// Which properties.
    pub wanted: Wanted,
    /// What `calendar-data` or `address-data` asked for, where it did.
    pub data: Option<DataRequest>,
}

impl PropRequest {
    /// A request for all properties.
    pub fn all() -> Self {
        Self { wanted: Wanted::All(Vec::new()), data: None }
    }

    /// Reads the body of a PROPFIND; an empty one asks for all properties.
    ///
    /// # Errors
    /// [`ReadError::Unexpected`] when it is not a `propfind`.
    pub fn read_propfind(body: Option<&Element>) -> Result<Self, ReadError> {
        let Some(root) = body else { return Ok(Self::all()) };
        if !root.name.is(DAV, "propfind") {
            return Err(ReadError::unexpected(format!("expected {{DAV:}}propfind, found {}", root.name)));
        }
        Self::read_within(root)?
            .ok_or_else(|| ReadError::unexpected("a propfind needs one of prop, allprop and propname"))
    }

    /// Reads the `prop`, `allprop` or `propname` within a report; all properties where there is none.
    ///
    /// # Errors
    /// [`ReadError::Unexpected`] when there is more than one of them, or `calendar-data` makes no sense.
    pub fn read_report(root: &Element) -> Result<Self, ReadError> {
        Ok(Self::read_within(root)?.unwrap_or_else(|| Self { wanted: Wanted::These(Vec::new()), data: None }))
    }

    fn read_within(root: &Element) -> Result<Option<Self>, ReadError> {
        let mut found = None;
        for element in root.elements().filter(|e| e.name.ns == DAV) {
            let request = match element.name.local.as_ref() {
                "prop" => Self::read_prop(element)?,
                "propname" => Self { wanted: Wanted::Names, data: None },
                "allprop" => {
                    let include = root.child(DAV, "include").map(names);
                    Self { wanted: Wanted::All(include.unwrap_or_default()), data: None }
                }
                _ => continue,
            };
            if found.replace(request).is_some() {
                return Err(ReadError::unexpected("only one of prop, allprop and propname may be given"));
            }
        }
        Ok(found)
    }

    fn read_prop(prop: &Element) -> Result<Self, ReadError> {
        let is_data = |e: &&Element| e.name.is(CALDAV, "calendar-data") || e.name.is(CARDDAV, "address-data");
        let data = prop.elements().filter(is_data).last().map(DataRequest::read).transpose()?;
        Ok(Self { wanted: Wanted::These(names(prop)), data })
    }
}

/// The properties that an element names, each once.
fn names(element: &Element) -> Vec<Name> {
    let mut seen = HashSet::new();
    element.elements().map(|property| &property.name).filter(|name| seen.insert(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    fn read(body: &str) -> Result<PropRequest, ReadError> {
        let root = parse(body.as_bytes(), XmlLimits { bytes: 4096, depth: 16 }).unwrap();
        PropRequest::read_propfind(root.as_ref())
    }

    #[test]
    fn an_empty_body_asks_for_everything() {
        assert_eq!(read("").unwrap(), PropRequest::all());
        assert_eq!(read(r#"<propfind xmlns="DAV:"><allprop/></propfind>"#).unwrap(), PropRequest::all());
    }

    #[test]
    fn a_property_asked_for_twice_is_answered_once() {
        let wanted = read(r#"<propfind xmlns="DAV:"><prop><getetag/><getetag/><x/></prop></propfind>"#).unwrap().wanted;
        assert_eq!(wanted, Wanted::These(vec![Name::new(DAV, "getetag"), Name::new(DAV, "x")]));
    }

    #[test]
    fn a_body_that_is_no_propfind_is_refused() {
        assert!(read(r#"<propfind xmlns="DAV:"/>"#).is_err());
        assert!(read(r#"<propfind xmlns="DAV:"><allprop/><propname/></propfind>"#).is_err());
        assert!(read(r#"<propertyupdate xmlns="DAV:"/>"#).is_err());
    }
}
