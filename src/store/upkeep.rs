//! What is kept beside calendars and address books, and kept from growing: the trash, what homes hold, the log of changes, and
//! the last tokens of paths.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CollectionKind, CollectionProps, ObjectMeta, StoreError};
use crate::ids::{CollectionId, HomeId, TrashId};

/// Something that was deleted and is kept for a while. No client's view knows of it: it is in no listing, no query, no log
/// and no quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trashed {
    /// Its id in the trash; for a collection, the id it had.
    pub id: TrashId,
    /// Whose it was.
    pub home: HomeId,
    /// The collection that it was, or was in.
    pub collection: CollectionId,
    /// Kind of that collection.
    pub kind: CollectionKind,
    /// Segment of that collection in the URL.
    pub uri: String,
    /// When it was deleted.
    pub deleted: DateTime<Utc>,
    /// When it is forgotten.
    pub until: DateTime<Utc>,
    /// What it was.
    pub what: TrashedThing,
}

impl Trashed {
    /// Whether it went together with its collection, and comes back with it.
    pub fn is_part(&self) -> bool {
        matches!(self.what, TrashedThing::Object { with_collection: true, .. })
    }
}

/// A thing in the trash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrashedThing {
    /// A calendar or an address book.
    Collection {
        /// Its properties.
        props: CollectionProps,
        /// The last token that it issued.
        token: u64,
    },
    /// A calendar object or a card.
    Object {
        /// What the index knew of it.
        meta: ObjectMeta,
        /// It went with its collection.
        with_collection: bool,
        /// What people know it by; `None` where an earlier version kept it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
}

/// Which part of a home's trash, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrashView {
    /// What people deleted: collections, and objects that went alone or are left of a collection that is not in the trash any
    /// more. In the order of ids.
    Deleted,
    /// The objects that went with a collection, the newest first: those with the highest ids.
    Of(CollectionId),
}

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq)]
pub enum Purge {
    /// What was to be kept until this instant, of all homes.
    Expired(DateTime<Utc>),
    /// The whole trash of a home.
    Home(HomeId),
    /// These things; of a collection nothing but itself.
    These(HomeId, Vec<TrashId>),
    /// The objects that went with a collection.
    Of(HomeId, CollectionId),
}

/// What a home may hold in its calendars and address books; `None` for any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HomeRoom {
    /// Octets of all objects.
    pub octets: Option<u64>,
    /// Objects in one collection.
    pub objects: Option<u64>,
    /// Calendars and address books.
    pub collections: Option<u64>,
}

/// What is in a calendar or an address book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets of all objects.
    pub octets: u64,
    /// Objects.
    pub objects: u64,
}

/// How much of the log of changes is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogKept {
    /// What is gone since this instant is remembered, …
    pub since: DateTime<Utc>,
    /// … at most so many names of one collection.
    pub names: u64,
    /// Also of collections whose log is read by other programs on the same database.
    pub shared: bool,
}

/// How far a cut of the log got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Rows that were removed.
    pub rows: u64,
    /// The last collection that was looked at; `None` at the end.
    pub last: Option<CollectionId>,
}

/// The last token that was issued for a path at which there is nothing now, or at which it was there before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetiredToken {
    /// Whose home.
    pub home: HomeId,
    /// Below `/addressbooks`; `/calendars` otherwise.
    pub is_book: bool,
    /// Segment in the URL.
    pub uri: String,
    /// The token.
    pub token: u64,
}

/// The other side of [`DavStore`](super::DavStore): what is kept beside the data, and work that is done from time to time.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// A page of a home's trash in the order of the view, after `after`.
    async fn trash(
        &self,
        home: HomeId,
        view: TrashView,
        after: Option<TrashId>,
        limit: usize,
    ) -> Result<Vec<Trashed>, StoreError>;

    /// Things in a home's trash with their text, by id; what is not there is left out.
    async fn trashed(&self, home: HomeId, ids: &[TrashId]) -> Result<Vec<(Trashed, String)>, StoreError>;

    /// Forgets some of the trash, at most `limit` things, and no more octets at once than others can wait for; how many
    /// things it were, which is 0 only when nothing is left.
    async fn purge(&self, what: &Purge, limit: usize) -> Result<u64, StoreError>;

    /// What is in each calendar and address book of a home, as it is counted.
    async fn usage(&self, home: HomeId) -> Result<Vec<(CollectionId, Usage)>, StoreError>;

    /// Counts what is in a collection; what is counted and what there is, where they differ. With `repair` it is counted
    /// rightly from then on.
    async fn recount(&self, collection: CollectionId, repair: bool) -> Result<Option<(Usage, Usage)>, StoreError>;

    /// Cuts the logs of the next `limit` collections after `after`. Whoever has a token from before the cut is refused from
    /// then on; everybody else misses nothing.
    async fn trim_log(&self, after: Option<CollectionId>, kept: &LogKept, limit: usize) -> Result<Trimmed, StoreError>;

    /// A page of the last tokens of paths, in their own order, after `after`.
    async fn retired_tokens(&self, after: Option<&RetiredToken>, limit: usize)
    -> Result<Vec<RetiredToken>, StoreError>;

    /// Writes last tokens of paths down; a higher one that is known stays.
    async fn retire_tokens(&self, tokens: &[RetiredToken]) -> Result<(), StoreError>;
}
