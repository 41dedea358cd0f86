//! Cutting the log of changes.
//!
//! A row is removed when the name it tells of is gone, or when a later row tells of the same name. The last row of each object
//! that exists stays, however old: it is the number by which a client that reads everything is told of it. So a log holds at
//! most as many rows as there are objects, and those that are kept for who synchronises.
//!
//! What is gone counts for the number of names that are kept, and what exists does not. Rows that a later one supersedes are as
//! many at most: nobody asks for them, so that no client is refused when they go.
//!
//! `convoke.oldest` moves before the first row goes: whoever would miss one of them is refused from then on. esn-sabre does not
//! look at it, and would let its clients miss what was deleted; its collections (`calendarchanges`, `addressbookchanges`) are
//! cut only where the configuration says that it is not there any more.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use futures_util::{StreamExt as _, TryStreamExt as _};
use mongodb::bson::{Bson, Document, doc};

use super::MongoDav;
use super::changes::begin_of;
use super::collections::Found;
use super::load::with_faces;
use super::place::{Place, Shelf, row_id};
use super::via::Via;
use super::{upkeep, value};
use crate::ids::CollectionId;
use crate::mongo::Failure;
use crate::store::{LogKept, Trimmed};

/// Rows that are decided on and removed at once.
const AT_ONCE: usize = 500;

impl MongoDav {
    /// Cuts the logs of some collections, one shelf after the other, each in the order of ids.
    pub(super) async fn trim(
        &self,
        after: Option<CollectionId>,
        kept: &LogKept,
        limit: usize,
    ) -> Result<Trimmed, Failure> {
        let mut heads: Vec<(Shelf, Document)> = Vec::new();
        for shelf in Shelf::ALL.into_iter().filter(|shelf| kept.shared || *shelf == Shelf::Boxes) {
            let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": row_id(after) } });
            let rows = self.mongo.dav().collection::<Document>(shelf.heads());
            let find = rows.find(filter).sort(doc! { "_id": 1 }).limit(i64::try_from(limit).unwrap_or(i64::MAX));
            let page: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
            heads.extend(page.into_iter().map(|head| (shelf, head)));
        }
        // The first of all shelves together.
        heads.sort_by_key(|(_, head)| upkeep::id_of(head));
        heads.truncate(limit);
        let last = heads.last().and_then(|(_, head)| upkeep::id_of(head)).filter(|_| heads.len() == limit);
        let mut rows = 0;
        for (shelf, head) in &heads {
            let found = with_faces(&mut Via::plain(&self.mongo), *shelf, std::slice::from_ref(head)).await?;
            let Some(found) = found.into_iter().next() else { continue };
            if let Some(cut) = self.cut_of(&found, kept).await? {
                rows += self.cut(&found, cut).await?;
            }
        }
        Ok(Trimmed { rows, last })
    }

    /// Where a log may be cut; `None` where nothing need be done.
    async fn cut_of(&self, found: &Found, kept: &LogKept) -> Result<Option<Cut>, Failure> {
        let place = &found.place;
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        let of_it = doc! { place.shelf.changed(): place.id };
        let first = changes.find_one(of_it.clone()).sort(doc! { "synctoken": 1, "_id": 1 });
        let Some(first) = self.mongo.timed(first.projection(doc! { "synctoken": 1 })).await? else { return Ok(None) };
        // An id tells when it was made.
        let mut young = of_it.clone();
        young.insert("_id", doc! { "$gte": begin_of(kept.since.timestamp()) });
        let young = changes.find_one(young).sort(doc! { "synctoken": 1 }).projection(doc! { "synctoken": 1 });
        let token = found.collection.sync_token;
        let by_age = self.mongo.timed(young).await?.and_then(|row| number(&row)).unwrap_or(token).min(token);
        let is_old = number(&first).is_some_and(|first| first < by_age) && by_age > found.oldest;
        // Each object has a row that stays; only what is beyond them can be too much.
        let rows = changes.count_documents(of_it);
        let is_long = kept.names < u64::from(u32::MAX) && {
            let rows = self.mongo.timed(rows).await?;
            rows > kept.names && {
                let objects = self.mongo.dav().collection::<Document>(place.shelf.objects());
                rows.saturating_sub(self.mongo.timed(objects.count_documents(place.all())).await?) > kept.names
            }
        };
        let at = if is_old { by_age } else { found.oldest };
        let anchor = first.get("_id").cloned().unwrap_or(Bson::Null);
        Ok((is_old || is_long).then_some(Cut { at, names: kept.names, anchor }))
    }

    /// Removes what need not be told any more; how many rows it were.
    async fn cut(&self, found: &Found, mut cut: Cut) -> Result<u64, Failure> {
        let place = &found.place;
        if cut.at > found.oldest {
            self.forget_before(place, cut.at).await?;
        }
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        // The last row of a name comes first.
        let find = changes
            .find(doc! { place.shelf.changed(): place.id })
            .sort(doc! { "synctoken": -1, "_id": -1 })
            .projection(doc! { "uri": 1, "synctoken": 1 });
        let rows = self.mongo.timed(async { find.await }).await?;
        let mut pages = rows.try_chunks(AT_ONCE);
        // Of names only what tells them apart; two that look the same cost a row that is written again when it is missed.
        let mut seen: HashSet<u64> = HashSet::new();
        let (mut gone, mut superseded, mut removed) = (0, 0, 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::from(error.1))?;
            let is_last: Vec<bool> = page
                .iter()
                .map(|row| value::words(row.get("uri")).is_some_and(|uri| seen.insert(hash(&uri))))
                .collect();
            let there = self.there_of(place, &page, &is_last).await?;
            let mut ids: Vec<Bson> = Vec::new();
            for (row, is_last) in page.iter().zip(is_last) {
                let (Some(id), Some(number)) = (row.get("_id"), number(row)) else { continue };
                let is_excess = if !is_last {
                    superseded += 1;
                    // Nobody misses it; but the first row says how far back the log goes.
                    superseded > cut.names && *id != cut.anchor
                } else if value::words(row.get("uri")).is_some_and(|uri| there.contains(&uri)) {
                    continue;
                } else {
                    gone += 1;
                    if gone > cut.names && number >= cut.at {
                        cut.at = number + 1;
                        self.forget_before(place, cut.at).await?;
                    }
                    false
                };
                if is_excess || number < cut.at {
                    ids.push(id.clone());
                }
            }
            if !ids.is_empty() {
                removed += self.mongo.timed(changes.delete_many(doc! { "_id": { "$in": ids } })).await?.deleted_count;
            }
        }
        Ok(removed)
    }

    /// Refuses, from now on, whoever would have to hear of what is before this token.
    async fn forget_before(&self, place: &Place, token: u64) -> Result<(), Failure> {
        let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
        let moved = doc! { "$max": { "convoke.oldest": value::count(token) } };
        Ok(self.mongo.timed(heads.update_one(doc! { "_id": place.id }, moved)).await.map(drop)?)
    }

    /// The names among the last rows of a page of which there is an object.
    async fn there_of(&self, place: &Place, page: &[Document], is_last: &[bool]) -> Result<HashSet<String>, Failure> {
        let last = page.iter().zip(is_last).filter(|(_, is_last)| **is_last);
        let names: Vec<String> = last.filter_map(|(row, _)| value::words(row.get("uri"))).collect();
        match names.is_empty() {
            true => Ok(HashSet::new()),
            false => Ok(self.metas_of(place, names).await?.into_iter().map(|meta| meta.name).collect()),
        }
    }
}

/// Where a log is cut.
struct Cut {
    /// Rows of what is gone go that are numbered before this, and rows before it that a later one supersedes.
    at: u64,
    /// So many names that are gone are kept, and so many superseded rows; more of either go, whatever their number.
    names: u64,
    /// Id of the first row.
    anchor: Bson,
}

fn number(row: &Document) -> Option<u64> {
    value::number(row.get("synctoken")).and_then(|n| u64::try_from(n).ok())
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
