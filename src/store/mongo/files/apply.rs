//! One [`FileWrite`]: what it reads, what follows from that, and the steps, in an order that a break-off leaves whole.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::ClientSession;
use mongodb::bson::oid::ObjectId as Oid;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::UpdateModifications;
use tokio::time::Instant;

use super::rows::{content_row, date, dead_text, lock_row, node_row, read_home, read_node};
use super::{CONTENTS, HOMES, NODES, POLL, TURN_S, number, refused, rows};
use crate::ids::{FileId, HomeId};
use crate::mongo::{Failure, Interrupt, Mongo, Timed, Work, oid};
use crate::store::StoreError;
use crate::store::files::{
    FileContent, FileHome, FileNode, FileOp, FileWrite, FileWriteError, KEPT_FOR_READERS_S, property_octets,
};

/// Rows that are copied at once.
const COPIED_AT_ONCE: usize = 100;

/// Makes the rows of a home where there are none. They say nothing that was not so before.
pub(super) async fn ensure_home(mongo: &Mongo, home: HomeId) -> Result<(), FileWriteError> {
    let root = node_row(&FileNode::root(home), None, &home.to_string())?;
    let fresh = doc! {
        "revision": 0_i64, "used": 0_i64, "entries": 0_i64, "locks": [], "by": null, "until": null,
    };
    for (collection, row) in [(NODES, root), (HOMES, fresh)] {
        let mut row = row;
        row.remove("_id");
        let made = doc! { "$setOnInsert": row };
        let made =
            mongo.timed(rows(mongo, collection).update_one(doc! { "_id": oid(home.0) }, made).upsert(true)).await;
        match made.map_err(Failure::from) {
            // Somebody else made it at the same time.
            Ok(_) | Err(Failure::Duplicate { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A write in a transaction; each attempt anew.
pub(super) struct Writing<'w> {
    pub(super) mongo: &'w Mongo,
    pub(super) write: &'w FileWrite,
}

#[async_trait]
impl Work for Writing<'_> {
    type Done = ();
    type Refusal = FileWriteError;

    async fn attempt(&mut self, session: &mut ClientSession) -> Result<(), Interrupt<FileWriteError>> {
        let Self { mongo, write } = *self;
        let mut via = Via { mongo, session: Some(session) };
        let seen = doc! { "_id": oid(write.home.0), "revision": number(write.revision) };
        // First of all, so that whoever else writes there waits from now on.
        let taken = doc! { "$set": { "revision": number(write.revision + 1) } };
        if via.update(HOMES, seen, taken).await? == 0 {
            return Err(refused(FileWriteError::Changed));
        }
        let home = via.home(write.home).await?;
        let plan = Plan::make(&mut via, write, &home).await?;
        let after = plan.home_after(write, &home);
        plan.run(&mut via).await?;
        via.update(HOMES, doc! { "_id": oid(write.home.0) }, doc! { "$set": after }).await?;
        Ok(())
    }
}

/// A write on a server without transactions.
pub(super) async fn in_turn(mongo: &Mongo, write: &FileWrite) -> Result<(), FileWriteError> {
    let by = mongo.new_id();
    begin_turn(mongo, write, by).await?;
    let mut via = Via { mongo, session: None };
    let done = async {
        let home = via.home(write.home).await?;
        let plan = Plan::make(&mut via, write, &home).await?;
        let after = plan.home_after(write, &home);
        plan.run(&mut via).await?;
        Ok(after)
    };
    let done: Result<Document, Interrupt<FileWriteError>> = done.await;
    let mut after = done.as_ref().map(Clone::clone).unwrap_or_default();
    // What was read during the turn is old by now.
    after.extend(doc! { "revision": number(write.revision + 2), "by": null, "until": null });
    let mine = doc! { "_id": oid(write.home.0), "by": by };
    let ended = mongo.timed(rows(mongo, HOMES).update_one(mine, doc! { "$set": after })).await;
    match done {
        Err(Interrupt::Refused(error)) => Err(error),
        Err(Interrupt::Database(error)) => Err(error.into()),
        Ok(_) if ended?.matched_count == 1 => Ok(()),
        Ok(_) => Err(Failure::Unavailable("a write took longer than its turn".to_owned()).into()),
    }
}

/// Takes the turn at a home, if it is as it was seen.
async fn begin_turn(mongo: &Mongo, write: &FileWrite, by: Oid) -> Result<(), FileWriteError> {
    let patience = Instant::now() + mongo.operation_time();
    loop {
        let ended = doc! { "$expr": { "$lt": ["$until", "$$NOW"] } };
        let free = doc! {
            "_id": oid(write.home.0), "revision": number(write.revision), "$or": [{ "until": null }, ended],
        };
        let until = doc! { "$add": ["$$NOW", TURN_S * 1000] };
        let mine = vec![doc! { "$set": { "revision": number(write.revision + 1), "by": by, "until": until } }];
        if mongo.timed(rows(mongo, HOMES).update_one(free, mine)).await?.matched_count == 1 {
            return Ok(());
        }
        let row = mongo.timed(rows(mongo, HOMES).find_one(doc! { "_id": oid(write.home.0) })).await?;
        let revision = row.and_then(|row| row.get_i64("revision").ok());
        // Otherwise it was looked at in the middle of somebody's turn.
        if revision != Some(number(write.revision)) {
            return Err(FileWriteError::Changed);
        }
        if Instant::now() > patience {
            return Err(Failure::Unavailable("another node does not end its turn".to_owned()).into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Something to do.
enum Step {
    /// So many files more refer to a content.
    Link(Oid, i64),
    /// The first file refers to a content, which has so many octets.
    LinkNew(Oid, i64),
    /// So many less do.
    Unlink(Oid, i64),
    Insert(Vec<Document>),
    /// These rows come a second time, at this moment.
    Copy(Vec<Copied>, chrono::DateTime<chrono::Utc>),
    Update(Oid, Document),
    /// Goes, and so do those below it, which nobody finds from then on.
    Remove(Vec<Oid>),
}

/// A row that comes a second time.
struct Copied {
    from: Oid,
    to: Oid,
    parent: Oid,
    name: String,
}

/// A node of a tree, without what is only copied.
struct Leaf {
    id: Oid,
    parent: Option<Oid>,
    name: String,
    /// `None` for a folder.
    content: Option<Oid>,
    /// Of the content and the properties.
    octets: i64,
    depth: usize,
}

#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    octets: i64,
    entries: i64,
}

impl Plan {
    /// Reads what the changes are about, and refuses what must not be. Nothing has happened then.
    async fn make(via: &mut Via<'_>, write: &FileWrite, home: &FileHome) -> Result<Self, Interrupt<FileWriteError>> {
        let mut plan = Self::default();
        for op in &write.ops {
            plan.add(via, op).await?;
        }
        let used = home.used.saturating_add_signed(plan.octets);
        let entries = home.entries.saturating_add_signed(plan.entries);
        if (plan.octets > 0 && used > write.room.octets) || (plan.entries > 0 && entries > write.room.entries) {
            return Err(refused(FileWriteError::NoRoom));
        }
        Ok(plan)
    }

    async fn add(&mut self, via: &mut Via<'_>, op: &FileOp) -> Result<(), Interrupt<FileWriteError>> {
        match op {
            FileOp::Create { parent, node } => {
                if let Some(content) = &node.content {
                    self.link_new(via, content).await?;
                }
                self.steps.push(Step::Insert(vec![node_row(node, Some(*parent), &node.name).map_err(refused)?]));
                let dead = dead_text(&node.dead).map_err(refused)?;
                self.octets += number(node.size() + property_octets(&dead)).max(0);
                self.entries += 1;
            }
            FileOp::Replace { node, content, modified } => {
                let old = via.node(*node).await?.content.ok_or_else(|| refused(FileWriteError::Changed))?;
                self.link_new(via, content).await?;
                let set = doc! { "$set": { "content": content_row(content), "modified": date(*modified) } };
                self.steps.push(Step::Update(oid(node.0), set));
                self.steps.push(Step::Unlink(oid(old.id.0), 1));
                self.octets += number(content.size) - number(old.size);
            }
            FileOp::Remove(node) => self.remove(via, *node).await?,
            FileOp::Move { node, parent, name, levels } => {
                check_height(&via.tree(*node, true).await?, *levels)?;
                let set = doc! { "$set": { "parent": oid(parent.0), "name": name } };
                self.steps.push(Step::Update(oid(node.0), set));
            }
            FileOp::Copy { node, parent, name, deep, levels, created } => {
                let tree = via.tree(*node, *deep).await?;
                check_height(&tree, *levels)?;
                self.copy(via, tree, (oid(parent.0), name), *created);
            }
            FileOp::SetProps { node, dead } => {
                let before = dead_text(&via.node(*node).await?.dead).map_err(refused)?;
                let dead = dead_text(dead).map_err(refused)?;
                self.octets += number(property_octets(&dead)) - number(property_octets(&before));
                let set = doc! { "$set": { "dead": dead } };
                self.steps.push(Step::Update(oid(node.0), set));
            }
        }
        Ok(())
    }

    async fn link_new(&mut self, via: &mut Via<'_>, content: &FileContent) -> Result<(), Interrupt<FileWriteError>> {
        if content.size > 0 {
            let whole = doc! { "_id": oid(content.id.0), "octets": number(content.size) };
            if via.find(CONTENTS, whole).await?.is_empty() {
                return Err(no_content());
            }
        }
        self.steps.push(Step::LinkNew(oid(content.id.0), number(content.size)));
        Ok(())
    }

    async fn remove(&mut self, via: &mut Via<'_>, top: FileId) -> Result<(), Interrupt<FileWriteError>> {
        let tree = via.tree(top, true).await?;
        self.entries -= number(tree.len() as u64);
        self.octets -= tree.iter().map(|leaf| leaf.octets).sum::<i64>();
        self.steps.push(Step::Remove(vec![oid(top.0)]));
        let below: Vec<Oid> = tree.iter().skip(1).map(|leaf| leaf.id).collect();
        if !below.is_empty() {
            self.steps.push(Step::Remove(below));
        }
        self.steps.extend(contents_of(&tree).into_iter().map(|(content, times)| Step::Unlink(content, times)));
        Ok(())
    }

    fn copy(&mut self, via: &Via<'_>, tree: Vec<Leaf>, to: (Oid, &str), created: chrono::DateTime<chrono::Utc>) {
        self.entries += number(tree.len() as u64);
        self.octets += tree.iter().map(|leaf| leaf.octets).sum::<i64>();
        self.steps.extend(contents_of(&tree).into_iter().map(|(content, times)| Step::Link(content, times)));
        let mut known: HashMap<Oid, Oid> = HashMap::new();
        let mut copies = Vec::with_capacity(tree.len());
        for leaf in tree {
            let copy = via.mongo.new_id();
            let (parent, name) = match leaf.parent.and_then(|p| known.get(&p)) {
                Some(parent) => (*parent, leaf.name),
                None => (to.0, to.1.to_owned()),
            };
            known.insert(leaf.id, copy);
            copies.push(Copied { from: leaf.id, to: copy, parent, name });
        }
        // The top comes last: with it the copy is there.
        let below = copies.split_off(1.min(copies.len()));
        if !below.is_empty() {
            self.steps.push(Step::Copy(below, created));
        }
        self.steps.push(Step::Copy(copies, created));
    }

    /// What the row of the home says afterwards.
    fn home_after(&self, write: &FileWrite, home: &FileHome) -> Document {
        let mut after = doc! {
            "used": number(home.used.saturating_add_signed(self.octets)),
            "entries": number(home.entries.saturating_add_signed(self.entries)),
        };
        if let Some(locks) = &write.locks {
            after.insert("locks", locks.iter().map(lock_row).collect::<Vec<_>>());
        }
        after
    }

    async fn run(self, via: &mut Via<'_>) -> Result<(), Interrupt<FileWriteError>> {
        let now = via.mongo.env().now().timestamp();
        for step in self.steps {
            match step {
                Step::Link(content, times) => {
                    let link = doc! { "$inc": { "links": times }, "$set": { "until": null } };
                    if via.update(CONTENTS, doc! { "_id": content }, link).await? == 0 {
                        return Err(no_content());
                    }
                }
                Step::LinkNew(content, octets) => {
                    // Its octets again: whoever clears it away begins by taking them.
                    let whole = doc! { "_id": content, "octets": octets };
                    let link = doc! { "$inc": { "links": 1_i64 }, "$set": { "until": null } };
                    match via.update(CONTENTS, whole, link).await? {
                        0 if octets > 0 => return Err(no_content()),
                        0 => {
                            // Nobody ever wrote a row for it.
                            let row = doc! { "_id": content, "octets": 0_i64, "links": 1_i64, "until": null };
                            via.insert(CONTENTS, vec![row]).await?;
                        }
                        _ => {}
                    }
                }
                Step::Copy(copies, created) => {
                    for part in copies.chunks(COPIED_AT_ONCE) {
                        via.copy(part, created).await?;
                    }
                }
                Step::Unlink(content, times) => {
                    let until = mongodb::bson::DateTime::from_millis((now + KEPT_FOR_READERS_S) * 1000);
                    let left = doc! { "$subtract": ["$links", times] };
                    let until = doc! { "$cond": [{ "$lte": [left.clone(), 0] }, until, null] };
                    let unlink = vec![doc! { "$set": { "links": left, "until": until } }];
                    via.update(CONTENTS, doc! { "_id": content }, unlink).await?;
                }
                Step::Insert(rows) => via.insert(NODES, rows).await?,
                Step::Update(node, update) => drop(via.update(NODES, doc! { "_id": node }, update).await?),
                Step::Remove(nodes) => via.remove(nodes).await?,
            }
        }
        Ok(())
    }
}

/// The content that a file shall have is not there, or not whole.
fn no_content() -> Interrupt<FileWriteError> {
    refused(StoreError::Missing("the content of the file".to_owned()))
}

/// Refuses a tree with more levels below its top.
fn check_height(tree: &[Leaf], levels: usize) -> Result<(), Interrupt<FileWriteError>> {
    let height = tree.last().map_or(0, |deepest| deepest.depth);
    if height > levels { Err(refused(FileWriteError::TooDeep)) } else { Ok(()) }
}

/// How often each content is in a tree.
fn contents_of(tree: &[Leaf]) -> BTreeMap<Oid, i64> {
    let mut contents = BTreeMap::new();
    for content in tree.iter().filter_map(|leaf| leaf.content) {
        *contents.entry(content).or_insert(0) += 1;
    }
    contents
}

/// The database, in a transaction or not.
struct Via<'s> {
    mongo: &'s Mongo,
    session: Option<&'s mut ClientSession>,
}

impl Via<'_> {
    async fn home(&mut self, home: HomeId) -> Result<FileHome, Interrupt<FileWriteError>> {
        let rows = self.find(HOMES, doc! { "_id": oid(home.0) }).await?;
        read_home(rows.first().unwrap_or(&Document::new())).map_err(refused)
    }

    async fn node(&mut self, node: FileId) -> Result<FileNode, Interrupt<FileWriteError>> {
        let rows = self.find(NODES, doc! { "_id": oid(node.0) }).await?;
        let row = rows.first().ok_or_else(|| refused(FileWriteError::Changed))?;
        read_node(row).map_err(refused)
    }

    /// A node, and what is below it, folders before what they hold.
    async fn tree(&mut self, top: FileId, deep: bool) -> Result<Vec<Leaf>, Interrupt<FileWriteError>> {
        let mut tree = self.leaves(doc! { "_id": oid(top.0) }, 0).await?;
        let is_folder = tree.first().ok_or_else(|| refused(FileWriteError::Changed))?.content.is_none();
        let mut folders: Vec<Bson> = if deep && is_folder { vec![oid(top.0).into()] } else { Vec::new() };
        for depth in 1.. {
            if folders.is_empty() {
                break;
            }
            let members = self.leaves(doc! { "parent": { "$in": folders } }, depth).await?;
            folders = members.iter().filter(|leaf| leaf.content.is_none()).map(|leaf| leaf.id.into()).collect();
            tree.extend(members);
        }
        Ok(tree)
    }

    /// The nodes that a filter finds; of their properties only how long they are, for they may be more than memory should
    /// hold.
    async fn leaves(&mut self, filter: Document, depth: usize) -> Result<Vec<Leaf>, Interrupt<FileWriteError>> {
        let shown = doc! { "parent": 1, "name": 1, "content": 1, "properties": { "$strLenBytes": "$dead" } };
        let rows = self.find_parts(NODES, filter, Some(shown)).await?;
        let read = |row: &Document| {
            let content = row.get_document("content").ok();
            let properties = row.get("properties").and_then(|n| n.as_i64().or(n.as_i32().map(i64::from)))?;
            // `{}` counts nothing.
            let properties = if properties == 2 { 0 } else { properties };
            Some(Leaf {
                id: row.get_object_id("_id").ok()?,
                parent: row.get_object_id("parent").ok(),
                name: row.get_str("name").ok()?.to_owned(),
                content: content.map(|content| content.get_object_id("id")).transpose().ok()?,
                octets: properties + content.map_or(Ok(0), |content| content.get_i64("size")).ok()?,
                depth,
            })
        };
        let broken = || refused(StoreError::Broken("the row of a file cannot be read".to_owned()));
        rows.iter().map(|row| read(row).ok_or_else(broken)).collect()
    }

    /// Writes copies of rows.
    async fn copy(
        &mut self,
        copies: &[Copied],
        created: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Interrupt<FileWriteError>> {
        let ids: Vec<Bson> = copies.iter().map(|copied| copied.from.into()).collect();
        let rows = self.find(NODES, doc! { "_id": { "$in": ids } }).await?;
        let mut rows: HashMap<Oid, Document> =
            rows.into_iter().filter_map(|row| Some((row.get_object_id("_id").ok()?, row))).collect();
        let made = copies.iter().map(|copied| {
            let mut row = rows.remove(&copied.from)?;
            row.extend(doc! {
                "_id": copied.to, "parent": copied.parent, "name": &copied.name,
                "created": date(created), "modified": date(created),
            });
            Some(row)
        });
        let made: Option<Vec<Document>> = made.collect();
        Ok(self.insert(NODES, made.ok_or_else(|| refused(FileWriteError::Changed))?).await?)
    }

    async fn find(&mut self, collection: &str, filter: Document) -> Result<Vec<Document>, Timed> {
        self.find_parts(collection, filter, None).await
    }

    async fn find_parts(
        &mut self,
        collection: &str,
        filter: Document,
        shown: Option<Document>,
    ) -> Result<Vec<Document>, Timed> {
        let collection = rows(self.mongo, collection);
        let mut find = collection.find(filter);
        if let Some(shown) = shown {
            find = find.projection(shown);
        }
        match &mut self.session {
            None => self.mongo.timed(async { find.await?.try_collect().await }).await,
            Some(session) => {
                let found = async {
                    let mut cursor = find.session(&mut **session).await?;
                    cursor.stream(session).try_collect().await
                };
                self.mongo.timed(found).await
            }
        }
    }

    /// Changes one row; how many there were.
    async fn update(
        &mut self,
        collection: &str,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> Result<u64, Timed> {
        let collection = rows(self.mongo, collection);
        let update = collection.update_one(filter, update);
        let done = match &mut self.session {
            None => self.mongo.timed(update).await?,
            Some(session) => self.mongo.timed(update.session(&mut **session)).await?,
        };
        Ok(done.matched_count)
    }

    async fn insert(&mut self, collection: &str, new: Vec<Document>) -> Result<(), Timed> {
        let collection = rows(self.mongo, collection);
        let insert = collection.insert_many(new);
        match &mut self.session {
            None => self.mongo.timed(insert).await.map(drop),
            Some(session) => self.mongo.timed(insert.session(&mut **session)).await.map(drop),
        }
    }

    async fn remove(&mut self, nodes: Vec<Oid>) -> Result<(), Timed> {
        let collection = rows(self.mongo, NODES);
        let remove = collection.delete_many(doc! { "_id": { "$in": nodes } });
        match &mut self.session {
            None => self.mongo.timed(remove).await.map(drop),
            Some(session) => self.mongo.timed(remove.session(&mut **session)).await.map(drop),
        }
    }
}
