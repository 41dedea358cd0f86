//! The objects of a collection, read with each octet that the server has.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Method, StatusCode};

use super::account::Found;
use super::answers::{decoded, href, last_segment, property, refusal};
use super::asking::{Asked, Server};
use super::{Item, Kind, TransferError};
use crate::dav::xml::{CALDAV, CARDDAV, DAV, Element, escape_into};

const MEMBERS: &str =
    r#"<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getetag/><d:getcontentlength/></d:prop></d:propfind>"#;
const VCARD_4: HeaderValue = HeaderValue::from_static("text/vcard; version=4.0");

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) href: String,
    /// Octets that it has on the server, where that tells.
    size: Option<usize>,
}

/// Objects, and what became of those that the server lists and does not hand out.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) failures: Vec<String>,
}

/// The objects in a collection.
pub(super) async fn members(server: &Server, found: &Found) -> Result<Vec<Member>, TransferError> {
    let itself = decoded(found.href.trim_end_matches('/'));
    let member = |response: Element| {
        let types = property(&response, DAV, "resourcetype");
        let is_object = types.is_none_or(|types| types.child(DAV, "collection").is_none());
        let size = property(&response, DAV, "getcontentlength").and_then(|size| size.text().trim().parse().ok());
        let href = href(&response).filter(|href| is_object && decoded(href.trim_end_matches('/')) != itself)?;
        Some(Member { href, size })
    };
    server.each_response("PROPFIND", &found.href, "1", MEMBERS.to_owned(), member).await
}

/// Objects of a listing. What is gone meanwhile is left out.
pub(super) async fn page(server: &Server, found: &Found, members: &[Member]) -> Result<Page, TransferError> {
    // Ours is near, so that a request for each costs little, and XML cannot carry each octet.
    let mut texts = if server.is_ours() { HashMap::new() } else { texts_at_once(server, found, members).await? };
    let mut page = Page::default();
    for member in members {
        let text = match texts.remove(&decoded(&member.href)) {
            Some(text) => as_stored(server, found, member, text).await.map(Some),
            None => single(server, found, member).await,
        };
        match text {
            Ok(text) => page.items.extend(text.map(|data| Item { name: last_segment(&member.href), data })),
            Err(error) if ends_all(&error) => return Err(error),
            Err(error) => page.failures.push(error.to_string()),
        }
    }
    Ok(page)
}

/// Whether nothing more can be had from the server, rather than one object not.
fn ends_all(error: &TransferError) -> bool {
    matches!(
        error,
        TransferError::Upstream(_)
            | TransferError::Status {
                status: StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE,
                ..
            }
    )
}

/// By one report, for a server may be far and slow to check a password. Where that fails, be it for one object that XML cannot
/// carry, there are none, and each is asked for by itself.
async fn texts_at_once(
    server: &Server,
    found: &Found,
    members: &[Member],
) -> Result<HashMap<String, String>, TransferError> {
    let (ns, report, data) = match found.collection.kind {
        Kind::Calendar => (CALDAV, "calendar-multiget", "calendar-data"),
        Kind::AddressBook => (CARDDAV, "addressbook-multiget", "address-data"),
    };
    let mut body = format!(r#"<x:{report} xmlns:d="DAV:" xmlns:x="{ns}"><d:prop><x:{data}/></d:prop>"#);
    for member in members {
        body.push_str("<d:href>");
        escape_into(&mut body, &member.href);
        body.push_str("</d:href>");
    }
    body.push_str(&format!("</x:{report}>"));
    let responses = match server.multistatus("REPORT", &found.href, "0", body).await {
        Ok(responses) => responses,
        Err(error) if ends_all(&error) => return Err(error),
        Err(error) => {
            tracing::info!(collection = found.href, %error, "objects are asked for one by one");
            return Ok(HashMap::new());
        }
    };
    let texts = responses.iter().filter_map(|r| Some((decoded(&href(r)?), property(r, ns, data)?.text())));
    Ok(texts.filter(|(_, text)| !text.trim().is_empty()).collect())
}

/// Undoes what the way through XML and through the server may have done to a text, as its size tells: readers of XML turn line
/// ends into others (XML 1.0 §2.11), and servers derived from sabre hand out cards of version 4 as version 3 unless asked.
async fn as_stored(server: &Server, found: &Found, member: &Member, text: String) -> Result<String, TransferError> {
    let Some(size) = member.size else { return Ok(with_line_ends(text)) };
    if text.len() == size {
        return Ok(text);
    }
    let text = with_line_ends(text);
    if text.len() == size || found.collection.kind == Kind::Calendar {
        return Ok(text);
    }
    let four = get(server, &member.href, Some(VCARD_4)).await?;
    Ok(four
        .and_then(|octets| String::from_utf8(octets.to_vec()).ok())
        .filter(|four| four.len() == size)
        .unwrap_or(text))
}

async fn single(server: &Server, found: &Found, member: &Member) -> Result<Option<String>, TransferError> {
    let Some(octets) = get(server, &member.href, None).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&octets).into_owned();
    // Exact as it is where it is ours, and most likely elsewhere.
    if server.is_ours() || text.contains('\r') && found.collection.kind == Kind::Calendar {
        return Ok(Some(text));
    }
    as_stored(server, found, member, text).await.map(Some)
}

/// What is at a path, if there is anything.
pub(super) async fn get(
    server: &Server,
    href: &str,
    accept: Option<HeaderValue>,
) -> Result<Option<Bytes>, TransferError> {
    let mut asked = Asked::new(Method::GET, href);
    asked.headers.extend(accept.map(|accept| (ACCEPT, accept)));
    let answer = server.ask(&asked).await?;
    match answer.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        StatusCode::OK => Ok(Some(answer.into_body())),
        _ => Err(refusal("GET", href, &answer)),
    }
}

/// The line ends of iCalendar and vCard; SOGo leaves away the last one.
fn with_line_ends(text: String) -> String {
    let mut text = if text.contains('\r') { text } else { text.replace('\n', "\r\n") };
    if !text.ends_with('\n') {
        text.push_str("\r\n");
    }
    text
}
