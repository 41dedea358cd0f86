//! The answer to OPTIONS (dav §1.1): the same for everybody, and for every path but those of plain files.

use http::Response;
use http::header::{ALLOW, HeaderName, HeaderValue};

use super::path::Location;
use super::upstream::Body;

pub(super) const DAV: HeaderName = HeaderName::from_static("dav");
const MS_AUTHOR_VIA: HeaderName = HeaderName::from_static("ms-author-via");

/// What this server can do. A feature is named only once it works.
pub(super) const FEATURES: HeaderValue = HeaderValue::from_static(
    "1, 3, extended-mkcol, access-control, calendarserver-principal-property-search, calendar-access, addressbook, \
     calendar-auto-schedule",
);

/// What it can do with plain files, which alone can be locked.
pub(super) const FILE_FEATURES: HeaderValue = HeaderValue::from_static("1, 2, 3, extended-mkcol, access-control");

/// What can be asked of it.
const METHODS: HeaderValue = HeaderValue::from_static(
    "OPTIONS, GET, HEAD, POST, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT, ITIP",
);

/// What can be asked about plain files.
pub(super) const FILE_METHODS: HeaderValue =
    HeaderValue::from_static("OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK");

/// Which part of the server it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Calendars, address books, principals.
    Groupware,
    /// Plain files.
    Files,
}

impl Area {
    /// The area of a path of the server.
    pub fn of(path: &str) -> Self {
        let is_file = matches!(Location::parse(path), Some(Location::File { .. } | Location::FileHomes));
        if is_file { Self::Files } else { Self::Groupware }
    }

    /// What the server can do there.
    pub(in crate::dav) const fn features(self) -> HeaderValue {
        match self {
            Self::Groupware => FEATURES,
            Self::Files => FILE_FEATURES,
        }
    }
}

/// Says which methods and features there are.
pub fn answer(area: Area) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, if area == Area::Files { FILE_METHODS } else { METHODS });
    headers.insert(DAV, area.features());
    headers.insert(MS_AUTHOR_VIA, HeaderValue::from_static("DAV"));
    response
}
