//! A store in which somebody else is faster: what they do happens just before the next write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::Durability;
use convoke::dav::server::Settings;
use convoke::ids::{CollectionId, HomeId, TrashId, Uid};
use convoke::store::sqlite::Sqlite;
use convoke::store::{
    Batch, Changes, Collection, CollectionKind, DavStore, Instance, LogKept, Object, ObjectFilter, ObjectMeta,
    ObjectPage, Op, Purge, RetiredToken, Shared, StoreError, TrashView, Trashed, Trimmed, Upkeep, Usage, WriteError,
    Written,
};

use super::World;

/// The store. What is to happen is said by [`Meddling::before_next_write`].
pub struct Meddling {
    store: Sqlite,
    next: Mutex<Option<Vec<Op>>>,
    looked_for: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Meddling {
    /// A world over such a store.
    pub async fn world(settings: Settings) -> (World, Arc<Self>) {
        let dir = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-21T06:20:15Z".parse().unwrap();
        let env = Env::new(ManualClock::at(now), CountingEntropy::default());
        let store = Sqlite::open(&dir.path().join("calendars.db"), Durability::Normal, env).unwrap();
        let meddling = Arc::new(Self { store, next: Mutex::default(), looked_for: AtomicU64::new(0), _dir: dir });
        (World::over(settings, Some(meddling.clone())).await, meddling)
    }

    /// Somebody else does this just before anything is written again.
    pub fn before_next_write(&self, ops: Vec<Op>) {
        *self.next.lock().unwrap() = Some(ops);
    }

    /// How often a collection was looked for at its path.
    pub fn looked_for(&self) -> u64 {
        self.looked_for.load(Ordering::SeqCst)
    }

    /// Whether that has happened.
    pub fn has_happened(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

#[async_trait]
impl DavStore for Meddling {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        self.store.homes(after, limit).await
    }
    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError> {
        self.store.collections(home).await
    }
    async fn collection(&self, h: HomeId, kind: CollectionKind, uri: &str) -> Result<Option<Collection>, StoreError> {
        self.looked_for.fetch_add(1, Ordering::SeqCst);
        self.store.collection(h, kind, uri).await
    }
    async fn home_of(&self, collection: CollectionId) -> Result<Option<HomeId>, StoreError> {
        self.store.home_of(collection).await
    }
    async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
        self.store.object(collection, name).await
    }
    async fn objects(&self, collection: CollectionId, names: &[String]) -> Result<Vec<Option<Object>>, StoreError> {
        self.store.objects(collection, names).await
    }
    async fn list(&self, c: CollectionId, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
        self.store.list(c, after, limit).await
    }
    async fn query(
        &self,
        collection: CollectionId,
        filter: &ObjectFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ObjectPage, StoreError> {
        self.store.query(collection, filter, after, limit).await
    }
    async fn find_uid(&self, home: HomeId, uid: &Uid) -> Result<Vec<(Collection, Object)>, StoreError> {
        self.store.find_uid(home, uid).await
    }
    async fn changes(&self, c: CollectionId, since: u64, limit: usize) -> Result<Option<Changes>, StoreError> {
        self.store.changes(c, since, limit).await
    }
    async fn shared_in(&self, home: HomeId) -> Result<Vec<Shared>, StoreError> {
        self.store.shared_in(home).await
    }
    async fn shared_at(&self, home: HomeId, kind: CollectionKind, uri: &str) -> Result<Option<Shared>, StoreError> {
        self.store.shared_at(home, kind, uri).await
    }
    async fn instances(&self, source: &Collection) -> Result<Vec<Instance>, StoreError> {
        self.store.instances(source).await
    }
    async fn instances_for(&self, source: &Collection, home: HomeId) -> Result<Vec<Instance>, StoreError> {
        self.store.instances_for(source, home).await
    }
    async fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let meddled = self.next.lock().unwrap().take();
        if let Some(ops) = meddled {
            self.store.write(Batch { ops, publish: Vec::new() }).await.unwrap();
        }
        self.store.write(batch).await
    }
}

#[async_trait]
impl Upkeep for Meddling {
    async fn trash(
        &self,
        home: HomeId,
        view: TrashView,
        after: Option<TrashId>,
        limit: usize,
    ) -> Result<Vec<Trashed>, StoreError> {
        self.store.trash(home, view, after, limit).await
    }
    async fn trashed(&self, home: HomeId, ids: &[TrashId]) -> Result<Vec<(Trashed, String)>, StoreError> {
        self.store.trashed(home, ids).await
    }
    async fn purge(&self, what: &Purge, limit: usize) -> Result<u64, StoreError> {
        self.store.purge(what, limit).await
    }
    async fn usage(&self, home: HomeId) -> Result<Vec<(CollectionId, Usage)>, StoreError> {
        self.store.usage(home).await
    }
    async fn recount(&self, collection: CollectionId, repair: bool) -> Result<Option<(Usage, Usage)>, StoreError> {
        self.store.recount(collection, repair).await
    }
    async fn trim_log(&self, after: Option<CollectionId>, kept: &LogKept, limit: usize) -> Result<Trimmed, StoreError> {
        self.store.trim_log(after, kept, limit).await
    }
    async fn retired_tokens(
        &self,
        after: Option<&RetiredToken>,
        limit: usize,
    ) -> Result<Vec<RetiredToken>, StoreError> {
        self.store.retired_tokens(after, limit).await
    }
    async fn retire_tokens(&self, tokens: &[RetiredToken]) -> Result<(), StoreError> {
        self.store.retire_tokens(tokens).await
    }
}
