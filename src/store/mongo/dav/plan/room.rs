//! What a batch puts into the trash, and what it takes of a home.

use mongodb::bson::doc;

use super::{Origin, Picture, Sketch, Step};
use crate::ids::CollectionId;
use crate::store::mongo::dav::place::Shelf;
use crate::store::mongo::dav::upkeep::{self, TRASH};
use crate::store::{HomeRoom, Trashed, TrashedThing, WriteError};

impl Picture<'_> {
    /// Puts something into the trash.
    pub(super) fn keep(&mut self, entry: &Trashed, data: &str) -> Result<(), WriteError> {
        let mut row = upkeep::row(entry, data)?;
        let is_new = self.trash.insert(entry.id);
        // A collection may be there from a deletion that broke off, and in the next moment from one that is under way.
        if is_new && matches!(entry.what, TrashedThing::Object { .. }) {
            self.trashed.push(row);
        } else {
            let filter = doc! { "_id": row.remove("_id") };
            let update = doc! { "$set": row };
            self.trashing.push(Step::Update { collection: TRASH.to_owned(), filter, update, upsert: true });
        }
        Ok(())
    }

    /// Whether what the batch took of a home fits into it.
    pub(super) fn expect_room(
        &mut self,
        index: usize,
        id: CollectionId,
        room: &HomeRoom,
    ) -> Result<(CollectionId, bool), WriteError> {
        let sketch = self.alive(index, id)?;
        let (home, grown_objects) = (sketch.collection().home, sketch.grown.1);
        if sketch.shelf() == Shelf::Boxes {
            return Ok((id, true));
        }
        let before = self.loaded.usage.get(&home);
        let of_home = |sketch: &Sketch<'_>| sketch.collection().home == home && sketch.shelf() != Shelf::Boxes;
        let (mut octets, mut grown, mut collections, mut is_new) = (0, 0, 0_u64, false);
        for (collection, usage) in before.into_iter().flatten() {
            if self.sketches.get(collection).is_none_or(|sketch| sketch.alive) {
                octets += i64::try_from(usage.octets).unwrap_or(i64::MAX);
                collections += 1;
            }
        }
        for sketch in self.sketches.values().filter(|sketch| sketch.alive && of_home(sketch)) {
            grown += sketch.grown.0;
            if matches!(sketch.origin, Origin::New(_)) {
                collections += 1;
                is_new = true;
            }
        }
        let exceeds = |found: i64, most: Option<u64>| most.is_some_and(|most| u64::try_from(found).unwrap_or(0) > most);
        let objects = before.and_then(|before| before.get(&id)).map_or(0, |usage| usage.objects);
        let objects = i64::try_from(objects).unwrap_or(i64::MAX).saturating_add(grown_objects);
        let is_full = (grown > 0 && exceeds(octets + grown, room.octets))
            || (grown_objects > 0 && exceeds(objects, room.objects))
            || (is_new && room.collections.is_some_and(|most| collections > most));
        if is_full { Err(WriteError::NoRoom(index)) } else { Ok((id, true)) }
    }
}
