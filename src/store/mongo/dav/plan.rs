//! What a batch does to the rows, decided without touching them: (what is there, batch) -> (what to write, what to answer).
//!
//! The operations are gone through in order against a picture of the collections and objects they name; what is left at the
//! end is written once, however often the batch changed its mind on the way.

mod instances;
mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use self::instances::Guest;
use super::collections::{self, Found, New, OURS};
use super::load::{Loaded, PATHS, Path, Stored, path_id, path_of};
use super::place::{Place, Shelf};
use super::upkeep::TRASH;
use super::{objects, value};
use crate::ids::{CollectionId, TrashId};
use crate::store::{Batch, Collection, CollectionProps, Expect, Object, Op, PublicRight, Usage, WriteError, Written};

/// What happened to an object (dav §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Added = 1,
    Modified = 2,
    Deleted = 3,
}

/// A row of changes; its number is given when it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) id: ObjectId,
    /// Empty for a change of the collection's own properties.
    pub(super) uri: String,
    pub(super) operation: Operation,
}

impl Change {
    /// The row; `before` is the token before the change.
    pub(super) fn row(&self, place: &Place, before: u64) -> Document {
        doc! {
            "_id": self.id,
            place.shelf.changed(): place.id,
            "uri": &self.uri,
            "synctoken": value::count(before),
            "operation": self.operation as i32,
            // Ours: numbered in one step with the token.
            OURS: true,
        }
    }
}

/// Changes of a collection that is there, which move its token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Count {
    pub(super) place: Place,
    /// The token they build on, as it is stored.
    pub(super) stored_token: Bson,
    /// What they are counted from: that token, or one ahead of it.
    pub(super) from: u64,
    pub(super) changes: Vec<Change>,
    /// Octets and objects that are more than before, where they are counted.
    pub(super) grown: Option<(i64, i64)>,
}

impl Count {
    /// The fields of the counters that grow; nothing where nothing is counted.
    pub(super) fn grows(&self) -> Option<Document> {
        let (octets, objects) = self.grown.filter(|grown| *grown != (0, 0))?;
        Some(doc! { "convoke.octets": value::int(octets), "convoke.objects": value::int(objects) })
    }
}

/// A change of rows that are there. Each can be done again without harm, and does nothing to a row that somebody else has
/// changed since.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Update { collection: String, filter: Document, update: Document, upsert: bool },
    Delete { collection: String, filter: Document },
    Insert { collection: String, row: Document },
}

/// What there is to write.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In this order, before the new rows.
    pub(super) steps: Vec<Step>,
    /// New rows: collection and row. Those that make a path are last.
    pub(super) rows: Vec<(&'static str, Document)>,
    /// Tokens to move, at last.
    pub(super) counts: Vec<Count>,
    /// What to answer, as long as nobody else moves a token meanwhile.
    pub(super) written: Written,
    /// For each operation, the collection whose token it tells.
    pub(super) tokens_of: Vec<Option<CollectionId>>,
    /// Collections that are gone.
    pub(super) gone: Vec<CollectionId>,
}

/// Where new ids and the time come from.
pub(super) struct Source<'s> {
    pub(super) new_id: &'s (dyn Fn() -> ObjectId + Sync),
    pub(super) now: DateTime,
}

/// Plans a batch.
pub(super) fn plan(loaded: &Loaded, batch: &Batch, source: &Source<'_>) -> Result<Plan, WriteError> {
    let mut picture = Picture::of(loaded, source);
    let mut written = Written::default();
    let mut tokens_of = Vec::new();
    for (index, op) in batch.ops.iter().enumerate() {
        let (collection, existed) = picture.apply(index, op)?;
        let sketch = collection.and_then(|collection| picture.sketches.get(&collection));
        written.sync_tokens.push(sketch.map_or(0, |sketch| sketch.token));
        written.existed.push(existed);
        tokens_of.push(collection);
    }
    Ok(Plan { written, tokens_of, ..picture.into_plan() })
}

/// Where a collection comes from.
enum Origin<'b> {
    /// It was there before.
    Found(&'b Found),
    /// It was made by the batch.
    New(Box<New>),
}

/// A collection while the batch goes on.
struct Sketch<'b> {
    origin: Origin<'b>,
    alive: bool,
    token: u64,
    /// Numbers that were left out before the changes, so that the token is beyond another.
    jump: u64,
    props: Option<CollectionProps>,
    /// The public right that the batch sets.
    right: Option<Option<PublicRight>>,
    changes: Vec<Change>,
    /// Octets and objects that the batch added.
    grown: (i64, i64),
}

/// An object while the batch goes on.
#[derive(Default)]
struct Item<'b> {
    /// Rows that were there before, the one that counts last.
    rows: &'b [Stored],
    /// ETag, UID and octets, where it is there now.
    now: Option<(String, String, u64)>,
    /// What the batch wrote last.
    object: Option<&'b Object>,
    touched: bool,
}

struct Picture<'b> {
    loaded: &'b Loaded,
    source: &'b Source<'b>,
    sketches: HashMap<CollectionId, Sketch<'b>>,
    items: BTreeMap<(CollectionId, &'b str), Item<'b>>,
    /// What others have of collections, by id.
    guests: BTreeMap<crate::ids::ObjectId, Guest<'b>>,
    /// Names by UID.
    uids: HashMap<(CollectionId, String), BTreeSet<&'b str>>,
    ids: HashSet<CollectionId>,
    paths: HashSet<Path>,
    retired: HashMap<Path, u64>,
    trash: HashSet<TrashId>,
    /// What becomes of the trash.
    trashing: Vec<Step>,
    trashed: Vec<Document>,
}

impl<'b> Picture<'b> {
    fn of(loaded: &'b Loaded, source: &'b Source<'b>) -> Self {
        let sketch = |found: &'b Found| Sketch {
            alive: true,
            token: found.collection.sync_token,
            jump: 0,
            origin: Origin::Found(found),
            props: None,
            right: None,
            changes: Vec::new(),
            grown: (0, 0),
        };
        let mut picture = Self {
            loaded,
            source,
            sketches: loaded.collections.iter().map(|(id, found)| (*id, sketch(found))).collect(),
            items: BTreeMap::new(),
            guests: BTreeMap::new(),
            uids: HashMap::new(),
            ids: loaded.ids.clone(),
            paths: loaded.paths.clone(),
            retired: loaded.retired.clone(),
            trash: loaded.trash.clone(),
            trashing: Vec::new(),
            trashed: Vec::new(),
        };
        for ((collection, name), rows) in &loaded.objects {
            let Some(current) = rows.last() else { continue };
            let now = Some((current.etag.clone(), current.uid.clone(), current.size));
            picture.uids.entry((*collection, current.uid.clone())).or_default().insert(name);
            picture.items.insert((*collection, name), Item { rows, now, object: None, touched: false });
        }
        picture
    }

    /// The collection whose token the operation tells, and whether the object was there.
    fn apply(&mut self, index: usize, op: &'b Op) -> Result<(Option<CollectionId>, bool), WriteError> {
        let (collection, existed) = match op {
            Op::CreateCollection(collection) => self.create(index, collection)?,
            Op::SetProps { collection, props } => self.set_props(index, *collection, props)?,
            Op::ExpectToken { collection, token } => match self.alive(index, *collection)?.token {
                found if found == *token => (*collection, true),
                _ => return Err(WriteError::Precondition(index)),
            },
            Op::SetPublicRight { collection, right } => self.set_public_right(index, *collection, right.as_ref())?,
            Op::ExpectPublicRight { collection, right } => {
                self.expect_public_right(index, *collection, right.as_ref())?
            }
            Op::PutInstance(instance) => self.put_instance(index, instance)?,
            Op::ExpectInstance(instance) => self.expect_instance(index, instance)?,
            Op::ExpectNotGiven { collection, home } => self.expect_not_given(index, *collection, *home)?,
            Op::RemoveInstance(instance) => self.remove_instance(index, instance)?,
            Op::DeleteCollection(collection) => self.delete_collection(index, *collection)?,
            Op::PutObject { collection, object, expect } => self.put(index, *collection, object, expect)?,
            Op::DeleteObject { collection, name, expect } => self.delete(index, *collection, name, expect)?,
            Op::ExpectRoom { collection, room } => self.expect_room(index, *collection, room)?,
            Op::Trash { entry, data } => {
                self.keep(entry, data)?;
                return Ok((None, false));
            }
            Op::Untrash { id, .. } => {
                if !self.trash.remove(id) {
                    return Err(WriteError::Precondition(index));
                }
                let filter = doc! { "_id": crate::mongo::oid(id.0) };
                self.trashing.push(Step::Delete { collection: TRASH.to_owned(), filter });
                return Ok((None, true));
            }
        };
        Ok((Some(collection), existed))
    }

    fn create(&mut self, index: usize, wanted: &Collection) -> Result<(CollectionId, bool), WriteError> {
        let path = path_of(wanted);
        if !self.ids.insert(wanted.id) || !self.paths.insert(path.clone()) {
            return Err(WriteError::CollectionExists(index));
        }
        // Tokens of a deleted collection of this path must mean nothing here: count on from the last of them.
        let token = wanted.sync_token.max(1).max(self.retired.get(&path).map_or(1, |last| last + 1));
        let new = New {
            collection: wanted.clone(),
            principal: self.loaded.principals.get(&wanted.home).cloned().unwrap_or_default(),
            oldest: token,
            made: (self.source.new_id)(),
            usage: Usage::default(),
        };
        let sketch = Sketch {
            origin: Origin::New(Box::new(new)),
            alive: true,
            token,
            jump: 0,
            props: None,
            right: None,
            changes: Vec::new(),
            grown: (0, 0),
        };
        self.sketches.insert(wanted.id, sketch);
        Ok((wanted.id, false))
    }

    fn alive(&mut self, index: usize, id: CollectionId) -> Result<&mut Sketch<'b>, WriteError> {
        self.sketches.get_mut(&id).filter(|sketch| sketch.alive).ok_or(WriteError::NoCollection(index))
    }

    fn set_props(
        &mut self,
        index: usize,
        id: CollectionId,
        props: &CollectionProps,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, id)?.props = Some(props.clone());
        self.count(id, "", Operation::Modified);
        Ok((id, true))
    }

    fn delete_collection(&mut self, index: usize, id: CollectionId) -> Result<(CollectionId, bool), WriteError> {
        let sketch = self.alive(index, id)?;
        sketch.alive = false;
        let (token, path) = (sketch.token, path_of(sketch.collection()));
        self.paths.remove(&path);
        self.retire(path, token);
        for path in self.loaded.shown_at.get(&id).into_iter().flatten() {
            self.retire(path.clone(), token);
        }
        for ((collection, _), item) in &mut self.items {
            if *collection == id {
                item.now = None;
                item.object = None;
            }
        }
        self.uids.retain(|(collection, _), _| *collection != id);
        Ok((id, true))
    }

    /// Remembers the last token that was told at a path.
    fn retire(&mut self, path: Path, token: u64) {
        let last = self.retired.entry(path).or_default();
        *last = token.max(*last);
    }

    fn put(
        &mut self,
        index: usize,
        id: CollectionId,
        object: &'b Object,
        expect: &Expect,
    ) -> Result<(CollectionId, bool), WriteError> {
        let is_calendar = self.alive(index, id)?.shelf() == Shelf::Calendars;
        let (name, uid) = (object.meta.name.as_str(), object.meta.uid.0.as_str());
        let before = self.items.get(&(id, name)).and_then(|item| item.now.clone());
        check(index, before.as_ref().map(|(etag, ..)| etag.as_str()), expect)?;
        let has_it = self.uids.entry((id, uid.to_owned())).or_default();
        if let Some(other) = has_it.iter().find(|other| **other != name)
            && is_calendar
        {
            return Err(WriteError::UidConflict { op: index, name: (*other).to_owned() });
        }
        has_it.insert(name);
        if let Some((_, old, _)) = &before
            && old != uid
            && let Some(names) = self.uids.get_mut(&(id, old.clone()))
        {
            names.remove(name);
        }
        let item = self.items.entry((id, name)).or_default();
        item.now = Some((object.meta.etag.clone(), uid.to_owned(), object.meta.size));
        item.object = Some(object);
        item.touched = true;
        self.grow(id, i64::from(before.is_none()), before.as_ref().map_or(0, |(.., size)| *size), object.meta.size);
        self.count(id, name, if before.is_some() { Operation::Modified } else { Operation::Added });
        Ok((id, before.is_some()))
    }

    fn delete(
        &mut self,
        index: usize,
        id: CollectionId,
        name: &'b str,
        expect: &Expect,
    ) -> Result<(CollectionId, bool), WriteError> {
        self.alive(index, id)?;
        // Without an object only `Any` holds: there is nothing that `Absent` would delete.
        let Some(item) = self.items.get_mut(&(id, name)).filter(|item| item.now.is_some()) else {
            return if *expect == Expect::Any { Ok((id, false)) } else { Err(WriteError::Precondition(index)) };
        };
        check(index, item.now.as_ref().map(|(etag, ..)| etag.as_str()), expect)?;
        item.object = None;
        item.touched = true;
        if let Some((_, uid, size)) = item.now.take() {
            if let Some(names) = self.uids.get_mut(&(id, uid)) {
                names.remove(name);
            }
            self.grow(id, -1, size, 0);
        }
        self.count(id, name, Operation::Deleted);
        Ok((id, true))
    }

    /// Counts what an object takes now.
    fn grow(&mut self, id: CollectionId, objects: i64, before: u64, now: u64) {
        let octets = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        if let Some(sketch) = self.sketches.get_mut(&id) {
            sketch.grown = (sketch.grown.0 + octets(now) - octets(before), sketch.grown.1 + objects);
        }
    }

    /// Counts a change.
    fn count(&mut self, id: CollectionId, uri: &str, operation: Operation) {
        let change = Change { id: (self.source.new_id)(), uri: uri.to_owned(), operation };
        if let Some(sketch) = self.sketches.get_mut(&id) {
            sketch.changes.push(change);
            sketch.token += 1;
        }
    }

    /// What is left to write.
    fn into_plan(mut self) -> Plan {
        let mut plan = Plan { steps: std::mem::take(&mut self.trashing), ..Plan::default() };
        plan.rows.extend(std::mem::take(&mut self.trashed).into_iter().map(|row| (TRASH, row)));
        let mut new = Vec::new();
        for (id, sketch) in &self.sketches {
            match &sketch.origin {
                Origin::Found(found) if sketch.alive => plan.change(found, sketch, self.source),
                Origin::Found(found) => {
                    let subscriptions = self.loaded.subscriptions.get(id).map_or(&[][..], Vec::as_slice);
                    plan.delete(found, subscriptions);
                }
                Origin::New(made) if sketch.alive => new.push((&**made, sketch)),
                Origin::New(_) => {}
            }
        }
        for ((id, _), item) in &self.items {
            let sketch = &self.sketches[id];
            if sketch.alive && item.touched {
                plan.write_object(&sketch.place(), item, self.source);
            }
        }
        for (path, token) in &self.retired {
            if self.loaded.retired.get(path) != Some(token) {
                let update = doc! { "$max": { "token": value::count(*token) } };
                plan.update(PATHS, doc! { "_id": path_id(path) }, update, true);
            }
        }
        // In the order of the operations, which is that of creation.
        new.sort_by_key(|(made, _)| made.made.bytes());
        for (made, sketch) in new {
            plan.create(made, sketch, self.source);
        }
        self.plan_instances(&mut plan);
        plan
    }
}

fn check(index: usize, etag: Option<&str>, expect: &Expect) -> Result<(), WriteError> {
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => etag.is_none(),
        Expect::Present => etag.is_some(),
        Expect::Etag(wanted) => etag == Some(wanted),
    };
    if holds { Ok(()) } else { Err(WriteError::Precondition(index)) }
}

impl Sketch<'_> {
    fn collection(&self) -> &Collection {
        match &self.origin {
            Origin::Found(found) => &found.collection,
            Origin::New(new) => &new.collection,
        }
    }

    fn is_new(&self) -> bool {
        matches!(self.origin, Origin::New(_))
    }

    fn shelf(&self) -> Shelf {
        Shelf::of(self.collection().kind)
    }

    fn place(&self) -> Place {
        match &self.origin {
            Origin::Found(found) => found.place.clone(),
            Origin::New(new) => new.place(),
        }
    }
}

impl Plan {
    fn update(&mut self, collection: &str, filter: Document, update: Document, upsert: bool) {
        self.steps.push(Step::Update { collection: collection.to_owned(), filter, update, upsert });
    }

    /// A collection that stays.
    fn change(&mut self, found: &Found, sketch: &Sketch<'_>, source: &Source<'_>) {
        if sketch.changes.is_empty() {
            return;
        }
        if !found.has_row {
            let row = New {
                collection: found.collection.clone(),
                principal: found.principal.clone(),
                oldest: 1,
                made: found.made,
                usage: Usage::default(),
            };
            for (collection, mut row) in row.rows() {
                let id = row.remove("_id");
                self.update(collection, doc! { "_id": id }, doc! { "$setOnInsert": row }, true);
            }
        }
        if let Some(props) = &sketch.props {
            for (collection, filter, update) in collections::set_props(found, props, (source.new_id)()) {
                self.update(collection, filter, update, false);
            }
        }
        self.counts.push(Count {
            place: found.place.clone(),
            stored_token: if found.has_row { found.stored_token.clone() } else { Bson::Int32(1) },
            from: found.collection.sync_token + sketch.jump,
            changes: sketch.changes.clone(),
            grown: found.usage.map(|_| sketch.grown),
        });
    }

    /// A collection that goes, with all that hangs on it: the path first.
    fn delete(&mut self, found: &Found, subscriptions: &[(&'static str, Bson)]) {
        let Place { shelf, id, .. } = found.place;
        let mut delete = |collection: &str, filter: Document| {
            self.steps.push(Step::Delete { collection: collection.to_owned(), filter });
        };
        match shelf {
            Shelf::Calendars => delete("calendarinstances", doc! { "calendarid": id }),
            Shelf::Books => delete("sharedaddressbooks", doc! { "addressbookid": id }),
            Shelf::Boxes => {}
        }
        for (collection, subscription) in subscriptions {
            delete(collection, doc! { "_id": subscription.clone() });
        }
        delete(shelf.heads(), doc! { "_id": id });
        delete(shelf.objects(), found.place.all());
        delete(shelf.changes(), doc! { shelf.changed(): id });
        self.gone.push(found.collection.id);
    }

    /// An object as it is in the end.
    fn write_object(&mut self, place: &Place, item: &Item<'_>, source: &Source<'_>) {
        let objects = place.shelf.objects();
        let Some(object) = item.object else {
            return self.delete_rows(objects, item.rows);
        };
        let Some((current, doubles)) = item.rows.split_last() else {
            let row = objects::new_row(place, object, (source.new_id)(), source.now);
            return self.rows.push((objects, row));
        };
        self.delete_rows(objects, doubles);
        let filter = doc! {
            "_id": current.id.clone(),
            "etag": current.stored_etag.clone(),
            "convoke.rev": current.rev.clone(),
        };
        let fields = objects::fields(place.shelf, object, (source.new_id)());
        self.update(objects, filter, objects::as_update(fields), false);
    }

    fn delete_rows(&mut self, collection: &str, rows: &[Stored]) {
        if !rows.is_empty() {
            let ids: Vec<Bson> = rows.iter().map(|row| row.id.clone()).collect();
            let filter = doc! { "_id": { "$in": ids } };
            self.steps.push(Step::Delete { collection: collection.to_owned(), filter });
        }
    }

    /// A new collection, with the changes it has seen already.
    fn create(&mut self, new: &New, sketch: &Sketch<'_>, source: &Source<'_>) {
        let place = new.place();
        for (change, before) in sketch.changes.iter().zip(new.oldest + sketch.jump..) {
            self.rows.push((place.shelf.changes(), change.row(&place, before)));
        }
        let mut collection = new.collection.clone();
        collection.sync_token = sketch.token;
        if let Some(props) = &sketch.props {
            collection.props = props.clone();
        }
        if let Some(right) = &sketch.right {
            collection.public_right.clone_from(right);
        }
        // Whoever makes the same path at the same time, in another collection of rows, changes this row, too.
        let path = doc! { "_id": path_id(&path_of(&collection)) };
        self.update(PATHS, path, doc! { "$set": { "made": (source.new_id)() } }, true);
        let usage = Usage {
            octets: u64::try_from(sketch.grown.0).unwrap_or(0),
            objects: u64::try_from(sketch.grown.1).unwrap_or(0),
        };
        self.rows.extend(New { collection, usage, ..new.clone() }.rows());
    }
}
