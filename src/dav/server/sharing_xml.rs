//! POST of XML to a calendar or an address book: sharing it, and answering what was shared, in the forms of the WebDAV
//! sharing draft (`application/davsharing+xml`) and of calendarserver (dav §9).

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::sharing::{Sharee, Wish};
use super::store_props::{Moment, apply};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALENDARSERVER, DAV, Element, PropChange, PropUpdate};
use crate::store::{Access, CollectionKind, CollectionProps, InviteStatus};

const X_SABRE_STATUS: HeaderName = HeaderName::from_static("x-sabre-status");
const ALL_WELL: HeaderValue = HeaderValue::from_static("everything-went-well");

/// What a body asks for.
#[derive(Debug, PartialEq)]
enum Wanted {
    Share(Vec<Sharee>),
    Reply(InviteStatus),
}

impl Wanted {
    fn read(root: &Element) -> Result<Self, DavError> {
        match (root.name.ns.as_ref(), root.name.local.as_ref()) {
            (DAV, "share-resource") => {
                root.children(DAV, "sharee").map(sharee).collect::<Result<_, _>>().map(Self::Share)
            }
            (CALENDARSERVER, "share") => {
                let given = root.children(CALENDARSERVER, "set").map(given);
                let taken = root
                    .children(CALENDARSERVER, "remove")
                    .map(|remove| Ok(Sharee { href: href_of(remove)?, access: None, name: None }));
                given.chain(taken).collect::<Result<_, _>>().map(Self::Share)
            }
            (DAV | CALENDARSERVER, "invite-reply") => {
                let says = |word| root.elements().any(|e| e.name.is(&root.name.ns, word));
                match (says("invite-accepted"), says("invite-declined"), says("invite-noresponse")) {
                    (true, false, false) => Ok(Self::Reply(InviteStatus::Accepted)),
                    (false, true, false) => Ok(Self::Reply(InviteStatus::Declined)),
                    (false, false, true) => Ok(Self::Reply(InviteStatus::NoResponse)),
                    _ => Err(DavError::bad_request("An invite-reply accepts or declines")),
                }
            }
            _ => Err(DavError::bad_request(format!("{} is nothing that can be posted here", root.name))),
        }
    }
}

/// A `sharee` of the WebDAV sharing draft.
fn sharee(element: &Element) -> Result<Sharee, DavError> {
    let words = element.child(DAV, "share-access").into_iter().flat_map(Element::elements);
    let word = words.filter(|e| e.name.ns == DAV).map(|e| e.name.local.to_string()).next();
    let access = match word.as_deref() {
        Some("no-access") => None,
        Some(word) => Some(Access::of_word(word).ok_or_else(|| unknown(word))?),
        None => return Err(DavError::bad_request("A sharee needs a share-access")),
    };
    let name = element.child(DAV, "prop").and_then(|prop| prop.child(DAV, "displayname")).map(Element::text);
    Ok(Sharee { href: href_of(element)?, access, name: name.filter(|name| !name.trim().is_empty()) })
}

/// A `set` of calendarserver: the widest right that it names.
fn given(element: &Element) -> Result<Sharee, DavError> {
    let by_width = [Access::Administration, Access::ReadWrite, Access::Read, Access::FreeBusy];
    let has = |access: &Access| element.child(CALENDARSERVER, access.word()).is_some();
    let access = by_width.into_iter().find(has);
    let access = access.ok_or_else(|| DavError::bad_request("A set needs cs:read or cs:read-write"))?;
    let name = element.child(CALENDARSERVER, "common-name").map(Element::text);
    Ok(Sharee { href: href_of(element)?, access: Some(access), name: name.filter(|name| !name.trim().is_empty()) })
}

fn href_of(element: &Element) -> Result<String, DavError> {
    let href = element.child(DAV, "href").map(Element::text).unwrap_or_default();
    match href.trim() {
        "" => Err(DavError::bad_request("A sharee needs an href")),
        href => Ok(href.to_owned()),
    }
}

fn unknown(word: &str) -> DavError {
    DavError::bad_request(format!("{word} is no right that can be shared"))
}

/// The source that a new collection of the type `subscribed` names (calendarserver's subscriptions); `None` for one of
/// another type.
pub(super) fn wanted_source(update: &PropUpdate) -> Option<String> {
    let set = || {
        update.iter().filter_map(|change| match change {
            PropChange::Set(element) => Some(element),
            PropChange::Remove(_) => None,
        })
    };
    let mut types = set().filter(|element| element.name.is(DAV, "resourcetype"));
    types.find(|element| element.child(CALENDARSERVER, "subscribed").is_some())?;
    let source = set().find(|element| element.name.is(CALENDARSERVER, "source"));
    Some(source.and_then(|element| element.child(DAV, "href")).map(Element::text).unwrap_or_default())
}

impl Call {
    /// Makes a subscription at the location of the request.
    pub(super) async fn make_subscription(
        &self,
        update: &PropUpdate,
        source: &str,
    ) -> Result<Response<Body>, DavError> {
        let Location::Collection { space, home, ref uri } = self.location else {
            return Err(DavError::no_node(&self.path));
        };
        let kind = match space {
            Space::Calendars => CollectionKind::Calendar,
            Space::AddressBooks => CollectionKind::AddressBook,
        };
        let source = Location::parse_href(source, &self.inner().settings.base);
        let Some(source @ Location::Collection { .. }) = source else {
            return Err(DavError::forbidden("Only calendars and address books of this server can be subscribed to")
                .because(Condition::Empty("d:valid-resourcetype")));
        };
        let mut props = CollectionProps::default();
        let room = self.inner().settings.limits.xml_bytes;
        for change in update.iter().filter(|change| !change.name().is(CALENDARSERVER, "source")) {
            // What cannot be set on a subscription is left out, as the reference does.
            if apply(&mut props, kind, change, Moment::Creation, room).is_err() {
                tracing::debug!(property = %change.name(), "a subscription has no such property");
            }
        }
        self.subscribe(Wish { home, uri: uri.clone(), source, props }).await?;
        Ok(answer::empty(StatusCode::CREATED))
    }

    /// Shares a collection, or answers what was shared.
    pub(super) async fn post_sharing(mut self) -> Result<Response<Body>, DavError> {
        let Location::Collection { space, home, ref uri } = self.location else {
            return Err(DavError::not_implemented(&self.method));
        };
        let uri = uri.clone();
        let target = self.server.sight(&self.who, space, home, &uri).await?;
        if matches!(target.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
            return Err(DavError::not_implemented(&self.method));
        }
        let root = self.xml().await?.ok_or_else(|| DavError::bad_request("There is nothing in the body"))?;
        // The body may take its time: what may be done is what may be done when it is there.
        let target = self.server.sight(&self.who, space, home, &uri).await?;
        match Wanted::read(&root)? {
            Wanted::Share(sharees) => self.share(&target, &sharees).await?,
            Wanted::Reply(status) => self.invite_reply(&target, status, None).await?,
        }
        let mut response = answer::empty(StatusCode::OK);
        response.headers_mut().insert(X_SABRE_STATUS, ALL_WELL);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    fn read(xml: &str) -> Result<Wanted, StatusCode> {
        let limits = XmlLimits { bytes: 10_000, depth: 10 };
        let root = parse(xml.as_bytes(), limits).unwrap().unwrap();
        Wanted::read(&root).map_err(|error| error.status)
    }

    #[test]
    fn both_forms_say_the_same() {
        let draft = read(
            "<d:share-resource xmlns:d=\"DAV:\"><d:sharee><d:href>mailto:bob@example.org</d:href><d:prop>\
             <d:displayname>Bob</d:displayname></d:prop><d:share-access><d:read-write/></d:share-access></d:sharee>\
             <d:sharee><d:href>mailto:carol@example.org</d:href><d:share-access><d:no-access/></d:share-access>\
             </d:sharee></d:share-resource>",
        );
        let calendarserver = read(
            "<cs:share xmlns:cs=\"http://calendarserver.org/ns/\" xmlns:d=\"DAV:\"><cs:set><d:href>mailto:bob@example.org\
             </d:href><cs:summary>x</cs:summary><cs:common-name>Bob</cs:common-name><cs:read-write/></cs:set><cs:remove>\
             <d:href>mailto:carol@example.org</d:href></cs:remove></cs:share>",
        );
        let sharee = |who: &str, access, name: Option<&str>| Sharee {
            href: format!("mailto:{who}@example.org"),
            access,
            name: name.map(str::to_owned),
        };
        let expected = vec![sharee("bob", Some(Access::ReadWrite), Some("Bob")), sharee("carol", None, None)];
        assert_eq!(draft, Ok(Wanted::Share(expected.clone())));
        assert_eq!(calendarserver, Ok(Wanted::Share(expected)));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for body in [
            "<d:share-resource xmlns:d=\"DAV:\"><d:sharee><d:href>mailto:a@example.org</d:href></d:sharee></d:share-resource>",
            "<d:share-resource xmlns:d=\"DAV:\"><d:sharee><d:share-access><d:read/></d:share-access></d:sharee></d:share-resource>",
            "<d:share-resource xmlns:d=\"DAV:\"><d:sharee><d:href>mailto:a@example.org</d:href><d:share-access><d:all/>\
             </d:share-access></d:sharee></d:share-resource>",
            "<cs:share xmlns:cs=\"http://calendarserver.org/ns/\"><cs:set/></cs:share>",
            "<cs:invite-reply xmlns:cs=\"http://calendarserver.org/ns/\"/>",
            "<d:propfind xmlns:d=\"DAV:\"/>",
        ] {
            assert_eq!(read(body), Err(StatusCode::BAD_REQUEST), "{body}");
        }
    }
}
