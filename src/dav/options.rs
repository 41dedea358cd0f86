//! The answer to OPTIONS (dav §1.1): for everybody, the same features for every path but those of plain files, and the methods
//! that each can take.

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
     calendar-availability, calendar-no-timezone, calendar-managed-attachments",
);

/// What it can do with plain files, which alone can be locked.
pub(super) const FILE_FEATURES: HeaderValue = HeaderValue::from_static("1, 2, 3, extended-mkcol, access-control");

/// What can be asked of it.
const METHODS: HeaderValue = HeaderValue::from_static(
    "OPTIONS, GET, HEAD, POST, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT, ACL, ITIP",
);
/// What can be asked of places that only hold others.
const BRANCH_METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, ACL");

/// What can be asked about plain files.
pub(super) const FILE_METHODS: HeaderValue =
    HeaderValue::from_static("OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK");

/// What can be asked about managed attachments.
pub(super) const ATTACHMENT_METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, GET, HEAD");

/// Which part of the server it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Calendars, address books, principals.
    Groupware,
    /// Plain files.
    Files,
    /// Managed attachments (RFC 8607).
    Attachments,
}

impl Area {
    /// The area of a path of the server.
    pub fn of(path: &str) -> Self {
        match Location::parse(path) {
            Some(Location::File { .. } | Location::FileHomes) => Self::Files,
            Some(Location::Attachment { .. }) => Self::Attachments,
            _ => Self::Groupware,
        }
    }

    /// What the server can do there.
    pub(in crate::dav) const fn features(self) -> HeaderValue {
        match self {
            Self::Groupware | Self::Attachments => FEATURES,
            Self::Files => FILE_FEATURES,
        }
    }
}

/// Says which methods and features there are at a path of an area. Nothing is looked up: what is not there may be made.
pub fn answer(path: &str, area: Area) -> Response<Body> {
    let methods = match (area, Location::parse(path)) {
        (Area::Files, _) => FILE_METHODS,
        (Area::Attachments, _) => ATTACHMENT_METHODS,
        (
            Area::Groupware,
            Some(
                Location::Root
                | Location::Principals
                | Location::PrincipalSet(_)
                | Location::Principal(..)
                | Location::PrincipalPart(..)
                | Location::Homes(_),
            ),
        ) => BRANCH_METHODS,
        _ => METHODS,
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, methods);
    headers.insert(DAV, area.features());
    headers.insert(MS_AUTHOR_VIA, HeaderValue::from_static("DAV"));
    response
}
