//! Addresses: where in the tree of dav §5 a request points, and how a resource is written as an href.

use std::fmt::Write as _;

use crate::ids::{HomeId, ObjectId, TrashId};
use crate::store::attachments::AttachmentId;
use crate::store::files::FilePath;

/// Where the proxy mounts the tree; what follows is a path of the DAV server (rest-api §16).
pub const MOUNT: &str = "/dav";
/// First segment of plain files.
const FILES: &str = "files";
/// First segment of managed attachments.
const ATTACHMENTS: &str = "attachments";
/// First segment of what was deleted.
const TRASH: &str = "trash";
/// Octets of one decoded segment at most.
const MAX_SEGMENT: usize = 1024;

/// One of the two trees of homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// `/calendars`.
    Calendars,
    /// `/addressbooks`.
    AddressBooks,
}

impl Space {
    /// First segment of its paths.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Calendars => "calendars",
            Self::AddressBooks => "addressbooks",
        }
    }
}

/// What kind of principal it is (dav §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A room or a thing that can be booked.
    Resource,
    /// A calendar of a team.
    TeamCalendar,
    /// All people of a tenant.
    Domain,
}

impl PrincipalKind {
    /// All kinds, in the order in which `/principals/` lists them.
    pub const ALL: [Self; 4] = [Self::User, Self::Resource, Self::TeamCalendar, Self::Domain];

    /// Segment of its collection.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Resource => "resources",
            Self::TeamCalendar => "team-calendars",
            Self::Domain => "domains",
        }
    }
}

/// What a user's principal has below it (calendarserver's caldav-proxy and caldav-notifications).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalPart {
    /// The group of those who may read the user's calendars.
    ProxyRead,
    /// The group of those who may write to the user's calendars.
    ProxyWrite,
    /// The collection of notifications to the user.
    Notifications,
}

impl PrincipalPart {
    /// All parts, in the order in which the principal lists them.
    pub const ALL: [Self; 3] = [Self::ProxyRead, Self::ProxyWrite, Self::Notifications];

    /// Its segment.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::ProxyRead => "calendar-proxy-read",
            Self::ProxyWrite => "calendar-proxy-write",
            Self::Notifications => "notifications",
        }
    }
}

/// A place in the tree. That it can be written down does not mean that something is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// `/`.
    Root,
    /// `/.well-known/caldav` and `/.well-known/carddav` (RFC 6764 §5).
    WellKnown(Space),
    /// `/principals/`.
    Principals,
    /// `/principals/users/` and its like.
    PrincipalSet(PrincipalKind),
    /// `/principals/users/{id}/`.
    Principal(PrincipalKind, ObjectId),
    /// `/principals/users/{id}/calendar-proxy-read/` and its like.
    PrincipalPart(ObjectId, PrincipalPart),
    /// `/calendars/`, `/addressbooks/`.
    Homes(Space),
    /// `/calendars/{home}/`.
    Home(Space, HomeId),
    /// `/calendars/{home}/{uri}/`.
    Collection {
        /// Which tree.
        space: Space,
        /// Whose home.
        home: HomeId,
        /// Segment of the collection, decoded.
        uri: String,
    },
    /// `/calendars/{home}/{uri}/{name}`.
    Member {
        /// Which tree.
        space: Space,
        /// Whose home.
        home: HomeId,
        /// Segment of the collection, decoded.
        uri: String,
        /// Segment of the object, decoded.
        name: String,
    },
    /// `/itip` (dav §11.1).
    Itip,
    /// `/query` (dav §8.2).
    Query,
    /// `/calendars/freebusy` (dav §8.6).
    FreeBusy,
    /// `/files/`.
    FileHomes,
    /// `/files/{home}/` and everything below it.
    File {
        /// Whose home.
        home: HomeId,
        /// Where in it.
        path: FilePath,
    },
    /// `/attachments/{home}/{key}/{name}` (RFC 8607).
    Attachment {
        /// Which.
        id: AttachmentId,
        /// What it is called; says nothing of which it is.
        name: String,
    },
    /// `/trash/{home}/`: what was deleted, and `/trash/{home}/{id}`: one thing of it.
    Trash(HomeId, Option<TrashId>),
}

impl Location {
    /// Reads the path of a request; `None` where nothing can be (an id that is no id, a segment that decodes to nothing
    /// usable). A trailing `/` makes no difference.
    pub fn parse(path: &str) -> Option<Self> {
        let segments = segments(path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let space = |segment| [Space::Calendars, Space::AddressBooks].into_iter().find(|s| s.segment() == segment);
        match *segments.as_slice() {
            [] => Some(Self::Root),
            [".well-known", "caldav"] => Some(Self::WellKnown(Space::Calendars)),
            [".well-known", "carddav"] => Some(Self::WellKnown(Space::AddressBooks)),
            ["itip"] => Some(Self::Itip),
            ["query"] => Some(Self::Query),
            ["calendars", "freebusy"] => Some(Self::FreeBusy),
            [FILES] => Some(Self::FileHomes),
            [FILES, home, ref path @ ..] => {
                let path = FilePath::new(path.iter().map(|&segment| segment.to_owned()).collect());
                Some(Self::File { home: home.parse().ok()?, path })
            }
            [ATTACHMENTS, home, key, name] => {
                let id = AttachmentId::in_home(home.parse().ok()?, key).ok()?;
                Some(Self::Attachment { id, name: name.to_owned() })
            }
            [TRASH, home] => Some(Self::Trash(home.parse().ok()?, None)),
            [TRASH, home, id] => Some(Self::Trash(home.parse().ok()?, Some(id.parse().ok()?))),
            ["principals"] => Some(Self::Principals),
            ["principals", kind, ref rest @ ..] => {
                let kind = PrincipalKind::ALL.into_iter().find(|k| k.segment() == kind)?;
                match *rest {
                    [] => Some(Self::PrincipalSet(kind)),
                    [id] => Some(Self::Principal(kind, id.parse().ok()?)),
                    [id, part] if kind == PrincipalKind::User => {
                        let part = PrincipalPart::ALL.into_iter().find(|p| p.segment() == part)?;
                        Some(Self::PrincipalPart(id.parse().ok()?, part))
                    }
                    _ => None,
                }
            }
            [tree] => Some(Self::Homes(space(tree)?)),
            [tree, home] => Some(Self::Home(space(tree)?, home.parse().ok()?)),
            [tree, home, uri] => {
                Some(Self::Collection { space: space(tree)?, home: home.parse().ok()?, uri: uri.to_owned() })
            }
            [tree, home, uri, name] => {
                let (uri, name) = (uri.to_owned(), name.to_owned());
                Some(Self::Member { space: space(tree)?, home: home.parse().ok()?, uri, name })
            }
            _ => None,
        }
    }

    /// Reads an absolute URL or an absolute path, as in `Destination` and in `href` elements. The host is not looked at:
    /// the same server answers under several names. `base` is the path under which the client sees the root, and is
    /// taken off where it is there.
    pub fn parse_href(href: &str, base: &str) -> Option<Self> {
        let href = href.trim();
        let path = match href.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => href,
        };
        let path = path.split(['?', '#']).next().unwrap_or(path);
        if !path.starts_with('/') {
            return None;
        }
        let below = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        Self::parse(below.unwrap_or(path))
    }

    /// The path, percent-encoded, without the base; collections end in `/`, but for folders, which do not know that they
    /// are some.
    pub fn href(&self) -> String {
        let mut out = String::with_capacity(96);
        match self {
            Self::Root => out.push('/'),
            Self::WellKnown(space) => {
                out.push_str("/.well-known/");
                out.push_str(if *space == Space::Calendars { "caldav" } else { "carddav" });
            }
            Self::Itip => out.push_str("/itip"),
            Self::Query => out.push_str("/query"),
            Self::FreeBusy => out.push_str("/calendars/freebusy"),
            Self::FileHomes => out = format!("/{FILES}/"),
            Self::File { home, path } => {
                out = format!("/{FILES}/{home}/");
                for (n, segment) in path.segments().iter().enumerate() {
                    if n > 0 {
                        out.push('/');
                    }
                    push_segment(&mut out, segment);
                }
            }
            Self::Attachment { id, name } => {
                out = format!("/{ATTACHMENTS}/{}/{}/", id.home(), id.key());
                push_segment(&mut out, name);
            }
            Self::Trash(home, None) => out = format!("/{TRASH}/{home}/"),
            Self::Trash(home, Some(id)) => out = format!("/{TRASH}/{home}/{id}"),
            Self::Principals => out.push_str("/principals/"),
            Self::PrincipalSet(kind) => out = format!("/principals/{}/", kind.segment()),
            Self::Principal(kind, id) => out = format!("/principals/{}/{id}/", kind.segment()),
            Self::PrincipalPart(id, part) => out = format!("/principals/users/{id}/{}/", part.segment()),
            Self::Homes(space) => out = format!("/{}/", space.segment()),
            Self::Home(space, home) => out = format!("/{}/{home}/", space.segment()),
            Self::Collection { space, home, uri } => push_collection(&mut out, *space, *home, uri),
            Self::Member { space, home, uri, name } => {
                push_collection(&mut out, *space, *home, uri);
                push_segment(&mut out, name);
            }
        }
        out
    }
}

/// Decodes the segments of a path. Empty ones are skipped, as nginx before the reference does.
fn segments(path: &str) -> Option<Vec<String>> {
    let mut segments = Vec::with_capacity(4);
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
        let odd = |c: char| c == '/' || c.is_control();
        if decoded.len() > MAX_SEGMENT || decoded.contains(odd) || decoded == "." || decoded == ".." {
            return None;
        }
        segments.push(decoded.into_owned());
    }
    Some(segments)
}

/// Appends `/{space}/{home}/{uri}/`.
pub fn push_collection(out: &mut String, space: Space, home: HomeId, uri: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, "/{}/{home}/", space.segment());
    push_segment(out, uri);
    out.push('/');
}

/// Appends a segment, percent-encoded as sabre/http does.
pub fn push_segment(out: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.~()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "6650c0ffee0123456789abcd";

    #[test]
    fn every_place_comes_back_from_its_href() {
        for path in [
            "/".to_owned(),
            "/.well-known/caldav".to_owned(),
            "/itip".to_owned(),
            "/query".to_owned(),
            "/calendars/freebusy".to_owned(),
            "/principals/".to_owned(),
            "/principals/users/".to_owned(),
            format!("/principals/users/{HOME}/"),
            format!("/principals/users/{HOME}/calendar-proxy-read/"),
            format!("/principals/users/{HOME}/calendar-proxy-write/"),
            format!("/principals/users/{HOME}/notifications/"),
            "/calendars/".to_owned(),
            format!("/calendars/{HOME}/"),
            format!("/calendars/{HOME}/work/"),
            format!("/calendars/{HOME}/work/a%20b%40c.ics"),
            format!("/addressbooks/{HOME}/contacts/x.vcf"),
            "/files/".to_owned(),
            format!("/files/{HOME}/"),
            format!("/files/{HOME}/a%20b/c/d.pdf"),
            format!("/attachments/{HOME}/0123456789abcdef0123456789abcdef/a%20b.pdf"),
        ] {
            assert_eq!(Location::parse(&path).unwrap_or_else(|| panic!("{path}")).href(), path);
        }
    }

    #[test]
    fn segments_are_decoded_once() {
        let parsed = Location::parse(&format!("/calendars/{HOME}/a%20b/%2541.ics")).unwrap();
        let Location::Member { uri, name, .. } = parsed else { panic!("not a member") };
        assert_eq!((uri.as_str(), name.as_str()), ("a b", "%41.ics"));
    }

    #[test]
    fn places_that_cannot_be_are_nowhere() {
        for path in [
            "/calendars/nobody",
            "/calendars/nobody/cal/x.ics",
            "/calendars/6650c0ffee0123456789abcd/cal/x.ics/more",
            "/calendars/6650c0ffee0123456789abcd/../x",
            "/calendars/6650c0ffee0123456789abcd/%2e%2e/x",
            "/calendars/6650c0ffee0123456789abcd/a%2Fb",
            "/calendars/6650c0ffee0123456789abcd/a%00b",
            "/calendars/6650c0ffee0123456789abcd/%ff",
            "/principals/robots",
            "/principals/domains/6650c0ffee0123456789abcd/calendar-proxy-read",
            "/principals/users/6650c0ffee0123456789abcd/calendar-proxy-none",
            "/files/nobody/x",
            "/files/6650c0ffee0123456789abcd/a/../b",
            "/attachments/6650c0ffee0123456789abcd/0123456789abcdef0123456789abcdef",
            "/attachments/6650c0ffee0123456789abcd/97S/a.pdf",
            "/elsewhere",
        ] {
            assert_eq!(Location::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_destination_may_be_a_url_or_a_path_with_or_without_the_base() {
        let here = Location::parse(&format!("/calendars/{HOME}/work/x.ics"));
        for href in [
            format!("/calendars/{HOME}/work/x.ics"),
            format!("https://calendar.example.org/calendars/{HOME}/work/x.ics"),
            format!("https://calendar.example.org:8443/dav/calendars/{HOME}/work/x.ics"),
            format!("/dav/calendars/{HOME}/work/x.ics"),
        ] {
            assert_eq!(Location::parse_href(&href, "/dav"), here, "{href}");
        }
        assert_eq!(Location::parse_href("x.ics", "/dav"), None);
        assert_eq!(Location::parse_href("/davos/x", "/dav"), None);
    }
}
