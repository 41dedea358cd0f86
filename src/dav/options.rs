//! The answer to OPTIONS (dav §1.1): for everybody, the same features for every path, and the methods that each can take.

use http::Response;
use http::header::{ALLOW, HeaderName, HeaderValue};

use super::path::Location;
use super::upstream::Body;

pub(super) const DAV: HeaderName = HeaderName::from_static("dav");
const MS_AUTHOR_VIA: HeaderName = HeaderName::from_static("ms-author-via");

/// What this server can do. A feature is named only once it works.
pub(super) const FEATURES: HeaderValue = HeaderValue::from_static(
    "1, 3, extended-mkcol, access-control, calendarserver-principal-property-search, \
     calendarserver-principal-search, calendar-access, calendar-proxy, addressbook, calendar-auto-schedule, \
     calendar-availability, calendar-no-timezone",
);

/// What can be asked of it.
const METHODS: HeaderValue = HeaderValue::from_static(
    "OPTIONS, GET, HEAD, POST, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT, ACL, ITIP",
);
/// What can be asked of places that only hold others.
const BRANCH_METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, ACL");

/// Says which methods and features there are at a path. Nothing is looked up: what is not there may be made.
pub fn answer(path: &str) -> Response<Body> {
    let methods = match Location::parse(path) {
        Some(
            Location::Root
            | Location::Principals
            | Location::PrincipalSet(_)
            | Location::Principal(..)
            | Location::PrincipalPart(..)
            | Location::Homes(_),
        ) => BRANCH_METHODS,
        _ => METHODS,
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, methods);
    headers.insert(DAV, FEATURES);
    headers.insert(MS_AUTHOR_VIA, HeaderValue::from_static("DAV"));
    response
}
