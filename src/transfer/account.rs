//! An account on a CalDAV and CardDAV server: found, listed, read and written as any client does it (RFC 4791, 6352, 6764).

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tower::ServiceExt as _;

use super::answers::{
    ANSWER, DEPTH, decoded, found, href, kind_of, last_segment, path_of, property, refusal, said, uid_is_taken_by,
};
use super::{Collection, Item, Kind, TransferError, split};
use crate::dav::path::{MOUNT, push_segment};
use crate::dav::xml::{APPLE, CALDAV, CARDDAV, DAV, Element, Members, XmlLimits, escape_into};
use crate::dav::{Actor, Body, Imported, Upstream};
use crate::ids::Email;

const DEPTH_HEADER: HeaderName = HeaderName::from_static("depth");
/// Keeps a write from sending invitations, also on servers derived from sabre (RFC 6638 §8.1).
const SCHEDULE_REPLY: HeaderName = HeaderName::from_static("schedule-reply");

const DISCOVERY: &str = concat!(
    r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav"><d:prop>"#,
    "<d:resourcetype/><d:current-user-principal/><c:calendar-home-set/><a:addressbook-home-set/></d:prop></d:propfind>"
);
const LISTING: &str = concat!(
    r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="urn:ietf:params:xml:ns:carddav" "#,
    r#"xmlns:i="http://apple.com/ns/ical/"><d:prop><d:resourcetype/><d:owner/><d:displayname/><i:calendar-color/><i:calendar-order/>"#,
    "<c:calendar-description/><a:addressbook-description/><c:calendar-timezone/>",
    "<c:supported-calendar-component-set/></d:prop></d:propfind>"
);
const MEMBERS: &str = r#"<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getetag/></d:prop></d:propfind>"#;

/// A collection and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path on the server, percent-encoded, with a slash at the end.
    pub(super) href: String,
    /// What it is.
    pub collection: Collection,
}

/// What became of an object that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is there now.
    Created,
    /// It took the place of another.
    Replaced,
    /// One of that name or UID was there before, and stays.
    Present,
    /// The server does not take it.
    Refused(String),
}

/// An account on a server.
#[derive(Clone)]
pub struct Account {
    upstream: Upstream,
    actor: Option<Actor>,
    places: Places,
}

#[derive(Debug, Clone, Default)]
struct Places {
    /// The principal, where the server tells.
    principal: Option<String>,
    homes: Vec<(Kind, String)>,
    /// The URL was that of one collection.
    only: Option<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Account {
    /// The account of a person on the server behind us.
    ///
    /// # Errors
    /// [`TransferError`] when it cannot be asked or does not know the person.
    pub async fn of(upstream: Upstream, user: &Email) -> Result<Self, TransferError> {
        Self::found(upstream, Some(Actor::User(user.clone())), "/").await
    }

    /// The account that an upstream is signed in to ([`super::sign_in`]), from any path of it: of a server, a principal, a home,
    /// or of one calendar or address book, which is then all there is.
    ///
    /// # Errors
    /// [`TransferError`] when it cannot be asked, refuses the password, or tells of no calendars there.
    pub async fn at(upstream: Upstream, path: &str) -> Result<Self, TransferError> {
        Self::found(upstream, None, path).await
    }

    async fn found(upstream: Upstream, actor: Option<Actor>, path: &str) -> Result<Self, TransferError> {
        let mut account = Self { upstream, actor, places: Places::default() };
        let mut refused = None;
        for place in [path, "/.well-known/caldav", "/.well-known/carddav"] {
            match account.look_at(place).await {
                Ok(()) => {}
                // Nobody else will let us in either.
                Err(
                    error @ (TransferError::Status { status: StatusCode::UNAUTHORIZED, .. }
                    | TransferError::Upstream(_)),
                ) => {
                    return Err(error);
                }
                Err(error) => drop(refused.get_or_insert(error)),
            }
            let homes = &account.places.homes;
            let has = |kind| homes.iter().any(|(k, _)| *k == kind);
            if account.places.only.is_some() || (has(Kind::Calendar) && has(Kind::AddressBook)) {
                break;
            }
        }
        if account.places.homes.is_empty() && account.places.only.is_none() {
            return Err(refused.unwrap_or_else(|| TransferError::Answer {
                path: path.to_owned(),
                reason: "the server tells of no calendars and no address books here".to_owned(),
            }));
        }
        Ok(account)
    }

    /// Notes what a resource tells: that it is a collection, where the homes are, or who knows.
    async fn look_at(&mut self, place: &str) -> Result<(), TransferError> {
        let mut place = place.to_owned();
        // The resource, then the principal that it names.
        for _ in 0..2 {
            let responses = self.multistatus("PROPFIND", &place, "0", DISCOVERY.to_owned()).await?;
            let Some(response) = responses.first() else { return Ok(()) };
            if kind_of(response).is_some() {
                self.places.only = Some(place);
                return Ok(());
            }
            for (kind, ns, local) in
                [(Kind::Calendar, CALDAV, "calendar-home-set"), (Kind::AddressBook, CARDDAV, "addressbook-home-set")]
            {
                let hrefs = property(response, ns, local).into_iter().flat_map(|set| set.children(DAV, "href"));
                for href in hrefs.map(|href| path_of(&href.text())) {
                    if !self.places.homes.contains(&(kind, href.clone())) {
                        self.places.homes.push((kind, href));
                    }
                }
            }
            let principal = property(response, DAV, "current-user-principal").and_then(|p| p.child(DAV, "href"));
            let principal = principal.map(|href| path_of(&href.text()));
            self.places.principal = principal.clone().or(self.places.principal.take());
            match principal {
                Some(principal) if self.places.homes.is_empty() && principal != place => place = principal,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// The calendars and address books of the account, without those of others that are shown among them.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn collections(&self) -> Result<Vec<Found>, TransferError> {
        if let Some(only) = &self.places.only {
            let responses = self.multistatus("PROPFIND", only, "0", LISTING.to_owned()).await?;
            return Ok(responses.iter().filter_map(found).collect());
        }
        let mut all: Vec<Found> = Vec::new();
        for (kind, home) in &self.places.homes {
            let responses = self.multistatus("PROPFIND", home, "1", LISTING.to_owned()).await?;
            let own = responses.iter().filter(|response| self.is_own(response)).filter_map(found);
            for found in own.filter(|found| found.collection.kind == *kind) {
                // Some servers have one home for both.
                if !all.iter().any(|other| other.href == found.href) {
                    all.push(found);
                }
            }
        }
        Ok(all)
    }

    /// Whether a collection is the person's own, as far as the server tells.
    fn is_own(&self, response: &Element) -> bool {
        let (Some(principal), Some(owner)) = (&self.places.principal, property(response, DAV, "owner")) else {
            return true;
        };
        let owner = owner.child(DAV, "href").map(|href| path_of(&href.text()));
        owner.is_some_and(|owner| decoded(owner.trim_end_matches('/')) == decoded(principal.trim_end_matches('/')))
    }

    /// The paths of the objects in a collection.
    pub(super) async fn members(&self, found: &Found) -> Result<Vec<String>, TransferError> {
        let responses = self.multistatus("PROPFIND", &found.href, "1", MEMBERS.to_owned()).await?;
        let is_object = |response: &&Element| {
            let types = property(response, DAV, "resourcetype");
            types.is_none_or(|types| types.child(DAV, "collection").is_none())
        };
        let hrefs = responses.iter().filter(is_object).filter_map(href);
        Ok(hrefs.filter(|href| href.trim_end_matches('/') != found.href.trim_end_matches('/')).collect())
    }

    /// Objects by their paths. What is gone meanwhile is left out.
    pub(super) async fn items(&self, found: &Found, hrefs: &[String]) -> Result<Vec<Item>, TransferError> {
        if self.actor.is_none() {
            return self.items_at_once(found, hrefs).await;
        }
        // Near, so that a request for each costs little, and XML cannot carry each octet.
        let mut items = Vec::with_capacity(hrefs.len());
        for href in hrefs {
            items.extend(self.get(href).await?.map(|data| Item { name: last_segment(href), data }));
        }
        Ok(items)
    }

    /// By one report, for a server may be far and slow to check a password.
    async fn items_at_once(&self, found: &Found, hrefs: &[String]) -> Result<Vec<Item>, TransferError> {
        let (ns, report, data) = match found.collection.kind {
            Kind::Calendar => (CALDAV, "calendar-multiget", "calendar-data"),
            Kind::AddressBook => (CARDDAV, "addressbook-multiget", "address-data"),
        };
        let mut body = format!(r#"<x:{report} xmlns:d="DAV:" xmlns:x="{ns}"><d:prop><x:{data}/></d:prop>"#);
        for href in hrefs {
            body.push_str("<d:href>");
            escape_into(&mut body, href);
            body.push_str("</d:href>");
        }
        body.push_str(&format!("</x:{report}>"));
        let responses = self.multistatus("REPORT", &found.href, "0", body).await?;
        let texts = responses.iter().filter_map(|r| Some((href(r)?, property(r, ns, data)?.text())));
        let mut texts: HashMap<String, String> = texts.map(|(href, text)| (decoded(&href), text)).collect();
        let mut items = Vec::with_capacity(hrefs.len());
        for href in hrefs {
            let text = match texts.remove(&decoded(href)) {
                Some(text) => Some(with_line_ends(text)),
                None => self.get(href).await?,
            };
            items.extend(text.map(|data| Item { name: last_segment(href), data }));
        }
        Ok(items)
    }

    async fn get(&self, href: &str) -> Result<Option<String>, TransferError> {
        let answer = self.ask(Method::GET, href, Request::new(Body::empty())).await?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            StatusCode::OK => Ok(Some(String::from_utf8_lossy(answer.body()).into_owned())),
            _ => Err(refusal("GET", href, &answer)),
        }
    }

    /// The collection of that kind and name, made where there is none.
    pub(super) async fn find_or_make(&self, wanted: &Collection) -> Result<Found, TransferError> {
        let there = self.collections().await?;
        let same = |found: &&Found| found.collection.kind == wanted.kind && found.collection.uri == wanted.uri;
        if let Some(found) = there.iter().find(same) {
            return Ok(found.clone());
        }
        let home = self.places.homes.iter().find(|(kind, _)| *kind == wanted.kind).map(|(_, home)| home);
        let Some(home) = home else {
            let reason = format!("there is no place for {} here", wanted.kind.folder());
            return Err(TransferError::Answer { path: self.places.only.clone().unwrap_or_default(), reason });
        };
        let mut href = format!("{}/", home.trim_end_matches('/'));
        push_segment(&mut href, &wanted.uri);
        href.push('/');
        let (method, body) = creation(wanted);
        let answer = self.ask(method.clone(), &href, xml(body, None)).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Found { href, collection: wanted.clone() }),
            _ => Err(refusal(method.as_str(), &href, &answer)),
        }
    }

    /// Stores an object, without scheduling anything. Where its name is that of another, it gets one of its own.
    pub(super) async fn put(&self, found: &Found, item: &Item, replace: bool) -> Result<Stored, TransferError> {
        for name in [item.name.clone(), split::name_by_content(found.collection.kind, &item.data)] {
            let mut href = found.href.clone();
            push_segment(&mut href, &name);
            let answer = self.put_at(found, &href, item, true).await?;
            match (answer.status(), uid_is_taken_by(&answer)) {
                (StatusCode::CREATED, _) => return Ok(Stored::Created),
                (StatusCode::NO_CONTENT | StatusCode::OK, _) => return Ok(Stored::Replaced),
                (StatusCode::PRECONDITION_FAILED, _) => match self.is_the_same(found, &href, item).await? {
                    true if replace => return self.replace(found, &href, item).await,
                    true => return Ok(Stored::Present),
                    false => {}
                },
                (status, Some(taken)) => match self.is_the_same(found, &path_of(&taken), item).await? {
                    true if replace => return self.replace(found, &path_of(&taken), item).await,
                    true => return Ok(Stored::Present),
                    false => {
                        return Ok(Stored::Refused(format!("{status}: {taken} has its UID and is something else")));
                    }
                },
                (status, None) if status.is_client_error() => return Ok(Stored::Refused(said(&answer))),
                _ => return Err(refusal("PUT", &href, &answer)),
            }
        }
        Ok(Stored::Refused("the names that it could have are those of others".to_owned()))
    }

    /// Whether what is at a path is a version of the object; also where nothing is there any more.
    async fn is_the_same(&self, found: &Found, href: &str, item: &Item) -> Result<bool, TransferError> {
        let identity = |text: &str| split::identity(found.collection.kind, text);
        Ok(self.get(href).await?.is_none_or(|there| identity(&there) == identity(&item.data)))
    }

    async fn replace(&self, found: &Found, href: &str, item: &Item) -> Result<Stored, TransferError> {
        let answer = self.put_at(found, href, item, false).await?;
        Ok(if answer.status().is_success() { Stored::Replaced } else { Stored::Refused(said(&answer)) })
    }

    async fn put_at(
        &self,
        found: &Found,
        href: &str,
        item: &Item,
        new: bool,
    ) -> Result<Response<Bytes>, TransferError> {
        let mut request = Request::new(Body::from(item.data.clone()));
        let content_type = match found.collection.kind {
            Kind::Calendar => "text/calendar; charset=utf-8",
            Kind::AddressBook => "text/vcard; charset=utf-8",
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(SCHEDULE_REPLY, HeaderValue::from_static("F"));
        if new {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        request.extensions_mut().insert(Imported);
        self.ask(Method::PUT, href, request).await
    }

    async fn multistatus(
        &self,
        method: &str,
        path: &str,
        depth: &'static str,
        body: String,
    ) -> Result<Vec<Element>, TransferError> {
        let name = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let answer = self.ask(name, path, xml(body, Some(depth))).await?;
        if answer.status() != StatusCode::MULTI_STATUS {
            return Err(refusal(method, path, &answer));
        }
        let limits = XmlLimits { bytes: ANSWER, depth: DEPTH };
        let responses = Members::new(&answer.body()[..], limits)
            .filter(|member| member.as_ref().map_or(true, |element| element.name.is(DAV, "response")));
        let wrong =
            |e: crate::dav::xml::ReadError| TransferError::Answer { path: path.to_owned(), reason: e.to_string() };
        responses.collect::<Result<_, _>>().map_err(wrong)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Bytes>, TransferError> {
        let wrong = |reason: String| TransferError::Answer { path: path.to_owned(), reason };
        *request.method_mut() = method;
        *request.uri_mut() = self.inside(path).parse().map_err(|e: http::uri::InvalidUri| wrong(e.to_string()))?;
        if let Some(actor) = &self.actor {
            request.extensions_mut().insert(actor.clone());
        }
        let (head, body) = self.upstream.clone().oneshot(request).await?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.map_err(|e| wrong(e.to_string()))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The server behind us may name its paths as clients of the proxy see them.
    fn inside<'p>(&self, path: &'p str) -> &'p str {
        let below = path.strip_prefix(MOUNT).filter(|below| self.actor.is_some() && below.starts_with('/'));
        below.unwrap_or(path)
    }
}

/// The line ends of iCalendar and vCard, which every reader of XML turns into others (XML 1.0 §2.11).
fn with_line_ends(text: String) -> String {
    if text.contains('\r') { text } else { text.replace('\n', "\r\n") }
}

fn xml(body: String, depth: Option<&'static str>) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    if let Some(depth) = depth {
        headers.insert(DEPTH_HEADER, HeaderValue::from_static(depth));
    }
    request
}

/// MKCALENDAR (RFC 4791 §5.3.1) or extended MKCOL (RFC 5689), with all that people set on the collection.
fn creation(wanted: &Collection) -> (Method, String) {
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
    if !looks.components.is_empty() && wanted.kind == Kind::Calendar {
        body.push_str("<c:supported-calendar-component-set>");
        for component in &looks.components {
            body.push_str("<c:comp name=\"");
            escape_into(&mut body, component);
            body.push_str("\"/>");
        }
        body.push_str("</c:supported-calendar-component-set>");
    }
    body.push_str(&format!("</d:prop></d:set></{root}>"));
    (Method::from_bytes(method.as_bytes()).unwrap_or_default(), body)
}
