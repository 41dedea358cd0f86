//! Cutting the log of changes.
//!
//! A row is removed when the name it tells of is gone, or when a later row tells of the same name. The last row of each object
//! that exists stays, however old: it is the number by which a client that reads everything is told of it. So a log holds at
//! most as many rows as there are objects, and those that are kept for who synchronises.
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
            if let Some(cut) = self.cut_of(&found.place, found.collection.sync_token, kept).await?
                && cut > found.oldest
            {
                rows += self.cut(&found.place, cut).await?;
            }
        }
        Ok(Trimmed { rows, last })
    }

    /// The token from which on the log is to be complete; `None` where all of it is kept.
    async fn cut_of(&self, place: &Place, token: u64, kept: &LogKept) -> Result<Option<u64>, Failure> {
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        let of_it = doc! { place.shelf.changed(): place.id };
        let oldest = changes.find_one(of_it.clone()).sort(doc! { "synctoken": 1 }).projection(doc! { "synctoken": 1 });
        let Some(oldest) = self.mongo.timed(oldest).await? else { return Ok(None) };
        // An id tells when it was made.
        let mut young = of_it.clone();
        young.insert("_id", doc! { "$gte": begin_of(kept.since.timestamp()) });
        let young = changes.find_one(young).sort(doc! { "synctoken": 1 }).projection(doc! { "synctoken": 1 });
        let by_age = self.mongo.timed(young).await?.and_then(|row| number(&row)).unwrap_or(token);
        let many = changes.find_one(of_it).sort(doc! { "synctoken": -1 }).projection(doc! { "synctoken": 1 });
        // The last of those that are kept.
        let many = many.skip(kept.names.clamp(1, u64::from(u32::MAX)) - 1);
        let by_number = self.mongo.timed(many).await?.and_then(|row| number(&row)).unwrap_or(0);
        let cut = by_age.max(by_number).min(token);
        Ok((number(&oldest).is_some_and(|oldest| oldest < cut)).then_some(cut))
    }

    /// Removes what need not be told any more before this token; how many rows it were.
    async fn cut(&self, place: &Place, cut: u64) -> Result<u64, Failure> {
        let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
        let moved = doc! { "$max": { "convoke.oldest": value::count(cut) } };
        self.mongo.timed(heads.update_one(doc! { "_id": place.id }, moved)).await?;

        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        // The last row of a name comes first.
        let find = changes
            .find(doc! { place.shelf.changed(): place.id })
            .sort(doc! { "synctoken": -1 })
            .projection(doc! { "uri": 1, "synctoken": 1 });
        let rows = self.mongo.timed(async { find.await }).await?;
        let mut pages = rows.try_chunks(AT_ONCE);
        // Of names only what tells them apart; two that look the same cost a row that is written again when it is missed.
        let mut seen: HashSet<u64> = HashSet::new();
        let mut removed = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::from(error.1))?;
            let (mut superseded, mut last): (Vec<Bson>, Vec<(Bson, String)>) = (Vec::new(), Vec::new());
            for row in &page {
                let is_new = value::words(row.get("uri")).is_some_and(|uri| seen.insert(hash(&uri)));
                if number(row).is_none_or(|number| number >= cut) {
                    continue;
                }
                let Some(id) = row.get("_id").cloned() else { continue };
                match value::words(row.get("uri")).filter(|_| is_new) {
                    Some(uri) => last.push((id, uri)),
                    None => superseded.push(id),
                }
            }
            let names: Vec<String> = last.iter().map(|(_, uri)| uri.clone()).collect();
            let there: HashSet<String> = match names.is_empty() {
                true => HashSet::new(),
                false => self.metas_of(place, names).await?.into_iter().map(|meta| meta.name).collect(),
            };
            superseded.extend(last.into_iter().filter(|(_, uri)| !there.contains(uri)).map(|(id, _)| id));
            if !superseded.is_empty() {
                let filter = doc! { "_id": { "$in": superseded } };
                removed += self.mongo.timed(changes.delete_many(filter)).await?.deleted_count;
            }
        }
        Ok(removed)
    }
}

fn number(row: &Document) -> Option<u64> {
    value::number(row.get("synctoken")).and_then(|n| u64::try_from(n).ok())
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
