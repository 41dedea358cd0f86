//! Qualified names.

use std::borrow::Cow;
use std::fmt;

/// `DAV:` (RFC 4918).
pub const DAV: &str = "DAV:";
/// sabre/dav's own namespace.
pub const SABRE: &str = "http://sabredav.org/ns";
/// CalDAV (RFC 4791, 6638).
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// CalendarServer's extensions (`getctag`, sharing).
pub const CALENDARSERVER: &str = "http://calendarserver.org/ns/";
/// CardDAV (RFC 6352).
pub const CARDDAV: &str = "urn:ietf:params:xml:ns:carddav";
/// Apple's calendar colour and order.
pub const APPLE: &str = "http://apple.com/ns/ical/";

/// Namespaces that answers declare on their root, with the prefix they have there.
const PREFIXES: [(&str, &str); 5] =
    [(DAV, "d"), (CALDAV, "cal"), (CALENDARSERVER, "cs"), (CARDDAV, "card"), (SABRE, "s")];

/// A namespace and a local name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Namespace URI; empty for none.
    pub ns: Cow<'static, str>,
    /// Local name.
    pub local: Cow<'static, str>,
}

impl Name {
    /// A name known when the program was written.
    pub const fn new(ns: &'static str, local: &'static str) -> Self {
        Self { ns: Cow::Borrowed(ns), local: Cow::Borrowed(local) }
    }

    /// A name that was read.
    pub fn read(ns: &str, local: &str) -> Self {
        let known = PREFIXES.iter().map(|(uri, _)| *uri).chain([APPLE]).find(|uri| *uri == ns);
        Self { ns: known.map_or_else(|| Cow::Owned(ns.to_owned()), Cow::Borrowed), local: Cow::Owned(local.to_owned()) }
    }

    /// Whether it is this one.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.local == local && self.ns == ns
    }

    /// The prefix that every answer declares for its namespace.
    pub fn prefix(&self) -> Option<&'static str> {
        PREFIXES.iter().find(|(uri, _)| *uri == self.ns).map(|(_, prefix)| *prefix)
    }
}

/// Clark notation, `{namespace}local`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}", self.ns, self.local)
    }
}
