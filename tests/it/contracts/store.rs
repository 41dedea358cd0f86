//! The contract of `DavStore`: collections, objects, queries. Synchronisation is in `store_sync`.

use std::collections::BTreeSet;

use convoke::events::Topic;
use convoke::ids::Uid;
use convoke::store::{
    Batch, Change, Collection, CollectionKind, Expect, Object, ObjectFilter, Op, StoreError, WriteError,
};
use serde_json::json;

use super::samples::*;
use super::store_engines::{MongoHarness, SqliteStore, StoreHarness};
use super::{optional_suite, suite};

const DAY: i64 = 86_400;
/// 2026-06-01T00:00:00Z, a Monday.
const MONDAY: i64 = 1_780_272_000;

async fn a_collection_is_found_by_home_kind_and_uri(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let home = home();
    let mut work = calendar(home, "work");
    work.props.displayname = Some("Arbeit 🗓".to_owned());
    work.props.components = vec!["VEVENT".to_owned(), "VTODO".to_owned()];
    work.props.transparent = true;
    work.props.dead.insert("{urn:x}note".to_owned(), "<note xmlns=\"urn:x\">a &amp; b</note>".to_owned());
    let book = collection(home, CollectionKind::AddressBook, "work");
    write(&*store, vec![Op::CreateCollection(work.clone()), Op::CreateCollection(book.clone())]).await.unwrap();

    assert_eq!(store.collection(home, CollectionKind::Calendar, "work").await.unwrap(), Some(work));
    assert_eq!(store.collection(home, CollectionKind::AddressBook, "work").await.unwrap(), Some(book));
    assert_eq!(store.collection(home, CollectionKind::Inbox, "work").await.unwrap(), None);
    assert_eq!(store.collection(super::samples::home(), CollectionKind::Calendar, "work").await.unwrap(), None);
}

async fn the_default_collection_is_listed_first_then_by_order_then_by_creation(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let home = home();
    let ordered = |uri: &str, order: Option<i64>| {
        let mut c = calendar(home, uri);
        c.props.order = order;
        Op::CreateCollection(c)
    };
    write(
        &*store,
        vec![
            ordered("third", None),
            ordered("second", Some(2)),
            ordered("fourth", None),
            ordered("first", Some(1)),
            ordered(&home.to_string(), Some(9)),
        ],
    )
    .await
    .unwrap();
    let uris: Vec<String> = store.collections(home).await.unwrap().into_iter().map(|c| c.uri).collect();
    assert_eq!(uris, [&home.to_string(), "first", "second", "third", "fourth"]);
    assert!(store.collections(super::samples::home()).await.unwrap().is_empty());
}

async fn a_collection_cannot_be_created_twice(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let same_path = calendar(work.home, "work");
    let same_name_space = collection(work.home, CollectionKind::Inbox, "work");
    let mut same_id = calendar(home(), "other");
    same_id.id = work.id;
    for twin in [same_path, same_name_space, same_id] {
        let error = write(&*store, vec![Op::CreateCollection(twin)]).await.unwrap_err();
        assert!(matches!(error, WriteError::CollectionExists(0)), "{error}");
    }
}

async fn properties_are_replaced_as_a_whole_and_count_as_a_change(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let mut props = work.props.clone();
    props.color = Some("#ff0000".to_owned());
    props.timezone = Some("BEGIN:VCALENDAR\r\n".repeat(200));
    let written = write(&*store, vec![Op::SetProps { collection: work.id, props: props.clone() }]).await.unwrap();
    assert_eq!((written.sync_tokens, written.existed), (vec![2], vec![true]));
    let found = store.collection(work.home, CollectionKind::Calendar, "work").await.unwrap().unwrap();
    assert_eq!((found.props, found.sync_token), (props, 2));
    let gone = Op::SetProps { collection: calendar(work.home, "x").id, props: Default::default() };
    assert!(matches!(write(&*store, vec![gone]).await, Err(WriteError::NoCollection(0))));
}

async fn an_address_book_remembers_what_it_is_for(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let mut book = collection(home(), CollectionKind::AddressBook, "work");
    book.props.book.kind = "user".to_owned();
    book.props.book.privileges = vec!["dav:read".to_owned()];
    write(&*store, vec![Op::CreateCollection(book.clone())]).await.unwrap();
    let found = async || store.collection(book.home, CollectionKind::AddressBook, "work").await.unwrap().unwrap();
    assert_eq!(found().await.props, book.props);
    let mut props = book.props.clone();
    props.book.state = "disabled".to_owned();
    props.book.privileges = Vec::new();
    write(&*store, vec![Op::SetProps { collection: book.id, props: props.clone() }]).await.unwrap();
    assert_eq!(found().await.props, props);
}

async fn an_inbox_remembers_where_invitations_go(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let home = super::samples::home();
    let inbox = collection(home, CollectionKind::Inbox, "inbox");
    write(&*store, vec![Op::CreateCollection(inbox.clone())]).await.unwrap();
    let mut props = inbox.props.clone();
    for chosen in [Some("work é".to_owned()), None] {
        props.default_calendar = chosen;
        write(&*store, vec![Op::SetProps { collection: inbox.id, props: props.clone() }]).await.unwrap();
        let found = store.collection(home, CollectionKind::Inbox, "inbox").await.unwrap().unwrap();
        assert_eq!(found.props, props);
    }
}

async fn an_object_comes_back_byte_for_byte(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let odd = [
        "plain.ics",
        "with space & ümlaut/%2F?#.ics",
        "日本語 🎉.ics",
        "a'; DROP TABLE objects; --.ics",
        "%_*[x].ics",
        "UPPER.ics",
        "upper.ics",
        ".ics",
    ];
    for (n, name) in odd.iter().enumerate() {
        let mut data = format!("\u{feff}BEGIN:VCALENDAR\nX:\u{1F600}\t{n}\u{0}\r\n\r\n").repeat(n * 40 + 1);
        data.push('é');
        let object = with_data(name, &data, Some(n as i64), None);
        write(&*store, vec![put(&work, object.clone(), Expect::Absent)]).await.unwrap();
        assert_eq!(store.object(work.id, name).await.unwrap(), Some(object), "{name}");
    }
    let asked: Vec<String> = ["UPPER.ics", "missing.ics", "日本語 🎉.ics", "UPPER.ics"].map(String::from).to_vec();
    let found = store.objects(work.id, &asked).await.unwrap();
    let names: Vec<Option<&str>> = found.iter().map(|o| o.as_ref().map(|o| o.meta.name.as_str())).collect();
    assert_eq!(names, [Some("UPPER.ics"), None, Some("日本語 🎉.ics"), Some("UPPER.ics")]);
    assert_eq!(store.object(calendar(work.home, "x").id, "plain.ics").await.unwrap(), None);
}

async fn a_listing_pages_through_all_names_in_order(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let names: BTreeSet<String> = (0..57).map(|n| format!("{:x}-é{n}.ics", n * 7919 % 101)).collect();
    let ops = names.iter().rev().map(|n| put(&work, event(n, 0), Expect::Absent)).collect();
    write(&*store, ops).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let page = store.list(work.id, seen.last().map(String::as_str), 10).await.unwrap();
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|m| m.name));
    }
    assert_eq!(seen, names.into_iter().collect::<Vec<_>>());
}

async fn a_write_whose_precondition_fails_changes_nothing(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let first = event("a.ics", 0);
    let second = with_data("a.ics", "second", Some(0), None);
    let etag = |e: &str| Expect::Etag(e.to_owned());
    let refused = async |op: Op, why: &str| {
        let error = write(&*store, vec![op]).await.unwrap_err();
        assert!(matches!(error, WriteError::Precondition(0)), "{why}: {error}");
    };
    refused(put(&work, first.clone(), Expect::Present), "present, but there is none").await;
    refused(put(&work, first.clone(), etag("x")), "an etag, but there is none").await;
    refused(delete(&work, "a.ics", Expect::Present), "delete what is not there").await;
    refused(delete(&work, "a.ics", etag("x")), "delete by etag what is not there").await;

    write(&*store, vec![put(&work, first.clone(), Expect::Absent)]).await.unwrap();
    refused(put(&work, second.clone(), Expect::Absent), "absent, but there is one").await;
    refused(put(&work, second.clone(), etag("x")), "another etag").await;
    refused(delete(&work, "a.ics", etag("x")), "delete by another etag").await;
    assert_eq!(store.object(work.id, "a.ics").await.unwrap(), Some(first.clone()));

    let written = write(&*store, vec![put(&work, second.clone(), etag(&first.meta.etag))]).await.unwrap();
    assert_eq!((written.existed, written.sync_tokens), (vec![true], vec![3]));
    write(&*store, vec![put(&work, first.clone(), Expect::Present)]).await.unwrap();
    let written = write(&*store, vec![delete(&work, "a.ics", etag(&first.meta.etag))]).await.unwrap();
    assert_eq!((written.existed, written.sync_tokens), (vec![true], vec![5]));
    let written = write(&*store, vec![delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    assert_eq!((written.existed, written.sync_tokens), (vec![false], vec![5]), "nothing happened");
    let nowhere = calendar(work.home, "x");
    assert!(matches!(write(&*store, vec![put(&nowhere, first, Expect::Any)]).await, Err(WriteError::NoCollection(0))));
}

async fn a_batch_happens_as_a_whole_with_its_messages_or_not_at_all(engine: &dyn StoreHarness) {
    let ports = engine.open().await;
    let work = stored_calendar(&*ports.dav, "work").await;
    write(&*ports.dav, vec![put(&work, event("taken.ics", 0), Expect::Absent)]).await.unwrap();

    let other = calendar(work.home, "other");
    let failing = Batch {
        ops: vec![
            put(&work, event("one.ics", 0), Expect::Absent),
            Op::CreateCollection(other.clone()),
            delete(&work, "taken.ics", Expect::Present),
            put(&work, event("one.ics", 1), Expect::Absent),
            put(&work, event("two.ics", 0), Expect::Absent),
        ],
        publish: vec![message(Topic::EventCreated, "k", 1).once("o")],
    };
    let error = ports.dav.write(failing).await.unwrap_err();
    assert!(matches!(error, WriteError::Precondition(3)), "{error}");
    let names: Vec<String> = ports.dav.list(work.id, None, 9).await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["taken.ics"]);
    assert_eq!(ports.dav.collection(other.home, other.kind, "other").await.unwrap(), None);
    assert_eq!(ports.dav.collection(work.home, work.kind, "work").await.unwrap().unwrap().sync_token, 2);

    // The same `once` still goes out: the batch that carried it did not happen.
    let good = Batch {
        ops: vec![put(&work, event("two.ics", 0), Expect::Absent), put(&work, event("three.ics", 0), Expect::Absent)],
        publish: vec![message(Topic::EventCreated, "k", 2).once("o")],
    };
    let written = ports.dav.write(good).await.unwrap();
    assert_eq!(written.sync_tokens, [3, 4]);
    let published = ports.published.next(10).await;
    let numbers: Vec<_> = published.iter().map(|message| message.payload["n"].clone()).collect();
    assert_eq!(numbers, [json!(2)]);
}

async fn a_schedule_tag_is_kept_beside_the_object(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let mut meeting = event("meeting.ics", MONDAY);
    let lunch = event("lunch.ics", MONDAY);
    for (tag, text) in [(Some("first"), "a"), (Some("first"), "b"), (Some("second"), "c"), (None, "d")] {
        // The tag goes its own way: it stays while the text changes, changes, and ends.
        let name = meeting.meta.name.clone();
        meeting = with_data(&name, &format!("{}{text}", meeting.data), Some(MONDAY), Some(MONDAY + 3600));
        meeting.meta.schedule_tag = tag.map(str::to_owned);
        let ops = vec![put(&work, meeting.clone(), Expect::Any), put(&work, lunch.clone(), Expect::Any)];
        write(&*store, ops).await.unwrap();
        let of = |objects: Vec<Object>| objects.into_iter().find(|o| o.meta.name == name).map(|o| o.meta.schedule_tag);
        let expected = Some(meeting.meta.schedule_tag.clone());
        assert_eq!(store.object(work.id, &name).await.unwrap(), Some(meeting.clone()));
        assert_eq!(store.object(work.id, "lunch.ics").await.unwrap(), Some(lunch.clone()));
        let listed = store.list(work.id, None, 10).await.unwrap();
        assert_eq!(listed.iter().find(|m| m.name == name).map(|m| m.schedule_tag.clone()), expected);
        let by_uid = store.find_uid(work.home, &meeting.meta.uid).await.unwrap();
        assert_eq!(of(by_uid.into_iter().map(|(_, object)| object).collect()), expected);
        for filter in [
            ObjectFilter { uid: Some(meeting.meta.uid.clone()), ..ObjectFilter::default() },
            ObjectFilter { start: Some(MONDAY), end: Some(MONDAY + DAY), ..ObjectFilter::default() },
            ObjectFilter::default(),
        ] {
            assert_eq!(of(store.query(work.id, &filter, None, 10).await.unwrap().objects), expected, "{filter:?}");
        }
        let changes = store.changes(work.id, 1, 10).await.unwrap().unwrap().changes;
        let changed = changes.into_iter().find_map(|change| match change {
            Change::Written(meta) if meta.name == name => Some(meta.schedule_tag),
            _ => None,
        });
        assert_eq!(changed, expected);
    }
}

async fn a_uid_belongs_to_one_object_of_a_collection(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let other = calendar(work.home, "other");
    let inbox = collection(work.home, CollectionKind::Inbox, "inbox");
    write(&*store, vec![Op::CreateCollection(other.clone()), Op::CreateCollection(inbox.clone())]).await.unwrap();
    let named = |name: &str, uid: &str| -> Object {
        let mut object = event(name, 0);
        object.meta.uid = Uid(uid.to_owned());
        object
    };
    write(&*store, vec![put(&work, named("a.ics", "same"), Expect::Any)]).await.unwrap();
    write(&*store, vec![put(&work, named("a.ics", "same"), Expect::Any)]).await.unwrap();
    let error = write(
        &*store,
        vec![put(&other, named("x.ics", "y"), Expect::Any), put(&work, named("b.ics", "same"), Expect::Any)],
    )
    .await
    .unwrap_err();
    assert!(matches!(&error, WriteError::UidConflict { op: 1, name } if name == "a.ics"), "{error}");
    // Compared as written; free in other collections; free after a move in one batch; several in an inbox.
    write(&*store, vec![put(&work, named("c.ics", "Same"), Expect::Any)]).await.unwrap();
    write(&*store, vec![put(&other, named("a.ics", "same"), Expect::Any)]).await.unwrap();
    let moved = vec![delete(&work, "a.ics", Expect::Present), put(&work, named("b.ics", "same"), Expect::Absent)];
    write(&*store, moved).await.unwrap();
    write(
        &*store,
        vec![put(&inbox, named("1.ics", "same"), Expect::Any), put(&inbox, named("2.ics", "same"), Expect::Any)],
    )
    .await
    .unwrap();
    // Address books leave it to who writes.
    let book = collection(work.home, CollectionKind::AddressBook, "book");
    write(&*store, vec![Op::CreateCollection(book.clone())]).await.unwrap();
    let cards = ["1.vcf", "2.vcf"].map(|name| put(&book, named(name, "same"), Expect::Absent));
    write(&*store, cards.into()).await.unwrap();

    let found = store.find_uid(work.home, &Uid("same".to_owned())).await.unwrap();
    let places: BTreeSet<(String, String)> = found.into_iter().map(|(c, o)| (c.uri, o.meta.name)).collect();
    let expected = [("other", "a.ics"), ("work", "b.ics")].map(|(c, o)| (c.to_owned(), o.to_owned()));
    assert_eq!(places, expected.into());
    assert!(store.find_uid(home(), &Uid("same".to_owned())).await.unwrap().is_empty());
    assert!(store.find_uid(work.home, &Uid("none".to_owned())).await.unwrap().is_empty());
    let filter = ObjectFilter { uid: Some(Uid("same".to_owned())), ..Default::default() };
    let in_inbox = store.query(inbox.id, &filter, Some("1.ics"), 9).await.unwrap().objects;
    let in_inbox: Vec<String> = in_inbox.into_iter().map(|o| o.meta.name).collect();
    assert_eq!(in_inbox, ["2.ics"]);
}

async fn names_in(
    store: &dyn convoke::store::DavStore,
    c: &convoke::store::Collection,
    f: &ObjectFilter,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = store.query(c.id, f, names.last().map(String::as_str), 7).await.unwrap();
        assert!(page.objects.len() <= 7);
        names.extend(page.objects.into_iter().map(|o| o.meta.name));
        if !page.more {
            return names;
        }
    }
}

async fn a_query_by_time_finds_everything_that_may_lie_in_the_range(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let week = (MONDAY, MONDAY + 7 * DAY);
    let mut todo = spanning("todo.ics", Some(MONDAY + DAY), Some(MONDAY + DAY));
    todo.meta.component = "VTODO".to_owned();
    let objects = [
        spanning("in.ics", Some(week.0 + 3600), Some(week.0 + 7200)),
        spanning("across-start.ics", Some(week.0 - 3600), Some(week.0 + 3600)),
        spanning("across-end.ics", Some(week.1 - 3600), Some(week.1 + 3600)),
        spanning("around.ics", Some(week.0 - 30 * DAY), Some(week.1 + 30 * DAY)),
        spanning("series-of-years.ics", Some(week.0 - 3000 * DAY), Some(week.1 + 100 * DAY)),
        spanning("series-of-decades.ics", Some(week.0 - 12_000 * DAY), Some(week.0 + DAY)),
        spanning("endless.ics", Some(week.0 - 9000 * DAY), None),
        spanning("moment.ics", Some(week.0), Some(week.0)),
        spanning("no-time.ics", None, None),
        todo,
        spanning("before.ics", Some(week.0 - 2 * DAY), Some(week.0 - DAY)),
        spanning("series-before.ics", Some(week.0 - 3000 * DAY), Some(week.0 - DAY)),
        spanning("after.ics", Some(week.1 + DAY), Some(week.1 + 2 * DAY)),
        spanning("endless-after.ics", Some(week.1 + DAY), None),
    ];
    write(&*store, objects.into_iter().map(|o| put(&work, o, Expect::Absent)).collect()).await.unwrap();
    let mut expected = vec![
        "across-end.ics",
        "across-start.ics",
        "around.ics",
        "endless.ics",
        "in.ics",
        "moment.ics",
        "no-time.ics",
        "series-of-decades.ics",
        "series-of-years.ics",
        "todo.ics",
    ];
    let mut filter = ObjectFilter { start: Some(week.0), end: Some(week.1), ..Default::default() };
    assert_eq!(names_in(&*store, &work, &filter).await, expected);
    filter.component = Some("VEVENT".to_owned());
    expected.retain(|n| *n != "todo.ics");
    assert_eq!(names_in(&*store, &work, &filter).await, expected);
    filter.component = Some("VJOURNAL".to_owned());
    assert!(names_in(&*store, &work, &filter).await.is_empty());
    let since = ObjectFilter { start: Some(week.1 + 1), ..Default::default() };
    assert_eq!(
        names_in(&*store, &work, &since).await,
        [
            "across-end.ics",
            "after.ics",
            "around.ics",
            "endless-after.ics",
            "endless.ics",
            "no-time.ics",
            "series-of-years.ics"
        ]
    );
    let until = ObjectFilter { end: Some(week.0 - 2900 * DAY), ..Default::default() };
    assert_eq!(
        names_in(&*store, &work, &until).await,
        ["endless.ics", "no-time.ics", "series-before.ics", "series-of-decades.ics", "series-of-years.ics"]
    );
    assert_eq!(names_in(&*store, &work, &ObjectFilter::default()).await.len(), 14);
}

/// Whatever way an engine finds them, few or most of many objects, the answer is the same.
async fn few_and_many_matches_are_found_alike(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let objects: Vec<Object> = (0..600_i64)
        .map(|n| {
            let start = MONDAY + (n * 7919 % 600) * DAY;
            let length = [3600, 5 * DAY, 40 * DAY, 300 * DAY][(n % 4) as usize];
            let mut object = spanning(&format!("{:03}.ics", n * 271 % 600), Some(start), Some(start + length));
            if n % 10 == 0 {
                object.meta.component = "VTODO".to_owned();
            }
            object
        })
        .collect();
    write(&*store, objects.iter().map(|o| put(&work, o.clone(), Expect::Absent)).collect()).await.unwrap();
    for (from, days, component) in [
        (0, 1, None),
        (100, 7, None),
        (100, 7, Some("VEVENT")),
        (0, 500, None),
        (0, 900, Some("VTODO")),
        (700, 90, None),
    ] {
        let (start, end) = (MONDAY + from * DAY, MONDAY + (from + days) * DAY);
        let filter =
            ObjectFilter { component: component.map(str::to_owned), start: Some(start), end: Some(end), uid: None };
        let mut expected: Vec<String> = objects
            .iter()
            .map(|o| &o.meta)
            .filter(|m| m.first_occurrence.unwrap() <= end && m.last_occurrence.unwrap() >= start)
            .filter(|m| component.is_none_or(|c| c == m.component))
            .map(|m| m.name.clone())
            .collect();
        expected.sort();
        assert_eq!(names_in(&*store, &work, &filter).await, expected, "{from} + {days} {component:?}");
    }
}

async fn a_deleted_collection_takes_its_content_along(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let kept = calendar(work.home, "kept");
    write(&*store, vec![Op::CreateCollection(kept.clone())]).await.unwrap();
    for calendar in [&work, &kept] {
        write(&*store, (0..20).map(|n| put(calendar, event(&format!("{n}.ics"), 0), Expect::Any)).collect())
            .await
            .unwrap();
    }
    write(&*store, vec![Op::DeleteCollection(work.id)]).await.unwrap();
    assert_eq!(store.collection(work.home, work.kind, "work").await.unwrap(), None);
    assert!(store.list(work.id, None, 9).await.unwrap().is_empty());
    assert_eq!(store.object(work.id, "1.ics").await.unwrap(), None);
    assert!(store.query(work.id, &ObjectFilter::default(), None, 9).await.unwrap().objects.is_empty());
    assert!(matches!(write(&*store, vec![Op::DeleteCollection(work.id)]).await, Err(WriteError::NoCollection(0))));
    assert_eq!(store.list(kept.id, None, 99).await.unwrap().len(), 20);
    let places = store.find_uid(work.home, &Uid("1".to_owned())).await.unwrap();
    assert_eq!(places.iter().map(|(c, _)| c.uri.as_str()).collect::<Vec<_>>(), ["kept"]);
}

async fn a_calendar_takes_the_place_of_another_unless_something_changed(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let (from, old) = (calendar(home(), "from"), calendar(home(), "old"));
    let old = Collection { home: from.home, ..old };
    let objects = [event("a.ics", 1000), event("b.ics", 2000)];
    let mut ops = vec![Op::CreateCollection(from.clone()), Op::CreateCollection(old.clone())];
    ops.push(put(&from, objects[0].clone(), Expect::Any));
    ops.push(put(&old, event("gone.ics", 1), Expect::Any));
    write(&*store, ops).await.unwrap();
    let seen =
        async || store.collection(from.home, CollectionKind::Calendar, "from").await.unwrap().unwrap().sync_token;
    let token = seen().await;
    write(&*store, vec![put(&from, objects[1].clone(), Expect::Any)]).await.unwrap();
    let made = calendar(from.home, "old");
    let relocation = |token| {
        let mut ops = vec![Op::ExpectToken { collection: from.id, token }, Op::DeleteCollection(old.id)];
        ops.push(Op::CreateCollection(made.clone()));
        ops.extend(objects.iter().map(|object| put(&made, object.clone(), Expect::Absent)));
        ops.push(Op::DeleteCollection(from.id));
        ops
    };
    let refused = write(&*store, relocation(token)).await;
    assert!(matches!(refused, Err(WriteError::Precondition(0))), "{refused:?}");
    assert_eq!(store.list(old.id, None, 10).await.unwrap().len(), 1, "nothing of it happened");
    let before = seen().await;
    let written = write(&*store, relocation(before)).await.unwrap();
    assert_eq!(written.sync_tokens[0], before, "nothing is counted");
    let uris: Vec<_> = store.collections(from.home).await.unwrap().into_iter().map(|c| c.uri).collect();
    assert_eq!(uris, ["old"]);
    let names: Vec<_> = store.list(made.id, None, 10).await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["a.ics", "b.ics"]);
}

async fn of_a_hundred_writers_with_the_same_etag_one_wins(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let first = event("a.ics", 0);
    write(&*store, vec![put(&work, first.clone(), Expect::Absent)]).await.unwrap();
    let writers: Vec<_> = (0..100)
        .map(|n| {
            let (store, work) = (store.clone(), work.clone());
            let expect = Expect::Etag(first.meta.etag.clone());
            let mine = with_data("a.ics", &format!("writer {n}"), Some(0), None);
            tokio::spawn(async move { write(&*store, vec![put(&work, mine.clone(), expect)]).await.map(|_| mine) })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        match writer.await.unwrap() {
            Ok(object) => winners.push(object),
            Err(error) => assert!(matches!(error, WriteError::Precondition(0)), "{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.object(work.id, "a.ics").await.unwrap(), winners.pop());
}

async fn a_hundred_parallel_writers_all_arrive_and_each_gets_a_token_of_its_own(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let writers: Vec<_> = (0..100)
        .map(|n| {
            let (store, work) = (store.clone(), work.clone());
            let object = event(&format!("{n}.ics"), n);
            tokio::spawn(async move { write(&*store, vec![put(&work, object, Expect::Absent)]).await.unwrap() })
        })
        .collect();
    let mut tokens = BTreeSet::new();
    for writer in writers {
        tokens.extend(writer.await.unwrap().sync_tokens);
    }
    assert_eq!(tokens, (2..=101).collect());
    assert_eq!(store.list(work.id, None, 200).await.unwrap().len(), 100);
}

async fn what_was_written_is_there_after_reopening(engine: &dyn StoreHarness) {
    let ports = engine.open().await;
    let work = stored_calendar(&*ports.dav, "work").await;
    let object = event("a.ics", MONDAY);
    write(&*ports.dav, vec![put(&work, object.clone(), Expect::Absent)]).await.unwrap();
    engine.close().await;
    assert!(matches!(ports.dav.object(work.id, "a.ics").await, Err(StoreError::Unavailable(_))));
    drop(ports);

    let ports = engine.open().await;
    assert_eq!(ports.dav.object(work.id, "a.ics").await.unwrap(), Some(object));
}

/// Makes the tests of one engine.
macro_rules! over {
    ($suite:ident, $engine:ident, $harness:expr) => {
        $suite!(
            $engine,
            $harness,
            [
                a_collection_is_found_by_home_kind_and_uri,
                the_default_collection_is_listed_first_then_by_order_then_by_creation,
                a_collection_cannot_be_created_twice,
                properties_are_replaced_as_a_whole_and_count_as_a_change,
                an_address_book_remembers_what_it_is_for,
                an_inbox_remembers_where_invitations_go,
                an_object_comes_back_byte_for_byte,
                a_listing_pages_through_all_names_in_order,
                a_write_whose_precondition_fails_changes_nothing,
                a_batch_happens_as_a_whole_with_its_messages_or_not_at_all,
                a_schedule_tag_is_kept_beside_the_object,
                a_uid_belongs_to_one_object_of_a_collection,
                a_query_by_time_finds_everything_that_may_lie_in_the_range,
                few_and_many_matches_are_found_alike,
                a_deleted_collection_takes_its_content_along,
                a_calendar_takes_the_place_of_another_unless_something_changed,
                of_a_hundred_writers_with_the_same_etag_one_wins,
                a_hundred_parallel_writers_all_arrive_and_each_gets_a_token_of_its_own,
                what_was_written_is_there_after_reopening,
            ]
        );
    };
}
over!(suite, sqlite, super::SqliteStore::new());
over!(optional_suite, mongodb, super::MongoHarness::replica_set());
over!(optional_suite, mongodb_standalone, super::MongoHarness::standalone());
