//! How much one request may ask for: each property is looked up, and each condition checked, for every object.

use super::name::DAV;
use super::read::{Element, ReadError};

/// What a body may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Properties, asked for or changed.
    pub properties: usize,
    /// Conditions of a filter or a search.
    pub conditions: usize,
}

impl Asked {
    /// Checks the body of a request.
    ///
    /// # Errors
    /// [`ReadError::TooManyConditions`], [`ReadError::Unexpected`] for too many properties.
    pub fn check(self, root: &Element) -> Result<(), ReadError> {
        let mut properties = 0_usize;
        let mut conditions = 0_usize;
        for element in root.elements() {
            match (element.name.ns.as_ref(), element.name.local.as_ref()) {
                (DAV, "prop" | "include") => properties += element.elements().count(),
                (DAV, "set" | "remove") => {
                    properties += element.children(DAV, "prop").map(|prop| prop.elements().count()).sum::<usize>();
                }
                (DAV, "property") => properties += expanded(element),
                (_, "filter" | "property-search") => conditions += nested(element),
                (_, "search-token") => conditions += 1,
                _ => {}
            }
        }
        if properties > self.properties {
            return Err(ReadError::unexpected(format!("more than {} properties at once", self.properties)));
        }
        if conditions > self.conditions {
            return Err(ReadError::TooManyConditions { max: self.conditions, of_calendar: is_calendar(root) });
        }
        Ok(())
    }
}

fn is_calendar(root: &Element) -> bool {
    root.name.ns == super::name::CALDAV
}

/// The elements within another one.
fn nested(element: &Element) -> usize {
    element.elements().map(|inner| 1 + nested(inner)).sum()
}

/// The `property` elements of an expand-property.
fn expanded(element: &Element) -> usize {
    1 + element.children(DAV, "property").map(expanded).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    fn check(body: &str) -> Result<(), ReadError> {
        let limits = XmlLimits { bytes: 1 << 20, depth: 16 };
        Asked { properties: 3, conditions: 2 }.check(&parse(body.as_bytes(), limits).unwrap().unwrap())
    }

    #[test]
    fn properties_and_conditions_are_counted_wherever_they_stand() {
        let props = |n: usize| "<a/>".repeat(n);
        let filter = |n: usize| format!("<C:filter>{}</C:filter>", "<C:comp-filter/>".repeat(n));
        for (root, inner) in [
            ("propfind", format!("<prop>{}</prop>", props(4))),
            ("propfind", format!("<allprop/><include>{}</include>", props(4))),
            (
                "propertyupdate",
                format!("<set><prop>{}</prop></set><remove><prop>{}</prop></remove>", props(2), props(2)),
            ),
            ("expand-property", "<property><property/><property><property/></property></property>".to_owned()),
            ("C:calendar-query", filter(3)),
            ("principal-property-search", "<property-search><prop><a/></prop><match/></property-search>".to_owned()),
            ("C:search", "<C:search-token/>".repeat(3)),
        ] {
            let document =
                |inner: &str| format!("<{root} xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'>{inner}</{root}>");
            assert!(check(&document(&inner)).is_err(), "{root} {inner}");
        }
        assert_eq!(check(&format!("<propfind xmlns='DAV:'><prop>{}</prop></propfind>", props(3))), Ok(()));
        let query =
            format!("<C:calendar-query xmlns:C='urn:ietf:params:xml:ns:caldav'>{}</C:calendar-query>", filter(3));
        assert_eq!(check(&query), Err(ReadError::TooManyConditions { max: 2, of_calendar: true }));
    }
}
