//! Requests that make collections.

use http::Method;

use super::{Collection, Kind, Looks};
use crate::dav::xml::{APPLE, CALDAV, CARDDAV, escape_into};

/// Component types that calendars hold; servers name further ones that say nothing of an object (`VTIMEZONE`, `VPOLL`).
const COMPONENTS: [&str; 5] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"];

/// MKCALENDAR (RFC 4791 §5.3.1) or extended MKCOL (RFC 5689), with all that people set on the collection.
pub(super) fn creation(wanted: &Collection) -> (Method, String) {
    let looks = &wanted.looks;
    let mut body = String::new();
    let (method, root, description) = match wanted.kind {
        Kind::Calendar => ("MKCALENDAR", "c:mkcalendar", "c:calendar-description"),
        Kind::AddressBook => ("MKCOL", "d:mkcol", "a:addressbook-description"),
    };
    body.push_str(&format!(
        r#"<{root} xmlns:d="DAV:" xmlns:c="{CALDAV}" xmlns:a="{CARDDAV}" xmlns:i="{APPLE}"><d:set><d:prop>"#
    ));
    if wanted.kind == Kind::AddressBook {
        body.push_str("<d:resourcetype><d:collection/><a:addressbook/></d:resourcetype>");
    }
    let calendar_only = |value: &Option<String>| value.clone().filter(|_| wanted.kind == Kind::Calendar);
    for (tag, value) in [
        ("d:displayname", looks.name.clone()),
        (description, looks.description.clone()),
        ("i:calendar-color", calendar_only(&looks.color)),
        ("i:calendar-order", calendar_only(&looks.order)),
        ("c:calendar-timezone", calendar_only(&looks.timezone)),
    ] {
        let Some(value) = value else { continue };
        body.push_str(&format!("<{tag}>"));
        escape_into(&mut body, &value);
        body.push_str(&format!("</{tag}>"));
    }
    let known: Vec<&String> = looks.components.iter().filter(|name| COMPONENTS.contains(&name.as_str())).collect();
    if !known.is_empty() && wanted.kind == Kind::Calendar {
        body.push_str("<c:supported-calendar-component-set>");
        for component in known {
            body.push_str("<c:comp name=\"");
            escape_into(&mut body, component);
            body.push_str("\"/>");
        }
        body.push_str("</c:supported-calendar-component-set>");
    }
    body.push_str(&format!("</d:prop></d:set></{root}>"));
    (Method::from_bytes(method.as_bytes()).unwrap_or_default(), body)
}

/// The same without what a server may have another opinion of than the one that it comes from.
pub(super) fn plainer(wanted: &Collection) -> Option<Collection> {
    let looks = &wanted.looks;
    let plain = Looks { name: looks.name.clone(), components: looks.components.clone(), ..Looks::default() };
    (plain != *looks).then(|| Collection { looks: plain, ..wanted.clone() })
}
