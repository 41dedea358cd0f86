//! The contract of `DavStore::changes`: what clients that synchronise are told (RFC 6578).

use std::collections::BTreeMap;

use convoke::store::{Change, Collection, DavStore, Expect, Op};

use super::samples::*;
use super::store_engines::{MongoHarness, SqliteStore, StoreHarness};
use super::{optional_suite, suite};

async fn changes(store: &dyn DavStore, c: &Collection, since: u64) -> (Vec<String>, u64) {
    let changes = store.changes(c.id, since, 1000).await.unwrap().unwrap();
    assert!(!changes.truncated);
    let told = changes.changes.iter().map(|change| match change {
        Change::Written(meta) => format!("+{}", meta.name),
        Change::Deleted(name) => format!("-{name}"),
    });
    (told.collect(), changes.token)
}

async fn put_all(store: &dyn DavStore, c: &Collection, names: &[&str]) {
    for name in names {
        write(store, vec![put(c, event(name, 0), Expect::Any)]).await.unwrap();
    }
}

async fn each_name_is_told_once_with_its_latest_state(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    assert_eq!(changes(&*store, &work, 1).await, (vec![], 1));
    put_all(&*store, &work, &["a.ics", "b.ics", "c.ics"]).await;
    assert_eq!(changes(&*store, &work, 1).await.0, ["+a.ics", "+b.ics", "+c.ics"]);
    put_all(&*store, &work, &["a.ics", "a.ics"]).await;
    write(&*store, vec![delete(&work, "b.ics", Expect::Any)]).await.unwrap();
    write(&*store, vec![Op::SetProps { collection: work.id, props: Default::default() }]).await.unwrap();
    assert_eq!(changes(&*store, &work, 4).await, (vec!["+a.ics".to_owned(), "-b.ics".to_owned()], 8));
    let latest = with_data("a.ics", "latest", Some(1), None);
    write(&*store, vec![put(&work, latest.clone(), Expect::Any)]).await.unwrap();
    let told = store.changes(work.id, 8, 10).await.unwrap().unwrap();
    assert_eq!(told.changes, [Change::Written(latest.meta)]);
    assert_eq!(changes(&*store, &work, 9).await, (vec![], 9));
}

async fn a_name_that_came_back_is_not_told_as_gone(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    put_all(&*store, &work, &["a.ics"]).await;
    write(&*store, vec![delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    assert_eq!(changes(&*store, &work, 2).await.0, ["-a.ics"]);
    put_all(&*store, &work, &["a.ics"]).await;
    assert_eq!(changes(&*store, &work, 2).await.0, ["+a.ics"]);
    write(&*store, vec![delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    assert_eq!(changes(&*store, &work, 4).await, (vec!["-a.ics".to_owned()], 5));
}

async fn from_the_beginning_only_what_exists_is_told(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    put_all(&*store, &work, &["a.ics", "b.ics", "c.ics"]).await;
    write(&*store, vec![delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    put_all(&*store, &work, &["b.ics"]).await;
    assert_eq!(changes(&*store, &work, 0).await, (vec!["+c.ics".to_owned(), "+b.ics".to_owned()], 6));
}

/// A client that follows truncated answers ends where one that got everything at once does, whatever happens meanwhile.
async fn following_truncated_answers_leads_to_the_same_state(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let names: Vec<String> = (0..40).map(|n| format!("{n}.ics")).collect();
    put_all(&*store, &work, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let (mut since, mut pages) = (0, 0);
    loop {
        let page = store.changes(work.id, since, 7).await.unwrap().unwrap();
        assert!(page.changes.len() <= 7);
        assert!(page.token > since || !page.truncated, "an answer leads on");
        for change in page.changes {
            match change {
                Change::Written(meta) => drop(known.insert(meta.name, meta.etag)),
                Change::Deleted(name) => drop(known.remove(&name)),
            }
        }
        since = page.token;
        pages += 1;
        if !page.truncated {
            break;
        }
        if pages < 4 {
            // Meanwhile someone deletes one the client knows, one it does not, and writes one anew.
            let gone = [delete(&work, &names[pages], Expect::Any), delete(&work, &names[39 - pages], Expect::Any)];
            let anew = with_data(&names[20], &format!("page {pages}"), Some(0), None);
            write(&*store, [gone.to_vec(), vec![put(&work, anew, Expect::Any)]].concat()).await.unwrap();
        }
    }
    let stored: BTreeMap<String, String> =
        store.list(work.id, None, 100).await.unwrap().into_iter().map(|m| (m.name, m.etag)).collect();
    assert_eq!(known, stored);
    assert!(pages > 4);
}

async fn a_token_that_was_never_issued_is_refused(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    put_all(&*store, &work, &["a.ics"]).await;
    assert!(store.changes(work.id, 2, 9).await.unwrap().is_some());
    assert!(store.changes(work.id, 3, 9).await.unwrap().is_none(), "ahead of the last change");
    assert!(store.changes(work.id, u64::MAX, 9).await.unwrap().is_none());
    assert!(store.changes(calendar(work.home, "x").id, 1, 9).await.unwrap().is_none(), "no such collection");
}

async fn tokens_of_a_deleted_collection_mean_nothing_to_one_of_the_same_path(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let old = stored_calendar(&*store, "work").await;
    put_all(&*store, &old, &["a.ics", "b.ics"]).await;
    let last = write(&*store, vec![Op::DeleteCollection(old.id)]).await.unwrap().sync_tokens[0];
    let new = calendar(old.home, "work");
    let first = write(&*store, vec![Op::CreateCollection(new.clone())]).await.unwrap().sync_tokens[0];
    assert!(first > last, "{first} was issued before");
    assert_eq!(store.collection(new.home, new.kind, "work").await.unwrap().unwrap().sync_token, first);
    for since in 1..=last {
        assert!(store.changes(new.id, since, 9).await.unwrap().is_none(), "{since}");
    }
    put_all(&*store, &new, &["c.ics"]).await;
    assert_eq!(changes(&*store, &new, first).await, (vec!["+c.ics".to_owned()], first + 1));
    assert_eq!(changes(&*store, &new, 0).await, (vec!["+c.ics".to_owned()], first + 1));
    // And once more, after a life without changes.
    write(&*store, vec![Op::DeleteCollection(new.id)]).await.unwrap();
    let newer = calendar(old.home, "work");
    write(&*store, vec![Op::CreateCollection(newer.clone())]).await.unwrap();
    assert!(store.changes(newer.id, first + 1, 9).await.unwrap().is_none());
}

async fn a_collection_counts_from_the_token_it_is_given(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let mut imported = calendar(home(), "imported");
    imported.sync_token = 500;
    write(&*store, vec![Op::CreateCollection(imported.clone())]).await.unwrap();
    put_all(&*store, &imported, &["a.ics"]).await;
    assert_eq!(changes(&*store, &imported, 500).await, (vec!["+a.ics".to_owned()], 501));
    assert!(store.changes(imported.id, 499, 9).await.unwrap().is_none());
}

/// Makes the tests of one engine.
macro_rules! over {
    ($suite:ident, $engine:ident, $harness:expr) => {
        $suite!(
            $engine,
            $harness,
            [
                each_name_is_told_once_with_its_latest_state,
                a_name_that_came_back_is_not_told_as_gone,
                from_the_beginning_only_what_exists_is_told,
                following_truncated_answers_leads_to_the_same_state,
                a_token_that_was_never_issued_is_refused,
                tokens_of_a_deleted_collection_mean_nothing_to_one_of_the_same_path,
                a_collection_counts_from_the_token_it_is_given,
            ]
        );
    };
}
over!(suite, sqlite, super::SqliteStore::new());
over!(optional_suite, mongodb, super::MongoHarness::replica_set());
over!(optional_suite, mongodb_standalone, super::MongoHarness::standalone());
