//! Plain files: folders and files of a home, with their properties and locks (RFC 4918). A port; its engines are in
//! [`sqlite`](super::sqlite) and [`mongo`](super::mongo).
//!
//! Whoever writes first looks ([`FileStore::look`]), decides on what is there, and then writes ([`FileStore::write`]) what
//! follows from it, under the revision that was seen: when anything of the home changed in between, nothing is done, and the
//! writer looks again. So a decision about locks, conditions and quota still holds at the moment it takes effect, on
//! however many nodes.
//!
//! Content is apart from the tree: it comes in pieces, is never held as a whole, never changes, and is shared by the copies
//! of a file. What no file refers to any more is removed in passing by later uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::ids::{ContentId, FileId, HomeId};

/// Octets of every piece of a content but its last.
pub const PIECE: usize = 256 << 10;
/// Seconds that a content stays after the last file that referred to it, for those who are reading it.
pub(crate) const KEPT_FOR_READERS_S: i64 = 60;
/// Seconds that an upload may pause before it is taken for abandoned.
pub(crate) const KEPT_FOR_WRITERS_S: i64 = 3600;

/// A place below a home: the decoded segments of the path, none for the home itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilePath(Vec<String>);

impl FilePath {
    /// The path with these segments.
    pub fn new(segments: Vec<String>) -> Self {
        Self(segments)
    }

    /// Its segments.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether it is the home itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last segment; nothing for the home itself.
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The folder it is in; `None` for the home itself.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, parent)| Self(parent.to_vec()))
    }

    /// A member of this folder.
    pub fn child(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(name.to_owned());
        Self(segments)
    }

    /// Whether it lies in that folder or deeper; a path does not lie below itself.
    pub fn is_below(&self, folder: &Self) -> bool {
        self.0.len() > folder.0.len() && self.0.starts_with(&folder.0)
    }
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Where its pieces are.
    pub id: ContentId,
    /// Octets.
    pub size: u64,
    /// Names these octets, without quotes.
    pub etag: String,
    /// Media type as it was uploaded.
    pub media_type: String,
}

/// A file or a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct FileNode {
    /// Its id; that of the home for the home itself.
    pub id: FileId,
    /// Its name in its folder; empty for the home itself.
    pub name: String,
    /// What is in it; `None` for a folder.
    pub content: Option<FileContent>,
    /// When it was made, to the second.
    pub created: DateTime<Utc>,
    /// When its content was last written, to the second; for a folder, when it was made.
    pub modified: DateTime<Utc>,
    /// Dead properties: Clark name to the property element as XML.
    pub dead: BTreeMap<String, String>,
}

impl FileNode {
    /// The folder that every home is, before anybody wrote to it.
    pub fn root(home: HomeId) -> Self {
        // An id begins with the second in which it was made.
        let [a, b, c, d, ..] = *home.0.bytes();
        let made = DateTime::from_timestamp(i64::from(u32::from_be_bytes([a, b, c, d])), 0).unwrap_or_default();
        Self {
            id: FileId(home.0),
            name: String::new(),
            content: None,
            created: made,
            modified: made,
            dead: BTreeMap::new(),
        }
    }

    /// Whether others can be in it.
    pub fn is_folder(&self) -> bool {
        self.content.is_none()
    }

    /// Its ETag without quotes; folders have none.
    pub fn etag(&self) -> Option<&str> {
        self.content.as_ref().map(|content| content.etag.as_str())
    }

    /// Octets of its content.
    pub fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.size)
    }
}

/// A write lock (RFC 4918 §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// Its token, a URI.
    pub token: String,
    /// Where it was taken.
    pub root: FilePath,
    /// Whether there is a folder.
    pub on_folder: bool,
    /// Whether everything below is locked, too.
    pub deep: bool,
    /// Whether others may have shared locks beside it.
    pub shared: bool,
    /// What the client said about who holds it: an XML element, or nothing.
    pub owner: String,
    /// The principal that took it.
    pub creator: String,
    /// When it ends by itself.
    pub expires: DateTime<Utc>,
}

impl FileLock {
    /// Octets of its texts.
    pub fn octets(&self) -> usize {
        let root: usize = self.root.segments().iter().map(|segment| segment.len() + 1).sum();
        root + self.owner.len() + self.token.len() + self.creator.len()
    }

    /// Whether it locks what is, or would be, at this place.
    pub fn covers(&self, path: &FilePath) -> bool {
        self.root == *path || (self.deep && path.is_below(&self.root))
    }
}

/// What is known of a home as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileHome {
    /// Counts the changes of the home; 0 before the first.
    pub revision: u64,
    /// Octets of all its files, and of the properties on files and folders as they are stored.
    pub used: u64,
    /// Files and folders, the home itself not counted.
    pub entries: u64,
    /// Its locks, those that have ended included.
    pub locks: Vec<FileLock>,
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// This.
    Node(FileNode),
    /// Nothing, but the folder is there in which it would be.
    Vacant(FileNode),
    /// Nothing, and there is no such folder.
    Nowhere,
}

impl Found {
    /// What is there.
    pub fn node(&self) -> Option<&FileNode> {
        match self {
            Self::Node(node) => Some(node),
            Self::Vacant(_) | Self::Nowhere => None,
        }
    }
}

/// What was seen of a home.
#[derive(Debug, Clone, PartialEq)]
pub struct FileView {
    /// The home as a whole. What `found` says was read at this revision or later.
    pub home: FileHome,
    /// What is at each of the places asked for, in order.
    pub found: Vec<Found>,
}

/// One change of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum FileOp {
    /// A new file or folder. Its content was appended before.
    Create {
        /// In this folder.
        parent: FileId,
        /// This.
        node: FileNode,
    },
    /// A file gets another content, which was appended before.
    Replace {
        /// Which file.
        node: FileId,
        /// What is in it from now on.
        content: FileContent,
        /// When that was.
        modified: DateTime<Utc>,
    },
    /// A file or folder goes, with all that is in it.
    Remove(FileId),
    /// A file or folder goes somewhere else, with all that is in it.
    Move {
        /// Which.
        node: FileId,
        /// Into this folder.
        parent: FileId,
        /// Under this name.
        name: String,
        /// Levels that there may be below it: 0 for a file, or a folder with nothing in it.
        levels: usize,
    },
    /// A file or folder is copied, with its properties.
    Copy {
        /// Which.
        node: FileId,
        /// Into this folder.
        parent: FileId,
        /// Under this name.
        name: String,
        /// With all that is in it.
        deep: bool,
        /// Levels that there may be below it.
        levels: usize,
        /// When the copies are made.
        created: DateTime<Utc>,
    },
    /// All dead properties of a file or folder.
    SetProps {
        /// Which.
        node: FileId,
        /// What it has from now on.
        dead: BTreeMap<String, String>,
    },
}

/// What a home may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets of all files and properties.
    pub octets: u64,
    /// Files and folders.
    pub entries: u64,
}

/// Changes that happen as a whole, if nothing else happened since the home was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct FileWrite {
    /// Whose.
    pub home: HomeId,
    /// What was seen.
    pub revision: u64,
    /// In order. At the place of a new, moved or copied node there must be nothing by then, and what is copied or removed
    /// must not be what another of these changes is about.
    pub ops: Vec<FileOp>,
    /// All locks of the home afterwards; `None` leaves them as they are.
    pub locks: Option<Vec<FileLock>>,
    /// A write that takes more of it than there is, is refused; one that gives some back never is.
    pub room: Room,
}

/// Why a [`FileWrite`] was not done. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum FileWriteError {
    /// The home changed since it was looked at: look again.
    #[error("the files were changed at the same time")]
    Changed,
    /// There is not enough room left.
    #[error("the files take more room than there is")]
    NoRoom,
    /// What is moved or copied would be nested deeper than it may be.
    #[error("the folders would be nested too deeply")]
    TooDeep,
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Plain files. The names of a folder are unique, byte for byte.
#[async_trait]
pub trait FileStore: Send + Sync + 'static {
    /// A page of the homes that somebody wrote to, by id, after `after`.
    async fn homes(&self, after: Option<HomeId>, limit: usize) -> Result<Vec<HomeId>, StoreError>;

    /// Looks at some places of a home.
    async fn look(&self, home: HomeId, paths: &[FilePath]) -> Result<FileView, StoreError>;

    /// A page of what is in a folder by name, after `after`.
    async fn list(&self, folder: FileId, after: Option<&str>, limit: usize) -> Result<Vec<FileNode>, StoreError>;

    /// Appends piece number `n`, counted from 0, to a content that no file refers to yet. Every piece but the last has
    /// [`PIECE`] octets. A content without pieces is empty. Piece 0 begins anew: what was appended before is forgotten.
    async fn append(&self, content: ContentId, n: u64, piece: Bytes) -> Result<(), StoreError>;

    /// Forgets a content that no file will refer to.
    async fn discard(&self, content: ContentId) -> Result<(), StoreError>;

    /// Piece number `n` of a content; `None` where there is none.
    async fn piece(&self, content: ContentId, n: u64) -> Result<Option<Bytes>, StoreError>;

    /// Does all changes or none, where the engine can. Durable when it returns.
    async fn write(&self, write: FileWrite) -> Result<(), FileWriteError>;
}

/// The file store that the program was started with.
pub type SharedFileStore = Arc<dyn FileStore>;

/// Octets that properties count, which are stored like this.
pub(crate) fn property_octets(stored: &str) -> u64 {
    if stored == "{}" { 0 } else { stored.len() as u64 }
}

/// Nodes that are removed in one write.
const REMOVED_AT_ONCE: usize = 100;

/// Removes all files of a home, with its locks.
///
/// # Errors
/// [`FileWriteError`]; [`FileWriteError::Changed`] when somebody writes to the home meanwhile.
pub async fn remove_all(store: &dyn FileStore, home: HomeId) -> Result<(), FileWriteError> {
    loop {
        let view = store.look(home, &[]).await?;
        let members = store.list(FileId(home.0), None, REMOVED_AT_ONCE).await?;
        if members.is_empty() && view.home.locks.is_empty() {
            return Ok(());
        }
        let ops = members.iter().map(|node| FileOp::Remove(node.id)).collect();
        let room = Room { octets: 0, entries: 0 };
        store.write(FileWrite { home, revision: view.home.revision, ops, locks: Some(Vec::new()), room }).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::new(text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }

    #[test]
    fn a_path_knows_what_is_above_and_below() {
        let (root, a, ab) = (path(""), path("a"), path("a/b"));
        assert!(root.is_root() && root.parent().is_none() && root.name().is_empty());
        assert_eq!((ab.parent(), ab.name(), a.child("b")), (Some(a.clone()), "b", ab.clone()));
        assert!(ab.is_below(&a) && ab.is_below(&root) && a.is_below(&root));
        assert!(!a.is_below(&a) && !a.is_below(&ab) && !path("ab").is_below(&a));
    }

    #[test]
    fn a_lock_covers_its_root_and_when_deep_what_is_below() {
        let mut lock = FileLock {
            token: String::new(),
            root: path("a"),
            on_folder: true,
            deep: false,
            shared: false,
            owner: String::new(),
            creator: String::new(),
            expires: DateTime::UNIX_EPOCH,
        };
        assert!(lock.covers(&path("a")) && !lock.covers(&path("a/b")) && !lock.covers(&path("")));
        lock.deep = true;
        assert!(lock.covers(&path("a/b/c")) && !lock.covers(&path("ab")));
    }

    #[test]
    fn a_home_is_a_folder_as_old_as_its_id() {
        let root = FileNode::root("65aa00000000000000000001".parse().unwrap());
        assert!(root.is_folder());
        assert_eq!(root.created.to_rfc3339(), "2024-01-19T04:52:16+00:00");
    }
}
