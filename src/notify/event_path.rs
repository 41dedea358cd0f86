//! Where the recipient's copy of an event is (mail-itip-alarms §0.2, step 7).

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tower::ServiceExt;

use crate::dav::{Actor, Body, Upstream};
use crate::ids::{HomeId, Uid};
use crate::store::User;

/// Escaped in a path segment: all but RFC 3986's unreserved characters and `@`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');
/// Octets of the answer: it holds the whole event.
const MOST: usize = 16 << 20;

/// The path by convention: an object is named by its UID.
pub(super) fn by_convention(home: &str, calendar: &str, uid: &Uid) -> String {
    format!("/calendars/{home}/{calendar}/{}.ics", utf8_percent_encode(&uid.0, SEGMENT))
}

/// Asks the DAV server for the event of that UID in any calendar of a user. `None` when there is none, or when the server
/// cannot tell: the path is only used for links, so that this is no reason to fail.
pub(super) async fn find(upstream: &Upstream, user: &User, uid: &Uid) -> Option<String> {
    let body = serde_json::to_vec(&serde_json::json!({ "uid": uid })).ok()?;
    let mut request = Request::builder()
        .method(Method::from_bytes(b"REPORT").ok()?)
        .uri(format!("/calendars/{}.json", HomeId::from(user.id)))
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .ok()?;
    request.extensions_mut().insert(Actor::User(user.email().clone()));
    let response = upstream.clone().oneshot(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body: Bytes = Limited::new(response.into_body(), MOST).collect().await.ok()?.to_bytes();
    let found: Found = serde_json::from_slice(&body).ok()?;
    found.embedded.items.into_iter().next().map(|item| item.links.own.href)
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "_embedded")]
    embedded: Embedded,
}

#[derive(Deserialize)]
struct Embedded {
    #[serde(rename = "dav:item")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "_links")]
    links: Links,
}

#[derive(Deserialize)]
struct Links {
    #[serde(rename = "self")]
    own: Link,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}
