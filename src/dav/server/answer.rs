//! Answers that hold no resource: empty bodies, and the headers every answer has (dav §1.1).

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body::Body as _;

use crate::dav::error::SABREDAV_VERSION;
use crate::dav::options::{Area, DAV};
use crate::dav::path::Space;
use crate::dav::upstream::Body;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const X_SABRE_VERSION: HeaderName = HeaderName::from_static("x-sabre-version");

/// An answer without body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The way from a well-known address to the homes (RFC 6764 §5).
pub(super) fn moved(base: &str, to: Space) -> Response<Body> {
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    if let Ok(target) = HeaderValue::from_str(&format!("{base}/{}", to.segment())) {
        response.headers_mut().insert(LOCATION, target);
    }
    response
}

/// Says that a preference of the client was followed (RFC 7240 §3).
pub(super) fn applied(response: &mut Response<Body>, preference: &'static str) {
    response.headers_mut().append(PREFERENCE_APPLIED, HeaderValue::from_static(preference));
}

/// Adds the headers that every answer has.
pub(super) fn with_server_headers(mut response: Response<Body>, area: Area) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(DAV, area.features());
    headers.insert(X_SABRE_VERSION, HeaderValue::from_static(SABREDAV_VERSION));
    response
}

/// The answer to HEAD: that of GET, with its length and without its body.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|_| !head.headers.contains_key(CONTENT_LENGTH)) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}
