//! Rows of files and homes, written and read.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::number;
use crate::ids::{ContentId, FileId};
use crate::mongo::{id, oid};
use crate::store::StoreError;
use crate::store::files::{FileContent, FileHome, FileLock, FileNode, FilePath};

/// A node in its folder.
pub(super) fn node_row(node: &FileNode, parent: Option<FileId>, name: &str) -> Result<Document, StoreError> {
    Ok(doc! {
        "_id": oid(node.id.0),
        "parent": parent.map(|p| oid(p.0)),
        "name": name,
        "content": node.content.as_ref().map(content_row),
        "created": date(node.created),
        "modified": date(node.modified),
        "dead": dead_text(&node.dead)?,
    })
}

/// What is in a file.
pub(super) fn content_row(content: &FileContent) -> Document {
    doc! {
        "id": oid(content.id.0),
        "size": number(content.size),
        "etag": &content.etag,
        "mediaType": &content.media_type,
    }
}

/// Dead properties as text: names of fields may not hold what names of properties hold.
pub(super) fn dead_text(dead: &std::collections::BTreeMap<String, String>) -> Result<String, StoreError> {
    serde_json::to_string(dead).map_err(|e| StoreError::Broken(e.to_string()))
}

pub(super) fn date(instant: chrono::DateTime<chrono::Utc>) -> DateTime {
    DateTime::from_millis(instant.timestamp() * 1000)
}

/// Back from [`node_row`].
pub(super) fn read_node(row: &Document) -> Result<FileNode, StoreError> {
    let read = || -> Option<FileNode> {
        let content = match row.get("content") {
            Some(Bson::Document(content)) => Some(FileContent {
                id: ContentId(id(content.get_object_id("id").ok()?)),
                size: u64::try_from(content.get_i64("size").ok()?).ok()?,
                etag: content.get_str("etag").ok()?.to_owned(),
                media_type: content.get_str("mediaType").ok()?.to_owned(),
            }),
            _ => None,
        };
        Some(FileNode {
            id: FileId(id(row.get_object_id("_id").ok()?)),
            name: row.get_str("name").ok()?.to_owned(),
            content,
            created: instant(row, "created")?,
            modified: instant(row, "modified")?,
            dead: serde_json::from_str(row.get_str("dead").ok()?).ok()?,
        })
    };
    read().ok_or_else(|| StoreError::Broken("the row of a file cannot be read".to_owned()))
}

fn instant(row: &Document, field: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(row.get_datetime(field).ok()?.timestamp_millis())
}

/// A lock in the row of its home.
pub(super) fn lock_row(lock: &FileLock) -> Document {
    doc! {
        "token": &lock.token,
        "root": lock.root.segments().to_vec(),
        "onFolder": lock.on_folder,
        "deep": lock.deep,
        "shared": lock.shared,
        "owner": &lock.owner,
        "creator": &lock.creator,
        "expires": DateTime::from_millis(lock.expires.timestamp_millis()),
    }
}

fn read_lock(row: &Document) -> Option<FileLock> {
    let root = row.get_array("root").ok()?.iter().map(|s| s.as_str().map(str::to_owned));
    Some(FileLock {
        token: row.get_str("token").ok()?.to_owned(),
        root: FilePath::new(root.collect::<Option<_>>()?),
        on_folder: row.get_bool("onFolder").ok()?,
        deep: row.get_bool("deep").ok()?,
        shared: row.get_bool("shared").ok()?,
        owner: row.get_str("owner").ok()?.to_owned(),
        creator: row.get_str("creator").ok()?.to_owned(),
        expires: instant(row, "expires")?,
    })
}

/// A home as a whole.
pub(super) fn read_home(row: &Document) -> Result<FileHome, StoreError> {
    let read = || -> Option<FileHome> {
        let count = |field| u64::try_from(row.get_i64(field).ok()?).ok();
        let locks = row.get_array("locks").ok()?.iter().map(|lock| read_lock(lock.as_document()?));
        Some(FileHome {
            revision: count("revision")?,
            used: count("used")?,
            entries: count("entries")?,
            locks: locks.collect::<Option<_>>()?,
        })
    };
    read().ok_or_else(|| StoreError::Broken("the row of a home's files cannot be read".to_owned()))
}
