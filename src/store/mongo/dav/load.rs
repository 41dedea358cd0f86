//! What a batch has to know before it can be planned: the collections and objects that it names, read in a handful of reads
//! however many operations there are.

use std::collections::{HashMap, HashSet};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::collections::{self, Found};
use super::instances::{Pointing, TABLES, Table};
use super::objects;
use super::place::{self, PRINCIPALS, Place, Shelf, home_of, principals_of, row_id};
use super::via::Via;
use super::{upkeep, value};
use crate::ids::{CollectionId, HomeId, TrashId};
use crate::mongo::{Mongo, Timed};
use crate::store::{Batch, Collection, CollectionKind, Instance, Op, Usage};

/// What `access` is in the instance of an owner; some have none.
pub(super) fn owners() -> Document {
    doc! { "$not": { "$gt": 1 } }
}

/// Collection of the last tokens of deleted collections.
pub(super) const PATHS: &str = "convoke_paths";

/// UIDs looked for by one pattern: the server limits its length.
const UIDS_IN_A_PATTERN: usize = 50;

/// Address books have a name space of their own.
pub(super) type Path = (HomeId, bool, String);

/// Where a collection's path is.
pub(super) fn path_of(collection: &Collection) -> Path {
    (collection.home, collection.kind == CollectionKind::AddressBook, collection.uri.clone())
}

/// Id of a path's row in [`PATHS`].
pub(super) fn path_id((home, is_book, uri): &Path) -> String {
    format!("/{}/{home}/{uri}", if *is_book { "addressbooks" } else { "calendars" })
}

/// An object as a write sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) id: Bson,
    pub(super) name: String,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) uid: String,
    /// The ETag as it is stored.
    pub(super) stored_etag: Bson,
    /// `convoke.rev`.
    pub(super) rev: Bson,
    /// Octets.
    pub(super) size: u64,
    age: (i64, Vec<u8>),
}

/// What a batch builds on.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) collections: HashMap<CollectionId, Found>,
    /// Rows by name, the one that counts last. Names without a row are not in it.
    pub(super) objects: HashMap<(CollectionId, String), Vec<Stored>>,
    /// Ids of collections that cannot be given again.
    pub(super) ids: HashSet<CollectionId>,
    /// Paths at which there is something.
    pub(super) paths: HashSet<Path>,
    /// The last token of the collection that was deleted at a path.
    pub(super) retired: HashMap<Path, u64>,
    /// The principals of homes in which something is made.
    pub(super) principals: HashMap<HomeId, String>,
    /// Where others have a collection that is deleted.
    pub(super) shown_at: HashMap<CollectionId, Vec<Path>>,
    /// Rows that point at a collection and go with it.
    pub(super) subscriptions: HashMap<CollectionId, Vec<(&'static str, Bson)>>,
    /// The instances that the batch names, by id.
    pub(super) instances: HashMap<crate::ids::ObjectId, (Table, Document)>,
    /// The rows by which homes were given collections, where the batch asks.
    pub(super) given: HashMap<(CollectionId, HomeId), Vec<ObjectId>>,
    /// What the batch takes out of the trash or puts there, as far as it is there.
    pub(super) trash: HashSet<TrashId>,
    /// What is in the calendars and address books of homes whose room matters.
    pub(super) usage: HashMap<HomeId, HashMap<CollectionId, Usage>>,
}

/// Reads what the batch builds on.
pub(super) async fn load(mongo: &Mongo, via: &mut Via<'_>, batch: &Batch) -> Result<Loaded, Timed> {
    let mut loaded = Loaded::default();
    let named: HashSet<CollectionId> = batch.ops.iter().filter_map(named_by).collect();
    for found in find_collections(via, &named, &mut loaded.ids).await? {
        loaded.collections.insert(found.collection.id, found);
    }
    load_instances(via, batch, &mut loaded).await?;
    load_given(via, batch, &mut loaded).await?;
    let created: Vec<Path> = batch.ops.iter().filter_map(path_made_by).collect();
    if !created.is_empty() {
        load_paths(via, &created, &mut loaded).await?;
        load_principals(mongo, via, &created, &mut loaded).await?;
    }
    for op in &batch.ops {
        if let Op::DeleteCollection(id) = op
            && let Some(found) = loaded.collections.get(id)
        {
            let (paths, rows) = find_instances(via, found).await?;
            loaded.shown_at.insert(*id, paths);
            loaded.subscriptions.insert(*id, rows);
        }
    }
    loaded.trash = upkeep::named_in_trash(via, batch).await?;
    for home in upkeep::homes_with_room(batch, &loaded) {
        let usage = upkeep::usage_of(via, home).await?;
        loaded.usage.insert(home, usage.into_iter().map(|(id, usage)| (id, usage.unwrap_or_default())).collect());
    }
    for id in named {
        let Some(place) = loaded.collections.get(&id).map(|found| found.place.clone()) else { continue };
        for stored in find_objects(via, &place, id, batch).await? {
            let rows = loaded.objects.entry((id, stored.name.clone())).or_default();
            // Found by name and by UID; somebody may have written it in between.
            match rows.iter_mut().find(|row| row.id == stored.id) {
                Some(row) => *row = stored,
                None => rows.push(stored),
            }
        }
    }
    loaded.objects.values_mut().for_each(|rows| rows.sort_by(|a, b| a.age.cmp(&b.age)));
    Ok(loaded)
}

/// The collection that an operation is about.
pub(super) fn named_by(op: &Op) -> Option<CollectionId> {
    match op {
        Op::CreateCollection(collection) => Some(collection.id),
        Op::SetProps { collection, .. }
        | Op::ExpectToken { collection, .. }
        | Op::ExpectRoom { collection, .. }
        | Op::DeleteCollection(collection)
        | Op::PutObject { collection, .. }
        | Op::SetPublicRight { collection, .. }
        | Op::ExpectPublicRight { collection, .. }
        | Op::ExpectNotGiven { collection, .. }
        | Op::DeleteObject { collection, .. } => Some(*collection),
        Op::PutInstance(instance) | Op::ExpectInstance(instance) | Op::RemoveInstance(instance) => Some(instance.of),
        Op::Trash { .. } | Op::Untrash { .. } => None,
    }
}

/// The path that an operation makes, if nothing is there.
fn path_made_by(op: &Op) -> Option<Path> {
    match op {
        Op::CreateCollection(collection) => Some(path_of(collection)),
        Op::PutInstance(new) => Some((new.home, new.kind == CollectionKind::AddressBook, new.uri.clone())),
        _ => None,
    }
}

/// The rows of the instances that the batch names.
async fn load_instances(via: &mut Via<'_>, batch: &Batch, loaded: &mut Loaded) -> Result<(), Timed> {
    let named = |op| match op {
        &Op::PutInstance(ref instance) | &Op::ExpectInstance(ref instance) | &Op::RemoveInstance(ref instance) => {
            Some(instance)
        }
        _ => None,
    };
    let named: Vec<&Instance> = batch.ops.iter().filter_map(named).collect();
    for table in TABLES {
        let ids: Vec<Bson> = named
            .iter()
            .filter(|instance| Table::of(instance) == table)
            .map(|instance| Bson::ObjectId(crate::mongo::oid(instance.id)))
            .collect();
        if ids.is_empty() {
            continue;
        }
        for row in via.find(table.name(), doc! { "_id": { "$in": ids } }, doc! {}).await? {
            if let Some(id) = value::object_id(row.get("_id")) {
                loaded.instances.insert(crate::mongo::id(id), (table, row));
            }
        }
    }
    Ok(())
}

/// The rows by which homes have what they shall not have been given.
async fn load_given(via: &mut Via<'_>, batch: &Batch, loaded: &mut Loaded) -> Result<(), Timed> {
    for op in &batch.ops {
        let Op::ExpectNotGiven { collection, home } = op else { continue };
        let Some(found) = loaded.collections.get(collection) else { continue };
        let table = Table::of_given(found.collection.kind);
        let mut filter = table.within(*home, None);
        filter.extend(table.showing(&found.collection));
        let rows = via.find(table.name(), filter, doc! {}).await?;
        let given = rows.iter().filter(|row| Pointing::read(table, row).is_some());
        let ids = given.filter_map(|row| value::object_id(row.get("_id"))).collect();
        loaded.given.insert((*collection, *home), ids);
    }
    Ok(())
}

fn ids<'a>(collections: impl IntoIterator<Item = &'a CollectionId>) -> Vec<ObjectId> {
    collections.into_iter().map(|id| row_id(*id)).collect()
}

/// The collections of these ids; `taken` gets those ids that some row has.
pub(super) async fn find_collections(
    via: &mut Via<'_>,
    wanted: &HashSet<CollectionId>,
    taken: &mut HashSet<CollectionId>,
) -> Result<Vec<Found>, Timed> {
    let mut found = Vec::new();
    let mut missing = wanted.clone();
    for shelf in Shelf::ALL {
        if missing.is_empty() {
            break;
        }
        let heads = via.find(shelf.heads(), doc! { "_id": { "$in": ids(&missing) } }, doc! {}).await?;
        for id in heads.iter().filter_map(|head| value::object_id(head.get("_id"))) {
            missing.remove(&place::collection_id(id));
            taken.insert(place::collection_id(id));
        }
        found.extend(with_faces(via, shelf, &heads).await?);
    }
    for id in missing {
        if let Some(in_box) = find_box_without_row(via, id).await? {
            taken.insert(id);
            found.push(in_box);
        }
    }
    Ok(found)
}

/// Collections from the rows with their tokens.
pub(super) async fn with_faces(via: &mut Via<'_>, shelf: Shelf, heads: &[Document]) -> Result<Vec<Found>, Timed> {
    match shelf {
        Shelf::Books => Ok(heads.iter().filter_map(collections::book).collect()),
        Shelf::Boxes => Ok(heads.iter().filter_map(collections::in_box).collect()),
        Shelf::Calendars if heads.is_empty() => Ok(Vec::new()),
        Shelf::Calendars => {
            let ids: Vec<Bson> = heads.iter().filter_map(|head| head.get("_id").cloned()).collect();
            let filter = doc! { "calendarid": { "$in": ids }, "access": owners() };
            let faces = via.find(shelf.faces(), filter, doc! {}).await?;
            Ok(heads.iter().filter_map(|head| owned(head, &faces)).collect())
        }
    }
}

/// A calendar with its owner's instance among those of all calendars.
pub(super) fn owned(head: &Document, faces: &[Document]) -> Option<Found> {
    let id = value::object_id(head.get("_id"))?;
    let of_it = faces.iter().filter(|face| value::object_id(face.get("calendarid")) == Some(id));
    // Two owners only where something went wrong; the older one counts.
    of_it.filter_map(|face| collections::calendar(head, face)).min_by_key(|found| found.made.bytes())
}

/// The inbox or outbox with this id in a home that esn-sabre made.
pub(super) async fn find_box_without_row(via: &mut Via<'_>, id: CollectionId) -> Result<Option<Found>, Timed> {
    for (kind, uri, home) in place::home_without_row(id) {
        let boxes = boxes_of_others_home(via, home).await?;
        if let Some(found) = boxes.into_iter().find(|f| f.collection.kind == kind && f.collection.uri == uri) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Inbox and outbox of a home that esn-sabre made, as far as they have no row: it takes them for granted.
async fn boxes_of_others_home(via: &mut Via<'_>, home: HomeId) -> Result<Vec<Found>, Timed> {
    let principals = doc! { "principaluri": { "$in": principals_of(home).to_vec() } };
    let faces = via.find("calendarinstances", principals.clone(), doc! {}).await?;
    if !faces.iter().any(|face| !collections::is_ours(face)) {
        return Ok(Vec::new());
    }
    let boxes = via.find("convoke_boxes", principals, doc! {}).await?;
    Ok(boxes_without_row(home, &faces, &boxes))
}

/// The inbox and the outbox that a home has without rows, given its instances and the rows it has.
pub(super) fn boxes_without_row(home: HomeId, faces: &[Document], boxes: &[Document]) -> Vec<Found> {
    let theirs = faces.iter().filter(|face| collections::is_owners(face) && !collections::is_ours(face));
    let Some(theirs) = theirs.min_by_key(|face| value::object_id(face.get("_id"))) else { return Vec::new() };
    place::boxes_without_row(home)
        .into_iter()
        .filter(|(_, uri, _)| !boxes.iter().any(|row| row.get_str("uri").is_ok_and(|taken| taken == *uri)))
        .filter_map(|(kind, uri, id)| collections::box_without_row(kind, uri, row_id(id), theirs))
        .collect()
}

/// Which of the paths are taken, and what was at them.
async fn load_paths(via: &mut Via<'_>, created: &[Path], loaded: &mut Loaded) -> Result<(), Timed> {
    const CALENDARS: [&str; 3] = ["calendarinstances", "convoke_boxes", "calendarsubscriptions"];
    const BOOKS: [&str; 3] = ["addressbooks", "sharedaddressbooks", "addressbooksubscriptions"];
    for (is_book, places) in [(false, CALENDARS), (true, BOOKS)] {
        let wanted: Vec<Path> = created.iter().filter(|path| path.1 == is_book).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        let homes: HashSet<HomeId> = wanted.iter().map(|(home, _, _)| *home).collect();
        let principals: Vec<String> = homes.iter().flat_map(|home| principals_of(*home)).collect();
        let uris: Vec<&str> = wanted.iter().map(|(_, _, uri)| uri.as_str()).collect();
        let filter = doc! { "principaluri": { "$in": principals }, "uri": { "$in": uris } };
        for collection in places {
            for row in via.find(collection, filter.clone(), doc! { "principaluri": 1, "uri": 1 }).await? {
                let home = value::text(row.get("principaluri")).and_then(|p| home_of(&p));
                if let (Some(home), Some(uri)) = (home, value::text(row.get("uri"))) {
                    loaded.paths.insert((home, is_book, uri));
                }
            }
        }
        if !is_book {
            for home in homes {
                let boxes = boxes_of_others_home(via, home).await?;
                loaded.paths.extend(boxes.iter().map(|found| path_of(&found.collection)));
            }
        }
        let ids: Vec<String> = wanted.iter().map(path_id).collect();
        let retired = via.find(PATHS, doc! { "_id": { "$in": ids } }, doc! {}).await?;
        for path in wanted {
            let id = path_id(&path);
            let row = retired.iter().find(|row| row.get_str("_id").is_ok_and(|found| found == id));
            if let Some(token) = row.and_then(|row| value::number(row.get("token"))) {
                loaded.retired.insert(path, u64::try_from(token).unwrap_or(0));
            }
        }
    }
    Ok(())
}

/// Whose home it is: as the rows say that are there, or as the platform knows resources, team calendars and domains; else a
/// user's.
async fn load_principals(mongo: &Mongo, via: &mut Via<'_>, created: &[Path], loaded: &mut Loaded) -> Result<(), Timed> {
    let homes: HashSet<HomeId> = created.iter().map(|(home, _, _)| *home).collect();
    for home in homes {
        let mut principal = None;
        for collection in ["calendarinstances", "addressbooks", "convoke_boxes"] {
            let filter = doc! { "principaluri": { "$in": principals_of(home).to_vec() } };
            let rows = via.find(collection, filter, doc! { "principaluri": 1 }).await?;
            principal = principal.or_else(|| rows.first().and_then(|row| value::text(row.get("principaluri"))));
        }
        if principal.is_none() {
            for (collection, prefix) in
                [("resources", PRINCIPALS[1]), ("team_calendars", PRINCIPALS[2]), ("domains", PRINCIPALS[3])]
            {
                let filter = doc! { "_id": crate::mongo::oid(home.0) };
                let rows = via.find_in(mongo.platform(), collection, filter, doc! { "_id": 1 }).await?;
                if !rows.is_empty() {
                    principal = Some(format!("{prefix}{home}"));
                }
            }
        }
        let principal = principal.unwrap_or_else(|| format!("{}{home}", PRINCIPALS[0]));
        loaded.principals.insert(home, principal);
    }
    Ok(())
}

/// Where others have a collection, and the rows of those who subscribed to it.
async fn find_instances(via: &mut Via<'_>, found: &Found) -> Result<(Vec<Path>, Vec<(&'static str, Bson)>), Timed> {
    let id = found.place.id;
    let given = match found.place.shelf {
        Shelf::Calendars => ("calendarinstances", doc! { "calendarid": id, "access": { "$gt": 1 } }),
        Shelf::Books => ("sharedaddressbooks", doc! { "addressbookid": id }),
        Shelf::Boxes => return Ok(Default::default()),
    };
    let sources = collections::source_of(found.place.shelf, found.collection.home, &found.collection.uri);
    let is_book = found.place.shelf == Shelf::Books;
    let taken = if is_book { "addressbooksubscriptions" } else { "calendarsubscriptions" };
    let taken = (taken, doc! { "source": { "$in": sources.to_vec() } });
    let (mut paths, mut subscriptions) = (Vec::new(), Vec::new());
    for (collection, filter) in [given, taken.clone()] {
        for row in via.find(collection, filter, doc! { "principaluri": 1, "uri": 1 }).await? {
            let home = value::text(row.get("principaluri")).and_then(|principal| home_of(&principal));
            paths.extend(home.zip(value::text(row.get("uri"))).map(|(home, uri)| (home, is_book, uri)));
            if collection == taken.0 {
                subscriptions.extend(row.get("_id").map(|id| (collection, id.clone())));
            }
        }
    }
    Ok((paths, subscriptions))
}

/// The objects of a collection that the batch names, and those that have a UID it wants to give.
async fn find_objects(
    via: &mut Via<'_>,
    place: &Place,
    collection: CollectionId,
    batch: &Batch,
) -> Result<Vec<Stored>, Timed> {
    let (mut names, mut uids) = (Vec::new(), Vec::new());
    for op in &batch.ops {
        match op {
            Op::PutObject { collection: c, object, .. } if *c == collection => {
                names.push(object.meta.name.clone());
                uids.push(object.meta.uid.0.clone());
            }
            Op::DeleteObject { collection: c, name, .. } if *c == collection => names.push(name.clone()),
            _ => {}
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let shelf = place.shelf;
    let mut by_name = place.all();
    by_name.insert("uri", doc! { "$in": names });
    let mut rows = via.find(shelf.objects(), by_name, objects::without_text(shelf)).await?;
    for mut by_uid in with_uids(shelf, &uids) {
        by_uid.extend(place.all());
        rows.extend(via.find(shelf.objects(), by_uid, objects::without_text(shelf)).await?);
    }
    let mut stored = Vec::new();
    for row in rows {
        let (row, meta) = match objects::meta(shelf, &row) {
            Ok(meta) => (row, meta),
            // Rows of others, which do not tell everything.
            Err(objects::NeedsText) => {
                let filter = doc! { "_id": row.get("_id").cloned() };
                let Some(whole) = via.find(shelf.objects(), filter, doc! {}).await?.pop() else { continue };
                let meta = objects::object(shelf, &whole).map(|object| object.meta);
                (whole, meta)
            }
        };
        let (Some(meta), Some(id)) = (meta, row.get("_id")) else { continue };
        stored.push(Stored {
            id: id.clone(),
            name: meta.name,
            size: meta.size,
            etag: meta.etag,
            uid: meta.uid.0,
            stored_etag: row.get("etag").cloned().unwrap_or(Bson::Null),
            rev: value::inner(&row, collections::OURS).and_then(|o| o.get("rev")).cloned().unwrap_or(Bson::Null),
            age: objects::age(&row),
        });
    }
    Ok(stored)
}

/// Filters that find the objects with one of these UIDs. Inboxes may hold several with one UID, and are not asked.
pub(super) fn with_uids(shelf: Shelf, uids: &[String]) -> Vec<Document> {
    if uids.is_empty() {
        return Vec::new();
    }
    match shelf {
        Shelf::Calendars => vec![doc! { "uid": { "$in": uids.to_vec() } }],
        Shelf::Books => {
            let known = doc! { "convoke.uid": { "$in": uids.to_vec() } };
            // Cards of others: their UID is in the text only.
            let in_text = uids.chunks(UIDS_IN_A_PATTERN).map(|uids| {
                let any = uids.iter().map(|uid| regex_quoted(uid)).collect::<Vec<_>>().join("|");
                let pattern = format!("^UID[^:\\n]*:[ \\t]*({any})[ \\t]*\\r?$");
                doc! { "convoke.uid": { "$exists": false }, "carddata": { "$regex": pattern, "$options": "mi" } }
            });
            [known].into_iter().chain(in_text).collect()
        }
        Shelf::Boxes => Vec::new(),
    }
}

fn regex_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !c.is_alphanumeric() && c.is_ascii() {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}
