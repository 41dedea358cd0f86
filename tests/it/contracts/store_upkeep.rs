//! The contract of `Upkeep`, and of the operations that go with it: trash, room, logs that are cut, tokens of paths.

use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::Env;
use convoke::ids::TrashId;
use convoke::store::{
    Change, Collection, CollectionKind, DavStore, Expect, HomeRoom, LogKept, Object, Op, Purge, RetiredToken,
    TrashView, Trashed, TrashedThing, Usage, WriteError,
};

use super::samples::*;
use super::store_engines::{MongoHarness, SqliteStore, StoreHarness};
use super::{optional_suite, suite};

const UNTIL: &str = "2026-06-01T10:00:00.25Z";

fn entry(c: &Collection, id: TrashId, what: TrashedThing) -> Trashed {
    Trashed {
        id,
        home: c.home,
        collection: c.id,
        kind: c.kind,
        uri: c.uri.clone(),
        deleted: instant("2026-05-02T10:00:00Z"),
        until: instant(UNTIL),
        what,
    }
}

/// Moves an object into the trash.
fn trash(c: &Collection, object: &Object, with_collection: bool) -> (Trashed, Vec<Op>) {
    let what = TrashedThing::Object { meta: object.meta.clone(), with_collection, summary: Some("Lunch".to_owned()) };
    let entry = entry(c, TrashId(Env::system().object_id()), what);
    let kept = Op::Trash { entry: Box::new(entry.clone()), data: object.data.clone() };
    (entry, vec![kept, delete(c, &object.meta.name, Expect::Etag(object.meta.etag.clone()))])
}

async fn listed(store: &dyn DavStore, c: &Collection) -> Vec<Trashed> {
    store.trash(c.home, TrashView::Deleted, None, 100).await.unwrap()
}

async fn what_is_deleted_is_kept_and_taken_out_once(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let object = event("a.ics", 0);
    write(&*store, vec![put(&work, object.clone(), Expect::Any)]).await.unwrap();
    let (kept, ops) = trash(&work, &object, false);
    let written = write(&*store, ops).await.unwrap();
    assert_eq!(written.sync_tokens[1], 3, "a change like every deletion");
    assert!(store.object(work.id, "a.ics").await.unwrap().is_none());
    assert!(store.query(work.id, &Default::default(), None, 9).await.unwrap().objects.is_empty());
    assert!(store.find_uid(work.home, &object.meta.uid).await.unwrap().is_empty());
    assert_eq!(listed(&*store, &work).await, std::slice::from_ref(&kept));
    assert_eq!(store.trashed(work.home, &[kept.id]).await.unwrap(), [(kept.clone(), object.data.clone())]);
    assert!(store.trashed(home(), &[kept.id]).await.unwrap().is_empty(), "it is nobody else's");

    let back = || vec![put(&work, object.clone(), Expect::Absent), Op::Untrash { home: work.home, id: kept.id }];
    let elsewhere = vec![Op::Untrash { home: home(), id: kept.id }];
    assert!(matches!(write(&*store, elsewhere).await, Err(WriteError::Precondition(0))));
    write(&*store, back()).await.unwrap();
    assert_eq!(store.object(work.id, "a.ics").await.unwrap(), Some(object.clone()));
    assert!(listed(&*store, &work).await.is_empty());
    write(&*store, vec![delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    assert!(matches!(write(&*store, back()).await, Err(WriteError::Precondition(1))));
    assert!(store.object(work.id, "a.ics").await.unwrap().is_none(), "nothing of a refused batch happens");
}

async fn a_refused_batch_keeps_nothing(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let (_, ops) = trash(&work, &event("a.ics", 0), false);
    assert!(matches!(write(&*store, ops).await, Err(WriteError::Precondition(1))));
    assert!(listed(&*store, &work).await.is_empty());
}

async fn what_went_with_a_collection_is_listed_with_it_alone(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let objects: Vec<Object> = (0..5).map(|n| event(&format!("{n}.ics"), n * 3600)).collect();
    for object in &objects {
        write(&*store, vec![put(&work, object.clone(), Expect::Any)]).await.unwrap();
    }
    let props = work.props.clone();
    let whole = |token| {
        let what = TrashedThing::Collection { props: props.clone(), token };
        entry(&work, TrashId(work.id.0), what)
    };
    let keep = |token| Op::Trash { entry: Box::new(whole(token)), data: String::new() };
    write(&*store, vec![keep(1)]).await.unwrap();
    let mut parts = Vec::new();
    for object in &objects {
        let (part, ops) = trash(&work, object, true);
        write(&*store, ops).await.unwrap();
        parts.push(part);
    }
    // Told again in the end, with the last token.
    write(&*store, vec![keep(11), Op::DeleteCollection(work.id)]).await.unwrap();
    assert_eq!(listed(&*store, &work).await, [whole(11)]);
    let page = |after| store.trash(work.home, TrashView::Of(work.id), after, 3);
    let mut first = page(None).await.unwrap();
    assert_eq!(first.len(), 3);
    first.extend(page(Some(first[2].id)).await.unwrap());
    parts.sort_by_key(|part| std::cmp::Reverse(part.id));
    assert_eq!(first, parts, "the newest first");

    // The collection comes back under its id, counting on.
    let again = Collection { sync_token: 12, ..work.clone() };
    let mut ops = vec![Op::CreateCollection(again)];
    for (part, object) in store.trashed(work.home, &parts.iter().map(|p| p.id).collect::<Vec<_>>()).await.unwrap() {
        let TrashedThing::Object { meta, .. } = part.what else { panic!() };
        ops.push(put(&work, Object { meta, data: object }, Expect::Absent));
        ops.push(Op::Untrash { home: work.home, id: part.id });
    }
    ops.push(Op::Untrash { home: work.home, id: TrashId(work.id.0) });
    write(&*store, ops).await.unwrap();
    assert!(listed(&*store, &work).await.is_empty() && page(None).await.unwrap().is_empty());
    let back = store.query(work.id, &Default::default(), None, 9).await.unwrap().objects;
    assert_eq!(back, objects);
    assert_eq!(store.collection(work.home, work.kind, "work").await.unwrap().unwrap().sync_token, 17);
}

async fn what_is_left_of_a_collection_is_listed_like_what_went_alone(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let mut expected = Vec::new();
    for n in 0..6 {
        let object = event(&format!("{n}.ics"), 0);
        let (entry, ops) = trash(&work, &object, n % 2 == 0);
        write(&*store, vec![put(&work, object, Expect::Any)]).await.unwrap();
        write(&*store, ops).await.unwrap();
        expected.push(entry);
    }
    // What went with another collection that is in the trash itself.
    let other = calendar(work.home, "other");
    let (part, mut ops) = trash(&other, &event("o.ics", 0), true);
    let what = TrashedThing::Collection { props: other.props.clone(), token: 1 };
    let whole = entry(&other, TrashId(other.id.0), what);
    ops[1] = Op::Trash { entry: Box::new(whole.clone()), data: String::new() };
    write(&*store, ops).await.unwrap();

    expected.push(whole.clone());
    expected.sort_by_key(|entry| entry.id);
    assert_eq!(listed(&*store, &work).await, expected);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.trash(work.home, TrashView::Deleted, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        found.extend(page);
    }
    assert_eq!(found, expected, "page by page");
    write(&*store, vec![Op::Untrash { home: work.home, id: whole.id }]).await.unwrap();
    assert!(listed(&*store, &work).await.contains(&part), "and that, once nothing leads to it");
}

async fn what_is_kept_again_is_kept_as_it_is_told_now(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let (mut entry, ops) = trash(&work, &event("a.ics", 0), false);
    write(&*store, ops[..1].to_vec()).await.unwrap();
    entry.until += TimeDelta::days(1);
    let again = Op::Trash { entry: Box::new(entry.clone()), data: "another".to_owned() };
    write(&*store, vec![again]).await.unwrap();
    assert_eq!(store.trashed(work.home, &[entry.id]).await.unwrap(), [(entry, "another".to_owned())]);
}

async fn the_trash_is_emptied_in_steps(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let other = stored_calendar(&*store, "other").await;
    let mut kept = Vec::new();
    for n in 0..6 {
        let c = if n < 4 { &work } else { &other };
        let object = event(&format!("{n}.ics"), 0);
        let (mut entry, mut ops) = trash(c, &object, n == 3);
        entry.until = instant(UNTIL) + TimeDelta::days(n);
        ops[0] = Op::Trash { entry: Box::new(entry.clone()), data: object.data.clone() };
        write(&*store, vec![put(c, object, Expect::Any)]).await.unwrap();
        write(&*store, ops).await.unwrap();
        kept.push(entry);
    }
    let at = |days: i64| -> DateTime<Utc> { instant(UNTIL) + TimeDelta::days(days) };
    let early = Purge::Expired(at(0) - TimeDelta::milliseconds(1));
    assert_eq!(store.purge(&early, 9).await.unwrap(), 0);
    assert_eq!(store.purge(&Purge::Expired(at(1)), 1).await.unwrap(), 1);
    assert_eq!(store.purge(&Purge::Expired(at(1)), 9).await.unwrap(), 1);
    let mut left = kept[2..4].to_vec();
    left.sort_by_key(|entry| entry.id);
    assert_eq!(listed(&*store, &work).await, left);
    assert_eq!(store.purge(&Purge::Of(work.home, work.id), 9).await.unwrap(), 1);
    assert_eq!(store.purge(&Purge::These(other.home, vec![kept[2].id]), 9).await.unwrap(), 0, "another home's");
    assert_eq!(store.purge(&Purge::These(work.home, vec![kept[2].id]), 9).await.unwrap(), 1);
    assert!(listed(&*store, &work).await.is_empty());
    assert_eq!(store.purge(&Purge::Home(other.home), 1).await.unwrap(), 1);
    assert_eq!(store.purge(&Purge::Home(other.home), 9).await.unwrap(), 1);
    assert_eq!(store.purge(&Purge::Home(other.home), 9).await.unwrap(), 0);
}

async fn used(store: &dyn DavStore, c: &Collection) -> (u64, u64) {
    let usage = store.usage(c.home).await.unwrap();
    let found = usage.into_iter().find(|(id, _)| *id == c.id).map(|(_, usage)| usage).unwrap_or_default();
    assert_eq!(store.recount(c.id, false).await.unwrap(), None, "it is counted rightly");
    (found.octets, found.objects)
}

async fn what_a_home_holds_is_counted(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    assert_eq!(used(&*store, &work).await, (0, 0));
    let sized = |name: &str, size: usize| with_data(name, &"x".repeat(size), None, None);
    write(&*store, vec![put(&work, sized("a.ics", 10), Expect::Any), put(&work, sized("b.ics", 20), Expect::Any)])
        .await
        .unwrap();
    assert_eq!(used(&*store, &work).await, (30, 2));
    write(&*store, vec![put(&work, sized("a.ics", 5), Expect::Any), put(&work, sized("a.ics", 7), Expect::Any)])
        .await
        .unwrap();
    assert_eq!(used(&*store, &work).await, (27, 2));
    write(&*store, vec![Op::SetProps { collection: work.id, props: Default::default() }]).await.unwrap();
    write(&*store, vec![delete(&work, "b.ics", Expect::Any), delete(&work, "gone.ics", Expect::Any)]).await.unwrap();
    assert_eq!(used(&*store, &work).await, (7, 1));
    let full = calendar(work.home, "full");
    write(&*store, vec![Op::CreateCollection(full.clone()), put(&full, sized("c.ics", 3), Expect::Any)]).await.unwrap();
    assert_eq!(used(&*store, &full).await, (3, 1));
    let inbox = collection(work.home, CollectionKind::Inbox, "inbox");
    write(&*store, vec![Op::CreateCollection(inbox.clone()), put(&inbox, sized("d.ics", 3), Expect::Any)])
        .await
        .unwrap();
    assert_eq!(used(&*store, &inbox).await, (0, 0), "inboxes do not count");
    write(&*store, vec![Op::DeleteCollection(full.id)]).await.unwrap();
    assert_eq!(store.usage(work.home).await.unwrap(), [(work.id, Usage { octets: 7, objects: 1 })]);
}

async fn a_home_takes_no_more_than_it_may(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let second = calendar(work.home, "second");
    write(&*store, vec![Op::CreateCollection(second.clone())]).await.unwrap();
    let sized = |name: &str, size: usize| with_data(name, &"x".repeat(size), None, None);
    let expect = |c: &Collection, room: HomeRoom| Op::ExpectRoom { collection: c.id, room };
    let octets = HomeRoom { octets: Some(100), ..HomeRoom::default() };

    write(&*store, vec![put(&work, sized("a.ics", 60), Expect::Any), expect(&work, octets)]).await.unwrap();
    let refused = write(&*store, vec![put(&second, sized("b.ics", 41), Expect::Any), expect(&second, octets)]).await;
    assert!(matches!(refused, Err(WriteError::NoRoom(1))), "{refused:?}");
    assert!(store.object(second.id, "b.ics").await.unwrap().is_none());
    write(&*store, vec![put(&second, sized("b.ics", 40), Expect::Any), expect(&second, octets)]).await.unwrap();
    // Without room left, what takes none is welcome: less, the same elsewhere, the properties.
    let less = HomeRoom { octets: Some(10), objects: Some(1), collections: Some(1) };
    write(&*store, vec![put(&work, sized("a.ics", 59), Expect::Any), expect(&work, less)]).await.unwrap();
    let moved = vec![
        delete(&second, "b.ics", Expect::Any),
        delete(&work, "a.ics", Expect::Any),
        put(&second, sized("a.ics", 59), Expect::Any),
        expect(&second, less),
    ];
    write(&*store, moved).await.unwrap();
    write(&*store, vec![Op::SetProps { collection: work.id, props: Default::default() }, expect(&work, less)])
        .await
        .unwrap();

    let one = HomeRoom { objects: Some(1), ..HomeRoom::default() };
    let another = || put(&second, sized("c.ics", 1), Expect::Any);
    let refused = write(&*store, vec![another(), expect(&second, one)]).await;
    assert!(matches!(refused, Err(WriteError::NoRoom(1))), "{refused:?}");
    write(&*store, vec![put(&work, sized("d.ics", 1), Expect::Any), expect(&work, one)]).await.unwrap();

    let inbox = collection(work.home, CollectionKind::Inbox, "inbox");
    write(&*store, vec![Op::CreateCollection(inbox.clone())]).await.unwrap();
    // An answer makes a copy longer and leaves a message: neither is refused.
    let delivered = vec![
        put(&second, sized("a.ics", 60), Expect::Any),
        put(&inbox, sized("a.ics", 60), Expect::Any),
        expect(&inbox, less),
        put(&second, sized("a.ics", 59), Expect::Any),
    ];
    write(&*store, delivered).await.unwrap();

    let third = calendar(work.home, "third");
    let two = HomeRoom { collections: Some(2), ..HomeRoom::default() };
    let make = |room| vec![Op::CreateCollection(third.clone()), expect(&third, room)];
    let refused = write(&*store, make(two)).await;
    assert!(matches!(refused, Err(WriteError::NoRoom(1))), "{refused:?}");
    write(&*store, make(HomeRoom { collections: Some(3), ..HomeRoom::default() })).await.unwrap();
    assert_eq!(used(&*store, &second).await, (59, 1));
}

/// What a client is told from a token on, page by page; `None` when it is refused.
async fn follow(store: &dyn DavStore, c: &Collection, mut token: u64, limit: usize) -> Option<(Vec<String>, u64)> {
    let mut told = Vec::new();
    loop {
        let changes = store.changes(c.id, token, limit).await.unwrap()?;
        told.extend(changes.changes.iter().map(|change| match change {
            Change::Written(meta) => format!("+{}", meta.name),
            Change::Deleted(name) => format!("-{name}"),
        }));
        token = changes.token;
        if !changes.truncated {
            return Some((told, token));
        }
    }
}

fn everything_old() -> LogKept {
    LogKept { since: Env::system().now() + TimeDelta::days(1), names: u64::MAX, shared: true }
}

async fn trim(store: &dyn DavStore, kept: &LogKept) -> u64 {
    let (mut rows, mut after) = (0, None);
    loop {
        let trimmed = store.trim_log(after, kept, 2).await.unwrap();
        rows += trimmed.rows;
        after = trimmed.last;
        if after.is_none() {
            return rows;
        }
    }
}

async fn a_log_is_cut_and_no_client_misses_anything(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    for n in 0..4 {
        stored_calendar(&*store, &format!("{n}")).await;
    }
    for n in 0..8 {
        write(&*store, vec![put(&work, event(&format!("{n}.ics"), 0), Expect::Any)]).await.unwrap();
    }
    for n in [0, 2, 4] {
        write(&*store, vec![delete(&work, &format!("{n}.ics"), Expect::Any)]).await.unwrap();
    }
    let (_, last) = follow(&*store, &work, 0, 100).await.unwrap();
    assert!(follow(&*store, &work, 9, 100).await.is_some());
    // A client that reads everything has seen a page when the log is cut.
    let page = store.changes(work.id, 0, 2).await.unwrap().unwrap();
    assert!(page.truncated);

    assert!(trim(&*store, &everything_old()).await >= 3);
    assert_eq!(trim(&*store, &everything_old()).await, 0, "there is nothing left to cut");
    assert_eq!(follow(&*store, &work, last, 100).await, Some((vec![], last)));
    assert!(follow(&*store, &work, 9, 100).await.is_none(), "who knows 0.ics would not hear that it is gone");
    write(&*store, vec![delete(&work, "6.ics", Expect::Any)]).await.unwrap();
    write(&*store, vec![put(&work, event("8.ics", 0), Expect::Any)]).await.unwrap();
    assert_eq!(
        follow(&*store, &work, last, 100).await.unwrap().0,
        ["-6.ics", "+8.ics"],
        "who was up to date hears everything"
    );
    // From the beginning everything is told, however small the pages, though the numbers of most are before the cut.
    for limit in [1, 2, 3, 100] {
        let (mut told, token) = follow(&*store, &work, 0, limit).await.unwrap();
        told.sort();
        told.dedup();
        assert_eq!(told, ["+1.ics", "+3.ics", "+5.ics", "+7.ics", "+8.ics"], "{limit}");
        assert_eq!(token, last + 2);
    }
}

async fn who_reads_everything_in_pages_hears_of_what_goes_meanwhile(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    for n in 0..6 {
        write(&*store, vec![put(&work, event(&format!("{n}.ics"), 0), Expect::Any)]).await.unwrap();
    }
    write(&*store, vec![delete(&work, "5.ics", Expect::Any)]).await.unwrap();
    trim(&*store, &everything_old()).await;
    let page = store.changes(work.id, 0, 2).await.unwrap().unwrap();
    assert!(page.truncated);
    let Change::Written(first) = &page.changes[0] else { panic!("{page:?}") };
    write(&*store, vec![delete(&work, &first.name, Expect::Any)]).await.unwrap();
    let (told, token) = follow(&*store, &work, page.token, 2).await.unwrap();
    assert!(told.contains(&format!("-{}", first.name)), "{told:?}");
    assert_eq!(follow(&*store, &work, token, 9).await, Some((vec![], token)));
    // Once the log was cut behind it, the page is too old.
    trim(&*store, &everything_old()).await;
    assert!(follow(&*store, &work, page.token, 2).await.is_none());
}

async fn so_many_names_of_the_log_are_kept(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    for n in 0..6 {
        let name = format!("{n}.ics");
        write(&*store, vec![put(&work, event(&name, 0), Expect::Any)]).await.unwrap();
        write(&*store, vec![delete(&work, &name, Expect::Any)]).await.unwrap();
    }
    let (_, last) = follow(&*store, &work, 0, 100).await.unwrap();
    let kept = LogKept { since: DateTime::UNIX_EPOCH, names: 2, shared: true };
    assert!(trim(&*store, &kept).await > 0);
    assert_eq!(follow(&*store, &work, last - 1, 100).await.unwrap().0, ["-5.ics"]);
    assert!(follow(&*store, &work, 2, 100).await.is_none());
    let many = LogKept { since: DateTime::UNIX_EPOCH, names: 1_000, shared: true };
    assert_eq!(trim(&*store, &many).await, 0);
}

async fn what_exists_costs_nobody_the_names_that_are_kept(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    // Each is written twice, some of them one after the other.
    for n in (0..6).flat_map(|n| if n < 3 { [n, n] } else { [n, 8 - n] }) {
        write(&*store, vec![put(&work, event(&format!("{n}.ics"), n * 60), Expect::Any)]).await.unwrap();
    }
    let all = store.list(work.id, None, 100).await.unwrap().len();
    let (_, last) = follow(&*store, &work, 0, 100).await.unwrap();
    let kept = LogKept { since: DateTime::UNIX_EPOCH, names: 2, shared: true };
    trim(&*store, &kept).await;
    for since in 1..=last {
        let (told, token) = follow(&*store, &work, since, 100).await.unwrap_or_else(|| panic!("{since} is refused"));
        assert_eq!(token, last);
        assert!(since > 1 || told.len() == all, "{told:?}");
    }
    write(&*store, vec![delete(&work, "0.ics", Expect::Any)]).await.unwrap();
    write(&*store, vec![delete(&work, "1.ics", Expect::Any)]).await.unwrap();
    trim(&*store, &kept).await;
    let (told, _) = follow(&*store, &work, last, 100).await.unwrap();
    assert_eq!(told, ["-0.ics", "-1.ics"]);
    assert!(follow(&*store, &work, 1, 100).await.is_some(), "two names are kept");
    write(&*store, vec![delete(&work, "2.ics", Expect::Any)]).await.unwrap();
    trim(&*store, &kept).await;
    assert!(follow(&*store, &work, last, 100).await.is_none(), "a third is not");
    assert_eq!(follow(&*store, &work, last + 1, 100).await.unwrap().0, ["-1.ics", "-2.ics"]);
}

async fn tokens_of_paths_are_carried_over(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let home = home();
    let token = |uri: &str, is_book, token| RetiredToken { home, is_book, uri: uri.to_owned(), token };
    let mut wanted = vec![token("a/b", false, 7), token("c", true, 9), token("d", false, 3)];
    store.retire_tokens(&wanted).await.unwrap();
    store.retire_tokens(&[token("d", false, 2), token("c", true, 11)]).await.unwrap();
    wanted[1].token = 11;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.retired_tokens(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page);
    }
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let made = write(&*store, vec![Op::CreateCollection(calendar(home, "d"))]).await.unwrap();
    assert_eq!(made.sync_tokens, [4]);
}

/// Makes the tests of one engine.
macro_rules! over {
    ($suite:ident, $engine:ident, $harness:expr) => {
        $suite!(
            $engine,
            $harness,
            [
                what_is_deleted_is_kept_and_taken_out_once,
                a_refused_batch_keeps_nothing,
                what_went_with_a_collection_is_listed_with_it_alone,
                what_is_left_of_a_collection_is_listed_like_what_went_alone,
                what_is_kept_again_is_kept_as_it_is_told_now,
                the_trash_is_emptied_in_steps,
                what_a_home_holds_is_counted,
                a_home_takes_no_more_than_it_may,
                a_log_is_cut_and_no_client_misses_anything,
                who_reads_everything_in_pages_hears_of_what_goes_meanwhile,
                so_many_names_of_the_log_are_kept,
                what_exists_costs_nobody_the_names_that_are_kept,
                tokens_of_paths_are_carried_over,
            ]
        );
    };
}
over!(suite, sqlite, super::SqliteStore::new());
over!(optional_suite, mongodb, super::MongoHarness::replica_set());
over!(optional_suite, mongodb_standalone, super::MongoHarness::standalone());
