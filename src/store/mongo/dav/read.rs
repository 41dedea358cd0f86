//! Reading objects: by name, by UID, by time, page by page.

use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};

use mongodb::options::Hint;

use super::MongoDav;
use super::load::with_uids;
use super::objects;
use super::place::{Place, Shelf};
use crate::mongo::Failure;
use crate::store::{Object, ObjectFilter, ObjectMeta};

/// Queries over a longer time than this read the collection in the order of names: they find most of what is there.
const LONG: i64 = 400 * 86_400;
/// The index by time (dav §14). Left to itself the server may prefer the index of names, for its order.
const BY_TIME: [&str; 4] = ["calendarid", "componenttype", "firstoccurence", "lastoccurence"];
/// Rows asked for in one read at most.
const PAGE: usize = 1000;

impl MongoDav {
    pub(super) async fn named(&self, place: &Place, names: &[String]) -> Result<Vec<Object>, Failure> {
        let filter = match names {
            [name] => place.named(name),
            names => {
                let mut filter = place.all();
                filter.insert("uri", doc! { "$in": names.to_vec() });
                filter
            }
        };
        let mut rows = self.rows(place.shelf, filter, doc! {}, None, None).await?;
        // Of two rows of one name the last counts.
        rows.sort_by_cached_key(objects::age);
        Ok(rows.iter().filter_map(|row| objects::object(place.shelf, row)).collect())
    }

    /// What is known of objects with these names; those that are gone are missing.
    pub(super) async fn metas_of(&self, place: &Place, names: Vec<String>) -> Result<Vec<ObjectMeta>, Failure> {
        let mut filter = place.all();
        filter.insert("uri", doc! { "$in": names });
        let mut rows = self.rows(place.shelf, filter, objects::without_text(place.shelf), None, None).await?;
        rows.sort_by_cached_key(objects::age);
        self.metas(place.shelf, &rows).await
    }

    pub(super) async fn listed(
        &self,
        place: &Place,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, Failure> {
        let mut found: Vec<ObjectMeta> = Vec::new();
        let mut after = after.unwrap_or_default().to_owned();
        while found.len() < limit {
            let want = (limit - found.len()).min(PAGE);
            let mut filter = place.all();
            filter.insert("uri", doc! { "$gt": &after });
            let projection = objects::without_text(place.shelf);
            let rows = self.rows(place.shelf, filter, projection, Some(doc! { "uri": 1 }), Some(want)).await?;
            let is_last = rows.len() < want;
            if let Some(Ok(last)) = rows.last().map(|row| row.get_str("uri")) {
                last.clone_into(&mut after);
            }
            found.extend(self.metas(place.shelf, &rows).await?);
            found.dedup_by(|a, b| a.name == b.name);
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// Reads rows to metadata; the text of those that need it is fetched.
    async fn metas(&self, shelf: Shelf, rows: &[Document]) -> Result<Vec<ObjectMeta>, Failure> {
        let mut metas = Vec::with_capacity(rows.len());
        let mut untold = Vec::new();
        for row in rows {
            match objects::meta(shelf, row) {
                Ok(meta) => metas.push(meta),
                Err(objects::NeedsText) => {
                    untold.push((metas.len(), row.get("_id").cloned().unwrap_or(Bson::Null)));
                    metas.push(None);
                }
            }
        }
        if !untold.is_empty() {
            let ids: Vec<Bson> = untold.iter().map(|(_, id)| id.clone()).collect();
            let whole = self.rows(shelf, doc! { "_id": { "$in": ids } }, doc! {}, None, None).await?;
            for (at, id) in untold {
                let row = whole.iter().find(|row| row.get("_id") == Some(&id));
                metas[at] = row.and_then(|row| objects::object(shelf, row)).map(|object| object.meta);
            }
        }
        Ok(metas.into_iter().flatten().collect())
    }

    pub(super) async fn queried(
        &self,
        place: &Place,
        filter: &ObjectFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Object>, Failure> {
        let mut found: Vec<Object> = Vec::new();
        let mut after = after.unwrap_or_default().to_owned();
        while found.len() < limit {
            let want = (limit - found.len()).min(PAGE);
            let asked = wanted(place, filter, &after);
            let rows = self.rows(place.shelf, asked, doc! {}, Some(doc! { "uri": 1 }), Some(want)).await?;
            let is_last = rows.len() < want;
            if let Some(Ok(last)) = rows.last().map(|row| row.get_str("uri")) {
                last.clone_into(&mut after);
            }
            let objects = rows.iter().filter_map(|row| objects::object(place.shelf, row));
            found.extend(objects.filter(|object| may_match(&object.meta, filter)));
            found.dedup_by(|a, b| a.meta.name == b.meta.name);
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    pub(super) async fn rows(
        &self,
        shelf: Shelf,
        filter: Document,
        projection: Document,
        sort: Option<Document>,
        limit: Option<usize>,
    ) -> Result<Vec<Document>, Failure> {
        let collection = self.mongo.dav().collection::<Document>(shelf.objects());
        let by_time =
            is_by_time(&filter).then(|| Hint::Keys(BY_TIME.iter().map(|f| ((*f).to_owned(), 1.into())).collect()));
        let mut find = collection.find(filter).projection(projection);
        if let Some(by_time) = by_time {
            find = find.hint(by_time);
        }
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        if let Some(limit) = limit {
            find =
                find.limit(i64::try_from(limit).unwrap_or(i64::MAX)).batch_size(u32::try_from(limit).unwrap_or(1000));
        }
        Ok(self.mongo.timed(async { find.await?.try_collect().await }).await?)
    }
}

/// The rows that may hold what a filter wants, a superset.
///
/// A short time is looked up in the index by time, in which what has no time stands apart. For a long one the index of names
/// leads straight to the page; so do queries that name no time.
pub(super) fn wanted(place: &Place, filter: &ObjectFilter, after: &str) -> Document {
    let mut base = place.all();
    if !after.is_empty() {
        base.insert("uri", doc! { "$gt": after });
    }
    if let Some(uid) = &filter.uid {
        let mut any = with_uids(place.shelf, std::slice::from_ref(&uid.0));
        match any.len() {
            0 => {}
            1 => base.extend(any.remove(0)),
            _ => drop(base.insert("$or", any)),
        }
        return base;
    }
    if place.shelf != Shelf::Calendars {
        return base;
    }
    if let Some(component) = &filter.component {
        base.insert("componenttype", component);
    }
    let mut timed = Document::new();
    if let Some(end) = filter.end {
        timed.insert("firstoccurence", doc! { "$lte": end });
    }
    if let Some(start) = filter.start {
        // What never ends stands there as ending in 2038.
        timed.insert("lastoccurence", doc! { "$gte": start.min(objects::FAR) });
    }
    if timed.is_empty() {
        return base;
    }
    let untimed = doc! { "firstoccurence": null };
    let open = doc! { "lastoccurence": null };
    let is_short = matches!((filter.start, filter.end), (Some(start), Some(end)) if end.saturating_sub(start) <= LONG);
    if is_short {
        let branch = |condition: Document| {
            let mut branch = base.clone();
            branch.extend(condition);
            branch
        };
        let mut open_end = doc! { "firstoccurence": { "$lte": filter.end } };
        open_end.extend(open);
        return doc! { "$or": [branch(timed), branch(untimed), branch(open_end)] };
    }
    base.insert("$or", vec![timed, untimed, open]);
    base
}

/// Whether a filter is one that [`wanted`] makes for a short time.
fn is_by_time(filter: &Document) -> bool {
    filter.len() == 1 && filter.contains_key("$or")
}

fn may_match(meta: &ObjectMeta, filter: &ObjectFilter) -> bool {
    let component = filter.component.as_ref().is_none_or(|c| *c == meta.component);
    let uid = filter.uid.as_ref().is_none_or(|uid| *uid == meta.uid);
    let in_time = meta.first_occurrence.is_none_or(|first| {
        filter.end.is_none_or(|end| first <= end)
            && filter.start.is_none_or(|start| meta.last_occurrence.is_none_or(|last| last >= start))
    });
    component && uid && in_time
}
