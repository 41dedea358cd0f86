//! Who may do what with a calendar or an address book, in the form in which JSON tells it (dav §7, §8.1, §13.1). What may be
//! done is decided in `rights` of the server; this is its wording.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::dav::server::rights::{Need, Sight};
use crate::store::{Access, Delegation, Instance, InviteStatus, PublicRight, Tie};

const SHARE: &str = "{DAV:}share";
pub(super) const READ: &str = "{DAV:}read";
pub(super) const WRITE: &str = "{DAV:}write";
const WRITE_PROPERTIES: &str = "{DAV:}write-properties";
const WRITE_CONTENT: &str = "{DAV:}write-content";
const BIND: &str = "{DAV:}bind";
const UNBIND: &str = "{DAV:}unbind";
const READ_ACL: &str = "{DAV:}read-acl";
const ALL: &str = "{DAV:}all";
const FREE_BUSY: &str = "{urn:ietf:params:xml:ns:caldav}read-free-busy";
/// Everybody of the domain.
const AUTHENTICATED: &str = "{DAV:}authenticated";
/// Those who read a person's calendars for them,
const PROXY_READ: &str = "/calendar-proxy-read";
/// and those who write.
const PROXY_WRITE: &str = "/calendar-proxy-write";
/// Privileges that can be everybody's, besides that of reading busy times.
const KNOWN: [&str; 12] = [
    ALL,
    READ,
    WRITE,
    WRITE_CONTENT,
    WRITE_PROPERTIES,
    BIND,
    UNBIND,
    SHARE,
    READ_ACL,
    "{DAV:}write-acl",
    "{DAV:}unlock",
    "{DAV:}read-current-user-privilege-set",
];

/// Whether it is a privilege at all.
pub(super) fn is_privilege(name: &str) -> bool {
    name == FREE_BUSY || KNOWN.contains(&name)
}

/// One entry: who has a privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ace {
    privilege: String,
    principal: String,
    /// Not there in public entries of address books.
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
}

impl Ace {
    pub(super) fn new(privilege: &str, principal: &str) -> Self {
        Self { privilege: privilege.to_owned(), principal: principal.to_owned(), protected: Some(true) }
    }

    /// Whether it is about this principal, or about everybody.
    pub(super) fn concerns(&self, principal: &str) -> bool {
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

impl Invite {
    /// The owner, who is always told first, and everybody to whom it was given; `principal` says whose home it is.
    pub(super) fn all(owner: &str, instances: &[Instance], principal: impl Fn(&Instance) -> String) -> Vec<Self> {
        let owner = Self {
            href: owner.to_owned(),
            principal: owner.to_owned(),
            properties: Named(None),
            access: 1,
            comment: None,
            invite_status: InviteStatus::Accepted.number(),
        };
        let given = |instance: &Instance, given: &Delegation| Self {
            href: given.href.clone(),
            principal: principal(instance),
            properties: Named(given.name.clone()),
            access: given.access.number(),
            comment: None,
            invite_status: given.status.number(),
        };
        let valid = instances.iter().filter_map(|i| Some((i, i.delegation()?)));
        let others = valid.filter(|(_, d)| d.status != InviteStatus::Invalid).map(|(i, d)| given(i, d));
        std::iter::once(owner).chain(others).collect()
    }
}

/// The entries of a calendar at a place. `principal` is whose home it is in.
pub(super) fn of_calendar(sight: &Sight, principal: &str) -> Vec<Ace> {
    let (read, write) = (format!("{principal}{PROXY_READ}"), format!("{principal}{PROXY_WRITE}"));
    let writers = |privilege: &str| [principal, &write].map(|holder| Ace::new(privilege, holder));
    let readers = || [principal, &read, &write].map(|holder| Ace::new(READ, holder));
    let mut entries = Vec::with_capacity(12);
    match sight.instance().map(|instance| &instance.tie) {
        Some(Tie::Subscription { .. }) => {
            entries.extend(writers(ALL));
            entries.push(Ace::new(READ, &read));
            return entries;
        }
        None => {
            [SHARE, WRITE, WRITE_PROPERTIES].iter().for_each(|privilege| entries.extend(writers(privilege)));
            entries.extend(readers());
        }
        Some(Tie::Delegation(given)) => match given.access {
            Access::Administration => {
                entries.extend(readers());
                [WRITE, WRITE_PROPERTIES, READ_ACL, SHARE].iter().for_each(|p| entries.extend(writers(p)));
            }
            Access::ReadWrite => {
                [WRITE, WRITE_PROPERTIES].iter().for_each(|privilege| entries.extend(writers(privilege)));
                entries.extend(readers());
            }
            Access::Read => {
                entries.extend(writers(WRITE_PROPERTIES));
                entries.extend(readers());
            }
            Access::FreeBusy => {}
        },
    }
    let right = sight.public_right.as_ref().map_or(FREE_BUSY, PublicRight::privilege);
    entries.push(Ace::new(right, AUTHENTICATED));
    if right == WRITE {
        entries.push(Ace::new(READ, AUTHENTICATED));
    }
    entries
}

/// The entries of an address book where its owner has it, with those to whom it was given.
pub(super) fn of_own_book(
    sight: &Sight,
    owner: &str,
    instances: &[Instance],
    principal: impl Fn(&Instance) -> String,
) -> Vec<Ace> {
    let mut entries = vec![Ace::new(ALL, owner)];
    for (instance, given) in instances.iter().filter_map(|i| Some((i, i.delegation()?))) {
        let holder = principal(instance);
        if given.access == Access::Administration {
            entries.push(Ace::new(SHARE, &holder));
        }
        entries.extend(of_content(&holder, given.access.writes()));
    }
    let right = sight.public_right.as_ref().map(PublicRight::privilege);
    let public =
        |privilege: &str| Ace { privilege: privilege.to_owned(), principal: AUTHENTICATED.to_owned(), protected: None };
    entries.extend(right.map(public));
    if right == Some(WRITE) {
        entries.push(public(READ));
    }
    entries
}

/// The entries of an address book in the home of somebody who does not own it.
pub(super) fn of_instance_of_book(sight: &Sight, holder: &str) -> Vec<Ace> {
    let (writes, shares) = match sight.instance().map(|instance| &instance.tie) {
        Some(Tie::Delegation(given)) => (given.access.writes(), given.access == Access::Administration),
        Some(Tie::Subscription { .. }) => (sight.grants(Need::WriteContent), false),
        None => (false, false),
    };
    let mut entries = Vec::new();
    if shares {
        entries.push(Ace::new(SHARE, holder));
    }
    entries.extend(of_content(holder, writes));
    entries.push(Ace::new(WRITE_PROPERTIES, holder));
    entries
}

fn of_content(holder: &str, writes: bool) -> Vec<Ace> {
    let written: &[&str] = if writes { &[WRITE_CONTENT, BIND, UNBIND] } else { &[] };
    written.iter().chain(&[READ]).map(|privilege| Ace::new(privilege, holder)).collect()
}
