//! The contract of `FileStore`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::{Env, ManualClock, System};
use convoke::config::Durability;
use convoke::ids::{ContentId, FileId, HomeId};
use convoke::sqlite::Sqlite;
use convoke::store::files::{
    FileContent, FileLock, FileNode, FileOp, FilePath, FileWrite, FileWriteError, Found, PIECE, Room, SharedFileStore,
};

use super::{optional_suite, samples, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Opens files on data of its own, fresh the first time.
#[async_trait]
trait Harness: Sync {
    async fn open(&self) -> SharedFileStore {
        self.open_at(Env::system()).await
    }
    async fn open_at(&self, env: Env) -> SharedFileStore;
}

struct SqliteHarness(tempfile::TempDir);

#[async_trait]
impl Harness for SqliteHarness {
    async fn open_at(&self, env: Env) -> SharedFileStore {
        Arc::new(Sqlite::open(&self.0.path().join("convoke.db"), Durability::Normal, env).unwrap())
    }
}

#[async_trait]
impl Harness for TestMongo {
    async fn open_at(&self, env: Env) -> SharedFileStore {
        let mongo = convoke::mongo::Mongo::connect(&self.config, env).await.unwrap();
        convoke::mongo::schema::ensure(&mongo).await.unwrap();
        Arc::new(mongo)
    }
}

const ROOM: Room = Room { octets: 10_000_000, entries: 1000 };

fn path(text: &str) -> FilePath {
    FilePath::new(text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect())
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(Env::system().now().timestamp(), 0).unwrap()
}

fn content(size: u64) -> FileContent {
    let id = ContentId(Env::system().object_id());
    FileContent { id, size, etag: format!("etag-{size}"), media_type: "text/plain; charset=utf-8".to_owned() }
}

fn node(name: &str, content: Option<FileContent>) -> FileNode {
    FileNode {
        id: FileId(Env::system().object_id()),
        name: name.to_owned(),
        content,
        created: now(),
        modified: now(),
        dead: [("{urn:x.y}$a".to_owned(), "<x1:a xmlns:x1=\"urn:x.y\">é</x1:a>".to_owned())].into(),
    }
}

/// Octets of the properties of [`node`] as they are stored.
const PROPERTIES: u64 = 54;

/// Somebody's files.
struct Files {
    store: SharedFileStore,
    home: HomeId,
}

impl Files {
    async fn of_somebody(harness: &dyn Harness) -> Self {
        Self { store: harness.open().await, home: samples::home() }
    }

    async fn revision(&self) -> u64 {
        self.store.look(self.home, &[]).await.unwrap().home.revision
    }

    async fn find(&self, at: &str) -> Found {
        self.store.look(self.home, &[path(at)]).await.unwrap().found.pop().unwrap()
    }

    async fn get(&self, at: &str) -> FileNode {
        self.find(at).await.node().unwrap_or_else(|| panic!("nothing at {at}")).clone()
    }

    async fn try_write(&self, ops: Vec<FileOp>) -> Result<(), FileWriteError> {
        let revision = self.revision().await;
        self.store.write(FileWrite { home: self.home, revision, ops, locks: None, room: ROOM }).await
    }

    async fn write(&self, ops: Vec<FileOp>) {
        self.try_write(ops).await.unwrap();
    }

    async fn folder(&self, at: &str) -> FileNode {
        let at = path(at);
        let parent = self.store.look(self.home, &[at.parent().unwrap()]).await.unwrap().found.pop().unwrap();
        let made = node(at.name(), None);
        self.write(vec![FileOp::Create { parent: parent.node().unwrap().id, node: made.clone() }]).await;
        made
    }

    async fn upload(&self, text: &str) -> FileContent {
        let content = content(text.len() as u64);
        self.store.append(content.id, 0, Bytes::from(text.to_owned())).await.unwrap();
        content
    }

    async fn file(&self, at: &str, text: &str) -> FileNode {
        let content = self.upload(text).await;
        let at = path(at);
        let parent = self.store.look(self.home, &[at.parent().unwrap()]).await.unwrap().found.pop().unwrap();
        let made = node(at.name(), Some(content));
        self.write(vec![FileOp::Create { parent: parent.node().unwrap().id, node: made.clone() }]).await;
        made
    }

    async fn text(&self, at: &str) -> String {
        let content = self.get(at).await.content.unwrap();
        let piece = self.store.piece(content.id, 0).await.unwrap().unwrap();
        String::from_utf8(piece.to_vec()).unwrap()
    }

    /// Octets of the contents, for each node has the same properties; and entries.
    async fn usage(&self) -> (u64, u64) {
        let home = self.store.look(self.home, &[]).await.unwrap().home;
        (home.used - home.entries * PROPERTIES, home.entries)
    }

    async fn names(&self, folder: FileId) -> Vec<String> {
        self.store.list(folder, None, 100).await.unwrap().into_iter().map(|node| node.name).collect()
    }
}

async fn a_home_is_an_empty_folder_from_the_beginning(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let view = files.store.look(files.home, &[path(""), path("a"), path("a/b")]).await.unwrap();
    assert_eq!(view.home, Default::default());
    let root = FileNode::root(files.home);
    assert_eq!(view.found, [Found::Node(root.clone()), Found::Vacant(root.clone()), Found::Nowhere]);
    assert!(files.names(root.id).await.is_empty());
    files.write(vec![FileOp::SetProps { node: root.id, dead: node("", None).dead }]).await;
    assert_eq!(files.get("").await, FileNode { dead: node("", None).dead, ..root });
    assert_eq!((files.revision().await > 0, files.usage().await), (true, (PROPERTIES, 0)));
}

async fn what_is_written_is_read_as_it_was(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let folder = files.folder("a b").await;
    let file = files.file("a b/é%.txt", "hello").await;
    let empty = node("empty", Some(content(0)));
    files.write(vec![FileOp::Create { parent: folder.id, node: empty.clone() }]).await;
    assert_eq!(files.get("a b").await, folder);
    assert_eq!(files.get("a b/é%.txt").await, file);
    assert_eq!(files.text("a b/é%.txt").await, "hello");
    assert_eq!(files.get("a b/empty").await, empty);
    assert_eq!(files.store.piece(empty.content.unwrap().id, 0).await.unwrap(), None);
    assert_eq!(files.usage().await, (5, 3));
    // A file has no members, and names are compared octet by octet.
    assert_eq!(files.find("a b/empty/x").await, Found::Nowhere);
    assert_eq!(files.find("A b").await, Found::Vacant(FileNode::root(files.home)));
    // Somebody else sees nothing of it.
    let other = Files { store: files.store.clone(), home: samples::home() };
    assert!(matches!(other.find("a b").await, Found::Vacant(_)));
}

async fn a_content_comes_back_piece_by_piece(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let size = 2 * PIECE + 7;
    let whole: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let content = content(size as u64);
    for (n, piece) in whole.chunks(PIECE).enumerate() {
        files.store.append(content.id, n as u64, Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let root = FileNode::root(files.home).id;
    files.write(vec![FileOp::Create { parent: root, node: node("f", Some(content.clone())) }]).await;
    let mut read = Vec::new();
    let mut n = 0;
    while let Some(piece) = files.store.piece(content.id, n).await.unwrap() {
        read.extend_from_slice(&piece);
        n += 1;
    }
    assert_eq!(n, 3);
    assert!(read == whole);
}

async fn a_folder_is_listed_by_name_page_by_page(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    for name in ["c", "a", "é", "b", "Z"] {
        files.folder(name).await;
    }
    files.folder("a/inner").await;
    let root = FileNode::root(files.home).id;
    assert_eq!(files.names(root).await, ["Z", "a", "b", "c", "é"]);
    let page = files.store.list(root, Some("a"), 2).await.unwrap();
    assert_eq!(page.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

async fn what_was_decided_on_an_old_sight_does_not_happen(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let seen = files.revision().await;
    files.folder("a").await;
    let ops = vec![FileOp::Create { parent: root, node: node("b", None) }];
    let late = FileWrite { home: files.home, revision: seen, ops, locks: None, room: ROOM };
    assert!(matches!(files.store.write(late).await, Err(FileWriteError::Changed)));
    assert_eq!(files.names(root).await, ["a"]);
}

async fn of_many_writers_at_once_nobody_is_lost(harness: &dyn Harness) {
    let files = Arc::new(Files::of_somebody(harness).await);
    let root = FileNode::root(files.home).id;
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let files = files.clone();
            tokio::spawn(async move {
                loop {
                    let ops = vec![FileOp::Create { parent: root, node: node(&format!("f{n}"), None) }];
                    match files.try_write(ops).await {
                        Ok(()) => return,
                        Err(FileWriteError::Changed) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(files.names(root).await.len(), 8);
    assert_eq!(files.usage().await, (0, 8));
}

async fn a_file_gets_another_content(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let file = files.file("f", "one").await;
    let content = files.upload("another").await;
    let modified = now() + TimeDelta::hours(1);
    files.write(vec![FileOp::Replace { node: file.id, content: content.clone(), modified }]).await;
    assert_eq!(files.get("f").await, FileNode { content: Some(content), modified, ..file });
    assert_eq!(files.text("f").await, "another");
    assert_eq!(files.usage().await, (7, 1));
}

async fn a_tree_is_moved_and_stays_what_it_is(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let (a, b) = (files.folder("a").await, files.folder("b").await);
    let inner = files.file("a/f", "text").await;
    files.write(vec![FileOp::Move { node: a.id, parent: b.id, name: "c".to_owned(), levels: 1 }]).await;
    assert!(matches!(files.find("a").await, Found::Vacant(_)));
    assert_eq!(files.get("b/c").await, FileNode { name: "c".to_owned(), ..a });
    assert_eq!(files.get("b/c/f").await, inner);
    assert_eq!(files.usage().await, (4, 3));
}

async fn a_tree_is_copied_with_all_or_without_what_is_in_it(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let a = files.folder("a").await;
    files.folder("a/b").await;
    let file = files.file("a/b/f", "text").await;
    let created = now() + TimeDelta::hours(1);
    let copy =
        |name: &str, deep| FileOp::Copy { node: a.id, parent: root, name: name.to_owned(), deep, levels: 2, created };
    files.write(vec![copy("deep", true)]).await;
    files.write(vec![copy("shallow", false)]).await;
    let copied = files.get("deep/b/f").await;
    assert_ne!(copied.id, file.id);
    assert_eq!((copied.content, copied.dead, copied.created), (file.content, file.dead.clone(), created));
    assert!(files.names(files.get("shallow").await.id).await.is_empty());
    assert_eq!(files.get("shallow").await.dead, a.dead);
    assert_eq!(files.usage().await, (8, 7));
    // What is copied lives on without what it was copied from.
    files.write(vec![FileOp::Remove(a.id)]).await;
    assert_eq!(files.text("deep/b/f").await, "text");
    assert_eq!(files.usage().await, (4, 4));
    let content = files.upload("other").await;
    files.write(vec![FileOp::Replace { node: copied.id, content, modified: now() }]).await;
    assert_eq!(files.text("deep/b/f").await, "other");
}

async fn what_is_in_the_way_goes_with_what_takes_its_place(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let (old, new) = (files.folder("old").await, files.folder("new").await);
    files.file("old/gone", "12345").await;
    files.file("new/kept", "123").await;
    let moved = FileOp::Move { node: new.id, parent: root, name: "old".to_owned(), levels: 1 };
    files.write(vec![FileOp::Remove(old.id), moved]).await;
    assert_eq!(files.names(root).await, ["old"]);
    assert_eq!(files.names(new.id).await, ["kept"]);
    assert_eq!(files.usage().await, (3, 2));
    // Nothing is put where something is.
    let ops = vec![FileOp::Create { parent: root, node: node("old", None) }];
    assert!(files.try_write(ops).await.is_err());
}

async fn there_is_no_more_than_there_is_room_for(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let file = files.file("f", "12345").await;
    let write = |revision, ops, room| FileWrite { home: files.home, revision, ops, locks: None, room };
    let copy = |name: &str| FileOp::Copy {
        node: file.id,
        parent: root,
        name: name.to_owned(),
        deep: true,
        levels: 0,
        created: now(),
    };
    let of_two = 10 + 2 * PROPERTIES;
    for room in [Room { octets: of_two - 1, entries: 9 }, Room { octets: of_two, entries: 1 }] {
        let refused = files.store.write(write(files.revision().await, vec![copy("g")], room)).await;
        assert!(matches!(refused, Err(FileWriteError::NoRoom)), "{refused:?}");
    }
    assert_eq!((files.names(root).await.len(), files.usage().await), (1, (5, 1)));
    files
        .store
        .write(write(files.revision().await, vec![copy("g")], Room { octets: of_two, entries: 2 }))
        .await
        .unwrap();
    // Whoever gives some back may always do so.
    let none = Room { octets: 0, entries: 0 };
    files.store.write(write(files.revision().await, vec![FileOp::Remove(file.id)], none)).await.unwrap();
    assert_eq!(files.usage().await, (5, 1));
}

async fn properties_take_room_like_contents(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let a = files.folder("a").await;
    let file = files.file("a/f", "12345").await;
    let used = async || files.store.look(files.home, &[]).await.unwrap().home.used;
    assert_eq!(used().await, 5 + 2 * PROPERTIES);
    files.write(vec![FileOp::SetProps { node: file.id, dead: Default::default() }]).await;
    assert_eq!(used().await, 5 + PROPERTIES);
    let long: std::collections::BTreeMap<_, _> = [("{}a".to_owned(), "x".repeat(1000))].into();
    let write = |revision, dead, octets| {
        let ops = vec![FileOp::SetProps { node: file.id, dead }];
        files.store.write(FileWrite { home: files.home, revision, ops, locks: None, room: Room { octets, entries: 9 } })
    };
    let refused = write(files.revision().await, long.clone(), 1000).await;
    assert!(matches!(refused, Err(FileWriteError::NoRoom)), "{refused:?}");
    write(files.revision().await, long, 2000).await.unwrap();
    let with_long = used().await;
    assert!(with_long > 1000 + PROPERTIES, "{with_long}");
    let copy = FileOp::Copy { node: a.id, parent: root, name: "b".to_owned(), deep: true, levels: 9, created: now() };
    files.write(vec![copy]).await;
    assert_eq!(used().await, 2 * with_long);
    files.write(vec![FileOp::Remove(a.id)]).await;
    assert_eq!(used().await, with_long);
    assert_eq!(files.get("b/f").await.dead.len(), 1);
}

async fn what_is_moved_or_copied_stays_within_the_levels_that_there_are(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let root = FileNode::root(files.home).id;
    let a = files.folder("a").await;
    files.folder("a/b").await;
    files.file("a/b/c", "text").await;
    let (node, parent, created) = (a.id, root, now());
    let moved = |levels| FileOp::Move { node, parent, name: "m".to_owned(), levels };
    let copied = |deep, levels| FileOp::Copy { node, parent, name: "c".to_owned(), deep, levels, created };
    for op in [moved(1), copied(true, 1)] {
        let refused = files.try_write(vec![op]).await;
        assert!(matches!(refused, Err(FileWriteError::TooDeep)), "{refused:?}");
    }
    assert_eq!(files.names(root).await, ["a"]);
    files.write(vec![copied(false, 0)]).await;
    files.write(vec![moved(2)]).await;
    assert_eq!(files.names(root).await, ["c", "m"]);
}

async fn locks_are_kept_and_seen_by_every_connection(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let lock = |token: &str| FileLock {
        token: token.to_owned(),
        root: path("a/b.c"),
        on_folder: true,
        deep: true,
        shared: false,
        owner: "<d:owner>alice</d:owner>".to_owned(),
        creator: "principals/users/1".to_owned(),
        expires: now() + TimeDelta::hours(1),
    };
    let locks = vec![lock("urn:uuid:1"), FileLock { deep: false, shared: true, ..lock("urn:uuid:2") }];
    let write = |revision, locks| FileWrite { home: files.home, revision, ops: Vec::new(), locks, room: ROOM };
    files.store.write(write(0, Some(locks.clone()))).await.unwrap();
    files.folder("a").await;
    let there = harness.open().await;
    assert_eq!(there.look(files.home, &[]).await.unwrap().home.locks, locks, "other writes leave them alone");
    let revision = files.revision().await;
    there.write(write(revision, Some(locks[1..].to_vec()))).await.unwrap();
    assert_eq!(files.store.look(files.home, &[]).await.unwrap().home.locks, locks[1..]);
}

async fn an_upload_that_begins_again_forgets_what_came_before(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let content = content(PIECE as u64 + 3);
    for text in ["broken off", "again"] {
        let first: Vec<u8> = text.bytes().cycle().take(PIECE).collect();
        files.store.append(content.id, 0, first.into()).await.unwrap();
    }
    files.store.append(content.id, 1, Bytes::from_static(b"end")).await.unwrap();
    let root = FileNode::root(files.home).id;
    files.write(vec![FileOp::Create { parent: root, node: node("f", Some(content.clone())) }]).await;
    assert!(files.text("f").await.starts_with("againagain"));
    assert_eq!(files.store.piece(content.id, 1).await.unwrap().unwrap(), "end");
}

async fn homes_are_listed_page_by_page(harness: &dyn Harness) {
    let store = harness.open().await;
    assert_eq!(store.homes(None, 10).await.unwrap(), []);
    let mut homes = Vec::new();
    for _ in 0..3 {
        let files = Files { store: store.clone(), home: samples::home() };
        files.folder("a").await;
        homes.push(files.home);
    }
    homes.sort();
    assert_eq!(store.homes(None, 2).await.unwrap(), homes[..2]);
    assert_eq!(store.homes(Some(homes[1]), 2).await.unwrap(), homes[2..]);
}

async fn a_home_is_cleared_with_everything_in_it(harness: &dyn Harness) {
    let files = Files::of_somebody(harness).await;
    let other = Files { store: files.store.clone(), home: samples::home() };
    other.file("kept", "kept").await;
    for n in 0..120 {
        files.folder(&format!("d{n}")).await;
    }
    files.file("d1/f", "text").await;
    convoke::store::files::remove_all(&*files.store, files.home).await.unwrap();
    assert!(files.names(FileNode::root(files.home).id).await.is_empty());
    assert_eq!((files.usage().await, other.text("kept").await.as_str()), ((0, 0), "kept"));
}

async fn what_no_file_refers_to_is_removed_in_time(harness: &dyn Harness) {
    let clock = Arc::new(ManualClock::at(now()));
    let store = harness.open_at(Env::new(SharedClock(clock.clone()), System)).await;
    let files = Files { store, home: samples::home() };
    let (kept, removed) = (files.file("kept", "kept").await, files.file("removed", "removed").await);
    let abandoned = files.upload("abandoned").await;
    let discarded = files.upload("discarded").await;
    files.store.discard(discarded.id).await.unwrap();
    files.write(vec![FileOp::Remove(removed.id)]).await;
    let is_there = async |content: &FileContent| files.store.piece(content.id, 0).await.unwrap().is_some();
    let removed = removed.content.unwrap();
    assert!(is_there(&removed).await, "somebody may be reading it");
    clock.advance(TimeDelta::hours(2));
    for _ in 0..10 {
        files.upload("in passing").await;
    }
    assert!(is_there(&kept.content.unwrap()).await);
    assert!(!is_there(&removed).await && !is_there(&abandoned).await && !is_there(&discarded).await);
    let root = FileNode::root(files.home).id;
    let late = vec![FileOp::Create { parent: root, node: node("late", Some(abandoned)) }];
    assert!(matches!(files.try_write(late).await, Err(FileWriteError::Store(_))), "no file without its content");
    assert!(matches!(files.find("late").await, Found::Vacant(_)));
}

/// A clock that a test moves.
struct SharedClock(Arc<ManualClock>);

impl convoke::clock::Clock for SharedClock {
    fn now(&self) -> DateTime<Utc> {
        convoke::clock::Clock::now(&*self.0)
    }
}

suite!(
    sqlite,
    super::SqliteHarness(tempfile::tempdir().unwrap()),
    [
        a_home_is_an_empty_folder_from_the_beginning,
        what_is_written_is_read_as_it_was,
        a_content_comes_back_piece_by_piece,
        a_folder_is_listed_by_name_page_by_page,
        what_was_decided_on_an_old_sight_does_not_happen,
        of_many_writers_at_once_nobody_is_lost,
        a_file_gets_another_content,
        a_tree_is_moved_and_stays_what_it_is,
        a_tree_is_copied_with_all_or_without_what_is_in_it,
        what_is_in_the_way_goes_with_what_takes_its_place,
        there_is_no_more_than_there_is_room_for,
        properties_take_room_like_contents,
        what_is_moved_or_copied_stays_within_the_levels_that_there_are,
        locks_are_kept_and_seen_by_every_connection,
        an_upload_that_begins_again_forgets_what_came_before,
        homes_are_listed_page_by_page,
        a_home_is_cleared_with_everything_in_it,
        what_no_file_refers_to_is_removed_in_time,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        a_home_is_an_empty_folder_from_the_beginning,
        what_is_written_is_read_as_it_was,
        a_content_comes_back_piece_by_piece,
        a_folder_is_listed_by_name_page_by_page,
        what_was_decided_on_an_old_sight_does_not_happen,
        of_many_writers_at_once_nobody_is_lost,
        a_file_gets_another_content,
        a_tree_is_moved_and_stays_what_it_is,
        a_tree_is_copied_with_all_or_without_what_is_in_it,
        what_is_in_the_way_goes_with_what_takes_its_place,
        there_is_no_more_than_there_is_room_for,
        properties_take_room_like_contents,
        what_is_moved_or_copied_stays_within_the_levels_that_there_are,
        locks_are_kept_and_seen_by_every_connection,
        an_upload_that_begins_again_forgets_what_came_before,
        homes_are_listed_page_by_page,
        a_home_is_cleared_with_everything_in_it,
        what_no_file_refers_to_is_removed_in_time,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        a_home_is_an_empty_folder_from_the_beginning,
        what_is_written_is_read_as_it_was,
        a_content_comes_back_piece_by_piece,
        a_folder_is_listed_by_name_page_by_page,
        what_was_decided_on_an_old_sight_does_not_happen,
        of_many_writers_at_once_nobody_is_lost,
        a_file_gets_another_content,
        a_tree_is_moved_and_stays_what_it_is,
        a_tree_is_copied_with_all_or_without_what_is_in_it,
        what_is_in_the_way_goes_with_what_takes_its_place,
        there_is_no_more_than_there_is_room_for,
        properties_take_room_like_contents,
        what_is_moved_or_copied_stays_within_the_levels_that_there_are,
        locks_are_kept_and_seen_by_every_connection,
        an_upload_that_begins_again_forgets_what_came_before,
        homes_are_listed_page_by_page,
        a_home_is_cleared_with_everything_in_it,
        what_no_file_refers_to_is_removed_in_time,
    ]
);
