//! Reads calendars over CalDAV: which ones somebody has, and everything that is in them, as it comes.

use std::io::{self, BufReader, Read};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::dav::path::{Location, MOUNT, Space};
use crate::dav::xml::{CALDAV, CALENDARSERVER, DAV, Element, Members, XmlLimits};
use crate::dav::{Actor, Body, Upstream, UpstreamError};
use crate::ids::{CalendarPath, HomeId, ObjectPath};
use crate::store::User;

/// Octets of a list of calendars.
const LIST: usize = 16 << 20;
/// Nested elements of an answer.
const DEPTH: usize = 32;
/// What XML adds to the octets of an object.
const MARKUP: usize = 64 << 10;
/// Objects and pieces of an answer that wait to be looked at.
const AHEAD: usize = 16;

/// Calendars cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFailure {
    /// The DAV server gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// It gave another answer than hoped for.
    #[error("{path} answers {status}")]
    Status { path: String, status: StatusCode },
    /// Its answer makes no sense, or broke off.
    #[error("{path}: {reason}")]
    Answer { path: String, reason: String },
}

/// A calendar of somebody's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Where it is on the DAV server.
    href: String,
    /// What it is called here.
    pub path: CalendarPath,
}

/// An object of a calendar.
#[derive(Debug)]
pub(super) struct Found {
    pub path: ObjectPath,
    pub data: String,
}

/// Reads as the user whose calendars these are.
#[derive(Clone)]
pub(super) struct Calendars {
    upstream: Upstream,
    object_bytes: usize,
}

impl Calendars {
    pub(super) fn new(upstream: Upstream, object_bytes: usize) -> Self {
        Self { upstream, object_bytes }
    }

    /// The calendars of a user, without those of others that are shown among them.
    pub(super) async fn of(&self, user: &User) -> Result<Vec<Calendar>, ReadFailure> {
        let home = HomeId::from(user.id);
        if let Some(listed) = self.listed(user, home).await? {
            return Ok(listed);
        }
        let place = format!("/calendars/{home}/");
        match self.found_at(user, home, &place).await {
            Err(ReadFailure::Status { status, .. }) if status.is_client_error() => {
                // Another server than ours or esn-sabre: it says itself where the home is.
                let principal = self.property(user, "/", DAV, "current-user-principal").await?;
                let place = self.property(user, &principal, CALDAV, "calendar-home-set").await?;
                self.found_at(user, home, &place).await
            }
            found => found,
        }
    }

    /// The list that esn-sabre gives; it alone tells there what is a user's own. `None` where there is no such list.
    async fn listed(&self, user: &User, home: HomeId) -> Result<Option<Vec<Calendar>>, ReadFailure> {
        let path = format!("/calendars/{home}?personal=true");
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        let answer = self.ask(user, Method::GET, &path, request).await?;
        if answer.status() != StatusCode::OK {
            return Ok(None);
        }
        let Ok(body) = Limited::new(answer.into_body(), LIST).collect().await else { return Ok(None) };
        let Ok(list) = serde_json::from_slice::<Value>(&body.to_bytes()) else { return Ok(None) };
        let Some(calendars) = list["_embedded"]["dav:calendar"].as_array() else { return Ok(None) };
        let hrefs = calendars.iter().filter_map(|calendar| calendar["_links"]["self"]["href"].as_str());
        Ok(Some(hrefs.map(|href| calendar(href.trim_end_matches(".json"), home)).collect()))
    }

    async fn found_at(&self, user: &User, home: HomeId, place: &str) -> Result<Vec<Calendar>, ReadFailure> {
        let body = r#"<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/></d:prop></d:propfind>"#;
        let mut members = self.multistatus(user, "PROPFIND", place, "1", body).await?;
        let mut calendars = Vec::new();
        while let Some(response) = members.next().await {
            let response = response.map_err(|reason| ReadFailure::Answer { path: place.to_owned(), reason })?;
            let Some(types) = property(&response, DAV, "resourcetype") else { continue };
            let is = |ns: &str, local: &str| types.child(ns, local).is_some();
            let of_others = is(CALENDARSERVER, "subscribed") || is(CALENDARSERVER, "shared");
            if let Some(href) = href(&response).filter(|_| is(CALDAV, "calendar") && !of_others) {
                calendars.push(calendar(&href, home));
            }
        }
        Ok(calendars)
    }

    /// Everything in a calendar.
    pub(super) async fn objects(&self, user: &User, calendar: &Calendar) -> Result<Objects, ReadFailure> {
        let body = r#"<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><c:calendar-data/></d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/></c:comp-filter></c:filter></c:calendar-query>"#;
        let members = self.multistatus(user, "REPORT", &calendar.href, "1", body).await?;
        Ok(Objects { members, calendar: calendar.clone() })
    }

    /// The path in a property of a resource.
    async fn property(&self, user: &User, path: &str, ns: &str, local: &str) -> Result<String, ReadFailure> {
        let body = format!(r#"<d:propfind xmlns:d="DAV:"><d:prop><p:{local} xmlns:p="{ns}"/></d:prop></d:propfind>"#);
        let mut members = self.multistatus(user, "PROPFIND", path, "0", &body).await?;
        let answer = |reason: String| ReadFailure::Answer { path: path.to_owned(), reason };
        while let Some(response) = members.next().await {
            let response = response.map_err(answer)?;
            if let Some(found) = property(&response, ns, local).and_then(href) {
                return Ok(below_mount(&found).to_owned());
            }
        }
        Err(answer(format!("it does not tell {local}")))
    }

    async fn multistatus(
        &self,
        user: &User,
        method: &str,
        path: &str,
        depth: &'static str,
        body: &str,
    ) -> Result<Responses, ReadFailure> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = Request::new(Body::from(body.to_owned()));
        let headers = request.headers_mut();
        headers.insert("depth", header::HeaderValue::from_static(depth));
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml; charset=utf-8"));
        let answer = self.ask(user, method, path, request).await?;
        if answer.status() != StatusCode::MULTI_STATUS {
            return Err(ReadFailure::Status { path: path.to_owned(), status: answer.status() });
        }
        Ok(Responses::read(answer.into_body(), self.object_bytes.saturating_mul(2).saturating_add(MARKUP)))
    }

    async fn ask(
        &self,
        user: &User,
        method: Method,
        path: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, ReadFailure> {
        let wrong = |e: http::uri::InvalidUri| ReadFailure::Answer { path: path.to_owned(), reason: e.to_string() };
        *request.uri_mut() = below_mount(path).parse().map_err(wrong)?;
        *request.method_mut() = method;
        request.extensions_mut().insert(Actor::User(user.email().clone()));
        Ok(self.upstream.clone().oneshot(request).await?)
    }
}

/// Objects of a calendar, as they come.
pub(super) struct Objects {
    members: Responses,
    calendar: Calendar,
}

impl Objects {
    /// The next object; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Found, ReadFailure>> {
        loop {
            let response = match self.members.next().await? {
                Ok(response) => response,
                Err(reason) => return Some(Err(ReadFailure::Answer { path: self.calendar.href.clone(), reason })),
            };
            let data = property(&response, CALDAV, "calendar-data").map(Element::text);
            if let Some((href, data)) = href(&response).zip(data) {
                let name = last_segment(&href);
                return Some(Ok(Found { path: self.calendar.path.object(&name), data }));
            }
        }
    }
}

/// A calendar by its address. Where that is none of ours, the user's home and the last segment stand for it.
fn calendar(href: &str, home: HomeId) -> Calendar {
    let path = match Location::parse_href(href, MOUNT) {
        Some(Location::Collection { space: Space::Calendars, home, uri }) => CalendarPath { home, calendar: uri },
        _ => CalendarPath { home, calendar: last_segment(href) },
    };
    Calendar { href: format!("{}/", below_mount(href).trim_end_matches('/')), path }
}

/// A path as the upstream takes it: servers that know where the proxy shows them put that before.
fn below_mount(href: &str) -> &str {
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    };
    path.strip_prefix(MOUNT).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn last_segment(href: &str) -> String {
    let last = href.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

fn href(element: &Element) -> Option<String> {
    element.child(DAV, "href").map(|href| href.text().trim().to_owned())
}

/// A property of a response that the server found.
fn property<'e>(response: &'e Element, ns: &str, local: &str) -> Option<&'e Element> {
    let found = response.children(DAV, "propstat").filter(|propstat| {
        propstat.child(DAV, "status").is_none_or(|status| status.text().split(' ').nth(1) == Some("200"))
    });
    found.filter_map(|propstat| propstat.child(DAV, "prop")).find_map(|prop| prop.child(ns, local))
}

/// Responses of a multistatus, read on a thread of their own as fast as they are taken.
struct Responses(mpsc::Receiver<Result<Element, String>>);

impl Responses {
    fn read(body: Body, bytes: usize) -> Self {
        let (pieces, taken) = mpsc::channel(AHEAD);
        let (responses, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            let mut body = body.into_data_stream();
            while let Some(piece) = body.next().await {
                // Nobody wants the rest.
                if pieces.send(piece.map_err(io::Error::other)).await.is_err() {
                    break;
                }
            }
        });
        tokio::task::spawn_blocking(move || {
            let input = BufReader::new(Pieces { taken, rest: Bytes::new() });
            for member in Members::new(input, XmlLimits { bytes, depth: DEPTH }) {
                let response = member.map_err(|e| e.to_string());
                if responses.blocking_send(response).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    async fn next(&mut self) -> Option<Result<Element, String>> {
        loop {
            match self.0.recv().await? {
                Ok(element) if !element.name.is(DAV, "response") => {}
                response => return Some(response),
            }
        }
    }
}

/// A body for a reader that waits.
struct Pieces {
    taken: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.taken.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendars_are_named_by_our_paths_or_by_the_user() {
        let home: HomeId = "6650c0ffee0123456789abcd".parse().unwrap();
        for (given, href, path) in [
            ("/calendars/6650c0ffee0123456789abcd/work/", "/calendars/6650c0ffee0123456789abcd/work/", "work"),
            (
                "/dav/calendars/6650c0ffee0123456789abcd/my%20work",
                "/calendars/6650c0ffee0123456789abcd/my%20work/",
                "my work",
            ),
            ("http://dav.example.org/dav/alice%40example.org/5f1c/", "/alice%40example.org/5f1c/", "5f1c"),
        ] {
            let calendar = calendar(given, home);
            assert_eq!((calendar.href.as_str(), calendar.path.calendar.as_str()), (href, path), "{given}");
            assert_eq!(calendar.path.home, home);
        }
    }
}
