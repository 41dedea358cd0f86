//! What the index says of objects, compared with the objects themselves.

use super::access::{location_of, space_of};
use super::put::object_of;
use crate::clock::Env;
use crate::dav::path::Location;
use crate::dav::precondition::etag_of;
use crate::ical::{Component, Limits};
use crate::ids::{HomeId, Uid};
use crate::store::{
    Batch, Collection, CollectionKind, Expect, Object, ObjectFilter, ObjectMeta, Op, SharedDavStore, StoreError,
    WriteError,
};

/// Objects that are read at once.
const PAGE: usize = 200;
/// Homes that are read at once.
const HOMES: usize = 500;

/// Something wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its path.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// Whether it was made right.
    pub is_repaired: bool,
}

/// What one step of a check found.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects that were read.
    pub objects: u64,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
}

/// A walk through everything that is stored, a page of objects at a time.
pub struct Check {
    store: SharedDavStore,
    env: Env,
    limits: Limits,
    only: Option<HomeId>,
    homes: Option<Vec<HomeId>>,
    done: usize,
    collections: Vec<Collection>,
    /// The last object that was looked at in the last of `collections`.
    after: Option<String>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Check {
    /// A check of one home, or of all.
    pub fn new(store: SharedDavStore, env: Env, limits: Limits, only: Option<HomeId>) -> Self {
        Self { store, env, limits, only, homes: None, done: 0, collections: Vec::new(), after: None }
    }

    /// Homes there are, once the check has begun.
    pub fn homes(&self) -> u64 {
        self.homes.as_ref().map_or(0, |homes| homes.len() as u64)
    }

    /// Homes that are begun.
    pub fn homes_done(&self) -> u64 {
        self.done as u64
    }

    /// Looks at the next page, and repairs it where asked to; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn next(&mut self, repair: bool) -> Result<Option<Page>, StoreError> {
        let Some(collection) = self.collection().await? else { return Ok(None) };
        let all = ObjectFilter::default();
        let read = self.store.query(collection.id, &all, self.after.as_deref(), PAGE).await?;
        let mut page = Page { objects: read.objects.len() as u64, faults: Vec::new() };
        for object in &read.objects {
            let Some((what, right)) = self.fault(&collection, object) else { continue };
            let is_repaired = match right.filter(|_| repair) {
                Some(right) => self.repair(&collection, object, right).await?,
                None => false,
            };
            let path = Location::Member {
                space: space_of(collection.kind),
                home: collection.home,
                uri: collection.uri.clone(),
                name: object.meta.name.clone(),
            };
            page.faults.push(Fault { path: path.href(), what, is_repaired });
        }
        self.after = read.next();
        if self.after.is_none() {
            page.faults.extend(self.miscount(&collection, repair).await?);
            self.collections.pop();
        }
        Ok(Some(page))
    }

    /// The collection that is looked at now.
    async fn collection(&mut self) -> Result<Option<Collection>, StoreError> {
        if self.homes.is_none() {
            self.homes = Some(self.all_homes().await?);
        }
        while self.collections.is_empty() {
            let Some(home) = self.homes.as_ref().and_then(|homes| homes.get(self.done)).copied() else {
                return Ok(None);
            };
            self.done += 1;
            self.collections = self.store.collections(home).await?;
            self.collections.retain(|c| c.kind != CollectionKind::Outbox);
        }
        Ok(self.collections.last().cloned())
    }

    /// What the quota knows of the collection, compared with what there is.
    async fn miscount(&self, collection: &Collection, repair: bool) -> Result<Option<Fault>, StoreError> {
        if collection.kind == CollectionKind::Inbox {
            return Ok(None);
        }
        let found = self.store.recount(collection.id, repair).await?;
        Ok(found.map(|(counted, there)| {
            let what = format!(
                "it is counted as {} octets in {} objects, and there are {} in {}",
                counted.octets, counted.objects, there.octets, there.objects
            );
            Fault { path: location_of(collection).href(), what, is_repaired: repair }
        }))
    }

    async fn all_homes(&self) -> Result<Vec<HomeId>, StoreError> {
        if let Some(only) = self.only {
            return Ok(vec![only]);
        }
        let mut all = Vec::new();
        loop {
            let page = self.store.homes(all.last().copied(), HOMES).await?;
            let is_last = page.len() < HOMES;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// What is wrong with an object, and what the index should say where it can be told.
    fn fault(&self, collection: &Collection, object: &Object) -> Option<(String, Option<ObjectMeta>)> {
        let root = match Component::parse_within(&object.data, self.limits) {
            Ok(root) => root,
            Err(error) => return Some((format!("it cannot be read: {error}"), None)),
        };
        let meta = &object.meta;
        let right = match collection.kind {
            CollectionKind::AddressBook => ObjectMeta {
                etag: etag_of(&object.data),
                size: object.data.len() as u64,
                component: "VCARD".to_owned(),
                uid: Uid(root.value("UID").unwrap_or_default().trim().to_owned()),
                first_occurrence: None,
                last_occurrence: None,
                ..meta.clone()
            },
            _ => {
                let component = root.components().find(|c| !c.is("VTIMEZONE"))?.name().to_ascii_uppercase();
                let now = self.env.now();
                let right = object_of(&meta.name, object.data.clone(), &root, &component, now).meta;
                ObjectMeta { modified: meta.modified, schedule_tag: meta.schedule_tag.clone(), ..right }
            }
        };
        let mut wrong = Vec::new();
        let mut differs = |what: &'static str, is_wrong: bool| {
            if is_wrong {
                wrong.push(what);
            }
        };
        differs("the ETag", meta.etag != right.etag);
        differs("the size", meta.size != right.size);
        differs("the kind", !meta.component.eq_ignore_ascii_case(&right.component));
        differs("the UID", meta.uid != right.uid);
        // A wider span is another program's way to count; a narrower one hides occurrences.
        let begins = meta.first_occurrence.is_some_and(|first| right.first_occurrence.is_none_or(|r| r < first));
        let ends = meta.last_occurrence.is_some_and(|last| right.last_occurrence.is_none_or(|r| r > last));
        differs("when it begins", begins);
        differs("when it ends", ends);
        (!wrong.is_empty()).then(|| (format!("the index is wrong about {}", wrong.join(", ")), Some(right)))
    }

    /// Stores the object once more with what it says itself; false when somebody else wrote it meanwhile or its UID is taken.
    async fn repair(&self, collection: &Collection, object: &Object, right: ObjectMeta) -> Result<bool, StoreError> {
        let expect = Expect::Etag(object.meta.etag.clone());
        let object = Object { meta: right, data: object.data.clone() };
        let ops = vec![Op::PutObject { collection: collection.id, object, expect }];
        match self.store.write(Batch { ops, publish: Vec::new() }).await {
            Ok(_) => Ok(true),
            Err(WriteError::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}
