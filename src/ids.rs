//! The names things have on the wire, each a type of its own: parsed once at the edge, trusted afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct InvalidId {
    /// What was expected, e.g. "an e-mail address".
    pub expected: &'static str,
    /// The text that was given, shortened.
    pub value: String,
}

impl InvalidId {
    fn new(expected: &'static str, value: &str) -> Self {
        Self { expected, value: value.chars().take(80).collect() }
    }
}

/// 96-bit document id, written as 24 lower-case hex digits (MongoDB's ObjectId, which OpenPaaS and esn-sabre use).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 12];
        hex::decode_to_slice(s, &mut bytes).map_err(|_| InvalidId::new("an id of 24 hex digits", s))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub ObjectId);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(s: &str) -> Result<Self, InvalidId> {
                s.parse().map(Self)
            }
        }
    };
}

object_id!(
    /// A user's id: the segment of `/principals/users/{id}`.
    UserId
);
object_id!(
    /// A domain's (tenant's) id.
    DomainId
);
object_id!(
    /// A room's or another resource's id: the segment of `/principals/resources/{id}`.
    ResourceId
);
object_id!(
    /// A team calendar's id: the segment of `/principals/team-calendars/{id}`.
    TeamCalendarId
);
object_id!(
    /// Whose home it is in `/calendars/{home}` and `/addressbooks/{home}`: a user, a resource, a team calendar or a
    /// domain.
    HomeId
);
object_id!(
    /// A calendar's or address book's own id, the same for every instance of it that is shared out. Never in a URL.
    CollectionId
);
object_id!(
    /// A file's or folder's own id, which moves along with it. Never in a URL.
    FileId
);
object_id!(
    /// Something in the trash; a collection has its own id there, too.
    TrashId
);
object_id!(
    /// The id of what is in a file; copies of a file share it.
    ContentId
);

impl From<UserId> for HomeId {
    fn from(id: UserId) -> Self {
        Self(id.0)
    }
}

impl From<ResourceId> for HomeId {
    fn from(id: ResourceId) -> Self {
        Self(id.0)
    }
}

impl From<TeamCalendarId> for HomeId {
    fn from(id: TeamCalendarId) -> Self {
        Self(id.0)
    }
}

impl From<DomainId> for HomeId {
    fn from(id: DomainId) -> Self {
        Self(id.0)
    }
}

/// A domain name, lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let label =
            |l: &str| (1..=63).contains(&l.len()) && l.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let name = s.trim().to_lowercase();
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(InvalidId::new("a domain name", s));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for DomainName {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<DomainName> for String {
    fn from(d: DomainName) -> Self {
        d.0
    }
}

/// A mail address, lower-cased as a whole: the reference compares local parts without regard to case too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after `@`.
    pub fn domain(&self) -> DomainName {
        DomainName(self.0.rsplit_once('@').map_or_else(String::new, |(_, domain)| domain.to_owned()))
    }

    /// Reads a calendar user address: `mailto:` in any case and surrounding angle brackets are taken off
    /// (mail-itip-alarms §0.1).
    ///
    /// # Errors
    /// [`InvalidId`] when what is left is not an address.
    pub fn from_calendar_address(address: &str) -> Result<Self, InvalidId> {
        let bare = address.trim().trim_start_matches('<').trim_end_matches('>');
        let bare = match bare.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &bare[7..],
            _ => bare,
        };
        bare.trim_start_matches('<').trim_end_matches('>').parse()
    }

    /// The address as a calendar user address, `mailto:…`.
    pub fn to_calendar_address(&self) -> String {
        format!("mailto:{}", self.0)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("an e-mail address", s);
        let address = s.trim().to_lowercase();
        let (local, domain) = address.split_once('@').ok_or_else(invalid)?;
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | ',' | ';' | '(' | ')');
        if address.len() > 255 || local.is_empty() || local.contains(odd) {
            return Err(invalid());
        }
        domain.parse::<DomainName>().map_err(|_| invalid())?;
        Ok(Self(address))
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<Email> for String {
    fn from(e: Email) -> Self {
        e.0
    }
}

/// The UID of a calendar object (RFC 5545 §3.8.4.7), compared as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `/calendars/{home}/{calendar}`, decoded (dav §5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CalendarPath {
    /// Whose home the calendar is in.
    pub home: HomeId,
    /// The calendar's segment; equal to the home's id for the default calendar.
    pub calendar: String,
}

impl CalendarPath {
    /// The default calendar of a home.
    pub fn default_of(home: HomeId) -> Self {
        Self { home, calendar: home.to_string() }
    }

    /// An object in this calendar.
    pub fn object(&self, name: &str) -> ObjectPath {
        ObjectPath { calendar: self.clone(), name: name.to_owned() }
    }
}

impl fmt::Display for CalendarPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/calendars/{}/{}", self.home, self.calendar)
    }
}

impl FromStr for CalendarPath {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("a calendar path", s);
        let rest = s.strip_prefix('/').unwrap_or(s).strip_prefix("calendars/").ok_or_else(invalid)?;
        let (home, calendar) = rest.trim_end_matches('/').split_once('/').ok_or_else(invalid)?;
        if calendar.is_empty() || calendar.contains('/') {
            return Err(invalid());
        }
        Ok(Self { home: home.parse()?, calendar: calendar.to_owned() })
    }
}

impl TryFrom<String> for CalendarPath {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<CalendarPath> for String {
    fn from(p: CalendarPath) -> Self {
        p.to_string()
    }
}

/// `/calendars/{home}/{calendar}/{name}`, decoded (dav §5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectPath {
    /// The calendar the object is in.
    pub calendar: CalendarPath,
    /// The object's segment, e.g. `{uid}.ics`.
    pub name: String,
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calendar, self.name)
    }
}

impl FromStr for ObjectPath {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let (calendar, name) = s.rsplit_once('/').ok_or_else(|| InvalidId::new("a calendar object path", s))?;
        if name.is_empty() {
            return Err(InvalidId::new("a calendar object path", s));
        }
        Ok(Self { calendar: calendar.parse()?, name: name.to_owned() })
    }
}

impl TryFrom<String> for ObjectPath {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<ObjectPath> for String {
    fn from(p: ObjectPath) -> Self {
        p.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_addresses_are_read_in_every_spelling() {
        for spelling in
            ["mailto:Bob@Example.org", "MAILTO:bob@example.org", " <mailto:bob@example.org> ", "bob@example.org"]
        {
            assert_eq!(Email::from_calendar_address(spelling).unwrap().as_str(), "bob@example.org", "{spelling}");
        }
    }

    #[test]
    fn addresses_that_could_forge_a_header_are_refused() {
        for bad in
            ["", "bob", "@example.org", "a@b@c", "bob@", "bob@exa mple.org", "bob\r\nBcc: x@example.org", "<b@x>"]
        {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_come_back_as_they_went() {
        let text = "/calendars/6650c0ffee0123456789abcd/work/7c1e.ics";
        let path: ObjectPath = text.parse().unwrap();
        assert_eq!(path.to_string(), text);
        assert_eq!(path.calendar.calendar, "work");
        assert!("/calendars/nobody/work/7c1e.ics".parse::<ObjectPath>().is_err());
        assert!("/calendars/6650c0ffee0123456789abcd/7c1e.ics/".parse::<ObjectPath>().is_err());
    }
}
