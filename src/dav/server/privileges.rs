//! What the actor may do with a resource, as clients read it (RFC 3744 §5.4, dav §7). The order is the reference's.

use super::properties::Resource;
use super::rights::Need;
use crate::dav::xml::Name;
use crate::store::CollectionKind;

const CALENDAR: &[&str] = &[
    "cal:read-free-busy",
    "d:read",
    "d:read-acl",
    "d:read-current-user-privilege-set",
    "d:write-properties",
    "d:write",
    "d:write-content",
    "d:unlock",
    "d:bind",
    "d:unbind",
    "d:write-acl",
    "d:share",
];
const CALENDAR_TO_WRITE: &[&str] = &[
    "cal:read-free-busy",
    "d:read",
    "d:read-acl",
    "d:read-current-user-privilege-set",
    "d:write-properties",
    "d:write",
    "d:write-content",
    "d:unlock",
    "d:bind",
    "d:unbind",
];
const CALENDAR_TO_READ: &[&str] = &["cal:read-free-busy", "d:read", "d:read-acl", "d:read-current-user-privilege-set"];
const BOOK_TO_SHARE: &[&str] =
    &["d:read", "d:share", "d:write-content", "d:bind", "d:unbind", "d:read-acl", "d:read-current-user-privilege-set"];
const BOOK_TO_WRITE: &[&str] =
    &["d:read", "d:write-content", "d:bind", "d:unbind", "d:read-acl", "d:read-current-user-privilege-set"];
const HOME: &[&str] = &[
    "d:write",
    "d:write-properties",
    "d:write-content",
    "d:unlock",
    "d:bind",
    "d:unbind",
    "d:write-acl",
    "d:read",
    "d:read-acl",
    "d:read-current-user-privilege-set",
];
const BOOK: &[&str] = &[
    "d:all",
    "d:read",
    "d:write",
    "d:share",
    "d:write-properties",
    "d:write-content",
    "d:unlock",
    "d:bind",
    "d:unbind",
    "d:write-acl",
    "d:read-acl",
    "d:read-current-user-privilege-set",
];
const INBOX: &[&str] = &[
    "cal:schedule-deliver",
    "cal:schedule-deliver-invite",
    "cal:schedule-deliver-reply",
    "cal:schedule-query-freebusy",
    "d:unbind",
    "d:write-properties",
    "d:read",
    "d:read-acl",
    "d:read-current-user-privilege-set",
];
const OUTBOX: &[&str] = &[
    "d:read",
    "d:read-acl",
    "d:read-current-user-privilege-set",
    "cal:schedule-send",
    "cal:schedule-send-invite",
    "cal:schedule-send-reply",
    "cal:schedule-send-freebusy",
    "cal:schedule-post-vevent",
];
const READ: &[&str] = &["d:read", "d:read-acl", "d:read-current-user-privilege-set"];

/// What the actor, who may read it, may do with a resource. That whoever may read what others gave may name it as they like
/// is left out: clients take it for the right to write (dav §7).
pub(super) fn of(resource: &Resource<'_>, is_owner: bool) -> &'static [&'static str] {
    match resource {
        Resource::Home(..) | Resource::File(_) if is_owner => HOME,
        Resource::Collection(c) | Resource::Object(c, ..) => match c.kind {
            CollectionKind::Calendar if c.grants(Need::Share) => CALENDAR,
            CollectionKind::Calendar if c.grants(Need::WriteContent) => CALENDAR_TO_WRITE,
            CollectionKind::Calendar => CALENDAR_TO_READ,
            CollectionKind::AddressBook if c.is_own() => BOOK,
            CollectionKind::AddressBook if c.grants(Need::Share) => BOOK_TO_SHARE,
            CollectionKind::AddressBook if c.grants(Need::WriteContent) => BOOK_TO_WRITE,
            CollectionKind::AddressBook => READ,
            CollectionKind::Inbox => INBOX,
            CollectionKind::Outbox => OUTBOX,
        },
        _ => READ,
    }
}

/// All privileges of a resource and how they contain each other, as the value of `supported-privilege-set` (RFC 3744
/// §5.3); those of the scheduling collections are of RFC 6638 §6.
pub(super) fn supported(resource: &Resource<'_>) -> String {
    let more = match resource {
        Resource::Collection(c) if c.kind == CollectionKind::Inbox => SUPPORTED_IN_INBOX,
        Resource::Collection(c) if c.kind == CollectionKind::Outbox => SUPPORTED_IN_OUTBOX,
        _ => "",
    };
    format!("<d:supported-privilege><d:privilege><d:all/></d:privilege>{SUPPORTED}{more}</d:supported-privilege>")
}

/// Whether a resource has a privilege of this name.
pub(super) fn is_known(resource: &Resource<'_>, name: &Name) -> bool {
    name.prefix().is_some_and(|prefix| {
        supported(resource).contains(&format!("<d:privilege><{prefix}:{}/></d:privilege>", name.local))
    })
}

const SUPPORTED_IN_INBOX: &str = concat!(
    "<d:supported-privilege><d:privilege><cal:schedule-deliver/></d:privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-deliver-invite/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-deliver-reply/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-query-freebusy/></d:privilege></d:supported-privilege>",
    "</d:supported-privilege>"
);
const SUPPORTED_IN_OUTBOX: &str = concat!(
    "<d:supported-privilege><d:privilege><cal:schedule-send/></d:privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-send-invite/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-send-reply/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-send-freebusy/></d:privilege></d:supported-privilege>",
    "</d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:schedule-post-vevent/></d:privilege></d:supported-privilege>"
);

const SUPPORTED: &str = concat!(
    "<d:supported-privilege><d:privilege><d:read/></d:privilege>",
    "<d:supported-privilege><d:privilege><d:read-acl/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:read-current-user-privilege-set/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><cal:read-free-busy/></d:privilege></d:supported-privilege>",
    "</d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:write/></d:privilege>",
    "<d:supported-privilege><d:privilege><d:write-properties/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:write-content/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:unlock/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:bind/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:unbind/></d:privilege></d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:write-acl/></d:privilege></d:supported-privilege>",
    "</d:supported-privilege>",
    "<d:supported-privilege><d:privilege><d:share/></d:privilege></d:supported-privilege>"
);
