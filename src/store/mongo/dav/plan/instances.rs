//! What a batch does to what others have of collections.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::{Operation, Picture, Plan, Sketch, Source, Step};
use crate::ids::{CollectionId, HomeId};
use crate::store::mongo::dav::collections::OURS;
use crate::store::mongo::dav::instances::{Pointing, Table, new_row, set_public_right, update};
use crate::store::mongo::dav::load::{Loaded, PATHS, path_id};
use crate::store::mongo::dav::value;
use crate::store::{CollectionKind, CollectionProps, Instance, PublicRight, WriteError};

/// An instance while the batch goes on.
pub(super) struct Guest<'b> {
    /// The row that was there before, and where.
    row: Option<(Table, &'b Document)>,
    /// What the batch wrote last; `None` where it took it away.
    now: Option<&'b Instance>,
    /// The collection it shows.
    of: CollectionId,
    /// The first token that is told where it stands, where the batch writes that down.
    since: Option<u64>,
    /// Tells the order of creation, where the batch makes it.
    made: ObjectId,
}

impl<'b> Picture<'b> {
    pub(super) fn set_public_right(
        &mut self,
        index: usize,
        id: CollectionId,
        right: Option<&PublicRight>,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, id)?.right = Some(right.cloned());
        Ok((id, true))
    }

    pub(super) fn expect_public_right(
        &mut self,
        index: usize,
        id: CollectionId,
        seen: Option<&PublicRight>,
    ) -> Result<(CollectionId, bool), WriteError> {
        let sketch = self.alive(index, id)?;
        let right = sketch.right.as_ref().unwrap_or(&sketch.collection().public_right);
        if right.as_ref() == seen { Ok((id, true)) } else { Err(WriteError::Precondition(index)) }
    }

    pub(super) fn put_instance(&mut self, index: usize, new: &'b Instance) -> Result<(CollectionId, bool), WriteError> {
        if self.alive(index, new.of)?.collection().kind != new.kind {
            return Err(WriteError::NoCollection(index));
        }
        let before = self.props_of(new);
        if before.is_none() {
            let path = (new.home, new.kind == CollectionKind::AddressBook, new.uri.clone());
            if !self.paths.insert(path) {
                return Err(WriteError::CollectionExists(index));
            }
        }
        let existed = before.is_some();
        let is_delegation = new.delegation().is_some();
        if is_delegation && before.is_some_and(|before| before != new.props) {
            self.count(new.of, "", Operation::Modified);
        }
        let token = self.alive(index, new.of)?.token;
        let mut since = self.guests.get(&new.id).filter(|guest| guest.now.is_some()).and_then(|guest| guest.since);
        let is_settled = since.is_some() || self.pointing(new).is_some_and(|row| row.since.is_some());
        if !existed {
            since = Some(self.settle(new, token));
        } else if !is_settled && !is_delegation {
            // Nobody knows what was told there before.
            since = Some(self.settle(new, token + 1));
        }
        let row = self.row_of(new);
        let made = (self.source.new_id)();
        self.guests.insert(new.id, Guest { row, now: Some(new), of: new.of, since, made });
        Ok((new.of, existed))
    }

    pub(super) fn expect_instance(
        &mut self,
        index: usize,
        seen: &'b Instance,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, seen.of)?;
        let tie = match self.guests.get(&seen.id) {
            Some(guest) => guest.now.map(|now| now.tie.clone()),
            None => self.row_of(seen).and_then(|(table, row)| Pointing::read(table, row)).map(|row| row.tie),
        };
        if tie.as_ref() == Some(&seen.tie) { Ok((seen.of, true)) } else { Err(WriteError::Precondition(index)) }
    }

    pub(super) fn expect_not_given(
        &mut self,
        index: usize,
        of: CollectionId,
        home: HomeId,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, of)?;
        let before = self.loaded.given.get(&(of, home)).into_iter().flatten();
        let stays = |id: &ObjectId| self.guests.get(&crate::mongo::id(*id)).is_none_or(|guest| guest.now.is_some());
        let is_made = |now: &Instance| now.of == of && now.home == home && now.delegation().is_some();
        let is_given =
            before.copied().any(|id| stays(&id)) || self.guests.values().filter_map(|guest| guest.now).any(is_made);
        if is_given { Err(WriteError::Precondition(index)) } else { Ok((of, true)) }
    }

    /// The first token that is told where an instance stands, at least this one; that of the collection is moved there.
    fn settle(&mut self, new: &Instance, least: u64) -> u64 {
        let path = (new.home, new.kind == CollectionKind::AddressBook, new.uri.clone());
        let since = least.max(self.retired.get(&path).map_or(0, |last| last + 1));
        let Some(sketch) = self.sketches.get_mut(&new.of) else { return since };
        if let Some(ahead) = since.checked_sub(sketch.token + 1) {
            sketch.jump += ahead;
            sketch.token += ahead;
            self.count(new.of, "", Operation::Modified);
        }
        since
    }

    pub(super) fn remove_instance(
        &mut self,
        index: usize,
        gone: &'b Instance,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, gone.of)?;
        let existed = self.props_of(gone).is_some();
        let token = self.alive(index, gone.of)?.token;
        if existed {
            let (home, uri) = match self.pointing(gone) {
                Some(row) => (row.home, row.uri),
                None => (gone.home, gone.uri.clone()),
            };
            let path = (home, gone.kind == CollectionKind::AddressBook, uri);
            self.paths.remove(&path);
            self.retire(path, token);
        }
        let row = self.row_of(gone);
        let made = (self.source.new_id)();
        self.guests.insert(gone.id, Guest { row, now: None, of: gone.of, since: None, made });
        Ok((gone.of, existed))
    }

    fn row_of(&self, instance: &Instance) -> Option<(Table, &'b Document)> {
        self.loaded.instances.get(&instance.id).map(|(table, row)| (*table, row))
    }

    /// The properties that an instance has at this point of the batch; `None` when it is not there.
    fn props_of(&self, instance: &Instance) -> Option<CollectionProps> {
        match self.guests.get(&instance.id) {
            Some(guest) => guest.now.map(|now| now.props.clone()),
            None => self.pointing(instance).map(|row| row.props),
        }
    }

    /// What the row says that was there before.
    fn pointing(&self, instance: &Instance) -> Option<Pointing> {
        self.row_of(instance).and_then(|(table, row)| Pointing::read(table, row))
    }

    /// Adds what is left to write of instances and public rights.
    pub(super) fn plan_instances(&self, plan: &mut Plan) {
        for sketch in self.sketches.values().filter(|sketch| sketch.alive && !sketch.is_new()) {
            if let Some(right) = &sketch.right {
                let (collection, filter, update) = set_public_right(&sketch.place(), right.as_ref());
                plan.update(collection, filter, update, false);
            }
        }
        for guest in self.guests.values() {
            let sketch = &self.sketches[&guest.of];
            if sketch.alive {
                plan.write_guest(guest, sketch, self.source, self.loaded);
            }
        }
    }
}

impl Plan {
    fn write_guest(&mut self, guest: &Guest<'_>, sketch: &Sketch<'_>, source: &Source<'_>, loaded: &Loaded) {
        match (guest.row, guest.now) {
            (None, None) => {}
            (Some((table, row)), None) => {
                let filter = doc! { "_id": row.get("_id").cloned() };
                self.steps.push(Step::Delete { collection: table.name().to_owned(), filter });
            }
            (Some((table, row)), Some(now)) => {
                let rev = value::inner(row, OURS).and_then(|o| o.get("rev")).cloned().unwrap_or(Bson::Null);
                let filter = doc! { "_id": row.get("_id").cloned(), "convoke.rev": rev };
                self.update(table.name(), filter, update(now, guest.since, (source.new_id)()), false);
            }
            (None, Some(now)) => {
                let mut shown = sketch.collection().clone();
                if let Some(right) = &sketch.right {
                    shown.public_right.clone_from(right);
                }
                if now.delegation().is_none() {
                    // As for collections: the path is the client's choice.
                    let path = (now.home, now.kind == CollectionKind::AddressBook, now.uri.clone());
                    let made = doc! { "$set": { "made": (source.new_id)() } };
                    self.update(PATHS, doc! { "_id": path_id(&path) }, made, true);
                }
                let principal = loaded.principals.get(&now.home).map_or("", String::as_str);
                let seconds = source.now.timestamp_millis().div_euclid(1000);
                let row = new_row((now, guest.since), principal, &shown, guest.made, seconds);
                self.rows.push((Table::of(now).name(), row));
            }
        }
    }
}
