//! What can be listened to: calendars, address books, and what concerns a person; with their names on the bus and in frames.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::dav::path::{Space, push_segment};
use crate::ids::Email;

/// Octets of one segment at most.
const MAX_SEGMENT: usize = 1_024;

/// A calendar or an address book, by the two segments that name it. They need not be ids of ours: the DAV server knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    space: Space,
    base: String,
    id: String,
}

impl Place {
    /// `None` where a segment cannot be one, or could not be read back from the bus.
    fn new(space: Space, base: String, id: String) -> Option<Self> {
        let odd = |segment: &str| {
            let forbidden = |c: char| c == '/' || c.is_control();
            segment.len() > MAX_SEGMENT || segment.contains(forbidden) || matches!(segment, "" | "." | "..")
        };
        // The key of the bus is split at the first colon (messaging §4.1).
        (!odd(&base) && !base.contains(':') && !odd(&id)).then_some(Self { space, base, id })
    }

    /// Reads a path of a client: `/calendars/{base}/{id}` or `/addressbooks/{base}/{id}`, percent-encoded as hrefs are.
    /// Further segments are ignored (messaging §5.3).
    pub(super) fn of_href(href: &str) -> Option<Self> {
        let path = href.strip_prefix('/')?;
        let mut segments = path.split('/').filter(|s| !s.is_empty());
        let space = space(segments.next()?)?;
        let mut next = || percent_decode_str(segments.next()?).decode_utf8().ok().map(std::borrow::Cow::into_owned);
        let (base, id) = (next()?, next()?);
        Self::new(space, base, id)
    }

    /// Reads a path of a message, which is not encoded; with or without a slash before it (messaging §1.1).
    pub(super) fn of_message(path: &str) -> Option<Self> {
        let mut segments = path.split('/').filter(|s| !s.is_empty());
        let (space, base, id) = (space(segments.next()?)?, segments.next()?, segments.next()?);
        Self::new(space, base.to_owned(), id.to_owned())
    }

    /// The calendar with the address `{base}/{id}` (messaging §4.2).
    pub(super) fn of_calendar_url(url: &str) -> Option<Self> {
        let (base, id) = url.split_once('/')?;
        Self::new(Space::Calendars, base.to_owned(), id.to_owned())
    }

    /// Whether it is a calendar.
    pub(super) fn is_calendar(&self) -> bool {
        self.space == Space::Calendars
    }

    /// Whose home it is in.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `{base}/{id}`, not encoded.
    pub(super) fn url(&self) -> String {
        format!("{}/{}", self.base, self.id)
    }
}

fn space(segment: &str) -> Option<Space> {
    [Space::Calendars, Space::AddressBooks].into_iter().find(|space| space.segment() == segment)
}

/// The path, encoded as hrefs are.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = format!("/{}/", self.space.segment());
        push_segment(&mut path, &self.base);
        path.push('/');
        push_segment(&mut path, &self.id);
        f.write_str(&path)
    }
}

/// A topic of the bus: a registration key (messaging §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// What happens to a calendar or an address book.
    Place(Place),
    /// What concerns a person: their list of calendars, their alarms, their booking links.
    User(Email),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(Place { space: Space::Calendars, base, id }) => write!(f, "calendar:{base}:{id}"),
            Self::Place(Place { space: Space::AddressBooks, base, id }) => write!(f, "addressbook:{base}:{id}"),
            Self::User(user) => write!(f, "username:{user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(href: &str) -> Option<String> {
        Place::of_href(href).map(|place| place.to_string())
    }

    #[test]
    fn a_path_is_brought_to_its_normal_form() {
        for (href, normal) in [
            ("/calendars/a/b", "/calendars/a/b"),
            ("/calendars/a/b/", "/calendars/a/b"),
            ("/calendars/a/b/event.ics", "/calendars/a/b"),
            ("/addressbooks/a/book", "/addressbooks/a/book"),
            ("/calendars/a/my%20cal%3a", "/calendars/a/my%20cal%3A"),
            ("/calendars/a/my cal", "/calendars/a/my%20cal"),
        ] {
            assert_eq!(shown(href).as_deref(), Some(normal), "{href}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for href in [
            "",
            "/",
            "calendars/a/b",
            "/calendars",
            "/calendars/a",
            "/calendars/a/",
            "/calendarsx/a/b",
            "/principals/users/a",
            "/calendars/../b",
            "/calendars/a/..",
            "/calendars/a/%2e%2e",
            "/calendars/a/x%2Fy",
            "/calendars/a/x%00",
            "/calendars/a/%ff",
            "/calendars/a:b/c",
            "https://example.org/calendars/a/b",
        ] {
            assert_eq!(shown(href), None, "{href}");
        }
        assert_eq!(shown(&format!("/calendars/a/{}", "x".repeat(2_000))), None);
    }

    #[test]
    fn keys_are_written_as_other_nodes_write_them() {
        let place = |path| Key::Place(Place::of_message(path).unwrap()).to_string();
        assert_eq!(place("/calendars/64a1/64a1/x.ics"), "calendar:64a1:64a1");
        assert_eq!(place("/calendars/64a1/a:b/x.ics"), "calendar:64a1:a:b");
        assert_eq!(place("addressbooks/64a1/contacts/c.vcf"), "addressbook:64a1:contacts");
        let user = Key::User("Alice@Example.org".parse().unwrap());
        assert_eq!(user.to_string(), "username:alice@example.org");
    }

    #[test]
    fn a_message_names_places_as_they_are() {
        let place = Place::of_message("/calendars/a/50%/x.ics").unwrap();
        assert_eq!((place.url().as_str(), place.to_string().as_str()), ("a/50%", "/calendars/a/50%25"));
        assert_eq!(Place::of_calendar_url("a/50%"), Some(place));
    }
}
