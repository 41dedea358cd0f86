//! Reading collections: homes, what is in them, and where the objects of a collection are.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};

use super::MongoDav;
use super::collections::{self, Found, in_order};
use super::load::{boxes_without_row, find_collections, owned};
use super::objects;
use super::place::{PRINCIPALS, Place, Shelf, home_of, principals_of};
use super::value;
use super::via::Via;
use crate::ids::{CollectionId, HomeId, Uid};
use crate::mongo::Failure;
use crate::store::{Collection, CollectionKind, Object};

impl MongoDav {
    /// Every collection of a home that is its own: what others share with it is none of its owner's.
    pub(super) async fn found_in(&self, home: HomeId) -> Result<Vec<Found>, Failure> {
        let filter = doc! { "principaluri": { "$in": principals_of(home).to_vec() } };
        let find = async |collection: &str| {
            Via::plain(&self.mongo).find(collection, filter.clone(), doc! {}).await.map_err(Failure::from)
        };
        let (faces, books, boxes) =
            futures_util::try_join!(find("calendarinstances"), find("addressbooks"), find("convoke_boxes"))?;
        let mut found: Vec<Found> = self.calendars_of(&faces).await?;
        found.extend(books.iter().filter_map(collections::book));
        found.extend(boxes.iter().filter_map(collections::in_box));
        found.extend(boxes_without_row(home, &faces, &boxes));
        for f in &found {
            self.places.insert(f.collection.id, f.place.clone());
        }
        Ok(found)
    }

    /// The calendars that the instances of their owners show.
    async fn calendars_of(&self, faces: &[Document]) -> Result<Vec<Found>, Failure> {
        let owners = faces.iter().filter(|face| collections::is_owners(face));
        let ids: Vec<Bson> =
            owners.filter_map(|face| value::object_id(face.get("calendarid"))).map(Bson::ObjectId).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let heads = Via::plain(&self.mongo).find("calendars", doc! { "_id": { "$in": ids } }, doc! {}).await?;
        Ok(heads.iter().filter_map(|head| owned(head, faces)).collect())
    }

    pub(super) async fn at(
        &self,
        home: HomeId,
        kind: CollectionKind,
        uri: &str,
    ) -> Result<Option<Collection>, Failure> {
        let shelf = Shelf::of(kind);
        let filter = doc! { "principaluri": { "$in": principals_of(home).to_vec() }, "uri": uri };
        let rows = Via::plain(&self.mongo).find(shelf.faces(), filter, doc! {}).await?;
        let found = match shelf {
            Shelf::Calendars => self.calendars_of(&rows).await?.into_iter().next(),
            Shelf::Books => rows.iter().find_map(collections::book),
            Shelf::Boxes => match rows.iter().find_map(collections::in_box) {
                Some(found) => Some(found),
                // It may be one that needs no row.
                None => {
                    self.found_in(home).await?.into_iter().find(|f| f.collection.uri == uri && f.place.shelf == shelf)
                }
            },
        };
        let Some(found) = found else { return Ok(None) };
        self.places.insert(found.collection.id, found.place);
        Ok(Some(found.collection).filter(|c| c.kind == kind))
    }

    /// Where the objects of a collection are. Remembered, for it never changes.
    pub(super) async fn place_of(&self, collection: CollectionId) -> Result<Option<Place>, Failure> {
        if let Some(place) = self.places.get(&collection) {
            return Ok(Some(place));
        }
        let place = self.by_id(collection).await?.map(|found| found.place);
        if let Some(place) = &place {
            self.places.insert(collection, place.clone());
        }
        Ok(place)
    }

    /// A collection as its owner has it.
    pub(super) async fn by_id(&self, collection: CollectionId) -> Result<Option<Found>, Failure> {
        let wanted = HashSet::from([collection]);
        Ok(find_collections(&mut Via::plain(&self.mongo), &wanted, &mut HashSet::new()).await?.pop())
    }

    pub(super) async fn all_in(&self, home: HomeId) -> Result<Vec<Collection>, Failure> {
        Ok(in_order(self.found_in(home).await?))
    }

    pub(super) async fn with_uid(&self, home: HomeId, uid: &Uid) -> Result<Vec<(Collection, Object)>, Failure> {
        let mut calendars = self.found_in(home).await?;
        calendars.retain(|found| found.place.shelf == Shelf::Calendars);
        calendars.sort_by_key(|found| found.made.bytes());
        let ids: Vec<Bson> = calendars.iter().map(|found| found.place.parent.clone()).collect();
        let filter = doc! { "uid": &uid.0, "calendarid": { "$in": ids } };
        let rows = self.rows(Shelf::Calendars, filter, doc! {}, Some(doc! { "uri": 1 }), None).await?;
        let in_it = |found: &Found| {
            let of_it = rows.iter().filter(|row| row.get("calendarid") == Some(&found.place.parent));
            let objects: Vec<_> = of_it
                .filter_map(|row| objects::object(Shelf::Calendars, row))
                .map(|object| (found.collection.clone(), object))
                .collect();
            objects
        };
        Ok(calendars.iter().flat_map(in_it).collect())
    }

    /// A page of homes by id: from each kind of row and each kind of principal as many as the page is long.
    pub(super) async fn homes_after(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, Failure> {
        let ranges = Shelf::ALL.iter().flat_map(|shelf| PRINCIPALS.iter().map(move |prefix| (shelf.faces(), *prefix)));
        let pages = try_join_all(ranges.map(|(collection, prefix)| self.homes_in(collection, prefix, after, limit)));
        let mut homes: Vec<HomeId> = pages.await?.into_iter().flatten().collect();
        homes.sort_unstable();
        homes.dedup();
        homes.truncate(limit);
        Ok(homes)
    }

    /// Steps through the index of paths from principal to principal.
    async fn homes_in(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<HomeId>,
        limit: usize,
    ) -> Result<Vec<HomeId>, Failure> {
        let rows = self.mongo.dav().collection::<Document>(collection);
        // Hex digits, then what comes behind all of them.
        let end = format!("{prefix}g");
        let mut from = after.map_or_else(|| prefix.to_owned(), |home| format!("{prefix}{home}"));
        let mut homes: Vec<HomeId> = Vec::new();
        while homes.len() < limit {
            let filter = doc! { "principaluri": { "$gt": &from, "$lt": &end } };
            let want = limit.clamp(1, 1000);
            let find = rows
                .find(filter)
                .projection(doc! { "_id": 0, "principaluri": 1 })
                .sort(doc! { "principaluri": 1 })
                .limit(i64::try_from(want).unwrap_or(1000));
            let page: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
            for principal in page.iter().filter_map(|row| row.get_str("principaluri").ok()) {
                principal.clone_into(&mut from);
                if let Some(home) = home_of(principal)
                    && homes.last() != Some(&home)
                {
                    homes.push(home);
                }
            }
            if page.len() < want {
                break;
            }
        }
        Ok(homes)
    }
}
