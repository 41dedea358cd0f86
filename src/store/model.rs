//! What the store keeps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::upkeep::{HomeRoom, Trashed};
use super::{Instance, PublicRight};
use crate::events::Message;
use crate::ids::{CollectionId, DomainId, DomainName, Email, HomeId, TrashId, Uid, UserId};

/// What kind of collection it is. Calendars and scheduling collections share one name space of a home, address books have
/// their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CollectionKind {
    /// `/calendars/{home}/{uri}`.
    Calendar,
    /// `/calendars/{home}/inbox` (RFC 6638 §2.2).
    Inbox,
    /// `/calendars/{home}/outbox` (RFC 6638 §2.1).
    Outbox,
    /// `/addressbooks/{home}/{uri}`.
    AddressBook,
}

/// A collection as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Its own id.
    pub id: CollectionId,
    /// Whose home it is in.
    pub home: HomeId,
    /// What it is.
    pub kind: CollectionKind,
    /// Its segment in the URL; equal to the home's id for the default calendar.
    pub uri: String,
    /// What people set on it.
    pub props: CollectionProps,
    /// Number of the last change (dav §6.2): 1 for a new collection, one more for each change. A collection that takes
    /// the path of a deleted one counts on from there, so that a token is never issued twice for a path.
    pub sync_token: u64,
    /// What everybody of the domain may do with it.
    pub public_right: Option<PublicRight>,
}

impl Collection {
    /// Whether it is the home's default calendar.
    pub fn is_default(&self) -> bool {
        self.kind == CollectionKind::Calendar && self.uri == self.home.to_string()
    }
}

/// The properties people set on a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectionProps {
    /// `{DAV:}displayname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// `{urn:ietf:params:xml:ns:caldav}calendar-description`, or that of an address book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `{urn:ietf:params:xml:ns:caldav}calendar-timezone`, iCalendar text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// `{http://apple.com/ns/ical/}calendar-color`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// `{http://apple.com/ns/ical/}calendar-order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// `{urn:ietf:params:xml:ns:caldav}schedule-calendar-transp` is `transparent`: counts as free.
    #[serde(default)]
    pub transparent: bool,
    /// Component types the calendar takes; empty stands for any.
    #[serde(default)]
    pub components: Vec<String>,
    /// On a scheduling inbox, the segment of the calendar that invitations go to; `None` for the default calendar
    /// (RFC 6638 §9.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_calendar: Option<String>,
    /// What is said of an address book alone.
    #[serde(default, skip_serializing_if = "BookProps::is_default")]
    pub book: BookProps,
    /// Dead properties: Clark name to the property element as XML.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dead: BTreeMap<String, String>,
}

/// What the JSON API says of an address book beyond its name (dav §13.1). The server gives it no meaning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BookProps {
    /// `type`: whatever its creator called it, e.g. `user` or `group`; empty for the books that everybody has.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `state`: `enabled`, `disabled`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// `dav:acl` as it was given; empty for the usual reading and writing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
}

impl BookProps {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the index knows of a calendar object (dav §14), computed by who writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// Its segment in the URL.
    pub name: String,
    /// MD5 of the data in hex, without quotes.
    pub etag: String,
    /// Octets of data.
    pub size: u64,
    /// When it was last written, to the second.
    pub modified: DateTime<Utc>,
    /// `VEVENT`, `VTODO`, …; `VCARD` in address books.
    pub component: String,
    /// UID of the object.
    pub uid: Uid,
    /// Start of the first occurrence as a unix timestamp; `None` where it has no time and matches every range.
    pub first_occurrence: Option<i64>,
    /// End of the last occurrence as a unix timestamp; `None` when it never ends.
    pub last_occurrence: Option<i64>,
    /// Schedule-Tag without quotes (RFC 6638 §3.2.10): the ETag of the last state that concerned clients. `None` for what
    /// is not scheduled, and where another program wrote the object.
    pub schedule_tag: Option<String>,
}

/// A calendar object or card with its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What the index knows of it.
    pub meta: ObjectMeta,
    /// The text as stored, byte for byte.
    pub data: String,
}

/// Which objects a query wants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectFilter {
    /// Only this component type.
    pub component: Option<String>,
    /// Only this UID.
    pub uid: Option<Uid>,
    /// Only objects that may have an occurrence that ends after this unix timestamp.
    pub start: Option<i64>,
    /// Only objects that may have an occurrence that starts before this unix timestamp.
    pub end: Option<i64>,
}

/// What must hold for an object before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// There is none (`If-None-Match: *`).
    Absent,
    /// There is one (`If-Match: *`).
    Present,
    /// There is one with this ETag, without quotes.
    Etag(String),
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Creates a collection; its `sync_token` counts from the value given, or from where a deleted collection of the same
    /// path stopped, whichever is higher. [`Written::sync_tokens`] tells.
    CreateCollection(Collection),
    /// Replaces the properties of a collection.
    SetProps {
        /// The collection.
        collection: CollectionId,
        /// All its properties.
        props: CollectionProps,
    },
    /// Changes nothing; the whole batch is refused with [`WriteError::Precondition`](super::WriteError::Precondition) unless
    /// this is the number of the last change of the collection at this point of the batch.
    ExpectToken {
        /// The collection.
        collection: CollectionId,
        /// The number that was seen.
        token: u64,
    },
    /// Sets what everybody of the domain may do with a collection. Counts as no change.
    SetPublicRight {
        /// The collection.
        collection: CollectionId,
        /// The right; `None` takes it back.
        right: Option<PublicRight>,
    },
    /// Changes nothing; the whole batch is refused with [`WriteError::Precondition`](super::WriteError::Precondition) unless this
    /// is at this point of the batch what everybody of the domain may do with a collection.
    ExpectPublicRight {
        /// The collection.
        collection: CollectionId,
        /// The right that was seen.
        right: Option<PublicRight>,
    },
    /// Puts a collection into somebody's home, or replaces what the instance of that id says; its collection, home, kind
    /// and segment stay what they were. Counts as a change of the collection where a delegation gets other properties, and
    /// where the tokens of the collection are not beyond all that were told at the path: a token is never told twice for one,
    /// whatever stands there ([`Shared::since`](super::Shared::since)).
    /// [`WriteError::CollectionExists`](super::WriteError::CollectionExists) when something else is at its path.
    PutInstance(Instance),
    /// Changes nothing; the whole batch is refused with [`WriteError::Precondition`](super::WriteError::Precondition) unless
    /// this instance is there at this point of the batch, with this tie. Its looks do not matter.
    ExpectInstance(Instance),
    /// Changes nothing; the whole batch is refused with [`WriteError::Precondition`](super::WriteError::Precondition) where at
    /// this point of the batch somebody was given a collection already: the home has a delegation of it.
    ExpectNotGiven {
        /// The collection.
        collection: CollectionId,
        /// Whose home.
        home: HomeId,
    },
    /// Takes an instance away; nothing happens without it. Only its ids, kind and tie matter.
    RemoveInstance(Instance),
    /// Deletes a collection with all that is in it, and everybody's instances of it. Tokens it issued mean nothing to what
    /// stands later at the same path, or at that of an instance.
    DeleteCollection(CollectionId),
    /// Creates or replaces an object. Within one calendar a UID belongs to one object; in an inbox, and in an address book,
    /// several may have it.
    PutObject {
        /// Where.
        collection: CollectionId,
        /// What.
        object: Object,
        /// What must hold before.
        expect: Expect,
    },
    /// Deletes an object. Without one of that name the expectation must be [`Expect::Any`], and nothing happens.
    DeleteObject {
        /// Where.
        collection: CollectionId,
        /// Which.
        name: String,
        /// What must hold before.
        expect: Expect,
    },
    /// Keeps in the trash what the same batch deletes. What is there already under its id is kept as it is told now.
    Trash {
        /// What it was, and where.
        entry: Box<Trashed>,
        /// The text of an object; empty for a collection.
        data: String,
    },
    /// Takes something out of the trash, to put it back or to forget it. The whole batch is refused with
    /// [`WriteError::Precondition`](super::WriteError::Precondition) when it is not there any more.
    Untrash {
        /// Whose trash.
        home: HomeId,
        /// What.
        id: TrashId,
    },
    /// Changes nothing; the whole batch is refused with [`WriteError::NoRoom`](super::WriteError::NoRoom) where it took, up to
    /// this point, of a home more than there is. A batch that takes nothing, or gives some back, never is.
    ExpectRoom {
        /// A collection of the home; objects are counted in this one.
        collection: CollectionId,
        /// What the home may hold.
        room: HomeRoom,
    },
}

/// Changes that happen as a whole, with the messages that tell of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// In order.
    pub ops: Vec<Op>,
    /// Published in order if and only if the operations are applied.
    pub publish: Vec<Message>,
}

/// What a [`Batch`] did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// For each operation, the sync token of its collection afterwards.
    pub sync_tokens: Vec<u64>,
    /// For each operation, whether the object was there before.
    pub existed: Vec<bool>,
}

/// What happened to a name since a sync token.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Created or replaced; as it is now.
    Written(ObjectMeta),
    /// Deleted; the name it had.
    Deleted(String),
}

/// What changed in a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Each name once, in the order of its last change.
    pub changes: Vec<Change>,
    /// Token up to which `changes` is complete.
    pub token: u64,
    /// There is more after `token`.
    pub truncated: bool,
}

/// A person (storage §2.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Id; also the id of the home.
    pub id: UserId,
    /// Tenant.
    pub domain: DomainId,
    /// Addresses; the first is the user name, the others resolve the user too. Never empty.
    pub emails: Vec<Email>,
    /// Given name; may be empty.
    pub firstname: String,
    /// Family name; may be empty.
    pub lastname: String,
}

impl User {
    /// The user name.
    ///
    /// # Panics
    /// When `emails` is empty, which the type's invariant excludes.
    pub fn email(&self) -> &Email {
        &self.emails[0]
    }

    /// First and last name, or the address where both are blank.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.firstname.trim(), self.lastname.trim());
        match name.trim() {
            "" => self.email().to_string(),
            name => name.to_owned(),
        }
    }
}

/// A tenant (storage §2.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Id.
    pub id: DomainId,
    /// Name, unique.
    pub name: DomainName,
}

/// A user's settings: module, then key, then any JSON value (storage §2.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, BTreeMap<String, Value>>);

impl Settings {
    /// One value.
    pub fn get(&self, module: &str, key: &str) -> Option<&Value> {
        self.0.get(module)?.get(key)
    }

    /// Sets one value.
    pub fn set(&mut self, module: &str, key: &str, value: Value) {
        self.0.entry(module.to_owned()).or_default().insert(key.to_owned(), value);
    }
}

/// A secret that opens a WebSocket (messaging §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The secret.
    pub value: Uuid,
    /// Whom it lets in.
    pub user: Email,
    /// Address of the client that asked for it; recorded only.
    pub client_address: String,
    /// When it was made, to the millisecond.
    pub generated: DateTime<Utc>,
    /// When it ends, to the millisecond.
    pub valid_until: DateTime<Utc>,
}
