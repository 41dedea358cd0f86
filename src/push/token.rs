//! The state of a calendar or an address book as somebody sees it: its sync token, or that they may not see it.
//!
//! Asked with PROPFIND of `cs:getctag`, and of `d:sync-token` for servers that have no ctag: the built-in server, esn-sabre
//! and others answer it alike, and on the first two the ctag is the very text that esn-sabre's JSON calls
//! `calendarserver:ctag` or `dav:syncToken`. That JSON the built-in server does not have.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::place::Place;
use crate::dav::xml::{CALENDARSERVER, DAV, Element, XmlLimits, parse};
use crate::dav::{Actor, Body, Upstream};
use crate::ids::Email;

const ASK: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n",
    "<d:propfind xmlns:d=\"DAV:\" xmlns:cs=\"http://calendarserver.org/ns/\">",
    "<d:prop><cs:getctag/><d:sync-token/></d:prop></d:propfind>"
);
const DEPTH: HeaderName = HeaderName::from_static("depth");
/// What an answer of two properties may cost.
const LIMITS: XmlLimits = XmlLimits { bytes: 64 << 10, depth: 32 };

/// Why somebody learns no sync token. The texts are compared by clients (messaging §5.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoToken {
    /// They may not read it.
    #[error("Forbidden")]
    Forbidden,
    /// It does not exist, or they may not know that it does.
    #[error("NotFound")]
    NotFound,
    /// The DAV server cannot tell at the moment; it may later.
    #[error("Internal Error")]
    Away(String),
    /// The DAV server's answer makes no sense.
    #[error("Internal Error")]
    Senseless(String),
}

impl NoToken {
    /// What a client is told.
    pub(super) const fn text(&self) -> &'static str {
        match self {
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::Away(_) | Self::Senseless(_) => "Internal Error",
        }
    }
}

/// Looks sync tokens up, a bounded number at once.
#[derive(Clone)]
pub(super) struct Tokens {
    upstream: Upstream,
    permits: Arc<Semaphore>,
}

impl Tokens {
    /// Asks `upstream` for `at_once` tokens at a time.
    pub(super) fn new(upstream: Upstream, at_once: usize) -> Self {
        Self { upstream, permits: Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// The sync token of a place as the user sees it.
    ///
    /// # Errors
    /// [`NoToken`] says whether that is for want of rights.
    pub(super) async fn of(&self, place: &Place, user: &Email) -> Result<String, NoToken> {
        let _permit = self.permits.acquire().await.map_err(|e| NoToken::Away(e.to_string()))?;
        let mut request = Request::new(Body::from(ASK));
        *request.method_mut() = Method::from_bytes(b"PROPFIND").map_err(|e| NoToken::Senseless(e.to_string()))?;
        *request.uri_mut() = format!("{place}/").parse().map_err(|_| NoToken::NotFound)?;
        request.headers_mut().insert(DEPTH, http::HeaderValue::from_static("0"));
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/xml; charset=utf-8"));
        request.extensions_mut().insert(Actor::User(user.clone()));
        let response = self.upstream.clone().oneshot(request).await.map_err(|e| NoToken::Away(e.to_string()))?;
        match response.status() {
            StatusCode::MULTI_STATUS => {}
            StatusCode::FORBIDDEN => return Err(NoToken::Forbidden),
            StatusCode::NOT_FOUND => return Err(NoToken::NotFound),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(NoToken::Away(format!("the DAV server answers {status}")));
            }
            status => return Err(NoToken::Senseless(format!("the DAV server answers {status}"))),
        }
        let body = Limited::new(response.into_body(), LIMITS.bytes).collect().await;
        token(&body.map_err(|e| NoToken::Away(e.to_string()))?.to_bytes())
    }
}

/// The token in a multistatus answer about one resource.
fn token(body: &Bytes) -> Result<String, NoToken> {
    let root = parse(body, LIMITS).map_err(|e| NoToken::Senseless(e.to_string()))?;
    let response = root.as_ref().and_then(|root| root.child(DAV, "response")).ok_or(NoToken::NotFound)?;
    refused(response)?;
    let mut denied = Ok(());
    let mut found = [None, None];
    for propstat in response.children(DAV, "propstat") {
        denied = denied.and(refused(propstat).or_else(|no| if no == NoToken::Forbidden { Err(no) } else { Ok(()) }));
        let Some(prop) = propstat.child(DAV, "prop") else { continue };
        let text = |ns, local| prop.child(ns, local).map(|e| e.text().trim().to_owned()).filter(|t| !t.is_empty());
        for (place, name) in found.iter_mut().zip([(CALENDARSERVER, "getctag"), (DAV, "sync-token")]) {
            *place = place.take().or_else(|| text(name.0, name.1));
        }
    }
    let [ctag, sync_token] = found;
    // sabre/dav may answer 207 with each property forbidden.
    ctag.or(sync_token).ok_or_else(|| match denied {
        Err(forbidden) => forbidden,
        Ok(()) => NoToken::Senseless("the DAV server names no sync token".to_owned()),
    })
}

/// What a `status` within an element says, where it is no success.
fn refused(element: &Element) -> Result<(), NoToken> {
    let status = element.child(DAV, "status").map(Element::text).unwrap_or_default();
    match status.split_ascii_whitespace().nth(1) {
        Some("403") => Err(NoToken::Forbidden),
        Some("404") => Err(NoToken::NotFound),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(responses: &str) -> Result<String, NoToken> {
        let xml = format!(
            r#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:cs="http://calendarserver.org/ns/">{responses}</d:multistatus>"#
        );
        token(&Bytes::from(xml))
    }

    #[test]
    fn the_token_is_read_as_each_server_writes_it() {
        let sabre = "<d:response><d:href>/calendars/a/b/</d:href><d:propstat><d:prop>\
            <cs:getctag>http://sabre.io/ns/sync/42</cs:getctag><d:sync-token>http://sabre.io/ns/sync/42</d:sync-token>\
            </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>";
        assert_eq!(read(sabre), Ok("http://sabre.io/ns/sync/42".to_owned()));
        let without_ctag = "<d:response><d:href>/x/</d:href>\
            <d:propstat><d:prop><cs:getctag/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>\
            <d:propstat><d:prop><d:sync-token>7</d:sync-token></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
            </d:response>";
        assert_eq!(read(without_ctag), Ok("7".to_owned()));
    }

    #[test]
    fn refusals_are_told_apart() {
        let propstat = |status| {
            read(&format!(
                "<d:response><d:href>/x/</d:href><d:propstat><d:prop><cs:getctag/><d:sync-token/></d:prop>\
                 <d:status>HTTP/1.1 {status}</d:status></d:propstat></d:response>"
            ))
        };
        assert_eq!(propstat("403 Forbidden"), Err(NoToken::Forbidden));
        assert!(matches!(propstat("404 Not Found"), Err(NoToken::Senseless(_))), "it exists, but has no token");
        assert!(matches!(propstat("200 OK"), Err(NoToken::Senseless(_))), "an empty token is none");
        let whole = |status| {
            read(&format!("<d:response><d:href>/x/</d:href><d:status>HTTP/1.1 {status}</d:status></d:response>"))
        };
        assert_eq!(whole("404 Not Found"), Err(NoToken::NotFound));
        assert_eq!(whole("403 Forbidden"), Err(NoToken::Forbidden));
        assert_eq!(read(""), Err(NoToken::NotFound));
        assert!(matches!(token(&Bytes::from_static(b"<html>")), Err(NoToken::Senseless(_))));
    }
}
