//! Calendars and address books in MongoDB, in the rows that esn-sabre reads and writes (dav §14): both may run on one database
//! at the same time. What §14 has no place for is in a document of our own in the row, `convoke`, or in collections of our
//! own, `convoke_…`; it is never required, and updates leave fields alone that they are not about.
//!
//! # What is guaranteed
//!
//! **With transactions** (a replica set, also of one member, or a sharded cluster): a batch with its messages is one
//! transaction, durable on a majority when it is acknowledged. Readers see all of it or nothing. When a process dies in the
//! middle of one, the server keeps the collections it wrote to locked for a while (`transactionLifetimeLimitSeconds`, a
//! minute unless configured); writes to them fail as unavailable until then.
//!
//! **Without** (a standalone server): batches take turns, one at a time in the whole installation, and each is written down in
//! a journal before anything of it is done; see [`journal`]. What is acknowledged is done and survives a power cut; a process
//! that dies leaves nothing by halves, for the next one to write finishes what was decided and forgets what was not; two
//! nodes never overwrite each other's changes unseen. What is missing is isolation: a reader may see the first objects of a
//! batch before the last ones. The token moves at the very end, so a client that synchronises misses nothing.
//!
//! **With an esn-sabre that writes meanwhile**, which knows neither transactions nor journal: it may overwrite what was
//! written a moment before, as it would its own; whatever happens to an object is told to every client that synchronises,
//! for a token moves only from the value it was seen at, and late rows of its changes are told again. What it writes is not
//! counted in `convoke.octets` until somebody counts anew; see [`upkeep`].

mod alone;
mod changes;
mod collections;
mod homes;
mod instances;
mod journal;
mod load;
mod locks;
mod objects;
mod place;
mod plan;
mod read;
mod steps;
mod sweep;
mod transact;
mod trim;
mod upkeep;
mod value;
mod via;

use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;

use self::locks::Locks;
use self::place::{Place, collection_id};
use crate::ids::{CollectionId, HomeId, Uid};
use crate::mongo::{Failure, Mongo, schema};
use crate::store::{
    Batch, Changes, Collection, CollectionKind, DavStore, Instance, Object, ObjectFilter, ObjectMeta, ObjectPage, Op,
    Shared, StoreError, WriteError, Written,
};

/// Collections whose place is remembered.
const PLACES: u64 = 50_000;
/// Attempts at a batch whose path or id somebody else takes meanwhile.
const ATTEMPTS: usize = 3;

/// Calendars and address books on MongoDB. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MongoDav {
    mongo: Mongo,
    places: Cache<CollectionId, Place>,
    locks: Locks,
    /// Ends with the last clone.
    _sweeper: Arc<sweep::Sweeper>,
}

impl MongoDav {
    /// The store on a connection. Makes the indexes that are missing; on a server without transactions, finishes what a
    /// process that died left in the journal, and goes on looking for such work.
    ///
    /// # Errors
    /// [`StoreError`] when the server is away. An index that cannot be made is a warning.
    pub async fn open(mongo: Mongo) -> Result<Self, StoreError> {
        schema::ensure(&mongo).await?;
        let sweeper = Arc::new(sweep::Sweeper::start(&mongo).await?);
        Ok(Self { mongo, places: Cache::new(PLACES), locks: Locks::default(), _sweeper: sweeper })
    }

    /// The store for who only reads: makes no index and finishes nothing. Nothing may be written through it.
    pub fn for_reading(mongo: Mongo) -> Self {
        let _sweeper = std::sync::Arc::default();
        Self { mongo, places: Cache::new(PLACES), locks: Locks::default(), _sweeper }
    }

    /// The connection.
    pub fn mongo(&self) -> &Mongo {
        &self.mongo
    }

    async fn apply(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.count_for(batch).await?;
        let plan = if self.mongo.has_transactions() {
            let turn = tokio::time::timeout(self.mongo.operation_time(), self.locks.turn(batch)).await;
            let _turn = turn.map_err(|_| Failure::timed_out())?;
            let places = self.places_of(batch).await?;
            let mut applying = transact::Applying { mongo: &self.mongo, batch, places };
            self.mongo.transaction(&mut applying).await?
        } else {
            journal::apply(&self.mongo, self.locks.everything(), batch).await?
        };
        for gone in &plan.gone {
            self.places.invalidate(gone);
        }
        if !batch.publish.is_empty() {
            self.mongo.ring();
        }
        Ok(plan.written)
    }
}

impl MongoDav {
    /// The collections that a batch writes to, each once and always in the same order.
    async fn places_of(&self, batch: &Batch) -> Result<Vec<Place>, Failure> {
        let mut places: Vec<Place> = Vec::new();
        for op in &batch.ops {
            if matches!(op, Op::CreateCollection(_)) {
                continue;
            }
            let Some(collection) = load::named_by(op) else { continue };
            if places.iter().all(|place| collection_id(place.id) != collection) {
                places.extend(self.place_of(collection).await?);
            }
        }
        places.sort_by_key(|place| place.id.bytes());
        Ok(places)
    }
}

#[async_trait]
impl DavStore for MongoDav {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        Ok(self.homes_after(after, limit).await?)
    }

    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError> {
        Ok(self.all_in(home).await?)
    }

    async fn collection(
        &self,
        home: HomeId,
        kind: CollectionKind,
        uri: &str,
    ) -> Result<Option<Collection>, StoreError> {
        Ok(self.at(home, kind, uri).await?)
    }

    async fn home_of(&self, collection: CollectionId) -> Result<Option<HomeId>, StoreError> {
        Ok(self.by_id(collection).await?.map(|found| found.collection.home))
    }

    async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
        let Some(place) = self.place_of(collection).await? else { return Ok(None) };
        Ok(self.named(&place, name).await?)
    }

    async fn objects(&self, collection: CollectionId, names: &[String]) -> Result<Vec<Option<Object>>, StoreError> {
        let Some(place) = self.place_of(collection).await? else { return Ok(vec![None; names.len()]) };
        Ok(self.first_named(&place, names).await?)
    }

    async fn list(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let Some(place) = self.place_of(collection).await? else { return Ok(Vec::new()) };
        Ok(self.listed(&place, after, limit).await?)
    }

    async fn query(
        &self,
        collection: CollectionId,
        filter: &ObjectFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ObjectPage, StoreError> {
        let Some(place) = self.place_of(collection).await? else { return Ok(ObjectPage::default()) };
        Ok(self.queried(&place, filter, after, limit).await?)
    }

    async fn find_uid(&self, home: HomeId, uid: &Uid) -> Result<Vec<(Collection, Object)>, StoreError> {
        Ok(self.with_uid(home, uid).await?)
    }

    async fn changes(&self, collection: CollectionId, since: u64, limit: usize) -> Result<Option<Changes>, StoreError> {
        Ok(self.changed(collection, since, limit).await?)
    }

    async fn shared_in(&self, home: HomeId) -> Result<Vec<Shared>, StoreError> {
        Ok(self.shared_within(home, None).await?)
    }

    async fn shared_at(&self, home: HomeId, kind: CollectionKind, uri: &str) -> Result<Option<Shared>, StoreError> {
        let found = self.shared_within(home, Some(uri)).await?;
        Ok(found.into_iter().find(|shared| shared.instance.kind == kind))
    }

    async fn instances(&self, source: &Collection) -> Result<Vec<Instance>, StoreError> {
        Ok(self.instances_of(source, None).await?)
    }

    async fn instances_for(&self, source: &Collection, home: HomeId) -> Result<Vec<Instance>, StoreError> {
        Ok(self.instances_of(source, Some(home)).await?)
    }

    async fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        // Whoever asked may go away; what was begun is finished.
        let store = self.clone();
        let writing = tokio::spawn(async move {
            for _ in 1..ATTEMPTS {
                match store.apply(&batch).await {
                    // Somebody else was faster with a path; look again, to tell which operation it is about.
                    Err(WriteError::Store(StoreError::Exists(_))) => {}
                    done => return done,
                }
            }
            store.apply(&batch).await
        });
        writing.await.unwrap_or_else(|error| Err(Failure::Broken(format!("a write broke off: {error}")).into()))
    }
}
