//! Reading objects: by name, by UID, by time, page by page.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};

use mongodb::options::Hint;

use super::MongoDav;
use super::load::with_uids;
use super::objects;
use super::place::{Place, Shelf};
use super::value;
use crate::mongo::Failure;
use crate::store::page::Weight;
use crate::store::{Object, ObjectFilter, ObjectMeta, ObjectPage};

/// Queries over a longer time than this read the collection in the order of names: they find most of what is there.
const LONG: i64 = 400 * 86_400;
/// The index by time (dav §14). Left to itself the server may prefer the index of names, for its order.
const BY_TIME: [&str; 4] = ["calendarid", "componenttype", "firstoccurence", "lastoccurence"];
/// Rows asked for in one read at most.
const PAGE: usize = 1000;

impl MongoDav {
    pub(super) async fn named(&self, place: &Place, name: &str) -> Result<Option<Object>, Failure> {
        let mut rows = self.rows(place.shelf, place.named(name), doc! {}, None, None).await?;
        // Of two rows of one name the last counts.
        rows.sort_by_cached_key(objects::age);
        Ok(rows.iter().rev().find_map(|row| objects::object(place.shelf, row)))
    }

    /// The first of the objects with these names, as many as make a page.
    pub(super) async fn first_named(&self, place: &Place, names: &[String]) -> Result<Vec<Option<Object>>, Failure> {
        let mut first = names;
        loop {
            let mut filter = place.all();
            filter.insert("uri", doc! { "$in": first.to_vec() });
            let wanted = Wanted { filter, ..Wanted::default() };
            let (mut weight, mut found) = (Weight::default(), HashMap::new());
            let is_whole = self.each(place.shelf, wanted, |row| {
                // One alone is read whatever its size.
                if first.len() > 1 && !weight.takes(objects::octets(place.shelf, &row)) {
                    return false;
                }
                // Of two rows of one name the last counts.
                let (age, object) = (objects::age(&row), objects::object(place.shelf, &row));
                if let Some(object) = object
                    && found.get(&object.meta.name).is_none_or(|(known, _)| *known <= age)
                {
                    found.insert(object.meta.name.clone(), (age, object));
                }
                true
            });
            if is_whole.await? {
                let of = |name: &String| found.get(name).map(|(_, object): &(_, Object)| object.clone());
                return Ok(first.iter().map(of).collect());
            }
            // They come in no order that is of use here.
            let fitting = self.fitting(place, first).await?;
            first = &first[..if fitting < first.len() { fitting } else { first.len().div_ceil(2) }];
        }
    }

    /// How many of the first objects with these names make a page, as far as their rows tell.
    async fn fitting(&self, place: &Place, names: &[String]) -> Result<usize, Failure> {
        let mut filter = place.all();
        filter.insert("uri", doc! { "$in": names.to_vec() });
        let rows = self.rows(place.shelf, filter, doc! { "uri": 1, "size": 1 }, None, None).await?;
        let size = |row: &Document| value::number(row.get("size")).and_then(|size| u64::try_from(size).ok());
        let sizes: HashMap<&str, u64> =
            rows.iter().filter_map(|row| Some((row.get_str("uri").ok()?, size(row)?))).collect();
        let mut weight = Weight::default();
        let fits = |name: &&String| weight.takes(sizes.get(name.as_str()).copied().unwrap_or(0));
        Ok(names.iter().take_while(fits).count())
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
    ) -> Result<ObjectPage, Failure> {
        let (mut page, mut weight) = (ObjectPage::default(), Weight::default());
        let mut after = after.unwrap_or_default().to_owned();
        loop {
            // One more tells whether there is one.
            let want = (limit - page.objects.len()).saturating_add(1).min(PAGE);
            let by_name = Some(doc! { "uri": 1 });
            let asked =
                Wanted { filter: wanted(place, filter, &after), sort: by_name, limit: Some(want), ..Wanted::default() };
            let mut seen = 0;
            let is_whole = self.each(place.shelf, asked, |row| {
                seen += 1;
                if let Ok(name) = row.get_str("uri") {
                    name.clone_into(&mut after);
                }
                let object = objects::object(place.shelf, &row).filter(|object| may_match(&object.meta, filter));
                let Some(object) = object else { return true };
                if page.objects.last().is_some_and(|last| last.meta.name == object.meta.name) {
                    return true;
                }
                let takes = page.objects.len() < limit && weight.takes(object.data.len() as u64);
                if takes {
                    page.objects.push(object);
                }
                takes
            });
            page.more = !is_whole.await?;
            if page.more || seen < want {
                return Ok(page);
            }
        }
    }

    pub(super) async fn rows(
        &self,
        shelf: Shelf,
        filter: Document,
        projection: Document,
        sort: Option<Document>,
        limit: Option<usize>,
    ) -> Result<Vec<Document>, Failure> {
        let mut rows = Vec::new();
        let wanted = Wanted { filter, projection, sort, limit };
        self.each(shelf, wanted, |row| {
            rows.push(row);
            true
        })
        .await?;
        Ok(rows)
    }

    /// Hands out rows one by one until one is refused; whether none was. What lies in memory at once is what the server sends
    /// at once, 16 MiB at most.
    async fn each(
        &self,
        shelf: Shelf,
        wanted: Wanted,
        mut takes: impl FnMut(Document) -> bool + Send,
    ) -> Result<bool, Failure> {
        let Wanted { filter, projection, sort, limit } = wanted;
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
        let reading = async {
            let mut rows = find.await?;
            while let Some(row) = rows.try_next().await? {
                if !takes(row) {
                    return Ok(false);
                }
            }
            Ok::<_, mongodb::error::Error>(true)
        };
        Ok(self.mongo.timed(reading).await?)
    }
}

/// Which rows, and what of them.
#[derive(Default)]
struct Wanted {
    filter: Document,
    projection: Document,
    sort: Option<Document>,
    limit: Option<usize>,
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
