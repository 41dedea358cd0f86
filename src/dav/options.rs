//! The answer to OPTIONS (dav §1.1): the same for every path, for everybody.

use http::Response;
use http::header::{ALLOW, HeaderName, HeaderValue};

use super::upstream::Body;

pub(super) const DAV: HeaderName = HeaderName::from_static("dav");
const MS_AUTHOR_VIA: HeaderName = HeaderName::from_static("ms-author-via");

/// What this server can do. A feature is named only once it works.
pub(super) const FEATURES: HeaderValue = HeaderValue::from_static(
    "1, 3, extended-mkcol, access-control, calendarserver-principal-property-search, calendar-access, addressbook, \
     calendar-auto-schedule, calendar-availability, calendar-no-timezone",
);

/// What can be asked of it.
const METHODS: HeaderValue = HeaderValue::from_static(
    "OPTIONS, GET, HEAD, POST, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT, ITIP",
);

/// Says which methods and features there are.
pub fn answer() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(DAV, FEATURES);
    headers.insert(MS_AUTHOR_VIA, HeaderValue::from_static("DAV"));
    response
}
