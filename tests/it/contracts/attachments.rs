//! The contract of managed attachments, which rests on those of `FileStore` and `DavStore` on the same data.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::Env;
use convoke::config::Durability;
use convoke::ids::{CollectionId, ContentId, HomeId, TrashId, Uid};
use convoke::sqlite::Sqlite;
use convoke::store::attachments::{self, Attachment, AttachmentId, Note};
use convoke::store::files::{FileContent, FilePath, FileWriteError, Found, Room, SharedFileStore};
use convoke::store::mongo::MongoDav;
use convoke::store::{Collection, Expect, Object, Op, SharedDavStore, Trashed, TrashedThing};

use super::samples::{calendar, delete, put, stored_calendar, with_data, write};
use super::{optional_suite, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Opens the two ports on data of their own.
#[async_trait]
trait Harness: Sync {
    async fn open(&self) -> (SharedDavStore, SharedFileStore);
}

struct SqliteHarness(tempfile::TempDir);

#[async_trait]
impl Harness for SqliteHarness {
    async fn open(&self) -> (SharedDavStore, SharedFileStore) {
        let path = self.0.path().join("convoke.db");
        let sqlite = Arc::new(Sqlite::open(&path, Durability::Normal, Env::system()).unwrap());
        (sqlite.clone(), sqlite)
    }
}

#[async_trait]
impl Harness for TestMongo {
    async fn open(&self) -> (SharedDavStore, SharedFileStore) {
        let mongo = self.connect().await;
        convoke::mongo::schema::ensure(&mongo).await.unwrap();
        (Arc::new(MongoDav::open(mongo.clone()).await.unwrap()), Arc::new(mongo))
    }
}

const ROOM: Room = Room { octets: 100_000, entries: 100 };
const SMALL: Room = Room { octets: 1000, entries: 100 };

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(Env::system().now().timestamp(), 0).unwrap()
}

fn noted(home: HomeId, uid: &str) -> BTreeSet<Note> {
    [(home, Uid(uid.to_owned()))].into()
}

/// An attachment that is kept, for the object of that UID.
async fn kept(files: &SharedFileStore, home: HomeId, text: &str, uid: &str) -> Attachment {
    let env = Env::system();
    let id = ContentId(env.object_id());
    files.append(id, 0, Bytes::from(text.to_owned())).await.unwrap();
    let size = text.len() as u64;
    let content = FileContent { id, size, etag: "e".to_owned(), media_type: "text/plain; charset=utf-8".to_owned() };
    let id = AttachmentId::new(home, &env);
    let new = Attachment { id, name: "Été <1>/2.txt".to_owned(), content, created: now(), notes: noted(home, uid) };
    attachments::add(&**files, &new, ROOM, &env).await.unwrap();
    new
}

fn referring(uid: &str, attachment: &Attachment) -> Object {
    let data = format!(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nATTACH;MANAGED-ID={}:https://example.org/x\r\nEND:VEVENT\r\n\
         END:VCALENDAR\r\n",
        attachment.id
    );
    with_data(&format!("{uid}.ics"), &data, Some(0), Some(3600))
}

async fn used(files: &SharedFileStore, home: HomeId) -> u64 {
    files.look(home, &[]).await.unwrap().home.used
}

async fn an_attachment_comes_back_with_what_is_known_of_it(engine: &dyn Harness) {
    let (_, files) = engine.open().await;
    let home = super::samples::home();
    let one = kept(&files, home, "hello", "a b/<é>").await;
    let two = kept(&files, home, "", "b").await;
    assert_eq!(attachments::find(&*files, &one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(attachments::find(&*files, &two.id).await.unwrap(), Some(two.clone()));
    assert_eq!(files.piece(one.content.id, 0).await.unwrap(), Some(Bytes::from("hello")));
    let elsewhere = AttachmentId::in_home(super::samples::home(), one.id.key()).unwrap();
    assert_eq!(attachments::find(&*files, &elsewhere).await.unwrap(), None);
    let view = files.look(home, &[FilePath::default().child(attachments::AREA)]).await.unwrap();
    assert!(matches!(view.found[0], Found::Node(_)) && view.home.entries == 3, "{view:?}");
}

async fn attachments_take_room_of_the_home(engine: &dyn Harness) {
    let (dav, files) = engine.open().await;
    let home = super::samples::home();
    let one = kept(&files, home, &"x".repeat(400), "a").await;
    assert!((400..800).contains(&used(&files, home).await));
    let mut large = one.clone();
    large.id = AttachmentId::new(home, &Env::system());
    large.content.id = ContentId(Env::system().object_id());
    large.content.size = 600;
    files.append(large.content.id, 0, Bytes::from(vec![b'y'; 600])).await.unwrap();
    let refused = attachments::add(&*files, &large, SMALL, &Env::system()).await;
    assert!(matches!(refused, Err(FileWriteError::NoRoom)), "{refused:?}");
    assert_eq!(attachments::find(&*files, &large.id).await.unwrap(), None);
    assert!(attachments::release(&*files, &*dav, &one.id).await.unwrap());
    assert_eq!(used(&files, home).await, 0);
    attachments::add(&*files, &large, SMALL, &Env::system()).await.unwrap();
}

async fn what_is_noted_is_added_to_what_was(engine: &dyn Harness) {
    let (_, files) = engine.open().await;
    let home = super::samples::home();
    let one = kept(&files, home, "hello", "a").await;
    let others: Vec<HomeId> = (0..8).map(|_| super::samples::home()).collect();
    let notes = others.iter().map(|other| {
        let (files, id, note) = (files.clone(), one.id.clone(), noted(*other, "a"));
        async move { attachments::note(&*files, &id, &note).await.unwrap() }
    });
    assert!(futures_util::future::join_all(notes).await.into_iter().all(|found| found));
    let found = attachments::find(&*files, &one.id).await.unwrap().unwrap();
    assert_eq!(found.notes.len(), 9);
    let before = files.look(home, &[]).await.unwrap().home.revision;
    assert!(attachments::note(&*files, &one.id, &found.notes).await.unwrap());
    assert_eq!(files.look(home, &[]).await.unwrap().home.revision, before, "what is known is not written again");
    let nowhere = AttachmentId::new(home, &Env::system());
    assert!(!attachments::note(&*files, &nowhere, &found.notes).await.unwrap());
}

async fn trash(dav: &SharedDavStore, calendar: &Collection, object: &Object) -> TrashId {
    let id = TrashId(Env::system().object_id());
    let entry = Trashed {
        id,
        home: calendar.home,
        collection: calendar.id,
        kind: calendar.kind,
        uri: calendar.uri.clone(),
        deleted: now(),
        until: now() + TimeDelta::days(30),
        what: TrashedThing::Object { meta: object.meta.clone(), with_collection: false, summary: None },
    };
    let kept = Op::Trash { entry: Box::new(entry), data: object.data.clone() };
    write(&**dav, vec![kept, delete(calendar, &object.meta.name, Expect::Any)]).await.unwrap();
    id
}

async fn what_nothing_refers_to_goes(engine: &dyn Harness) {
    let (dav, files) = engine.open().await;
    let work = stored_calendar(&*dav, "a").await;
    let theirs = stored_calendar(&*dav, "b").await;
    let (live, other, deleted) = (
        kept(&files, work.home, "live", "a").await,
        kept(&files, work.home, "other", "b").await,
        kept(&files, work.home, "deleted", "c").await,
    );
    let (dropped, late) = (kept(&files, work.home, "dropped", "d").await, kept(&files, work.home, "late", "e").await);
    write(&*dav, vec![put(&work, referring("a", &live), Expect::Any)]).await.unwrap();
    // Somebody else's copy.
    assert!(attachments::note(&*files, &other.id, &noted(theirs.home, "b")).await.unwrap());
    write(&*dav, vec![put(&theirs, referring("b", &other), Expect::Any)]).await.unwrap();
    let gone = referring("c", &deleted);
    write(&*dav, vec![put(&work, gone.clone(), Expect::Any)]).await.unwrap();
    let in_trash = trash(&dav, &work, &gone).await;
    write(&*dav, vec![put(&work, referring("d", &live), Expect::Any)]).await.unwrap();

    let collect = async |at: DateTime<Utc>| attachments::collect(&files, &*dav, work.home, at).await.unwrap();
    assert_eq!(collect(now()).await, 0, "the object may still be on its way");
    assert_eq!(collect(now() + TimeDelta::hours(2)).await, 2);
    let there = async |attachment: &Attachment| attachments::find(&*files, &attachment.id).await.unwrap().is_some();
    for attachment in [&live, &other, &deleted] {
        assert!(there(attachment).await, "{}", attachment.content.size);
        assert!(!attachments::release(&*files, &*dav, &attachment.id).await.unwrap());
    }
    assert!(!there(&dropped).await && !there(&late).await);

    write(&*dav, vec![Op::Untrash { home: work.home, id: in_trash }]).await.unwrap();
    write(&*dav, vec![delete(&theirs, "b.ics", Expect::Any)]).await.unwrap();
    assert_eq!(collect(now() + TimeDelta::hours(2)).await, 2);
    assert!(there(&live).await && !there(&other).await && !there(&deleted).await);
}

async fn the_home_of_a_collection_is_known(engine: &dyn Harness) {
    let (dav, _) = engine.open().await;
    let work = stored_calendar(&*dav, "work").await;
    let book = super::samples::collection(work.home, convoke::store::CollectionKind::AddressBook, "book");
    write(&*dav, vec![Op::CreateCollection(book.clone())]).await.unwrap();
    assert_eq!(dav.home_of(work.id).await.unwrap(), Some(work.home));
    assert_eq!(dav.home_of(book.id).await.unwrap(), Some(work.home));
    let nowhere: CollectionId = calendar(work.home, "x").id;
    assert_eq!(dav.home_of(nowhere).await.unwrap(), None);
}

suite!(
    sqlite,
    super::SqliteHarness(tempfile::tempdir().unwrap()),
    [
        an_attachment_comes_back_with_what_is_known_of_it,
        attachments_take_room_of_the_home,
        what_is_noted_is_added_to_what_was,
        what_nothing_refers_to_goes,
        the_home_of_a_collection_is_known,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        an_attachment_comes_back_with_what_is_known_of_it,
        attachments_take_room_of_the_home,
        what_is_noted_is_added_to_what_was,
        what_nothing_refers_to_goes,
        the_home_of_a_collection_is_known,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        an_attachment_comes_back_with_what_is_known_of_it,
        attachments_take_room_of_the_home,
        what_is_noted_is_added_to_what_was,
        what_nothing_refers_to_goes,
        the_home_of_a_collection_is_known,
    ]
);
