//! Documents: calendars and their objects, people and domains. A port; its engines are in `sqlite` (embedded) and `mongo`.
//!
//! The traits are written for both: no engine-specific type crosses them, every write of calendar data is one [`Batch`]
//! that happens as a whole together with the messages it publishes, and every read is served by an index.

pub mod attachments;
pub mod copy;
pub mod files;
pub mod home;
mod model;
pub mod mongo;
mod page;
pub(crate) mod paging;
mod resources;
mod sharing;
pub mod sqlite;
mod upkeep;

use std::sync::Arc;

use async_trait::async_trait;

pub use model::*;
pub use page::{ObjectPage, PAGE_BYTES};
pub use resources::{Holder, HolderKind, Resource, ResourceStore, TeamCalendar};
pub use sharing::*;
pub use upkeep::*;
use uuid::Uuid;

use crate::ids::{CollectionId, DomainId, DomainName, Email, HomeId, Uid, UserId};

/// A store failed. Whether trying again can help is in the variant.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A document with that unique name exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// What the write builds on is not there.
    #[error("{0} does not exist")]
    Missing(String),
    /// The engine is away or overloaded; the same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What the engine holds cannot be read, or the engine refused the call. Trying again does not help.
    #[error("the store failed: {0}")]
    Broken(String),
}

/// Why a [`Batch`] was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operation's [`Expect`], or the token that it expects, did not hold.
    #[error("operation {0}: the object or collection is not as expected")]
    Precondition(usize),
    /// The calendar holds another object with this UID (RFC 4791 §5.3.2.1 `no-uid-conflict`).
    #[error("operation {op}: the UID is taken by {name}")]
    UidConflict {
        /// Index of the operation in the batch.
        op: usize,
        /// Name of the object that has the UID.
        name: String,
    },
    /// The collection the operation names is gone.
    #[error("operation {0}: no such collection")]
    NoCollection(usize),
    /// The collection exists already.
    #[error("operation {0}: the collection exists")]
    CollectionExists(usize),
    /// The home, or the collection, would hold more than it may ([`Op::ExpectRoom`]).
    #[error("operation {0}: there is no room left")]
    NoRoom(usize),
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Calendars, address books and their objects.
#[async_trait]
pub trait DavStore: Upkeep {
    /// A page of the homes that have a collection, by id, after `after`.
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError>;

    /// The collections of a home: default first, then by `order`, then by creation.
    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError>;

    /// One collection by its segment in the URL.
    async fn collection(&self, home: HomeId, kind: CollectionKind, uri: &str)
    -> Result<Option<Collection>, StoreError>;

    /// In whose home a collection is; `None` when it is gone.
    async fn home_of(&self, collection: CollectionId) -> Result<Option<HomeId>, StoreError>;

    /// One object with its data.
    async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError>;

    /// Objects with their data, in the order asked; `None` where there is none of that name. As many of the first names are
    /// answered as have [`PAGE_BYTES`] together, at least one: whoever asks for more goes on from there.
    async fn objects(&self, collection: CollectionId, names: &[String]) -> Result<Vec<Option<Object>>, StoreError>;

    /// A page of the objects' metadata by name, after `after`.
    async fn list(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, StoreError>;

    /// A page of objects that may lie in the range (a superset: the index knows first and last occurrence only), by
    /// name, after `after`: at most `limit`, and no more than have [`PAGE_BYTES`] together.
    async fn query(
        &self,
        collection: CollectionId,
        filter: &ObjectFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ObjectPage, StoreError>;

    /// The objects with that UID in any calendar of the home (scheduling inbox excluded).
    async fn find_uid(&self, home: HomeId, uid: &Uid) -> Result<Vec<(Collection, Object)>, StoreError>;

    /// What changed after `since`, at most `limit` names, each once with its latest state. 0 stands for the beginning:
    /// everything there is, and nothing of what is gone. `None` when the collection does not exist or has never issued
    /// that token: it is ahead of the last change, from a deleted collection that had the same path, or older than what is
    /// kept of the log (RFC 6578 §3.2 `valid-sync-token`).
    async fn changes(&self, collection: CollectionId, since: u64, limit: usize) -> Result<Option<Changes>, StoreError>;

    /// What a home holds of collections that others own, hidden ones too: by `order`, then by creation. What shows a
    /// collection that is gone is left out.
    async fn shared_in(&self, home: HomeId) -> Result<Vec<Shared>, StoreError>;

    /// One of those by its segment in the URL.
    async fn shared_at(&self, home: HomeId, kind: CollectionKind, uri: &str) -> Result<Option<Shared>, StoreError>;

    /// What others have of a collection, by creation: those it was shared with, hidden ones too, then its subscribers.
    async fn instances(&self, source: &Collection) -> Result<Vec<Instance>, StoreError>;

    /// What one home has of a collection; more than one only where somebody subscribed to what is shared with them.
    async fn instances_for(&self, source: &Collection, home: HomeId) -> Result<Vec<Instance>, StoreError>;

    /// Applies all operations and publishes all messages, or does nothing. Durable when it returns.
    async fn write(&self, batch: Batch) -> Result<Written, WriteError>;
}

/// People, domains and their settings; with [`ResourceStore`], what else has a home.
#[async_trait]
pub trait DirectoryStore: ResourceStore {
    /// The user with this id.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user with this address, main or alias.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError>;

    /// A page of users by id, after `after`; of one domain where given.
    async fn users(
        &self,
        domain: Option<DomainId>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<User>, StoreError>;

    /// Adds a user. [`StoreError::Exists`] when an address or the id is taken, [`StoreError::Missing`] when the domain
    /// is unknown.
    async fn add_user(&self, user: &User) -> Result<(), StoreError>;

    /// Replaces names and addresses; fields this program does not know stay. [`StoreError::Missing`] when unknown.
    async fn update_user(&self, user: &User) -> Result<(), StoreError>;

    /// Removes a user with settings and password; false when there was none.
    async fn remove_user(&self, id: UserId) -> Result<bool, StoreError>;

    /// The domain with this id.
    async fn domain(&self, id: DomainId) -> Result<Option<Domain>, StoreError>;

    /// The domain with this name.
    async fn domain_by_name(&self, name: &DomainName) -> Result<Option<Domain>, StoreError>;

    /// All domains, by name.
    async fn domains(&self) -> Result<Vec<Domain>, StoreError>;

    /// Adds a domain. [`StoreError::Exists`] when the name or the id is taken.
    async fn add_domain(&self, domain: &Domain) -> Result<(), StoreError>;

    /// A user's stored settings; empty when there are none.
    async fn settings(&self, user: UserId) -> Result<Settings, StoreError>;

    /// Replaces a user's settings.
    async fn put_settings(&self, user: UserId, settings: &Settings) -> Result<(), StoreError>;

    /// Sets the values given and leaves the others as they are, also those that somebody else sets at the same time.
    async fn merge_settings(&self, user: UserId, changes: &Settings) -> Result<(), StoreError>;

    /// The password hash (PHC string) of an account that convoke itself keeps.
    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError>;

    /// Sets or removes the password hash.
    async fn set_password_hash(&self, user: UserId, phc: Option<&str>) -> Result<(), StoreError>;
}

/// Tickets: secrets that open a WebSocket, once and for a minute (messaging §5.1, storage §2.11).
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Keeps a ticket until it is no longer valid.
    async fn put_ticket(&self, ticket: &Ticket) -> Result<(), StoreError>;

    /// Whose ticket it is, without using it up.
    async fn ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError>;

    /// Gives the ticket away and forgets it, in one step: of two calls at once, one gets it. It may be no longer valid.
    async fn take_ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError>;
}

/// The calendar store that the program was started with.
pub type SharedDavStore = Arc<dyn DavStore>;
/// The tickets that the program was started with.
pub type SharedTickets = Arc<dyn TicketStore>;
/// The directory that the program was started with.
pub type SharedDirectory = Arc<dyn DirectoryStore>;
