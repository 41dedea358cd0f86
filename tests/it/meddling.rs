//! A store in which a test has a hand: what others do at the worst moment, and failures.

use std::sync::Arc;

use async_trait::async_trait;
use convoke::ids::{CollectionId, HomeId, TrashId, Uid};
use convoke::store::{
    Batch, Changes, Collection, CollectionKind, DavStore, Instance, LogKept, Object, ObjectFilter, ObjectMeta,
    ObjectPage, Purge, RetiredToken, Shared, SharedDavStore, StoreError, TrashView, Trashed, Trimmed, Upkeep, Usage,
    WriteError, Written,
};
use futures_util::future::BoxFuture;

type Before = dyn Fn(&Batch) -> BoxFuture<'static, Result<(), WriteError>> + Send + Sync;
type Look = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// Does something before each write; the write fails where that does.
pub struct Meddling {
    store: SharedDavStore,
    look: Box<Look>,
    before: Box<Before>,
}

impl Meddling {
    pub fn with(
        store: SharedDavStore,
        before: impl Fn(&Batch) -> BoxFuture<'static, Result<(), WriteError>> + Send + Sync + 'static,
    ) -> SharedDavStore {
        Self::with_looks(store, || Box::pin(async {}), before)
    }

    /// The same, and something before each look at collections.
    pub fn with_looks(
        store: SharedDavStore,
        look: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
        before: impl Fn(&Batch) -> BoxFuture<'static, Result<(), WriteError>> + Send + Sync + 'static,
    ) -> SharedDavStore {
        Arc::new(Self { store, look: Box::new(look), before: Box::new(before) })
    }
}

#[async_trait]
impl DavStore for Meddling {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        self.store.homes(after, limit).await
    }
    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError> {
        (self.look)().await;
        self.store.collections(home).await
    }
    async fn collection(
        &self,
        home: HomeId,
        kind: CollectionKind,
        uri: &str,
    ) -> Result<Option<Collection>, StoreError> {
        (self.look)().await;
        self.store.collection(home, kind, uri).await
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
        (self.before)(&batch).await?;
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
