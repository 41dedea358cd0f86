//! Copies from one engine to another: everything arrives, nothing is lost when it is broken off, nobody's clients miss a
//! change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::ids::{ContentId, DomainId, FileId, HomeId, TrashId, Uid, UserId};
use convoke::sqlite::Sqlite;
use convoke::store::attachments::{self, Attachment, AttachmentId};
use convoke::store::copy::{CopyError, End, Options, Tally, Watch, compare, copy};
use convoke::store::files::{FileContent, FileNode, FileOp, FilePath, FileWrite, PIECE, Room};
use convoke::store::home::home_collections;
use convoke::store::mongo::MongoDav;
use convoke::store::mongo::bootstrap::bootstrap;
use convoke::store::{
    Access, Change, Collection, CollectionKind, CollectionProps, Delegation, Domain, Expect, Instance, InviteStatus,
    ObjectFilter, Op, PublicRight, Settings, StoreError, Tie, Trashed, TrashedThing, User,
};
use serde_json::json;

use super::contracts::samples::{self, calendar, delete, event, put, with_data, write};
use super::meddling::Meddling;
use super::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Nobody looks.
struct Unseen;

impl Watch for Unseen {
    fn begin(&self, _: &'static str, _: u64) {}
    fn step(&self, _: u64) {}
    fn tell(&self, _: &Tally) {}
}

const FRESH: Options = Options { resume: false, replace: false, dry_run: false };
const RESUME: Options = Options { resume: true, replace: false, dry_run: false };
const REPLACE: Options = Options { resume: true, replace: true, dry_run: false };

/// An engine with data of its own.
enum Engine {
    Sqlite(tempfile::TempDir),
    Mongo(TestMongo),
}

impl Engine {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> End {
        match self {
            Self::Sqlite(dir) => {
                let path = dir.path().join("convoke.db");
                let db = Sqlite::open(&path, Durability::Normal, Env::system()).unwrap();
                End { dav: Arc::new(db.clone()), files: Arc::new(db.clone()), directory: Arc::new(db) }
            }
            Self::Mongo(test) => {
                let mongo = test.connect().await;
                bootstrap(&mongo).await.unwrap();
                End {
                    dav: Arc::new(MongoDav::open(mongo.clone()).await.unwrap()),
                    files: Arc::new(mongo.clone()),
                    directory: Arc::new(mongo),
                }
            }
        }
    }
}

async fn copied(from: &End, to: &End, options: Options) -> convoke::store::copy::Copied {
    copy(from, Some(to), options, &Unseen).await.unwrap()
}

async fn the_same(from: &End, to: &End) {
    let compared = compare(from, to, &Unseen).await.unwrap();
    assert_eq!(compared.differences.first, Vec::<String>::new());
    assert_eq!(compared.source, compared.target);
}

fn domain() -> Domain {
    Domain { id: DomainId(Env::system().object_id()), name: "example.org".parse().unwrap() }
}

fn user(domain: &Domain, name: &str) -> User {
    User {
        id: UserId(Env::system().object_id()),
        domain: domain.id,
        emails: vec![format!("{name}@example.org").parse().unwrap(), format!("{name}.x@example.org").parse().unwrap()],
        firstname: "Zoë Ann".to_owned(),
        lastname: name.to_owned(),
    }
}

/// Two people, with all that people have.
pub struct House {
    pub alice: User,
    pub bob: User,
    pub work: Collection,
}

pub async fn furnish(end: &End) -> House {
    let domain = domain();
    let (alice, bob) = (user(&domain, "alice"), user(&domain, "bob"));
    end.directory.add_domain(&domain).await.unwrap();
    for user in [&alice, &bob] {
        end.directory.add_user(user).await.unwrap();
        let made = home_collections(user.id.into(), &Env::system());
        write(&*end.dav, made.into_iter().map(Op::CreateCollection).collect()).await.unwrap();
    }
    for deleted in [false, true] {
        let mut room = samples::resource(domain.id, "Blue room");
        room.administrators = vec![bob.id];
        room.deleted = deleted;
        end.directory.add_resource(&room).await.unwrap();
    }
    end.directory.add_team_calendar(&samples::team(domain.id, "support")).await.unwrap();
    let mut settings = Settings::default();
    settings.set("core", "datetime", json!({"timeZone": "Europe/Paris", "use24hourFormat": true}));
    settings.set("x", "numbers", json!([1, -9_007_199_254_740_993_i64, 2.5, null]));
    end.directory.put_settings(alice.id, &settings).await.unwrap();
    end.directory.set_password_hash(bob.id, Some("$argon2id$v=19$…")).await.unwrap();

    let mut work = calendar(alice.id.into(), "work");
    work.props.displayname = Some("Work & more".to_owned());
    work.props.color = Some("#ff0000ff".to_owned());
    work.props.order = Some(7);
    work.props.description = Some("ü\r\n".to_owned());
    work.props.dead.insert("{urn:x}y".to_owned(), "<y xmlns=\"urn:x\">1</y>".to_owned());
    write(&*end.dav, vec![Op::CreateCollection(work.clone())]).await.unwrap();
    for n in 0..150 {
        write(&*end.dav, vec![put(&work, event(&format!("{n}.ics"), n * 3600), Expect::Any)]).await.unwrap();
    }
    // What is not text for the faint of heart.
    let odd = with_data("odd &#x;.ics", "BEGIN:VCALENDAR\nX:\u{1F980}\t\"\\\r\nEND:VCALENDAR", None, None);
    let big = with_data("big.ics", &"x".repeat(1_500_000), Some(5), None);
    write(&*end.dav, vec![put(&work, odd, Expect::Any), put(&work, big, Expect::Any)]).await.unwrap();
    write(&*end.dav, vec![delete(&work, "3.ics", Expect::Any)]).await.unwrap();

    let book = end.dav.collection(bob.id.into(), CollectionKind::AddressBook, "contacts").await.unwrap().unwrap();
    let mut card = with_data("carol.vcf", "BEGIN:VCARD\r\nFN:Carol\r\nEND:VCARD\r\n", None, None);
    card.meta.component = "VCARD".to_owned();
    write(&*end.dav, vec![put(&book, card, Expect::Any)]).await.unwrap();
    let inbox = end.dav.collection(bob.id.into(), CollectionKind::Inbox, "inbox").await.unwrap().unwrap();
    write(&*end.dav, vec![put(&inbox, event("request.ics", 0), Expect::Any)]).await.unwrap();
    furnish_files(end, alice.id.into()).await;
    share(end, &work, bob.id.into()).await;
    furnish_trash(end, &work).await;
    House { alice, bob, work }
}

/// Gives a calendar to somebody, who subscribes to it besides, for everybody may read it.
async fn share(end: &End, of: &Collection, home: HomeId) {
    let given = Delegation {
        access: Access::ReadWrite,
        status: InviteStatus::Accepted,
        href: "mailto:bob@example.org".to_owned(),
        name: Some("Bob".to_owned()),
        hidden: true,
    };
    let props = CollectionProps { color: Some("#00ff00".to_owned()), ..CollectionProps::default() };
    let instance = |uri: &str, tie| {
        let id = Env::system().object_id();
        Instance { id, of: of.id, kind: of.kind, home, uri: uri.to_owned(), props: props.clone(), tie }
    };
    let ops = vec![
        Op::SetPublicRight { collection: of.id, right: Some(PublicRight::Read) },
        Op::PutInstance(instance("given", Tie::Delegation(given))),
        Op::PutInstance(instance("taken", Tie::Subscription { writes: false })),
    ];
    write(&*end.dav, ops).await.unwrap();
}

/// A calendar in the trash with an event, and the token of its path.
async fn furnish_trash(end: &End, work: &Collection) {
    let old = calendar(work.home, "old");
    let deleted = samples::instant("2026-05-01T10:00:00Z");
    let entry = |id, what| Op::Trash {
        entry: Box::new(Trashed {
            id,
            home: old.home,
            collection: old.id,
            kind: old.kind,
            uri: old.uri.clone(),
            deleted,
            until: deleted + chrono::TimeDelta::days(3000),
            what,
        }),
        data: "x".to_owned(),
    };
    let meta = event("a.ics", 0).meta;
    let part = TrashedThing::Object { meta, with_collection: true, summary: None };
    let ops = vec![
        Op::CreateCollection(Collection { sync_token: 40, ..old.clone() }),
        entry(TrashId(old.id.0), TrashedThing::Collection { props: old.props.clone(), token: 40 }),
        entry(TrashId(Env::system().object_id()), part),
        Op::DeleteCollection(old.id),
    ];
    write(&*end.dav, ops).await.unwrap();
}
/// Octets of the properties of each file and folder as they are stored.
const PROPERTIES: u64 = 40;

/// A folder, a file of two pieces in it, a copy of that, and an empty file.
async fn furnish_files(end: &End, home: HomeId) {
    let env = Env::system();
    let now = samples::instant("2026-05-01T10:00:00Z");
    let node = |name: &str, content| FileNode {
        id: FileId(env.object_id()),
        name: name.to_owned(),
        content,
        created: now,
        modified: now,
        dead: [("{urn:x}y".to_owned(), "<y xmlns=\"urn:x\">ü</y>".to_owned())].into(),
    };
    let content = |size| {
        let media_type = "text/plain".to_owned();
        FileContent { id: ContentId(env.object_id()), size, etag: format!("{size}"), media_type }
    };
    let (large, empty) = (content(PIECE as u64 + 5), content(0));
    end.files.append(large.id, 0, vec![b'x'; PIECE].into()).await.unwrap();
    end.files.append(large.id, 1, "hello".into()).await.unwrap();
    let (folder, file) = (node("a folder", None), node("f", Some(large)));
    let copy = FileOp::Copy {
        node: file.id,
        parent: FileId(home.0),
        name: "g".to_owned(),
        deep: true,
        levels: 0,
        created: now,
    };
    let ops = [
        FileOp::Create { parent: FileId(home.0), node: folder.clone() },
        FileOp::Create { parent: folder.id, node: file },
        FileOp::Create { parent: folder.id, node: node("empty", Some(empty)) },
        copy,
    ];
    for op in ops {
        let revision = end.files.look(home, &[]).await.unwrap().home.revision;
        let room = Room { octets: u64::MAX, entries: u64::MAX };
        end.files.write(FileWrite { home, revision, ops: vec![op], locks: None, room }).await.unwrap();
    }
}

/// What is in the file at a path, and how much its home holds.
async fn file_at(end: &End, home: HomeId, path: &[&str]) -> (String, u64) {
    let path = FilePath::new(path.iter().map(|&segment| segment.to_owned()).collect());
    let view = end.files.look(home, &[path]).await.unwrap();
    let content = view.found[0].node().unwrap().content.clone().unwrap();
    let last = end.files.piece(content.id, 1).await.unwrap().unwrap();
    (String::from_utf8(last.to_vec()).unwrap(), view.home.used)
}

/// What a client knows, and the token up to which it knows it.
#[derive(Clone)]
struct Client {
    collection: (HomeId, CollectionKind, String),
    known: BTreeMap<String, String>,
    token: u64,
    /// How often it had to read everything.
    from_scratch: u32,
}

impl Client {
    fn of(collection: &Collection) -> Self {
        let collection = (collection.home, collection.kind, collection.uri.clone());
        Self { collection, known: BTreeMap::new(), token: 0, from_scratch: 0 }
    }

    async fn sync(&mut self, end: &End) {
        let (home, kind, uri) = &self.collection;
        let collection = end.dav.collection(*home, *kind, uri).await.unwrap().unwrap();
        loop {
            let Some(changes) = end.dav.changes(collection.id, self.token, 40).await.unwrap() else {
                self.token = 0;
                self.known.clear();
                self.from_scratch += 1;
                continue;
            };
            for change in changes.changes {
                match change {
                    Change::Written(meta) => drop(self.known.insert(meta.name, meta.etag)),
                    Change::Deleted(name) => drop(self.known.remove(&name)),
                }
            }
            self.token = changes.token;
            if !changes.truncated {
                break;
            }
        }
        let stored = end.dav.list(collection.id, None, 10_000).await.unwrap();
        let stored: BTreeMap<_, _> = stored.into_iter().map(|meta| (meta.name, meta.etag)).collect();
        assert_eq!(self.known, stored, "the client knows what there is");
    }
}

async fn everything_arrives(from: &Engine, to: &Engine) {
    let (from, to) = (from.open().await, to.open().await);
    let house = furnish(&from).await;
    let done = copied(&from, &to, FRESH).await;
    assert_eq!(done.left.first, Vec::<String>::new());
    let all = Tally {
        domains: 1,
        users: 2,
        settings: 1,
        passwords: 1,
        resources: 2,
        teams: 1,
        collections: 11,
        objects: 153,
        files: 4,
        trash: 2,
    };
    assert_eq!(done.written, all);
    the_same(&from, &to).await;

    // Not only what the comparison looks at.
    for user in [&house.alice, &house.bob] {
        assert_eq!(to.directory.user(user.id).await.unwrap().as_ref(), Some(user));
        let (ours, theirs) = (from.dav.collections(user.id.into()).await, to.dav.collections(user.id.into()).await);
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let uris = |all: &[Collection]| all.iter().map(|c| c.uri.clone()).collect::<Vec<_>>();
        assert_eq!(uris(&ours), uris(&theirs), "also the order");
        for collection in ours {
            let ours = from.dav.query(collection.id, &ObjectFilter::default(), None, 1_000).await.unwrap().objects;
            let theirs = to.dav.query(collection.id, &ObjectFilter::default(), None, 1_000).await.unwrap().objects;
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs);
            }
        }
    }
    let home = house.alice.id.into();
    for path in [&["a folder", "f"][..], &["g"]] {
        assert_eq!(file_at(&to, home, path).await, ("hello".to_owned(), 2 * (PIECE as u64 + 5) + 4 * PROPERTIES));
    }
    let uid = Uid("7".to_owned());
    assert_eq!(to.dav.find_uid(house.alice.id.into(), &uid).await.unwrap().len(), 1);

    // Again is no harm, and does nothing.
    assert!(matches!(copy(&from, Some(&to), FRESH, &Unseen).await, Err(CopyError::NotEmpty("domains"))));
    let again = copied(&from, &to, RESUME).await;
    assert_eq!((again.written, again.present, again.left.count), (Tally::default(), all, 0));
}

async fn a_dry_run_says_the_same_and_writes_nothing(from: &Engine, to: &Engine) {
    let (from, to) = (from.open().await, to.open().await);
    furnish(&from).await;
    let dry = Options { dry_run: true, ..FRESH };
    let would = copied(&from, &to, dry).await;
    assert_eq!(copy(&from, None, dry, &Unseen).await.unwrap(), would, "also without a target");
    assert_eq!(to.directory.domains().await.unwrap(), []);
    assert_eq!(to.dav.homes(None, 10).await.unwrap(), []);
    assert_eq!(copied(&from, &to, FRESH).await, would);
    let nothing = copied(&from, &to, Options { dry_run: true, ..RESUME }).await;
    assert_eq!(nothing.written, Tally::default());
}

/// Clients with a token of any age come to the copy: each knows what there is afterwards.
async fn no_client_misses_a_change(from: &Engine, to: &Engine) {
    let (from, to) = (from.open().await, to.open().await);
    let house = furnish(&from).await;
    let mut current = Client::of(&house.work);
    current.sync(&from).await;
    // One that was away while things were deleted, at every moment.
    let mut away = vec![Client::of(&house.work)];
    for n in [5, 9, 11] {
        away.push(current.clone());
        write(&*from.dav, vec![delete(&house.work, &format!("{n}.ics"), Expect::Any)]).await.unwrap();
        write(&*from.dav, vec![put(&house.work, event(&format!("new {n}.ics"), 1), Expect::Any)]).await.unwrap();
        current.sync(&from).await;
    }
    copied(&from, &to, FRESH).await;
    // The target goes on.
    write(&*to.dav, vec![delete(&house.work, "20.ics", Expect::Any)]).await.unwrap();
    write(&*to.dav, vec![put(&house.work, event("later.ics", 2), Expect::Any)]).await.unwrap();
    current.sync(&to).await;
    assert_eq!(current.from_scratch, 0, "who was up to date stays so");
    let token = current.token;
    write(&*to.dav, vec![delete(&house.work, "21.ics", Expect::Any)]).await.unwrap();
    current.sync(&to).await;
    assert!(current.token > token);
    for client in &mut away {
        let began = client.token;
        client.sync(&to).await;
        assert_eq!(client.from_scratch, u32::from(began > 0));
    }
}

/// The source goes on after the copy was broken off, and the rest is copied later.
async fn no_client_misses_a_change_when_the_copy_was_continued(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    let mut clients = vec![Client::of(&house.work)];
    clients[0].sync(&source).await;
    copied(&source, &target, FRESH).await;
    for n in 30..60 {
        // Only what is new, so that nothing that was copied is wrong; then what was copied changes, too.
        write(&*source.dav, vec![put(&house.work, event(&format!("new {n}.ics"), n), Expect::Any)]).await.unwrap();
        let mut client = Client::of(&house.work);
        client.sync(&source).await;
        clients.push(client);
    }
    let done = copied(&source, &target, RESUME).await;
    assert_eq!(done.left.first, Vec::<String>::new());
    the_same(&source, &target).await;
    for client in &mut clients {
        client.clone().sync(&target).await;
    }
    write(&*source.dav, vec![delete(&house.work, "new 31.ics", Expect::Any)]).await.unwrap();
    write(&*source.dav, vec![put(&house.work, with_data("40.ics", "new", None, None), Expect::Any)]).await.unwrap();
    let mut last = Client::of(&house.work);
    last.sync(&source).await;
    clients.push(last);

    let refused = copied(&source, &target, RESUME).await;
    assert_eq!(refused.left.count, 1, "{:?}", refused.left);
    assert!(refused.left.first[0].contains("/work: 2 objects of the target"), "{:?}", refused.left);
    assert!(compare(&source, &target, &Unseen).await.unwrap().differences.count > 0);
    let replaced = copied(&source, &target, REPLACE).await;
    assert_eq!((replaced.left.count, replaced.replaced.collections), (0, 1));
    the_same(&source, &target).await;
    for client in &mut clients {
        client.sync(&target).await;
    }
}

async fn what_the_target_has_is_kept_unless_told_otherwise(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    copied(&source, &target, FRESH).await;
    // Somebody uses the target.
    let mut alice = house.alice.clone();
    alice.firstname = "Alicia".to_owned();
    target.directory.update_user(&alice).await.unwrap();
    let mut settings = Settings::default();
    settings.set("core", "language", json!("fr"));
    target.directory.put_settings(alice.id, &settings).await.unwrap();
    target.directory.set_password_hash(house.bob.id, Some("changed")).await.unwrap();
    let dan = user(&Domain { id: alice.domain, name: "example.org".parse().unwrap() }, "dan");
    target.directory.add_user(&dan).await.unwrap();
    let private = calendar(alice.id.into(), "private");
    write(&*target.dav, vec![Op::CreateCollection(private.clone())]).await.unwrap();
    write(&*target.dav, vec![put(&house.work, event("theirs.ics", 0), Expect::Any)]).await.unwrap();

    let refused = copied(&source, &target, RESUME).await;
    assert_eq!(refused.written, Tally::default());
    assert_eq!(refused.left.count, 6, "{:?}", refused.left);
    assert_eq!(target.directory.user(alice.id).await.unwrap(), Some(alice.clone()));
    assert!(target.dav.object(house.work.id, "theirs.ics").await.unwrap().is_some());
    let would = copied(&source, &target, Options { dry_run: true, ..REPLACE }).await;
    assert!(target.dav.object(house.work.id, "theirs.ics").await.unwrap().is_some());

    let replaced = copied(&source, &target, REPLACE).await;
    assert_eq!(replaced, would, "a dry run says what happens");
    assert_eq!(replaced.left.count, 0, "{:?}", replaced.left);
    the_same(&source, &target).await;
    assert_eq!(target.directory.user(dan.id).await.unwrap(), None);
}

/// A store that fails after so many writes, as if the process were killed.
fn failing(store: &End, writes: u64) -> End {
    let left = AtomicU64::new(writes);
    let dav = Meddling::with(Arc::clone(&store.dav), move |batch| {
        assert!(batch.publish.is_empty(), "nobody is told of a copy");
        let is_out = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
        Box::pin(async move {
            if is_out { Err(StoreError::Broken("the plug was pulled".to_owned()).into()) } else { Ok(()) }
        })
    });
    End { dav, files: store.files.clone(), directory: Arc::clone(&store.directory) }
}

async fn a_deleted_path_counts_on_in_the_target(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    copied(&source, &target, FRESH).await;
    let made = write(&*target.dav, vec![Op::CreateCollection(calendar(house.work.home, "old"))]).await.unwrap();
    assert_eq!(made.sync_tokens, [41], "no token is issued twice");
}

/// Long texts come a few at a time, and a write whose answer was lost is no harm.
async fn what_lies_in_the_trash_comes_a_little_at_a_time(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    let entry = |n: u64| {
        let mut meta = event(&format!("{n}.ics"), 0).meta;
        meta.size = 400_000;
        let deleted = samples::instant("2026-05-01T10:00:00Z");
        Trashed {
            id: TrashId(Env::system().object_id()),
            home: house.work.home,
            collection: house.work.id,
            kind: house.work.kind,
            uri: house.work.uri.clone(),
            deleted,
            until: deleted + chrono::TimeDelta::days(3000),
            what: TrashedThing::Object { meta, with_collection: false, summary: None },
        }
    };
    for n in 0..9 {
        let ops = vec![Op::Trash { entry: Box::new(entry(n)), data: "x".repeat(400_000) }];
        write(&*source.dav, ops).await.unwrap();
    }
    let real = Arc::clone(&target.dav);
    let is_first = Arc::new(AtomicBool::new(true));
    let dav = Meddling::with(Arc::clone(&target.dav), move |batch| {
        let texts = batch.ops.iter().map(|op| if let Op::Trash { data, .. } = op { data.len() } else { 0 });
        assert!(texts.sum::<usize>() <= 1 << 20, "they are all held at once");
        let is_of_trash = batch.ops.iter().any(|op| matches!(op, Op::Trash { .. }));
        let (real, batch, is_first) = (Arc::clone(&real), batch.clone(), Arc::clone(&is_first));
        Box::pin(async move {
            if is_of_trash && is_first.swap(false, Ordering::SeqCst) {
                real.write(batch).await?;
                return Err(StoreError::Unavailable("nobody knows whether it was written".to_owned()).into());
            }
            Ok(())
        })
    });
    let slow = End { dav, files: target.files.clone(), directory: Arc::clone(&target.directory) };
    let done = copied(&source, &slow, FRESH).await;
    assert_eq!((done.written.trash, done.left.first), (11, Vec::new()));
    the_same(&source, &target).await;
}

async fn a_copy_that_was_broken_off_is_continued(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    let mut client = Client::of(&house.work);
    client.sync(&source).await;
    let mut attempts = 0;
    loop {
        let broken = failing(&target, 4);
        attempts += 1;
        match copy(&source, Some(&broken), if attempts == 1 { FRESH } else { RESUME }, &Unseen).await {
            Ok(done) => break assert_eq!(done.left.first, Vec::<String>::new()),
            Err(CopyError::Target(StoreError::Broken(_))) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(attempts > 3);
    the_same(&source, &target).await;
    client.sync(&target).await;
    assert_eq!(client.from_scratch, 0);
}

async fn what_the_target_refuses_is_told(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    let two = Domain { name: "two.example".parse().unwrap(), ..domain() };
    let dan = user(&two, "dan");
    source.directory.add_domain(&two).await.unwrap();
    source.directory.add_user(&dan).await.unwrap();
    // Somebody else has the name of that domain, and an address.
    let theirs = Domain { id: DomainId(Env::system().object_id()), ..two.clone() };
    target.directory.add_domain(&theirs).await.unwrap();
    let mut imposter = user(&theirs, "imposter");
    imposter.emails.push("bob.x@example.org".parse().unwrap());
    target.directory.add_user(&imposter).await.unwrap();

    let would = copied(&source, &target, Options { dry_run: true, ..RESUME }).await;
    let done = copied(&source, &target, RESUME).await;
    let told = |text: &str| assert!(done.left.first.iter().any(|l| l.contains(text)), "{text}: {:?}", done.left);
    told("domain two.example: it has the id");
    told("user dan@example.org: domain");
    told("user bob@example.org: bob.x@example.org is somebody else");
    told("user imposter@example.org: the source does not have them");
    assert!(would.left.first.iter().any(|l| l.contains("bob.x@example.org is somebody else")), "{:?}", would.left);
    assert_eq!(target.directory.user(house.bob.id).await.unwrap(), None);
    assert_eq!(target.directory.user(house.alice.id).await.unwrap(), Some(house.alice), "the others arrive");
    assert!(compare(&source, &target, &Unseen).await.unwrap().differences.count >= 4);
}

async fn attachments_come_along_with_who_refers_to_them(from: &Engine, to: &Engine) {
    let (source, target) = (from.open().await, to.open().await);
    let house = furnish(&source).await;
    let (env, home) = (Env::system(), HomeId::from(house.alice.id));
    let content = FileContent {
        id: ContentId(env.object_id()),
        size: 5,
        etag: "e".to_owned(),
        media_type: "text/plain".to_owned(),
    };
    source.files.append(content.id, 0, "hello".into()).await.unwrap();
    let kept = Attachment {
        id: AttachmentId::new(home, &env),
        name: "Été.txt".to_owned(),
        content,
        created: samples::instant("2026-05-01T10:00:00Z"),
        notes: [(house.bob.id.into(), Uid("a b".to_owned()))].into(),
    };
    let room = Room { octets: u64::MAX, entries: u64::MAX };
    attachments::add(&*source.files, &kept, room, &env).await.unwrap();
    copied(&source, &target, FRESH).await;
    the_same(&source, &target).await;
    assert_eq!(attachments::find(&*target.files, &kept.id).await.unwrap(), Some(kept.clone()));
    assert_eq!(target.files.piece(kept.content.id, 0).await.unwrap().unwrap(), "hello");
}

/// Makes the tests of a pair of engines.
macro_rules! pair {
    ($name:ident, $from:expr, $to:expr) => {
        pair!($name, $from, $to, [
            everything_arrives,
            attachments_come_along_with_who_refers_to_them,
            a_dry_run_says_the_same_and_writes_nothing,
            no_client_misses_a_change,
            a_deleted_path_counts_on_in_the_target,
            no_client_misses_a_change_when_the_copy_was_continued,
            what_the_target_has_is_kept_unless_told_otherwise,
            a_copy_that_was_broken_off_is_continued,
            what_lies_in_the_trash_comes_a_little_at_a_time,
            what_the_target_refuses_is_told,
        ]);
    };
    ($name:ident, $from:expr, $to:expr, [$($case:ident),* $(,)?]) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (Some(from), Some(to)) = ($from, $to) else { return };
                    super::$case(&from, &to).await;
                }
            )*
        }
    };
}

fn sqlite() -> Option<Engine> {
    Some(Engine::sqlite())
}

fn mongo(variable: &str) -> Option<Engine> {
    TestMongo::on(variable).map(Engine::Mongo)
}

pair!(sqlite_to_sqlite, sqlite(), sqlite());
pair!(sqlite_to_mongodb, sqlite(), mongo(REPLICA_SET));
pair!(mongodb_to_sqlite, mongo(REPLICA_SET), sqlite());
pair!(
    sqlite_to_mongodb_without_transactions,
    sqlite(),
    mongo(STANDALONE),
    [everything_arrives, a_copy_that_was_broken_off_is_continued]
);
pair!(mongodb_without_transactions_to_sqlite, mongo(STANDALONE), sqlite(), [everything_arrives]);
