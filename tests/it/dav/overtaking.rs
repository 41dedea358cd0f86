//! Somebody else writes at the worst moment: between what a request reads and what it writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Body, Upstream};
use convoke::ids::{CollectionId, HomeId, TrashId, Uid};
use convoke::store::{
    Batch, Changes, Collection, CollectionKind, DavStore, Instance, LogKept, Object, ObjectFilter, ObjectMeta,
    ObjectPage, Purge, RetiredToken, Shared, SharedDavStore, StoreError, TrashView, Trashed, Trimmed, Upkeep, Usage,
    WriteError, Written,
};
use http::Request;
use tower::ServiceExt as _;

use super::World;

/// Before what of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It looks at a collection.
    Look,
    /// It writes.
    Write,
}

/// What alice does meanwhile.
pub struct Deed {
    pub when: When,
    pub method: &'static str,
    pub path: String,
    pub body: String,
}

impl Deed {
    /// She puts an object right before a write.
    pub fn put(path: &str, body: &str) -> Self {
        Self { when: When::Write, method: "PUT", path: path.to_owned(), body: body.to_owned() }
    }
}

impl World {
    /// A server over the same store, in whose way alice gets with these deeds, one after the other.
    pub fn meddled(&self, deeds: Vec<Deed>) -> Self {
        let store =
            Meddled { store: self.dav.clone(), upstream: self.upstream.clone(), deeds: Mutex::new(deeds.into()) };
        let directory = Arc::new(self.sqlite.clone());
        let server = Server::new(Arc::new(store), directory, Env::system(), Settings::default());
        Self {
            upstream: server.into_upstream(),
            sqlite: self.sqlite.clone(),
            dav: self.dav.clone(),
            witness: self.witness.clone(),
            _dir: tempfile::tempdir().unwrap(),
        }
    }
}

/// A store under the hands of somebody else.
struct Meddled {
    store: SharedDavStore,
    upstream: Upstream,
    deeds: Mutex<VecDeque<Deed>>,
}

impl Meddled {
    async fn meddle(&self, when: When) {
        let deed = {
            let mut deeds = self.deeds.lock().unwrap();
            match deeds.front() {
                Some(deed) if deed.when == when => deeds.pop_front().unwrap(),
                _ => return,
            }
        };
        let mut request = Request::builder().method(deed.method).uri(&deed.path).body(Body::from(deed.body)).unwrap();
        request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
        let answer = self.upstream.clone().oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{} {}: {}", deed.method, deed.path, answer.status());
    }
}

#[async_trait]
impl DavStore for Meddled {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        self.store.homes(after, limit).await
    }
    async fn collections(&self, home: HomeId) -> Result<Vec<Collection>, StoreError> {
        self.meddle(When::Look).await;
        self.store.collections(home).await
    }
    async fn collection(
        &self,
        home: HomeId,
        kind: CollectionKind,
        uri: &str,
    ) -> Result<Option<Collection>, StoreError> {
        self.meddle(When::Look).await;
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
        self.meddle(When::Write).await;
        self.store.write(batch).await
    }
}

#[async_trait]
impl Upkeep for Meddled {
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
