//! The trash (`convoke_trash`), what homes hold, and the last tokens of paths (`convoke_paths`).
//!
//! **Counters.** `convoke.octets` and `convoke.objects` stand in the row with the token and move in one step with it. A
//! collection that esn-sabre made has none until somebody wants to know; from then on every write of ours counts. What
//! esn-sabre writes afterwards is not counted: `convoke dav check --repair` counts anew.

use std::collections::HashSet;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::Collection as Rows;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::MongoDav;
use super::collections::{self, usage as counted_in};
use super::load::{Loaded, PATHS, find_collections, named_by, owned, path_id};
use super::place::{Place, Shelf, collection_id, principals_of};
use super::plan::Step;
use super::via::Via;
use super::{alone, value};
use crate::ids::{CollectionId, HomeId, TrashId};
use crate::mongo::{Failure, Timed, oid};
use crate::store::{
    Batch, LogKept, Op, Purge, RetiredToken, StoreError, TrashView, Trashed, Trimmed, Upkeep, Usage, WriteError,
};

/// Collection of what was deleted and is kept for a while.
pub(super) const TRASH: &str = "convoke_trash";
/// Times that something is counted again because it changed meanwhile.
const ATTEMPTS: u32 = 5;

/// The row of something in the trash.
pub(super) fn row(entry: &Trashed, data: &str) -> Result<Document, WriteError> {
    let json = serde_json::to_string(entry).map_err(|e| StoreError::Broken(e.to_string()))?;
    Ok(doc! {
        "_id": oid(entry.id.0),
        "home": oid(entry.home.0),
        "collection": oid(entry.collection.0),
        "part": entry.is_part(),
        "until": DateTime::from_millis(entry.until.timestamp_millis()),
        "entry": json,
        "data": data,
    })
}

fn entry(row: &Document) -> Result<Trashed, StoreError> {
    let json = row.get_str("entry").map_err(|e| StoreError::Broken(e.to_string()))?;
    serde_json::from_str(json).map_err(|e| StoreError::Broken(format!("an entry of {TRASH} cannot be read: {e}")))
}

/// What a batch takes out of the trash or puts there, as far as it is there.
pub(super) async fn named_in_trash(via: &mut Via<'_>, batch: &Batch) -> Result<HashSet<TrashId>, Timed> {
    let wanted = batch.ops.iter().filter_map(|op| match op {
        Op::Untrash { home, id } => Some((*home, *id)),
        Op::Trash { entry, .. } => Some((entry.home, entry.id)),
        _ => None,
    });
    let wanted: HashSet<(HomeId, TrashId)> = wanted.collect();
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Bson> = wanted.iter().map(|(_, id)| Bson::ObjectId(oid(id.0))).collect();
    let rows = via.find(TRASH, doc! { "_id": { "$in": ids } }, doc! { "home": 1 }).await?;
    let named = |row: &Document| {
        let home = HomeId(crate::mongo::id(row.get_object_id("home").ok()?));
        let id = TrashId(crate::mongo::id(row.get_object_id("_id").ok()?));
        wanted.contains(&(home, id)).then_some(id)
    };
    Ok(rows.iter().filter_map(named).collect())
}

/// The homes whose room matters to a batch.
pub(super) fn homes_with_room(batch: &Batch, loaded: &Loaded) -> HashSet<HomeId> {
    let made = |id: CollectionId| {
        batch.ops.iter().find_map(|op| match op {
            Op::CreateCollection(collection) if collection.id == id => Some(collection.home),
            _ => None,
        })
    };
    let wanted = batch.ops.iter().filter_map(|op| match op {
        Op::ExpectRoom { collection, .. } => Some(*collection),
        _ => None,
    });
    wanted.filter_map(|id| loaded.collections.get(&id).map(|f| f.collection.home).or_else(|| made(id))).collect()
}

/// The calendars and address books of a home, with what is in them where that was counted.
pub(super) async fn usage_of(via: &mut Via<'_>, home: HomeId) -> Result<Vec<(CollectionId, Option<Usage>)>, Timed> {
    let filter = doc! { "principaluri": { "$in": principals_of(home).to_vec() } };
    let faces = via.find(Shelf::Calendars.faces(), filter.clone(), doc! {}).await?;
    let ids: Vec<Bson> =
        faces.iter().filter_map(|face| value::object_id(face.get("calendarid"))).map(Bson::ObjectId).collect();
    let heads = match ids.is_empty() {
        true => Vec::new(),
        false => via.find(Shelf::Calendars.heads(), doc! { "_id": { "$in": ids } }, doc! {}).await?,
    };
    let books = via.find(Shelf::Books.heads(), filter, doc! {}).await?;
    let found = heads.iter().filter_map(|head| owned(head, &faces)).chain(books.iter().filter_map(collections::book));
    Ok(found.map(|found| (found.collection.id, found.usage)).collect())
}

impl MongoDav {
    fn trash_rows(&self) -> Rows<Document> {
        self.mongo.dav().collection(TRASH)
    }

    /// Things in the trash by id, from the lowest on or from the highest down.
    async fn trash_page(
        &self,
        mut filter: Document,
        after: Option<TrashId>,
        order: i32,
        limit: usize,
    ) -> Result<Vec<Trashed>, StoreError> {
        if let Some(after) = after {
            filter.insert("_id", doc! { if order > 0 { "$gt" } else { "$lt" }: oid(after.0) });
        }
        let rows = self.trash_rows();
        let find = rows.find(filter).sort(doc! { "_id": order }).projection(doc! { "data": 0 });
        let find = find.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let page: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        page.iter().map(entry).collect()
    }

    /// The collections of which there are parts in the trash, and nothing else.
    async fn left_without_entry(&self, home: HomeId) -> Result<Vec<Bson>, Failure> {
        let rows = self.trash_rows();
        let parts = rows.distinct("collection", doc! { "home": oid(home.0), "part": true });
        let mut collections = self.mongo.timed(parts).await?;
        if collections.is_empty() {
            return Ok(collections);
        }
        let there = doc! { "_id": { "$in": &collections }, "home": oid(home.0), "part": false };
        let there = Via::plain(&self.mongo).find(TRASH, there, doc! { "_id": 1 }).await?;
        collections.retain(|id| !there.iter().any(|row| row.get("_id") == Some(id)));
        Ok(collections)
    }

    /// Counts what a batch needs to know and nobody counted yet.
    pub(super) async fn count_for(&self, batch: &Batch) -> Result<(), Failure> {
        if !batch.ops.iter().any(|op| matches!(op, Op::ExpectRoom { .. })) {
            return Ok(());
        }
        let mut loaded = Loaded::default();
        let named: HashSet<CollectionId> = batch.ops.iter().filter_map(named_by).collect();
        let found = find_collections(&mut Via::plain(&self.mongo), &named, &mut HashSet::new()).await?;
        loaded.collections = found.into_iter().map(|found| (found.collection.id, found)).collect();
        for home in homes_with_room(batch, &loaded) {
            self.counted_home(home).await?;
        }
        Ok(())
    }

    /// What is in the calendars and address books of a home, counted now where it was not.
    async fn counted_home(&self, home: HomeId) -> Result<Vec<(CollectionId, Usage)>, Failure> {
        let mut all = Vec::new();
        for (id, usage) in usage_of(&mut Via::plain(&self.mongo), home).await? {
            let usage = match (usage, self.place_of(id).await?) {
                (Some(usage), _) => usage,
                (None, Some(place)) => self.begin_to_count(&place).await?,
                (None, None) => continue,
            };
            all.push((id, usage));
        }
        Ok(all)
    }

    /// Counts a collection for the first time.
    async fn begin_to_count(&self, place: &Place) -> Result<Usage, Failure> {
        let mut there = Usage::default();
        for _ in 0..ATTEMPTS {
            let Some(head) = self.head(place).await? else { break };
            if let Some(usage) = counted_in(&head) {
                return Ok(usage);
            }
            there = self.count_objects(place).await?;
            if self.set_usage(place, &head, there).await? {
                break;
            }
        }
        Ok(there)
    }

    async fn head(&self, place: &Place) -> Result<Option<Document>, Failure> {
        let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
        Ok(self.mongo.timed(heads.find_one(doc! { "_id": place.id })).await?)
    }

    /// Writes down what was counted after the row of the collection was read; false when it changed since.
    async fn set_usage(&self, place: &Place, head: &Document, usage: Usage) -> Result<bool, Failure> {
        let seen = head.get("synctoken").cloned().unwrap_or(Bson::Null);
        let filter = doc! { "_id": place.id, "synctoken": seen.clone() };
        let set = doc! { "convoke.octets": value::count(usage.octets), "convoke.objects": value::count(usage.objects) };
        let update = doc! { "$set": set };
        if self.mongo.has_transactions() {
            let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
            return Ok(self.mongo.timed(heads.update_one(filter, update)).await?.matched_count == 1);
        }
        // What was counted may be part of a batch that is not done, and counts when it is.
        let collection = place.shelf.heads().to_owned();
        let step = Step::Update { collection, filter, update, upsert: false };
        alone::do_alone(&self.mongo, self.locks.everything(), (place, &seen), &step).await
    }

    async fn count_objects(&self, place: &Place) -> Result<Usage, Failure> {
        let text = format!("${}", place.shelf.data());
        let length = doc! { "$strLenBytes": { "$ifNull": [{ "$toString": text }, ""] } };
        let pipeline = [
            doc! { "$match": place.all() },
            doc! { "$project": { "_id": 0, "octets": { "$ifNull": ["$size", length] } } },
            doc! { "$group": { "_id": null, "octets": { "$sum": "$octets" }, "objects": { "$sum": 1 } } },
        ];
        let rows = self.mongo.dav().collection::<Document>(place.shelf.objects());
        let sums: Vec<Document> =
            self.mongo.timed(async { rows.aggregate(pipeline).await?.try_collect().await }).await?;
        let number = |field| sums.first().and_then(|sum| value::number(sum.get(field))).unwrap_or(0);
        let number = |field| u64::try_from(number(field)).unwrap_or(0);
        Ok(Usage { octets: number("octets"), objects: number("objects") })
    }
}

#[async_trait]
impl Upkeep for MongoDav {
    async fn trash(
        &self,
        home: HomeId,
        view: TrashView,
        after: Option<TrashId>,
        limit: usize,
    ) -> Result<Vec<Trashed>, StoreError> {
        let of_home = oid(home.0);
        match view {
            TrashView::Deleted => {
                let whole = doc! { "home": of_home, "part": false };
                let mut found = self.trash_page(whole, after, 1, limit).await?;
                let left = self.left_without_entry(home).await?;
                if !left.is_empty() {
                    let parts = doc! { "home": of_home, "part": true, "collection": { "$in": left } };
                    found.extend(self.trash_page(parts, after, 1, limit).await?);
                    found.sort_by_key(|entry| entry.id);
                    found.truncate(limit);
                }
                Ok(found)
            }
            TrashView::Of(collection) => {
                let parts = doc! { "home": of_home, "part": true, "collection": oid(collection.0) };
                self.trash_page(parts, after, -1, limit).await
            }
        }
    }

    async fn trashed(&self, home: HomeId, ids: &[TrashId]) -> Result<Vec<(Trashed, String)>, StoreError> {
        let wanted: Vec<Bson> = ids.iter().map(|id| Bson::ObjectId(oid(id.0))).collect();
        let filter = doc! { "_id": { "$in": wanted }, "home": oid(home.0) };
        let mut rows = Via::plain(&self.mongo).find(TRASH, filter, doc! {}).await.map_err(Failure::from)?;
        rows.sort_by_key(|row| row.get_object_id("_id").ok().and_then(|id| ids.iter().position(|i| oid(i.0) == id)));
        rows.iter().map(|row| Ok((entry(row)?, value::text(row.get("data")).unwrap_or_default()))).collect()
    }

    async fn purge(&self, what: &Purge, limit: usize) -> Result<u64, StoreError> {
        let (filter, sort) = match what {
            Purge::Expired(now) => {
                (doc! { "until": { "$lte": DateTime::from_millis(now.timestamp_millis()) } }, doc! { "until": 1 })
            }
            Purge::Home(home) => (doc! { "home": oid(home.0) }, doc! {}),
            Purge::Of(home, collection) => {
                (doc! { "collection": oid(collection.0), "part": true, "home": oid(home.0) }, doc! {})
            }
            Purge::These(home, ids) => {
                let ids: Vec<Bson> = ids.iter().map(|id| Bson::ObjectId(oid(id.0))).collect();
                (doc! { "_id": { "$in": ids }, "home": oid(home.0) }, doc! {})
            }
        };
        let rows = self.trash_rows();
        let find = rows.find(filter).sort(sort).projection(doc! { "_id": 1 });
        let find = find.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let page: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        let ids: Vec<Bson> = page.iter().filter_map(|row| row.get("_id").cloned()).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let done = self.mongo.timed(rows.delete_many(doc! { "_id": { "$in": ids } })).await?;
        Ok(done.deleted_count)
    }

    async fn usage(&self, home: HomeId) -> Result<Vec<(CollectionId, Usage)>, StoreError> {
        Ok(self.counted_home(home).await?)
    }

    async fn recount(&self, collection: CollectionId, repair: bool) -> Result<Option<(Usage, Usage)>, StoreError> {
        let Some(place) = self.place_of(collection).await? else { return Ok(None) };
        for attempt in 1..=ATTEMPTS {
            let Some(head) = self.head(&place).await? else { return Ok(None) };
            let Some(counted) = counted_in(&head) else { return Ok(None) };
            let there = self.count_objects(&place).await?;
            if counted == there {
                return Ok(None);
            }
            let is_still = match repair {
                true => self.set_usage(&place, &head, there).await?,
                // What was counted may be part of a batch that is not done.
                false => {
                    !alone::is_under_way(&self.mongo).await?
                        && self.head(&place).await?.is_some_and(|now| now.get("synctoken") == head.get("synctoken"))
                }
            };
            if is_still {
                return Ok(Some((counted, there)));
            }
            tokio::time::sleep(self.mongo.pause(attempt)).await;
        }
        // Somebody writes to it all the time: nothing can be said.
        Ok(None)
    }

    async fn trim_log(&self, after: Option<CollectionId>, kept: &LogKept, limit: usize) -> Result<Trimmed, StoreError> {
        Ok(self.trim(after, kept, limit).await?)
    }

    async fn retired_tokens(
        &self,
        after: Option<&RetiredToken>,
        limit: usize,
    ) -> Result<Vec<RetiredToken>, StoreError> {
        let mut id = doc! { "$type": "string" };
        if let Some(after) = after {
            id.insert("$gt", path_of_token(after));
        }
        let rows = self.mongo.dav().collection::<Document>(PATHS);
        let find = rows.find(doc! { "_id": id, "token": { "$exists": true } }).sort(doc! { "_id": 1 });
        let find = find.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let page: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        Ok(page.iter().filter_map(retired).collect())
    }

    async fn retire_tokens(&self, tokens: &[RetiredToken]) -> Result<(), StoreError> {
        let rows = self.mongo.dav().collection::<Document>(PATHS);
        for token in tokens {
            let update = doc! { "$max": { "token": value::count(token.token) } };
            let filter = doc! { "_id": path_of_token(token) };
            self.mongo.timed(rows.update_one(filter, update).upsert(true)).await.map_err(Failure::from)?;
        }
        Ok(())
    }
}

fn path_of_token(token: &RetiredToken) -> String {
    path_id(&(token.home, token.is_book, token.uri.clone()))
}

fn retired(row: &Document) -> Option<RetiredToken> {
    let path = row.get_str("_id").ok()?.strip_prefix('/')?;
    let (tree, rest) = path.split_once('/')?;
    let (home, uri) = rest.split_once('/')?;
    Some(RetiredToken {
        home: home.parse().ok()?,
        is_book: tree == "addressbooks",
        uri: uri.to_owned(),
        token: u64::try_from(value::number(row.get("token"))?).ok()?,
    })
}

/// The collection that a row with a token is.
pub(super) fn id_of(head: &Document) -> Option<CollectionId> {
    value::object_id(head.get("_id")).map(collection_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_path_tells_the_path() {
        let token = RetiredToken {
            home: "65aa00000000000000000001".parse().unwrap(),
            is_book: true,
            uri: "a/b c".to_owned(),
            token: 7,
        };
        assert_eq!(retired(&doc! { "_id": path_of_token(&token), "token": 7 }), Some(token));
        assert_eq!(retired(&doc! { "_id": "elsewhere", "token": 7 }), None);
    }
}
