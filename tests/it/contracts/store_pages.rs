//! The contract of pages of objects: `DavStore::query` and `DavStore::objects` answer no more at once than a reader should hold
//! in memory, and lose nothing by it.

use convoke::ids::Uid;
use convoke::store::{Collection, CollectionKind, DavStore, Expect, Object, ObjectFilter, ObjectPage, Op, PAGE_BYTES};

use super::samples::*;
use super::store_engines::{MongoHarness, SqliteStore, StoreHarness};
use super::{optional_suite, suite};

const HOUR: i64 = 3_600;

fn names(objects: &[Object]) -> Vec<String> {
    objects.iter().map(|object| object.meta.name.clone()).collect()
}

/// An event whose text has about so many octets.
fn large(name: &str, octets: u64) -> Object {
    let text = "x".repeat(usize::try_from(octets).unwrap());
    let data =
        format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{name}\r\nCOMMENT:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    with_data(name, &data, Some(0), Some(HOUR))
}

async fn fill(store: &dyn DavStore, c: &Collection, objects: &[Object]) {
    for object in objects {
        write(store, vec![put(c, object.clone(), Expect::Absent)]).await.unwrap();
    }
}

async fn pages(store: &dyn DavStore, c: &Collection, filter: &ObjectFilter, limit: usize) -> Vec<ObjectPage> {
    let mut pages: Vec<ObjectPage> = Vec::new();
    loop {
        let after = pages.last().and_then(ObjectPage::next);
        if !pages.is_empty() && after.is_none() {
            return pages;
        }
        pages.push(store.query(c.id, filter, after.as_deref(), limit).await.unwrap());
        assert!(pages.len() < 100, "it does not end");
    }
}

fn together(pages: &[ObjectPage]) -> Vec<Object> {
    pages.iter().flat_map(|page| page.objects.clone()).collect()
}

async fn a_page_ends_where_its_octets_do(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    // Two of them fit into a page; one is too large for any.
    let two = PAGE_BYTES * 2 / 5;
    let sizes = [two, two, two, 10, PAGE_BYTES + 10, 10, two, two, two];
    let objects: Vec<Object> = sizes.iter().enumerate().map(|(n, size)| large(&format!("{n}.ics"), *size)).collect();
    fill(&*store, &work, &objects).await;
    let expected: [&[usize]; 5] = [&[0, 1], &[2, 3], &[4], &[5, 6, 7], &[8]];
    let expected = expected.map(|page| page.iter().map(|n| format!("{n}.ics")).collect::<Vec<_>>());
    for filter in [
        ObjectFilter::default(),
        ObjectFilter { start: Some(0), end: Some(HOUR), ..ObjectFilter::default() },
        ObjectFilter { component: Some("VEVENT".to_owned()), ..ObjectFilter::default() },
    ] {
        let pages = pages(&*store, &work, &filter, 100).await;
        let found: Vec<Vec<String>> = pages.iter().map(|page| names(&page.objects)).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert_eq!(together(&pages), objects);
    }
    let all = names(&objects);
    let mut left = all.as_slice();
    let mut found = Vec::new();
    while !left.is_empty() {
        let read = store.objects(work.id, left).await.unwrap();
        assert!(!read.is_empty() && read.len() <= left.len());
        let octets: u64 = read.iter().flatten().map(|object| object.meta.size).sum();
        assert!(read.len() == 1 || octets <= PAGE_BYTES, "{} have {octets}", read.len());
        left = &left[read.len()..];
        found.extend(read);
    }
    assert_eq!(found, objects.iter().cloned().map(Some).collect::<Vec<_>>());
}

async fn objects_asked_by_name_come_in_the_order_asked(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let objects: Vec<Object> = (0..6).map(|n| large(&format!("{n}.ics"), PAGE_BYTES / 4)).collect();
    fill(&*store, &work, &objects).await;
    let asked = ["5.ics", "gone.ics", "0.ics", "4.ics", "3.ics", "5.ics"].map(str::to_owned);
    let read = store.objects(work.id, &asked).await.unwrap();
    let found: Vec<Option<String>> = read.iter().map(|o| o.as_ref().map(|o| o.meta.name.clone())).collect();
    let expected = [Some("5.ics"), None, Some("0.ics"), Some("4.ics")].map(|name| name.map(str::to_owned));
    assert_eq!(found, expected, "three of a quarter and a little more");
    assert_eq!(store.objects(work.id, &["gone.ics".to_owned()]).await.unwrap(), [None]);
    assert!(store.objects(work.id, &[]).await.unwrap().is_empty());
    let nowhere = calendar(home(), "nowhere");
    assert_eq!(store.objects(nowhere.id, &asked).await.unwrap(), vec![None; 6]);
}

async fn a_page_knows_whether_it_is_the_last(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let all = ObjectFilter::default();
    assert_eq!(store.query(work.id, &all, None, 5).await.unwrap(), ObjectPage::default());
    let objects: Vec<Object> = (0..10).map(|n| event(&format!("{n}.ics"), 0)).collect();
    fill(&*store, &work, &objects).await;
    let timed = ObjectFilter { start: Some(0), end: Some(HOUR), ..ObjectFilter::default() };
    for filter in [&all, &timed] {
        for (limit, expected) in [(3, vec![3, 3, 3, 1]), (5, vec![5, 5]), (10, vec![10]), (11, vec![10])] {
            let sizes: Vec<usize> =
                pages(&*store, &work, filter, limit).await.iter().map(|page| page.objects.len()).collect();
            assert_eq!(sizes, expected, "{limit} of {filter:?}");
        }
    }
    assert!(!store.query(work.id, &all, Some("9.ics"), 5).await.unwrap().more);
}

async fn messages_of_one_uid_come_in_pages(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let inbox = collection(home(), CollectionKind::Inbox, "inbox");
    write(&*store, vec![Op::CreateCollection(inbox.clone())]).await.unwrap();
    let uid = Uid("same".to_owned());
    let mut objects: Vec<Object> = (0..5).map(|n| large(&format!("{n}.ics"), PAGE_BYTES / 3)).collect();
    objects.iter_mut().for_each(|object| object.meta.uid = uid.clone());
    fill(&*store, &inbox, &objects).await;
    let filter = ObjectFilter { uid: Some(uid), ..ObjectFilter::default() };
    let pages = pages(&*store, &inbox, &filter, 9).await;
    assert_eq!(pages.iter().map(|page| page.objects.len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(names(&together(&pages)), names(&objects));
}

/// Makes the tests of one engine.
macro_rules! over {
    ($suite:ident, $engine:ident, $harness:expr) => {
        $suite!(
            $engine,
            $harness,
            [
                a_page_ends_where_its_octets_do,
                objects_asked_by_name_come_in_the_order_asked,
                a_page_knows_whether_it_is_the_last,
                messages_of_one_uid_come_in_pages,
            ]
        );
    };
}
over!(suite, sqlite, super::SqliteStore::new());
over!(optional_suite, mongodb, super::MongoHarness::replica_set());
over!(optional_suite, mongodb_standalone, super::MongoHarness::standalone());
