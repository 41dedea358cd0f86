//! Who may do what with a calendar or an address book, in the form in which JSON tells it (dav §7, §8.1, §13.1).

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

pub(super) const SHARE: &str = "{DAV:}share";
pub(super) const READ: &str = "{DAV:}read";
pub(super) const WRITE: &str = "{DAV:}write";
pub(super) const WRITE_PROPERTIES: &str = "{DAV:}write-properties";
pub(super) const ALL: &str = "{DAV:}all";
pub(super) const FREE_BUSY: &str = "{urn:ietf:params:xml:ns:caldav}read-free-busy";
/// Everybody of the domain.
const AUTHENTICATED: &str = "{DAV:}authenticated";
/// Those who read a person's calendars for them,
const PROXY_READ: &str = "/calendar-proxy-read";
/// and those who write.
const PROXY_WRITE: &str = "/calendar-proxy-write";

/// One entry: who has a privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ace {
    pub(super) privilege: String,
    pub(super) principal: String,
    /// Not there in public entries of address books.
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
}

impl Ace {
    pub(super) fn new(privilege: &str, principal: &str) -> Self {
        Self { privilege: privilege.to_owned(), principal: principal.to_owned(), protected: Some(true) }
    }

    pub(super) fn is_of(&self, principal: &str) -> bool {
        self.principal == principal || self.principal == AUTHENTICATED
    }
}

/// One of those who have a calendar or an address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invite {
    href: String,
    principal: String,
    properties: Named,
    access: i32,
    comment: Option<String>,
    invite_status: i32,
}

impl Invite {
    /// The owner, who is always told first.
    pub(super) fn owner(principal: &str) -> Self {
        Self {
            href: principal.to_owned(),
            principal: principal.to_owned(),
            properties: Named(None),
            access: 1,
            comment: None,
            invite_status: 2,
        }
    }
}

/// The name that an owner wrote for somebody; an empty list where there is none, as PHP writes an empty map.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named(Option<String>);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(name) = &self.0 else { return serializer.collect_seq([(); 0]) };
        let mut out = serializer.serialize_map(Some(1))?;
        out.serialize_entry("{DAV:}displayname", name)?;
        out.end()
    }
}

/// The entries of a calendar as its owner has it.
pub(super) fn of_owned_calendar(principal: &str) -> Vec<Ace> {
    let (read, write) = (format!("{principal}{PROXY_READ}"), format!("{principal}{PROXY_WRITE}"));
    let mut entries = Vec::with_capacity(11);
    for privilege in [SHARE, WRITE, WRITE_PROPERTIES] {
        entries.extend([principal, &write].map(|holder| Ace::new(privilege, holder)));
    }
    entries.extend([principal, &read, &write].map(|holder| Ace::new(READ, holder)));
    entries.push(Ace::new(FREE_BUSY, AUTHENTICATED));
    entries
}

/// The entries of an address book as its owner has it.
pub(super) fn of_owned_book(principal: &str) -> Vec<Ace> {
    vec![Ace::new(ALL, principal)]
}
