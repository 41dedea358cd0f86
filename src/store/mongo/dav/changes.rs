//! What changed since a token, from the rows of changes.
//!
//! A row tells the token before the change, so a client at `n` is told of the rows from `n` on. esn-sabre writes the row and
//! moves the token in two steps: a row of its may appear when a client is past its number already. Rows that are not ours
//! are therefore told again to a client that is a little ahead of them, where they may be younger than what it has seen.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::MongoDav;
use super::collections::{Found, OURS};
use super::load::find_collections;
use super::place::Place;
use super::value;
use super::via::Via;
use crate::ids::CollectionId;
use crate::mongo::Failure;
use crate::store::paging::Stand;
use crate::store::{Change, Changes};

/// How far behind a client's token a late row may be.
const LATE: u64 = 64;
/// How long a row counts as new whatever the clocks of those who write say.
const MOMENT: Duration = Duration::from_secs(30);
/// Names that may share a number, where several programs counted at the same time.
const SHARED: usize = 64;

/// The number of the last change of a name.
struct Last {
    uri: String,
    token: u64,
}

impl MongoDav {
    pub(super) async fn changed(
        &self,
        collection: CollectionId,
        since: u64,
        limit: usize,
    ) -> Result<Option<Changes>, Failure> {
        let mut via = Via::plain(&self.mongo);
        let wanted = HashSet::from([collection]);
        // The token first: whatever is counted in it is there when the rows are read.
        let Some(found) = find_collections(&mut via, &wanted, &mut HashSet::new()).await?.pop() else {
            return Ok(None);
        };
        let token = found.collection.sync_token;
        if since == 0 {
            return self.everything(&found, limit).await.map(Some);
        }
        let stand = Stand::read(since);
        if stand.began > token
            || stand.began < found.oldest
            || stand.at > stand.began
            || !self.reaches_back(&found, stand.began).await?
        {
            return Ok(None);
        }
        let since = stand.at;
        // These first: on the next page the client is farther from them. Most of a page is for what is new, all the same.
        let mut told = self.late_changes(&found.place, since, limit / 4).await?;
        let room = limit.saturating_sub(told.len()).max(1);
        let most = room.saturating_add(SHARED);
        let (last, truncated) = cut(self.last_changes(&found.place, since, token, most).await?, room);
        let token = match last.last() {
            Some(last) if truncated => stand.token_at(last.token, found.oldest),
            _ => token,
        };
        told.retain(|late| !last.iter().any(|l| l.uri == late.uri));
        told.extend(last);
        let numbers: Vec<u64> = told.iter().map(|last| last.token).collect();
        let changes = self.as_they_are(&found.place, told).await?;
        // Who reads everything page by page need not hear of what was gone before.
        let is_news = |change: &Change, number| stand.at == stand.began || number > stand.began || !is_gone(change);
        let changes = changes.into_iter().zip(numbers).filter(|(change, number)| is_news(change, *number));
        let changes = changes.map(|(change, _)| change).collect();
        Ok(Some(Changes { changes, token, truncated }))
    }

    /// Whether the rows go back to this token: somebody may have cleared old ones away.
    async fn reaches_back(&self, found: &Found, since: u64) -> Result<bool, Failure> {
        if since == found.collection.sync_token || since == found.oldest {
            return Ok(true);
        }
        let shelf = found.place.shelf;
        let filter = doc! { shelf.changed(): found.place.id, "synctoken": { "$lte": value::count(since) } };
        let rows = self.mongo.dav().collection::<Document>(shelf.changes());
        Ok(self.mongo.timed(rows.find_one(filter).projection(doc! { "_id": 1 })).await?.is_some())
    }

    /// Names that changed from a token on and before another, each with its last number, in this order.
    async fn last_changes(&self, place: &Place, from: u64, before: u64, limit: usize) -> Result<Vec<Last>, Failure> {
        let range = doc! { "$gte": value::count(from), "$lt": value::count(before) };
        let mut pipeline = vec![
            doc! { "$match": { place.shelf.changed(): place.id, "synctoken": range, "uri": { "$nin": ["", null] } } },
            doc! { "$group": { "_id": "$uri", "last": { "$max": "$synctoken" } } },
            // Names that share a number, by name.
            doc! { "$sort": { "last": 1, "_id": 1 } },
        ];
        if let Ok(limit) = i64::try_from(limit) {
            pipeline.push(doc! { "$limit": limit });
        }
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        let rows: Vec<Document> =
            self.mongo.timed(async { changes.aggregate(pipeline).await?.try_collect().await }).await?;
        Ok(rows.iter().filter_map(last).collect())
    }

    /// Names in rows of others that are numbered before a token, and may have appeared when it had been told.
    async fn late_changes(&self, place: &Place, since: u64, limit: usize) -> Result<Vec<Last>, Failure> {
        let before = doc! { "$lt": value::count(since) };
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        // Whoever holds the token was told nothing before this row was there.
        let counted = doc! { place.shelf.changed(): place.id, "synctoken": before };
        let counted = changes.find_one(counted).sort(doc! { "synctoken": -1, "_id": 1 });
        let Some(counted) = self.mongo.timed(counted).await? else { return Ok(Vec::new()) };
        let Ok(made) = counted.get_object_id("_id") else { return Ok(Vec::new()) };
        let second = made.timestamp().timestamp_millis() / 1000;
        let moment = (self.mongo.env().now() - MOMENT).timestamp();
        let range = doc! { "$gte": value::count(since.saturating_sub(LATE)), "$lt": value::count(since) };
        let filter = doc! {
            place.shelf.changed(): place.id,
            "synctoken": range,
            "uri": { "$nin": ["", null] },
            OURS: { "$exists": false },
            "_id": { "$gt": begin_of(second.min(moment)) },
        };
        let find = changes.find(filter).sort(doc! { "synctoken": -1 });
        let mut rows: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        let number = |row: &Document| value::number(row.get("synctoken"));
        if second < moment && rows.iter().filter(|row| number(row) == number(&counted)).count() == 1 {
            // Nobody else counted at that time, so this is what moved the token.
            rows.retain(|row| !row.get_object_id("_id").is_ok_and(|id| id == made));
        }
        let mut seen = HashSet::new();
        let names = rows.iter().filter_map(|row| value::words(row.get("uri"))).filter(|uri| seen.insert(uri.clone()));
        Ok(names.take(limit).map(|uri| Last { uri, token: since }).collect())
    }

    /// The changes, with the objects as they are now.
    async fn as_they_are(&self, place: &Place, last: Vec<Last>) -> Result<Vec<Change>, Failure> {
        let names = last.iter().map(|l| l.uri.clone()).collect();
        let metas = self.metas_of(place, names).await?;
        let mut metas: std::collections::HashMap<String, _> = metas.into_iter().map(|m| (m.name.clone(), m)).collect();
        let change = |l: Last| metas.remove(&l.uri).map_or(Change::Deleted(l.uri), Change::Written);
        Ok(last.into_iter().map(change).collect())
    }

    /// The first page for a client that knows nothing: what exists, in the order of its last change.
    async fn everything(&self, found: &Found, limit: usize) -> Result<Changes, Failure> {
        let place = &found.place;
        let mut found = found.clone();
        for _ in 0..2 {
            let token = found.collection.sync_token;
            let names = self.all_names(place).await?;
            let logged = self.last_changes(place, 0, token, usize::MAX).await?;
            let known: HashSet<&str> = logged.iter().map(|l| l.uri.as_str()).collect();
            let unlogged: Vec<String> = names.iter().filter(|name| !known.contains(name.as_str())).cloned().collect();
            // What nobody logged has no number by which a client could go on after it: give it one, where it does not fit
            // into this page.
            if unlogged.len() >= limit {
                self.log(place, &unlogged).await?;
                let wanted = HashSet::from([found.collection.id]);
                let again = find_collections(&mut Via::plain(&self.mongo), &wanted, &mut HashSet::new()).await?.pop();
                found = again.unwrap_or(found);
                continue;
            }
            // Before all that have a number, as they stand in the list that is cut.
            let unlogged = unlogged.into_iter().map(|uri| Last { uri, token: 0 });
            let exist = logged.into_iter().filter(|l| names.contains(&l.uri));
            let (last, truncated) = cut(unlogged.chain(exist).collect(), limit);
            let token = match last.last() {
                Some(last) if truncated => Stand::beginning(token).token_at(last.token, found.oldest),
                _ => token,
            };
            let mut changes = self.as_they_are(place, last).await?;
            // Gone since the names were read.
            changes.retain(|change| matches!(change, Change::Written(_)));
            return Ok(Changes { changes, token, truncated });
        }
        Err(Failure::Unavailable("objects appear faster than they can be logged".to_owned()))
    }

    async fn all_names(&self, place: &Place) -> Result<HashSet<String>, Failure> {
        let rows = self.rows(place.shelf, place.all(), doc! { "_id": 0, "uri": 1 }, None, None).await?;
        Ok(rows.iter().filter_map(|row| value::words(row.get("uri"))).collect())
    }

    /// Counts a change for each of these names. The clients that know them already hear of them once more.
    async fn log(&self, place: &Place, names: &[String]) -> Result<(), Failure> {
        let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
        let count = value::count(names.len() as u64);
        let update = doc! { "$inc": { "synctoken": count } };
        let before = self.mongo.timed(heads.find_one_and_update(doc! { "_id": place.id }, update)).await?;
        let Some(before) = before else { return Ok(()) };
        let from = super::collections::token(&before);
        let rows = names.iter().zip(from..).map(|(uri, before)| {
            doc! {
                "_id": self.mongo.new_id(),
                place.shelf.changed(): place.id,
                "uri": uri,
                "synctoken": value::count(before),
                "operation": 2,
                OURS: {},
            }
        });
        let changes = self.mongo.dav().collection::<Document>(place.shelf.changes());
        self.mongo.timed(changes.insert_many(rows.collect::<Vec<_>>())).await?;
        tracing::info!(collection = %crate::mongo::id(place.id), objects = names.len(), "objects without a change row have one now");
        Ok(())
    }
}

fn is_gone(change: &Change) -> bool {
    matches!(change, Change::Deleted(_))
}

/// The least id that is made in a second, a unix timestamp.
pub(super) fn begin_of(second: i64) -> ObjectId {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&u32::try_from(second).unwrap_or(0).to_be_bytes());
    ObjectId::from_bytes(id)
}

/// The first changes up to the limit, of a list in the order of numbers. Names that share a number stay together: a client
/// could not ask for the second of them alone.
fn cut(mut last: Vec<Last>, limit: usize) -> (Vec<Last>, bool) {
    if last.len() <= limit {
        return (last, false);
    }
    let number = last[limit].token;
    let whole = last.partition_point(|l| l.token < number);
    if whole == 0 {
        // More than a page of them.
        last.truncate(last.partition_point(|l| l.token <= number));
        return (last, true);
    }
    last.truncate(whole);
    (last, true)
}

fn last(row: &Document) -> Option<Last> {
    let uri = match row.get("_id")? {
        Bson::String(uri) => uri.clone(),
        _ => return None,
    };
    // The number of the change: one more than the token before it.
    let token = u64::try_from(value::number(row.get("last"))?).ok()?.saturating_add(1);
    Some(Last { uri, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_token_before_the_change() {
        let row = doc! { "_id": "a.ics", "last": 7_i64 };
        let last = last(&row).unwrap();
        assert_eq!((last.uri.as_str(), last.token), ("a.ics", 8));
    }

    #[test]
    fn names_that_share_a_number_are_told_on_one_page() {
        let page = |tokens: &[u64], limit| {
            let last = tokens.iter().map(|token| Last { uri: String::new(), token: *token }).collect();
            let (page, truncated) = cut(last, limit);
            (page.iter().map(|l| l.token).collect::<Vec<_>>(), truncated)
        };
        assert_eq!(page(&[2, 3, 4], 3), (vec![2, 3, 4], false));
        assert_eq!(page(&[2, 3, 4], 2), (vec![2, 3], true));
        assert_eq!(page(&[2, 3, 3], 2), (vec![2], true));
        assert_eq!(page(&[2, 2, 2, 3], 1), (vec![2, 2, 2], true));
    }
}
