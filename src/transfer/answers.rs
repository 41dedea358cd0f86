//! What servers answer, read.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;

use super::account::Found;
use super::{Collection, Kind, Looks, TransferError};
use crate::dav::xml::{APPLE, CALDAV, CALENDARSERVER, CARDDAV, DAV, Element, Node, XmlLimits};

/// Octets of an answer that is held whole.
pub(super) const ANSWER: usize = 256 << 20;
/// Nested elements of an answer.
pub(super) const DEPTH: usize = 64;
/// What a default calendar that nobody named is called by this server and by esn-sabre (dav §2).
const UNNAMED: &str = "#default";
/// Characters of what a server says about a refusal.
const REASON: usize = 300;

/// Whether a collection is shown among the account's own and is somebody else's.
pub(super) fn is_of_others(response: &Element) -> bool {
    let types = property(response, DAV, "resourcetype");
    let is = |local| types.is_some_and(|types| types.child(CALENDARSERVER, local).is_some());
    is("subscribed") || is("shared")
}

/// The collection that a response tells of.
pub(super) fn found(response: &Element) -> Option<Found> {
    let kind = kind_of(response)?;
    let text = |ns, local| {
        let text = property(response, ns, local).map(Element::text);
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let components = property(response, CALDAV, "supported-calendar-component-set");
    let components = components.into_iter().flat_map(|set| set.children(CALDAV, "comp"));
    let looks = Looks {
        name: text(DAV, "displayname").filter(|name| name != UNNAMED),
        description: text(CALDAV, "calendar-description").or_else(|| text(CARDDAV, "addressbook-description")),
        color: text(APPLE, "calendar-color"),
        order: text(APPLE, "calendar-order"),
        timezone: text(CALDAV, "calendar-timezone"),
        components: components.filter_map(|comp| comp.attribute("name").map(str::to_owned)).collect(),
    };
    let href = href(response)?;
    let uri = last_segment(&href);
    Some(Found { href: format!("{}/", href.trim_end_matches('/')), collection: Collection { kind, uri, looks } })
}

pub(super) fn kind_of(response: &Element) -> Option<Kind> {
    let types = property(response, DAV, "resourcetype")?;
    let is = |ns: &str, local: &str| types.child(ns, local).is_some();
    match () {
        () if is(CALDAV, "calendar") => Some(Kind::Calendar),
        () if is(CARDDAV, "addressbook") => Some(Kind::AddressBook),
        () => None,
    }
}

pub(super) fn href(response: &Element) -> Option<String> {
    response.child(DAV, "href").map(|href| path_of(href.text().trim()))
}

/// A property of a response that the server found.
pub(super) fn property<'e>(response: &'e Element, ns: &str, local: &str) -> Option<&'e Element> {
    let found = response.children(DAV, "propstat").filter(|propstat| {
        propstat.child(DAV, "status").is_none_or(|status| status.text().split(' ').nth(1) == Some("200"))
    });
    found.filter_map(|propstat| propstat.child(DAV, "prop")).find_map(|prop| prop.child(ns, local))
}

/// The path of an href, which may be a whole URL.
pub(super) fn path_of(href: &str) -> String {
    let href = href.trim();
    match href.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some() => uri.path().to_owned(),
        _ => href.to_owned(),
    }
}

pub(super) fn decoded(href: &str) -> String {
    percent_decode_str(href).decode_utf8_lossy().into_owned()
}

pub(super) fn last_segment(href: &str) -> String {
    decoded(href.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
}

/// The object that has the UID already (RFC 4791 §5.3.2.1, RFC 6352 §6.3.2.1).
pub(super) fn uid_is_taken_by(answer: &Response<Bytes>) -> Option<String> {
    if answer.status().is_success() {
        return None;
    }
    let limits = XmlLimits { bytes: ANSWER, depth: DEPTH };
    let error = crate::dav::xml::parse(answer.body(), limits).ok().flatten()?;
    let conflict = [CALDAV, CARDDAV].into_iter().find_map(|ns| error.child(ns, "no-uid-conflict"))?;
    conflict.child(DAV, "href").map(Element::text)
}

pub(super) fn refusal(method: &str, path: &str, answer: &Response<Bytes>) -> TransferError {
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let reason = match (reason(answer), location) {
        (_, Some(to)) if answer.status().is_redirection() => {
            format!(", that is {to}; a password is not taken along to another server: where that one is right, give its URL")
        }
        (_, _) if answer.status() == StatusCode::UNAUTHORIZED => {
            ": the user name or the password is wrong; where signing in has a second step, the server wants an app password"
                .to_owned()
        }
        (reason, _) if reason.is_empty() => reason,
        (reason, _) => format!(": {reason}"),
    };
    TransferError::Status { method: method.to_owned(), path: path.to_owned(), status: answer.status(), reason }
}

pub(super) fn said(answer: &Response<Bytes>) -> String {
    match reason(answer) {
        reason if reason.is_empty() => answer.status().to_string(),
        reason => format!("{}: {reason}", answer.status()),
    }
}

/// What a server says about a refusal, on one line.
fn reason(answer: &Response<Bytes>) -> String {
    let limits = XmlLimits { bytes: ANSWER, depth: DEPTH };
    let text = match crate::dav::xml::parse(answer.body(), limits) {
        Ok(Some(error)) => texts(&error),
        _ => String::new(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON).collect()
}

fn texts(element: &Element) -> String {
    let mut all = String::new();
    for node in &element.content {
        match node {
            Node::Text(text) => all.push_str(text),
            Node::Element(inner) if inner.content.is_empty() => all.push_str(&inner.name.local),
            Node::Element(inner) => all.push_str(&texts(inner)),
        }
        all.push(' ');
    }
    all
}
