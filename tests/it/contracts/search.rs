//! The contract of `EventIndex` (rest-api §8.3, storage §4.4–4.7).

use std::sync::Arc;

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::ids::{CalendarPath, Email, HomeId, Uid};
use convoke::search::fts::Fts;
use convoke::search::{EventDocument, EventQuery, IndexedObject, IndexedPerson, Occurrence, SharedEventIndex};

use super::samples::{home, instant};
use super::{optional_suite, suite};
use crate::opensearch_support::OpenSearchHarness;

/// Opens an index on its data, which is fresh the first time.
#[async_trait]
pub trait Harness: Send + Sync {
    async fn open(&self) -> SharedEventIndex;
    /// Stops the index that was opened last.
    async fn close(&self);
}

/// FTS5 in a temporary folder.
pub struct FtsHarness {
    dir: tempfile::TempDir,
    opened: std::sync::Mutex<Option<Fts>>,
}

impl FtsHarness {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), opened: std::sync::Mutex::default() }
    }
}

#[async_trait]
impl Harness for FtsHarness {
    async fn open(&self) -> SharedEventIndex {
        let index = Fts::open(&self.dir.path().join("search.db"), Env::system()).unwrap();
        *self.opened.lock().unwrap() = Some(index.clone());
        Arc::new(index)
    }

    async fn close(&self) {
        let opened = self.opened.lock().unwrap().take();
        if let Some(index) = opened {
            index.close().await;
        }
    }
}

pub fn person(cn: &str, email: &str) -> IndexedPerson {
    IndexedPerson { cn: cn.to_owned(), email: email.to_owned() }
}

pub fn document(calendar: &CalendarPath, uid: &str, summary: &str) -> EventDocument {
    EventDocument {
        calendar: calendar.clone(),
        resource_name: format!("{uid}.ics"),
        uid: Uid(uid.to_owned()),
        occurrence: Occurrence::Single,
        sequence: Some(1),
        summary: Some(summary.to_owned()),
        location: None,
        description: None,
        class: Some("PUBLIC".to_owned()),
        start: Some(instant("2026-06-01T09:00:00Z")),
        end: Some(instant("2026-06-01T10:00:00Z")),
        dtstamp: Some(instant("2026-05-20T12:00:00Z")),
        all_day: false,
        organizer: None,
        attendees: Vec::new(),
        resources: Vec::new(),
        videoconference: None,
        booking_link: None,
    }
}

pub fn object(version: i64, documents: &[EventDocument]) -> IndexedObject {
    let first = &documents[0];
    IndexedObject { calendar: first.calendar.clone(), uid: first.uid.clone(), version, documents: documents.to_vec() }
}

pub async fn put(index: &SharedEventIndex, documents: &[EventDocument]) {
    index.put(&object(1, documents)).await.unwrap();
}

pub async fn titled(index: &SharedEventIndex, calendar: &CalendarPath, titles: &[&str]) {
    for title in titles {
        put(index, &[document(calendar, title, title)]).await;
    }
}

pub fn query(calendar: &CalendarPath, text: &str) -> EventQuery {
    EventQuery { text: text.to_owned(), calendars: vec![calendar.clone()], limit: 100, ..Default::default() }
}

/// UIDs of the hits, sorted.
pub async fn found(index: &SharedEventIndex, query: &EventQuery) -> Vec<String> {
    let mut uids = ordered(index, query).await;
    uids.sort();
    uids
}

pub async fn ordered(index: &SharedEventIndex, query: &EventQuery) -> Vec<String> {
    index.search(query).await.unwrap().into_iter().map(|d| d.uid.0).collect()
}

pub fn work() -> CalendarPath {
    CalendarPath { home: home(), calendar: "work".to_owned() }
}

async fn a_document_comes_back_whole(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let mut full = document(&work, "7c1e@example.org", "Weekly sync");
    full.location = Some("Blue room".to_owned());
    full.description = Some("Agenda…\n1. é".to_owned());
    full.occurrence = Occurrence::Override("20260601T090000Z".to_owned());
    full.organizer = Some(person("Alice Martin", "alice@example.org"));
    full.attendees = vec![person("", "bob@example.org")];
    full.resources = vec![person("Room 12", "65aa@example.org")];
    full.videoconference = Some("https://visio.example.org/abc".to_owned());
    full.booking_link = Some("0b7c7b0e-3f5f-4b3e-9a55-3d7f0f1f7a11".to_owned());
    let bare =
        EventDocument { start: None, end: None, dtstamp: None, sequence: None, ..document(&work, "bare", "Bare") };
    put(&index, std::slice::from_ref(&full)).await;
    put(&index, std::slice::from_ref(&bare)).await;
    assert_eq!(index.search(&query(&work, "weekly")).await.unwrap(), [full]);
    assert_eq!(index.search(&query(&work, "bare")).await.unwrap(), [bare]);
}

async fn a_question_is_never_syntax(engine: &dyn Harness) {
    let index = engine.open().await;
    let (work, other) = (work(), work());
    titled(&index, &work, &["mine AND yours", "NEAR miss"]).await;
    titled(&index, &other, &["secret"]).await;
    for text in [
        "\" OR secret",
        "secret\" OR \"",
        ") OR scope : (c1 OR c2) OR (",
        "summary : secret",
        "{summary} : secret",
        "NOT mine",
        "*",
        "\"",
        "\"\"",
        "^secret",
        "secret + secret",
        "NEAR(secret, 5)",
        "c1",
        "\"c2\"",
        "c2*",
        "'; DROP TABLE words; --",
        "\u{0}secret",
        "-",
        "--",
        "|",
        "| |",
        "~",
        "(((((((((",
        "a:b:c",
        "\\",
        "%",
        "_",
    ] {
        let hits = index.search(&query(&work, text)).await.unwrap();
        assert!(hits.iter().all(|d| d.calendar == work), "{text}");
    }
    assert_eq!(found(&index, &query(&work, "AND")).await, ["mine AND yours"]);
    assert_eq!(found(&index, &query(&work, "NEAR")).await, ["NEAR miss"]);
    let long = format!("miss {}", "word ".repeat(5_000));
    assert_eq!(found(&index, &query(&work, &long)).await, ["NEAR miss"]);
    assert!(found(&index, &query(&work, &"-a | \"b\" ".repeat(2_000))).await.len() <= 2);
}

async fn a_blank_question_matches_everything_and_one_without_words_nothing(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    titled(&index, &work, &["one", "two"]).await;
    assert_eq!(found(&index, &query(&work, "")).await, ["one", "two"]);
    assert_eq!(found(&index, &query(&work, " \t")).await, ["one", "two"]);
    assert!(found(&index, &query(&work, "!!! …")).await.is_empty());
}

async fn only_the_calendars_asked_for_are_searched(engine: &dyn Harness) {
    let index = engine.open().await;
    let (mine, other) = (work(), work());
    let second = CalendarPath { home: mine.home, calendar: "second".to_owned() };
    for (calendar, uid) in [(&mine, "a"), (&other, "b"), (&second, "c")] {
        put(&index, &[document(calendar, uid, "sync")]).await;
    }
    assert_eq!(found(&index, &query(&mine, "sync")).await, ["a"]);
    let mut both = query(&mine, "sync");
    both.calendars.push(second.clone());
    assert_eq!(found(&index, &both).await, ["a", "c"]);
    assert!(found(&index, &EventQuery { calendars: Vec::new(), ..both.clone() }).await.is_empty());
    let unknown = CalendarPath { home: mine.home, calendar: "unknown".to_owned() };
    assert!(found(&index, &query(&unknown, "sync")).await.is_empty());
    // As many as the surface lets through.
    both.calendars.extend((0..254).map(|n| CalendarPath { home: mine.home, calendar: format!("c{n}") }));
    assert_eq!(both.calendars.len(), 256);
    assert_eq!(found(&index, &both).await, ["a", "c"]);
    for n in 0..254 {
        put(&index, &[document(&both.calendars[n + 2], &format!("n{n}"), "sync")]).await;
    }
    assert_eq!(found(&index, &EventQuery { limit: 1000, ..both }).await.len(), 256);
}

async fn filters_are_exact_and_join_with_the_words(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let mut one = document(&work, "one", "sync");
    one.organizer = Some(person("Alice", "Alice@Example.org"));
    one.attendees = vec![person("Bob", "bob@example.org"), person("Bob", "bob@example.org")];
    let mut two = document(&work, "two", "sync");
    two.organizer = Some(person("Bob", "bob@example.org"));
    two.attendees = vec![person("Alice", "alice@example.org"), person("", "carol@example.org")];
    two.booking_link = Some("link-1".to_owned());
    put(&index, &[one]).await;
    put(&index, &[two]).await;
    let emails = |all: &[&str]| all.iter().map(|e| e.parse::<Email>().unwrap()).collect::<Vec<_>>();
    let all = query(&work, "");
    let by = |organizers: &[&str], attendees: &[&str]| EventQuery {
        organizers: emails(organizers),
        attendees: emails(attendees),
        ..all.clone()
    };
    assert_eq!(found(&index, &by(&["ALICE@example.org"], &[])).await, ["one"]);
    assert_eq!(found(&index, &by(&[], &["alice@example.org"])).await, ["two"]);
    assert_eq!(found(&index, &by(&[], &["bob@example.org", "carol@example.org"])).await, ["one", "two"]);
    assert!(found(&index, &by(&["alice@example.org"], &["carol@example.org"])).await.is_empty());
    assert!(found(&index, &by(&["alice@example"], &[])).await.is_empty(), "no part of an address");
    let link = |link: &str| EventQuery { booking_link: Some(link.to_owned()), ..all.clone() };
    assert_eq!(found(&index, &link("link-1")).await, ["two"]);
    assert!(found(&index, &link("link")).await.is_empty());
    let worded = EventQuery { text: "nothing".to_owned(), ..by(&["alice@example.org"], &[]) };
    assert!(found(&index, &worded).await.is_empty());
    let worded = EventQuery { text: "sync".to_owned(), ..by(&["alice@example.org"], &[]) };
    assert_eq!(found(&index, &worded).await, ["one"]);
}

async fn one_hit_per_uid_masters_first_then_latest_first(engine: &dyn Harness) {
    let index = engine.open().await;
    let (work, shared) = (work(), work());
    let at = |calendar: &CalendarPath, uid: &str, occurrence: Occurrence, start: Option<&str>, summary: &str| {
        EventDocument { occurrence, start: start.map(instant), ..document(calendar, uid, summary) }
    };
    let moved = |id: &str| Occurrence::Override(id.to_owned());
    put(&index, &[at(&work, "early", Occurrence::Single, Some("2026-01-01T00:00:00Z"), "sync")]).await;
    put(&index, &[at(&work, "late", Occurrence::Single, Some("2026-09-01T00:00:00Z"), "sync")]).await;
    put(&index, &[at(&work, "undated", Occurrence::Single, None, "sync")]).await;
    put(&index, &[at(&work, "ancient", Occurrence::Single, Some("0900-01-01T00:00:00Z"), "sync")]).await;
    // Only an occurrence matches: behind all masters, though it is the latest.
    let other = at(&work, "renamed", Occurrence::Master, Some("2026-12-01T00:00:00Z"), "other");
    let renamed = at(&work, "renamed", moved("r"), Some("2026-12-08T00:00:00Z"), "sync");
    put(&index, &[other, renamed]).await;
    // The series wins over its own later occurrence, and over one in another calendar.
    let master = at(&work, "series", Occurrence::Master, Some("2026-03-01T00:00:00Z"), "sync");
    let second = at(&work, "series", moved("s"), Some("2026-10-01T00:00:00Z"), "sync");
    put(&index, &[second, master.clone()]).await;
    put(&index, &[at(&shared, "series", moved("t"), Some("2026-11-01T00:00:00Z"), "sync")]).await;

    let both = EventQuery { calendars: vec![work, shared], ..query(&master.calendar, "sync") };
    let expected = ["late", "series", "early", "ancient", "undated", "renamed"];
    assert_eq!(ordered(&index, &both).await, expected);
    let blank = EventQuery { text: String::new(), ..both.clone() };
    assert_eq!(ordered(&index, &blank).await, ["renamed", "late", "series", "early", "ancient", "undated"]);
    let hits = index.search(&both).await.unwrap();
    assert_eq!(hits[1], master);
    // Pages are cut from hits, not from documents.
    for (offset, limit, page) in [(0, 2, 0..2), (1, 2, 1..3), (4, 10, 4..6), (6, 5, 6..6), (2, 0, 2..2)] {
        let paged = EventQuery { offset, limit, ..both.clone() };
        assert_eq!(ordered(&index, &paged).await, expected[page], "{offset} {limit}");
    }
}

async fn putting_an_object_replaces_all_its_documents(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let master = EventDocument { occurrence: Occurrence::Master, ..document(&work, "u", "series") };
    let moved = EventDocument { occurrence: Occurrence::Override("r".to_owned()), ..document(&work, "u", "moved") };
    index.put(&object(1, &[master, moved])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "moved")).await, ["u"]);
    index.put(&object(2, &[document(&work, "u", "plain")])).await.unwrap();
    assert!(found(&index, &query(&work, "moved series")).await.is_empty());
    assert_eq!(found(&index, &query(&work, "plain")).await, ["u"]);
    let nothing = IndexedObject { documents: Vec::new(), ..object(3, &[document(&work, "u", "")]) };
    index.put(&nothing).await.unwrap();
    assert!(found(&index, &query(&work, "")).await.is_empty());
}

async fn an_older_state_never_overwrites_a_newer_one(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let uid = Uid("u".to_owned());
    let state = |version: i64, title: &str| object(version, &[document(&work, "u", title)]);
    index.put(&state(5, "five")).await.unwrap();
    index.put(&state(4, "four")).await.unwrap();
    index.delete(&work, &uid, 4).await.unwrap();
    assert_eq!(found(&index, &query(&work, "five four")).await, ["u"]);
    assert!(found(&index, &query(&work, "four")).await.is_empty());
    index.put(&state(5, "five again")).await.unwrap();
    assert_eq!(found(&index, &query(&work, "again")).await, ["u"], "the same message once more");

    index.delete(&work, &uid, 6).await.unwrap();
    assert!(found(&index, &query(&work, "")).await.is_empty());
    index.put(&state(5, "late")).await.unwrap();
    assert!(found(&index, &query(&work, "")).await.is_empty(), "a late message does not bring it back");
    index.put(&state(7, "anew")).await.unwrap();
    assert_eq!(found(&index, &query(&work, "anew")).await, ["u"]);
    // Deleted before it was ever heard of.
    index.delete(&work, &Uid("early".to_owned()), 3).await.unwrap();
    index.put(&object(2, &[document(&work, "early", "early")])).await.unwrap();
    assert!(found(&index, &query(&work, "early")).await.is_empty());
}

async fn an_object_is_named_by_calendar_and_uid(engine: &dyn Harness) {
    let index = engine.open().await;
    let one = work();
    let two = CalendarPath { home: one.home, calendar: "tw:o' \"é".to_owned() };
    let uid = "odd:uid' \"日本 -- *";
    for calendar in [&one, &two] {
        put(&index, &[document(calendar, uid, "sync")]).await;
    }
    index.delete(&one, &Uid(uid.to_owned()), 2).await.unwrap();
    assert!(found(&index, &query(&one, "sync")).await.is_empty());
    assert_eq!(found(&index, &query(&two, "sync")).await, [uid]);
}

async fn a_home_is_removed_with_everything(engine: &dyn Harness) {
    let index = engine.open().await;
    let (mine, other): (CalendarPath, CalendarPath) = (work(), work());
    let second = CalendarPath { home: mine.home, calendar: "second".to_owned() };
    for (calendar, uid) in [(&mine, "a"), (&second, "b"), (&other, "c")] {
        put(&index, &[document(calendar, uid, "sync")]).await;
    }
    index.delete_home(mine.home).await.unwrap();
    index.delete_home(HomeId(Env::system().object_id())).await.unwrap();
    let all = EventQuery { calendars: vec![mine.clone(), second, other], ..query(&mine, "") };
    assert_eq!(found(&index, &all).await, ["c"]);
    put(&index, &[document(&mine, "d", "sync")]).await;
    assert_eq!(found(&index, &EventQuery { text: "sync".to_owned(), ..all }).await, ["c", "d"]);
}

async fn the_index_is_there_after_reopening(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    titled(&index, &work, &["sync"]).await;
    engine.close().await;
    drop(index);
    let index = engine.open().await;
    assert_eq!(found(&index, &query(&work, "sync")).await, ["sync"]);
}

async fn states_that_come_at_once_leave_the_newest(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    // Each of another shape, so that what one leaves is seen.
    let state = |version: i64| {
        let at = |occurrence| EventDocument { occurrence, ..document(&work, "u", &format!("v{version:03}x")) };
        let moved = |n: i64| at(Occurrence::Override(format!("2026060{n}T090000Z")));
        match version % 4 {
            0 => object(version, &[at(Occurrence::Single)]),
            1 => object(version, &[at(Occurrence::Master), moved(version % 7), moved(version % 5 + 1)]),
            2 => object(version, &[moved(version % 3)]),
            _ => IndexedObject { documents: Vec::new(), ..object(version, &[at(Occurrence::Single)]) },
        }
    };
    for round in 0..4 {
        // The last one is an event, an event with occurrences, only occurrences, nothing.
        let newest = round * 16 + 16 + round;
        let writers = (round * 16 + 1..=newest).map(|version| {
            let (index, object) = (index.clone(), state(version));
            tokio::spawn(async move {
                let outcome = match object.documents.is_empty() {
                    true => index.delete(&object.calendar, &object.uid, version).await,
                    false => index.put(&object).await,
                };
                outcome.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let hits = index.search(&query(&work, "")).await.unwrap();
        let summaries: Vec<_> = hits.into_iter().filter_map(|hit| hit.summary).collect();
        match state(newest).documents.is_empty() {
            true => assert_eq!(summaries, [] as [String; 0]),
            false => assert_eq!(summaries, [format!("v{newest:03}x")]),
        }
        // Nothing of any older state is left behind it.
        for older in round * 16 + 1..newest {
            assert!(found(&index, &query(&work, &format!("v{older:03}x"))).await.is_empty(), "{older} of {newest}");
        }
    }
}

async fn what_is_older_is_pruned_and_stays_away(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let second = CalendarPath { home: work.home, calendar: "second".to_owned() };
    let other = super::search::work();
    for (calendar, uid) in [(&work, "gone"), (&work, "kept"), (&second, "gone too"), (&other, "other")] {
        index.put(&object(10, &[document(calendar, uid, uid)])).await.unwrap();
    }
    let moved = EventDocument { occurrence: Occurrence::Override("r".to_owned()), ..document(&work, "moved", "moved") };
    index.put(&object(10, &[moved])).await.unwrap();
    index.put(&object(20, &[document(&work, "kept", "kept")])).await.unwrap();
    index.put(&object(25, &[document(&work, "new", "new")])).await.unwrap();
    assert_eq!(index.prune(work.home, i64::MIN).await.unwrap(), 0, "every state has a version");
    assert_eq!(index.prune(work.home, 20).await.unwrap(), 3);
    let all = EventQuery { calendars: vec![work.clone(), second.clone(), other.clone()], ..query(&work, "") };
    assert_eq!(found(&index, &all).await, ["kept", "new", "other"]);
    index.put(&object(15, &[document(&work, "gone", "late")])).await.unwrap();
    assert_eq!(found(&index, &all).await, ["kept", "new", "other"], "a late message does not bring it back");
    index.put(&object(30, &[document(&work, "gone", "again")])).await.unwrap();
    assert_eq!(found(&index, &all).await, ["gone", "kept", "new", "other"]);
    assert_eq!(index.prune(work.home, 20).await.unwrap(), 0);
}

async fn many_objects_are_put_at_once_in_their_order(engine: &dyn Harness) {
    let index = engine.open().await;
    let work = work();
    let mut objects: Vec<IndexedObject> =
        (0..120).map(|n| object(5, &[document(&work, &format!("u{n:03}"), "many")])).collect();
    // The same object again: an older state, a newer one, and the newer one's repetition.
    objects.push(object(4, &[document(&work, "u007", "older")]));
    objects.push(object(6, &[document(&work, "u008", "newer")]));
    objects.push(object(6, &[document(&work, "u008", "newer still")]));
    assert_eq!(index.put_many(&objects).await, vec![Ok(()); 123]);
    assert_eq!(found(&index, &EventQuery { limit: 200, ..query(&work, "many") }).await.len(), 119);
    assert!(found(&index, &query(&work, "older")).await.is_empty());
    assert_eq!(found(&index, &query(&work, "still")).await, ["u008"]);
    assert_eq!(index.put_many(&[]).await, []);
}

async fn of_what_is_private_in_calendars_of_others_nothing_is_found(engine: &dyn Harness) {
    let index = engine.open().await;
    let (mine, theirs) = (work(), work());
    let at = |calendar: &CalendarPath, uid: &str, class: Option<&str>, start: &str| EventDocument {
        class: class.map(str::to_owned),
        start: Some(instant(start)),
        ..document(calendar, uid, "oncology")
    };
    for (uid, class) in [
        ("none", None),
        ("public", Some("Public")),
        ("private", Some("PRIVATE")),
        ("odd", Some("X-MINE")),
        ("confidential", Some("confidential")),
    ] {
        put(&index, &[at(&theirs, uid, class, "2026-06-01T09:00:00Z")]).await;
    }
    put(&index, &[at(&mine, "own", Some("PRIVATE"), "1970-01-02T00:00:00Z")]).await;
    for text in ["", "oncology"] {
        let both = EventQuery { of_others: vec![theirs.clone()], ..query(&mine, text) };
        assert_eq!(found(&index, &both).await, ["none", "own", "public"]);
        // What is not found takes no place on a page.
        for (offset, page) in [(0, 1), (1, 1), (2, 1), (3, 0)] {
            assert_eq!(ordered(&index, &EventQuery { limit: 1, offset, ..both.clone() }).await.len(), page, "{offset}");
        }
        assert_eq!(ordered(&index, &EventQuery { limit: 1, offset: 2, ..both.clone() }).await, ["own"]);
        let theirs_only = EventQuery { calendars: Vec::new(), ..both.clone() };
        assert_eq!(found(&index, &theirs_only).await, ["none", "public"]);
        let whole = EventQuery { calendars: vec![mine.clone(), theirs.clone()], ..both };
        assert_eq!(found(&index, &whole).await.len(), 6, "in both lists it is seen whole");
    }
    // An own copy of what is private with its organizer is found, whoever's copy comes first.
    for n in 0..4 {
        let (one, other) = (work(), work());
        let (mine, theirs) = if n % 2 == 0 { (one, other) } else { (other, one) };
        for calendar in [&mine, &theirs] {
            put(&index, &[at(calendar, "met", Some("PRIVATE"), "2026-06-01T09:00:00Z")]).await;
        }
        let hits = index.search(&EventQuery { of_others: vec![theirs], ..query(&mine, "oncology") }).await.unwrap();
        assert_eq!(hits.iter().map(|hit| &hit.calendar).collect::<Vec<_>>(), [&mine]);
    }
    // It became private, and public again.
    put_as(&index, 2, at(&theirs, "public", Some("PRIVATE"), "2026-06-01T09:00:00Z")).await;
    let both = EventQuery { of_others: vec![theirs.clone()], ..query(&mine, "") };
    assert_eq!(found(&index, &both).await, ["none", "own"]);
    put_as(&index, 3, at(&theirs, "public", None, "2026-06-01T09:00:00Z")).await;
    assert_eq!(found(&index, &both).await, ["none", "own", "public"]);
}

#[tokio::test]
async fn an_index_from_before_it_knew_what_is_public_keeps_it_back_until_it_has_read_it() {
    let engine = FtsHarness::new();
    let (mine, theirs) = (work(), work());
    let index = engine.open().await;
    for (uid, class) in [("none", None), ("public", Some("PUBLIC")), ("private", Some("PRIVATE"))] {
        let class = class.map(str::to_owned);
        put(&index, &[EventDocument { class, ..document(&theirs, uid, "sync") }]).await;
    }
    engine.close().await;
    drop(index);
    let file = rusqlite::Connection::open(engine.dir.path().join("search.db")).unwrap();
    let older = "DROP INDEX documents_unread; ALTER TABLE documents DROP COLUMN public; PRAGMA user_version = 2;";
    file.execute_batch(older).unwrap();
    drop(file);
    let index = engine.open().await;
    // Writes come one after the other: behind this one everything is read.
    put(&index, &[document(&mine, "own", "sync")]).await;
    let both = EventQuery { of_others: vec![theirs.clone()], ..query(&mine, "sync") };
    assert_eq!(found(&index, &both).await, ["none", "own", "public"]);
    assert_eq!(found(&index, &query(&theirs, "sync")).await, ["none", "private", "public"]);
}

async fn put_as(index: &SharedEventIndex, version: i64, document: EventDocument) {
    index.put(&object(version, &[document])).await.unwrap();
}

suite!(
    fts,
    super::FtsHarness::new(),
    [
        a_document_comes_back_whole,
        a_question_is_never_syntax,
        a_blank_question_matches_everything_and_one_without_words_nothing,
        only_the_calendars_asked_for_are_searched,
        filters_are_exact_and_join_with_the_words,
        of_what_is_private_in_calendars_of_others_nothing_is_found,
        one_hit_per_uid_masters_first_then_latest_first,
        putting_an_object_replaces_all_its_documents,
        an_older_state_never_overwrites_a_newer_one,
        states_that_come_at_once_leave_the_newest,
        what_is_older_is_pruned_and_stays_away,
        many_objects_are_put_at_once_in_their_order,
        an_object_is_named_by_calendar_and_uid,
        a_home_is_removed_with_everything,
        the_index_is_there_after_reopening,
    ]
);
optional_suite!(
    opensearch,
    super::OpenSearchHarness::new().await,
    [
        a_document_comes_back_whole,
        a_question_is_never_syntax,
        a_blank_question_matches_everything_and_one_without_words_nothing,
        only_the_calendars_asked_for_are_searched,
        filters_are_exact_and_join_with_the_words,
        of_what_is_private_in_calendars_of_others_nothing_is_found,
        one_hit_per_uid_masters_first_then_latest_first,
        putting_an_object_replaces_all_its_documents,
        an_older_state_never_overwrites_a_newer_one,
        states_that_come_at_once_leave_the_newest,
        what_is_older_is_pruned_and_stays_away,
        many_objects_are_put_at_once_in_their_order,
        an_object_is_named_by_calendar_and_uid,
        a_home_is_removed_with_everything,
        the_index_is_there_after_reopening,
    ]
);
