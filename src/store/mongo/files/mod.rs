//! Plain files in collections of our own, `convoke_file…`, which no other program reads: homes with their locks, nodes,
//! contents and their pieces.
//!
//! A home's row counts its changes; a write moves the count first, from the one that it was decided on, and so takes the home
//! for itself.
//!
//! **With transactions** all of a write happens, or nothing.
//!
//! **Without** (a standalone server) a write takes its turn at the home for at most [`TURN_S`] seconds. What one sees of it
//! changes in one step where it is one node that is made, replaced or moved, and where a tree is copied or removed: a copy is
//! made out of sight and appears when it is complete, a tree goes out of sight as a whole before its rows go. What replaces
//! something else (COPY and MOVE over what is there) is two such steps, and a process that dies between them has removed what
//! was to be replaced, and nothing else. What such a process leaves behind takes room in the database, and may be counted in
//! the quota; it is never seen.

mod apply;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId as Oid;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};

use super::Mongo;
use crate::ids::{ContentId, FileId, HomeId};
use crate::mongo::{Failure, Interrupt, Timed, id, oid};
use crate::store::StoreError;
use crate::store::files::{
    FileNode, FilePath, FileStore, FileView, FileWrite, FileWriteError, Found, KEPT_FOR_WRITERS_S,
};

/// One row per home: revision, quota, locks, turn.
const HOMES: &str = "convoke_file_homes";
/// Files and folders.
const NODES: &str = "convoke_files";
/// What is in files; copies share it.
const CONTENTS: &str = "convoke_file_contents";
/// The octets of contents.
const PIECES: &str = "convoke_file_pieces";

/// How long one write may have a home for itself where there are no transactions.
const TURN_S: i64 = 60;
/// Unused contents that each upload clears away at most.
const CLEARED_EACH: i64 = 4;

impl From<Failure> for FileWriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            // A name that was free when the home was looked at.
            Failure::Duplicate { .. } => Self::Changed,
            other => Self::Store(other.into()),
        }
    }
}

impl From<Timed> for FileWriteError {
    fn from(error: Timed) -> Self {
        Failure::from(error).into()
    }
}

#[async_trait]
impl FileStore for Mongo {
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError> {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": oid(after.0) } });
        let homes = rows(self, HOMES);
        let page = homes.find(filter).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
        let page = page.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let page: Vec<Document> = self.timed(async { page.await?.try_collect().await }).await?;
        Ok(page.iter().filter_map(|row| Some(HomeId(id(row.get_object_id("_id").ok()?)))).collect())
    }

    async fn look(&self, home: HomeId, paths: &[FilePath]) -> Result<FileView, StoreError> {
        // First: a change that comes after it makes the write fail that is decided on what follows.
        let row = self.timed(rows(self, HOMES).find_one(doc! { "_id": oid(home.0) })).await?;
        let state = row.as_ref().map(rows::read_home).transpose()?.unwrap_or_default();
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            found.push(self.file_at(home, path).await?);
        }
        Ok(FileView { home: state, found })
    }

    async fn list(&self, folder: FileId, after: Option<&str>, limit: usize) -> Result<Vec<FileNode>, StoreError> {
        let filter = doc! { "parent": oid(folder.0), "name": { "$gt": after.unwrap_or_default() } };
        let nodes = rows(self, NODES);
        let page = nodes.find(filter).sort(doc! { "parent": 1, "name": 1 }).limit(i64::try_from(limit).unwrap_or(0));
        let page: Vec<Document> = self.timed(async { page.await?.try_collect().await }).await?;
        page.iter().map(rows::read_node).collect()
    }

    async fn append(&self, content: ContentId, n: u64, piece: Bytes) -> Result<(), StoreError> {
        let now = self.env().now();
        if n == 0 {
            self.clear_unused_contents(now).await?;
            self.remove_content(oid(content.0)).await?;
        }
        let octets = i64::try_from(piece.len()).unwrap_or(i64::MAX);
        let until = DateTime::from_millis((now.timestamp() + KEPT_FOR_WRITERS_S) * 1000);
        let grown =
            doc! { "$inc": { "octets": octets }, "$set": { "until": until }, "$setOnInsert": { "links": 0_i64 } };
        let data = Binary { subtype: BinarySubtype::Generic, bytes: piece.into() };
        let row = doc! { "_id": self.new_id(), "content": oid(content.0), "n": number(n), "data": data };
        // The content first: pieces are found by it when they are cleared away.
        self.timed(rows(self, CONTENTS).update_one(doc! { "_id": oid(content.0) }, grown).upsert(true)).await?;
        self.timed(rows(self, PIECES).insert_one(row)).await?;
        Ok(())
    }

    async fn discard(&self, content: ContentId) -> Result<(), StoreError> {
        self.remove_content(oid(content.0)).await
    }

    async fn piece(&self, content: ContentId, n: u64) -> Result<Option<Bytes>, StoreError> {
        let filter = doc! { "content": oid(content.0), "n": number(n) };
        let row = self.timed(rows(self, PIECES).find_one(filter)).await?;
        let Some(mut row) = row else { return Ok(None) };
        match row.remove("data") {
            Some(Bson::Binary(binary)) => Ok(Some(binary.bytes.into())),
            _ => Err(StoreError::Broken("a piece of a file holds no octets".to_owned())),
        }
    }

    async fn write(&self, write: FileWrite) -> Result<(), FileWriteError> {
        // Whoever asked may go away; what was begun is finished.
        let mongo = self.clone();
        let writing = tokio::spawn(async move {
            apply::ensure_home(&mongo, write.home).await?;
            if mongo.has_transactions() {
                mongo.transaction(&mut apply::Writing { mongo: &mongo, write: &write }).await
            } else {
                apply::in_turn(&mongo, &write).await
            }
        });
        writing.await.unwrap_or_else(|error| Err(Failure::Broken(format!("a write broke off: {error}")).into()))
    }
}

impl Mongo {
    async fn file_at(&self, home: HomeId, path: &FilePath) -> Result<Found, StoreError> {
        let nodes = rows(self, NODES);
        let root = self.timed(nodes.find_one(doc! { "_id": oid(home.0) })).await?;
        let mut here = match &root {
            Some(row) => FileNode { name: String::new(), ..rows::read_node(row)? },
            None => FileNode::root(home),
        };
        for (depth, name) in path.segments().iter().enumerate() {
            let member = self.timed(nodes.find_one(doc! { "parent": oid(here.id.0), "name": name })).await?;
            here = match member {
                Some(row) => rows::read_node(&row)?,
                None if depth + 1 == path.segments().len() && here.is_folder() => return Ok(Found::Vacant(here)),
                None => return Ok(Found::Nowhere),
            };
        }
        Ok(Found::Node(here))
    }

    /// Removes some contents that no file refers to any more.
    async fn clear_unused_contents(&self, now: chrono::DateTime<chrono::Utc>) -> Result<(), StoreError> {
        let ended = doc! { "until": { "$lt": DateTime::from_millis(now.timestamp_millis()) } };
        let contents = rows(self, CONTENTS);
        let find = contents.find(ended).projection(doc! { "_id": 1 }).sort(doc! { "until": 1 }).limit(CLEARED_EACH);
        let unused: Vec<Document> = self.timed(async { find.await?.try_collect().await }).await?;
        for row in &unused {
            if let Ok(content) = row.get_object_id("_id") {
                self.remove_content(content).await?;
            }
        }
        Ok(())
    }

    /// Removes a content that no file refers to; leaves it alone otherwise.
    async fn remove_content(&self, content: Oid) -> Result<(), StoreError> {
        // From here on no file can refer to it: its octets are not those of any upload.
        let condemned = doc! { "_id": content, "links": { "$lte": 0 } };
        let condemn = doc! { "$set": { "octets": -1_i64 } };
        let condemned = self.timed(rows(self, CONTENTS).update_one(condemned, condemn)).await?;
        if condemned.matched_count == 1 {
            self.timed(rows(self, PIECES).delete_many(doc! { "content": content })).await?;
            self.timed(rows(self, CONTENTS).delete_one(doc! { "_id": content })).await?;
        }
        Ok(())
    }
}

fn rows(mongo: &Mongo, collection: &str) -> Collection<Document> {
    mongo.dav().collection(collection)
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// How long a writer that waits for its turn looks again after.
const POLL: Duration = Duration::from_millis(50);

/// The refusal of a write within the work of a transaction.
fn refused(error: impl Into<FileWriteError>) -> Interrupt<FileWriteError> {
    Interrupt::Refused(error.into())
}
